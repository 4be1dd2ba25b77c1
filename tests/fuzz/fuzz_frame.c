/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>

#include "protocol/frame_zip.h"

/*
 * A stream of frames. Whatever decodes can be read row by row without a
 * mistake, and encoded again: then it decodes to the same bytes.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every row, as its consumer reads it. */
static void read_rows(const struct frame_list *list, void (*read)(struct profile_reader *in))
{
    struct profile_reader in = frame_list_reader(list);

    for (uint32_t i = 0; i < list->count; i++)
        read(&in);
    assert(!profile_end(&in));
}

static void read_sub(struct profile_reader *in)
{
    frame_read_sub(in);
}
static void read_have(struct profile_reader *in)
{
    frame_read_have(in);
}
static void read_entry(struct profile_reader *in)
{
    struct frame_entry entry = frame_read_entry(in);

    assert(entry.has_payload == (entry.payload.size > 0));
    assert(entry.header.size <= HEADER_BYTES_MAX && entry.payload.size <= PAYLOAD_BYTES_MAX);
}
static void read_tree(struct profile_reader *in)
{
    frame_read_tree(in);
}
static void read_prefix(struct profile_reader *in)
{
    struct trie_prefix prefix = frame_read_prefix(in);

    assert(prefix.size <= TRIE_DEPTH_MAX);
    for (unsigned i = 0; i < prefix.size; i++)
        assert(prefix.nibbles[i] < 16);
}
static void read_node(struct profile_reader *in)
{
    struct frame_trie_node node = frame_read_node(in);

    assert(node.prefix.size <= TRIE_DEPTH_MAX);
    assert(node.whole ? node.bytes.size % FRAME_TRIE_ENTRY_BYTES == 0
                      : node.bytes.size == TRIE_INNER_BYTES);
}
static void read_key(struct profile_reader *in)
{
    frame_read_key(in);
}
static void read_any(struct profile_reader *in)
{
    profile_skip(in);
}

static void read_lists(const struct frame *frame)
{
    switch (frame->type) {
    case FRAME_SUB:
        read_rows(&frame->sub.rows, read_sub);
        break;
    case FRAME_HAVE:
        read_rows(&frame->have.rows, read_have);
        break;
    case FRAME_CHARTER:
        read_rows(&frame->charter.charters, read_any);
        break;
    case FRAME_BATCH:
        read_rows(&frame->batch.entries, read_entry);
        assert(frame_head(frame->batch.head).bytes.size <= HEAD_BYTES_MAX);
        break;
    case FRAME_BEAT:
        read_rows(&frame->beat.beats, read_any);
        break;
    case FRAME_TREE:
        read_rows(&frame->tree.rows, read_tree);
        break;
    case FRAME_DELTA:
        read_rows(&frame->delta.headers, read_any);
        break;
    case FRAME_TRIE_REQ:
        read_rows(&frame->trie_req.prefixes, read_prefix);
        break;
    case FRAME_TRIE:
        read_rows(&frame->trie.nodes, read_node);
        break;
    case FRAME_FETCH:
        read_rows(&frame->fetch.keys, read_key);
        break;
    case FRAME_ENTRIES:
        read_rows(&frame->entries.entries, read_entry);
        break;
    case FRAME_ANCESTRY:
        read_rows(&frame->ancestry.heads, read_any);
        break;
    default:
        break;
    }
}

static void check_again(const struct frame *frame)
{
    struct buffer once = {0}, twice = {0};
    struct frame again;
    enum torg_err err = frame_encode(frame, &once);

    assert(!err);
    err = frame_decode(frame->type,
                       span_of(once.data + FRAME_PREFIX_BYTES, once.size - FRAME_PREFIX_BYTES),
                       &again);
    assert(!err);
    err = frame_encode(&again, &twice);
    assert(!err);
    assert(span_equal(buffer_span(&once), buffer_span(&twice)));
    buffer_done(&once);
    buffer_done(&twice);
}

/* The array inside a packed one; empty if it is none. */
static struct span unpacked(struct frame_zip *zip, struct span body, struct buffer *out)
{
    size_t size = 0;
    enum torg_err err = frame_zip_unpack(zip, body, out);

    assert(err || (!frame_zip_size(body, &size) && out->size == size));
    assert(out->size <= FRAME_ZIP_PLAIN_BYTES_MAX);
    return err ? (struct span){0} : buffer_span(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct frame_zip *zip;
    static struct buffer plain;
    struct span left = span_of(data, size);
    struct frame_prefix prefix;

    while (!frame_prefix_read(left, &prefix)) {
        struct frame frame;
        struct span body;

        if (left.size - FRAME_PREFIX_BYTES < prefix.body_size)
            break;
        body = span_of(left.data + FRAME_PREFIX_BYTES, prefix.body_size);
        left = span_of(body.data + body.size, left.size - FRAME_PREFIX_BYTES - body.size);
        if (!zip && frame_zip_new(&zip))
            return 0;
        if (prefix.flags & FRAME_FLAG_ZSTD)
            body = unpacked(zip, body, &plain);
        if (frame_decode(prefix.type, body, &frame))
            continue;
        read_lists(&frame);
        check_again(&frame);
    }
    return 0;
}

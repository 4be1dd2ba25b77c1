/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>

#include "protocol/frame_internal.h"

struct frame_list frame_rows_list(const struct frame_rows *rows)
{
    return (struct frame_list){.count = rows->count, .bytes = buffer_span(&rows->bytes)};
}

void frame_rows_clear(struct frame_rows *rows)
{
    rows->count = 0;
    buffer_clear(&rows->bytes);
}

void frame_rows_done(struct frame_rows *rows)
{
    buffer_done(&rows->bytes);
    rows->count = 0;
}

bool frame_rows_fit(const struct frame_rows *rows, size_t extra)
{
    return extra <= FRAME_ROWS_BYTES_MAX && rows->bytes.size <= FRAME_ROWS_BYTES_MAX - extra;
}

static void pack_origin(struct buffer *out, const struct origin_id *origin)
{
    pack_bin(out, origin->bytes, sizeof(origin->bytes));
}

static void pack_hash(struct buffer *out, const struct hash *hash)
{
    pack_bin(out, hash->bytes, sizeof(hash->bytes));
}

void frame_rows_sub(struct frame_rows *rows, const struct frame_sub_row *row)
{
    struct buffer *out = &rows->bytes;

    rows->count++;
    pack_array(out, 2);
    switch (row->kind) {
    case FRAME_SUB_ALL:
        pack_nil(out);
        break;
    case FRAME_SUB_SET:
        pack_str(out, row->set);
        break;
    case FRAME_SUB_ORIGIN:
        pack_origin(out, &row->origin);
        break;
    }
    pack_uint(out, row->mask);
}

void frame_rows_have(struct frame_rows *rows, const struct frame_have_row *row)
{
    struct buffer *out = &rows->bytes;

    rows->count++;
    pack_array(out, 8);
    pack_origin(out, &row->origin);
    pack_uint(out, row->epoch);
    pack_uint(out, row->hno);
    pack_uint(out, row->seq);
    pack_bin(out, row->head_hash, sizeof(row->head_hash));
    pack_uint(out, row->mask);
    pack_uint(out, row->charter_no);
    pack_uint(out, row->state);
}

void frame_rows_entry(struct frame_rows *rows, const struct frame_entry *entry)
{
    struct buffer *out = &rows->bytes;

    rows->count++;
    pack_array(out, 2);
    pack_bin(out, entry->header.data, entry->header.size);
    if (entry->has_payload)
        pack_bin(out, entry->payload.data, entry->payload.size);
    else
        pack_nil(out);
}

void frame_rows_tree(struct frame_rows *rows, const struct frame_tree_row *row)
{
    rows->count++;
    pack_array(&rows->bytes, 2);
    pack_origin(&rows->bytes, &row->origin);
    pack_uint(&rows->bytes, row->graft ? 1 : 0);
}

void frame_rows_prefix(struct frame_rows *rows, const struct trie_prefix *prefix)
{
    rows->count++;
    pack_bin(&rows->bytes, prefix->nibbles, prefix->size);
}

void frame_rows_node(struct frame_rows *rows, const struct frame_trie_node *node)
{
    struct buffer *out = &rows->bytes;

    rows->count++;
    pack_array(out, 3);
    pack_bin(out, node->prefix.nibbles, node->prefix.size);
    pack_uint(out, node->whole ? 1 : 0);
    pack_bin(out, node->bytes.data, node->bytes.size);
}

void frame_rows_key(struct frame_rows *rows, const struct trie_entry *key)
{
    rows->count++;
    pack_array(&rows->bytes, 2);
    pack_bin(&rows->bytes, key->key.bytes, sizeof(key->key.bytes));
    pack_hash(&rows->bytes, &key->header_hash);
}

void frame_rows_bin(struct frame_rows *rows, struct span bytes)
{
    rows->count++;
    pack_bin(&rows->bytes, bytes.data, bytes.size);
}

void frame_rows_packed(struct frame_rows *rows, struct span value)
{
    rows->count++;
    buffer_put_span(&rows->bytes, value);
}

/* ---- messages ---- */

static void pack_list(struct buffer *out, const struct frame_list *list)
{
    pack_array(out, list->count);
    buffer_put_span(out, list->bytes);
}

static void pack_hello(struct buffer *out, const struct frame_hello *hello)
{
    pack_str(out, span_of_str(FRAME_MAGIC));
    pack_uint(out, hello->version_min);
    pack_uint(out, hello->version_max);
    pack_uint(out, hello->caps);
    if (hello->has_origin)
        pack_origin(out, &hello->origin);
    else
        pack_nil(out);
    pack_array(out, 2);
    pack_uint(out, hello->live_credit_bytes);
    pack_uint(out, hello->sync_credit_bytes);
    pack_int(out, hello->now_ms);
    pack_str(out, hello->software);
    pack_uint(out, hello->session);
}

/* A flat switch: the mirror image of decode_fields in frame.c. */
static void pack_fields(struct buffer *out, const struct frame *frame)
{
    switch ((enum frame_type)frame->type) {
    case FRAME_HELLO:
        pack_hello(out, &frame->hello);
        break;
    case FRAME_SUB:
        pack_list(out, &frame->sub.rows);
        break;
    case FRAME_SUMMARY:
        pack_uint(out, frame->summary.bits);
        pack_bin(out, frame->summary.digests.data, frame->summary.digests.size);
        break;
    case FRAME_HAVE:
        pack_list(out, &frame->have.rows);
        break;
    case FRAME_CHARTER_REQ:
        pack_origin(out, &frame->charter_req.origin);
        pack_uint(out, frame->charter_req.from);
        break;
    case FRAME_CHARTER:
        pack_origin(out, &frame->charter.origin);
        pack_list(out, &frame->charter.charters);
        break;
    case FRAME_HEAD:
        buffer_put_span(out, frame->head.head);
        break;
    case FRAME_BATCH:
        buffer_put_span(out, frame->batch.head);
        pack_list(out, &frame->batch.entries);
        break;
    case FRAME_BEAT:
        pack_list(out, &frame->beat.beats);
        break;
    case FRAME_TREE:
        pack_list(out, &frame->tree.rows);
        break;
    case FRAME_PULL:
        pack_uint(out, frame->pull.sid);
        pack_origin(out, &frame->pull.origin);
        pack_uint(out, frame->pull.mask);
        pack_uint(out, frame->pull.since_seq);
        pack_uint(out, frame->pull.epoch);
        pack_uint(out, frame->pull.hno);
        pack_hash(out, &frame->pull.head_hash);
        break;
    case FRAME_DELTA:
        pack_uint(out, frame->delta.sid);
        buffer_put_span(out, frame->delta.head);
        pack_list(out, &frame->delta.headers);
        break;
    case FRAME_TRIE_REQ:
        pack_uint(out, frame->trie_req.sid);
        pack_origin(out, &frame->trie_req.origin);
        pack_uint(out, frame->trie_req.collection);
        pack_hash(out, &frame->trie_req.root);
        pack_uint(out, frame->trie_req.whole);
        pack_list(out, &frame->trie_req.prefixes);
        break;
    case FRAME_TRIE:
        pack_uint(out, frame->trie.sid);
        buffer_put_span(out, frame->trie.head);
        pack_list(out, &frame->trie.nodes);
        break;
    case FRAME_FETCH:
        pack_uint(out, frame->fetch.sid);
        pack_origin(out, &frame->fetch.origin);
        pack_uint(out, frame->fetch.collection);
        pack_list(out, &frame->fetch.keys);
        break;
    case FRAME_ENTRIES:
        pack_uint(out, frame->entries.sid);
        pack_uint(out, frame->entries.more ? 1 : 0);
        pack_list(out, &frame->entries.entries);
        break;
    case FRAME_ANCESTRY_REQ:
        pack_uint(out, frame->ancestry_req.sid);
        pack_origin(out, &frame->ancestry_req.origin);
        pack_uint(out, frame->ancestry_req.epoch);
        pack_uint(out, frame->ancestry_req.from_hno);
        pack_uint(out, frame->ancestry_req.to_hno);
        break;
    case FRAME_ANCESTRY:
        pack_uint(out, frame->ancestry.sid);
        pack_list(out, &frame->ancestry.heads);
        break;
    case FRAME_PROOF:
        pack_origin(out, &frame->proof.origin);
        pack_bin(out, frame->proof.evidence.data, frame->proof.evidence.size);
        break;
    case FRAME_CREDIT:
        pack_uint(out, frame->credit.class);
        pack_uint(out, frame->credit.bytes);
        break;
    case FRAME_PING:
    case FRAME_PONG:
        pack_uint(out, frame->ping.nonce);
        pack_int(out, frame->ping.now_ms);
        pack_uint(out, frame->ping.queued_bytes);
        break;
    case FRAME_GOAWAY:
        pack_uint(out, frame->goaway.code);
        pack_str(out, frame->goaway.text);
        pack_uint(out, frame->goaway.retry_after_s);
        break;
    case FRAME_ERROR:
        pack_uint(out, frame->error.sid);
        pack_uint(out, frame->error.code);
        pack_str(out, frame->error.detail);
        break;
    }
}

enum torg_err frame_encode(const struct frame *frame, struct buffer *out)
{
    size_t start = out->size;
    size_t length;

    assert(frame_field_count(frame->type) > 0);
    buffer_put_u32be(out, 0);
    buffer_put_u8(out, frame->type);
    buffer_put_u8(out, 0); /* flags: see frame_zip_pack */
    pack_array(out, frame_field_count(frame->type));
    pack_fields(out, frame);
    if (out->err)
        return out->err;
    length = out->size - start - FRAME_LENGTH_BYTES;
    if (length > FRAME_BYTES_MAX) {
        out->size = start;
        return TORG_E_TOO_BIG;
    }
    put_u32be(out->data + start, (uint32_t)length);
    return TORG_OK;
}

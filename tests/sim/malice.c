/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/sim/malice.h"

#include <stdio.h>
#include <stdlib.h>

#define MUST(expression) must((expression), #expression)

static void must(enum torg_err err, const char *what)
{
    if (!err)
        return;
    fprintf(stderr, "malice: %s: %s\n", what, torg_err_text(err));
    abort();
}

/* HAVE with more heads than there are, and, if collections is not 0, with all of those. */
void malice_boast(struct buffer *bytes, uint64_t heads, uint32_t collections)
{
    struct frame_rows rows = {0};
    struct buffer out = {0};
    size_t at = 0;

    while (at < bytes->size) {
        size_t size = FRAME_LENGTH_BYTES + get_u32be(bytes->data + at);
        struct frame frame;
        struct profile_reader in;

        if (bytes->data[at + FRAME_LENGTH_BYTES] != FRAME_HAVE) {
            buffer_put(&out, bytes->data + at, size);
            at += size;
            continue;
        }
        MUST(frame_decode(FRAME_HAVE,
                          span_of(bytes->data + at + FRAME_PREFIX_BYTES, size - FRAME_PREFIX_BYTES),
                          &frame));
        frame_rows_clear(&rows);
        in = frame_list_reader(&frame.have.rows);
        for (uint32_t i = 0; i < frame.have.rows.count; i++) {
            struct frame_have_row row = frame_read_have(&in);

            row.hno += heads;
            row.mask |= collections;
            frame_rows_have(&rows, &row);
        }
        frame.have.rows = frame_rows_list(&rows);
        MUST(frame_encode(&frame, &out));
        at += size;
    }
    MUST(out.err);
    frame_rows_done(&rows);
    buffer_done(bytes);
    *bytes = out;
}

/* One spoilt frame: a bit, its type, its end, itself twice, or gone. */
static void frame_spoil(struct world *world, struct span frame, struct buffer *out)
{
    size_t at = out->size;

    buffer_put_span(out, frame);
    MUST(out->err);
    switch (world_below(world, 6)) {
    case 0:
    case 1:
        out->data[at + FRAME_LENGTH_BYTES + world_below(world, frame.size - FRAME_LENGTH_BYTES)] ^=
            (uint8_t)(1u << world_below(world, 8));
        break;
    case 2:
        out->data[at + FRAME_LENGTH_BYTES] = (uint8_t)world_below(world, 0x1b);
        break;
    case 3:
        out->size -= world_below(world, frame.size - FRAME_LENGTH_BYTES);
        break;
    case 4:
        buffer_put_span(out, frame);
        break;
    default:
        out->size = at;
    }
    MUST(out->err);
}

static void spoil(struct world *world, struct buffer *bytes)
{
    struct buffer spoilt = {0};
    size_t at = 0;

    while (at < bytes->size) {
        size_t size = FRAME_LENGTH_BYTES + get_u32be(bytes->data + at);

        if (world_chance(world, 15))
            frame_spoil(world, span_of(bytes->data + at, size), &spoilt);
        else
            buffer_put(&spoilt, bytes->data + at, size);
        at += size;
    }
    MUST(spoilt.err);
    buffer_done(bytes);
    *bytes = spoilt;
}

/* One of the frames that it sent before, now and then. */
static void replay(struct world *world, struct world_node *node, struct buffer *bytes)
{
    struct buffer *kept = &node->replays[world_below(world, ARRAY_SIZE(node->replays))];
    size_t size = FRAME_LENGTH_BYTES + get_u32be(bytes->data);
    uint8_t type = bytes->data[FRAME_LENGTH_BYTES];

    if (kept->size && world_chance(world, 30))
        buffer_put_span(bytes, buffer_span(kept));
    if (type == FRAME_HELLO || type == FRAME_CREDIT || type == FRAME_GOAWAY)
        return; /* said twice, these only end the connection */
    if (kept->size == 0 || world_chance(world, 20)) {
        buffer_clear(kept);
        buffer_put(kept, bytes->data, size);
    }
    MUST(bytes->err);
    MUST(kept->err);
}

/* A delta whose tombstones have other numbers, or that lacks headers. */
static void delta_falsify(struct world *world, struct frame *frame, struct buffer *out)
{
    struct profile_reader in = frame_list_reader(&frame->delta.headers);
    struct frame_rows rows = {0};
    struct buffer packed = {0};

    for (uint32_t i = 0; i < frame->delta.headers.count; i++) {
        struct span bytes = profile_bin(&in, HEADER_BYTES_MAX);
        struct change_header header;

        MUST(change_header_parse(bytes, &header));
        if (world_chance(world, 10))
            continue;
        if (header.op == CHANGE_DELETE && world_chance(world, 50)) {
            header.seq += world_below(world, 3);
            buffer_clear(&packed);
            change_header_pack(&header, &packed);
            bytes = buffer_span(&packed);
        }
        frame_rows_bin(&rows, bytes);
    }
    frame->delta.headers = frame_rows_list(&rows);
    MUST(frame_encode(frame, out));
    frame_rows_done(&rows);
    buffer_done(&packed);
}

/* Entries without their payloads, or not at all. */
static void entries_withhold(struct world *world, struct frame *frame, struct buffer *out)
{
    struct profile_reader in = frame_list_reader(&frame->entries.entries);
    struct frame_rows rows = {0};

    for (uint32_t i = 0; i < frame->entries.entries.count; i++) {
        struct frame_entry entry = frame_read_entry(&in);

        if (world_chance(world, 10))
            continue;
        if (world_chance(world, 20))
            entry = (struct frame_entry){.header = entry.header};
        frame_rows_entry(&rows, &entry);
    }
    frame->entries.entries = frame_rows_list(&rows);
    MUST(frame_encode(frame, out));
    frame_rows_done(&rows);
}

/* Each lie is well formed, so only the roots can tell. */
static void lie(struct world *world, struct buffer *bytes)
{
    struct buffer out = {0};
    size_t at = 0;

    while (at < bytes->size) {
        size_t size = FRAME_LENGTH_BYTES + get_u32be(bytes->data + at);
        uint8_t type = bytes->data[at + FRAME_LENGTH_BYTES];
        struct frame frame;

        if ((type != FRAME_DELTA && type != FRAME_ENTRIES) || world_chance(world, 50)) {
            buffer_put(&out, bytes->data + at, size);
        } else {
            MUST(frame_decode(
                type, span_of(bytes->data + at + FRAME_PREFIX_BYTES, size - FRAME_PREFIX_BYTES),
                &frame));
            if (type == FRAME_DELTA)
                delta_falsify(world, &frame, &out);
            else
                entries_withhold(world, &frame, &out);
        }
        at += size;
    }
    MUST(out.err);
    buffer_done(bytes);
    *bytes = out;
}

/* ---- lists that end early ---- */

/* The list of a frame that an answer consists of; NULL: it has none. */
static struct frame_list *answer_list(struct frame *frame)
{
    switch (frame->type) {
    case FRAME_CHARTER:
        return &frame->charter.charters;
    case FRAME_BATCH:
        return &frame->batch.entries;
    case FRAME_DELTA:
        return &frame->delta.headers;
    case FRAME_TRIE:
        return &frame->trie.nodes;
    case FRAME_ENTRIES:
        return &frame->entries.entries;
    case FRAME_ANCESTRY:
        return &frame->ancestry.heads;
    default:
        return NULL;
    }
}

static void list_cut(struct world *world, struct frame_list *list)
{
    struct profile_reader in = frame_list_reader(list);
    uint32_t keep = (uint32_t)world_below(world, list->count);
    size_t size = 0;

    for (uint32_t i = 0; i < keep; i++)
        size += profile_skip(&in).size;
    list->count = keep;
    list->bytes.size = size;
}

/* Answers that lack their ends, and frames in another order: each by itself is well formed. */
static void truncate_lists(struct world *world, struct buffer *bytes)
{
    struct buffer out = {0}, held = {0};
    size_t at = 0;

    while (at < bytes->size) {
        size_t size = FRAME_LENGTH_BYTES + get_u32be(bytes->data + at);
        uint8_t type = bytes->data[at + FRAME_LENGTH_BYTES];
        struct frame_list *list;
        struct frame frame;

        MUST(frame_decode(type,
                          span_of(bytes->data + at + FRAME_PREFIX_BYTES, size - FRAME_PREFIX_BYTES),
                          &frame));
        list = answer_list(&frame);
        if (list && list->count && world_chance(world, 30)) {
            list_cut(world, list);
            MUST(frame_encode(&frame, &out));
        } else if (type > FRAME_SUMMARY && !held.size && world_chance(world, 10)) {
            buffer_put(&held, bytes->data + at, size); /* it comes last */
        } else {
            buffer_put(&out, bytes->data + at, size);
        }
        at += size;
    }
    buffer_put_span(&out, buffer_span(&held));
    MUST(out.err);
    buffer_done(&held);
    buffer_done(bytes);
    *bytes = out;
}

/* ---- inventions ---- */

static struct signature signature_draw(struct world *world)
{
    struct signature signature;

    for (size_t i = 0; i < sizeof(signature.bytes); i += 8)
        put_u64be(signature.bytes + i, world_random(world));
    return signature;
}

/* The next head of an origin, as somebody would have it who has no key. */
static bool head_invent(struct world_node *node, struct head *ret_head, struct buffer *out)
{
    struct world *world = node->world;
    struct world_node *origin = &world->nodes[world_below(world, world->node_count)];
    struct replica_origin record;
    struct buffer bytes = {0};
    struct signature signature = signature_draw(world);

    if (!world_is_origin(origin) || !world_head(world, node->index, &origin->own, &record))
        return false;
    *ret_head = record.head;
    ret_head->hno += world_below(world, 3);
    ret_head->ts_ms++;
    ret_head->prev = record.head_hash;
    head_pack(ret_head, &bytes);
    signed_pack(buffer_span(&bytes), &signature, out);
    buffer_done(&bytes);
    return !out->err;
}

/* Something that no origin ever said: a head, a beat, evidence, a charter. */
static void invent(struct world_node *node, struct buffer *bytes)
{
    struct world *world = node->world;
    struct buffer head = {0}, packed = {0};
    struct frame_rows rows = {0};
    struct frame frame = {.type = FRAME_HEAD};
    struct head parsed;

    /* A greeting is left alone, or there would be nobody to tell anything. */
    if (bytes->data[FRAME_LENGTH_BYTES] == FRAME_HELLO ||
        !world_chance(world, world->invent_percent) || !head_invent(node, &parsed, &head))
        goto done;
    frame.head.head = buffer_span(&head);
    switch (world_below(world, 4)) {
    case 0:
        break;
    case 1: {
        struct beat beat = {
            .origin = parsed.origin,
            .epoch = parsed.epoch,
            .hno = parsed.hno,
            .ts_ms = INTEGER_MAX,
            .writer = 1,
            .key_no = parsed.key_no,
        };
        struct buffer body = {0};
        struct signature signature = signature_draw(world);

        beat_pack(&beat, &body);
        signed_pack(buffer_span(&body), &signature, &packed);
        frame_rows_packed(&rows, buffer_span(&packed));
        frame.type = FRAME_BEAT;
        frame.beat.beats = frame_rows_list(&rows);
        buffer_done(&body);
        break;
    }
    case 2: {
        struct signed_span invented = frame_head(buffer_span(&head));

        replica_proof_pack(&invented, &invented, NULL, 0, &packed);
        frame.type = FRAME_PROOF;
        frame.proof.origin = parsed.origin;
        frame.proof.evidence = buffer_span(&packed);
        break;
    }
    default:
        frame.type = FRAME_BATCH;
        frame.batch.head = buffer_span(&head);
        frame.batch.entries = frame_rows_list(&rows);
        break;
    }
    MUST(frame_encode(&frame, bytes));
done:
    frame_rows_done(&rows);
    buffer_done(&packed);
    buffer_done(&head);
}

/* A flat switch: what each kind of malice makes of what a node would say. */
void malice_do(struct world_node *node, struct buffer *bytes)
{
    struct world *world = node->world;

    if (bytes->size == 0)
        return; /* muted */
    switch (node->malice) {
    case WORLD_SPOILS:
        spoil(world, bytes);
        break;
    case WORLD_REPLAYS:
        replay(world, node, bytes);
        break;
    case WORLD_BOASTS:
        malice_boast(
            bytes, world_chance(world, world->coward ? 60 : 10) ? 1 + world_below(world, 1000) : 0,
            world_chance(world, 20) ? COLLECTION_MASK_ALL : 0);
        break;
    case WORLD_LIES:
        lie(world, bytes);
        break;
    case WORLD_TRUNCATES:
        truncate_lists(world, bytes);
        break;
    case WORLD_INVENTS:
        invent(node, bytes);
        break;
    case WORLD_HONEST:
    case WORLD_DRIPS:
    case WORLD_MALICES:
        break;
    }
}

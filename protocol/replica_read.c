/* SPDX-License-Identifier: EUPL-1.2 */
#include <string.h>

#include "protocol/replica_internal.h"

/* What must be stored and is not, is damage. */
static enum torg_err must_exist(enum torg_err err)
{
    return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
}

/* ---- origins ---- */

static enum torg_err head_load(const struct kv *kv, struct replica_origin *origin)
{
    struct replica_key key = replica_key_head(origin->number, origin->head.epoch, origin->head.hno);
    struct signed_span object;
    struct span value;
    struct head head;
    enum torg_err err;

    err = must_exist(kv_get(kv, KV_HEAD, replica_key_span(&key), &value));
    if (!err)
        err = replica_signed_read(value, HEAD_BYTES_MAX, &object);
    if (err)
        return err;
    if (head_parse(object.bytes, &head) || head_compare(&head, &origin->head))
        return TORG_E_CORRUPT;
    origin->head = head;
    return TORG_OK;
}

static enum torg_err beat_load(const struct kv *kv, struct replica_origin *origin)
{
    struct signed_span object;
    struct span value;
    enum torg_err err;

    err = replica_beat_get(kv, origin->number, &value);
    if (err == TORG_E_NOT_FOUND)
        return TORG_OK;
    if (!err)
        err = replica_signed_read(value, BEAT_BYTES_MAX, &object);
    if (err)
        return err;
    if (beat_parse(object.bytes, &origin->beat))
        return TORG_E_CORRUPT;
    origin->has_beat = true;
    return TORG_OK;
}

static enum torg_err origin_load(const struct kv *kv, struct span record,
                                 struct replica_origin *ret_origin)
{
    enum torg_err err = replica_record_read(record, ret_origin);

    if (!err && ret_origin->has_head)
        err = head_load(kv, ret_origin);
    if (!err)
        err = beat_load(kv, ret_origin);
    return err;
}

enum torg_err replica_origin_get(const struct kv *kv, const struct origin_id *id,
                                 struct replica_origin *ret_origin)
{
    struct replica_key key = replica_key_origin(id);
    struct replica_origin origin;
    struct span record;
    enum torg_err err;

    err = kv_get(kv, KV_ORIGIN, replica_key_span(&key), &record);
    if (!err)
        err = origin_load(kv, record, &origin);
    if (err)
        return err;
    if (memcmp(&origin.id, id, sizeof(*id)))
        return TORG_E_CORRUPT;
    *ret_origin = origin;
    return TORG_OK;
}

enum torg_err replica_origin_by_number(const struct kv *kv, uint32_t number,
                                       struct replica_origin *ret_origin)
{
    struct replica_key key = replica_key_number(number);
    struct origin_id id;
    struct span value;
    enum torg_err err;

    err = kv_get(kv, KV_ORIGIN, replica_key_span(&key), &value);
    if (err)
        return err;
    if (value.size != sizeof(id.bytes))
        return TORG_E_CORRUPT;
    memcpy(id.bytes, value.data, sizeof(id.bytes));
    return must_exist(replica_origin_get(kv, &id, ret_origin));
}

enum torg_err replica_origin_next(const struct kv *kv, const struct origin_id *after,
                                  struct replica_origin *ret_origin)
{
    static const struct origin_id lowest;
    struct replica_key from = replica_key_origin(after ? after : &lowest);
    struct kv_cursor *cursor;
    struct span key, record;
    struct origin_id id;
    enum torg_err err;

    err = kv_cursor_open(kv, KV_ORIGIN, &cursor);
    if (err)
        return err;
    err = kv_cursor_seek(kv, cursor, replica_key_span(&from), &key, &record);
    if (!err && after && span_equal(key, replica_key_span(&from)))
        err = kv_cursor_next(kv, cursor, &key, &record);
    if (!err && (key.size != from.size || key.data[0] != from.bytes[0]))
        err = TORG_E_NOT_FOUND; /* Past the ids: the numbers begin. */
    if (!err)
        memcpy(id.bytes, key.data + 1, sizeof(id.bytes));
    kv_cursor_close(kv, cursor);
    return err ? err : replica_origin_get(kv, &id, ret_origin);
}

enum torg_err replica_origin_save(struct kv *kv, const struct replica_origin *origin)
{
    struct replica_key key = replica_key_origin(&origin->id);
    struct buffer record = {0};
    enum torg_err err;

    replica_record_pack(origin, &record);
    err = record.err;
    if (!err)
        err = kv_put(kv, KV_ORIGIN, replica_key_span(&key), buffer_span(&record));
    buffer_done(&record);
    return err;
}

uint32_t replica_complete_mask(const struct replica_origin *origin, uint32_t wanted)
{
    uint32_t complete = 0;

    if (!origin->has_head)
        return 0;
    for (unsigned i = 1; i < COLLECTIONS_MAX; i++) {
        struct head_state state = head_state_of(&origin->head, (uint8_t)i);

        if (state.count == origin->held[i].count &&
            memcmp(&state.root, &origin->held[i].digest, sizeof(state.root)) == 0)
            complete |= UINT32_C(1) << i;
    }
    return complete & wanted;
}

/* ---- objects as stored ---- */

enum torg_err replica_charter_get(const struct kv *kv, uint32_t number, uint64_t charter_no,
                                  struct span *ret_charter)
{
    struct replica_key key = replica_key_charter(number, charter_no);

    return kv_get(kv, KV_CHARTER, replica_key_span(&key), ret_charter);
}

enum torg_err replica_charter_load(const struct kv *kv, uint32_t number, uint64_t charter_no,
                                   struct charter_signed *ret_signed, struct charter *ret_charter)
{
    struct charter_signed object;
    struct charter charter;
    struct span value;
    enum torg_err err;

    err = must_exist(replica_charter_get(kv, number, charter_no, &value));
    if (err)
        return err;
    if (charter_signed_parse(value, &object) || charter_parse(object.bytes, &charter) ||
        charter.charter_no != charter_no)
        return TORG_E_CORRUPT;
    if (ret_signed)
        *ret_signed = object;
    *ret_charter = charter;
    return TORG_OK;
}

enum torg_err replica_head_get(const struct kv *kv, uint32_t number, uint64_t epoch, uint64_t hno,
                               struct span *ret_head)
{
    struct replica_key key = replica_key_head(number, epoch, hno);

    return kv_get(kv, KV_HEAD, replica_key_span(&key), ret_head);
}

int64_t replica_as_of_ms(const struct replica_origin *origin)
{
    int64_t ms = origin->head.ts_ms;

    if (origin->has_beat && origin->beat.ts_ms > ms)
        ms = origin->beat.ts_ms;
    if (origin->received_ms > 0 && origin->received_ms < ms)
        ms = origin->received_ms;
    return ms;
}

enum torg_err replica_is_expired(const struct kv *kv, const struct replica_origin *origin,
                                 int64_t now_ms, bool *ret_expired)
{
    struct charter charter;
    int64_t age_ms = now_ms - replica_as_of_ms(origin);
    enum torg_err err;

    *ret_expired = false;
    if (origin->flags & REPLICA_FLAG_OWN || !origin->has_head || age_ms < 0)
        return TORG_OK;
    err = replica_charter_load(kv, origin->number, origin->charter_no, NULL, &charter);
    if (err)
        return err;
    *ret_expired = charter.max_stale_s > 0 && (uint64_t)age_ms / 1000 > charter.max_stale_s;
    return TORG_OK;
}

enum torg_err replica_beat_get(const struct kv *kv, uint32_t number, struct span *ret_beat)
{
    struct replica_key key = replica_key_beat(number);

    return kv_get(kv, KV_ORIGIN, replica_key_span(&key), ret_beat);
}

enum torg_err replica_proof_get(const struct kv *kv, uint32_t number, uint64_t epoch,
                                struct span *ret_proof)
{
    struct replica_key key = replica_key_proof(number, epoch);

    return kv_get(kv, KV_PROOF, replica_key_span(&key), ret_proof);
}

enum torg_err replica_charter_rival_get(const struct kv *kv, uint32_t number, uint64_t charter_no,
                                        struct span *ret_charter)
{
    struct replica_key key = replica_key_rival(number, charter_no);

    return kv_get(kv, KV_CHARTER, replica_key_span(&key), ret_charter);
}

enum torg_err replica_listing_get(const struct kv *kv, uint32_t number, uint8_t collection,
                                  const struct listing_key *listing, struct span *ret_header,
                                  struct span *ret_payload)
{
    struct replica_key key = replica_key_live(number, collection, listing);
    struct replica_live live;
    struct span value;
    enum torg_err err;

    err = kv_get(kv, KV_LIVE, replica_key_span(&key), &value);
    if (!err)
        err = replica_live_read(value, &live);
    if (err)
        return err;
    *ret_header = live.header;
    *ret_payload = live.payload;
    return TORG_OK;
}

/* ---- walks ---- */

#define BYSEQ_RANGE_BYTES 5 /* origin number, part */
#define BYSEQ_KEY_BYTES 30

/* One range of KV_BYSEQ, as a stream. */
struct change_stream {
    struct kv_cursor *cursor;
    uint8_t range[BYSEQ_RANGE_BYTES];
    struct span key;
    struct span value;
    bool ended;
};

/* Takes what a seek or a next came to. */
static enum torg_err stream_settle(struct change_stream *stream, enum torg_err err)
{
    if (err && err != TORG_E_NOT_FOUND)
        return err;
    stream->ended = err || stream->key.size < BYSEQ_RANGE_BYTES ||
                    memcmp(stream->key.data, stream->range, BYSEQ_RANGE_BYTES);
    if (!stream->ended && stream->key.size != BYSEQ_KEY_BYTES)
        return TORG_E_CORRUPT;
    return TORG_OK;
}

static enum torg_err stream_begin(const struct kv *kv, struct change_stream *stream,
                                  const struct replica_key *from)
{
    enum torg_err err = kv_cursor_open(kv, KV_BYSEQ, &stream->cursor);

    if (err)
        return err;
    memcpy(stream->range, from->bytes, BYSEQ_RANGE_BYTES);
    return stream_settle(stream, kv_cursor_seek(kv, stream->cursor, replica_key_span(from),
                                                &stream->key, &stream->value));
}

static enum torg_err stream_next(const struct kv *kv, struct change_stream *stream)
{
    return stream_settle(stream, kv_cursor_next(kv, stream->cursor, &stream->key, &stream->value));
}

/*
 * Show the change at the front of stream; a live row's header stands with its
 * listing. Below the floor a row may have stayed behind that is not of the
 * version which lives, and says nothing.
 */
static enum torg_err stream_show(const struct kv *kv, uint32_t number,
                                 const struct change_stream *stream, replica_change_visit *visit,
                                 void *context, bool *ret_go_on)
{
    struct replica_byseq_key at;
    struct span header = stream->value;
    struct span payload;
    enum torg_err err = replica_byseq_key_read(stream->key, &at);

    if (!err && header.size == 0) {
        struct change_header parsed;

        err = replica_listing_get(kv, number, at.collection, &at.key, &header, &payload);
        if (err == TORG_E_NOT_FOUND)
            return TORG_OK;
        if (!err && change_header_parse(header, &parsed))
            err = TORG_E_CORRUPT;
        if (!err && parsed.seq != at.seq)
            return TORG_OK;
    }
    if (!err)
        *ret_go_on = visit(context, &at.key, header);
    return err;
}

/* Live and erased listings stand in two ranges, both by (seq, collection, k): merge them. */
enum torg_err replica_changes_since(const struct kv *kv, uint32_t number, uint64_t since,
                                    replica_change_visit *visit, void *context)
{
    static const struct listing_key lowest;
    struct change_stream streams[2] = {0};
    bool go_on = true;
    enum torg_err err = TORG_OK;

    if (since == UINT64_MAX)
        return TORG_OK;
    for (unsigned i = 0; i < 2 && !err; i++) {
        struct replica_key from =
            replica_key_byseq(number, (enum replica_byseq)i, since + 1, 0, &lowest);

        err = stream_begin(kv, &streams[i], &from);
    }
    while (!err && go_on && !(streams[0].ended && streams[1].ended)) {
        unsigned first = streams[0].ended;

        if (!streams[0].ended && !streams[1].ended)
            first = memcmp(streams[0].key.data + BYSEQ_RANGE_BYTES,
                           streams[1].key.data + BYSEQ_RANGE_BYTES,
                           BYSEQ_KEY_BYTES - BYSEQ_RANGE_BYTES) > 0;
        err = stream_show(kv, number, &streams[first], visit, context, &go_on);
        if (!err && go_on)
            err = stream_next(kv, &streams[first]);
    }
    for (unsigned i = 0; i < 2; i++)
        kv_cursor_close(kv, streams[i].cursor);
    return err;
}

/* The key of a row of KV_LIVE in the range of from; false when the range is over. */
static bool live_key_read(struct span key, const struct replica_key *from, struct listing_key *ret)
{
    if (key.size != from->size || memcmp(key.data, from->bytes, 5))
        return false;
    memcpy(ret->bytes, key.data + 5, sizeof(ret->bytes));
    return true;
}

typedef bool live_visit(void *context, const struct listing_key *key,
                        const struct replica_live *live);

static enum torg_err live_walk(const struct kv *kv, uint32_t number, uint8_t collection,
                               const struct listing_key *from, live_visit *visit, void *context)
{
    static const struct listing_key lowest;
    struct replica_key first = replica_key_live(number, collection, from ? from : &lowest);
    struct kv_cursor *cursor;
    struct span key, value;
    enum torg_err err;

    err = kv_cursor_open(kv, KV_LIVE, &cursor);
    if (err)
        return err;
    err = kv_cursor_seek(kv, cursor, replica_key_span(&first), &key, &value);
    while (!err) {
        struct listing_key listing;
        struct replica_live live;

        if (!live_key_read(key, &first, &listing))
            break;
        err = replica_live_read(value, &live);
        if (err || !visit(context, &listing, &live))
            break;
        err = kv_cursor_next(kv, cursor, &key, &value);
    }
    kv_cursor_close(kv, cursor);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

/* Whoever asked for the walk. */
struct listing_walk {
    replica_listing_visit *visit;
    void *context;
};
struct entry_walk {
    replica_trie_visit *visit;
    void *context;
};

static bool listing_of_live(void *context, const struct listing_key *key,
                            const struct replica_live *live)
{
    const struct listing_walk *walk = context;

    return walk->visit(walk->context, key, live->header, live->payload);
}

static bool entry_of_live(void *context, const struct listing_key *key,
                          const struct replica_live *live)
{
    const struct entry_walk *walk = context;
    struct trie_entry entry = {.key = *key, .header_hash = live->header_hash};

    return walk->visit(walk->context, &entry);
}

enum torg_err replica_listings(const struct kv *kv, uint32_t number, uint8_t collection,
                               const struct listing_key *from, replica_listing_visit *visit,
                               void *context)
{
    struct listing_walk walk = {visit, context};

    return live_walk(kv, number, collection, from, listing_of_live, &walk);
}

enum torg_err replica_trie_entries(const struct kv *kv, uint32_t number, uint8_t collection,
                                   const struct listing_key *from, replica_trie_visit *visit,
                                   void *context)
{
    struct entry_walk walk = {visit, context};

    return live_walk(kv, number, collection, from, entry_of_live, &walk);
}

/* ---- the trie ---- */

static enum torg_err trie_node_get(void *context, const struct trie_prefix *prefix,
                                   struct span *ret)
{
    const struct replica_trie *trie = context;
    struct replica_key key = replica_key_trie(trie->number, trie->collection, prefix);
    struct span node;
    enum torg_err err = kv_get(trie->kv, KV_TRIE, replica_key_span(&key), &node);

    if (err)
        return err;
    if (node.size != TRIE_INNER_BYTES)
        return TORG_E_CORRUPT;
    *ret = node;
    return TORG_OK;
}

static enum torg_err trie_node_put(void *context, const struct trie_prefix *prefix,
                                   struct span node)
{
    const struct replica_trie *trie = context;
    struct replica_key key = replica_key_trie(trie->number, trie->collection, prefix);

    return kv_put(trie->writable, KV_TRIE, replica_key_span(&key), node);
}

static enum torg_err trie_node_del(void *context, const struct trie_prefix *prefix)
{
    const struct replica_trie *trie = context;
    struct replica_key key = replica_key_trie(trie->number, trie->collection, prefix);

    return kv_del(trie->writable, KV_TRIE, replica_key_span(&key));
}

/* The lowest key that begins with prefix. */
static struct listing_key prefix_first(const struct trie_prefix *prefix)
{
    struct listing_key key = {0};

    for (unsigned i = 0; i < prefix->size; i++)
        key.bytes[i / 2] |= (uint8_t)(prefix->nibbles[i] << (i % 2 ? 0 : 4));
    return key;
}

static enum torg_err trie_entries(void *context, const struct trie_prefix *prefix, size_t max,
                                  struct trie_entry *out, size_t *ret_count)
{
    struct replica_trie *trie = context;
    struct listing_key lowest = prefix_first(prefix);
    struct replica_key first = replica_key_live(trie->number, trie->collection, &lowest);
    struct span key, value;
    size_t count = 0;
    enum torg_err err = TORG_OK;

    if (!trie->cursor)
        err = kv_cursor_open(trie->kv, KV_LIVE, &trie->cursor);
    if (!err && max)
        err = kv_cursor_seek(trie->kv, trie->cursor, replica_key_span(&first), &key, &value);
    while (!err && count < max) {
        struct replica_live live;

        if (!live_key_read(key, &first, &out[count].key) ||
            !trie_prefix_holds(prefix, &out[count].key))
            break;
        err = replica_live_read(value, &live);
        if (err)
            break;
        out[count++].header_hash = live.header_hash;
        if (count < max)
            err = kv_cursor_next(trie->kv, trie->cursor, &key, &value);
    }
    if (err && err != TORG_E_NOT_FOUND)
        return err;
    *ret_count = count;
    return TORG_OK;
}

void replica_trie_init(struct replica_trie *trie, const struct kv *kv, uint32_t number,
                       uint8_t collection, struct trie_store *ret_store)
{
    *trie = (struct replica_trie){.kv = kv, .number = number, .collection = collection};
    *ret_store =
        (struct trie_store){.context = trie, .node_get = trie_node_get, .entries = trie_entries};
}

void replica_trie_init_writable(struct replica_trie *trie, struct kv *kv, uint32_t number,
                                uint8_t collection, struct trie_store *ret_store)
{
    replica_trie_init(trie, kv, number, collection, ret_store);
    trie->writable = kv;
    ret_store->node_put = trie_node_put;
    ret_store->node_del = trie_node_del;
}

void replica_trie_done(struct replica_trie *trie)
{
    if (trie->kv)
        kv_cursor_close(trie->kv, trie->cursor);
    *trie = (struct replica_trie){0};
}

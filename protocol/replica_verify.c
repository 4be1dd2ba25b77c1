/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/replica_internal.h"

/* A part of a key that all rows of a range share, and what a walk over it shows. */
#define RANGE_BYTES 5 /* origin number; collection, or part of KV_BYSEQ */
typedef enum torg_err row_visit(void *context, struct span key, struct span value);

/* What is known of one collection while it is being checked. */
struct collection_check {
    struct replica_verifying *verifying;
    uint8_t collection;
    struct trie_entry *entries; /* as the listings' own bytes have it, ascending */
    size_t count;
    size_t capacity;
    uint64_t logged; /* those of which the log must have a row */
    uint64_t missing;
    uint64_t nodes; /* inner nodes that the trie should have */
};

void replica_verify_say(struct replica_verifying *verifying, const char *format, ...)
{
    va_list args;
    char text[512];

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    verifying->report(verifying->context, text);
}

/* "collection offers", or its number when it has no name. */
static const char *collection_text(uint8_t collection, char out[32])
{
    const char *name = collection_name(collection);

    if (name)
        snprintf(out, 32, "collection %s", name);
    else
        snprintf(out, 32, "collection %u", collection);
    return out;
}

/* A finding about one listing: by its id when the header can be read, else by its key. */
static void say_listing(struct replica_verifying *verifying, uint8_t collection,
                        const struct change_header *header, const struct listing_key *key,
                        const char *what)
{
    char hex[33], name[32];

    if (header)
        hex_encode(header->id.bytes, sizeof(header->id.bytes), hex);
    else
        hex_encode(key->bytes, sizeof(key->bytes), hex);
    replica_verify_say(verifying, "%s, listing %s%s: %s", collection_text(collection, name),
                       header ? "" : "with key ", hex, what);
}

static enum torg_err range_walk(const struct kv *kv, enum kv_table table,
                                const uint8_t range[RANGE_BYTES], row_visit *visit, void *context)
{
    struct kv_cursor *cursor;
    struct span key, value;
    enum torg_err err = kv_cursor_open(kv, table, &cursor);

    if (err)
        return err;
    err = kv_cursor_seek(kv, cursor, span_of(range, RANGE_BYTES), &key, &value);
    while (!err && key.size >= RANGE_BYTES && memcmp(key.data, range, RANGE_BYTES) == 0) {
        err = visit(context, key, value);
        if (!err)
            err = kv_cursor_next(kv, cursor, &key, &value);
    }
    kv_cursor_close(kv, cursor);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

static void range_of(uint32_t number, uint8_t part, uint8_t out[RANGE_BYTES])
{
    put_u32be(out, number);
    out[4] = part;
}

/* ---- live listings ---- */

static enum torg_err entry_keep(struct collection_check *check, const struct listing_key *key,
                                struct span header)
{
    if (check->count == check->capacity) {
        size_t capacity = check->capacity ? 2 * check->capacity : 256;
        struct trie_entry *entries = reallocarray(check->entries, capacity, sizeof(*entries));

        if (!entries)
            return TORG_E_NOMEM;
        check->entries = entries;
        check->capacity = capacity;
    }
    check->entries[check->count].key = *key;
    check->entries[check->count++].header_hash = change_header_hash(header);
    return TORG_OK;
}

/* What is wrong with a listing whose header can be read; NULL if nothing is. */
static const char *listing_fault(const struct collection_check *check,
                                 const struct replica_live *live,
                                 const struct change_header *header, const struct listing_key *key)
{
    struct hash hash = change_header_hash(live->header);
    struct listing_key own = listing_key_of(&header->id);

    if (memcmp(&own, key, sizeof(own)))
        return "it stands under the key of another listing";
    if (header->collection != check->collection)
        return "its header says another collection";
    if (header->op != CHANGE_UPSERT)
        return "its header is a delete";
    if (memcmp(&hash, &live->header_hash, sizeof(hash)))
        return "the header hash kept with it is not its header's";
    if (live->payload.size && change_payload_check(header, live->payload))
        return "its payload is not the one that its header promises";
    return NULL;
}

static enum torg_err log_row_check(struct collection_check *check,
                                   const struct change_header *header,
                                   const struct listing_key *key)
{
    struct replica_verifying *verifying = check->verifying;
    struct replica_key row = replica_key_byseq(verifying->origin->number, REPLICA_BYSEQ_LIVE,
                                               header->seq, check->collection, key);
    struct span value;
    enum torg_err err;

    if (header->seq <= verifying->origin->floor_seq)
        return TORG_OK; /* no delta can ask for it */
    check->logged++;
    err = kv_get(verifying->kv, KV_BYSEQ, replica_key_span(&row), &value);
    if (err != TORG_E_NOT_FOUND)
        return err;
    say_listing(verifying, check->collection, header, key, "the log has no row of its number");
    return TORG_OK;
}

static enum torg_err live_row_check(void *context, struct span row, struct span value)
{
    struct collection_check *check = context;
    struct listing_key key = {0};
    struct change_header header;
    struct replica_live live;
    const char *fault;
    enum torg_err err;

    if (row.size != RANGE_BYTES + sizeof(key.bytes)) {
        replica_verify_say(check->verifying, "a live row's key has %zu bytes", row.size);
        return TORG_OK;
    }
    memcpy(key.bytes, row.data + RANGE_BYTES, sizeof(key.bytes));
    if (replica_live_read(value, &live) || change_header_parse(live.header, &header)) {
        say_listing(check->verifying, check->collection, NULL, &key, "it cannot be read");
        return TORG_OK;
    }
    fault = listing_fault(check, &live, &header, &key);
    if (fault)
        say_listing(check->verifying, check->collection, &header, &key, fault);
    check->missing += live.payload.size == 0;
    err = log_row_check(check, &header, &key);
    return err ? err : entry_keep(check, &key, live.header);
}

/* ---- tries ---- */

static enum torg_err node_check(struct collection_check *check, const struct trie_prefix *prefix,
                                const uint8_t wanted[TRIE_INNER_BYTES])
{
    struct replica_verifying *verifying = check->verifying;
    struct replica_key key = replica_key_trie(verifying->origin->number, check->collection, prefix);
    char path[TRIE_DEPTH_MAX + 1] = {0}, name[32];
    struct span node;
    enum torg_err err = kv_get(verifying->kv, KV_TRIE, replica_key_span(&key), &node);

    check->nodes++;
    if (err && err != TORG_E_NOT_FOUND)
        return err;
    if (!err && span_equal(node, span_of(wanted, TRIE_INNER_BYTES)))
        return TORG_OK;
    for (unsigned i = 0; i < prefix->size; i++)
        path[i] = "0123456789abcdef"[prefix->nibbles[i] & 15];
    replica_verify_say(verifying, "%s, trie: the node at \"%s\" %s",
                       collection_text(check->collection, name), path,
                       err ? "is missing" : "is not what its listings give");
    return TORG_OK;
}

static unsigned key_nibble(const struct listing_key *key, unsigned depth)
{
    return key->bytes[depth / 2] >> (depth % 2 ? 0 : 4) & 15;
}

/* The definition itself, from nothing, comparing each inner node on the way up. */
static enum torg_err trie_check(struct collection_check *check, const struct trie_entry *entries,
                                size_t count, const struct trie_prefix *prefix,
                                struct hash *ret_digest)
{
    uint8_t node[TRIE_INNER_BYTES] = {0};
    size_t first = 0;
    enum torg_err err;

    if (count <= TRIE_LEAF_MAX || prefix->size == TRIE_DEPTH_MAX) {
        *ret_digest = (struct hash){0};
        if (count)
            *ret_digest = trie_leaf_digest(check->collection, entries, count);
        return TORG_OK;
    }
    for (unsigned child = 0; child < 16; child++) {
        struct trie_prefix below = *prefix;
        struct hash digest;
        size_t end = first;

        while (end < count && key_nibble(&entries[end].key, prefix->size) == child)
            end++;
        below.nibbles[below.size++] = (uint8_t)child;
        err = trie_check(check, entries + first, end - first, &below, &digest);
        if (err)
            return err;
        put_u32be(node + 36 * child, (uint32_t)(end - first));
        memcpy(node + 36 * child + 4, digest.bytes, sizeof(digest.bytes));
        first = end;
    }
    *ret_digest = trie_inner_digest(span_of(node, sizeof(node)));
    return node_check(check, prefix, node);
}

static enum torg_err node_row_count(void *context, struct span row, struct span value)
{
    uint64_t *count = context;

    (void)row;
    (void)value;
    ++*count;
    return TORG_OK;
}

static enum torg_err collection_finish(struct collection_check *check)
{
    struct replica_verifying *verifying = check->verifying;
    const struct replica_origin *origin = verifying->origin;
    const struct trie_root *held = &origin->held[check->collection];
    struct trie_prefix root = {0};
    uint8_t range[RANGE_BYTES];
    uint64_t nodes = 0;
    struct hash digest;
    char name[32];
    enum torg_err err = trie_check(check, check->entries, check->count, &root, &digest);

    range_of(origin->number, check->collection, range);
    if (!err)
        err = range_walk(verifying->kv, KV_TRIE, range, node_row_count, &nodes);
    if (err)
        return err;
    collection_text(check->collection, name);
    if (nodes > check->nodes)
        replica_verify_say(verifying, "%s, trie: %llu nodes are stored, %llu belong there", name,
                           (unsigned long long)nodes, (unsigned long long)check->nodes);
    if (check->count != held->count)
        replica_verify_say(verifying, "%s: %zu listings are there, the record counts %u", name,
                           check->count, held->count);
    if (memcmp(&digest, &held->digest, sizeof(digest)))
        replica_verify_say(verifying, "%s: the state root is not the recorded one", name);
    if (check->missing != origin->missing[check->collection])
        replica_verify_say(verifying, "%s: %llu payloads are missing, the record counts %u", name,
                           (unsigned long long)check->missing, origin->missing[check->collection]);
    return TORG_OK;
}

static enum torg_err collection_verify(struct replica_verifying *verifying, uint8_t collection,
                                       uint64_t *live_count)
{
    struct collection_check check = {.verifying = verifying, .collection = collection};
    uint8_t range[RANGE_BYTES];
    enum torg_err err;

    range_of(verifying->origin->number, collection, range);
    err = range_walk(verifying->kv, KV_LIVE, range, live_row_check, &check);
    if (!err)
        err = collection_finish(&check);
    *live_count += check.logged;
    free(check.entries);
    return err;
}

/* ---- the log ---- */

struct log_check {
    struct replica_verifying *verifying;
    uint64_t live, tombstones, erased;
};

static enum torg_err log_live_check(void *context, struct span row, struct span value)
{
    struct log_check *check = context;
    struct replica_byseq_key at;
    struct change_header header;
    struct span bytes, payload;
    enum torg_err err;

    (void)value;
    if (replica_byseq_key_read(row, &at)) {
        replica_verify_say(check->verifying, "log: a row's key cannot be read");
        return TORG_OK;
    }
    if (at.seq <= check->verifying->origin->floor_seq)
        return TORG_OK; /* it stayed behind, and nobody reads it */
    check->live++;
    err = replica_listing_get(check->verifying->kv, check->verifying->origin->number, at.collection,
                              &at.key, &bytes, &payload);
    if (err == TORG_E_NOT_FOUND)
        say_listing(check->verifying, at.collection, NULL, &at.key,
                    "the log has a row of it, but it is not there");
    else if (err && err != TORG_E_CORRUPT)
        return err;
    else if (!err && !change_header_parse(bytes, &header) && header.seq != at.seq)
        say_listing(check->verifying, at.collection, &header, &at.key,
                    "the log has a row of an older version");
    return TORG_OK;
}

/* What is wrong with a tombstone; NULL if nothing is. */
static const char *tombstone_fault(const struct log_check *check,
                                   const struct replica_byseq_key *at, struct span value)
{
    const struct kv *kv = check->verifying->kv;
    uint32_t number = check->verifying->origin->number;
    struct replica_key index = replica_key_erased(number, at->collection, &at->key);
    struct change_header header;
    struct listing_key key;
    struct span bytes, payload;

    if (change_header_parse(value, &header) || header.op != CHANGE_DELETE)
        return "its tombstone is not a delete";
    key = listing_key_of(&header.id);
    if (header.seq != at->seq || header.collection != at->collection ||
        memcmp(&key, &at->key, sizeof(key)))
        return "its tombstone stands in another's place";
    if (kv_get(kv, KV_BYSEQ, replica_key_span(&index), &bytes) || bytes.size != 8 ||
        get_u64be(bytes.data) != at->seq)
        return "its tombstone cannot be found by its key";
    if (replica_listing_get(kv, number, at->collection, &at->key, &bytes, &payload) !=
        TORG_E_NOT_FOUND)
        return "it is there, and has a tombstone";
    return NULL;
}

static enum torg_err log_tombstone_check(void *context, struct span row, struct span value)
{
    struct log_check *check = context;
    struct replica_byseq_key at;
    const char *fault;

    check->tombstones++;
    if (replica_byseq_key_read(row, &at)) {
        replica_verify_say(check->verifying, "log: a tombstone's key cannot be read");
        return TORG_OK;
    }
    fault = tombstone_fault(check, &at, value);
    if (fault)
        say_listing(check->verifying, at.collection, NULL, &at.key, fault);
    return TORG_OK;
}

static enum torg_err log_verify(struct replica_verifying *verifying, uint64_t live_count)
{
    struct log_check check = {.verifying = verifying};
    uint32_t number = verifying->origin->number;
    uint8_t range[RANGE_BYTES];
    enum torg_err err;

    range_of(number, REPLICA_BYSEQ_LIVE, range);
    err = range_walk(verifying->kv, KV_BYSEQ, range, log_live_check, &check);
    range_of(number, REPLICA_BYSEQ_TOMBSTONE, range);
    if (!err)
        err = range_walk(verifying->kv, KV_BYSEQ, range, log_tombstone_check, &check);
    range_of(number, REPLICA_BYSEQ_ERASED, range);
    if (!err)
        err = range_walk(verifying->kv, KV_BYSEQ, range, node_row_count, &check.erased);
    if (err)
        return err;
    if (check.live != live_count)
        replica_verify_say(verifying, "log: %llu rows for %llu listings above the floor",
                           (unsigned long long)check.live, (unsigned long long)live_count);
    if (check.tombstones != check.erased || check.tombstones != verifying->origin->tombstones)
        replica_verify_say(verifying,
                           "log: %llu tombstones, %llu rows that find them, the record counts %llu",
                           (unsigned long long)check.tombstones, (unsigned long long)check.erased,
                           (unsigned long long)verifying->origin->tombstones);
    return TORG_OK;
}

enum torg_err replica_verify(const struct kv *kv, const struct replica_origin *origin,
                             replica_verify_report *report, void *context)
{
    struct replica_verifying verifying = {
        .kv = kv, .origin = origin, .report = report, .context = context};
    uint64_t live_count = 0;
    enum torg_err err = replica_verify_chain(&verifying);

    for (unsigned i = 1; i < COLLECTIONS_MAX && !err; i++)
        err = collection_verify(&verifying, (uint8_t)i, &live_count);
    if (!err)
        err = log_verify(&verifying, live_count);
    if (!err && origin->flags & REPLICA_FLAG_OWN &&
        replica_complete_mask(origin, COLLECTION_MASK_ALL) != COLLECTION_MASK_ALL)
        replica_verify_say(&verifying, "the own head does not sign what is held");
    return err;
}

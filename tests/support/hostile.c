/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/hostile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/profile.h"
#include "tests/support/town.h"

#define EXPECT(condition) expect((condition), #condition, __LINE__)

#define WISHES_MAX 96 /* more than a leaf of the trie holds */
#define HEADS_MAX 6
#define STEPS_MAX 200
#define COLLECTIONS 2

static void expect(bool holds, const char *what, int line)
{
    if (holds)
        return;
    fprintf(stderr, "hostile.c:%d: %s\n", line, what);
    abort();
}

/* A version of a listing that the origin has signed, or wishes it had. */
struct wish {
    uint8_t collection;
    uint8_t id;
    uint8_t op;
    uint16_t seq;
    uint8_t salt;
};

struct hostile {
    struct reader in;
    struct town town;
    struct kv_mem *mem;
    struct wish live[WISHES_MAX];
    size_t live_count;
    struct wish gone[WISHES_MAX]; /* deletes; the oldest are forgotten */
    size_t gone_count;
    uint16_t seq;      /* the last number that was given in order */
    unsigned mischief; /* one in so many numbers is not in order; 0: none */
    struct buffer heads[HEADS_MAX];
    size_t head_count;
    uint64_t hno;
    bool has_head; /* the follower's, as last seen */
    struct head head;
};

/* 0 when the bytes are over. */
static unsigned draw(struct hostile *hostile, unsigned limit)
{
    return reader_u8(&hostile->in) % limit;
}

static struct listing_id id_of(uint8_t i)
{
    struct listing_id id = {{i, (uint8_t)(i * 7)}};

    return id;
}

/* ---- entries ---- */

/* The bytes of a wish, and the entry over them. */
struct made {
    uint8_t payload[4];
    struct buffer header;
    struct replica_entry entry;
};

static void wish_make(const struct wish *wish, bool with_payload, struct made *made)
{
    struct change_header header = {.seq = wish->seq,
                                   .collection = wish->collection,
                                   .id = id_of(wish->id),
                                   .op = (enum change_op)wish->op};
    struct span payload = {0};

    memset(made->payload, wish->salt, sizeof(made->payload));
    if (wish->op == CHANGE_UPSERT) {
        payload = span_of(made->payload, 1 + wish->salt % 4);
        header.payload_size = (uint32_t)payload.size;
        header.payload_hash = payload_hash(payload);
    }
    made->header = (struct buffer){0};
    change_header_pack(&header, &made->header);
    if (!with_payload)
        payload = (struct span){0};
    EXPECT(!replica_entry_read(buffer_span(&made->header), payload, &made->entry));
}

static struct wish wish_draw(struct hostile *hostile)
{
    struct wish wish = {.collection = (uint8_t)(1 + draw(hostile, COLLECTIONS)),
                        .op = draw(hostile, 4) ? CHANGE_UPSERT : CHANGE_DELETE};

    wish.id = (uint8_t)draw(hostile, 128);
    wish.seq = (uint16_t)(1 + draw(hostile, 256));
    wish.salt = (uint8_t)draw(hostile, 8);
    return wish;
}

/* What the next heads will sign; mostly numbered as it should be. */
static void wish_live(struct hostile *hostile, struct wish wish)
{
    size_t i = 0;

    if (hostile->seq < 60000 && !(hostile->mischief && draw(hostile, hostile->mischief) == 0))
        wish.seq = ++hostile->seq;
    if (wish.op == CHANGE_DELETE)
        hostile->gone[hostile->gone_count++ % WISHES_MAX] = wish;
    while (i < hostile->live_count &&
           (hostile->live[i].collection != wish.collection || hostile->live[i].id != wish.id))
        i++;
    if (wish.op == CHANGE_DELETE && i < hostile->live_count)
        hostile->live[i] = hostile->live[--hostile->live_count];
    else if (wish.op == CHANGE_UPSERT && i < WISHES_MAX)
        hostile->live[i] = wish;
    if (wish.op == CHANGE_UPSERT && i == hostile->live_count && i < WISHES_MAX)
        hostile->live_count++;
}

static int entry_order(const void *a, const void *b)
{
    const struct trie_entry *left = a;
    const struct trie_entry *right = b;

    return memcmp(&left->key, &right->key, sizeof(left->key));
}

static struct trie_root live_root(const struct hostile *hostile, uint8_t collection)
{
    struct trie_entry entries[WISHES_MAX];
    size_t count = 0;

    for (size_t i = 0; i < hostile->live_count; i++) {
        struct made made;

        if (hostile->live[i].collection != collection)
            continue;
        wish_make(&hostile->live[i], false, &made);
        entries[count].key = made.entry.key;
        entries[count++].header_hash = made.entry.header_hash;
        buffer_done(&made.header);
    }
    qsort(entries, count, sizeof(*entries), entry_order);
    return trie_build(collection, entries, count);
}

/* ---- heads ---- */

static void head_publish(struct hostile *hostile)
{
    unsigned leap = draw(hostile, 8);
    struct head head = {.origin = hostile->town.id,
                        .epoch = hostile->town.epoch,
                        .seq = hostile->seq,
                        .charter_no = hostile->town.charter_count - 1,
                        .key_no = hostile->town.signer.key_no};
    struct buffer *slot = &hostile->heads[hostile->head_count % HEADS_MAX];

    if (hostile->mischief && draw(hostile, hostile->mischief) == 0)
        head.seq = 1 + draw(hostile, 256);
    hostile->hno += leap == 3 ? 0 : 1 + leap % 2;
    head.hno = hostile->hno ? hostile->hno : 1;
    head.ts_ms = (int64_t)hostile->head_count;
    for (uint8_t c = 1; c <= COLLECTIONS; c++) {
        struct trie_root root = live_root(hostile, c);

        if (root.count)
            head.states[head.state_count++] =
                (struct head_state){.collection = c, .count = root.count, .root = root.digest};
    }
    buffer_clear(slot);
    town_sign_head(&hostile->town, &head, slot);
    hostile->head_count++;
}

/* Mostly the newest head; false when there is none. */
static bool head_draw(struct hostile *hostile, struct signed_span *ret_head)
{
    size_t count = hostile->head_count < HEADS_MAX ? hostile->head_count : HEADS_MAX;
    size_t at = (hostile->head_count + HEADS_MAX - 1) % HEADS_MAX;
    struct profile_reader in;

    if (count == 0)
        return false;
    if (draw(hostile, 4) == 0)
        at = draw(hostile, (unsigned)count);
    in = profile_reader_of(buffer_span(&hostile->heads[at]));
    *ret_head = signed_read(&in, HEAD_BYTES_MAX);
    EXPECT(!profile_end(&in));
    return true;
}

/* ---- the index, and what must hold ---- */

static enum torg_err index_changed(void *context, struct kv *kv,
                                   const struct replica_origin *origin, uint8_t collection,
                                   const struct listing_key *key, const struct replica_entry *entry)
{
    uint8_t row[17] = {collection};

    (void)context;
    (void)origin;
    memcpy(row + 1, key->bytes, sizeof(key->bytes));
    if (entry)
        return kv_put(kv, KV_DOCUMENT, span_of(row, sizeof(row)), entry->header_bytes);
    return kv_del(kv, KV_DOCUMENT, span_of(row, sizeof(row)));
}

static const struct replica_observer observer = {.changed = index_changed};

struct index_check {
    const struct kv *kv;
    uint8_t collection;
    size_t count;
};

static bool index_check_row(void *context, const struct listing_key *key, struct span header,
                            struct span payload)
{
    struct index_check *check = context;
    uint8_t row[17] = {check->collection};
    struct span noted;

    (void)payload;
    memcpy(row + 1, key->bytes, sizeof(key->bytes));
    EXPECT(!kv_get(check->kv, KV_DOCUMENT, span_of(row, sizeof(row)), &noted));
    EXPECT(span_equal(noted, header));
    check->count++;
    return true;
}

static void index_verify(const struct kv *kv, const struct replica_origin *origin)
{
    static const uint8_t first[1] = {0};
    struct kv_cursor *cursor;
    struct span key, value;
    size_t listings = 0;
    enum torg_err err;

    for (uint8_t c = 1; c <= COLLECTIONS; c++) {
        struct index_check check = {.kv = kv, .collection = c};

        EXPECT(!replica_listings(kv, origin->number, c, NULL, index_check_row, &check));
        listings += check.count;
    }
    EXPECT(!kv_cursor_open(kv, KV_DOCUMENT, &cursor));
    for (err = kv_cursor_seek(kv, cursor, span_of(first, 1), &key, &value); !err;
         err = kv_cursor_next(kv, cursor, &key, &value))
        EXPECT(listings-- > 0);
    kv_cursor_close(kv, cursor);
    EXPECT(listings == 0);
}

static void finding(void *context, const char *what)
{
    (void)context;
    if (strstr(what, "does not follow"))
        return; /* Its heads do not: that is its own doing, and verify is right. */
    fprintf(stderr, "verify: %s\n", what);
    abort();
}

static void verify(struct hostile *hostile)
{
    struct replica_origin origin;
    struct kv kv;

    EXPECT(!kv_mem_read_begin(hostile->mem, &kv));
    EXPECT(!replica_origin_get(&kv, &hostile->town.id, &origin));
    EXPECT(!hostile->has_head || origin.has_head);
    EXPECT(!hostile->has_head || head_compare(&origin.head, &hostile->head) >= 0);
    hostile->has_head = origin.has_head;
    hostile->head = origin.head;
    EXPECT(!replica_verify(&kv, &origin, finding, NULL));
    index_verify(&kv, &origin);
    kv_mem_read_end(&kv);
}

static void dump(const struct kv *kv, struct buffer *out)
{
    EXPECT(!kv_mem_dump(kv, out));
}

/* Apply; a refusal must leave the transaction as it was, and is then committed. */
static void apply(struct hostile *hostile, const struct replica_write *write)
{
    struct buffer before = {0}, after = {0};
    struct kv kv;
    enum torg_err err;

    EXPECT(!kv_mem_write_begin(hostile->mem, &kv));
    dump(&kv, &before);
    err = replica_apply(&kv, write, &observer);
    EXPECT(err != TORG_E_CORRUPT && err != TORG_E_NOT_FOUND && err != TORG_E_INTERNAL);
    if (err && err != TORG_E_FULL) {
        dump(&kv, &after);
        EXPECT(span_equal(buffer_span(&before), buffer_span(&after)));
    }
    if (err == TORG_E_FULL)
        kv_mem_write_abort(&kv);
    else
        (void)kv_mem_write_commit(&kv); /* May be full, too: then nothing has changed. */
    buffer_done(&before);
    buffer_done(&after);
    verify(hostile);
}

/* ---- steps ---- */

/* A write over drawn entries: from the live wishes, or out of nothing. */
static void entries_apply(struct hostile *hostile, struct replica_write *write, bool ascending)
{
    struct made made[24];
    struct replica_entry entries[24];
    struct listing_key removed[8];
    size_t wanted = draw(hostile, 25);
    uint16_t last = 0;

    for (size_t i = 0; i < wanted; i++) {
        struct wish wish = wish_draw(hostile);

        if (hostile->live_count && draw(hostile, 4))
            wish = hostile->live[draw(hostile, (unsigned)hostile->live_count)];
        if (write->kind == REPLICA_WRITE_PART && draw(hostile, 8))
            wish.collection = write->collection;
        if (ascending && wish.seq <= last)
            continue;
        last = wish.seq;
        wish_make(&wish, wish.op == CHANGE_UPSERT && draw(hostile, 4), &made[write->entry_count]);
        entries[write->entry_count] = made[write->entry_count].entry;
        write->entry_count++;
    }
    for (unsigned i = write->kind == REPLICA_WRITE_PART ? draw(hostile, 8) : 0; i > 0; i--) {
        struct listing_id id = id_of((uint8_t)draw(hostile, 128));

        removed[write->removed_count++] = listing_key_of(&id);
    }
    write->entries = entries;
    write->removed = removed;
    apply(hostile, write);
    for (size_t i = 0; i < write->entry_count; i++)
        buffer_done(&made[i].header);
}

static int wish_order(const void *a, const void *b)
{
    const struct wish *left = a;
    const struct wish *right = b;

    return (left->seq > right->seq) - (left->seq < right->seq);
}

/* Everything after what is held, as a log would have it if the numbers were honest. */
static void honest_commit(struct hostile *hostile, struct replica_write *write)
{
    static struct made made[2 * WISHES_MAX];
    static struct replica_entry entries[2 * WISHES_MAX];
    static struct wish log[2 * WISHES_MAX];
    uint64_t last = hostile->has_head ? hostile->head.seq : 0;
    size_t count = hostile->gone_count < WISHES_MAX ? hostile->gone_count : WISHES_MAX;

    memcpy(log, hostile->gone, count * sizeof(*log));
    memcpy(log + count, hostile->live, hostile->live_count * sizeof(*log));
    count += hostile->live_count;
    qsort(log, count, sizeof(*log), wish_order);
    for (size_t i = 0; i < count; i++) {
        bool newest = log[i].seq > last;

        for (size_t j = i + 1; j < count; j++) /* Of each listing only its newest change. */
            newest = newest && (log[j].id != log[i].id || log[j].collection != log[i].collection);
        if (!newest)
            continue;
        last = log[i].seq;
        wish_make(&log[i], log[i].salt != 3, &made[write->entry_count]);
        entries[write->entry_count] = made[write->entry_count].entry;
        write->entry_count++;
    }
    write->kind = REPLICA_WRITE_COMMIT;
    write->mask = 6;
    write->entries = entries;
    apply(hostile, write);
    for (size_t i = 0; i < write->entry_count; i++)
        buffer_done(&made[i].header);
}

/* All of a collection, as it should be; not what should not be there. */
static void honest_part(struct hostile *hostile, struct replica_write *write)
{
    static struct made made[WISHES_MAX];
    static struct replica_entry entries[WISHES_MAX];

    for (size_t i = 0; i < hostile->live_count; i++) {
        if (hostile->live[i].collection != write->collection)
            continue;
        wish_make(&hostile->live[i], true, &made[write->entry_count]);
        entries[write->entry_count] = made[write->entry_count].entry;
        write->entry_count++;
    }
    write->entries = entries;
    apply(hostile, write);
    for (size_t i = 0; i < write->entry_count; i++)
        buffer_done(&made[i].header);
}

static void write_apply(struct hostile *hostile, unsigned kind)
{
    struct replica_write write = {.origin = hostile->town.id};

    if (!head_draw(hostile, &write.head))
        return;
    write.mask = 2u << draw(hostile, 3);
    if (write.mask == 8)
        write.mask = 6;
    write.collection = (uint8_t)(1 + draw(hostile, COLLECTIONS));
    switch (kind) {
    case 0:
        write.kind = REPLICA_WRITE_COMMIT;
        entries_apply(hostile, &write, draw(hostile, 8) != 0);
        break;
    case 1:
        write.kind = REPLICA_WRITE_PART;
        entries_apply(hostile, &write, false);
        break;
    case 2:
        write.kind = REPLICA_WRITE_PART;
        honest_part(hostile, &write);
        break;
    case 3:
        honest_commit(hostile, &write);
        break;
    case 4:
        write.kind = REPLICA_WRITE_PAYLOADS;
        honest_part(hostile, &write);
        break;
    default:
        write.kind = REPLICA_WRITE_FAULTY;
        apply(hostile, &write);
    }
}

static void charters_apply(struct hostile *hostile)
{
    struct town_write write;

    town_charters_write(&hostile->town, &write);
    apply(hostile, &write.write);
    town_write_done(&write);
}

static void step(struct hostile *hostile)
{
    static const uint8_t kinds[] = {0, 0, 1, 1, 2, 2, 3, 3, 3, 3, 3, 3, 3, 4, 5};
    unsigned what = draw(hostile, 24);

    switch (what) {
    case 0:
    case 1:
    case 2:
    case 3:
        for (unsigned i = draw(hostile, 40); i > 0; i--)
            wish_live(hostile, wish_draw(hostile));
        head_publish(hostile);
        break;
    case 4:
        head_publish(hostile);
        break;
    case 5:
        charters_apply(hostile);
        break;
    case 6:
        if (hostile->town.charter_count < TOWN_CHARTERS_MAX) {
            bool new_epoch = draw(hostile, 2);

            town_rotate(&hostile->town, new_epoch);
            if (new_epoch)
                hostile->hno = 0;
            if (draw(hostile, 4))
                charters_apply(hostile);
            head_publish(hostile);
        }
        break;
    case 7:
        kv_mem_fail_after(hostile->mem, draw(hostile, 64), TORG_E_FULL);
        break;
    default:
        write_apply(hostile, kinds[(what - 8) % ARRAY_SIZE(kinds)]);
    }
}

void hostile_run(const uint8_t *data, size_t size)
{
    struct hostile *hostile = calloc(1, sizeof(*hostile));

    EXPECT(hostile != NULL);
    hostile->in = reader_of(span_of(data, size));
    hostile->mischief = (unsigned[]){0, 60, 8}[draw(hostile, 3)];
    town_init(&hostile->town, 7);
    EXPECT(!kv_mem_new(&hostile->mem));
    kv_mem_strict(hostile->mem, true);
    charters_apply(hostile);
    for (unsigned i = 0; i < STEPS_MAX && reader_left(&hostile->in); i++)
        step(hostile);
    for (size_t i = 0; i < HEADS_MAX; i++)
        buffer_done(&hostile->heads[i]);
    kv_mem_free(hostile->mem);
    town_done(&hostile->town);
    free(hostile);
}

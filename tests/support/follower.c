/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/follower.h"

#include <stdlib.h>

#include "tests/support/test.h"

struct listing_id model_id(unsigned i)
{
    struct listing_id id = {0};

    put_u32be(id.bytes, i * 2654435761u);
    return id;
}

/* ---- an index that only notes what it is told, in the transaction itself ---- */

enum torg_err shadow_changed(void *context, struct kv *kv, const struct replica_origin *origin,
                             uint8_t collection, const struct listing_key *key,
                             const struct replica_entry *entry)
{
    uint8_t row[17] = {collection};
    enum torg_err err;

    (void)origin;
    if (context)
        return *(enum torg_err *)context;
    memcpy(row + 1, key->bytes, sizeof(key->bytes));
    if (entry)
        return kv_put(kv, KV_DOCUMENT, span_of(row, sizeof(row)), entry->header_bytes);
    err = kv_del(kv, KV_DOCUMENT, span_of(row, sizeof(row)));
    assert_int_equal(err, TORG_OK); /* Told of its end, but not of its life. */
    return err;
}

const struct replica_observer shadow = {.changed = shadow_changed};

/* ---- what must hold after each step ---- */

static void report_fail(void *context, const char *what)
{
    fail_msg("%s: %s", (const char *)context, what);
}

void assert_verifies(struct kv_mem *mem, const struct origin_id *id, const char *when)
{
    struct replica_origin origin;
    struct kv kv;

    assert_ok(kv_mem_read_begin(mem, &kv));
    assert_ok(replica_origin_get(&kv, id, &origin));
    assert_ok(replica_verify(&kv, &origin, report_fail, (void *)(uintptr_t)when));
    kv_mem_read_end(&kv);
}

struct count_visit {
    const struct kv *kv;
    uint8_t collection;
    size_t count;
};

static bool count_shadow(void *context, const struct listing_key *key, struct span header,
                         struct span payload)
{
    struct count_visit *visit = context;
    uint8_t row[17] = {visit->collection};
    struct span noted;

    (void)payload;
    memcpy(row + 1, key->bytes, sizeof(key->bytes));
    assert_ok(kv_get(visit->kv, KV_DOCUMENT, span_of(row, sizeof(row)), &noted));
    assert_true(span_equal(noted, header));
    visit->count++;
    return true;
}

/* The shadow index and the listings are the same set. */
void assert_shadow(struct kv_mem *mem, const struct origin_id *id)
{
    struct replica_origin origin;
    struct kv_cursor *cursor;
    struct span key, value;
    struct kv kv;
    size_t listings = 0, rows = 0;
    enum torg_err err;

    assert_ok(kv_mem_read_begin(mem, &kv));
    assert_ok(replica_origin_get(&kv, id, &origin));
    for (uint8_t c = 1; c < COLLECTIONS_MAX; c++) {
        struct count_visit visit = {.kv = &kv, .collection = c};

        assert_ok(replica_listings(&kv, origin.number, c, NULL, count_shadow, &visit));
        listings += visit.count;
    }
    assert_ok(kv_cursor_open(&kv, KV_DOCUMENT, &cursor));
    for (err = kv_cursor_seek(&kv, cursor, span_of("", 1), &key, &value); !err;
         err = kv_cursor_next(&kv, cursor, &key, &value))
        rows++;
    kv_cursor_close(&kv, cursor);
    assert_int_equal(rows, listings);
    kv_mem_read_end(&kv);
}

void assert_holds(struct kv_mem *mem, const struct origin_id *id, const struct model *model)
{
    struct replica_origin origin;
    struct kv kv;

    assert_ok(kv_mem_read_begin(mem, &kv));
    assert_ok(replica_origin_get(&kv, id, &origin));
    for (unsigned c = 0; c < MODEL_COLLECTIONS; c++) {
        uint32_t count = 0;

        for (unsigned i = 0; i < MODEL_IDS; i++) {
            struct listing_id listing = model_id(i);
            struct listing_key key = listing_key_of(&listing);
            struct span header, payload;
            enum torg_err err =
                replica_listing_get(&kv, origin.number, (uint8_t)(c + 1), &key, &header, &payload);

            assert_int_equal(err, model->sizes[c][i] ? TORG_OK : TORG_E_NOT_FOUND);
            if (err)
                continue;
            count++;
            assert_true(span_equal(payload, span_of(model->payloads[c][i], model->sizes[c][i])));
        }
        assert_int_equal(origin.held[c + 1].count, count);
        assert_int_equal(origin.missing[c + 1], 0);
    }
    assert_int_equal(replica_complete_mask(&origin, MODEL_MASK), MODEL_MASK);
    kv_mem_read_end(&kv);
}

void dump(struct kv_mem *mem, struct buffer *out)
{
    struct kv kv;

    buffer_clear(out);
    assert_ok(kv_mem_read_begin(mem, &kv));
    assert_ok(kv_mem_dump(&kv, out));
    kv_mem_read_end(&kv);
}

/* ---- random commits ---- */

void model_commit(struct town *town, struct model *model, uint64_t *random, size_t max)
{
    struct local_change changes[64];
    bool taken[MODEL_COLLECTIONS][MODEL_IDS] = {0};
    size_t count = 0;
    size_t wanted = test_random_below(random, (max < 64 ? max : 64) + 1);

    for (size_t n = 0; n < wanted; n++) {
        unsigned c = (unsigned)test_random_below(random, MODEL_COLLECTIONS);
        unsigned i = (unsigned)test_random_below(random, MODEL_IDS);
        bool erase = test_random_below(random, 3) == 0;

        if (taken[c][i])
            continue;
        taken[c][i] = true;
        model->sizes[c][i] =
            erase ? 0 : (uint8_t)(1 + test_random_below(random, MODEL_PAYLOAD_BYTES));
        for (unsigned b = 0; b < model->sizes[c][i]; b++)
            model->payloads[c][i][b] = (uint8_t)test_random(random);
        changes[count++] =
            (struct local_change){.collection = (uint8_t)(c + 1),
                                  .id = model_id(i),
                                  .payload = span_of(model->payloads[c][i], model->sizes[c][i])};
    }
    assert_ok(town_commit(town, changes, count));
}

/* Another node that knows the town's charters and nothing else. */
struct kv_mem *follower_new(const struct town *town)
{
    struct town_write write;
    struct kv_mem *mem;

    assert_ok(kv_mem_new(&mem));
    kv_mem_strict(mem, true);
    town_charters_write(town, &write);
    assert_ok(town_apply(mem, &write.write, NULL));
    town_write_done(&write);
    return mem;
}

void origin_read(struct kv_mem *mem, const struct origin_id *id, struct replica_origin *ret_origin)
{
    struct kv kv;

    assert_ok(kv_mem_read_begin(mem, &kv));
    assert_ok(replica_origin_get(&kv, id, ret_origin));
    kv_mem_read_end(&kv);
}

/* A write refused with err must leave the store byte for byte as it was. */
void assert_refused(struct kv_mem *mem, const struct replica_write *write, enum torg_err err)
{
    struct buffer before = {0}, after = {0};
    struct kv kv;

    dump(mem, &before);
    assert_ok(kv_mem_write_begin(mem, &kv));
    assert_err(replica_apply(&kv, write, &shadow), err);
    assert_ok(kv_mem_write_commit(&kv)); /* Others' writes may share the transaction. */
    dump(mem, &after);
    assert_true(span_equal(buffer_span(&before), buffer_span(&after)));
    buffer_done(&before);
    buffer_done(&after);
}

void next_write(struct town *town, struct kv_mem *from, struct kv_mem *mem, uint32_t mask,
                struct town_write *ret_write)
{
    struct replica_origin origin;
    struct kv kv;

    origin_read(mem, &town->id, &origin);
    assert_ok(kv_mem_read_begin(from, &kv));
    town_delta(town, &kv, origin.has_head ? origin.head.seq : 0, mask, ret_write);
    kv_mem_read_end(&kv);
}

enum torg_err catch_up(struct town *town, struct kv_mem *mem, uint32_t mask)
{
    struct town_write write;
    enum torg_err err;

    next_write(town, town->mem, mem, mask, &write);
    err = town_apply(mem, &write.write, &shadow);
    town_write_done(&write);
    return err;
}

/* Apply what write says piece by piece, each piece with some of its entries and removals. */
static void apply_in_pieces(struct kv_mem *mem, const struct town_write *whole, uint64_t *random)
{
    size_t entry = 0, removal = 0;

    do {
        struct replica_write piece = whole->write;
        size_t entries = piece.entry_count - entry;
        size_t removals = piece.removed_count - removal;
        enum torg_err err;

        piece.entries += entry;
        piece.entry_count = entries ? 1 + test_random_below(random, entries) : 0;
        if (piece.removed)
            piece.removed += removal;
        piece.removed_count = removals ? 1 + test_random_below(random, removals) : 0;
        entry += piece.entry_count;
        removal += piece.removed_count;
        err = town_apply(mem, &piece, &shadow);
        if (err != TORG_E_KNOWN)
            assert_ok(err);
    } while (entry < whole->write.entry_count || removal < whole->write.removed_count);
}

void reconcile(struct town *town, struct kv_mem *from, struct kv_mem *to, uint64_t *random)
{
    for (uint8_t c = 1; c <= MODEL_COLLECTIONS; c++) {
        struct town_write write;
        struct kv source, target;

        assert_ok(kv_mem_read_begin(from, &source));
        assert_ok(kv_mem_read_begin(to, &target));
        town_part(town, &source, &target, c, &write);
        kv_mem_read_end(&source);
        kv_mem_read_end(&target);
        apply_in_pieces(to, &write, random);
        town_write_done(&write);
    }
}

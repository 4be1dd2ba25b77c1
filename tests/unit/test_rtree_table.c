/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_table.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "index/catalogue_row.h"
#include "index/catalogue_warm.h"
#include "index/rtree_item.h"
#include "index/rtree_node.h"
#include "index/store.h"
#include "tests/support/test.h"

/*
 * An address that outlives its node is a wild read that shows itself only under
 * load: so the table is compared with a model, step by step, and readers read
 * while a writer commits.
 */
#define NUMBERS 1500
#define SPACES 3
#define READERS 8
#define SNAPSHOTS_MAX 4000

/* ---- the table alone, against a model ---- */

struct model {
    pthread_mutex_t mutex;
    struct rtree_tables *tables;
    uint64_t seed;
    uint64_t snapshot; /* the newest committed */
    /* The snapshot in which a number was last written, now and in the open write transaction. */
    uint64_t written[SPACES][NUMBERS], writing[SPACES][NUMBERS];
    struct {
        struct rtree_table *table;
        uint64_t snapshot;
        uint64_t (*written)[NUMBERS]; /* owned: what the reader must see */
    } readers[READERS];
};

static void lock_mutex(void *context, bool take)
{
    if (take)
        pthread_mutex_lock(context);
    else
        pthread_mutex_unlock(context);
}

/* A place that stands for what was written there then. */
static const uint8_t *address_of(unsigned space, uint32_t number, uint64_t snapshot)
{
    return (const uint8_t *)(uintptr_t)(1 + (snapshot * SPACES + space) * NUMBERS + number);
}

/* What lies in such a space was found in the reader's own snapshot, whoever found it. */
static void read_fleeting(struct model *model, struct rtree_table *table, uint64_t snapshot)
{
    for (int n = 0; table && n < 20; n++) {
        uint32_t number = (uint32_t)test_random_below(&model->seed, NUMBERS);
        struct span want =
            span_of(address_of(0, number, snapshot), 1 + (snapshot + number) % 65535);
        struct span got = rtree_table_value(table, RTREE_TABLE_DOCUMENTS, number);

        if (got.size > 0) {
            assert_ptr_equal(got.data, want.data);
            assert_int_equal(got.size, want.size);
        }
        rtree_table_keep_value(table, RTREE_TABLE_DOCUMENTS, number, want);
    }
}

static void model_read(struct model *model)
{
    uint64_t *seed = &model->seed;
    unsigned i = (unsigned)test_random_below(seed, READERS);

    if (model->readers[i].written && test_random_below(seed, 8) == 0) {
        pthread_mutex_lock(&model->mutex);
        rtree_tables_release(model->tables, model->readers[i].table);
        pthread_mutex_unlock(&model->mutex);
        free(model->readers[i].written);
        model->readers[i].written = NULL;
        return;
    }
    if (!model->readers[i].written) {
        pthread_mutex_lock(&model->mutex);
        model->readers[i].table = rtree_tables_acquire(model->tables, model->snapshot);
        pthread_mutex_unlock(&model->mutex);
        model->readers[i].snapshot = model->snapshot;
        model->readers[i].written = malloc(sizeof(model->written));
        assert_non_null(model->readers[i].written);
        memcpy(model->readers[i].written, model->written, sizeof(model->written));
    }
    for (int n = 0; model->readers[i].table && n < 50; n++) {
        uint8_t space = (uint8_t)test_random_below(seed, SPACES);
        uint32_t number = (uint32_t)test_random_below(seed, NUMBERS);
        const uint8_t *want = address_of(space, number, model->readers[i].written[space][number]);
        const uint8_t *got = rtree_table_find(model->readers[i].table, space, number);

        if (got && got != want)
            fail_msg("space %u number %u: an address of another snapshot", space, number);
        if (!got)
            rtree_table_keep(model->readers[i].table, space, number, want);
    }
    read_fleeting(model, model->readers[i].table, model->readers[i].snapshot);
}

static void model_write(struct model *model)
{
    uint64_t *seed = &model->seed;
    uint64_t notes =
        test_random_below(seed, 3) ? test_random_below(seed, 6) : test_random_below(seed, 300);
    bool commit = test_random_below(seed, 5) > 0;

    memcpy(model->writing, model->written, sizeof(model->written));
    pthread_mutex_lock(&model->mutex);
    rtree_tables_begin(model->tables, model->snapshot);
    pthread_mutex_unlock(&model->mutex);
    for (uint64_t n = 0; n < notes; n++) {
        uint8_t key[5] = {(uint8_t)test_random_below(seed, SPACES)};
        uint32_t number = (uint32_t)test_random_below(seed, NUMBERS);

        put_u32be(key + 1, number);
        rtree_tables_note(model->tables, span_of(key, sizeof(key)));
        model->writing[key[0]][number] = model->snapshot + 1;
        if (test_random_below(seed, 4) == 0)
            model_read(model);
    }
    if (test_random_below(seed, 10) > 0) {
        pthread_mutex_lock(&model->mutex);
        rtree_tables_publish(model->tables, model->snapshot + 1);
        pthread_mutex_unlock(&model->mutex);
        model_read(model);
        if (commit) { /* Committed, but nobody knows yet: readers begin on it already. */
            memcpy(model->written, model->writing, sizeof(model->written));
            model->snapshot++;
            for (int n = 0; n < 3; n++)
                model_read(model);
        }
    } else {
        commit = false;
    }
    pthread_mutex_lock(&model->mutex);
    rtree_tables_end(model->tables, commit);
    pthread_mutex_unlock(&model->mutex);
}

static void test_table_agrees_with_model(void **state)
{
    static const uint64_t seeds[] = {1, 2, 3, 0x7ab1e};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(seeds); i++) {
        struct model *model = calloc(1, sizeof(*model));

        assert_non_null(model);
        model->seed = seeds[i];
        model->snapshot = 7;
        assert_int_equal(pthread_mutex_init(&model->mutex, NULL), 0);
        model->tables = rtree_tables_new(lock_mutex, &model->mutex);
        assert_non_null(model->tables);
        while (model->snapshot < SNAPSHOTS_MAX / 4) {
            model_read(model);
            if (test_random_below(&model->seed, 3) == 0)
                model_write(model);
            if (test_random_below(&model->seed, 100) == 0) { /* Another process wrote. */
                model->snapshot++;
                for (uint32_t number = 0; number < NUMBERS; number += 3)
                    model->written[1][number] = model->snapshot;
            }
        }
        for (unsigned r = 0; r < READERS; r++) {
            if (model->readers[r].written)
                rtree_tables_release(model->tables, model->readers[r].table);
            free(model->readers[r].written);
        }
        rtree_tables_forget(model->tables);
        assert_int_equal(rtree_tables_bytes(model->tables), 0);
        rtree_tables_free(model->tables);
        pthread_mutex_destroy(&model->mutex);
        free(model);
    }
}

/* A reader that never ends must not let the tables of a stream of commits grow for ever. */
static void test_memory_is_bounded(void **state)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    struct rtree_tables *tables = rtree_tables_new(lock_mutex, &mutex);
    struct rtree_table *old, *table;
    uint64_t most = 0;

    (void)state;
    assert_non_null(tables);
    old = rtree_tables_acquire(tables, 1);
    assert_non_null(old);
    for (uint64_t snapshot = 1; snapshot < 20000; snapshot++) {
        rtree_tables_begin(tables, snapshot);
        for (uint32_t number = 0; number < 64; number++) {
            uint8_t key[5] = {1};

            put_u32be(key + 1, number * RTREE_TABLE_CHUNK);
            rtree_tables_note(tables, span_of(key, sizeof(key)));
        }
        rtree_tables_publish(tables, snapshot + 1);
        rtree_tables_end(tables, true);
        table = rtree_tables_acquire(tables, snapshot + 1);
        for (uint32_t number = 0; table && number < 64; number++)
            rtree_table_keep(table, 1, number * RTREE_TABLE_CHUNK, (const uint8_t *)"node");
        rtree_tables_release(tables, table);
        if (rtree_tables_bytes(tables) > most)
            most = rtree_tables_bytes(tables);
    }
    assert_true(most <= RTREE_TABLE_BYTES_MAX);
    rtree_tables_release(tables, old);
    assert_true(rtree_tables_bytes(tables) < (UINT64_C(1) << 20));
    table = rtree_tables_acquire(tables, 20000); /* And it goes on when the reader is gone. */
    assert_non_null(table);
    rtree_tables_release(tables, table);
    rtree_tables_free(tables);
}

/* However many documents there are, nodes find room; and what is not kept is only not known. */
static void test_documents_leave_room(void **state)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    struct rtree_tables *tables = rtree_tables_new(lock_mutex, &mutex);
    const uint32_t chunks = 2 * RTREE_TABLE_BYTES_MAX / sizeof(struct rtree_table_chunk);
    static const uint8_t value[8];
    struct rtree_table *table;
    uint32_t kept = 0;

    (void)state;
    assert_non_null(tables);
    table = rtree_tables_acquire(tables, 1);
    assert_non_null(table);
    for (uint32_t i = 0; i < chunks; i++) {
        uint32_t number = i * RTREE_TABLE_CHUNK;

        rtree_table_keep_value(table, RTREE_TABLE_DOCUMENTS, number, span_of(value, i % 9));
        if (i % 9 > 0)
            kept += rtree_table_value(table, RTREE_TABLE_DOCUMENTS, number).size == i % 9;
        else
            assert_int_equal(rtree_table_value(table, RTREE_TABLE_DOCUMENTS, number).size, 0);
    }
    assert_in_range(kept, 1, chunks / 2);
    assert_in_range(rtree_tables_bytes(tables), RTREE_TABLE_BYTES_MAX / 4,
                    RTREE_TABLE_BYTES_MAX / 2 + RTREE_TABLE_BYTES_MAX / 16);
    rtree_table_keep(table, 1, 5, value);
    assert_ptr_equal(rtree_table_find(table, 1, 5), value);
    rtree_tables_release(tables, table);
    rtree_tables_free(tables);
}

/* ---- in the store, with threads ---- */

#define COLLECTION 3
#define ITEMS 6000
#define COMMITS 60
#define THREADS 3

struct town {
    struct store *store;
    atomic_bool done;
    _Atomic uint64_t reads;
};

static struct rtree_item item_at(uint32_t document, uint64_t version)
{
    uint64_t seed = document * UINT64_C(0x9e3779b97f4a7c15) + version;
    struct rtree_item item = {
        .document = document, .time_from_ms = INT64_MIN, .time_through_ms = INT64_MAX};

    item.point.lon_e7 = (int32_t)(200000000 + test_random_below(&seed, 10000000));
    item.point.lat_e7 = (int32_t)(630000000 + test_random_below(&seed, 10000000));
    item.min = item.max = item.point;
    theme_set_add(&item.themes, document % 7);
    return item;
}

static bool add_documents(void *context, const struct rtree_batch *batch)
{
    uint64_t *sum = context;

    for (size_t i = 0; i < batch->count; i++)
        sum[0] += batch->documents[i];
    sum[1] += batch->count;
    return true;
}

/* Each snapshot holds ITEMS items in a row; the first one's number stands beside them. */
static void read_once(struct town *town)
{
    struct rtree_query query = {.has_box = true,
                                .box = {19, 60, 24, 66},
                                .time_from_ms = INT64_MIN,
                                .time_through_ms = INT64_MAX};
    uint64_t sum[2] = {0}, first;
    struct span value;
    struct kv kv;

    assert_ok(store_read_begin(town->store, &kv));
    assert_ok(kv_get(&kv, KV_META, span_of_str("test/first"), &value));
    first = get_u32be(value.data);
    for (int n = 0; n < 3; n++) {
        sum[0] = sum[1] = 0;
        assert_ok(rtree_search(&kv, COLLECTION, &query, false, add_documents, sum, NULL));
        assert_int_equal(sum[1], ITEMS);
        assert_int_equal(sum[0], ITEMS * first + (uint64_t)ITEMS * (ITEMS - 1) / 2);
    }
    store_read_end(&kv);
    atomic_fetch_add(&town->reads, 1);
}

static void *reader_main(void *context)
{
    struct town *town = context;

    while (!atomic_load(&town->done))
        read_once(town);
    return NULL;
}

static void commit_step(struct store *store, uint32_t first, uint32_t step)
{
    uint8_t bytes[4];
    struct rtree_item item;
    struct rtree tree = {.collection = COLLECTION};
    struct kv kv;

    assert_ok(store_write_begin(store, &kv));
    tree.kv = &kv;
    for (uint32_t i = 0; i < step; i++) {
        item = item_at(first + i, 0);
        assert_ok(rtree_remove(&tree, &item));
        item = item_at(first + ITEMS + i, 0);
        assert_ok(rtree_insert(&tree, &item));
    }
    put_u32be(bytes, first + step);
    assert_ok(kv_put(&kv, KV_META, span_of_str("test/first"), span_of(bytes, sizeof(bytes))));
    assert_ok(store_write_commit(&kv));
}

static struct store *town_open(char *directory)
{
    struct store_options options = store_options_default();
    struct rtree_item *items = calloc(ITEMS, sizeof(*items));
    struct rtree tree = {.collection = COLLECTION};
    uint8_t bytes[4] = {0, 0, 0, 1};
    struct store *store;
    struct kv kv;

    assert_non_null(items);
    assert_non_null(mkdtemp(directory));
    options.map_bytes = UINT64_C(256) << 20;
    assert_ok(store_open(directory, &options, &store));
    for (uint32_t i = 0; i < ITEMS; i++)
        items[i] = item_at(1 + i, 0);
    assert_ok(store_write_begin(store, &kv));
    tree.kv = &kv;
    assert_ok(rtree_bulk_load(&tree, items, ITEMS));
    assert_ok(kv_put(&kv, KV_META, span_of_str("test/first"), span_of(bytes, sizeof(bytes))));
    assert_ok(store_write_commit(&kv));
    free(items);
    return store;
}

static void town_close(struct store *store, const char *directory)
{
    char command[64];

    store_close(store);
    snprintf(command, sizeof(command), "rm -r %s", directory);
    assert_int_equal(system(command), 0);
}

static void test_readers_during_commits(void **state)
{
    char directory[] = "/tmp/torg-table-XXXXXX";
    struct town town = {.store = town_open(directory)};
    pthread_t threads[THREADS];
    struct kv old;

    (void)state;
    assert_ok(store_read_begin(town.store, &old)); /* It keeps the first snapshot throughout. */
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reader_main, &town), 0);
    for (uint32_t i = 0, first = 1; i < COMMITS; i++) {
        uint32_t step = i % 7 == 0 ? 100 : 3;

        commit_step(town.store, first, step);
        first += step;
        read_once(&town);
    }
    atomic_store(&town.done, true);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    store_read_end(&old);
    assert_ok(store_read_begin(town.store, &old));
    assert_ok(rtree_check(&old, COLLECTION, NULL, NULL, NULL));
    store_read_end(&old);
    town_close(town.store, directory);
}

/* ---- values that move ---- */

#define DOCUMENTS 400
#define MOVES 40
#define COMBINATIONS 60

static struct span combination_key(uint16_t number, uint8_t key[4])
{
    key[0] = 0;
    key[1] = 'n';
    put_u16be(key + 2, number);
    return span_of(key, 4);
}

/* Some documents come, go and change their size, so that LMDB moves others; themes change. */
static void move_some(struct store *store, uint64_t *seed)
{
    static const uint8_t filling[3000] = {'{'};
    struct buffer packed = {0};
    uint8_t key[4], set[32] = {0};
    struct kv kv;

    assert_ok(store_write_begin(store, &kv));
    for (int n = 0; n < 30; n++) {
        struct catalogue_record record = {.collection = COLLECTION,
                                          .created_ms = (int64_t)test_random_below(seed, 1000000)};
        enum torg_err err;

        put_u32be(key, (uint32_t)test_random_below(seed, DOCUMENTS));
        record.feature = span_of(filling, 2 + test_random_below(seed, sizeof(filling) - 2));
        buffer_clear(&packed);
        catalogue_record_pack(&record, &packed);
        err = test_random_below(seed, 4)
                  ? kv_put(&kv, KV_DOCUMENT, span_of(key, sizeof(key)), buffer_span(&packed))
                  : kv_del(&kv, KV_DOCUMENT, span_of(key, sizeof(key)));
        assert_true(!err || err == TORG_E_NOT_FOUND);
    }
    for (uint16_t i = 0; i < COMBINATIONS; i++) {
        set[i % sizeof(set)] = (uint8_t)test_random_below(seed, 256);
        assert_ok(kv_put(&kv, KV_THEME, combination_key(300 + i, key), span_of(set, sizeof(set))));
    }
    assert_ok(store_write_commit(&kv));
    buffer_done(&packed);
}

/* A reader with a table gets what one without gets, the second time from the table. */
static void compare_moved(struct store *store, uint64_t *ret_from_table)
{
    struct catalogue_record got, want;
    struct theme_set got_set, want_set;
    struct kv kv, slow;

    assert_ok(store_read_begin(store, &kv));
    slow = kv;
    slow.table = NULL;
    for (uint32_t n = 0; n < 2 * DOCUMENTS; n++) {
        uint32_t number = n % DOCUMENTS;
        enum torg_err err = catalogue_record_get(&slow, number, &want);

        *ret_from_table += rtree_table_value(kv.table, RTREE_TABLE_DOCUMENTS, number).size > 0;
        catalogue_shown_soon(&kv, number);
        assert_int_equal(catalogue_record_get(&kv, number, &got), err);
        if (err)
            continue;
        assert_int_equal(got.created_ms, want.created_ms);
        assert_ptr_equal(got.feature.data, want.feature.data);
        assert_int_equal(got.feature.size, want.feature.size);
    }
    for (uint16_t i = 0; i < 2 * COMBINATIONS; i++) {
        assert_ok(rtree_item_themes(&slow, 300 + i % COMBINATIONS, &want_set));
        assert_ok(rtree_item_themes(&kv, 300 + i % COMBINATIONS, &got_set));
        assert_memory_equal(&got_set, &want_set, sizeof(want_set));
    }
    store_read_end(&kv);
}

static void test_values_that_move(void **state)
{
    char directory[] = "/tmp/torg-table-XXXXXX";
    struct store *store = town_open(directory);
    uint64_t seed = 11, from_table = 0;

    (void)state;
    for (unsigned i = 0; i < MOVES; i++) {
        move_some(store, &seed);
        compare_moved(store, &from_table);
        compare_moved(store, &from_table);
    }
    assert_true(from_table > MOVES * DOCUMENTS);
    town_close(store, directory);
}

/* ---- found before anybody asks ---- */

#define STEPS_MAX 100000

static unsigned warm_all(const struct kv *kv)
{
    struct catalogue_warm warm = {0};
    unsigned steps = 0;

    while (warm.phase != CATALOGUE_WARM_DONE && steps++ < STEPS_MAX)
        assert_ok(catalogue_warm_step(kv, &warm));
    assert_true(steps < STEPS_MAX);
    return steps;
}

/* Is every value of the table whose key is so long known, where it lies? How many there are. */
static unsigned check_known(const struct kv *kv, enum kv_table table, size_t key_bytes)
{
    struct kv_cursor *cursor;
    struct span key, value, known;
    unsigned count = 0;
    enum torg_err err;

    assert_ok(kv_cursor_open(kv, table, &cursor));
    err = kv_cursor_seek(kv, cursor, (struct span){0}, &key, &value);
    for (; !err; err = kv_cursor_next(kv, cursor, &key, &value)) {
        assert_int_equal(key.size, key_bytes);
        if (table == KV_DOCUMENT) {
            known = rtree_table_value(kv->table, RTREE_TABLE_DOCUMENTS, get_u32be(key.data));
            assert_int_equal(known.size, value.size);
            assert_ptr_equal(known.data, value.data);
        } else if (key.data[0] == COLLECTION && get_u32be(key.data + 1) > 0 &&
                   value.size == RTREE_NODE_BYTES_MAX) {
            assert_ptr_equal(rtree_table_find(kv->table, COLLECTION, get_u32be(key.data + 1)),
                             value.data);
        } else {
            continue;
        }
        count++;
    }
    assert_err(err, TORG_E_NOT_FOUND);
    kv_cursor_close(kv, cursor);
    return count;
}

/* What was left out would be slow and nothing else: nobody would notice. */
static void test_warm_finds_all(void **state)
{
    char directory[] = "/tmp/torg-table-XXXXXX";
    struct store *store = town_open(directory);
    uint64_t seed = 12;
    struct kv kv;

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        move_some(store, &seed);
        assert_ok(store_read_begin(store, &kv));
        (void)warm_all(&kv);
        assert_true(check_known(&kv, KV_RTREE, RTREE_KEY_BYTES) > ITEMS / RTREE_LEAF_MAX);
        assert_true(check_known(&kv, KV_DOCUMENT, 4) > 10);
        store_read_end(&kv);
    }
    town_close(store, directory);
}

/* An old snapshot's table grows no more: no walk may go on for it. */
static void test_warm_ends_with_its_snapshot(void **state)
{
    char directory[] = "/tmp/torg-table-XXXXXX";
    struct store *store = town_open(directory);
    struct catalogue_warm warm = {.phase = CATALOGUE_WARM_DOCUMENTS};
    uint64_t seed = 13, from_table = 0;
    struct kv kv;

    (void)state;
    move_some(store, &seed);
    assert_ok(store_read_begin(store, &kv));
    move_some(store, &seed);
    assert_ok(catalogue_warm_step(&kv, &warm));
    assert_int_equal(warm.phase, CATALOGUE_WARM_DONE);
    store_read_end(&kv);
    compare_moved(store, &from_table);
    town_close(store, directory);
}

#define FAR_DOCUMENTS 40000 /* each in a chunk of its own: more than there is room for */

static void test_warm_ends_without_room(void **state)
{
    static const uint8_t value[80];
    char directory[] = "/tmp/torg-table-XXXXXX";
    struct store *store = town_open(directory);
    uint8_t key[4];
    struct kv kv;

    (void)state;
    assert_true(FAR_DOCUMENTS * sizeof(struct rtree_table_chunk) > RTREE_TABLE_BYTES_MAX / 2);
    assert_ok(store_write_begin(store, &kv));
    for (uint32_t i = 0; i < FAR_DOCUMENTS; i++) {
        put_u32be(key, i * RTREE_TABLE_CHUNK);
        assert_ok(kv_put(&kv, KV_DOCUMENT, span_of(key, sizeof(key)), span_of(value, 80)));
    }
    assert_ok(store_write_commit(&kv));
    assert_ok(store_read_begin(store, &kv));
    assert_true(warm_all(&kv) < FAR_DOCUMENTS / CATALOGUE_WARM_VALUES);
    assert_true(check_known(&kv, KV_RTREE, RTREE_KEY_BYTES) > 0);
    store_read_end(&kv);
    town_close(store, directory);
}

static enum torg_err count_all(struct store *store, uint64_t *ret_count)
{
    struct rtree_query query = {.has_box = true,
                                .box = {-180, -90, 180, 89},
                                .time_from_ms = INT64_MIN + 1,
                                .time_through_ms = INT64_MAX};
    uint64_t sum[2] = {0};
    struct kv kv;
    enum torg_err err;

    assert_ok(store_read_begin(store, &kv));
    err = rtree_search(&kv, COLLECTION, &query, false, add_documents, sum, NULL);
    *ret_count = sum[1];
    store_read_end(&kv);
    return err;
}

static void put_node(struct store *store, uint32_t number, struct span bytes)
{
    uint8_t key[RTREE_KEY_BYTES];
    struct kv kv;

    assert_ok(store_write_begin(store, &kv));
    assert_ok(kv_put(&kv, KV_RTREE, rtree_node_key(COLLECTION, number, key), bytes));
    assert_ok(store_write_commit(&kv));
}

/* Damage is seen although the node was sound when it was last looked at, and so is its repair. */
static void test_damage_is_seen(void **state)
{
    char directory[] = "/tmp/torg-table-XXXXXX";
    struct store *store = town_open(directory);
    uint8_t key[RTREE_KEY_BYTES], sound[RTREE_NODE_BYTES_MAX], broken[RTREE_NODE_BYTES_MAX];
    struct span value;
    uint64_t count;
    struct kv kv;

    (void)state;
    assert_ok(count_all(store, &count));
    assert_int_equal(count, ITEMS);
    assert_ok(store_read_begin(store, &kv));
    assert_ok(kv_get(&kv, KV_RTREE, rtree_node_key(COLLECTION, 3, key), &value));
    assert_int_equal(value.size, sizeof(sound));
    memcpy(sound, value.data, sizeof(sound));
    store_read_end(&kv);
    memcpy(broken, sound, sizeof(sound));
    memset(broken + RTREE_NODE_HEADER_BYTES, 0x7f, 64); /* a longitude that is none */
    put_node(store, 3, span_of(broken, sizeof(broken)));
    assert_ok(store_read_begin(store, &kv));
    (void)warm_all(&kv); /* It passes by. */
    store_read_end(&kv);
    assert_err(count_all(store, &count), TORG_E_CORRUPT);
    assert_err(count_all(store, &count), TORG_E_CORRUPT);
    put_node(store, 3, span_of(sound, sizeof(sound)));
    assert_ok(count_all(store, &count));
    assert_int_equal(count, ITEMS);
    put_node(store, 3, span_of(sound, 8)); /* Not a node at all, and in a page that moves. */
    assert_err(count_all(store, &count), TORG_E_CORRUPT);
    put_node(store, 3, span_of(sound, sizeof(sound)));
    assert_ok(count_all(store, &count));
    town_close(store, directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_agrees_with_model),
        cmocka_unit_test(test_memory_is_bounded),
        cmocka_unit_test(test_readers_during_commits),
        cmocka_unit_test(test_damage_is_seen),
        cmocka_unit_test(test_values_that_move),
        cmocka_unit_test(test_documents_leave_room),
        cmocka_unit_test(test_warm_finds_all),
        cmocka_unit_test(test_warm_ends_with_its_snapshot),
        cmocka_unit_test(test_warm_ends_without_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

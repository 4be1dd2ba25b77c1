/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/warm.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "index/rtree_table.h"
#include "tests/support/test.h"

/*
 * A thread that finds nothing, or only once, costs nobody an answer, only time: so the table of
 * the newest snapshot is watched until the thread has filled it.
 */
#define DOCUMENTS 5000
#define WAIT_MS_MAX 60000

static struct store *store_new(char *directory)
{
    struct store_options options = store_options_default();
    struct store *store;

    if (!mkdtemp(directory))
        fail_msg("mkdtemp failed");
    assert_ok(store_open(directory, &options, &store));
    return store;
}

static void store_remove(struct store *store, const char *directory)
{
    static const char *const files[] = {"torg.mdb", "torg.mdb-lock", "torg.journal", "torg.lock"};
    char path[256];

    store_close(store);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        snprintf(path, sizeof(path), "%s/%s", directory, files[i]);
        unlink(path);
    }
    rmdir(directory);
}

static void put_documents(struct store *store, uint8_t filling)
{
    uint8_t key[4], value[100];
    struct kv kv;

    memset(value, filling, sizeof(value));
    assert_ok(store_write_begin(store, &kv));
    for (uint32_t i = 0; i < DOCUMENTS; i++) {
        put_u32be(key, i);
        assert_ok(
            kv_put(&kv, KV_DOCUMENT, span_of(key, sizeof(key)), span_of(value, sizeof(value))));
    }
    assert_ok(store_write_commit(&kv));
}

static unsigned known(struct store *store)
{
    struct kv kv;
    unsigned count = 0;

    assert_ok(store_read_begin(store, &kv));
    for (uint32_t i = 0; i < DOCUMENTS; i++)
        count += rtree_table_value(kv.table, RTREE_TABLE_DOCUMENTS, i).size > 0;
    store_read_end(&kv);
    return count;
}

static void wait_until_known(struct store *store)
{
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS_MAX;

    while (known(store) < DOCUMENTS) {
        assert_true(clock_monotonic_ms() < until_ms);
        usleep(5000);
    }
}

/* Each new snapshot knows none of them, and is found again. */
static void test_each_snapshot_is_found(void **state)
{
    char directory[] = "/tmp/torg-warm-XXXXXX";
    struct store *store = store_new(directory);
    struct warm *warm;

    (void)state;
    put_documents(store, 1);
    assert_int_equal(known(store), 0);
    assert_ok(warm_new(store, &warm));
    wait_until_known(store);
    put_documents(store, 2);
    wait_until_known(store);
    warm_free(warm);
    store_remove(store, directory);
}

/* It ends at once, also where there is nothing. */
static void test_empty_store(void **state)
{
    char directory[] = "/tmp/torg-warm-XXXXXX";
    struct store *store = store_new(directory);
    struct warm *warm;

    (void)state;
    assert_ok(warm_new(store, &warm));
    warm_free(warm);
    warm_free(NULL);
    store_remove(store, directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_snapshot_is_found),
        cmocka_unit_test(test_empty_store),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

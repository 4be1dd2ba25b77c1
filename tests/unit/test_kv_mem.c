/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/kv_mem.h"
#include "tests/support/test.h"

#define KEYS 200

/* What a store should hold: for each key its value, or nothing. */
struct model {
    int values[KEYS]; /* -1: absent */
};

static struct span key_of(int i, char text[16])
{
    return span_of(text, (size_t)snprintf(text, 16, "%d", i));
}

static void model_clear(struct model *model)
{
    for (int i = 0; i < KEYS; i++)
        model->values[i] = -1;
}

static void random_edit(struct kv *kv, struct model *model, uint64_t *random)
{
    int i = (int)test_random_below(random, KEYS);
    int value = (int)test_random_below(random, 1000);
    char key[16], text[16];

    if (test_random_below(random, 3)) {
        assert_ok(kv_put(kv, KV_LIVE, key_of(i, key), key_of(value, text)));
        model->values[i] = value;
    } else {
        assert_err(kv_del(kv, KV_LIVE, key_of(i, key)),
                   model->values[i] < 0 ? TORG_E_NOT_FOUND : TORG_OK);
        model->values[i] = -1;
    }
}

static void assert_holds(const struct kv *kv, const struct model *model)
{
    struct kv_cursor *cursor;
    struct span key, value, last = {0};
    char text[16], wanted[16];
    int count = 0;
    enum torg_err err;

    for (int i = 0; i < KEYS; i++) {
        err = kv_get(kv, KV_LIVE, key_of(i, text), &value);
        assert_int_equal(err, model->values[i] < 0 ? TORG_E_NOT_FOUND : TORG_OK);
        if (err)
            continue;
        assert_true(span_equal(value, key_of(model->values[i], wanted)));
        count++;
    }
    assert_ok(kv_cursor_open(kv, KV_LIVE, &cursor));
    for (err = kv_cursor_seek(kv, cursor, span_of("", 1), &key, &value); !err;
         err = kv_cursor_next(kv, cursor, &key, &value)) {
        assert_true(last.size == 0 || span_compare(last, key) < 0);
        last = key;
        count--;
    }
    assert_err(err, TORG_E_NOT_FOUND);
    assert_int_equal(count, 0);
    kv_cursor_close(kv, cursor);
}

/* A store that lost or invented an entry would make every test above it lie. */
static void test_agrees_with_a_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct model committed, working;
        uint64_t random = seed;
        struct kv_mem *mem;

        model_clear(&committed);
        assert_ok(kv_mem_new(&mem));
        for (int round = 0; round < 20; round++) {
            struct kv write, read;

            working = committed;
            assert_ok(kv_mem_write_begin(mem, &write));
            for (int i = 0; i < 30; i++)
                random_edit(&write, &working, &random);
            assert_holds(&write, &working);
            assert_ok(kv_mem_read_begin(mem, &read));
            if (test_random_below(&random, 3)) {
                assert_ok(kv_mem_write_commit(&write));
                assert_holds(&read, &committed); /* A reader sees what it began with. */
                committed = working;
            } else {
                kv_mem_write_abort(&write);
            }
            kv_mem_read_end(&read);
            assert_ok(kv_mem_read_begin(mem, &read));
            assert_holds(&read, &committed);
            kv_mem_read_end(&read);
        }
        kv_mem_free(mem);
    }
}

/* A clone that shared later writes would let a crashed node remember them. */
static void test_clone_and_restore(void **state)
{
    struct kv_mem *mem, *backup;
    struct model old, new;
    uint64_t random = 7;
    struct kv kv;

    (void)state;
    model_clear(&old);
    assert_ok(kv_mem_new(&mem));
    assert_ok(kv_mem_write_begin(mem, &kv));
    for (int i = 0; i < 300; i++)
        random_edit(&kv, &old, &random);
    assert_ok(kv_mem_write_commit(&kv));
    assert_ok(kv_mem_clone(mem, &backup));
    new = old;
    assert_ok(kv_mem_write_begin(mem, &kv));
    for (int i = 0; i < 300; i++)
        random_edit(&kv, &new, &random);
    assert_ok(kv_mem_write_commit(&kv));

    assert_ok(kv_mem_read_begin(backup, &kv));
    assert_holds(&kv, &old);
    kv_mem_read_end(&kv);
    assert_ok(kv_mem_read_begin(mem, &kv));
    assert_holds(&kv, &new);
    kv_mem_read_end(&kv);
    kv_mem_restore(mem, backup);
    assert_ok(kv_mem_read_begin(mem, &kv));
    assert_holds(&kv, &old);
    kv_mem_read_end(&kv);
    kv_mem_free(backup);
    kv_mem_free(mem);
}

/* A fault that let half a transaction through would test nothing. */
static void test_faults_leave_what_was_committed(void **state)
{
    struct kv_mem *mem;
    struct kv kv;
    struct span value;

    (void)state;
    assert_ok(kv_mem_new(&mem));
    for (uint64_t after = 0; after < 3; after++) {
        enum torg_err err;

        kv_mem_fail_after(mem, after, TORG_E_FULL);
        assert_ok(kv_mem_write_begin(mem, &kv));
        err = kv_put(&kv, KV_META, span_of_str("a"), span_of_str("1"));
        assert_int_equal(err, after == 0 ? TORG_E_FULL : TORG_OK);
        err = kv_put(&kv, KV_META, span_of_str("b"), span_of_str("2"));
        assert_int_equal(err, after <= 1 ? TORG_E_FULL : TORG_OK);
        assert_err(kv_mem_write_commit(&kv), TORG_E_FULL);
        assert_ok(kv_mem_read_begin(mem, &kv));
        assert_err(kv_get(&kv, KV_META, span_of_str("a"), &value), TORG_E_NOT_FOUND);
        kv_mem_read_end(&kv);
    }
    assert_int_equal(kv_mem_commits(mem), 0);
    kv_mem_free(mem);
}

static void test_dump_tells_states_apart(void **state)
{
    struct buffer before = {0}, after = {0};
    struct kv_mem *mem;
    struct kv kv;

    (void)state;
    assert_ok(kv_mem_new(&mem));
    kv_mem_strict(mem, true);
    assert_ok(kv_mem_write_begin(mem, &kv));
    assert_ok(kv_put(&kv, KV_META, span_of_str("a"), span_of_str("1")));
    assert_ok(kv_mem_dump(&kv, &before));
    assert_ok(kv_put(&kv, KV_META, span_of_str("a"), span_of_str("")));
    assert_ok(kv_mem_dump(&kv, &after));
    assert_false(span_equal(buffer_span(&before), buffer_span(&after)));
    buffer_clear(&after);
    assert_ok(kv_put(&kv, KV_META, span_of_str("a"), span_of_str("1")));
    assert_ok(kv_mem_dump(&kv, &after));
    assert_true(span_equal(buffer_span(&before), buffer_span(&after)));
    kv_mem_write_abort(&kv);
    buffer_done(&before);
    buffer_done(&after);
    kv_mem_free(mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agrees_with_a_model),
        cmocka_unit_test(test_clone_and_restore),
        cmocka_unit_test(test_faults_leave_what_was_committed),
        cmocka_unit_test(test_dump_tells_states_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

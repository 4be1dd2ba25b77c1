/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#include "index/answer.h"
#include "protocol/seal.h"
#include "tests/support/kv_mem.h"

/* An answer that is forgotten too early makes a listing twice; one that is kept for ever fills the
 * disk. */
#define NOW_MS 1790000000000

static struct answer answer_of(uint8_t seed, int64_t at_ms)
{
    struct answer answer = {.collection = seed, .at_ms = at_ms};

    memset(&answer.id, seed, sizeof(answer.id));
    memset(answer.request, seed, sizeof(answer.request));
    return answer;
}

static size_t entries(const struct kv *kv)
{
    struct kv_cursor *cursor;
    struct span key, value;
    size_t count = 0;
    enum torg_err err;

    assert_ok(kv_cursor_open(kv, KV_ANSWER, &cursor));
    for (err = kv_cursor_seek(kv, cursor, span_of("", 1), &key, &value); !err;
         err = kv_cursor_next(kv, cursor, &key, &value))
        count++;
    kv_cursor_close(kv, cursor);
    return count;
}

static void test_kept_for_a_day(void **state)
{
    struct kv_mem *mem;
    struct answer_key a = answer_key_of("0011", span_of_str("one")),
                      b = answer_key_of("0011", span_of_str("two")),
                      c = answer_key_of("0022", span_of_str("one"));
    struct answer put = answer_of(5, NOW_MS), got;
    struct kv kv;

    (void)state;
    assert_memory_not_equal(a.bytes, b.bytes, sizeof(a.bytes));
    assert_memory_not_equal(a.bytes, c.bytes, sizeof(a.bytes)); /* each token has its own keys */
    assert_ok(kv_mem_new(&mem));
    assert_ok(kv_mem_write_begin(mem, &kv));
    assert_err(answer_find(&kv, &a, NOW_MS, &got), TORG_E_NOT_FOUND);
    assert_ok(answer_put(&kv, &a, &put));
    assert_ok(answer_find(&kv, &a, NOW_MS + ANSWER_KEPT_MS, &got));
    assert_int_equal(got.collection, 5);
    assert_int_equal(got.at_ms, NOW_MS);
    assert_memory_equal(&got.id, &put.id, sizeof(got.id));
    assert_memory_equal(got.request, put.request, sizeof(got.request));
    assert_err(answer_find(&kv, &b, NOW_MS, &got), TORG_E_NOT_FOUND);
    assert_err(answer_find(&kv, &a, NOW_MS + ANSWER_KEPT_MS + 1, &got), TORG_E_NOT_FOUND);
    assert_ok(kv_mem_write_commit(&kv));
    kv_mem_free(mem);
}

/* A thousand a day for twenty days: never more than two days' worth are there. */
static void test_old_ones_go(void **state)
{
    struct kv_mem *mem;
    struct answer got;
    struct kv kv;

    (void)state;
    assert_ok(kv_mem_new(&mem));
    assert_ok(kv_mem_write_begin(mem, &kv));
    for (int64_t i = 0; i < 20000; i++) {
        struct answer put = answer_of((uint8_t)i, NOW_MS + i * (ANSWER_KEPT_MS / 1000));
        char text[32];
        struct answer_key key;

        (void)snprintf(text, sizeof(text), "key %lld", (long long)(i % 1500)); /* some again */
        key = answer_key_of("0011", span_of_str(text));
        assert_ok(answer_put(&kv, &key, &put));
        assert_ok(answer_find(&kv, &key, put.at_ms, &got));
        assert_int_equal(got.at_ms, put.at_ms);
        if (i % 1000 == 999)
            assert_true(entries(&kv) <= 4 * 1000);
    }
    assert_ok(kv_mem_write_commit(&kv));
    kv_mem_free(mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept_for_a_day),
        cmocka_unit_test(test_old_ones_go),
    };

    assert_ok(seal_init());
    return cmocka_run_group_tests(tests, NULL, NULL);
}

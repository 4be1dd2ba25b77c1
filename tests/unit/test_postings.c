/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdio.h>
#include <stdlib.h>

#include "index/postings_internal.h"
#include "tests/support/kv_mem.h"
#include "tests/support/test.h"

/*
 * The model: for each of a few keys, a sorted list of numbers, changed one by
 * one. Numbers lie close together and far apart, so that lists become arrays,
 * bits and runs, and short and long again.
 */
#define KEYS 6
#define NUMBERS_MAX 60000
#define FILLERS 4200 /* more than POSTINGS_RUN_LISTS_MIN */

struct model {
    uint32_t *numbers[KEYS];
    size_t counts[KEYS];
    /* Of lists that are there only so that a flush changes many: one number each, of those that
     * have one. */
    bool fillers[FILLERS];
    size_t filler_count;
};

static const char *const keys[KEYS] = {"a", "ab", "abc", "b", "zzzzzzzzzzzz", "\x01"};

static struct span key_of(size_t i)
{
    return span_of_str(keys[i]);
}

static size_t model_at(const struct model *model, size_t key, uint32_t number)
{
    size_t low = 0, high = model->counts[key];

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (model->numbers[key][middle] < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool model_has(const struct model *model, size_t key, uint32_t number)
{
    size_t at = model_at(model, key, number);

    return at < model->counts[key] && model->numbers[key][at] == number;
}

/* In, or out if it is in. */
static void model_turn(struct model *model, size_t key, uint32_t number)
{
    size_t at = model_at(model, key, number);
    uint32_t *numbers = model->numbers[key];
    size_t *count = &model->counts[key];

    if (at < *count && numbers[at] == number) {
        --*count;
        memmove(numbers + at, numbers + at + 1, (*count - at) * sizeof(*numbers));
        return;
    }
    assert_true(*count < NUMBERS_MAX);
    memmove(numbers + at + 1, numbers + at, (*count - at) * sizeof(*numbers));
    numbers[at] = number;
    ++*count;
}

static void model_init(struct model *model)
{
    for (size_t i = 0; i < KEYS; i++) {
        model->numbers[i] = calloc(NUMBERS_MAX, sizeof(uint32_t));
        model->counts[i] = 0;
        assert_non_null(model->numbers[i]);
    }
}

static void model_done(struct model *model)
{
    for (size_t i = 0; i < KEYS; i++)
        free(model->numbers[i]);
}

static void turn(struct model *model, struct postings_writer *writer, size_t key, uint32_t number)
{
    if (model_has(model, key, number))
        assert_ok(postings_remove(writer, 7, key_of(key), number));
    else
        assert_ok(postings_add(writer, 7, key_of(key), number));
    model_turn(model, key, number);
}

static void assert_set(const struct postings_set *set, const uint32_t *numbers, size_t count)
{
    uint32_t got[257];
    uint32_t from = 0;
    size_t at = 0;
    size_t read;

    assert_int_equal(postings_set_count(set), count);
    while ((read = postings_set_read(set, from, got, ARRAY_SIZE(got))) > 0) {
        assert_true(at + read <= count);
        assert_memory_equal(got, numbers + at, read * sizeof(*got));
        at += read;
        from = got[read - 1] + 1;
        if (from == 0)
            break;
    }
    assert_int_equal(at, count);
}

static void no_trouble(void *context, const char *what)
{
    (void)context;
    fail_msg("%s", what);
}

static void compare_lists(const struct kv *kv, const struct model *model, uint64_t *random)
{
    uint64_t pairs = 0, all = model->filler_count;

    for (size_t i = 0; i < KEYS; i++) {
        struct postings_set set = {0};
        uint64_t count, work = 0;
        bool there;

        assert_ok(postings_count(kv, 7, key_of(i), &count));
        assert_int_equal(count, model->counts[i]);
        assert_ok(postings_or(kv, 7, key_of(i), &set, &work));
        assert_true(work >= 1);
        assert_set(&set, model->numbers[i], model->counts[i]);
        for (size_t j = 0; j < 20; j++) {
            uint32_t number = (uint32_t)test_random_below(random, 300000);

            if (j % 2 && model->counts[i])
                number = model->numbers[i][test_random_below(random, model->counts[i])];
            assert_ok(postings_contains(kv, 7, key_of(i), number, &there));
            assert_int_equal(there, model_has(model, i, number));
            assert_int_equal(postings_set_contains(&set, number), there);
        }
        postings_set_done(&set);
        all += count;
    }
    assert_ok(postings_check(kv, no_trouble, NULL, &pairs));
    assert_int_equal(pairs, all);
}

/* and, or, andnot of two lists, by one number after the other. */
static void compare_operations(const struct kv *kv, const struct model *model, size_t a, size_t b)
{
    uint32_t *want = calloc(2 * NUMBERS_MAX, sizeof(*want));
    struct postings_set left = {0}, right = {0}, set = {0};
    size_t count = 0;

    assert_non_null(want);
    assert_ok(postings_or(kv, 7, key_of(a), &left, NULL));
    assert_ok(postings_or(kv, 7, key_of(b), &right, NULL));
    for (size_t i = 0; i < model->counts[a]; i++) {
        if (model_has(model, b, model->numbers[a][i]))
            want[count++] = model->numbers[a][i];
    }
    assert_int_equal(postings_set_and_count(&left, &right), count);
    assert_ok(postings_set_copy(&left, &set));
    assert_ok(postings_and(kv, 7, key_of(b), &set, NULL));
    assert_set(&set, want, count);
    postings_set_done(&set);
    assert_ok(postings_set_copy(&left, &set));
    assert_ok(postings_set_and(&set, &right));
    assert_set(&set, want, count);
    postings_set_done(&set);

    count = 0;
    for (size_t i = 0; i < model->counts[a]; i++) {
        if (!model_has(model, b, model->numbers[a][i]))
            want[count++] = model->numbers[a][i];
    }
    assert_ok(postings_set_copy(&left, &set));
    assert_ok(postings_set_andnot(&set, &right));
    assert_set(&set, want, count);
    assert_ok(postings_set_or(&set, &right));
    assert_int_equal(postings_set_count(&set), count + model->counts[b]);
    for (size_t i = 0; i < model->counts[b]; i++)
        assert_true(postings_set_contains(&set, model->numbers[b][i]));
    postings_set_done(&set);
    postings_set_done(&left);
    postings_set_done(&right);
    free(want);
}

/* Some changes: single numbers, a run, or all that there is taken away. */
static void change(struct model *model, struct postings_writer *writer, uint64_t *random)
{
    size_t key = test_random_below(random, KEYS);
    uint32_t from = (uint32_t)test_random_below(random, 260000);

    switch (test_random_below(random, 8)) {
    case 0: /* A run, of which some may be there: they turn. */
        for (uint32_t i = 0; i < 6000 && model->counts[key] < NUMBERS_MAX - 10000; i++)
            turn(model, writer, key, from + i);
        break;
    case 1: /* Bits. */
        for (uint32_t i = 0; i < 5000 && model->counts[key] < NUMBERS_MAX - 10000; i++)
            turn(model, writer, key, from + 3 * i);
        break;
    case 2:
        while (model->counts[key] > test_random_below(random, 40))
            turn(model, writer, key,
                 model->numbers[key][test_random_below(random, model->counts[key])]);
        break;
    case 3: /* In and out again, in one transaction. */
        turn(model, writer, key, from);
        turn(model, writer, key, from);
        break;
    default:
        for (size_t i = 0; i < 30; i++)
            turn(model, writer, key, (uint32_t)test_random_below(random, 300000));
        turn(model, writer, key, UINT32_MAX - (uint32_t)test_random_below(random, 3));
    }
}

/* A list that is not what the listings say hides some of them, or shows others. */
static void test_postings_equal_plain_lists(void **state)
{
    static const uint64_t seeds[] = {1, 2, 3, 4, 0xfe11};

    (void)state;
    for (size_t s = 0; s < ARRAY_SIZE(seeds); s++) {
        struct postings_writer writer = {0};
        uint64_t random = seeds[s];
        struct kv_mem *mem;
        struct model model = {0};
        struct kv kv;

        model_init(&model);
        assert_ok(kv_mem_new(&mem));
        kv_mem_strict(mem, true);
        for (size_t round = 0; round < 25; round++) {
            size_t changes = 1 + test_random_below(&random, 6);

            assert_ok(kv_mem_write_begin(mem, &kv));
            for (size_t i = 0; i < changes; i++)
                change(&model, &writer, &random);
            assert_ok(postings_flush(&writer, &kv));
            assert_int_equal(postings_pending(&writer), 0);
            compare_lists(&kv, &model, &random);
            assert_ok(kv_mem_write_commit(&kv));
        }
        assert_ok(kv_mem_read_begin(mem, &kv));
        for (size_t a = 0; a < KEYS; a++)
            compare_operations(&kv, &model, a, (a + 1) % KEYS);
        kv_mem_read_end(&kv);
        postings_writer_done(&writer);
        model_done(&model);
        kv_mem_free(mem);
    }
}

/* Each filler turns: a flush that changes so many lists lets those of the short ones wait. */
static void turn_fillers(struct model *model, struct postings_writer *writer)
{
    for (size_t i = 0; i < FILLERS; i++) {
        uint8_t key[4];

        put_u32be(key, (uint32_t)(i * 7919));
        if (model->fillers[i])
            assert_ok(postings_remove(writer, 8, span_of(key, sizeof(key)), (uint32_t)i));
        else
            assert_ok(postings_add(writer, 8, span_of(key, sizeof(key)), (uint32_t)i));
        model->fillers[i] = !model->fillers[i];
    }
    model->filler_count = model->fillers[0] ? FILLERS : 0;
}

/* The lists of the kind, in their order, against the model. */
static void compare_walk(const struct kv *kv, const struct model *model)
{
    static const size_t order[KEYS] = {5, 0, 1, 2, 3, 4};
    struct postings_walk walk;
    struct span key;
    uint64_t count, both;
    size_t at = 0;
    enum torg_err err;

    assert_ok(postings_walk_open(&walk, kv, 7, (struct span){0}));
    while (!(err = postings_walk_next(&walk, &key, &count))) {
        struct postings_set set = {0};

        while (at < KEYS && model->counts[order[at]] == 0)
            at++;
        assert_true(at < KEYS);
        assert_true(span_equal(key, key_of(order[at])));
        assert_int_equal(count, model->counts[order[at]]);
        assert_ok(postings_walk_or(&walk, &set, NULL));
        assert_set(&set, model->numbers[order[at]], model->counts[order[at]]);
        assert_ok(postings_walk_and_count(&walk, &set, &both, NULL));
        assert_int_equal(both, count);
        postings_set_done(&set);
        at++;
    }
    assert_err(err, TORG_E_NOT_FOUND);
    postings_walk_close(&walk);
    while (at < KEYS)
        assert_int_equal(model->counts[order[at++]], 0);
}

static void assert_table_equal(const struct kv *a, const struct kv *b, enum kv_table table)
{
    static const uint8_t lowest[1] = {0};
    struct kv_cursor *left, *right;
    struct span left_key, left_value, right_key, right_value;
    enum torg_err err, other;

    assert_ok(kv_cursor_open(a, table, &left));
    assert_ok(kv_cursor_open(b, table, &right));
    err = kv_cursor_seek(a, left, span_of(lowest, 1), &left_key, &left_value);
    other = kv_cursor_seek(b, right, span_of(lowest, 1), &right_key, &right_value);
    while (!err && !other) {
        assert_true(span_equal(left_key, right_key));
        assert_true(span_equal(left_value, right_value));
        err = kv_cursor_next(a, left, &left_key, &left_value);
        other = kv_cursor_next(b, right, &right_key, &right_value);
    }
    assert_err(err, TORG_E_NOT_FOUND);
    assert_err(other, TORG_E_NOT_FOUND);
    kv_cursor_close(a, left);
    kv_cursor_close(b, right);
}

/* Equal sets have equal bytes: the same lists, put in without any change that waited. */
static void compare_bytes(const struct kv *kv, const struct model *model)
{
    struct postings_writer writer = {0};
    struct kv_mem *mem;
    struct kv plain;

    assert_ok(kv_mem_new(&mem));
    assert_ok(kv_mem_write_begin(mem, &plain));
    for (size_t i = 0; i < KEYS; i++) {
        for (size_t j = 0; j < model->counts[i]; j++)
            assert_ok(postings_add(&writer, 7, key_of(i), model->numbers[i][j]));
    }
    for (size_t i = 0; i < FILLERS; i++) {
        uint8_t key[4];

        put_u32be(key, (uint32_t)(i * 7919));
        if (model->fillers[i])
            assert_ok(postings_add(&writer, 8, span_of(key, sizeof(key)), (uint32_t)i));
        if (i % 1000 == 0)
            assert_ok(postings_flush(&writer, &plain));
    }
    assert_ok(postings_flush(&writer, &plain));
    assert_table_equal(kv, &plain, KV_TERM);
    assert_table_equal(kv, &plain, KV_POSTING);
    assert_table_equal(kv, &plain, KV_RUN);
    kv_mem_write_abort(&plain);
    postings_writer_done(&writer);
    kv_mem_free(mem);
}

static uint64_t unmerged(const struct kv *kv)
{
    uint64_t lists;

    assert_ok(postings_unmerged(kv, &lists));
    return lists;
}

/* What a large write leaves to be merged counts as what is merged, and becomes the same. */
static void test_changes_that_wait_are_seen(void **state)
{
    struct postings_writer writer = {0};
    uint64_t random = 77;
    struct kv_mem *mem;
    struct model model = {0};
    size_t merged, waited = 0;
    struct kv kv;

    (void)state;
    model_init(&model);
    assert_ok(kv_mem_new(&mem));
    kv_mem_strict(mem, true);
    for (size_t round = 0; round < 60; round++) {
        size_t changes = 1 + test_random_below(&random, 6);

        assert_ok(kv_mem_write_begin(mem, &kv));
        if (round % 3)
            turn_fillers(&model, &writer);
        for (size_t i = 0; i < changes; i++)
            change(&model, &writer, &random);
        assert_ok(postings_flush(&writer, &kv));
        if (round % 3)
            assert_true(unmerged(&kv) >= FILLERS);
        if (round % 5 == 0)
            assert_ok(postings_merge(&kv, test_random_below(&random, 3000), &merged));
        waited += unmerged(&kv);
        compare_lists(&kv, &model, &random);
        compare_walk(&kv, &model);
        assert_ok(kv_mem_write_commit(&kv));
    }
    assert_true(waited > 0);
    assert_ok(kv_mem_write_begin(mem, &kv));
    do {
        assert_ok(postings_merge(&kv, 10000, &merged));
    } while (merged == 10000);
    assert_int_equal(unmerged(&kv), 0);
    compare_lists(&kv, &model, &random);
    compare_bytes(&kv, &model);
    assert_ok(kv_mem_write_commit(&kv));
    postings_writer_done(&writer);
    model_done(&model);
    kv_mem_free(mem);
}

static size_t run_count(const struct kv *kv)
{
    struct postings_runs runs;

    assert_ok(postings_runs_get(kv, &runs));
    return runs.count;
}

/* However long nobody has time to merge, a look-up has so many runs to see, and no more. */
static void test_runs_do_not_grow_without_end(void **state)
{
    struct postings_writer writer = {0};
    struct kv_mem *mem;
    struct model model = {0};
    size_t most = 0, last = 0, fell = 0;
    uint64_t random = 3;
    struct kv kv;

    (void)state;
    model_init(&model);
    assert_ok(kv_mem_new(&mem));
    assert_ok(kv_mem_write_begin(mem, &kv));
    for (size_t round = 0; round < 201; round++) {
        turn_fillers(&model, &writer);
        turn(&model, &writer, round % KEYS, (uint32_t)round / KEYS);
        assert_ok(postings_flush(&writer, &kv));
        fell += run_count(&kv) < last;
        last = run_count(&kv);
        most = last > most ? last : most;
    }
    assert_true(most < 100);
    assert_true(fell > 0);
    compare_lists(&kv, &model, &random);
    kv_mem_write_abort(&kv);
    postings_writer_done(&writer);
    model_done(&model);
    kv_mem_free(mem);
}

/* A word that other forms lead to must be known at once when it comes and when it goes. */
static void test_words_with_forms_do_not_wait(void **state)
{
    struct postings_writer writer = {0};
    struct postings_runs runs;
    struct kv_mem *mem;
    struct model model = {0};
    struct span value;
    struct kv kv;

    (void)state;
    assert_ok(kv_mem_new(&mem));
    assert_ok(kv_mem_write_begin(mem, &kv));
    turn_fillers(&model, &writer);
    assert_ok(postings_add(&writer, POSTINGS_NAME, span_of("stuga\0\1", 7), 5));
    assert_ok(postings_add(&writer, POSTINGS_NAME, span_of("17345\0\1", 7), 5));
    assert_ok(postings_flush(&writer, &kv));
    assert_ok(kv_get(&kv, KV_TERM, span_of("\x10stuga\0\1", 8), &value));
    assert_err(kv_get(&kv, KV_TERM,
                      span_of("\x10"
                              "17345\0\1",
                              8),
                      &value),
               TORG_E_NOT_FOUND);
    assert_ok(postings_runs_get(&kv, &runs));
    assert_int_equal(runs.count, 1);
    assert_int_equal(runs.runs[0].lists, FILLERS + 1);
    kv_mem_write_abort(&kv);
    postings_writer_done(&writer);
    kv_mem_free(mem);
}

static void assert_walk(const struct kv *kv, const char *prefix, const char *const *want)
{
    struct postings_walk walk;
    struct span key;
    uint64_t count;
    size_t at = 0;
    enum torg_err err;

    assert_ok(postings_walk_open(&walk, kv, 7, span_of_str(prefix)));
    while (!(err = postings_walk_next(&walk, &key, &count))) {
        struct postings_set set = {0};

        assert_non_null(want[at]);
        assert_true(span_equal(key, span_of_str(want[at++])));
        assert_ok(postings_walk_or(&walk, &set, NULL));
        assert_int_equal(postings_set_count(&set), count);
        postings_set_done(&set);
    }
    assert_err(err, TORG_E_NOT_FOUND);
    assert_null(want[at]);
    postings_walk_close(&walk);
}

/* Type-ahead: a walk that leaves its prefix or its kind suggests what was not typed. */
static void test_a_walk_keeps_to_its_prefix(void **state)
{
    static const char *const ab[] = {"ab", "aba", "abb", NULL};
    static const char *const all[] = {"a", "ab", "aba", "abb", "ac", NULL};
    static const char *const none[] = {NULL};
    struct postings_writer writer = {0};
    struct kv_mem *mem;
    struct kv kv;

    (void)state;
    assert_ok(kv_mem_new(&mem));
    assert_ok(kv_mem_write_begin(mem, &kv));
    for (size_t i = 0; all[i]; i++) {
        for (uint32_t number = 1; number <= 1 + 20 * i; number++)
            assert_ok(postings_add(&writer, 7, span_of_str(all[i]), number * 7));
    }
    assert_ok(postings_add(&writer, 6, span_of_str("ab"), 1));
    assert_ok(postings_add(&writer, 8, span_of_str("ab"), 1));
    assert_ok(postings_flush(&writer, &kv));
    assert_walk(&kv, "ab", ab);
    assert_walk(&kv, "", all);
    assert_walk(&kv, "abbb", none);
    kv_mem_write_abort(&kv);
    postings_writer_done(&writer);
    kv_mem_free(mem);
}

/* Tables that contradict each other must be noticed, not made worse. */
static void test_impossible_changes_are_refused(void **state)
{
    struct kv_mem *mem;

    (void)state;
    assert_ok(kv_mem_new(&mem));
    for (uint32_t count = 1; count <= 100; count += 99) {
        struct postings_writer writer = {0};
        struct kv kv;

        assert_ok(kv_mem_write_begin(mem, &kv));
        for (uint32_t i = 0; i < count; i++)
            assert_ok(postings_add(&writer, 7, span_of_str("a"), i));
        assert_ok(postings_flush(&writer, &kv));
        assert_ok(postings_add(&writer, 7, span_of_str("a"), 0));
        assert_err(postings_flush(&writer, &kv), TORG_E_CORRUPT);
        postings_writer_done(&writer);
        assert_ok(postings_remove(&writer, 7, span_of_str("a"), 1000));
        assert_err(postings_flush(&writer, &kv), TORG_E_CORRUPT);
        postings_writer_done(&writer);
        assert_ok(postings_remove(&writer, 7, span_of_str("b"), 1));
        assert_err(postings_flush(&writer, &kv), TORG_E_CORRUPT);
        postings_writer_done(&writer);
        kv_mem_write_abort(&kv);
    }
    kv_mem_free(mem);
}

static enum torg_err note_turn(void *context, struct kv *kv, uint8_t kind, struct span key,
                               bool born)
{
    char *text = context;

    (void)kv;
    assert_int_equal(kind, 7);
    snprintf(text + strlen(text), 64 - strlen(text), "%c%.*s ", born ? '+' : '-', (int)key.size,
             (const char *)key.data);
    return TORG_OK;
}

/* Forms of words hang on this: one that is told too little cannot be found by them. */
static void test_lists_tell_when_they_begin_and_end(void **state)
{
    char told[64] = "";
    struct postings_writer writer = {.turned = note_turn, .context = told};
    struct kv_mem *mem;
    struct kv kv;

    (void)state;
    assert_ok(kv_mem_new(&mem));
    assert_ok(kv_mem_write_begin(mem, &kv));
    for (uint32_t i = 0; i < 50; i++)
        assert_ok(postings_add(&writer, 7, span_of_str("b"), i));
    assert_ok(postings_add(&writer, 7, span_of_str("a"), 1));
    assert_ok(postings_add(&writer, 7, span_of_str("c"), 1));
    assert_ok(postings_remove(&writer, 7, span_of_str("c"), 1));
    assert_ok(postings_flush(&writer, &kv));
    assert_string_equal(told, "+a +b ");
    assert_ok(postings_add(&writer, 7, span_of_str("a"), 2));
    assert_ok(postings_remove(&writer, 7, span_of_str("a"), 1));
    for (uint32_t i = 0; i < 50; i++)
        assert_ok(postings_remove(&writer, 7, span_of_str("b"), i));
    assert_ok(postings_flush(&writer, &kv));
    assert_string_equal(told, "+a +b -b ");
    kv_mem_write_abort(&kv);
    postings_writer_done(&writer);
    kv_mem_free(mem);
}

static void count_trouble(void *context, const char *what)
{
    (void)what;
    ++*(int *)context;
}

/* CRoaring believes what it reads: a byte that is wrong must not get that far. */
static void test_damage_is_refused(void **state)
{
    struct postings_writer writer = {0};
    static const uint8_t posting_key[] = {7, 1, 'a', 0, 0};
    uint64_t random = 5;
    struct kv_mem *mem;
    struct kv kv;

    (void)state;
    assert_ok(kv_mem_new(&mem));
    assert_ok(kv_mem_write_begin(mem, &kv));
    for (uint32_t i = 0; i < 400; i++)
        assert_ok(postings_add(&writer, 7, span_of_str("a"), i < 200 ? 3 * i : 700 + i));
    assert_ok(postings_flush(&writer, &kv));
    for (size_t i = 0; i < 2000; i++) {
        struct postings_set set = {0};
        uint8_t copy[2048];
        struct span value;
        uint64_t pairs;
        int trouble = 0;
        size_t at;

        assert_ok(kv_get(&kv, KV_POSTING, span_of(posting_key, sizeof(posting_key)), &value));
        assert_true(value.size <= sizeof(copy));
        memcpy(copy, value.data, value.size);
        at = test_random_below(&random, i % 2 ? 16 : value.size);
        copy[at] ^= (uint8_t)(1 + test_random_below(&random, 255));
        value.data = copy;
        if (i % 7 == 0)
            value.size = test_random_below(&random, value.size);
        assert_ok(kv_put(&kv, KV_POSTING, span_of(posting_key, sizeof(posting_key)), value));
        /* A number may have become another one: then the list is sound, but not the right one. */
        if (postings_or(&kv, 7, span_of_str("a"), &set, NULL)) {
            assert_ok(postings_check(&kv, count_trouble, &trouble, &pairs));
            assert_true(trouble > 0);
        } else {
            assert_int_equal(postings_set_count(&set), 400);
        }
        postings_set_done(&set);
        copy[at] = 0;
        assert_ok(kv_del(&kv, KV_POSTING, span_of(posting_key, sizeof(posting_key))));
        assert_ok(kv_del(&kv, KV_TERM,
                         span_of("\x07"
                                 "a",
                                 2)));
        for (uint32_t j = 0; j < 400; j++)
            assert_ok(postings_add(&writer, 7, span_of_str("a"), j < 200 ? 3 * j : 700 + j));
        assert_ok(postings_flush(&writer, &kv));
    }
    kv_mem_write_abort(&kv);
    postings_writer_done(&writer);
    kv_mem_free(mem);
}

/* The same of changes that wait. */
static void test_damaged_changes_are_refused(void **state)
{
    struct postings_writer writer = {0};
    struct kv_mem *mem;
    struct model model = {0};
    uint64_t random = 8;
    size_t refused = 0;
    struct kv kv;

    (void)state;
    assert_ok(kv_mem_new(&mem));
    assert_ok(kv_mem_write_begin(mem, &kv));
    for (uint32_t i = 0; i < 20; i++)
        assert_ok(postings_add(&writer, 7, span_of_str("a"), 10 * i));
    assert_ok(postings_flush(&writer, &kv));
    turn_fillers(&model, &writer);
    for (uint32_t i = 0; i < 5; i++) {
        assert_ok(postings_remove(&writer, 7, span_of_str("a"), 20 * i));
        assert_ok(postings_add(&writer, 7, span_of_str("a"), 20 * i + 5));
    }
    assert_ok(postings_flush(&writer, &kv));
    assert_ok(kv_mem_write_commit(&kv));
    for (size_t i = 0; i < 300; i++) {
        struct postings_key key =
            i % 10 ? postings_key_run(1, 7, span_of_str("a"))
                   : (struct postings_key){.size = 1, .bytes = {0}}; /* which runs there are */
        struct postings_set set = {0};
        struct span value;
        uint8_t copy[64];
        uint64_t pairs;
        int trouble = 0;

        assert_ok(kv_mem_write_begin(mem, &kv));
        assert_ok(kv_get(&kv, KV_RUN, postings_key_span(&key), &value));
        assert_true(value.size <= sizeof(copy));
        memcpy(copy, value.data, value.size);
        copy[test_random_below(&random, value.size)] ^=
            (uint8_t)(1 + test_random_below(&random, 255));
        value.data = copy;
        assert_ok(kv_put(&kv, KV_RUN, postings_key_span(&key), value));
        assert_ok(postings_check(&kv, count_trouble, &trouble, &pairs));
        if (postings_or(&kv, 7, span_of_str("a"), &set, NULL)) {
            assert_true(trouble > 0);
            refused++;
        }
        postings_set_done(&set);
        kv_mem_write_abort(&kv);
    }
    assert_true(refused > 100);
    postings_writer_done(&writer);
    kv_mem_free(mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_postings_equal_plain_lists),
        cmocka_unit_test(test_changes_that_wait_are_seen),
        cmocka_unit_test(test_runs_do_not_grow_without_end),
        cmocka_unit_test(test_words_with_forms_do_not_wait),
        cmocka_unit_test(test_damaged_changes_are_refused),
        cmocka_unit_test(test_a_walk_keeps_to_its_prefix),
        cmocka_unit_test(test_impossible_changes_are_refused),
        cmocka_unit_test(test_lists_tell_when_they_begin_and_end),
        cmocka_unit_test(test_damage_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

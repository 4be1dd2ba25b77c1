/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <stddef.h>

#include "index/postings_internal.h"
#include "tests/support/kv_mem.h"

/*
 * Whatever bytes stand in the store as which runs there are and as changes that
 * wait in two of them: they are refused, or they are changes of a list that can
 * be asked, changed and merged, and nothing is left of them then.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KIND 7

static void count_trouble(void *context, const char *what)
{
    (void)what;
    ++*(size_t *)context;
}

static bool is_sound(const struct kv *kv)
{
    size_t trouble = 0;
    uint64_t pairs;

    assert(!postings_check(kv, count_trouble, &trouble, &pairs));
    return trouble == 0;
}

static void ask(const struct kv *kv, struct span key, bool sound)
{
    struct postings_set set = {0};
    struct postings_walk walk;
    struct span found;
    uint64_t count, walked;
    bool there;
    enum torg_err err;

    (void)postings_contains(kv, KIND, key, 6, &there);
    err = postings_or(kv, KIND, key, &set, NULL);
    assert(!sound || !err);
    if (!err) {
        assert(!postings_count(kv, KIND, key, &count));
        assert(count == postings_set_count(&set));
        assert(!postings_contains(kv, KIND, key, 6, &there));
        assert(there == postings_set_contains(&set, 6));
    }
    err = postings_walk_open(&walk, kv, KIND, key);
    if (!err)
        err = postings_walk_next(&walk, &found, &walked);
    assert(!sound || !err || (err == TORG_E_NOT_FOUND && count == 0));
    assert(!sound || err || walked == count);
    postings_walk_close(&walk);
    postings_set_done(&set);
}

static void change_and_merge(struct kv *kv, struct span key, bool sound)
{
    struct postings_writer writer = {0};
    size_t merged = 1;
    bool there = false;
    enum torg_err err;

    err = postings_contains(kv, KIND, key, 6, &there);
    assert(!sound || !err);
    assert(!(there ? postings_remove : postings_add)(&writer, KIND, key, 6));
    err = postings_flush(&writer, kv);
    postings_writer_done(&writer);
    assert(!sound || !err);
    while (!err && merged > 0)
        err = postings_merge(kv, 3, &merged);
    if (!sound)
        return;
    assert(!err && is_sound(kv));
    assert(!postings_unmerged(kv, &(uint64_t){0}));
}

/* Three parts, each behind its size. */
static struct span part(const uint8_t **data, size_t *size)
{
    size_t length = *size ? (*data)[0] : 0;
    struct span out;

    if (*size == 0)
        return (struct span){0};
    if (length > *size - 1)
        length = *size - 1;
    out = span_of(*data + 1, length);
    *data += 1 + length;
    *size -= 1 + length;
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t runs[] = {0};
    struct postings_writer writer = {0};
    struct span key = span_of_str("a");
    struct kv_mem *mem;
    struct kv kv;
    bool sound;

    assert(!kv_mem_new(&mem));
    kv_mem_strict(mem, true);
    assert(!kv_mem_write_begin(mem, &kv));
    for (uint32_t i = 0; i < 5; i++)
        assert(!postings_add(&writer, KIND, key, 3 * i));
    assert(!postings_flush(&writer, &kv));
    assert(!kv_put(&kv, KV_RUN, span_of(runs, sizeof(runs)), part(&data, &size)));
    for (uint32_t run = 1; run <= 2; run++) {
        struct postings_key at = postings_key_run(run, KIND, key);

        assert(!kv_put(&kv, KV_RUN, postings_key_span(&at), part(&data, &size)));
    }
    sound = is_sound(&kv);
    ask(&kv, key, sound);
    change_and_merge(&kv, key, sound);
    postings_writer_done(&writer);
    kv_mem_write_abort(&kv);
    kv_mem_free(mem);
    return 0;
}

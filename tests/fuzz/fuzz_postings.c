/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <stddef.h>

#include "index/postings.h"
#include "tests/support/kv_mem.h"

/*
 * Whatever bytes stand in the store as a list and its chunk: they are refused,
 * or they are a list that can be asked, combined and changed.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KIND 7

static void ignore(void *context, const char *what)
{
    (void)context;
    (void)what;
}

static void ask(const struct kv *kv, struct span key)
{
    struct postings_set set = {0}, other = {0};
    uint32_t numbers[64];
    uint64_t count, pairs;
    bool there;

    (void)postings_check(kv, ignore, NULL, &pairs);
    (void)postings_contains(kv, KIND, key, 70000, &there);
    if (postings_or(kv, KIND, key, &set, NULL)) {
        postings_set_done(&set);
        return;
    }
    assert(!postings_count(kv, KIND, key, &count));
    assert(count == postings_set_count(&set));
    assert(!postings_set_copy(&set, &other));
    assert(!postings_and(kv, KIND, key, &other, NULL));
    assert(postings_set_and_count(&set, &other) == count);
    assert(postings_set_read(&set, 0, numbers, 64) == (count < 64 ? count : 64));
    assert(!postings_set_andnot(&set, &other));
    assert(postings_set_count(&set) == 0);
    postings_set_done(&set);
    postings_set_done(&other);
}

static void change(struct kv *kv, struct span key)
{
    struct postings_writer writer = {0};
    uint64_t pairs;

    for (uint32_t i = 0; i < 70; i++)
        assert(!postings_add(&writer, KIND, key, 65536 + 3 * i));
    assert(!postings_remove(&writer, KIND, key, 65537));
    if (!postings_flush(&writer, kv))
        (void)postings_check(kv, ignore, NULL, &pairs);
    postings_writer_done(&writer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t term[] = {KIND, 'a'}, chunk[] = {KIND, 1, 'a', 0, 1};
    struct span key = span_of(term + 1, 1);
    struct kv_mem *mem;
    size_t record;
    struct kv kv;

    if (size < 1)
        return 0;
    record = data[0] < size - 1 ? data[0] : size - 1;
    assert(!kv_mem_new(&mem));
    kv_mem_strict(mem, true);
    assert(!kv_mem_write_begin(mem, &kv));
    assert(!kv_put(&kv, KV_TERM, span_of(term, sizeof(term)), span_of(data + 1, record)));
    if (size - 1 > record)
        assert(!kv_put(&kv, KV_POSTING, span_of(chunk, sizeof(chunk)),
                       span_of(data + 1 + record, size - 1 - record)));
    ask(&kv, key);
    change(&kv, key);
    ask(&kv, key);
    kv_mem_write_abort(&kv);
    kv_mem_free(mem);
    return 0;
}

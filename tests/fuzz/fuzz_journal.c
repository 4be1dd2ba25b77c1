/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <stddef.h>

#include "index/journal_ops.h"
#include "tests/support/kv_mem.h"

/* Whatever bytes stand in a record of the journal: they are refused, or are puts and deletes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t value[700] = {1, 2, 3};
    struct kv_mem *mem;
    struct kv kv;

    assert(!kv_mem_new(&mem));
    assert(!kv_mem_write_begin(mem, &kv));
    assert(!kv_put(&kv, KV_LIVE, span_of_str("a"), span_of(value, sizeof(value))));
    assert(!kv_put(&kv, KV_RTREE, span_of_str("b"), span_of(value, 20)));
    (void)journal_ops_apply(span_of(data, size), &kv);
    kv_mem_write_abort(&kv);
    kv_mem_free(mem);
    return 0;
}

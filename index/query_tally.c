/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/query_tally.h"

#include <stdlib.h>

static size_t slot_of(const struct query_tally *tally, uint64_t key)
{
    size_t mask = 2 * tally->capacity - 1;
    size_t slot = (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 32) & mask;

    while (tally->slots[slot] && tally->entries[tally->slots[slot] - 1].key != key)
        slot = (slot + 1) & mask;
    return slot;
}

static enum torg_err grow(struct query_tally *tally)
{
    size_t capacity = tally->capacity ? 2 * tally->capacity : 64;
    struct query_tally_entry *entries = realloc(tally->entries, capacity * sizeof(*entries));
    uint32_t *slots;

    if (!entries)
        return TORG_E_NOMEM;
    tally->entries = entries;
    slots = calloc(2 * capacity, sizeof(*slots));
    if (!slots)
        return TORG_E_NOMEM;
    free(tally->slots);
    tally->slots = slots;
    tally->capacity = capacity;
    for (size_t i = 0; i < tally->count; i++)
        tally->slots[slot_of(tally, tally->entries[i].key)] = (uint32_t)(i + 1);
    return TORG_OK;
}

enum torg_err query_tally_add(struct query_tally *tally, uint64_t key, uint64_t count)
{
    size_t slot;
    enum torg_err err;

    if (tally->count == tally->capacity) {
        err = grow(tally);
        if (err)
            return err;
    }
    slot = slot_of(tally, key);
    if (!tally->slots[slot]) {
        tally->entries[tally->count] = (struct query_tally_entry){.key = key};
        tally->slots[slot] = (uint32_t)++tally->count;
    }
    tally->entries[tally->slots[slot] - 1].count += count;
    return TORG_OK;
}

static int entry_compare(const void *a, const void *b)
{
    const struct query_tally_entry *left = a;
    const struct query_tally_entry *right = b;

    if (left->count != right->count)
        return left->count > right->count ? -1 : 1;
    return (left->key > right->key) - (left->key < right->key);
}

void query_tally_sort(struct query_tally *tally)
{
    if (tally->count > 1)
        qsort(tally->entries, tally->count, sizeof(*tally->entries), entry_compare);
}

void query_tally_done(struct query_tally *tally)
{
    free(tally->entries);
    free(tally->slots);
}

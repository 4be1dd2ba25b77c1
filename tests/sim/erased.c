/* SPDX-License-Identifier: EUPL-1.2 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/check.h"

/*
 * Invariant 9. Each payload that is dead by its origin's newest head is looked
 * for in all that every store holds, by eight bytes of the nonce that it begins
 * with: however it was deleted, and wherever it might have been left lying. (A
 * store in memory has no free pages: it is what a compacting copy of LMDB is.)
 */
#define NEEDLE_BYTES 8
#define PAYLOAD_HEAD "\x93\xc4\x10"
#define SHORT_BYTES 512                         /* payloads without that head are shorter */
#define NONCE_AT 3                              /* after the array's and the bin's heads */
#define FILTER_BITS 16                          /* two needles of a run seldom share a bit */
#define FILTER_MIX UINT64_C(0x9e3779b97f4a7c15) /* Fibonacci hashing */

struct needle {
    uint64_t value;
    const struct world_node *origin;
};

struct haystack {
    struct check *check;
    const struct world_node *node;
    struct needle *needles; /* ascending */
    size_t count;
    uint8_t filter[(1u << FILTER_BITS) / 8];
};

static int needle_order(const void *a, const void *b)
{
    const struct needle *left = a, *right = b;

    return left->value < right->value ? -1 : left->value > right->value;
}

static uint32_t filter_bit(uint64_t value)
{
    return (uint32_t)(value * FILTER_MIX >> (64 - FILTER_BITS));
}

static void needle_add(struct haystack *hay, const struct world_node *origin,
                       const struct world_version *version)
{
    struct span payload = buffer_span(&version->payload);
    bool framed = payload.size > NONCE_AT && memcmp(payload.data, PAYLOAD_HEAD, NONCE_AT) == 0;
    size_t at = framed ? NONCE_AT : 0;
    uint64_t value;

    if (payload.size <= at + NEEDLE_BYTES)
        return; /* so short may stand anywhere by chance */
    value = get_u64be(payload.data + at);
    hay->needles = reallocarray(hay->needles, hay->count + 1, sizeof(*hay->needles));
    if (!hay->needles)
        abort();
    hay->needles[hay->count++] = (struct needle){value, origin};
    hay->filter[filter_bit(value) / 8] |= (uint8_t)(1u << filter_bit(value) % 8);
}

static void needle_look(struct haystack *hay, uint64_t value)
{
    const struct needle key = {.value = value};
    const struct needle *found;

    if (!(hay->filter[filter_bit(value) / 8] >> filter_bit(value) % 8 & 1))
        return;
    found = bsearch(&key, hay->needles, hay->count, sizeof(key), needle_order);
    if (found)
        check_violate(hay->check, 9, "%s still has a payload that %s has erased", hay->node->name,
                      found->origin->name);
}

/* At each place of a short value; in a long one, where a nonce may begin. */
static void value_search(struct haystack *hay, struct span value)
{
    const uint8_t *end = value.data + value.size, *at = value.data;
    uint64_t last = 0;

    for (size_t i = 0; i < value.size && i < SHORT_BYTES; i++) {
        last = last << 8 | value.data[i];
        if (i + 1 >= NEEDLE_BYTES)
            needle_look(hay, last);
    }
    while (value.size > SHORT_BYTES && (at = memmem(at, (size_t)(end - at), PAYLOAD_HEAD, 3))) {
        at += NONCE_AT;
        if (end - at >= NEEDLE_BYTES)
            needle_look(hay, get_u64be(at));
    }
}

static void store_search(struct haystack *hay)
{
    static const uint8_t first[1] = {0};
    struct kv read;

    if (kv_mem_read_begin(hay->node->store, &read))
        abort();
    for (unsigned table = 0; table < KV_TABLE_COUNT; table++) {
        struct kv_cursor *cursor;
        struct span key, value;
        enum torg_err err = kv_cursor_open(&read, (enum kv_table)table, &cursor);

        if (!err)
            err = kv_cursor_seek(&read, cursor, span_of(first, sizeof(first)), &key, &value);
        while (!err) {
            value_search(hay, value);
            err = kv_cursor_next(&read, cursor, &key, &value);
        }
        kv_cursor_close(&read, cursor);
    }
    kv_mem_read_end(&read);
}

void check_erased(struct check *check, struct world *world)
{
    struct haystack *hay = calloc(1, sizeof(*hay));

    if (!hay)
        abort();
    hay->check = check;
    for (uint32_t i = 0; i < world->node_count; i++) {
        const struct world_node *origin = &world->nodes[i];

        if (!world_is_origin(origin) || origin->forked)
            continue; /* where two hosts sign, what is dead for one lives for the other */
        for (size_t v = 0; v < origin->version_count; v++) {
            if (origin->versions[v].to)
                needle_add(hay, origin, &origin->versions[v]);
        }
    }
    if (hay->count)
        qsort(hay->needles, hay->count, sizeof(*hay->needles), needle_order);
    for (uint32_t i = 0; i < world->node_count && hay->count; i++) {
        hay->node = &world->nodes[i];
        if (!hay->node->malice && !hay->node->absent)
            store_search(hay);
    }
    free(hay->needles);
    free(hay);
}

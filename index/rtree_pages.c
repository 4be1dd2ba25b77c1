/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_pages.h"

#include <assert.h>
#include <stdlib.h>

/* 16 MB of nodes. */
#define PAGES_MAX 4096
#define PLACES_FIRST 256

struct rtree_page {
    uint32_t number;
    bool gone;
    bool forget;      /* counts may be stored under this number, and are not its own any more */
    uint8_t *bytes;   /* owned; NULL: the node itself is not changed */
    uint32_t *counts; /* owned, THEME_BITS; NULL: these are not changed */
};

enum torg_err rtree_pages_begin(struct rtree_pages *pages, struct kv *kv, uint8_t collection)
{
    enum torg_err err;

    assert(collection > 0 && collection <= RTREE_COLLECTION_MAX);
    *pages = (struct rtree_pages){.kv = kv, .collection = collection};
    err = rtree_node_record_get(kv, collection, &pages->record);
    if (err == TORG_E_NOT_FOUND) {
        pages->record.root.next = 1;
        return TORG_OK;
    }
    return err;
}

static void pages_clear(struct rtree_pages *pages)
{
    for (size_t i = 0; i < pages->count; i++) {
        free(pages->pages[i].bytes);
        free(pages->pages[i].counts);
    }
    pages->count = 0;
    if (pages->places)
        memset(pages->places, 0, pages->place_count * sizeof(*pages->places));
}

void rtree_pages_done(struct rtree_pages *pages)
{
    pages_clear(pages);
    free(pages->pages);
    free(pages->places);
    free(pages->freed);
    rtree_combinations_done(&pages->combinations);
}

bool rtree_pages_full(const struct rtree_pages *pages)
{
    return pages->count >= PAGES_MAX;
}

/* ---- which are held ---- */

static size_t pages_place(const struct rtree_pages *pages, uint32_t number)
{
    size_t mask = pages->place_count - 1, at = (number * UINT32_C(2654435761)) & mask;

    while (pages->places[at] && pages->pages[pages->places[at] - 1].number != number)
        at = (at + 1) & mask;
    return at;
}

static struct rtree_page *pages_find(const struct rtree_pages *pages, uint32_t number)
{
    uint32_t found = pages->place_count ? pages->places[pages_place(pages, number)] : 0;

    return found ? &pages->pages[found - 1] : NULL;
}

static enum torg_err pages_grow(struct rtree_pages *pages)
{
    size_t capacity = pages->capacity ? 2 * pages->capacity : PLACES_FIRST / 2;
    struct rtree_page *grown = realloc(pages->pages, capacity * sizeof(*grown));
    uint32_t *places;

    if (!grown)
        return TORG_E_NOMEM;
    pages->pages = grown;
    places = calloc(2 * capacity, sizeof(*places));
    if (!places)
        return TORG_E_NOMEM;
    free(pages->places);
    pages->places = places;
    pages->place_count = 2 * capacity;
    pages->capacity = capacity;
    for (size_t i = 0; i < pages->count; i++)
        places[pages_place(pages, pages->pages[i].number)] = (uint32_t)(i + 1);
    return TORG_OK;
}

/* The one that is held, or a new one without anything. */
static enum torg_err pages_hold(struct rtree_pages *pages, uint32_t number,
                                struct rtree_page **ret_page)
{
    struct rtree_page *page = pages_find(pages, number);
    enum torg_err err;

    if (!page) {
        if (pages->count == pages->capacity) {
            err = pages_grow(pages);
            if (err)
                return err;
        }
        page = &pages->pages[pages->count++];
        *page = (struct rtree_page){.number = number};
        pages->places[pages_place(pages, number)] = (uint32_t)pages->count;
    }
    *ret_page = page;
    return TORG_OK;
}

/* ---- nodes ---- */

enum torg_err rtree_pages_view(struct rtree_pages *pages, uint32_t number, unsigned level,
                               struct rtree_node *ret_node)
{
    const struct rtree_page *page = pages_find(pages, number);
    struct rtree_node node;

    if (page && page->gone)
        return TORG_E_CORRUPT;
    if (!page || !page->bytes)
        return rtree_node_get(pages->kv, pages->collection, number, level, ret_node);
    node = rtree_node_view(page->bytes);
    if (node.level != level) /* A damaged tree may lead here twice. */
        return TORG_E_CORRUPT;
    *ret_node = node;
    return TORG_OK;
}

enum torg_err rtree_pages_edit_view(struct rtree_pages *pages, const struct rtree_node *node,
                                    uint8_t **ret_bytes)
{
    struct rtree_page *page;
    enum torg_err err = pages_hold(pages, node->number, &page);

    if (err)
        return err;
    if (!page->bytes) {
        page->bytes = malloc(RTREE_NODE_BYTES_MAX);
        if (!page->bytes)
            return TORG_E_NOMEM;
        memcpy(page->bytes, node->bytes, RTREE_NODE_BYTES_MAX);
    }
    *ret_bytes = page->bytes;
    return TORG_OK;
}

enum torg_err rtree_pages_edit(struct rtree_pages *pages, uint32_t number, unsigned level,
                               uint8_t **ret_bytes)
{
    struct rtree_node node;
    enum torg_err err = rtree_pages_view(pages, number, level, &node);

    return err ? err : rtree_pages_edit_view(pages, &node, ret_bytes);
}

static enum torg_err number_take(struct rtree_pages *pages, uint32_t *ret_number)
{
    struct rtree_root *root = &pages->record.root;
    uint8_t key[RTREE_KEY_BYTES];
    struct span value;
    enum torg_err err;
    uint32_t next;

    if (pages->freed_count > 0) {
        *ret_number = pages->freed[--pages->freed_count];
        return TORG_OK;
    }
    if (root->free_head == 0) {
        if (root->next == UINT32_MAX)
            return TORG_E_TOO_BIG;
        *ret_number = root->next++;
        return TORG_OK;
    }
    err = kv_get(pages->kv, KV_RTREE, rtree_node_key(pages->collection, root->free_head, key),
                 &value);
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
    if (!rtree_node_free_read(value, &next) || next >= root->next)
        return TORG_E_CORRUPT;
    *ret_number = root->free_head;
    root->free_head = next;
    return TORG_OK;
}

enum torg_err rtree_pages_new(struct rtree_pages *pages, unsigned level, bool counted,
                              uint32_t *ret_number, uint8_t **ret_bytes)
{
    struct rtree_page *page;
    enum torg_err err;
    uint32_t number;

    err = number_take(pages, &number);
    if (!err)
        err = pages_hold(pages, number, &page);
    if (err)
        return err;
    if (page->bytes || page->counts) /* A chain of free numbers that leads to a node. */
        return TORG_E_CORRUPT;
    page->gone = false;
    page->bytes = malloc(RTREE_NODE_BYTES_MAX);
    if (!page->bytes)
        return TORG_E_NOMEM;
    rtree_node_begin(page->bytes, pages->collection, number, level);
    if (counted && level > 0) {
        page->counts = calloc(THEME_BITS, sizeof(*page->counts));
        if (!page->counts)
            return TORG_E_NOMEM;
    }
    *ret_number = number;
    *ret_bytes = page->bytes;
    return TORG_OK;
}

enum torg_err rtree_pages_drop(struct rtree_pages *pages, uint32_t number, unsigned level)
{
    struct rtree_page *page;
    enum torg_err err;

    err = pages_hold(pages, number, &page);
    if (err)
        return err;
    if (page->gone)
        return TORG_E_CORRUPT;
    free(page->bytes);
    free(page->counts);
    *page =
        (struct rtree_page){.number = number, .gone = true, .forget = page->forget || level > 0};
    if (pages->freed_count == pages->freed_capacity) {
        size_t capacity = pages->freed_capacity ? 2 * pages->freed_capacity : 64;
        uint32_t *freed = realloc(pages->freed, capacity * sizeof(*freed));

        if (!freed)
            return TORG_E_NOMEM;
        pages->freed = freed;
        pages->freed_capacity = capacity;
    }
    pages->freed[pages->freed_count++] = number;
    return TORG_OK;
}

/* Falling, for the last is the next to be given out. */
static int number_compare(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

    return (a < b) - (a > b);
}

void rtree_pages_dropped_sort(struct rtree_pages *pages)
{
    if (pages->freed_count > 0)
        qsort(pages->freed, pages->freed_count, sizeof(*pages->freed), number_compare);
}

/* ---- counts ---- */

enum torg_err rtree_pages_counts(struct rtree_pages *pages, uint32_t number, uint32_t **ret_counts)
{
    struct rtree_page *page;
    const uint8_t *stored;
    enum torg_err err;

    err = pages_hold(pages, number, &page);
    if (err)
        return err;
    if (page->gone)
        return TORG_E_CORRUPT;
    if (!page->counts) {
        err = rtree_node_counts_get(pages->kv, pages->collection, number, &stored);
        if (err)
            return err;
        page->counts = calloc(THEME_BITS, sizeof(*page->counts));
        if (!page->counts)
            return TORG_E_NOMEM;
        for (unsigned bit = 0; bit < THEME_BITS; bit++)
            page->counts[bit] = rtree_node_u32(stored, bit);
    }
    *ret_counts = page->counts;
    return TORG_OK;
}

enum torg_err rtree_pages_counts_add(struct rtree_pages *pages, uint32_t number, uint32_t *sum)
{
    const struct rtree_page *page = pages_find(pages, number);
    const uint8_t *stored;
    enum torg_err err;

    if (page && page->counts) {
        for (unsigned bit = 0; bit < THEME_BITS; bit++)
            sum[bit] += page->counts[bit];
        return TORG_OK;
    }
    err = rtree_node_counts_get(pages->kv, pages->collection, number, &stored);
    if (err)
        return err;
    for (unsigned bit = 0; bit < THEME_BITS; bit++)
        sum[bit] += rtree_node_u32(stored, bit);
    return TORG_OK;
}

/* ---- writing ---- */

static enum torg_err page_put(struct rtree_pages *pages, const struct rtree_page *page)
{
    uint8_t key[RTREE_KEY_BYTES];

    if (!page->bytes)
        return TORG_OK;
    return kv_put(pages->kv, KV_RTREE, rtree_node_key(pages->collection, page->number, key),
                  span_of(page->bytes, RTREE_NODE_BYTES_MAX));
}

static enum torg_err counts_put(struct rtree_pages *pages, const struct rtree_page *page)
{
    uint8_t first_byte = pages->collection | RTREE_COUNTS_KEY_BIT;
    uint8_t key[RTREE_KEY_BYTES], bytes[RTREE_NODE_BYTES_MAX] = {0};
    enum torg_err err;

    if (!page->counts) {
        if (!page->forget)
            return TORG_OK;
        err = kv_del(pages->kv, KV_RTREE, rtree_node_key(first_byte, page->number, key));
        return err == TORG_E_NOT_FOUND ? TORG_OK : err;
    }
    for (unsigned bit = 0; bit < THEME_BITS; bit++) {
        uint32_t little = htole32(page->counts[bit]);

        memcpy(bytes + 4 * bit, &little, sizeof(little));
    }
    return kv_put(pages->kv, KV_RTREE, rtree_node_key(first_byte, page->number, key),
                  span_of(bytes, sizeof(bytes)));
}

/* What nobody took again goes into the chain. */
static enum torg_err freed_put(struct rtree_pages *pages)
{
    uint8_t key[RTREE_KEY_BYTES], bytes[RTREE_FREE_BYTES];
    struct rtree_root *root = &pages->record.root;
    enum torg_err err = TORG_OK;

    while (pages->freed_count > 0 && !err) {
        uint32_t number = pages->freed[--pages->freed_count];

        err = kv_put(pages->kv, KV_RTREE, rtree_node_key(pages->collection, number, key),
                     rtree_node_free_write(root->free_head, bytes));
        root->free_head = number;
    }
    return err;
}

static int page_compare(const void *left, const void *right)
{
    const struct rtree_page *a = left, *b = right;

    return (a->number > b->number) - (a->number < b->number);
}

enum torg_err rtree_pages_flush(struct rtree_pages *pages)
{
    enum torg_err err = TORG_OK;

    if (pages->count > 0) /* In the order of keys, the store finds each beside the last. */
        qsort(pages->pages, pages->count, sizeof(*pages->pages), page_compare);
    for (size_t i = 0; i < pages->count && !err; i++)
        err = page_put(pages, &pages->pages[i]);
    for (size_t i = 0; i < pages->count && !err; i++)
        err = counts_put(pages, &pages->pages[i]);
    if (!err)
        err = freed_put(pages);
    if (!err)
        err = rtree_node_record_put(pages->kv, pages->collection, &pages->record);
    pages_clear(pages);
    return err;
}

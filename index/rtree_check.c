/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "index/rtree_item.h"

/*
 * What holds in every tree; each breach is reported with its number.
 *
 *  1  The tree's record reads; it has a root exactly when it has items.
 *  2  Every node that an entry names is there and reads: size, version, level,
 *     number, positions in range, boxes not inside out, nothing behind its entries.
 *  3  Levels go down by one; every leaf is at level 0. (A part of 2.)
 *  4  But for the root, a leaf has at least RTREE_LEAF_MIN items and an inner
 *     node RTREE_INNER_MIN children; an inner root has two.
 *  5  What an entry says of a child is exactly the sum of the child's entries:
 *     box, items, themes, days.
 *  6  A leaf entry is what its item packs to: a record exactly where one is
 *     needed, words and combination as the exact fields give them.
 *  7  The tree's record counts the items that are there.
 *  8  A document stands in the tree once.
 *  9  A node is reached once; every number below the record's next is reached
 *     or in the chain of free numbers; no other node is stored.
 * 10  A record belongs to an item that says it has one.
 */
struct list {
    uint32_t *numbers; /* owned */
    size_t count, capacity;
};

struct check {
    const struct kv *kv;
    uint8_t collection;
    rtree_report *report;
    void *context;
    struct rtree_root root;
    struct rtree_stat stat;
    struct list documents, nodes, records;
    uint64_t breaches;
};

__attribute__((format(printf, 2, 3))) static void say(struct check *check, const char *format, ...)
{
    char text[200];
    va_list arguments;

    check->breaches++;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (check->report)
        check->report(check->context, text);
}

static enum torg_err list_add(struct list *list, uint32_t number)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 256;
        uint32_t *numbers = realloc(list->numbers, capacity * sizeof(*numbers));

        if (!numbers)
            return TORG_E_NOMEM;
        list->numbers = numbers;
        list->capacity = capacity;
    }
    list->numbers[list->count++] = number;
    return TORG_OK;
}

static int number_compare(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

    return (a > b) - (a < b);
}

static void list_sort(struct list *list)
{
    if (list->count > 0)
        qsort(list->numbers, list->count, sizeof(*list->numbers), number_compare);
}

static bool list_has(const struct list *list, uint32_t number)
{
    return list->count > 0 && bsearch(&number, list->numbers, list->count, sizeof(*list->numbers),
                                      number_compare) != NULL;
}

/* ---- nodes ---- */

static void check_sum(struct check *check, const struct rtree_entry *said,
                      const struct rtree_entry *is)
{
    if (memcmp(&said->min, &is->min, sizeof(said->min)) != 0 ||
        memcmp(&said->max, &is->max, sizeof(said->max)) != 0)
        say(check, "5: node %u: its box is not that of its entries", said->child);
    if (said->count != is->count)
        say(check, "5: node %u: %u items are said, %u are there", said->child, said->count,
            is->count);
    if (memcmp(&said->themes, &is->themes, sizeof(said->themes)) != 0)
        say(check, "5: node %u: its themes are not those of its entries", said->child);
    if (said->from_min != is->from_min || said->from_max != is->from_max ||
        said->through_min != is->through_min || said->through_max != is->through_max)
        say(check, "5: node %u: its times are not those of its entries", said->child);
}

static enum torg_err check_item(struct check *check, const struct rtree_node *leaf, unsigned i,
                                struct rtree_entry *ret_entry)
{
    struct rtree_item item;
    enum torg_err err;
    bool area, record, has_record;
    uint32_t from, through;

    err = rtree_item_get(check->kv, check->collection, leaf, i, &item);
    if (!err)
        err = rtree_item_entry(check->kv, check->collection, leaf, i, ret_entry);
    if (err)
        return err;
    from = ret_entry->from & RTREE_MINUTE_MASK;
    through = ret_entry->through & RTREE_MINUTE_MASK;
    has_record = ret_entry->from & RTREE_FLAG_RECORD;
    area = memcmp(&item.min, &item.point, sizeof(item.min)) != 0 ||
           memcmp(&item.max, &item.point, sizeof(item.max)) != 0;
    record = area || ret_entry->theme == RTREE_THEME_RECORD ||
             (item.time_from_ms != INT64_MIN && item.time_from_ms % 60000 != 0) ||
             (item.time_through_ms != INT64_MAX && item.time_through_ms % 60000 != 0);
    if (area != ((ret_entry->through & RTREE_FLAG_AREA) != 0) || (record && !has_record))
        say(check, "6: document %u: its flags do not fit its fields", item.document);
    if (from != rtree_item_minute_down(item.time_from_ms) ||
        through != rtree_item_minute_up(item.time_through_ms))
        say(check, "6: document %u: its minutes are not those of its times", item.document);
    if (has_record && ret_entry->theme != RTREE_THEME_RECORD) {
        struct theme_set themes;

        err = rtree_item_themes(check->kv, ret_entry->theme, &themes);
        if (!err && memcmp(&themes, &item.themes, sizeof(themes)) != 0)
            say(check, "6: document %u: its combination is not its themes", item.document);
    }
    if (!err && has_record)
        err = list_add(&check->records, item.document);
    return err ? err : list_add(&check->documents, item.document);
}

static void check_size(struct check *check, const struct rtree_node *node)
{
    bool is_root = node->number == check->root.root;
    unsigned least = node->level == 0 ? RTREE_LEAF_MIN : RTREE_INNER_MIN;

    if (is_root)
        least = node->level == 0 ? 1 : 2;
    if (node->count < least)
        say(check, "4: node %u has only %u entries", node->number, node->count);
}

static enum torg_err check_node(struct check *check, uint32_t number, unsigned level,
                                struct rtree_entry *ret_sum)
{
    struct rtree_node node;
    struct rtree_entry entry, sum;
    enum torg_err err;
    bool first = true;

    err = rtree_node_get(check->kv, check->collection, number, level, &node);
    if (err == TORG_E_CORRUPT)
        say(check, "2: node %u at level %u is missing or damaged", number, level);
    if (!err)
        err = list_add(&check->nodes, number);
    /* As many as there can be: a damaged tree must not be walked for ever. */
    if (!err && check->nodes.count > check->root.next) {
        say(check, "9: nodes are reached more than once");
        err = TORG_E_CORRUPT;
    }
    if (err)
        return err;
    check_size(check, &node);
    if (!rtree_node_rest_zero(&node))
        say(check, "2: node %u has something behind its entries", number);
    *(level == 0 ? &check->stat.leaves : &check->stat.inner_nodes) += 1;
    check->stat.bytes += RTREE_NODE_BYTES_MAX;
    for (unsigned i = 0; i < node.count; i++) {
        if (level == 0) {
            err = check_item(check, &node, i, &entry);
            if (err == TORG_E_CORRUPT)
                say(check, "6: document %u: its record or its combination is missing or damaged",
                    rtree_node_u32(node.document, i));
        } else {
            struct rtree_entry said = rtree_node_child(&node, i);

            err = check_node(check, said.child, level - 1, &entry);
            if (!err)
                check_sum(check, &said, &entry);
        }
        if (err)
            return err;
        if (first)
            sum = rtree_node_sum(&entry, 1);
        else
            rtree_node_add(&sum, &entry);
        first = false;
    }
    sum.child = number;
    *ret_sum = sum;
    return TORG_OK;
}

/* ---- numbers ---- */

static void check_documents(struct check *check)
{
    const struct list *documents = &check->documents;

    list_sort(&check->documents);
    for (size_t i = 1; i < documents->count; i++) {
        if (documents->numbers[i] == documents->numbers[i - 1])
            say(check, "8: document %u stands in the tree twice", documents->numbers[i]);
    }
    if (documents->count != check->root.items)
        say(check, "7: %llu items are said, %zu are there", (unsigned long long)check->root.items,
            documents->count);
    check->stat.items = documents->count;
}

/* The chain of free numbers, into the list of nodes: together they must be all there are. */
static enum torg_err check_free(struct check *check)
{
    uint8_t key[RTREE_KEY_BYTES];
    uint32_t number = check->root.free_head, next;
    struct span value;
    enum torg_err err = TORG_OK;

    while (number != 0 && !err) {
        err = kv_get(check->kv, KV_RTREE, rtree_node_key(check->collection, number, key), &value);
        if (err == TORG_E_NOT_FOUND || (!err && !rtree_node_free_read(value, &next))) {
            say(check, "9: the free number %u is not free", number);
            return TORG_E_CORRUPT;
        }
        if (!err)
            err = list_add(&check->nodes, number);
        if (!err && check->nodes.count > check->root.next) {
            say(check, "9: the chain of free numbers runs in a circle");
            return TORG_E_CORRUPT;
        }
        number = next;
    }
    return err;
}

static void check_numbers(struct check *check)
{
    const struct list *nodes = &check->nodes;

    list_sort(&check->nodes);
    for (size_t i = 1; i < nodes->count; i++) {
        if (nodes->numbers[i] == nodes->numbers[i - 1])
            say(check, "9: node %u is reached twice, or is free", nodes->numbers[i]);
    }
    if (nodes->count != (size_t)check->root.next - 1)
        say(check, "9: %zu nodes and free numbers of %u are accounted for", nodes->count,
            check->root.next - 1);
}

/* Every key under the first byte must be in the list. */
static enum torg_err check_stored(struct check *check, uint8_t first_byte, const struct list *list,
                                  const char *what)
{
    struct kv_cursor *cursor;
    struct span key, value;
    enum torg_err err;

    err = kv_cursor_open(check->kv, KV_RTREE, &cursor);
    if (err)
        return err;
    err = kv_cursor_seek(check->kv, cursor, span_of(&first_byte, 1), &key, &value);
    while (!err && key.size > 0 && key.data[0] == first_byte) {
        uint32_t number = key.size == RTREE_KEY_BYTES ? get_u32be(key.data + 1) : 0;
        bool is_root = first_byte == check->collection && number == 0;

        if (key.size != RTREE_KEY_BYTES || (!is_root && !list_has(list, number)))
            say(check, "%s %u belongs to nothing", what, number);
        err = kv_cursor_next(check->kv, cursor, &key, &value);
    }
    kv_cursor_close(check->kv, cursor);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

static enum torg_err check_tree(struct check *check)
{
    struct rtree_entry sum;
    enum torg_err err;

    err = rtree_node_root_get(check->kv, check->collection, &check->root);
    if (err == TORG_E_NOT_FOUND) {
        check->root = (struct rtree_root){.next = 1};
        err = TORG_OK;
    }
    if (err == TORG_E_CORRUPT || err == TORG_E_VERSION)
        say(check, "1: the tree's record is damaged or of another version");
    if (!err && check->root.height > 0)
        err = check_node(check, check->root.root, check->root.height - 1, &sum);
    if (!err)
        err = check_free(check);
    if (err)
        return err;
    check->stat.height = check->root.height;
    check_documents(check);
    check_numbers(check);
    list_sort(&check->records);
    err = check_stored(check, check->collection, &check->nodes, "9: node");
    if (!err)
        err = check_stored(check, check->collection | RTREE_RECORD_KEY_BIT, &check->records,
                           "10: the record of document");
    return err;
}

enum torg_err rtree_check(const struct kv *kv, uint8_t collection, rtree_report *report,
                          void *context, struct rtree_stat *ret_stat)
{
    struct check check = {.kv = kv, .collection = collection, .report = report, .context = context};
    enum torg_err err;

    assert(collection > 0 && collection <= RTREE_COLLECTION_MAX);
    err = check_tree(&check);
    if (!err && check.breaches > 0)
        err = TORG_E_CORRUPT;
    if (!err && ret_stat)
        *ret_stat = check.stat;
    free(check.documents.numbers);
    free(check.nodes.numbers);
    free(check.records.numbers);
    return err;
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdlib.h>
#include <string.h>

#include "index/filter_internal.h"
#include "protocol/num.h"

#define LIST_FIRST 8
#define COMPARES_A_WORK 64 /* so many pairs that are compared are one */

static struct filter_item *add(struct filter_list *list, enum filter_item_kind kind)
{
    if (list->err)
        return NULL;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : LIST_FIRST;
        struct filter_item *items = realloc(list->items, capacity * sizeof(*items));

        if (!items) {
            list->err = TORG_E_NOMEM;
            return NULL;
        }
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count] = (struct filter_item){.kind = kind};
    return &list->items[list->count++];
}

void filter_list_add_text(struct filter_list *list, struct span text)
{
    struct filter_item *item = add(list, FILTER_ITEM_TEXT);

    if (!item)
        return;
    item->at = list->text.size;
    item->size = text.size;
    buffer_put_span(&list->text, text);
    if (list->text.err)
        list->err = list->text.err;
}

void filter_list_add_number(struct filter_list *list, double number)
{
    struct filter_item *item = add(list, FILTER_ITEM_NUMBER);

    if (item)
        item->number = number;
}

void filter_list_add_truth(struct filter_list *list, bool truth)
{
    struct filter_item *item = add(list, FILTER_ITEM_TRUTH);

    if (item)
        item->truth = truth;
}

void filter_list_add_other(struct filter_list *list)
{
    (void)add(list, FILTER_ITEM_OTHER);
}

bool filter_list_add_json(struct filter_list *list, struct span array)
{
    struct buffer scratch = {0};
    struct span value, text;
    double number;

    if (array.size < 2 || array.data[0] != '[')
        return false;
    array = span_of(array.data + 1, array.size - 1);
    while (!list->err && filter_json_element(&array, &value)) {
        if (value.data[0] == '"' && filter_json_string(value, &scratch, &text))
            filter_list_add_text(list, text);
        else if (span_equal(value, span_of_str("true")) || span_equal(value, span_of_str("false")))
            filter_list_add_truth(list, value.data[0] == 't');
        else if (num_parse_double(value, &number) == TORG_OK)
            filter_list_add_number(list, number);
        else
            filter_list_add_other(list);
    }
    buffer_done(&scratch);
    return true;
}

void filter_list_done(struct filter_list *list)
{
    free(list->items);
    buffer_done(&list->text);
    *list = (struct filter_list){0};
}

static struct span text_of(const struct filter_list *list, const struct filter_item *item)
{
    return item->size ? span_of(list->text.data + item->at, item->size) : (struct span){0};
}

/* What no list of ours holds is equal to nothing. */
static bool holds(const struct filter_list *list, const struct filter_list *other,
                  const struct filter_item *wanted)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct filter_item *item = &list->items[i];

        if (item->kind != wanted->kind)
            continue;
        if (item->kind == FILTER_ITEM_TEXT &&
            span_equal(text_of(list, item), text_of(other, wanted)))
            return true;
        if ((item->kind == FILTER_ITEM_NUMBER && item->number == wanted->number) ||
            (item->kind == FILTER_ITEM_TRUTH && item->truth == wanted->truth))
            return true;
    }
    return false;
}

static size_t shared(const struct filter_list *list, const struct filter_list *of)
{
    size_t count = 0;

    for (size_t i = 0; i < of->count; i++)
        count += holds(list, of, &of->items[i]);
    return count;
}

bool filter_list_related(enum cql2_op op, const struct filter_list *a, const struct filter_list *b,
                         uint64_t *work)
{
    *work += a->count * b->count / COMPARES_A_WORK;
    switch (op) {
    case CQL2_OP_A_CONTAINS:
        return shared(a, b) == b->count;
    case CQL2_OP_A_CONTAINED_BY:
        return shared(b, a) == a->count;
    case CQL2_OP_A_OVERLAPS:
        return shared(a, b) > 0;
    default:
        *work += a->count * b->count / COMPARES_A_WORK;
        return shared(a, b) == b->count && shared(b, a) == a->count;
    }
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/catalogue_terms.h"

#include <stdlib.h>
#include <string.h>

#define TERMS_FEW 64       /* that are sorted as they come */
#define TERMS_ON_STACK 512 /* that need no memory to be sorted */

void catalogue_terms_add(struct buffer *terms, uint8_t kind, struct span key)
{
    uint8_t head[2] = {kind, (uint8_t)key.size};

    if (key.size == 0 || key.size > POSTINGS_KEY_BYTES_MAX)
        return;
    buffer_put(terms, head, sizeof(head));
    buffer_put_span(terms, key);
}

bool catalogue_terms_next(struct span *left, uint8_t *ret_kind, struct span *ret_key)
{
    size_t size;

    if (left->size < 3)
        return false;
    size = left->data[1];
    if (size == 0 || size > POSTINGS_KEY_BYTES_MAX || left->size - 2 < size)
        return false;
    *ret_kind = left->data[0];
    *ret_key = span_of(left->data + 2, size);
    *left = span_of(left->data + 2 + size, left->size - 2 - size);
    return true;
}

static int term_order(uint8_t a_kind, struct span a, uint8_t b_kind, struct span b)
{
    return a_kind != b_kind ? (int)a_kind - (int)b_kind : span_compare(a, b);
}

/* A term while they are sorted: at points at kind and size. */
struct sorted_term {
    uint64_t head; /* its kind and the first bytes of its key, which decide most comparisons */
    const uint8_t *at;
};

static struct sorted_term sorted_term_of(const uint8_t *at)
{
    struct sorted_term term = {.head = (uint64_t)at[0] << 56, .at = at};

    for (size_t i = 0; i < 7 && i < at[1]; i++)
        term.head |= (uint64_t)at[2 + i] << (48 - 8 * i);
    return term;
}

static int term_compare(const void *a, const void *b)
{
    const struct sorted_term *left = a, *right = b;

    if (left->head != right->head)
        return left->head < right->head ? -1 : 1;
    return span_compare(span_of(left->at + 2, left->at[1]), span_of(right->at + 2, right->at[1]));
}

/* A listing mostly has a few dozen terms: for so few this is the fastest. */
static void sort_few(struct sorted_term *terms, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct sorted_term term = terms[i];
        size_t at = i;

        for (; at > 0 && term_compare(&term, &terms[at - 1]) < 0; at--)
            terms[at] = terms[at - 1];
        terms[at] = term;
    }
}

enum torg_err catalogue_terms_sort(struct buffer *terms)
{
    struct sorted_term here[TERMS_ON_STACK], *at = here;
    uint8_t bytes_here[3 * TERMS_ON_STACK], *bytes = bytes_here;
    size_t size = terms->size, count = 0;
    struct span left, key;
    uint8_t kind;
    bool few = size <= sizeof(bytes_here);

    if (terms->err || size == 0)
        return terms->err;
    if (!few) {
        at = malloc(size / 3 * sizeof(*at));
        bytes = malloc(size);
    }
    if (!at || !bytes) {
        terms->err = TORG_E_NOMEM;
        goto done;
    }
    memcpy(bytes, terms->data, size);
    left = span_of(bytes, size);
    for (const uint8_t *start = left.data; catalogue_terms_next(&left, &kind, &key);
         start = left.data)
        at[count++] = sorted_term_of(start);
    if (count <= TERMS_FEW)
        sort_few(at, count);
    else
        qsort(at, count, sizeof(*at), term_compare);
    buffer_clear(terms);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || term_compare(&at[i - 1], &at[i]) != 0)
            buffer_put(terms, at[i].at, 2 + (size_t)at[i].at[1]);
    }
done:
    if (!few) {
        free(at);
        free(bytes);
    }
    return terms->err;
}

/* Both are in order: what stands in one only is a change. */
enum torg_err catalogue_terms_change(struct postings_writer *writer, uint32_t number,
                                     struct span before, struct span after)
{
    uint8_t old_kind = 0, new_kind = 0;
    struct span old_key, new_key;
    bool has_old = catalogue_terms_next(&before, &old_kind, &old_key);
    bool has_new = catalogue_terms_next(&after, &new_kind, &new_key);
    enum torg_err err = TORG_OK;

    while ((has_old || has_new) && !err) {
        int order = !has_new ? -1 : !has_old ? 1 : term_order(old_kind, old_key, new_kind, new_key);

        if (order < 0)
            err = postings_remove(writer, old_kind, old_key, number);
        else if (order > 0)
            err = postings_add(writer, new_kind, new_key, number);
        if (order <= 0)
            has_old = catalogue_terms_next(&before, &old_kind, &old_key);
        if (order >= 0)
            has_new = catalogue_terms_next(&after, &new_kind, &new_key);
    }
    return !err && before.size ? TORG_E_CORRUPT : err;
}

enum torg_err catalogue_terms_flush(struct postings_writer *writer, struct text_stemmer *stemmer,
                                    struct kv *kv)
{
    writer->turned = text_turned;
    writer->context = stemmer;
    return postings_flush(writer, kv);
}

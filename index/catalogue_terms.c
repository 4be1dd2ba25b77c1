/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/catalogue_terms.h"

#include <stdlib.h>
#include <string.h>

void catalogue_terms_add(struct buffer *terms, uint8_t kind, struct span key)
{
    if (key.size == 0 || key.size > POSTINGS_KEY_BYTES_MAX)
        return;
    buffer_put_u8(terms, kind);
    buffer_put_u8(terms, (uint8_t)key.size);
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

/* Both point at kind and size. */
static int term_compare(const void *a, const void *b)
{
    const uint8_t *left = *(const uint8_t *const *)a;
    const uint8_t *right = *(const uint8_t *const *)b;

    return term_order(left[0], span_of(left + 2, left[1]), right[0], span_of(right + 2, right[1]));
}

enum torg_err catalogue_terms_sort(struct buffer *terms)
{
    struct span left = buffer_span(terms), key;
    const uint8_t **at;
    struct buffer sorted = {0};
    size_t count = 0;
    uint8_t kind;

    if (terms->err || terms->size == 0)
        return terms->err;
    at = malloc(terms->size / 3 * sizeof(*at));
    if (!at)
        return TORG_E_NOMEM;
    for (const uint8_t *start = left.data; catalogue_terms_next(&left, &kind, &key);
         start = left.data)
        at[count++] = start;
    qsort(at, count, sizeof(*at), term_compare);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || term_compare(&at[i - 1], &at[i]) != 0)
            buffer_put(&sorted, at[i], 2 + (size_t)at[i][1]);
    }
    free(at);
    buffer_done(terms);
    *terms = sorted;
    return terms->err;
}

static struct span number_key(uint8_t bytes[4], uint32_t number)
{
    put_u32be(bytes, number);
    return span_of(bytes, 4);
}

enum torg_err catalogue_terms_get(const struct kv *kv, uint32_t number, struct span *ret_terms)
{
    uint8_t bytes[4];
    enum torg_err err;

    err = kv_get(kv, KV_DOCTERM, number_key(bytes, number), ret_terms);
    if (err == TORG_E_NOT_FOUND)
        *ret_terms = (struct span){0};
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

/* Both are in order: what stands in one only is a change. */
static enum torg_err terms_differ(struct postings_writer *writer, uint32_t number,
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

enum torg_err catalogue_terms_change(struct postings_writer *writer, struct kv *kv, uint32_t number,
                                     struct span terms)
{
    struct span before;
    uint8_t bytes[4];
    enum torg_err err;

    err = catalogue_terms_get(kv, number, &before);
    if (err || span_equal(before, terms))
        return err;
    err = terms_differ(writer, number, before, terms);
    if (err)
        return err;
    return terms.size ? kv_put(kv, KV_DOCTERM, number_key(bytes, number), terms)
                      : kv_del(kv, KV_DOCTERM, number_key(bytes, number));
}

enum torg_err catalogue_terms_flush(struct postings_writer *writer, struct text_stemmer *stemmer,
                                    struct kv *kv)
{
    writer->turned = text_turned;
    writer->context = stemmer;
    return postings_flush(writer, kv);
}

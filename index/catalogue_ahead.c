/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/catalogue_ahead.h"

#include <stdlib.h>
#include <string.h>

#include "index/catalogue_writer.h"

/* Of a listing's payload its row, document and terms are mostly three times as much. */
#define BYTES_FOR_ONE 4

/*
 * What is derived lies in one buffer for all, one after the other: memory of its
 * own for each row, document and list of terms cost as much as a tenth of deriving.
 */
struct catalogue_ahead {
    const struct theme_tree *themes;
    struct replica_origin origin; /* number and id only */
    const struct replica_entry *entries;
    size_t count, derived_count;
    struct catalogue_derived derived; /* the last one */
    struct buffer bytes;
    struct ahead_row {
        enum torg_err err;            /* what catalogue_derive said */
        size_t at;                    /* in bytes: theme bits, row, record */
        struct catalogue_ready ready; /* its spans have a size only */
    } * rows;
};

enum torg_err catalogue_ahead_new(const struct theme_tree *themes, const struct origin_id *origin,
                                  uint32_t number, const struct replica_entry *entries,
                                  size_t count, struct catalogue_ahead **ret_ahead)
{
    struct catalogue_ahead *ahead = calloc(1, sizeof(*ahead));
    size_t payload_bytes = 0;

    if (!ahead)
        return TORG_E_NOMEM;
    ahead->themes = themes;
    ahead->origin.id = *origin;
    ahead->origin.number = number;
    ahead->entries = entries;
    ahead->count = count;
    ahead->rows = calloc(count ? count : 1, sizeof(*ahead->rows));
    for (size_t i = 0; i < count; i++)
        payload_bytes += entries[i].payload.size;
    if (!ahead->rows || buffer_reserve(&ahead->bytes, BYTES_FOR_ONE * payload_bytes)) {
        catalogue_ahead_free(ahead);
        return TORG_E_NOMEM;
    }
    *ret_ahead = ahead;
    return TORG_OK;
}

/* Keep what was derived last. */
static enum torg_err row_keep(struct catalogue_ahead *ahead, struct ahead_row *row)
{
    struct catalogue_ready *ready = &row->ready;

    *ready = catalogue_derived_ready(&ahead->derived);
    row->at = ahead->bytes.size;
    buffer_put_span(&ahead->bytes, ready->row.theme_bits);
    buffer_put_span(&ahead->bytes, ready->row_value);
    buffer_put_span(&ahead->bytes, ready->record_value);
    return ahead->bytes.err;
}

bool catalogue_ahead_step(struct catalogue_ahead *ahead, size_t count)
{
    for (; count > 0 && ahead->derived_count < ahead->count; count--) {
        const struct replica_entry *entry = &ahead->entries[ahead->derived_count];
        struct ahead_row *row = &ahead->rows[ahead->derived_count];
        enum torg_err err;

        err = row->err = catalogue_derive(ahead->themes, &ahead->origin, entry->header.collection,
                                          entry, &ahead->derived);
        if (!err)
            err = row_keep(ahead, row);
        if (err && err != TORG_E_NOT_FOUND)
            return false; /* no memory: whoever comes to it will say so */
        ahead->derived_count++;
    }
    return ahead->derived_count < ahead->count;
}

void catalogue_ahead_free(struct catalogue_ahead *ahead)
{
    if (!ahead)
        return;
    catalogue_derived_done(&ahead->derived);
    buffer_done(&ahead->bytes);
    free(ahead->rows);
    free(ahead);
}

static struct span take(const uint8_t **at, size_t size)
{
    struct span bytes = span_of(*at, size);

    *at += size;
    return bytes;
}

struct catalogue_ready *catalogue_ahead_find(struct catalogue_ahead *ahead,
                                             const struct replica_origin *origin,
                                             uint8_t collection, const struct replica_entry *entry,
                                             enum torg_err *ret_err)
{
    struct catalogue_ready *ready;
    struct ahead_row *row;
    const uint8_t *at;

    if (!ahead || !entry || entry < ahead->entries ||
        entry >= ahead->entries + ahead->derived_count)
        return NULL;
    if (origin->number != ahead->origin.number || entry->header.collection != collection ||
        memcmp(&origin->id, &ahead->origin.id, sizeof(origin->id)) != 0)
        return NULL;
    row = &ahead->rows[entry - ahead->entries];
    ready = &row->ready;
    *ret_err = row->err;
    if (row->err)
        return ready;
    at = ahead->bytes.data + row->at;
    ready->row.theme_bits = take(&at, ready->row.theme_bits.size);
    ready->row_value = take(&at, ready->row_value.size);
    ready->record_value = take(&at, ready->record_value.size);
    ready->terms = span_of(at - ready->terms.size, ready->terms.size);
    return ready;
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/catalogue_ahead.h"

#include <stdlib.h>
#include <string.h>

#include "index/catalogue_writer.h"

struct catalogue_ahead {
    const struct theme_tree *themes;
    struct replica_origin origin; /* number and id only */
    const struct replica_entry *entries;
    size_t count, derived;
    struct ahead_row {
        enum torg_err err; /* what catalogue_derive said */
        struct catalogue_derived derived;
    } * rows;
};

enum torg_err catalogue_ahead_new(const struct theme_tree *themes, const struct origin_id *origin,
                                  uint32_t number, const struct replica_entry *entries,
                                  size_t count, struct catalogue_ahead **ret_ahead)
{
    struct catalogue_ahead *ahead = calloc(1, sizeof(*ahead));

    if (!ahead)
        return TORG_E_NOMEM;
    ahead->themes = themes;
    ahead->origin.id = *origin;
    ahead->origin.number = number;
    ahead->entries = entries;
    ahead->count = count;
    ahead->rows = calloc(count ? count : 1, sizeof(*ahead->rows));
    if (!ahead->rows) {
        free(ahead);
        return TORG_E_NOMEM;
    }
    *ret_ahead = ahead;
    return TORG_OK;
}

bool catalogue_ahead_step(struct catalogue_ahead *ahead, size_t count)
{
    for (; count > 0 && ahead->derived < ahead->count; count--) {
        const struct replica_entry *entry = &ahead->entries[ahead->derived];
        struct ahead_row *row = &ahead->rows[ahead->derived];

        row->err = catalogue_derive(ahead->themes, &ahead->origin, entry->header.collection, entry,
                                    &row->derived);
        if (row->err && row->err != TORG_E_NOT_FOUND) {
            catalogue_derived_done(&row->derived);
            return false; /* no memory: whoever comes to it will say so */
        }
        ahead->derived++;
    }
    return ahead->derived < ahead->count;
}

void catalogue_ahead_free(struct catalogue_ahead *ahead)
{
    if (!ahead)
        return;
    for (size_t i = 0; i < ahead->derived; i++)
        catalogue_derived_done(&ahead->rows[i].derived);
    free(ahead->rows);
    free(ahead);
}

struct catalogue_derived *catalogue_ahead_find(struct catalogue_ahead *ahead,
                                               const struct replica_origin *origin,
                                               uint8_t collection,
                                               const struct replica_entry *entry,
                                               enum torg_err *ret_err)
{
    size_t at;

    if (!ahead || !entry || entry < ahead->entries || entry >= ahead->entries + ahead->derived)
        return NULL;
    at = (size_t)(entry - ahead->entries);
    if (origin->number != ahead->origin.number || entry->header.collection != collection ||
        memcmp(&origin->id, &ahead->origin.id, sizeof(origin->id)) != 0)
        return NULL;
    *ret_err = ahead->rows[at].err;
    return &ahead->rows[at].derived;
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdlib.h>

#include "protocol/replica_internal.h"

/*
 * A charter may give a collection to everybody, or take that back, while its
 * listings stay as they are. Whoever follows the listings is told of them anew.
 */
#define STRETCH 4096 /* listings remembered at once */

enum torg_err replica_public_mask(const struct kv *kv, const struct replica_origin *origin,
                                  uint32_t *ret_mask)
{
    struct charter charter;
    uint32_t mask = 0;
    enum torg_err err =
        replica_charter_load(kv, origin->number, origin->charter_no, NULL, &charter);

    if (err)
        return err;
    for (unsigned c = 1; c < COLLECTIONS_MAX; c++) {
        if (charter.visibility[c] == VISIBILITY_PUBLIC)
            mask |= UINT32_C(1) << c;
    }
    *ret_mask = mask;
    return TORG_OK;
}

struct stretch {
    struct listing_key *keys;
    size_t count;
    bool more;
    struct listing_key next;
};

static bool stretch_visit(void *context, const struct listing_key *key, struct span header,
                          struct span payload)
{
    struct stretch *stretch = context;

    (void)header;
    (void)payload;
    if (stretch->count == STRETCH) {
        stretch->more = true;
        stretch->next = *key;
        return false;
    }
    stretch->keys[stretch->count++] = *key;
    return true;
}

/* One listing, copied: the observer writes, and what was read of the store does not outlive that.
 */
static enum torg_err tell(struct kv *kv, const struct replica_origin *origin, uint8_t collection,
                          const struct listing_key *key, const struct replica_observer *observer,
                          struct buffer *scratch)
{
    struct replica_entry entry;
    struct span header, payload;
    size_t header_size;
    enum torg_err err = replica_listing_get(kv, origin->number, collection, key, &header, &payload);

    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
    buffer_clear(scratch);
    buffer_put_span(scratch, header);
    buffer_put_span(scratch, payload);
    if (scratch->err)
        return scratch->err;
    header_size = header.size;
    err = replica_entry_read(span_of(scratch->data, header_size),
                             span_of(scratch->data + header_size, scratch->size - header_size),
                             &entry);
    if (err)
        return err == TORG_E_NOMEM ? err : TORG_E_CORRUPT;
    return replica_fatal(observer->changed(observer->context, kv, origin, collection, key, &entry));
}

static enum torg_err tell_collection(struct kv *kv, const struct replica_origin *origin,
                                     uint8_t collection, const struct replica_observer *observer,
                                     struct stretch *stretch, struct buffer *scratch)
{
    enum torg_err err = TORG_OK;

    stretch->next = (struct listing_key){{0}};
    do {
        struct listing_key from = stretch->next;

        stretch->count = 0;
        stretch->more = false;
        err = replica_listings(kv, origin->number, collection, &from, stretch_visit, stretch);
        for (size_t i = 0; i < stretch->count && !err; i++)
            err = tell(kv, origin, collection, &stretch->keys[i], observer, scratch);
    } while (stretch->more && !err);
    return err;
}

enum torg_err replica_tell_again(struct kv *kv, const struct replica_origin *origin, uint32_t mask,
                                 const struct replica_observer *observer)
{
    struct stretch stretch = {.keys = calloc(STRETCH, sizeof(*stretch.keys))};
    struct buffer scratch = {0};
    enum torg_err err = stretch.keys ? TORG_OK : TORG_E_NOMEM;

    for (uint8_t c = 1; c < COLLECTIONS_MAX && !err; c++) {
        if (mask >> c & 1 && origin->held[c].count)
            err = tell_collection(kv, origin, c, observer, &stretch, &scratch);
    }
    free(stretch.keys);
    buffer_done(&scratch);
    return err;
}

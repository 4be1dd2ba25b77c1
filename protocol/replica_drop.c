/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdlib.h>

#include "protocol/replica_internal.h"

/*
 * Collections that are not to be held any more go a stretch at a time, so that
 * neither the transaction nor the other writes' waiting grows with them. What is
 * left in between is a collection with another root than its head's: PARTIAL,
 * which is announced and served to nobody.
 */

struct drop {
    struct listing_key *keys;
    size_t count;
};

static bool drop_visit(void *context, const struct listing_key *key, struct span header_bytes,
                       struct span payload)
{
    struct drop *drop = context;

    (void)header_bytes;
    (void)payload;
    if (drop->count == REPLICA_DROP_LISTINGS_MAX)
        return false;
    drop->keys[drop->count++] = *key;
    return true;
}

static uint8_t first_held(const struct replica_origin *origin, uint32_t mask)
{
    for (uint8_t c = 1; c < COLLECTIONS_MAX; c++) {
        if (mask >> c & 1 && origin->held[c].count > 0)
            return c;
    }
    return 0;
}

static enum torg_err drop_write(struct kv *kv, struct replica_origin *origin, uint8_t collection,
                                const struct drop *drop, const struct replica_observer *observer)
{
    struct replica_writing writing = {.kv = kv, .origin = origin, .observer = observer};
    struct replica_plan plan = {0};
    enum torg_err err = replica_plan_init(&plan, drop->count);

    if (err)
        return err;
    for (size_t i = 0; i < drop->count; i++)
        replica_plan_add(&plan, collection, &drop->keys[i], NULL);
    err = replica_plan_compute(&plan, kv, origin);
    if (!err)
        err = replica_plan_write(&plan, &writing);
    /* Its tombstones go, too: a delta from before would not tell what was dropped. */
    if (!err)
        err = replica_floor_raise(&writing);
    if (!err)
        err = replica_origin_save(kv, origin);
    replica_plan_done(&plan);
    buffer_done(&writing.scratch);
    return err;
}

enum torg_err replica_drop_apply(struct kv *kv, const struct replica_write *write,
                                 const struct replica_observer *observer)
{
    struct replica_origin origin;
    struct drop drop = {0};
    uint8_t collection;
    enum torg_err err = replica_origin_get(kv, &write->origin, &origin);

    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_E_GAP : err;
    if (origin.flags & REPLICA_FLAG_OWN)
        return TORG_E_INVALID;
    collection = first_held(&origin, write->mask);
    if (!collection)
        return TORG_E_KNOWN;
    drop.keys = calloc(REPLICA_DROP_LISTINGS_MAX, sizeof(*drop.keys));
    if (!drop.keys)
        return TORG_E_NOMEM;
    err = replica_listings(kv, origin.number, collection, NULL, drop_visit, &drop);
    if (!err && drop.count == 0)
        err = TORG_E_CORRUPT; /* the record counts what is not there */
    if (!err)
        err = drop_write(kv, &origin, collection, &drop, observer);
    free(drop.keys);
    return err;
}

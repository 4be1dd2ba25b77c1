/* SPDX-License-Identifier: EUPL-1.2 */
#include <inttypes.h>

#include "protocol/sync_internal.h"

/*
 * What is held and not wanted any more, because the configuration was narrowed
 * or a charter has closed a collection, goes: a stretch at a time, beside
 * whatever else is done for the origin.
 */

enum torg_err sync_drop_attend(struct sync *sync, uint32_t index)
{
    struct sync_origin *origin = &sync->origins[index];
    struct sync_pending pending = {.origin = index, .job = SYNC_NONE};
    struct sync_store *store;
    enum torg_err err;

    if (!origin->unwanted || origin->pending_drop)
        return TORG_OK;
    err = sync_store_begin(sync, index, REPLICA_WRITE_DROP, &store);
    if (err || !store)
        return err;
    store->write.mask = origin->unwanted;
    if (!origin->dropping)
        sync_note(sync, "origin.dropping", " origin=%02x%02x%02x%02x collections=0x%" PRIx32,
                  origin->id.bytes[0], origin->id.bytes[1], origin->id.bytes[2],
                  origin->id.bytes[3], origin->unwanted);
    origin->dropping = true;
    return sync_store_submit(sync, store, &pending);
}

void sync_drop_stored(struct sync *sync, uint32_t index)
{
    struct sync_origin *origin = &sync->origins[index];

    if (origin->unwanted || !origin->dropping)
        return;
    origin->dropping = false;
    sync_note(sync, "origin.dropped", " origin=%02x%02x%02x%02x", origin->id.bytes[0],
              origin->id.bytes[1], origin->id.bytes[2], origin->id.bytes[3]);
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/member.h"
#include "protocol/sync_internal.h"

/*
 * The catalogue of the configuration names whom to trust. Its collection of
 * members is a collection like any other; whenever it is whole under a head and
 * another one than before, it is read again, and origins come and go.
 */

struct reading {
    const struct sync *sync;
    struct sync_pin *members;
    uint32_t count, capacity, room;
    bool too_many;
    bool own_named; /* of the own origin, which is no member here, only this is asked */
    struct hash own_charter;
    enum torg_err err;
};

static bool take(void *context, const struct member *member)
{
    struct reading *reading = context;

    const struct sync *sync = reading->sync;

    if (member->has_charter && sync->trust.has_own &&
        memcmp(&member->origin, &sync->trust.own, sizeof(member->origin)) == 0) {
        reading->own_named = true;
        reading->own_charter = member->charter;
    }
    if (member->status != MEMBER_ACTIVE || sync_trust_pins(&sync->trust, &member->origin))
        return true;
    if (reading->count == reading->room) {
        reading->too_many = true;
        return false;
    }
    if (reading->count == reading->capacity) {
        uint32_t capacity = reading->capacity ? 2 * reading->capacity : 64;
        struct sync_pin *grown = realloc(reading->members, capacity * sizeof(*grown));

        if (!grown) {
            reading->err = TORG_E_NOMEM;
            return false;
        }
        reading->members = grown;
        reading->capacity = capacity;
    }
    reading->members[reading->count++] = (struct sync_pin){
        .id = member->origin,
        .mask = sync->trust.members_mask,
        .quota = member->quota ? member->quota : sync->limits.listings_per_origin,
        .has_charter = member->has_charter,
        .charter = member->charter,
    };
    return true;
}

static int id_order(const void *a, const void *b)
{
    const struct sync_pin *left = a, *right = b;

    return memcmp(left->id.bytes, right->id.bytes, sizeof(left->id.bytes));
}

static bool same_members(const struct sync_trust *trust, const struct reading *reading)
{
    bool same = trust->member_count == reading->count;

    for (uint32_t i = 0; i < reading->count && same; i++)
        same = id_order(&trust->members[i], &reading->members[i]) == 0 &&
               trust->members[i].mask == reading->members[i].mask &&
               trust->members[i].quota == reading->members[i].quota &&
               trust->members[i].has_charter == reading->members[i].has_charter &&
               memcmp(&trust->members[i].charter, &reading->members[i].charter,
                      sizeof(trust->members[i].charter)) == 0;
    return same;
}

/* All of the list is here, and what its entries say. */
static bool is_whole(const struct sync_origin *catalogue)
{
    return catalogue->complete >> COLLECTION_MEMBERS & 1 && !catalogue->roster_missing;
}

void sync_members_look(struct sync *sync, const struct sync_origin *origin)
{
    const struct trie_root *root = &origin->roster;
    bool same = sync->members_whole && root->count == sync->members_root.count &&
                memcmp(&root->digest, &sync->members_root.digest, sizeof(root->digest)) == 0;

    if (!sync->trust.has_catalogue ||
        memcmp(&origin->id, &sync->trust.catalogue, sizeof(origin->id)) != 0)
        return;
    /* What was held before the start counts as it is: it was whole once, or on its way. */
    sync->members_due = !sync->members_read || (is_whole(origin) && !same);
}

static void own_name(struct sync *sync, const struct reading *reading)
{
    uint32_t index = sync->trust.has_own ? sync_origin_index(sync, &sync->trust.own) : SYNC_NONE;

    if (index == SYNC_NONE || !reading->own_named)
        return;
    sync_charters_name(&sync->origins[index], &reading->own_charter);
    sync_origin_attend(sync, index);
}

static enum torg_err members_read(struct sync *sync, const struct sync_origin *catalogue)
{
    struct reading reading = {.sync = sync, .room = ORIGINS_MAX - sync->trust.pin_count - 1};
    enum torg_err err = member_each(sync->read, catalogue->number, take, &reading);

    if (!err)
        err = reading.err;
    if (err)
        goto done;
    if (reading.count)
        qsort(reading.members, reading.count, sizeof(*reading.members), id_order);
    if (reading.too_many)
        sync_note(sync, "catalogue.too_many", " taken=%" PRIu32, reading.count);
    sync->members_read = true;
    sync->members_due = false;
    sync->members_whole = is_whole(catalogue);
    sync->members_root = catalogue->roster;
    own_name(sync, &reading);
    if (same_members(&sync->trust, &reading))
        goto done;
    sync_note(sync, "catalogue.members", " members=%" PRIu32 " before=%" PRIu32, reading.count,
              sync->trust.member_count);
    err = sync_members_set(sync, reading.members, reading.count);
    sync->members_due = err != TORG_OK;
    if (!err)
        reading.members = NULL;
done:
    free(reading.members);
    return err;
}

enum torg_err sync_members_follow(struct sync *sync)
{
    uint32_t index;

    if (!sync->members_due)
        return TORG_OK;
    index = sync_origin_index(sync, &sync->trust.catalogue);
    if (index == SYNC_NONE || !sync->origins[index].known)
        return TORG_OK;
    if (sync->now_ms < sync->members_next_ms) {
        sync_origin_attend_at(sync, index, sync->members_next_ms);
        return TORG_OK;
    }
    sync->members_next_ms = sync->now_ms + SYNC_MEMBERS_MS;
    return members_read(sync, &sync->origins[index]);
}

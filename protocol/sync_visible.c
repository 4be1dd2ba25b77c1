/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdlib.h>
#include <string.h>

#include "protocol/member.h"
#include "protocol/sync_internal.h"

/*
 * Who may be sent what. A collection for members goes only to whom TLS has
 * proved a key that stands in the newest charter of an active member of the
 * origin's own catalogue. Everything that is asked here is answered from what
 * is held now: nothing has to be taken back when somebody leaves.
 */

void sync_speaker_forget(struct sync_speaker *speaker)
{
    free(speaker->origins);
    *speaker = (struct sync_speaker){0};
}

static bool has_key(const struct public_key *keys, uint8_t count, const struct public_key *key)
{
    for (uint8_t i = 0; i < count; i++) {
        if (memcmp(&keys[i], key, sizeof(*key)) == 0)
            return true;
    }
    return false;
}

/* The origins whose newest charter lists the key: as a rule one. */
static enum torg_err speaker_find(const struct sync *sync, const struct public_key *key,
                                  struct sync_speaker *speaker)
{
    sync_speaker_forget(speaker);
    for (uint32_t i = 0; i < sync->origin_count; i++) {
        struct origin_id *grown;

        if (!has_key(sync->origins[i].node_keys, sync->origins[i].node_key_count, key))
            continue;
        grown = realloc(speaker->origins, (speaker->count + 1) * sizeof(*grown));
        if (!grown) {
            sync_speaker_forget(speaker);
            return TORG_E_NOMEM;
        }
        speaker->origins = grown;
        speaker->origins[speaker->count++] = sync->origins[i].id;
    }
    speaker->found = true;
    return TORG_OK;
}

/* What the catalogue of an origin says of a speaker. */
enum belonging {
    BELONGS_NOT,
    BELONGS_PERHAPS, /* there is an entry, and what it says is not here */
    BELONGS
};

static enum torg_err belonging_find(struct sync *sync, const struct public_key *key,
                                    struct sync_speaker *speaker, const struct sync_origin *of,
                                    enum belonging *ret_belonging)
{
    uint32_t catalogue = of->has_catalogue ? sync_origin_index(sync, &of->catalogue) : SYNC_NONE;
    enum torg_err err = TORG_OK;

    *ret_belonging = BELONGS_NOT;
    if (catalogue == SYNC_NONE || !sync->origins[catalogue].known)
        return TORG_OK;
    if (!speaker->found)
        err = speaker_find(sync, key, speaker);
    for (uint32_t i = 0; i < speaker->count && !err && *ret_belonging != BELONGS; i++) {
        struct member member;

        err =
            member_get(sync->read, sync->origins[catalogue].number, &speaker->origins[i], &member);
        if (!err && member.status == MEMBER_ACTIVE)
            *ret_belonging = BELONGS;
        if (err == TORG_E_GAP)
            *ret_belonging = BELONGS_PERHAPS;
        if (err == TORG_E_GAP || err == TORG_E_NOT_FOUND)
            err = TORG_OK;
    }
    return err;
}

enum torg_err sync_visible_here(struct sync *sync, const struct sync_origin *origin,
                                uint32_t *ret_mask, uint32_t *ret_perhaps)
{
    enum belonging belonging = BELONGS; /* nobody had to give us our own */
    enum torg_err err = TORG_OK;

    if (origin->members_mask && !origin->own)
        err = belonging_find(sync, &sync->node_key, &sync->speaker, origin, &belonging);
    if (err)
        return err;
    *ret_mask = origin->public_mask | (belonging == BELONGS ? origin->members_mask : 0);
    *ret_perhaps = belonging == BELONGS_PERHAPS ? origin->members_mask : 0;
    return TORG_OK;
}

uint32_t sync_visible_to(struct sync *sync, uint32_t peer, const struct sync_origin *origin)
{
    struct sync_peer *to = &sync->peers[peer];
    enum belonging belonging;

    if (!origin->members_mask || !to->link ||
        belonging_find(sync, &to->link_key, &to->speaker, origin, &belonging) ||
        belonging != BELONGS)
        return origin->public_mask; /* also without an answer from the store */
    return origin->public_mask | origin->members_mask;
}

/* Does the change of an origin's node keys touch that key? */
static bool touches(const struct sync_origin *origin, const struct charter *charter,
                    const struct public_key *key)
{
    return has_key(origin->node_keys, origin->node_key_count, key) !=
           has_key(charter->node_keys, charter->node_key_count, key);
}

void sync_visible_charter(struct sync *sync, const struct sync_origin *origin,
                          const struct charter *charter)
{
    if (touches(origin, charter, &sync->node_key)) {
        sync_speaker_forget(&sync->speaker);
        sync->visible_due = true;
    }
    for (uint32_t i = 0; i < sync->peer_count; i++) {
        struct sync_peer *peer = &sync->peers[i];

        if (!peer->link || !touches(origin, charter, &peer->link_key))
            continue;
        sync_speaker_forget(&peer->speaker);
        sync->visible_due = true;
    }
}

void sync_visible_regrouped(struct sync *sync)
{
    sync_speaker_forget(&sync->speaker);
    for (uint32_t i = 0; i < sync->peer_count; i++)
        sync_speaker_forget(&sync->peers[i].speaker);
    sync->visible_due = true;
}

static bool same_roster(const struct sync_origin *origin, const struct replica_origin *record)
{
    const struct trie_root *root = &record->held[COLLECTION_MEMBERS];

    return origin->roster.count == root->count &&
           memcmp(&origin->roster.digest, &root->digest, sizeof(root->digest)) == 0 &&
           origin->roster_missing == record->missing[COLLECTION_MEMBERS];
}

void sync_visible_look(struct sync *sync, struct sync_origin *origin,
                       const struct replica_origin *record)
{
    if (same_roster(origin, record))
        return;
    origin->roster = record->held[COLLECTION_MEMBERS];
    origin->roster_missing = record->missing[COLLECTION_MEMBERS];
    sync->visible_due = true;
}

enum torg_err sync_visible_follow(struct sync *sync)
{
    enum torg_err err = TORG_OK;

    if (!sync->visible_due)
        return TORG_OK;
    for (uint32_t i = 0; i < sync->origin_count && !err; i++) {
        if (!sync->origins[i].members_mask)
            continue;
        err = sync->origins[i].own ? TORG_OK : sync_origin_refresh(sync, i);
        sync_link_have_due(sync, i);
        sync_origin_attend(sync, i);
    }
    sync->visible_due = err != TORG_OK;
    return err;
}

/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_MEMBER_H
#define TORG_PROTOCOL_MEMBER_H

#include "protocol/replica.h"

/*
 * Members: the collection in which a catalogue, which any origin can be, says
 * who belongs. Whoever trusts the catalogue takes its members' listings
 * (docs/protocol.md, "Catalogues and members").
 *
 * The entry about an origin is the listing whose id is the first half of the
 * origin's id. So there is at most one, which is found without a search, and
 * two entries cannot contradict each other; any other listing of the collection
 * says nothing.
 */
enum member_status { MEMBER_ACTIVE, MEMBER_SUSPENDED, MEMBER_LEFT };

struct member {
    struct origin_id origin;
    enum member_status status;
    uint32_t quota; /* listings that it may publish; 0: not said */
    bool has_charter;
    struct hash charter; /* the right one of two that have one number */
};

struct listing_id member_listing_id(const struct origin_id *member);

/*
 * What an entry says. TORG_E_INVALID: it is none, because its id is not its
 * member's, or a word of it is not understood; whoever is named so does not
 * belong. TORG_E_NOMEM.
 */
enum torg_err member_read(const struct listing_key *key, struct span header_bytes,
                          struct span payload, struct member *ret_member);

/*
 * The entry about an origin in the catalogue of that number. TORG_E_NOT_FOUND: there is none.
 * TORG_E_GAP: there is one, and what it says is not here, for whoever brought it kept that back.
 */
enum torg_err member_get(const struct kv *kv, uint32_t catalogue, const struct origin_id *origin,
                         struct member *ret_member);

/* All entries, in no order that means anything; false stops. */
typedef bool member_visit(void *context, const struct member *member);
enum torg_err member_each(const struct kv *kv, uint32_t catalogue, member_visit *visit,
                          void *context);

#endif

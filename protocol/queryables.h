/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_QUERYABLES_H
#define TORG_PROTOCOL_QUERYABLES_H

#include "protocol/cql2.h"
#include "protocol/listing.h"

/*
 * What can be asked of a collection by the name of a property: every simple
 * property, members of maps as "address.locality", texts in Swedish (else in
 * the first language that there is), lists of strings, and the geometry. Lists
 * of maps are not among them, nor personal data.
 */
#define QUERYABLES_MAX 512
#define QUERYABLES_NAMES_MAX 40960

struct queryables {
    size_t count;
    struct cql2_property items[QUERYABLES_MAX];
    const struct listing_property *listing[QUERYABLES_MAX]; /* whose they are; NULL: of none */
    size_t names_size;
    char names[QUERYABLES_NAMES_MAX]; /* of the items */
};

/* All zero before. False: there is no room for it. A name that is there already stays as it is. */
bool queryables_add(struct queryables *queryables, struct span name, enum cql2_type type,
                    const struct listing_property *listing);
/* The listings of any of these collections. */
void queryables_of_listings(uint32_t collections, struct queryables *ret_queryables);
struct cql2_schema queryables_schema(const struct queryables *queryables);
/* Its number, or count. */
size_t queryables_find(const struct queryables *queryables, struct span name);

#endif

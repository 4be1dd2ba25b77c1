/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_SUPPORT_LISTING_RANDOM_H
#define TORG_TESTS_SUPPORT_LISTING_RANDOM_H

#include <jansson.h>

#include "protocol/listing.h"

/*
 * Random listings that are right, made from the table of properties itself: a
 * property that is added there is tried at once. The same state gives the
 * same listing.
 */

/* A feature as a client would send it; owned by the caller. NULL without memory. */
json_t *listing_random_feature(uint64_t *state, uint8_t collection);
/* The packed body of such a feature, appended. */
enum torg_err listing_random_body(uint64_t *state, uint8_t collection, struct buffer *ret_body);
/* One of the collections that hold listings. */
uint8_t listing_random_collection(uint64_t *state);

#endif

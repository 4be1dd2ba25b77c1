/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_LISTING_CHECK_H
#define TORG_PROTOCOL_LISTING_CHECK_H

#include "protocol/listing.h"

/*
 * Name an unknown property (fields NULL: of the collection; else of a map's
 * fields) at path, and the known name that was probably meant.
 */
void listing_check_unknown(uint8_t collection, const struct listing_property *fields,
                           struct span name, const char *path, struct problems *problems);

/* "sell, rent or lend". */
void listing_check_choices(const char *const *choices, char *out, size_t out_size);

#endif

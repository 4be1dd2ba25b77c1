/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_FEATURE_SELECT_H
#define TORG_INDEX_FEATURE_SELECT_H

#include "protocol/bytes.h"

/*
 * Append a stored feature with only those members of its properties that have
 * one of the names, in the order in which they stand; all else as it is. It
 * ends with "}}" as before, but its properties may be empty. TORG_E_CORRUPT,
 * and out is of no use, when feature is no such JSON.
 */
enum torg_err feature_select(struct span feature, const struct span *names, size_t count,
                             struct buffer *out);

#endif

/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_NEAREST_H
#define TORG_PROTOCOL_NEAREST_H

#include "protocol/bytes.h"

/*
 * "Did you mean": how far one name is from another, for messages to people.
 * Edits of bytes, ASCII letters without regard to case (Wagner and Fischer,
 * "The string-to-string correction problem", 1974). UINT_MAX when either is
 * longer than NEAREST_NAME_BYTES_MAX: such names are not compared.
 */
#define NEAREST_NAME_BYTES_MAX 64
unsigned nearest_distance(struct span a, struct span b);

#endif

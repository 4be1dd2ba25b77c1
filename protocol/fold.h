/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_FOLD_H
#define TORG_PROTOCOL_FOLD_H

#include "protocol/bytes.h"

/*
 * Text folded for search: lower case, and letters without their marks
 * (å ä á -> a, ö ø -> o, š -> s, ŋ -> n, đ -> d, æ -> ae, ß -> ss ...), runs of
 * white space as one space, none at either end. "umea" finds Umeå. Works on
 * UTF-8 for Latin, Greek and Cyrillic; other letters stay as they are.
 * Composed and decomposed text fold alike; folding twice changes nothing.
 * Control characters, and bytes that are not UTF-8, are dropped.
 */
void fold_put(struct buffer *out, struct span text);

#endif

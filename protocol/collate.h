/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_COLLATE_H
#define TORG_PROTOCOL_COLLATE_H

#include "protocol/bytes.h"

/*
 * Append a key of text: keys in the order of their bytes are texts in Swedish
 * order. å, ä and ö come after z (æ is ä, ø is ö, ü is y), other letters with
 * marks where they would be without, digits before letters; case and
 * punctuation make no difference. At most weights_max bytes, each from
 * COLLATE_WEIGHT_MIN on, so that what ends a key may be smaller than all. Text
 * that is not UTF-8 is passed over from there on.
 */
#define COLLATE_WEIGHT_MIN 4
void collate_put(struct buffer *out, struct span text, size_t weights_max);

#endif

/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_LISTING_PERSONAL_H
#define TORG_PROTOCOL_LISTING_PERSONAL_H

#include "protocol/bytes.h"

/*
 * Append the body without its personal properties, as the table of listing.h
 * marks them: what is shown of an origin that has not been heard of for so
 * long that a person's wish to be gone may be on its way. The rest stays byte
 * for byte. TORG_E_INVALID, and nothing appended, when body is not a map. The
 * body was skimmed with profile_check.
 */
enum torg_err listing_hide_personal(struct span body, struct buffer *out);

#endif

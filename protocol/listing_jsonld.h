/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_LISTING_JSONLD_H
#define TORG_PROTOCOL_LISTING_JSONLD_H

#include "protocol/listing.h"

/* Listings in schema.org's words, which search engines and other catalogues read (JSON-LD 1.1). */
#define LISTING_JSONLD_CONTEXT "https://schema.org/"

/*
 * One feature as listing_put_geojson writes it, as a JSON object without
 * @context. url: of the API's base, "https://host/torg/v1": each @id is the
 * listing's address there. Texts keep all their languages.
 * TORG_E_INVALID for what is no such feature; TORG_E_NOMEM.
 */
enum torg_err listing_put_jsonld(struct span feature, struct span url, struct buffer *out);

#endif

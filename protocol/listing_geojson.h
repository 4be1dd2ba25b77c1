/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_LISTING_GEOJSON_H
#define TORG_PROTOCOL_LISTING_GEOJSON_H

#include <jansson.h>

#include "protocol/listing.h"

/* GeoJSON (RFC 7946) in and out. */

/* JSON text to a tree: no duplicate keys, at most 32 deep, whole input. message says where. */
enum torg_err listing_json_parse(struct span text, json_t **ret_json, char *message,
                                 size_t message_size);

/*
 * One Feature to a packed body, appended to ret_body. Coordinates in degrees
 * (an altitude is dropped, rings are turned by the right-hand rule), prices
 * decimal, times RFC 3339, texts a string (taken as language; NULL: sv) or a
 * language map. Members that the API adds by itself (id, collection, origin,
 * distance, created, modified) are passed over, null is as if absent. Every
 * mistake goes to problems, which should be empty before: a wrong coordinate
 * system with the one that it seems to be. created_ms and modified_ms are set.
 * The result has passed listing_check; else TORG_E_INVALID.
 */
enum torg_err listing_of_geojson(uint8_t collection, const json_t *feature, const char *language,
                                 int64_t created_ms, int64_t modified_ms, struct buffer *ret_body,
                                 struct problems *problems);

/* What is not in the body but in the feature. */
struct listing_meta {
    uint8_t collection;
    struct origin_id origin;
    struct listing_id id;
};

/*
 * Append a body as one Feature, ready to send:
 * {"type":"Feature","id":...,"geometry":...,"properties":{...}}
 * "properties" stands last and is never empty, so that an answer may add a
 * member by replacing the last two bytes. Texts are language maps here; the
 * properties stand in the body's order. A known property whose value has
 * another type is left out, unknown ones are plain JSON (bytes in hex).
 * TORG_E_INVALID, and nothing appended, for a body that cannot be shown.
 * The body was skimmed with profile_check. Streams; any thread.
 */
enum torg_err listing_put_geojson(const struct listing_meta *meta, struct span body,
                                  struct buffer *out);

/*
 * Append one packed value of a property as JSON. TORG_E_INVALID, and nothing
 * appended, when it has another type than the table says.
 */
enum torg_err listing_put_value(const struct listing_property *property, struct span value,
                                struct buffer *out);

/* Append text as a JSON string, quoted; bytes that are not UTF-8 become U+FFFD. */
void json_put_string(struct buffer *out, struct span text);
/* The same without the quotes: a part of a string. */
void json_put_text(struct buffer *out, struct span text);

#endif

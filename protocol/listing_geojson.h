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
 * One Feature to a packed body. Coordinates in degrees, prices decimal, times
 * RFC 3339, texts a string (taken as language) or a language map. Members that
 * the API adds by itself (id, collection, origin, distance, created, modified)
 * are passed over. Every mistake goes to problems, a wrong coordinate system
 * with the one that it seems to be. created_ms and modified_ms are set.
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
 * member by replacing the last two bytes. Texts are language maps here.
 * TORG_E_INVALID for a body that cannot be shown.
 */
enum torg_err listing_put_geojson(const struct listing_meta *meta, struct span body,
                                  struct buffer *out);

/* Append text as a JSON string, quoted; bytes that are not UTF-8 become U+FFFD. */
void json_put_string(struct buffer *out, struct span text);

#endif

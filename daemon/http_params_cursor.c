/* SPDX-License-Identifier: EUPL-1.2 */
#include <math.h>
#include <string.h>

#include "daemon/http_params.h"
#include "protocol/seal.h"

/* Where the next page begins, as text that belongs to one query. */

static void put_double(struct buffer *out, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    buffer_put_u64be(out, bits);
}

static void put_counted(struct buffer *out, struct span text)
{
    buffer_put_u32be(out, (uint32_t)text.size);
    buffer_put_span(out, text);
}

uint64_t http_params_binding(const struct http_params *params)
{
    const struct query *query = &params->query;
    struct buffer text = {0};
    uint8_t hash[16];

    buffer_put_u32be(&text, query->collections);
    buffer_put_u8(&text, query->has_near);
    put_double(&text, query->has_near ? query->near.lon_deg : 0);
    put_double(&text, query->has_near ? query->near.lat_deg : 0);
    put_double(&text, query->radius_m);
    buffer_put_u8(&text, query->has_box);
    if (query->has_box) {
        put_double(&text, query->box.west_deg);
        put_double(&text, query->box.south_deg);
        put_double(&text, query->box.east_deg);
        put_double(&text, query->box.north_deg);
    }
    put_counted(&text, params->intersects);
    put_counted(&text, params->filter);
    buffer_put_u8(&text, params->filter_json);
    buffer_put_u8(&text, (uint8_t)params->filter_crs);
    put_counted(&text, params->sortby);
    buffer_put_u32be(&text, (uint32_t)params->property_count);
    for (size_t i = 0; i < params->property_count; i++) {
        put_counted(&text, params->properties[i]->name);
        put_counted(&text, params->properties[i]->value);
    }
    buffer_put_u8(&text, query->group_count);
    for (size_t i = 0; i < query->group_count; i++) {
        buffer_put_u8(&text, query->groups[i].count);
        for (size_t j = 0; j < query->groups[i].count; j++)
            put_counted(&text, query->groups[i].slugs[j]);
    }
    put_counted(&text, query->text);
    buffer_put_u8(&text, query->has_datetime);
    buffer_put_u64be(&text, query->has_datetime ? (uint64_t)query->from_ms : 0);
    buffer_put_u64be(&text, query->has_datetime ? (uint64_t)query->through_ms : 0);
    buffer_put_u32be(&text, (uint32_t)params->origin_count);
    for (size_t i = 0; i < params->origin_count; i++)
        put_counted(&text, params->origins[i]);
    buffer_put_u32be(&text, (uint32_t)query->municipality_count);
    for (size_t i = 0; i < query->municipality_count; i++)
        put_counted(&text, query->municipalities[i]);
    buffer_put_u32be(&text, (uint32_t)query->network_count);
    for (size_t i = 0; i < query->network_count; i++) {
        buffer_put(&text, query->networks[i].origin_prefix, 8);
        buffer_put(&text, query->networks[i].id.bytes, 16);
    }
    buffer_put_u8(&text, query->by_rank);
    buffer_put_u8(&text, query->has_reach);
    if (query->has_reach) {
        put_double(&text, query->reach.lon_deg);
        put_double(&text, query->reach.lat_deg);
        put_double(&text, query->reach_m);
    }
    buffer_put_u8(&text, query->has_open);
    buffer_put_u64be(&text, query->has_open ? (uint64_t)query->open_ms : 0);
    seal_hash16("torg/cursor/1", buffer_span(&text), hash);
    buffer_done(&text);
    return get_u64be(hash);
}

/* base64url of RFC 4648, section 5, without padding */
static const char base64url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Whole groups of three bytes. */
static void base64_put(struct buffer *out, struct span bytes)
{
    for (size_t i = 0; i + 2 < bytes.size; i += 3) {
        uint32_t group =
            (uint32_t)bytes.data[i] << 16 | (uint32_t)bytes.data[i + 1] << 8 | bytes.data[i + 2];

        for (int shift = 18; shift >= 0; shift -= 6)
            buffer_put_u8(out, (uint8_t)base64url[group >> shift & 63]);
    }
}

/* text in whole groups of four; three bytes of each go to out. false: another character. */
static bool base64_get(struct span text, uint8_t *out)
{
    for (size_t i = 0; i < text.size / 4; i++) {
        uint32_t group = 0;

        for (size_t j = 0; j < 4; j++) {
            const char *digit = memchr(base64url, text.data[4 * i + j], 64);

            if (!digit)
                return false;
            group = group << 6 | (uint32_t)(digit - base64url);
        }
        out[3 * i] = (uint8_t)(group >> 16);
        out[3 * i + 1] = (uint8_t)(group >> 8);
        out[3 * i + 2] = (uint8_t)group;
    }
    return true;
}

#define CURSOR_FORMAT 1
#define CURSOR_BYTES 21 /* format, binding, distance, document: seven groups of three */

void http_params_cursor_put(struct buffer *out, const struct query_cursor *cursor, uint64_t binding)
{
    struct buffer bytes = {0};

    buffer_put_u8(&bytes, CURSOR_FORMAT);
    buffer_put_u64be(&bytes, binding);
    put_double(&bytes, cursor->distance_m);
    buffer_put_u32be(&bytes, cursor->document);
    if (bytes.err && !out->err)
        out->err = bytes.err;
    base64_put(out, buffer_span(&bytes));
    buffer_done(&bytes);
}

enum torg_err http_params_cursor_parse(struct span text, struct query_cursor *ret_cursor,
                                       uint64_t *ret_binding)
{
    struct query_cursor cursor;
    uint8_t bytes[CURSOR_BYTES];
    uint64_t bits;

    if (text.size != HTTP_CURSOR_TEXT_SIZE)
        return TORG_E_INVALID;
    if (!base64_get(text, bytes))
        return TORG_E_INVALID;
    bits = get_u64be(bytes + 9);
    memcpy(&cursor.distance_m, &bits, sizeof(bits));
    cursor.document = get_u32be(bytes + 17);
    if (bytes[0] != CURSOR_FORMAT || !isfinite(cursor.distance_m) || cursor.distance_m < -1 ||
        cursor.distance_m > GEO_RADIUS_M_MAX)
        return TORG_E_INVALID;
    *ret_binding = get_u64be(bytes + 1);
    *ret_cursor = cursor;
    return TORG_OK;
}

/* ---- cursors of an order by properties ---- */

#define SORT_CURSOR_FORMAT 2
#define SORT_CURSOR_HEAD_BYTES 15 /* format, binding, document, size of the key */

void http_params_sort_cursor_put(struct buffer *out, const struct query_sort_key *key,
                                 uint32_t document, uint64_t binding)
{
    struct buffer bytes = {0};

    buffer_put_u8(&bytes, SORT_CURSOR_FORMAT);
    buffer_put_u64be(&bytes, binding);
    buffer_put_u32be(&bytes, document);
    buffer_put_u16be(&bytes, key->size);
    buffer_put(&bytes, key->bytes, key->size);
    while (bytes.size % 3 && !bytes.err)
        buffer_put_u8(&bytes, 0);
    if (bytes.err && !out->err)
        out->err = bytes.err;
    base64_put(out, buffer_span(&bytes));
    buffer_done(&bytes);
}

enum torg_err http_params_sort_cursor_parse(struct span text, struct query_sort *sort,
                                            uint64_t *ret_binding)
{
    uint8_t bytes[HTTP_SORT_CURSOR_TEXT_MAX / 4 * 3] = {0};
    size_t size = text.size / 4 * 3, key_size;

    if (text.size % 4 || text.size > HTTP_SORT_CURSOR_TEXT_MAX || size < SORT_CURSOR_HEAD_BYTES)
        return TORG_E_INVALID;
    if (!base64_get(text, bytes))
        return TORG_E_INVALID;
    key_size = get_u16be(bytes + 13);
    if (bytes[0] != SORT_CURSOR_FORMAT || key_size > QUERY_SORT_BYTES_MAX ||
        (SORT_CURSOR_HEAD_BYTES + key_size + 2) / 3 * 3 != size)
        return TORG_E_INVALID;
    *ret_binding = get_u64be(bytes + 1);
    sort->after_document = get_u32be(bytes + 9);
    sort->after.size = (uint16_t)key_size;
    memcpy(sort->after.bytes, bytes + SORT_CURSOR_HEAD_BYTES, key_size);
    return TORG_OK;
}

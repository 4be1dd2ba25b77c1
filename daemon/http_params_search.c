/* SPDX-License-Identifier: EUPL-1.2 */
#include <string.h>

#include "daemon/http_params_internal.h"
#include "index/aggregate.h"
#include "protocol/num.h"
#include "protocol/opening.h"

/* One value: themes that must all be there. */
bool http_params_read_theme(struct http_params_reading *reading, struct span value)
{
    struct query *query = &reading->params->query;
    struct query_theme_group group = {0};
    struct span slug;

    while (http_params_split(&value, ',', &slug)) {
        if (group.count == RTREE_THEME_SETS_MAX)
            return http_params_fail(reading, "holds more than 8 themes in one value");
        if (!theme_slug_valid(slug))
            return http_params_fail(reading,
                                    "must be themes such as food/cafe; /themes lists them");
        group.slugs[group.count++] = slug;
    }
    if (query->group_count == RTREE_THEME_GROUPS_MAX)
        return http_params_fail(reading, "stands more than 16 times");
    query->groups[query->group_count++] = group;
    return true;
}

bool http_params_read_q(struct http_params_reading *reading, struct span value)
{
    if (value.size > QUERY_TEXT_BYTES_MAX)
        return http_params_fail(reading, "is longer than 200 bytes");
    reading->params->query.text = value;
    return true;
}

bool http_params_read_order(struct http_params_reading *reading, struct span value)
{
    struct query *query = &reading->params->query;

    query->by_rank = span_equal(value, span_of_str("rank"));
    if (query->by_rank || span_equal(value, span_of_str("distance")))
        return true;
    return http_params_fail(reading, "must be distance or rank");
}

static bool read_instant(struct span text, int64_t *ret_from_ms, int64_t *ret_through_ms)
{
    if (num_parse_date(text, ret_from_ms, ret_through_ms) == TORG_OK)
        return true;
    if (num_parse_time(text, ret_from_ms))
        return false;
    *ret_through_ms = *ret_from_ms;
    return true;
}

static bool is_open(struct span text)
{
    return text.size == 0 || span_equal(text, span_of_str(".."));
}

/* Repeated values are intersected, for GDAL sends the two ends apart. */
bool http_params_read_datetime(struct http_params_reading *reading, struct span value)
{
    struct query *query = &reading->params->query;
    int64_t from_ms = INT64_MIN;
    int64_t through_ms = INT64_MAX;
    int64_t unused;
    struct span start;
    struct span end = value;
    bool interval = value.size && memchr(value.data, '/', value.size);
    bool valid;

    if (interval) {
        http_params_split(&end, '/', &start);
        valid = (is_open(start) || read_instant(start, &from_ms, &unused)) &&
                (is_open(end) || read_instant(end, &unused, &through_ms)) && from_ms <= through_ms;
    } else {
        valid = read_instant(value, &from_ms, &through_ms);
    }
    if (!valid)
        return http_params_fail(
            reading, "must be a date, a time such as 2026-11-21T09:00:00Z, or an interval "
                     "start/end, either of which may be ..");
    if (!query->has_datetime) {
        query->from_ms = INT64_MIN;
        query->through_ms = INT64_MAX;
    }
    query->has_datetime = true;
    query->from_ms = from_ms > query->from_ms ? from_ms : query->from_ms;
    query->through_ms = through_ms < query->through_ms ? through_ms : query->through_ms;
    reading->params->never = query->from_ms > query->through_ms;
    return true;
}

bool http_params_read_open_at(struct http_params_reading *reading, struct span value)
{
    struct query *query = &reading->params->query;

    if (num_parse_time(value, &query->open_ms) || !opening_moment_valid(query->open_ms))
        return http_params_fail(reading,
                                "must be a moment with its zone, in the years 1996 to 2199, "
                                "such as 2026-11-21T09:00:00+01:00 (+ is written %2B)");
    query->has_open = true;
    return true;
}

static bool is_hex(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (!text.data[i] || !strchr("0123456789abcdefABCDEF", text.data[i]))
            return false;
    }
    return true;
}

bool http_params_read_origin(struct http_params_reading *reading, struct span value)
{
    struct http_params *params = reading->params;

    if (value.size < HTTP_ORIGIN_DIGITS_MIN || value.size > 2 * sizeof(struct origin_id) ||
        !is_hex(value))
        return http_params_fail(reading,
                                "must be an origin's id or at least its first 16 hex digits; "
                                "/federation lists them");
    if (params->origin_count == QUERY_VALUES_MAX)
        return http_params_fail(reading, "stands more than 64 times");
    params->origins[params->origin_count++] = value;
    return true;
}

bool http_params_read_municipality(struct http_params_reading *reading, struct span value)
{
    struct query *query = &reading->params->query;
    struct span code;

    while (http_params_split(&value, ',', &code)) {
        bool digits = code.size == 4;

        for (size_t i = 0; i < code.size; i++)
            digits = digits && code.data[i] >= '0' && code.data[i] <= '9';
        if (!digits)
            return http_params_fail(reading, "must be an SCB code of four digits, such as 2480");
        if (query->municipality_count == QUERY_VALUES_MAX)
            return http_params_fail(reading, "names more than 64 municipalities");
        query->municipalities[query->municipality_count++] = code;
    }
    return true;
}

bool http_params_read_network(struct http_params_reading *reading, struct span value)
{
    struct query *query = &reading->params->query;

    if (query->network_count == QUERY_VALUES_MAX)
        return http_params_fail(reading, "stands more than 64 times");
    if (feature_id_parse(value, &query->networks[query->network_count]))
        return http_params_fail(reading, "must be the id of a listing of the collection networks");
    query->network_count++;
    return true;
}

bool http_params_read_filter(struct http_params_reading *reading, struct span value)
{
    if (value.size > CQL2_BYTES_MAX)
        return http_params_fail(reading, "is longer than 8192 bytes");
    reading->params->filter = value;
    return true;
}

bool http_params_read_filter_lang(struct http_params_reading *reading, struct span value)
{
    reading->params->filter_json = span_equal(value, span_of_str("cql2-json"));
    if (!reading->params->filter_json && !span_equal(value, span_of_str("cql2-text")))
        return http_params_fail(reading, "must be cql2-text or cql2-json");
    return true;
}

bool http_params_read_properties(struct http_params_reading *reading, struct span value)
{
    struct http_params *params = reading->params;
    struct span name;

    while (http_params_split(&value, ',', &name)) {
        if (params->select_count == HTTP_SELECT_MAX)
            return http_params_fail(reading, "names more than 64 properties");
        params->select[params->select_count++] = name;
    }
    return true;
}

bool http_params_read_collections(struct http_params_reading *reading, struct span value)
{
    struct span name;

    while (http_params_split(&value, ',', &name)) {
        uint8_t number = collection_of_name(name);

        if (!number || !(COLLECTION_MASK_PUBLIC >> number & 1))
            return http_params_fail(reading,
                                    "must name collections, such as companies,offers; /collections "
                                    "lists them");
        reading->params->query.collections |= 1u << number;
    }
    return true;
}

/* What the names mean is known when the collection's properties are. */
bool http_params_read_sortby(struct http_params_reading *reading, struct span value)
{
    reading->params->sortby = value;
    return true;
}

/* A word that stands for a bit of a set. */
struct word {
    const char *name;
    unsigned bit;
};

/* Words with commas, added to bits. otherwise is said of any other word. */
static bool read_words(struct http_params_reading *reading, struct span value,
                       const struct word *words, size_t count, const char *otherwise,
                       unsigned *bits)
{
    struct span part;

    while (http_params_split(&value, ',', &part)) {
        unsigned bit = 0;

        for (size_t i = 0; i < count; i++) {
            if (span_equal(part, span_of_str(words[i].name)))
                bit = words[i].bit;
        }
        if (!bit)
            return http_params_fail(reading, otherwise);
        *bits |= bit;
    }
    return true;
}

bool http_params_read_facets(struct http_params_reading *reading, struct span value)
{
    static const struct word words[] = {
        {"theme", QUERY_FACET_THEME},
        {"origin", QUERY_FACET_ORIGIN},
        {"municipality", QUERY_FACET_MUNICIPALITY},
        {"collection", QUERY_FACET_COLLECTION},
    };

    return read_words(reading, value, words, ARRAY_SIZE(words),
                      "must be theme, origin, municipality or collection, or several with commas",
                      &reading->params->facets);
}

bool http_params_read_by(struct http_params_reading *reading, struct span value)
{
    static const struct word words[] = {
        {"theme", AGGREGATE_BY_THEME},
        {"area", AGGREGATE_BY_AREA},
        {"municipality", AGGREGATE_BY_MUNICIPALITY},
    };

    return read_words(reading, value, words, ARRAY_SIZE(words),
                      "must be theme, area or municipality, or several with commas",
                      &reading->params->by);
}

bool http_params_read_place(struct http_params_reading *reading, struct span value)
{
    if (value.size > QUERY_TEXT_BYTES_MAX)
        return http_params_fail(reading, "is longer than 200 bytes");
    reading->params->place = value;
    return true;
}

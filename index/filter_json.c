/* SPDX-License-Identifier: EUPL-1.2 */
#include <string.h>

#include "index/feature_select.h"
#include "index/filter_internal.h"

/*
 * A walk over stored JSON that looks only at the members that are asked for:
 * no tree of objects is made for a feature that does not pass.
 */
#define JSON_DEPTH_MAX 40

struct walk {
    const uint8_t *at, *end;
    bool broken;
};

static void skip_space(struct walk *walk)
{
    while (walk->at < walk->end &&
           (*walk->at == ' ' || *walk->at == '\n' || *walk->at == '\t' || *walk->at == '\r'))
        walk->at++;
}

static bool take(struct walk *walk, uint8_t c)
{
    skip_space(walk);
    if (walk->at == walk->end || *walk->at != c)
        return false;
    walk->at++;
    return true;
}

static void want(struct walk *walk, uint8_t c)
{
    if (!take(walk, c))
        walk->broken = true;
}

/* A string as it stands, between its quotes. */
static struct span take_string(struct walk *walk)
{
    const uint8_t *begin;

    want(walk, '"');
    begin = walk->at;
    while (!walk->broken && walk->at < walk->end && *walk->at != '"')
        walk->at += *walk->at == '\\' && walk->at + 1 < walk->end ? 2 : 1;
    if (walk->at >= walk->end)
        walk->broken = true;
    if (walk->broken)
        return (struct span){0};
    walk->at++;
    return span_of(begin, (size_t)(walk->at - 1 - begin));
}

/* Any value, as it stands; brackets are counted, strings passed over. */
static struct span take_value(struct walk *walk)
{
    const uint8_t *begin;
    int depth = 0;

    skip_space(walk);
    begin = walk->at;
    while (walk->at < walk->end && !walk->broken) {
        uint8_t c = *walk->at;

        if (c == '"') {
            take_string(walk);
        } else if (c == '{' || c == '[') {
            depth++;
            walk->at++;
        } else if (c == '}' || c == ']') {
            if (depth == 0)
                break;
            depth--;
            walk->at++;
        } else if (depth == 0 && (c == ',' || c == ' ' || c == '\n')) {
            break;
        } else {
            walk->at++;
        }
        if (depth == 0 && (c == '"' || c == '}' || c == ']'))
            break;
    }
    if (depth > 0 || walk->at == begin)
        walk->broken = true;
    return span_of(begin, (size_t)(walk->at - begin));
}

/* The next member of an object that has begun; false at its end. */
static bool next_member(struct walk *walk, bool *first, struct span *ret_name)
{
    if (walk->broken || take(walk, '}'))
        return false;
    if (!*first)
        want(walk, ',');
    *first = false;
    *ret_name = take_string(walk);
    want(walk, ':');
    return !walk->broken;
}

static bool is_null(struct span value)
{
    return span_equal(value, span_of_str("null"));
}

static bool begins_with(struct span path, struct span name)
{
    return path.size > name.size && path.data[name.size] == '.' &&
           memcmp(path.data, name.data, name.size) == 0;
}

/* prefix: how much of the paths has been gone already. */
static void find_members(struct walk *walk, const struct filter_path *paths, size_t count,
                         struct span *values, const struct filter_path *only, size_t prefix,
                         unsigned depth)
{
    bool first = true;
    struct span name;

    want(walk, '{');
    while (next_member(walk, &first, &name)) {
        struct span value = take_value(walk);

        for (size_t i = 0; i < count && !walk->broken; i++) {
            struct span path = paths[i].name;
            struct walk inner = {.at = value.data, .end = value.data + value.size};

            if (paths[i].geometry || (only && &paths[i] != only))
                continue;
            path = span_of(path.data + prefix, path.size - prefix);
            if (span_equal(path, name))
                values[i] = is_null(value) ? (struct span){0} : value;
            else if (value.data[0] == '{' && begins_with(path, name) && depth < JSON_DEPTH_MAX)
                find_members(&inner, paths, count, values, &paths[i], prefix + name.size + 1,
                             depth + 1);
        }
    }
}

enum torg_err filter_json_find(struct span feature, const struct filter_path *paths, size_t count,
                               struct span *ret_values)
{
    struct walk walk = {.at = feature.data, .end = feature.data + feature.size};
    bool first = true;
    struct span name;

    memset(ret_values, 0, count * sizeof(*ret_values));
    want(&walk, '{');
    while (next_member(&walk, &first, &name)) {
        struct span value = take_value(&walk);
        struct walk inner = {.at = value.data, .end = value.data + value.size};

        if (span_equal(name, span_of_str("properties")) && !walk.broken && !is_null(value)) {
            find_members(&inner, paths, count, ret_values, NULL, 0, 0);
            walk.broken = walk.broken || inner.broken;
        } else if (span_equal(name, span_of_str("geometry")) && !is_null(value)) {
            for (size_t i = 0; i < count; i++) {
                if (paths[i].geometry)
                    ret_values[i] = value;
            }
        }
    }
    return walk.broken ? TORG_E_CORRUPT : TORG_OK;
}

bool filter_json_element(struct span *left, struct span *ret_value)
{
    struct walk walk = {.at = left->data, .end = left->data + left->size};

    (void)take(&walk, ','); /* before all but the first */
    if (walk.broken || take(&walk, ']'))
        return false;
    *ret_value = take_value(&walk);
    *left = span_of(walk.at, (size_t)(walk.end - walk.at));
    return !walk.broken;
}

/* ---- some properties only ---- */

static bool is_chosen(struct span name, const struct span *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (span_equal(name, names[i]))
            return true;
    }
    return false;
}

static void put_chosen(struct walk *walk, const struct span *names, size_t count,
                       struct buffer *out)
{
    bool first = true, any = false;
    struct span name;

    want(walk, '{');
    buffer_put_u8(out, '{');
    while (next_member(walk, &first, &name)) {
        struct span value = take_value(walk);

        if (!is_chosen(name, names, count))
            continue;
        buffer_put_str(out, any ? ",\"" : "\"");
        any = true;
        buffer_put_span(out, name);
        buffer_put_str(out, "\":");
        buffer_put_span(out, value);
    }
    buffer_put_u8(out, '}');
}

enum torg_err feature_select(struct span feature, const struct span *names, size_t count,
                             struct buffer *out)
{
    struct walk walk = {.at = feature.data, .end = feature.data + feature.size};
    bool first = true, any = false;
    struct span name;

    want(&walk, '{');
    buffer_put_u8(out, '{');
    while (next_member(&walk, &first, &name)) {
        struct span value = take_value(&walk);
        struct walk inner = {.at = value.data, .end = value.data + value.size};

        buffer_put_str(out, any ? ",\"" : "\"");
        any = true;
        buffer_put_span(out, name);
        buffer_put_str(out, "\":");
        if (span_equal(name, span_of_str("properties")) && value.size && value.data[0] == '{')
            put_chosen(&inner, names, count, out);
        else
            buffer_put_span(out, value);
        walk.broken = walk.broken || inner.broken;
    }
    buffer_put_u8(out, '}');
    return walk.broken ? TORG_E_CORRUPT : out->err;
}

/* ---- strings ---- */

static uint32_t hex4(const uint8_t *at)
{
    char digits[5] = {0};
    uint8_t bytes[2] = {0};

    memcpy(digits, at, 4);
    if (hex_decode(digits, bytes, sizeof(bytes)))
        return 0xfffd;
    return get_u16be(bytes);
}

/* After "\u"; returns how many bytes it took. A half of a pair alone is U+FFFD. */
static size_t put_escape_u(struct buffer *out, struct span text, size_t i)
{
    uint32_t code, low;

    if (i + 4 > text.size) {
        buffer_put_utf8(out, 0xfffd);
        return text.size - i;
    }
    code = hex4(text.data + i);
    if (code >= 0xd800 && code < 0xdc00 && i + 10 <= text.size && text.data[i + 4] == '\\' &&
        text.data[i + 5] == 'u') {
        low = hex4(text.data + i + 6);
        if (low >= 0xdc00 && low < 0xe000) {
            buffer_put_utf8(out, 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00));
            return 10;
        }
    }
    buffer_put_utf8(out, code >= 0xd800 && code < 0xe000 ? 0xfffd : code);
    return 4;
}

static void unescape(struct span text, struct buffer *out)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";

    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        const char *known;

        if (c != '\\' || i + 1 == text.size) {
            buffer_put_u8(out, c);
            continue;
        }
        c = text.data[++i];
        known = memchr(from, c, sizeof(from) - 1);
        if (c == 'u')
            i += put_escape_u(out, text, i + 1);
        else
            buffer_put_u8(out, known ? (uint8_t)to[known - from] : c);
    }
}

/* Swedish, or else the first that there is. */
static struct span choose_language(struct span map)
{
    struct walk walk = {.at = map.data, .end = map.data + map.size};
    struct span chosen = {0};
    bool first = true;
    struct span name;

    want(&walk, '{');
    while (next_member(&walk, &first, &name)) {
        struct span value = take_value(&walk);

        if (!walk.broken && (!chosen.size || span_equal(name, span_of_str("sv"))))
            chosen = value;
    }
    return chosen;
}

bool filter_json_string(struct span value, struct buffer *scratch, struct span *ret_text)
{
    if (value.size && value.data[0] == '{')
        value = choose_language(value);
    if (value.size < 2 || value.data[0] != '"')
        return false;
    value = span_of(value.data + 1, value.size - 2);
    if (value.size && memchr(value.data, '\\', value.size)) {
        buffer_clear(scratch);
        unescape(value, scratch);
        value = buffer_span(scratch);
    }
    *ret_text = value;
    return true;
}

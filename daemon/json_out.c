/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/json_out.h"

#include "protocol/listing_geojson.h"
#include "protocol/num.h"

static void put_name(struct buffer *out, const char *name)
{
    uint8_t last = out->size > 0 ? out->data[out->size - 1] : '{';

    if (last != '{' && last != '[' && last != ':')
        buffer_put_u8(out, ',');
    if (name) {
        json_put_string(out, span_of_str(name));
        buffer_put_u8(out, ':');
    }
}

void json_out_begin(struct buffer *out, const char *name, char bracket)
{
    put_name(out, name);
    buffer_put_u8(out, (uint8_t)bracket);
}

void json_out_end(struct buffer *out, char bracket)
{
    buffer_put_u8(out, (uint8_t)bracket);
}

void json_out_span(struct buffer *out, const char *name, struct span text)
{
    put_name(out, name);
    json_put_string(out, text);
}

void json_out_text(struct buffer *out, const char *name, const char *text)
{
    json_out_span(out, name, span_of_str(text));
}

void json_out_int(struct buffer *out, const char *name, int64_t value)
{
    put_name(out, name);
    num_put_int(out, value);
}

void json_out_bool(struct buffer *out, const char *name, bool value)
{
    put_name(out, name);
    buffer_put_str(out, value ? "true" : "false");
}

void json_out_null(struct buffer *out, const char *name)
{
    put_name(out, name);
    buffer_put_str(out, "null");
}

void json_out_time(struct buffer *out, const char *name, int64_t ms)
{
    put_name(out, name);
    buffer_put_u8(out, '"');
    num_put_time(out, ms);
    buffer_put_u8(out, '"');
}

void json_out_fixed(struct buffer *out, const char *name, int64_t value, unsigned scale)
{
    put_name(out, name);
    num_put_fixed(out, value, scale);
}

void json_out_raw(struct buffer *out, const char *name, struct span json)
{
    put_name(out, name);
    buffer_put_span(out, json);
}

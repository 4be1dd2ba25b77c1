/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_conformance.h"
#include "daemon/http_link.h"
#include "daemon/http_reply.h"

#include "daemon/json_out.h"

#define FEATURES_1 "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/"
#define FEATURES_2 "http://www.opengis.net/spec/ogcapi-features-2/1.0/conf/"

static const char *const classes[] = {
    FEATURES_1 "core", FEATURES_1 "oas30", FEATURES_1 "geojson",
    FEATURES_1 "html", FEATURES_2 "crs",
};

enum torg_err http_conformance(struct http_exchange *exchange)
{
    struct buffer *out = &exchange->reply.body;

    http_reply_begin(exchange, 200, http_params_format_type(HTTP_FORMAT_JSON));
    json_out_begin(out, NULL, '{');
    json_out_begin(out, "conformsTo", '[');
    for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
        json_out_text(out, NULL, classes[i]);
    json_out_end(out, ']');
    json_out_begin(out, "links", '[');
    http_link_self(exchange, out, http_params_format_type(HTTP_FORMAT_JSON));
    buffer_put_str(out, "]}\n");
    return out->err;
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_conformance.h"
#include "daemon/http_link.h"
#include "daemon/http_reply.h"

#include "daemon/json_out.h"

#define FEATURES_1 "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/"
#define FEATURES_2 "http://www.opengis.net/spec/ogcapi-features-2/1.0/conf/"
#define FEATURES_3 "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/"
#define FEATURES_4 "http://www.opengis.net/spec/ogcapi-features-4/1.0/conf/"
#define FEATURES_5 "http://www.opengis.net/spec/ogcapi-features-5/1.0/conf/"
#define CQL2 "http://www.opengis.net/spec/cql2/1.0/conf/"

static const char *const classes[] = {
    FEATURES_1 "core",
    FEATURES_1 "oas30",
    FEATURES_1 "geojson",
    FEATURES_1 "html",
    FEATURES_2 "crs",
    FEATURES_3 "queryables",
    FEATURES_3 "queryables-query-parameters",
    FEATURES_3 "filter",
    FEATURES_3 "features-filter",
    CQL2 "cql2-text",
    CQL2 "cql2-json",
    CQL2 "basic-cql2",
    CQL2 "advanced-comparison-operators",
    CQL2 "case-insensitive-comparison",
    CQL2 "accent-insensitive-comparison",
    CQL2 "basic-spatial-functions",
    CQL2 "basic-spatial-functions-plus",
    CQL2 "spatial-functions",
    CQL2 "temporal-functions",
    CQL2 "array-functions",
    CQL2 "arithmetic",
    CQL2 "property-property",
    CQL2 "basic-spatial-operators", /* its name in drafts, which QGIS looks for */
    FEATURES_4 "create-replace-delete",
    FEATURES_4 "update",
    FEATURES_4 "optimistic-locking-etags",
    FEATURES_5 "schemas",
    FEATURES_5 "advanced-property-roles",
    FEATURES_5 "returnables-and-receivables",
    FEATURES_5 "queryables",
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

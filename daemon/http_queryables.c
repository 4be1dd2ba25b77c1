/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_queryables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/http_items.h"
#include "daemon/http_link.h"
#include "daemon/http_local.h"
#include "daemon/http_reply.h"
#include "daemon/http_texts.h"
#include "daemon/json_out.h"

#define DIALECT "https://json-schema.org/draft/2020-12/schema"
#define QUERYABLES_REL "http://www.opengis.net/def/rel/ogc/1.0/queryables"
#define SCHEMA_REL "http://www.opengis.net/def/rel/ogc/1.0/schema"
#define GEOMETRY_ANY "geometry-any"
#define NAME_BYTES_MAX 300

void http_queryables_put_links(const struct http_exchange *exchange, struct buffer *out,
                               const char *collection)
{
    static const char *const schema_rels[] = {SCHEMA_REL, "describedby", "describedBy"};
    const char *type = http_params_format_type(HTTP_FORMAT_SCHEMA);

    http_link_put(exchange, out, QUERYABLES_REL, type, NULL, "/collections/%s/queryables",
                  collection);
    /* GDAL 3.6 looks for the last, which is no registered relation. */
    for (size_t i = 0; i < ARRAY_SIZE(schema_rels); i++)
        http_link_put(exchange, out, schema_rels[i], type, NULL, "/collections/%s/schema",
                      collection);
}

/* ---- of a table's property ---- */

static void put_choices(struct buffer *out, const struct listing_property *property)
{
    json_out_begin(out, "enum", '[');
    for (const char *const *choice = property->choices; *choice; choice++)
        json_out_text(out, NULL, *choice);
    json_out_end(out, ']');
}

static const char *format_of(const struct listing_property *property)
{
    switch (property->type) {
    case LISTING_TYPE_TIME:
        return "date-time";
    case LISTING_TYPE_URI:
        return "uri";
    case LISTING_TYPE_GEOMETRY:
        return GEOMETRY_ANY;
    default:
        break;
    }
    return property->format == LISTING_FORMAT_DATE    ? "date"
           : property->format == LISTING_FORMAT_EMAIL ? "email"
                                                      : NULL;
}

/* When a listing is: for events and courses by their start, else by their validity. */
static const char *role_of(uint8_t collection, const char *name)
{
    bool dated = listing_property_of(collection, span_of_str("start")) != NULL;

    if (strcmp(name, "geometry") == 0)
        return "primary-geometry";
    if (!collection)
        return NULL; /* Of a local one nobody knows what is meant. */
    if (strcmp(name, dated ? "start" : "validFrom") == 0)
        return "primary-interval-start";
    return strcmp(name, dated ? "end" : "validThrough") == 0 ? "primary-interval-end" : NULL;
}

static void put_words(struct buffer *out, const char *name, const struct listing_property *property,
                      enum http_language language)
{
    struct buffer meaning = {0};

    json_out_text(out, "title", http_queryables_title(name, language));
    if (property) {
        (void)http_texts_put(&meaning, language, span_of_str(property->meaning));
        json_out_span(out, "description", buffer_span(&meaning));
        if (meaning.err)
            out->err = meaning.err;
        buffer_done(&meaning);
    }
}

static void put_type(struct buffer *out, const struct listing_property *property, const char *name,
                     enum http_language language, unsigned depth);

static void put_members(struct buffer *out, const struct listing_property *property,
                        const char *name, enum http_language language, unsigned depth)
{
    char member[NAME_BYTES_MAX];

    json_out_text(out, "type", "object");
    json_out_begin(out, "properties", '{');
    for (const struct listing_property *field = property->fields; field && field->name; field++) {
        (void)snprintf(member, sizeof(member), "%s.%s", name, field->name);
        json_out_begin(out, field->name, '{');
        put_words(out, member, field, language);
        put_type(out, field, member, language, depth + 1);
        json_out_end(out, '}');
    }
    json_out_end(out, '}');
}

static void put_list(struct buffer *out, const struct listing_property *property, const char *name,
                     enum http_language language, unsigned depth)
{
    json_out_text(out, "type", "array");
    json_out_int(out, "maxItems", property->max);
    json_out_begin(out, "items", '{');
    if (property->type == LISTING_TYPE_LIST)
        put_members(out, property, name, language, depth);
    else
        json_out_text(out, "type", "string");
    json_out_end(out, '}');
}

/* As the feature has it. One flat switch; depth is bounded by the table. */
static void put_type(struct buffer *out, const struct listing_property *property, const char *name,
                     enum http_language language, unsigned depth)
{
    switch (property->type) {
    case LISTING_TYPE_TEXT:
        json_out_raw(out, "type", span_of_str("\"object\""));
        json_out_raw(out, "additionalProperties", span_of_str("{\"type\":\"string\"}"));
        break;
    case LISTING_TYPE_STRING:
    case LISTING_TYPE_TIME:
    case LISTING_TYPE_LOCAL:
    case LISTING_TYPE_URI:
    case LISTING_TYPE_ID:
        json_out_text(out, "type", "string");
        break;
    case LISTING_TYPE_ENUM:
        json_out_text(out, "type", "string");
        put_choices(out, property);
        break;
    case LISTING_TYPE_INT:
    case LISTING_TYPE_NUMBER:
        json_out_text(out, "type", property->type == LISTING_TYPE_INT ? "integer" : "number");
        json_out_int(out, "minimum", 0);
        json_out_int(out, "maximum", property->max);
        break;
    case LISTING_TYPE_BOOL:
        json_out_text(out, "type", "boolean");
        break;
    case LISTING_TYPE_PRICE:
        json_out_text(out, "type", "object");
        json_out_raw(out, "properties",
                     span_of_str("{\"amount\":{\"type\":\"number\"},\"currency\":{\"type\":"
                                 "\"string\",\"minLength\":3,\"maxLength\":3}}"));
        break;
    case LISTING_TYPE_MAP:
        put_members(out, property, name, language, depth);
        break;
    case LISTING_TYPE_SLUGS:
    case LISTING_TYPE_IDS:
    case LISTING_TYPE_STRINGS:
    case LISTING_TYPE_LIST:
        put_list(out, property, name, language, depth);
        break;
    case LISTING_TYPE_GEOMETRY:
        break; /* Its format says it all. */
    }
    if (format_of(property))
        json_out_text(out, "format", format_of(property));
}

/* ---- the documents ---- */

static void begin_document(struct http_exchange *exchange, const char *resource, const char *title)
{
    struct buffer *out = &exchange->reply.body;
    struct buffer id = {0};

    http_reply_begin(exchange, 200, http_params_format_type(HTTP_FORMAT_SCHEMA));
    http_reply_in_language(exchange);
    http_link_put_base(exchange, &id);
    buffer_put_str(&id, "/collections/");
    buffer_put_span(&id, exchange->captures[0]);
    buffer_put_str(&id, resource);
    json_out_begin(out, NULL, '{');
    json_out_text(out, "$schema", DIALECT);
    json_out_span(out, "$id", buffer_span(&id));
    json_out_text(out, "type", "object");
    json_out_text(out, "title", title);
    buffer_done(&id);
}

static enum torg_err end_document(struct http_exchange *exchange, bool closed)
{
    struct buffer *out = &exchange->reply.body;

    json_out_end(out, '}');
    json_out_bool(out, "additionalProperties", !closed);
    buffer_put_str(out, "}\n");
    return out->err;
}

/* Texts are language maps in the answer, and strings to a filter. */
void http_queryables_put_type(struct buffer *out, const struct cql2_property *item,
                              const struct listing_property *property)
{
    if (property && property->type == LISTING_TYPE_ENUM) {
        json_out_text(out, "type", "string");
        put_choices(out, property);
        return;
    }
    switch (item->type) {
    case CQL2_BOOLEAN:
        json_out_text(out, "type", "boolean");
        break;
    case CQL2_NUMBER:
        json_out_text(out, "type",
                      property && property->type == LISTING_TYPE_INT ? "integer" : "number");
        break;
    case CQL2_DATE:
    case CQL2_TIMESTAMP:
        json_out_text(out, "type", "string");
        json_out_text(out, "format", item->type == CQL2_DATE ? "date" : "date-time");
        break;
    case CQL2_GEOMETRY:
        json_out_text(out, "format", GEOMETRY_ANY);
        break;
    case CQL2_ARRAY:
        json_out_text(out, "type", "array");
        json_out_raw(out, "items", span_of_str("{\"type\":\"string\"}"));
        break;
    default:
        json_out_text(out, "type", "string");
    }
}

/* collection: 0 for a local one, whose features have just these properties, too. */
static void put_properties(struct http_exchange *exchange, uint8_t collection,
                           const struct queryables *queryables)
{
    struct buffer *out = &exchange->reply.body;
    enum http_language language = http_words_language(exchange->params.language);

    for (size_t i = 0; i < queryables->count; i++) {
        const struct cql2_property *item = &queryables->items[i];
        char name[NAME_BYTES_MAX];
        const char *role;

        (void)snprintf(name, sizeof(name), "%.*s", (int)item->name.size,
                       (const char *)item->name.data);
        role = role_of(collection, name);
        json_out_begin(out, name, '{');
        put_words(out, name, queryables->listing[i], language);
        if (role)
            json_out_text(out, "x-ogc-role", role);
        http_queryables_put_type(out, item, queryables->listing[i]);
        json_out_end(out, '}');
    }
}

/* A local collection says the same in both; one of its documents ends here. */
static bool reply_local(struct http_exchange *exchange, const char *resource,
                        enum torg_err *ret_err)
{
    struct local_collection *local = http_local_find(exchange, ret_err);
    struct buffer *out = &exchange->reply.body;

    if (!local)
        return *ret_err != TORG_OK;
    begin_document(exchange, resource, local->name);
    json_out_begin(out, "properties", '{');
    if (strcmp(resource, "/schema") == 0)
        json_out_raw(out, "id",
                     span_of_str("{\"type\":\"string\",\"readOnly\":true,\"x-ogc-role\":\"id\"}"));
    put_properties(exchange, 0, &local->types);
    local_free(local);
    *ret_err = end_document(exchange, true);
    return true;
}

enum torg_err http_queryables(struct http_exchange *exchange)
{
    enum http_language language = http_words_language(exchange->params.language);
    struct queryables *queryables;
    uint8_t collection;
    enum torg_err err;

    if (reply_local(exchange, "/queryables", &err))
        return err;
    collection = http_items_collection(exchange);
    if (!collection)
        return TORG_OK;
    queryables = calloc(1, sizeof(*queryables));
    if (!queryables)
        return TORG_E_NOMEM;
    queryables_of_listings(1u << collection, queryables);
    begin_document(exchange, "/queryables", http_words_collection(collection)->title[language]);
    json_out_begin(&exchange->reply.body, "properties", '{');
    put_properties(exchange, collection, queryables);
    free(queryables);
    return end_document(exchange, true);
}

/* What the node adds to each feature. */
static void put_own(struct buffer *out, enum http_language language)
{
    static const struct {
        const char *name, *role;
    } own[] = {{"id", "id"}, {"collection", "type"}, {"origin", NULL}};

    for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
        json_out_begin(out, own[i].name, '{');
        put_words(out, own[i].name, NULL, language);
        json_out_text(out, "type", "string");
        json_out_bool(out, "readOnly", true);
        if (own[i].role)
            json_out_text(out, "x-ogc-role", own[i].role);
        json_out_end(out, '}');
    }
}

static void put_required(struct buffer *out, uint8_t collection)
{
    json_out_begin(out, "required", '[');
    for (const struct listing_property *p = listing_properties(); p->name; p++) {
        if ((p->collections >> collection & 1) && p->required)
            json_out_text(out, NULL, p->name);
    }
    json_out_end(out, ']');
}

enum torg_err http_schema(struct http_exchange *exchange)
{
    struct buffer *out = &exchange->reply.body;
    enum http_language language = http_words_language(exchange->params.language);
    uint8_t collection;
    enum torg_err err;

    if (reply_local(exchange, "/schema", &err))
        return err;
    collection = http_items_collection(exchange);
    if (!collection)
        return TORG_OK;
    begin_document(exchange, "/schema", http_words_collection(collection)->title[language]);
    put_required(out, collection);
    json_out_begin(out, "properties", '{');
    put_own(out, language);
    for (const struct listing_property *p = listing_properties(); p->name; p++) {
        const char *role = role_of(collection, p->name);

        if (!(p->collections >> collection & 1))
            continue;
        json_out_begin(out, p->name, '{');
        put_words(out, p->name, p, language);
        if (role)
            json_out_text(out, "x-ogc-role", role);
        if (p->read_only)
            json_out_bool(out, "readOnly", true);
        put_type(out, p, p->name, language, 0);
        json_out_end(out, '}');
    }
    return end_document(exchange, false); /* Unknown properties are kept and shown. */
}

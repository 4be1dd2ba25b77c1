/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_filter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/http_local.h"
#include "daemon/http_reply.h"
#include "daemon/http_router.h"

static bool refuse(struct http_exchange *exchange, const struct problems *problems)
{
    http_reply_problems(exchange, 400, "invalid-parameter",
                        "At least one parameter of the query is wrong.", problems);
    return false;
}

/* Everything that may stand in the query: the route's parameters, then the properties. */
static void add_unknown(const struct http_exchange *exchange, struct span name,
                        struct problems *problems)
{
    const struct queryables *queryables = exchange->params.queryables;
    struct buffer list = {0};
    char shown[64];

    http_params_put_names(exchange->route->params, &list);
    buffer_put_str(&list, "; and properties:");
    for (size_t i = 0; i < queryables->count; i++) {
        if (queryables->items[i].type == CQL2_GEOMETRY || queryables->items[i].type == CQL2_ARRAY)
            continue;
        buffer_put_u8(&list, ' ');
        buffer_put_span(&list, queryables->items[i].name);
    }
    buffer_put_u8(&list, 0);
    (void)snprintf(shown, sizeof(shown), "%.*s", (int)(name.size < 60 ? name.size : 60),
                   (const char *)name.data);
    problems_add(problems, shown, "is no parameter here; allowed: %s",
                 list.err ? "" : (const char *)list.data);
    buffer_done(&list);
}

/* The properties of what the path names. NULL: it is no collection, or an error (*ret_err). */
static struct queryables *named_queryables(struct http_exchange *exchange, enum torg_err *ret_err)
{
    struct span name = exchange->captures[0];
    uint32_t collections = UINT32_C(1) << collection_of_name(name);
    struct local_collection *local = http_local_find(exchange, ret_err);
    struct queryables *out = NULL;

    if (name.size == 0) /* a search */
        collections = exchange->params.query.collections ? exchange->params.query.collections
                                                         : COLLECTION_MASK_PUBLIC;
    if (!*ret_err && (local || collections & COLLECTION_MASK_PUBLIC)) {
        out = calloc(1, sizeof(*out));
        *ret_err = out ? TORG_OK : TORG_E_NOMEM;
    }
    for (size_t i = 0; out && local && i < local->types.count; i++)
        (void)queryables_add(out, local->types.items[i].name, local->types.items[i].type, NULL);
    if (out && !local)
        queryables_of_listings(collections & COLLECTION_MASK_PUBLIC, out);
    local_free(local);
    return out;
}

enum torg_err http_filter_add_unknown(struct http_exchange *exchange, struct problems *problems)
{
    struct http_params *params = &exchange->params;
    enum torg_err err = TORG_OK;

    if (params->property_count == 0)
        return TORG_OK;
    params->queryables = named_queryables(exchange, &err);
    for (size_t i = 0; params->queryables && i < params->property_count; i++) {
        if (queryables_find(params->queryables, params->properties[i]->name) ==
            params->queryables->count)
            add_unknown(exchange, params->properties[i]->name, problems);
    }
    free(params->queryables);
    params->queryables = NULL;
    return err;
}

/* One parameter named like a property; several must all hold. */
static enum torg_err read_property(const struct http_exchange *exchange,
                                   const struct http_pair *pair, struct cql2 *tree,
                                   struct problems *problems)
{
    const struct queryables *queryables = exchange->params.queryables;
    struct cql2_schema schema = queryables_schema(queryables);
    size_t property = queryables_find(queryables, pair->name);
    struct cql2_fault fault = {""};
    char name[64];
    enum torg_err err;

    if (property == queryables->count) {
        add_unknown(exchange, pair->name, problems);
        return TORG_OK;
    }
    err = cql2_and_equal(tree, &schema, property, pair->value, &fault);
    if (err != TORG_E_INVALID)
        return err;
    (void)snprintf(name, sizeof(name), "%.*s", (int)(pair->name.size < 60 ? pair->name.size : 60),
                   (const char *)pair->name.data);
    problems_add(problems, name, "%s", fault.text);
    return TORG_OK;
}

static enum torg_err read_filter(struct http_exchange *exchange, struct cql2 *tree,
                                 struct problems *problems)
{
    const struct http_params *params = &exchange->params;
    struct cql2_schema schema = queryables_schema(params->queryables);
    struct cql2_fault fault = {""};
    enum torg_err err;

    if (!(params->given & HTTP_PARAM_BIT(FILTER)))
        return TORG_OK;
    err = params->filter_json ? cql2_parse_json(params->filter, &schema, tree, &fault)
                              : cql2_parse_text(params->filter, &schema, tree, &fault);
    if (err == TORG_E_INVALID || err == TORG_E_TOO_BIG) {
        problems_add(problems, "filter", "%s", fault.text);
        err = TORG_OK;
    }
    return err;
}

static enum torg_err make_filter(struct http_exchange *exchange, struct cql2 *tree,
                                 struct problems *problems)
{
    struct http_params *params = &exchange->params;
    struct cql2_schema schema = queryables_schema(params->queryables);
    struct geo_transform *transform = NULL;
    struct cql2_fault fault = {""};
    enum torg_err err = TORG_OK;

    if (params->filter_crs != GEO_CRS84)
        err = geo_transform_new(params->filter_crs, &transform);
    if (err) {
        cql2_done(tree);
        return err;
    }
    err = filter_new(tree, &schema, transform, &params->filter_made, &fault);
    geo_transform_free(transform);
    if (err != TORG_E_INVALID)
        return err;
    problems_add(problems, "filter", "%s", fault.text);
    return TORG_OK;
}

/* "name,-price.amount": the order in which the answer comes. */
static void read_sort(struct http_exchange *exchange, struct problems *problems)
{
    struct http_params *params = &exchange->params;
    const struct queryables *queryables = params->queryables;
    struct span left = params->sortby;

    if (params->query.has_near)
        problems_add(problems, "sortby", "near is an order of its own: take one of them");
    while (left.size > 0) {
        const uint8_t *comma = memchr(left.data, ',', left.size);
        struct span name = span_of(left.data, comma ? (size_t)(comma - left.data) : left.size);
        bool sign = name.size && (name.data[0] == '-' || name.data[0] == '+');
        bool descending = name.size && name.data[0] == '-';
        size_t property;

        left = comma ? span_of(comma + 1, left.size - name.size - 1) : (struct span){0};
        if (sign)
            name = span_of(name.data + 1, name.size - 1);
        property = queryables_find(queryables, name);
        if (params->sort.count == QUERY_SORT_KEYS_MAX) {
            problems_add(problems, "sortby", "names more than %d properties", QUERY_SORT_KEYS_MAX);
            return;
        }
        if (property == queryables->count || queryables->items[property].type == CQL2_GEOMETRY ||
            queryables->items[property].type == CQL2_ARRAY) {
            problems_add(problems, "sortby",
                         "\"%.*s\" is nothing to sort by: take properties of queryables, such as "
                         "name,-modified",
                         (int)(name.size < 60 ? name.size : 60), (const char *)name.data);
            return;
        }
        params->sort.by[params->sort.count].name = queryables->items[property].name;
        params->sort.by[params->sort.count].type = queryables->items[property].type;
        params->sort.by[params->sort.count++].descending = descending;
    }
    params->sort.has_after = (params->given & HTTP_PARAM_BIT(CURSOR)) != 0;
}

/* Lists and maps may be shown although nothing can ask for them. */
static bool is_shown(const struct http_params *params, struct span name)
{
    for (const struct listing_property *p = listing_properties(); p->name; p++) {
        if ((p->collections & params->query.collections) && span_equal(name, span_of_str(p->name)))
            return true;
    }
    return queryables_find(params->queryables, name) < params->queryables->count;
}

static void read_select(const struct http_exchange *exchange, struct problems *problems)
{
    const struct http_params *params = &exchange->params;

    for (size_t i = 0; i < params->select_count; i++) {
        struct span name = params->select[i];

        if (!is_shown(params, name))
            problems_add(problems, "properties",
                         "\"%.*s\" is no property here; the collection's schema names them",
                         (int)(name.size < 60 ? name.size : 60), (const char *)name.data);
    }
    if (params->select_count > 0 && params->format != HTTP_FORMAT_GEOJSON &&
        params->format != HTTP_FORMAT_GEOJSONSEQ)
        problems_add(problems, "properties",
                     "needs f=geojson or f=geojsonseq: other formats have them all");
}

enum torg_err http_filter_read(struct http_exchange *exchange, bool *ret_good)
{
    struct http_params *params = &exchange->params;
    struct problems problems;
    struct cql2 tree = {0};
    enum torg_err err;

    problems.count = 0;
    *ret_good = true;
    if (!(params->given & HTTP_PARAMS_CQL2) && params->property_count == 0)
        return TORG_OK;
    if (!params->queryables) {
        params->queryables = calloc(1, sizeof(*params->queryables));
        if (!params->queryables)
            return TORG_E_NOMEM;
        queryables_of_listings(params->query.collections, params->queryables);
    }
    if (params->given & HTTP_PARAM_BIT(SORTBY))
        read_sort(exchange, &problems);
    read_select(exchange, &problems);
    err = read_filter(exchange, &tree, &problems);
    for (size_t i = 0; i < params->property_count && !err; i++)
        err = read_property(exchange, params->properties[i], &tree, &problems);
    if (!err && problems.count == 0 && tree.root)
        err = make_filter(exchange, &tree, &problems);
    cql2_done(&tree);
    if (!err && problems.count > 0)
        *ret_good = refuse(exchange, &problems);
    params->query.filter = params->filter_made;
    query_narrow(&params->query);
    return err;
}

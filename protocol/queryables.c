/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/queryables.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define NAME_BYTES_MAX 128 /* of the table's: three names and two dots */

size_t queryables_find(const struct queryables *queryables, struct span name)
{
    for (size_t i = 0; i < queryables->count; i++) {
        if (span_equal(queryables->items[i].name, name))
            return i;
    }
    return queryables->count;
}

bool queryables_add(struct queryables *queryables, struct span name, enum cql2_type type,
                    const struct listing_property *listing)
{
    char *copy = queryables->names + queryables->names_size;

    if (queryables_find(queryables, name) < queryables->count)
        return true;
    if (queryables->count == QUERYABLES_MAX ||
        name.size > QUERYABLES_NAMES_MAX - queryables->names_size)
        return false;
    if (name.size)
        memcpy(copy, name.data, name.size);
    queryables->names_size += name.size;
    queryables->listing[queryables->count] = listing;
    queryables->items[queryables->count++] =
        (struct cql2_property){.name = span_of(copy, name.size), .type = type};
    return true;
}

struct cql2_schema queryables_schema(const struct queryables *queryables)
{
    return (struct cql2_schema){.properties = queryables->items, .count = queryables->count};
}

static enum cql2_type simple_type(enum listing_type type)
{
    switch (type) {
    case LISTING_TYPE_TEXT:
    case LISTING_TYPE_STRING:
    case LISTING_TYPE_URI:
    case LISTING_TYPE_ENUM:
    case LISTING_TYPE_ID:
        return CQL2_STRING;
    case LISTING_TYPE_TIME:
    case LISTING_TYPE_LOCAL:
        return CQL2_TIMESTAMP;
    case LISTING_TYPE_INT:
    case LISTING_TYPE_NUMBER:
        return CQL2_NUMBER;
    case LISTING_TYPE_BOOL:
        return CQL2_BOOLEAN;
    case LISTING_TYPE_GEOMETRY:
        return CQL2_GEOMETRY;
    case LISTING_TYPE_SLUGS:
    case LISTING_TYPE_IDS:
    case LISTING_TYPE_STRINGS:
        return CQL2_ARRAY;
    default:
        return 0;
    }
}

static void add(struct queryables *queryables, const char *name, enum cql2_type type,
                const struct listing_property *property)
{
    bool added = queryables_add(queryables, span_of_str(name), type, property);

    assert(added); /* The table is ours, and small. */
    (void)added;
}

/* prefix: "" or what stands before the name, with its dot. */
static void add_property(struct queryables *queryables, const struct listing_property *property,
                         const char *prefix)
{
    enum cql2_type type = simple_type(property->type);
    char name[NAME_BYTES_MAX], member[NAME_BYTES_MAX + 16];

    if (property->personal)
        return;
    (void)snprintf(name, sizeof(name), "%s%s", prefix, property->name);
    if (type)
        add(queryables, name, type, property);
    if (property->type == LISTING_TYPE_PRICE) {
        (void)snprintf(member, sizeof(member), "%s.amount", name);
        add(queryables, member, CQL2_NUMBER, property);
        (void)snprintf(member, sizeof(member), "%s.currency", name);
        add(queryables, member, CQL2_STRING, property);
    }
    if (property->type != LISTING_TYPE_MAP)
        return;
    (void)snprintf(member, sizeof(member), "%s.", name);
    for (const struct listing_property *field = property->fields; field && field->name; field++)
        add_property(queryables, field, member);
}

void queryables_of_listings(uint32_t collections, struct queryables *ret_queryables)
{
    ret_queryables->count = ret_queryables->names_size = 0;
    add(ret_queryables, "collection", CQL2_STRING, NULL);
    add(ret_queryables, "origin", CQL2_STRING, NULL);
    for (const struct listing_property *property = listing_properties(); property->name;
         property++) {
        if (property->collections & collections)
            add_property(ret_queryables, property, "");
    }
}

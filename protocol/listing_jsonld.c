/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/listing_jsonld.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URL_BYTES_MAX 1024

/* A feature and the object that it becomes. jansson's setters take NULL for "no memory". */
struct node {
    const json_t *feature, *properties;
    json_t *out;
    struct span url;
    bool failed;
};

static const struct {
    uint8_t collection;
    const char *type;
    const char *place; /* the property that holds where it is; NULL: it is a place itself */
} kinds[] = {
    {COLLECTION_COMPANIES, "LocalBusiness", NULL},
    {COLLECTION_OFFERS, "Offer", "availableAtOrFrom"},
    {COLLECTION_EVENTS, "Event", "location"},
    {COLLECTION_JOBS, "JobPosting", "jobLocation"},
    {COLLECTION_COURSES, "Course", "contentLocation"},
    {COLLECTION_NEEDS, "Demand", "availableAtOrFrom"},
    {COLLECTION_SERVICE_POINTS, "CivicStructure", NULL},
    {COLLECTION_PLACES, "Place", NULL},
    {COLLECTION_NETWORKS, "Organization", NULL},
};

static void set_in(struct node *node, json_t *target, const char *name, json_t *value)
{
    if (!value || json_object_set_new(target, name, value))
        node->failed = true;
}

static void set(struct node *node, const char *name, json_t *value)
{
    set_in(node, node->out, name, value);
}

static const char *string_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* The same string under another name, if it is there. */
static void copy_string(struct node *node, const json_t *from, const char *name, json_t *target,
                        const char *target_name)
{
    const char *text = string_of(from, name);

    if (text)
        set_in(node, target, target_name, json_string(text));
}

/* {"sv":"..."} as [{"@language":"sv","@value":"..."}] */
static void copy_text(struct node *node, const char *name, const char *target_name)
{
    json_t *texts = json_object_get(node->properties, name);
    json_t *list, *text;
    const char *language;

    if (json_object_size(texts) == 0)
        return;
    list = json_array();
    json_object_foreach(texts, language, text)
    {
        json_t *one = json_pack("{s:s, s:O}", "@language", language, "@value", text);

        if (!one || json_array_append_new(list, one))
            node->failed = true;
    }
    set(node, target_name, list);
}

/* "2026-07-04T18:00:00+02:00[Europe/Stockholm]" without its zone: the offset says the instant. */
static void copy_local(struct node *node, const char *name, const char *target_name)
{
    const char *text = string_of(node->properties, name);

    if (text)
        set(node, target_name, json_stringn(text, strcspn(text, "[")));
}

static json_t *address_of(struct node *node)
{
    const json_t *address = json_object_get(node->properties, "address");
    const char *country = string_of(node->properties, "countryCode");
    json_t *out;

    if (!address)
        return NULL;
    out = json_pack("{s:s, s:s}", "@type", "PostalAddress", "addressCountry",
                    country ? country : "SE");
    copy_string(node, address, "street", out, "streetAddress");
    copy_string(node, address, "postalCode", out, "postalCode");
    copy_string(node, address, "locality", out, "addressLocality");
    return out;
}

static json_t *position_of(const struct node *node)
{
    const json_t *geometry = json_object_get(node->feature, "geometry");
    const json_t *position = json_object_get(geometry, "coordinates");
    const char *type = string_of(geometry, "type");

    if (!type || strcmp(type, "Point") != 0 || json_array_size(position) < 2)
        return NULL;
    return json_pack("{s:s, s:O, s:O}", "@type", "GeoCoordinates", "latitude",
                     json_array_get(position, 1), "longitude", json_array_get(position, 0));
}

/* Where it is: on the thing itself when that is a place, else on a place of its own. */
static void put_place(struct node *node, const char *name)
{
    json_t *address = address_of(node);
    json_t *position = position_of(node);
    json_t *target = node->out;

    if (!address && !position)
        return;
    if (name) {
        target = json_pack("{s:s}", "@type", "Place");
        set(node, name, target);
    }
    if (address)
        set_in(node, target, "address", address);
    if (position)
        set_in(node, target, "geo", position);
}

static void put_price(struct node *node, const char *type)
{
    json_t *price = json_object_get(node->properties, "price");
    json_t *amount = json_object_get(price, "amount");
    const char *currency = string_of(price, "currency");
    json_t *offer;

    if (!amount || !currency)
        return;
    if (strcmp(type, "Offer") == 0) {
        set(node, "price", json_incref(amount));
        set(node, "priceCurrency", json_string(currency));
        return;
    }
    offer =
        json_pack("{s:s, s:O, s:s}", "@type", "Offer", "price", amount, "priceCurrency", currency);
    set(node, "offers", offer);
}

static void put_event_status(struct node *node)
{
    const char *status = string_of(node->properties, "status");
    const char *word = !status                            ? NULL
                       : strcmp(status, "cancelled") == 0 ? "EventCancelled"
                       : strcmp(status, "moved") == 0     ? "EventRescheduled"
                                                          : "EventScheduled";
    char text[64];

    if (!word)
        return;
    (void)snprintf(text, sizeof(text), LISTING_JSONLD_CONTEXT "%s", word);
    set(node, "eventStatus", json_string(text));
}

static void put_reference(struct node *node, const char *name, const char *collection,
                          const char *id)
{
    char text[URL_BYTES_MAX];

    (void)snprintf(text, sizeof(text), "%.*s/collections/%s/items/%s", (int)node->url.size,
                   (const char *)node->url.data, collection, id);
    if (strcmp(name, "@id") == 0)
        set(node, name, json_string(text));
    else
        set(node, name, json_pack("{s:s}", "@id", text));
}

/* What only some kinds have. */
static void put_of_kind(struct node *node, uint8_t collection)
{
    const char *type = kinds[0].type;

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (kinds[i].collection != collection)
            continue;
        type = kinds[i].type;
        put_place(node, kinds[i].place);
    }
    put_price(node, type);
    if (collection == COLLECTION_EVENTS) {
        copy_local(node, "start", "startDate");
        copy_local(node, "end", "endDate");
        put_event_status(node);
    } else if (collection == COLLECTION_JOBS) {
        copy_string(node, node->properties, "created", node->out, "datePosted");
        copy_string(node, node->properties, "applyBy", node->out, "validThrough");
        copy_string(node, node->properties, "employmentType", node->out, "employmentType");
    } else if (collection == COLLECTION_OFFERS || collection == COLLECTION_NEEDS) {
        copy_string(node, node->properties, "validFrom", node->out, "validFrom");
        copy_string(node, node->properties, "validThrough", node->out, "validThrough");
    }
}

static const char *type_of(uint8_t collection)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (kinds[i].collection == collection)
            return kinds[i].type;
    }
    return NULL;
}

static enum torg_err put_node(struct node *node, struct buffer *out)
{
    const char *name = string_of(node->properties, "collection");
    uint8_t collection = name ? collection_of_name(span_of_str(name)) : 0;
    const char *id = string_of(node->feature, "id");
    const char *type = type_of(collection);
    const char *provider = string_of(node->properties, "provider");
    json_t *themes = json_object_get(node->properties, "themes");
    char *text;

    if (!type || !id)
        return TORG_E_INVALID;
    set(node, "@type", json_string(type));
    put_reference(node, "@id", name, id);
    set(node, "identifier", json_string(id));
    copy_text(node, "name", strcmp(type, "JobPosting") == 0 ? "title" : "name");
    copy_text(node, "description", "description");
    copy_string(node, node->properties, "url", node->out, "url");
    copy_string(node, json_object_get(node->properties, "image"), "url", node->out, "image");
    if (themes)
        set(node, "keywords", json_incref(themes));
    if (provider)
        put_reference(node,
                      collection == COLLECTION_OFFERS || collection == COLLECTION_NEEDS
                          ? "offeredBy"
                      : collection == COLLECTION_JOBS   ? "hiringOrganization"
                      : collection == COLLECTION_EVENTS ? "organizer"
                                                        : "provider",
                      "companies", provider);
    put_of_kind(node, collection);
    text = node->failed ? NULL : json_dumps(node->out, JSON_COMPACT | JSON_REAL_PRECISION(13));
    if (!text)
        return TORG_E_NOMEM;
    buffer_put_str(out, text);
    free(text);
    return out->err;
}

enum torg_err listing_put_jsonld(struct span feature, struct span url, struct buffer *out)
{
    json_t *json = json_loadb((const char *)feature.data, feature.size, 0, NULL);
    struct node node = {.feature = json,
                        .properties = json_object_get(json, "properties"),
                        .out = json_object(),
                        .url = url};
    enum torg_err err = TORG_E_INVALID;

    if (json_is_object(node.properties))
        err = node.out ? put_node(&node, out) : TORG_E_NOMEM;
    json_decref(node.out);
    json_decref(json);
    return err;
}

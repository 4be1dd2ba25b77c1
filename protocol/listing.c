/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/listing.h"

#include <string.h>

#include "protocol/limits.h"

#define BIT(collection) (1u << (collection))
#define MEMBERS BIT(COLLECTION_MEMBERS)
#define ALL COLLECTION_MASK_PUBLIC
#define COMPANIES BIT(COLLECTION_COMPANIES)
#define OFFERS BIT(COLLECTION_OFFERS)
#define EVENTS BIT(COLLECTION_EVENTS)
#define JOBS BIT(COLLECTION_JOBS)
#define COURSES BIT(COLLECTION_COURSES)
#define NEEDS BIT(COLLECTION_NEEDS)
#define SERVICE_POINTS BIT(COLLECTION_SERVICE_POINTS)
#define PLACES BIT(COLLECTION_PLACES)

static const char *const offer_kinds[] = {"sell", "rent", "lend", "give", "reuse", "seek", NULL};
static const char *const event_states[] = {"scheduled", "cancelled", "moved", NULL};
static const char *const need_states[] = {"open", "matched", "met", "withdrawn", NULL};
static const char *const member_states[] = {"active", "suspended", "left", NULL};
static const char *const employment_types[] = {"full-time",     "part-time", "temporary",
                                               "seasonal",      "hourly",    "internship",
                                               "self-employed", "volunteer", NULL};
static const char *const askers[] = {"company", "municipality", "association", NULL};
static const char *const forms[] = {"informal", "semi-formal", "formal", NULL};
static const char *const urgencies[] = {"now", "within-a-year", "later", NULL};
static const char *const modes[] = {"place", "online", "both", NULL};

static const struct listing_property address_fields[] = {
    {.name = "street", .type = LISTING_TYPE_STRING, .max = 200, .meaning = "street and number"},
    {.name = "postalCode", .type = LISTING_TYPE_STRING, .max = 16, .meaning = "postal code"},
    {.name = "locality", .type = LISTING_TYPE_STRING, .max = 100, .meaning = "postal town"},
    {.name = NULL},
};

static const struct listing_property image_fields[] = {
    {.name = "url",
     .type = LISTING_TYPE_URI,
     .max = 1000,
     .required = true,
     .meaning = "where the picture is"},
    {.name = "alt", .type = LISTING_TYPE_TEXT, .max = 500, .meaning = "what it shows, in words"},
    {.name = "sha256",
     .type = LISTING_TYPE_STRING,
     .max = 64,
     .format = LISTING_FORMAT_SHA256,
     .meaning = "SHA-256 of the file, 64 lower-case hex digits"},
    {.name = NULL},
};

static const struct listing_property contact_fields[] = {
    {.name = "name", .type = LISTING_TYPE_STRING, .max = 200, .meaning = "a person or a desk"},
    {.name = "email",
     .type = LISTING_TYPE_STRING,
     .max = 254,
     .format = LISTING_FORMAT_EMAIL,
     .meaning = "e-mail address"},
    {.name = "telephone",
     .type = LISTING_TYPE_STRING,
     .max = 40,
     .format = LISTING_FORMAT_TELEPHONE,
     .meaning = "telephone number"},
    {.name = "purpose",
     .type = LISTING_TYPE_STRING,
     .max = 200,
     .meaning = "what the contact may be used for"},
    {.name = "expires",
     .type = LISTING_TYPE_TIME,
     .format = LISTING_FORMAT_DAY_END,
     .meaning = "when the contact is to be removed"},
    {.name = NULL},
};

static const struct listing_property sni_fields[] = {
    {.name = "code",
     .type = LISTING_TYPE_STRING,
     .max = 8,
     .format = LISTING_FORMAT_SNI,
     .required = true,
     .meaning = "SNI code"},
    {.name = "version",
     .type = LISTING_TYPE_STRING,
     .max = 8,
     .format = LISTING_FORMAT_DIGITS,
     .required = true,
     .meaning = "year of the SNI edition, 2007 or 2025"},
    {.name = NULL},
};

static const struct listing_property source_fields[] = {
    {.name = "system",
     .type = LISTING_TYPE_STRING,
     .max = 64,
     .required = true,
     .meaning = "the system that the listing comes from"},
    {.name = "id",
     .type = LISTING_TYPE_STRING,
     .max = 200,
     .required = true,
     .meaning = "its id there"},
    {.name = NULL},
};

static const struct listing_property identifier_fields[] = {
    {.name = "organisationNumber",
     .type = LISTING_TYPE_STRING,
     .max = 11,
     .format = LISTING_FORMAT_ORGANISATION,
     .meaning = "Swedish organisation number of a legal person"},
    {.name = "jobtech",
     .type = LISTING_TYPE_STRING,
     .max = 12,
     .format = LISTING_FORMAT_CONCEPT,
     .meaning = "JobTech concept id"},
    {.name = "ssyk",
     .type = LISTING_TYPE_STRING,
     .max = 4,
     .format = LISTING_FORMAT_SSYK,
     .meaning = "SSYK 2012 code"},
    {.name = "sni",
     .type = LISTING_TYPE_MAP,
     .fields = sni_fields,
     .meaning = "industry (SNI) with its edition"},
    {.name = "geonames",
     .type = LISTING_TYPE_STRING,
     .max = 12,
     .format = LISTING_FORMAT_DIGITS,
     .meaning = "GeoNames id"},
    {.name = "wikidata",
     .type = LISTING_TYPE_STRING,
     .max = 16,
     .format = LISTING_FORMAT_WIKIDATA,
     .meaning = "Wikidata item"},
    {.name = "source",
     .type = LISTING_TYPE_MAP,
     .tuple = true,
     .fields = source_fields,
     .meaning = "import updates the listing with the same source"},
    {.name = NULL},
};

static const struct listing_property itinerary_fields[] = {
    {.name = "from", .type = LISTING_TYPE_TIME, .required = true, .meaning = "when it is there"},
    {.name = "through",
     .type = LISTING_TYPE_TIME,
     .format = LISTING_FORMAT_DAY_END,
     .required = true,
     .meaning = "until when"},
    {.name = "geometry", .type = LISTING_TYPE_GEOMETRY, .required = true, .meaning = "where"},
    {.name = NULL},
};

static const struct listing_property opening_fields[] = {
    {.name = "days",
     .type = LISTING_TYPE_STRING,
     .max = 200,
     .format = LISTING_FORMAT_DAYS,
     .required = true,
     .meaning = "MO,TU,WE,TH,FR,SA,SU, some of them, or an RRULE"},
    {.name = "opens",
     .type = LISTING_TYPE_STRING,
     .max = 5,
     .format = LISTING_FORMAT_CLOCK,
     .required = true,
     .meaning = "local time"},
    {.name = "closes",
     .type = LISTING_TYPE_STRING,
     .max = 5,
     .format = LISTING_FORMAT_CLOCK,
     .required = true,
     .meaning = "local time; not after opens: on the next day"},
    {.name = "zone",
     .type = LISTING_TYPE_STRING,
     .max = 48,
     .format = LISTING_FORMAT_ZONE,
     .required = true,
     .meaning = "IANA time zone"},
    {.name = "from",
     .type = LISTING_TYPE_STRING,
     .max = 10,
     .format = LISTING_FORMAT_DATE,
     .meaning = "first day of the season"},
    {.name = "through",
     .type = LISTING_TYPE_STRING,
     .max = 10,
     .format = LISTING_FORMAT_DATE,
     .meaning = "last day of the season"},
    {.name = NULL},
};

static const struct listing_property slot_fields[] = {
    {.name = "from", .type = LISTING_TYPE_TIME, .required = true, .meaning = "begins"},
    {.name = "through", .type = LISTING_TYPE_TIME, .required = true, .meaning = "ends"},
    {.name = "capacity", .type = LISTING_TYPE_INT, .max = 1000000, .meaning = "places in all"},
    {.name = "remaining", .type = LISTING_TYPE_INT, .max = 1000000, .meaning = "places left"},
    {.name = NULL},
};

static const struct listing_property booking_fields[] = {
    {.name = "url", .type = LISTING_TYPE_URI, .max = 1000, .meaning = "where to book"},
    {.name = "capacity", .type = LISTING_TYPE_INT, .max = 1000000, .meaning = "places in all"},
    {.name = "remaining", .type = LISTING_TYPE_INT, .max = 1000000, .meaning = "places left"},
    {.name = "slots",
     .type = LISTING_TYPE_LIST,
     .max = 400,
     .tuple = true,
     .fields = slot_fields,
     .meaning = "times that can be booked"},
    {.name = NULL},
};

static const struct listing_property recurrence_fields[] = {
    {.name = "rule",
     .type = LISTING_TYPE_STRING,
     .max = 300,
     .format = LISTING_FORMAT_RRULE,
     .required = true,
     .meaning = "RRULE of RFC 5545"},
    {.name = "exceptions",
     .type = LISTING_TYPE_STRINGS,
     .max = 100,
     .format = LISTING_FORMAT_LOCAL,
     .meaning = "local dates or times when it is not held, in the zone of start"},
    {.name = NULL},
};

static const struct listing_property occupation_fields[] = {
    {.name = "jobtech",
     .type = LISTING_TYPE_STRING,
     .max = 12,
     .format = LISTING_FORMAT_CONCEPT,
     .meaning = "JobTech concept id"},
    {.name = "ssyk",
     .type = LISTING_TYPE_STRING,
     .max = 4,
     .format = LISTING_FORMAT_SSYK,
     .meaning = "SSYK 2012 code"},
    {.name = NULL},
};

static const struct listing_property competence_fields[] = {
    {.name = "jobtech",
     .type = LISTING_TYPE_STRING,
     .max = 12,
     .format = LISTING_FORMAT_CONCEPT,
     .meaning = "JobTech concept id"},
    {.name = "sun",
     .type = LISTING_TYPE_STRING,
     .max = 8,
     .format = LISTING_FORMAT_SUN,
     .meaning = "SUN 2000 or 2020 code"},
    {.name = NULL},
};

static const struct listing_property crisis_fields[] = {
    {.name = "power", .type = LISTING_TYPE_BOOL, .meaning = "has electricity of its own"},
    {.name = "heating", .type = LISTING_TYPE_BOOL, .meaning = "can be kept warm"},
    {.name = "water", .type = LISTING_TYPE_BOOL, .meaning = "has drinking water"},
    {.name = "communication",
     .type = LISTING_TYPE_BOOL,
     .meaning = "can reach the authorities when networks are down"},
    {.name = "opening",
     .type = LISTING_TYPE_TEXT,
     .max = 1000,
     .format = LISTING_FORMAT_PARAGRAPHS,
     .meaning = "when and how it is opened"},
    {.name = NULL},
};

static const struct listing_property properties[] = {
    {.name = "name",
     .type = LISTING_TYPE_TEXT,
     .collections = ALL | MEMBERS,
     .max = LISTING_NAME_BYTES_MAX,
     .required = true,
     .meaning = "the title that people see"},
    {.name = "description",
     .type = LISTING_TYPE_TEXT,
     .collections = ALL,
     .max = LISTING_DESCRIPTION_BYTES_MAX,
     .format = LISTING_FORMAT_PARAGRAPHS,
     .meaning = "plain text with paragraphs"},
    {.name = "themes",
     .type = LISTING_TYPE_SLUGS,
     .collections = ALL,
     .max = LISTING_THEMES_MAX,
     .required = true,
     .meaning = "what it is about"},
    {.name = "geometry",
     .type = LISTING_TYPE_GEOMETRY,
     .collections = ALL,
     .max = LISTING_POSITIONS_MAX,
     .meaning = "where it is; absent: no place"},
    {.name = "address",
     .type = LISTING_TYPE_MAP,
     .collections = ALL,
     .fields = address_fields,
     .meaning = "postal address"},
    {.name = "municipality",
     .type = LISTING_TYPE_STRING,
     .collections = ALL,
     .max = 7,
     .format = LISTING_FORMAT_MUNICIPALITY,
     .meaning = "SCB code of the municipality where it is"},
    {.name = "countryCode",
     .type = LISTING_TYPE_STRING,
     .collections = ALL,
     .max = 2,
     .format = LISTING_FORMAT_COUNTRY,
     .meaning = "ISO 3166-1 code; absent: SE"},
    {.name = "area",
     .type = LISTING_TYPE_STRING,
     .collections = NEEDS,
     .max = 200,
     .meaning = "a named area where no point is meant"},
    {.name = "validFrom",
     .type = LISTING_TYPE_TIME,
     .collections = ALL,
     .meaning = "shown from; absent: open"},
    {.name = "validThrough",
     .type = LISTING_TYPE_TIME,
     .collections = ALL,
     .format = LISTING_FORMAT_DAY_END,
     .meaning = "shown through; absent: open"},
    {.name = "provider",
     .type = LISTING_TYPE_ID,
     .collections = ALL & ~COMPANIES,
     .meaning = "the company or body behind it"},
    {.name = "networks",
     .type = LISTING_TYPE_IDS,
     .collections = ALL | MEMBERS,
     .max = 16,
     .meaning = "networks that it has applied to"},
    {.name = "url",
     .type = LISTING_TYPE_URI,
     .collections = ALL | MEMBERS,
     .max = 1000,
     .meaning = "its page on the web"},
    {.name = "image",
     .type = LISTING_TYPE_MAP,
     .collections = ALL,
     .fields = image_fields,
     .meaning = "a picture"},
    {.name = "contact",
     .type = LISTING_TYPE_MAP,
     .collections = ALL | MEMBERS,
     .personal = true,
     .fields = contact_fields,
     .meaning = "whom to ask; personal data"},
    {.name = "identifiers",
     .type = LISTING_TYPE_MAP,
     .collections = ALL,
     .fields = identifier_fields,
     .meaning = "what others call it"},
    {.name = "serves",
     .type = LISTING_TYPE_GEOMETRY,
     .collections = COMPANIES | SERVICE_POINTS,
     .max = LISTING_POSITIONS_MAX,
     .meaning = "service area"},
    {.name = "itinerary",
     .type = LISTING_TYPE_LIST,
     .collections = COMPANIES | OFFERS,
     .max = 100,
     .tuple = true,
     .fields = itinerary_fields,
     .meaning = "where a business that moves is, and when"},
    {.name = "qualifications",
     .type = LISTING_TYPE_STRINGS,
     .collections = COMPANIES,
     .max = 64,
     .format = LISTING_FORMAT_QUALIFICATION,
     .meaning = "what it can do: slugs or JobTech concept ids"},
    {.name = "openingHours",
     .type = LISTING_TYPE_LIST,
     .collections = COMPANIES | SERVICE_POINTS | PLACES,
     .max = 32,
     .tuple = true,
     .fields = opening_fields,
     .meaning = "opening hours in local time"},
    {.name = "kind",
     .type = LISTING_TYPE_ENUM,
     .collections = OFFERS,
     .choices = offer_kinds,
     .meaning = "what is done with the thing offered"},
    {.name = "price",
     .type = LISTING_TYPE_PRICE,
     .collections = OFFERS | EVENTS | COURSES,
     .meaning = "absent: not stated; 0: free"},
    {.name = "priceUnit",
     .type = LISTING_TYPE_STRING,
     .collections = OFFERS | EVENTS | COURSES,
     .max = 60,
     .meaning = "what the price is for: person, night, hour"},
    {.name = "booking",
     .type = LISTING_TYPE_MAP,
     .collections = OFFERS | EVENTS | COURSES,
     .fields = booking_fields,
     .meaning = "how it is booked"},
    {.name = "start",
     .type = LISTING_TYPE_LOCAL,
     .collections = EVENTS | COURSES,
     .meaning = "begins, in local time"},
    {.name = "end",
     .type = LISTING_TYPE_LOCAL,
     .collections = EVENTS | COURSES,
     .meaning = "ends, in local time; a date is its last day"},
    {.name = "recurrence",
     .type = LISTING_TYPE_MAP,
     .collections = EVENTS | COURSES,
     .fields = recurrence_fields,
     .meaning = "how it repeats"},
    {.name = "status",
     .type = LISTING_TYPE_ENUM,
     .collections = EVENTS,
     .choices = event_states,
     .meaning = "whether it is held"},
    {.name = "status",
     .type = LISTING_TYPE_ENUM,
     .collections = NEEDS,
     .choices = need_states,
     .meaning = "what became of the need"},
    {.name = "outcome",
     .type = LISTING_TYPE_TEXT,
     .collections = NEEDS,
     .max = 2000,
     .format = LISTING_FORMAT_PARAGRAPHS,
     .meaning = "how the need was met: the follow-up"},
    {.name = "occupation",
     .type = LISTING_TYPE_MAP,
     .collections = JOBS,
     .fields = occupation_fields,
     .meaning = "the occupation"},
    {.name = "employmentType",
     .type = LISTING_TYPE_ENUM,
     .collections = JOBS,
     .choices = employment_types,
     .meaning = "form of employment"},
    {.name = "applyBy",
     .type = LISTING_TYPE_TIME,
     .collections = JOBS,
     .format = LISTING_FORMAT_DAY_END,
     .meaning = "last time to apply"},
    {.name = "competence",
     .type = LISTING_TYPE_MAP,
     .collections = COURSES | NEEDS,
     .fields = competence_fields,
     .meaning = "the competence, by codes; words stand in name"},
    {.name = "asker",
     .type = LISTING_TYPE_ENUM,
     .collections = NEEDS,
     .choices = askers,
     .meaning = "who has the need"},
    {.name = "statedIn",
     .type = LISTING_TYPE_STRING,
     .collections = NEEDS,
     .max = 500,
     .meaning = "which survey, visit or report states it"},
    {.name = "form",
     .type = LISTING_TYPE_ENUM,
     .collections = COURSES | NEEDS,
     .choices = forms,
     .meaning = "form of learning (70-20-10)"},
    {.name = "people",
     .type = LISTING_TYPE_INT,
     .collections = NEEDS,
     .max = 1000000,
     .meaning = "how many people it is about"},
    {.name = "urgency",
     .type = LISTING_TYPE_ENUM,
     .collections = NEEDS,
     .choices = urgencies,
     .meaning = "when it is needed"},
    {.name = "mode",
     .type = LISTING_TYPE_ENUM,
     .collections = COURSES,
     .choices = modes,
     .meaning = "where it is given"},
    {.name = "language",
     .type = LISTING_TYPE_STRINGS,
     .collections = COURSES,
     .max = 8,
     .format = LISTING_FORMAT_LANGUAGE,
     .meaning = "languages that it is given in"},
    {.name = "credits",
     .type = LISTING_TYPE_NUMBER,
     .collections = COURSES,
     .max = 1000,
     .meaning = "credits"},
    {.name = "services",
     .type = LISTING_TYPE_STRINGS,
     .collections = SERVICE_POINTS,
     .max = 32,
     .meaning = "what it offers"},
    {.name = "crisis",
     .type = LISTING_TYPE_MAP,
     .collections = SERVICE_POINTS,
     .fields = crisis_fields,
     .meaning = "what it offers in a disturbance"},
    {.name = "member",
     .type = LISTING_TYPE_STRING,
     .collections = MEMBERS,
     .max = 64,
     .format = LISTING_FORMAT_ORIGIN,
     .required = true,
     .meaning = "the origin id of who belongs"},
    {.name = "status",
     .type = LISTING_TYPE_ENUM,
     .collections = MEMBERS,
     .required = true,
     .choices = member_states,
     .meaning = "whether it belongs now"},
    {.name = "groups",
     .type = LISTING_TYPE_STRINGS,
     .collections = MEMBERS,
     .max = 32,
     .format = LISTING_FORMAT_SLUG,
     .meaning = "groups of members that it is in, such as a region"},
    {.name = "quota",
     .type = LISTING_TYPE_INT,
     .collections = MEMBERS,
     .max = 1000000000,
     .meaning = "how many listings it may publish, as agreed"},
    {.name = "charter",
     .type = LISTING_TYPE_STRING,
     .collections = MEMBERS,
     .max = 64,
     .format = LISTING_FORMAT_ORIGIN,
     .meaning = "the hash of its right charter, where two have one number"},
    {.name = "endpoints",
     .type = LISTING_TYPE_STRINGS,
     .collections = MEMBERS,
     .max = 16,
     .format = LISTING_FORMAT_ENDPOINT,
     .meaning = "what neighbours dial to reach it: host:port"},
    {.name = "example",
     .type = LISTING_TYPE_BOOL,
     .collections = ALL | MEMBERS,
     .meaning = "true: made up, to show how torg works"},
    {.name = "movedTo",
     .type = LISTING_TYPE_ID,
     .collections = ALL,
     .meaning = "where the listing went; stands alone"},
    {.name = "created",
     .type = LISTING_TYPE_TIME,
     .collections = ALL | MEMBERS,
     .read_only = true,
     .meaning = "when it was first published"},
    {.name = "modified",
     .type = LISTING_TYPE_TIME,
     .collections = ALL | MEMBERS,
     .read_only = true,
     .meaning = "when this version was published"},
    {.name = NULL},
};

static const char *const reserved[] = {"collection", "distance",   "id",  "links",
                                       "origin",     "originName", "type"};

const struct listing_property *listing_properties(void)
{
    return properties;
}

static bool named(const struct listing_property *property, struct span name)
{
    return name.size && property->name[0] == (char)name.data[0] &&
           strlen(property->name) == name.size && memcmp(property->name, name.data, name.size) == 0;
}

const struct listing_property *listing_property_find(struct span name)
{
    for (const struct listing_property *p = properties; p->name; p++) {
        if (named(p, name))
            return p;
    }
    return NULL;
}

const struct listing_property *listing_property_of(uint8_t collection, struct span name)
{
    for (const struct listing_property *p = properties; p->name; p++) {
        if (collection < COLLECTIONS_MAX && p->collections >> collection & 1 && named(p, name))
            return p;
    }
    return NULL;
}

const struct listing_property *listing_property_field(const struct listing_property *property,
                                                      struct span name)
{
    for (const struct listing_property *p = property->fields; p && p->name; p++) {
        if (named(p, name))
            return p;
    }
    return NULL;
}

bool listing_property_reserved(struct span name)
{
    for (size_t i = 0; i < ARRAY_SIZE(reserved); i++) {
        if (span_equal(name, span_of_str(reserved[i])))
            return true;
    }
    return false;
}

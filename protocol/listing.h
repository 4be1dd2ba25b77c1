/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_LISTING_H
#define TORG_PROTOCOL_LISTING_H

#include "protocol/ident.h"
#include "protocol/problem.h"

/*
 * What a listing is: the table of properties, and reading a packed body. The
 * table (listing.c) is the one place that says which properties there are, of
 * which type, in which collections; validation, GeoJSON, CSV and the API's
 * schemas all follow it. docs/listings.md explains it to people.
 */
#define LISTING_NAME_BYTES_MAX 200
#define LISTING_DESCRIPTION_BYTES_MAX 8192
#define LISTING_THEMES_MAX 8
#define LISTING_POSITIONS_MAX 4096 /* in one geometry */
#define LISTING_LANGUAGES_MAX 16   /* in one text */
#define LISTING_LANGUAGE_BYTES_MAX 35
#define LISTING_ITEM_BYTES_MAX 200 /* each of a list of strings */
#define LISTING_NUMBER_DECIMALS_MAX 3
#define LISTING_REFERENCE_SIZE 24 /* first 8 bytes of an origin id, a listing's 16 */
/* PAYLOAD_BYTES_MAX without the array's head, the nonce and the schema's number. */
#define LISTING_BODY_BYTES_MAX (65536 - 20)

enum listing_type {
    LISTING_TYPE_TEXT,     /* language map */
    LISTING_TYPE_STRING,   /* up to max bytes */
    LISTING_TYPE_SLUGS,    /* list of at most max slugs */
    LISTING_TYPE_GEOMETRY, /* ["Point", [lon, lat]], 1e-7 degree */
    LISTING_TYPE_TIME,     /* ms UTC; RFC 3339 in JSON */
    LISTING_TYPE_LOCAL,    /* [local date-time, IANA zone]; RFC 9557 in JSON */
    LISTING_TYPE_INT,      /* 0 to max */
    LISTING_TYPE_NUMBER,   /* list of one integer and its decimals, e.g. credits; 0 to max */
    LISTING_TYPE_BOOL,
    LISTING_TYPE_URI,  /* http or https */
    LISTING_TYPE_ENUM, /* one of choices */
    LISTING_TYPE_ID,   /* a listing: feature id in JSON, bin 24 in the body */
    LISTING_TYPE_IDS,
    LISTING_TYPE_STRINGS, /* list of at most max strings of LISTING_ITEM_BYTES_MAX */
    LISTING_TYPE_PRICE,   /* [minor units, ISO 4217] */
    LISTING_TYPE_MAP,     /* fields of its own */
    LISTING_TYPE_LIST,    /* list of at most max maps or tuples with fields of its own */
};

/* How a string, or each of a list of strings, is written; for TIME, how a bare date is read. */
enum listing_format {
    LISTING_FORMAT_NONE,
    LISTING_FORMAT_PARAGRAPHS, /* TEXT with line breaks and tabs */
    LISTING_FORMAT_DAY_END,    /* TIME: a bare date means its last millisecond */
    LISTING_FORMAT_MUNICIPALITY,
    LISTING_FORMAT_COUNTRY,
    LISTING_FORMAT_ORGANISATION,
    LISTING_FORMAT_EMAIL,
    LISTING_FORMAT_TELEPHONE,
    LISTING_FORMAT_LANGUAGE,
    LISTING_FORMAT_ZONE,
    LISTING_FORMAT_DATE,  /* 2026-11-21 */
    LISTING_FORMAT_LOCAL, /* 2026-11-21 or 2026-11-21T18:00:00 */
    LISTING_FORMAT_CLOCK, /* 09:00, to 24:00 */
    LISTING_FORMAT_RRULE, /* RFC 5545 */
    LISTING_FORMAT_DAYS,  /* MO,TU,WE or an RRULE */
    LISTING_FORMAT_SHA256,
    LISTING_FORMAT_CONCEPT, /* JobTech's concept id */
    LISTING_FORMAT_QUALIFICATION,
    LISTING_FORMAT_SSYK,
    LISTING_FORMAT_SUN,
    LISTING_FORMAT_SNI,
    LISTING_FORMAT_DIGITS,
    LISTING_FORMAT_WIKIDATA,
    LISTING_FORMAT_ORIGIN, /* an origin id, in hex */
    LISTING_FORMAT_SLUG,
    LISTING_FORMAT_ENDPOINT, /* what neighbours dial */
};

struct listing_property {
    const char *name;
    enum listing_type type;
    uint32_t collections; /* mask; 0 in fields of fields */
    uint32_t max;         /* bytes, elements or value, by type */
    enum listing_format format;
    bool required;
    bool personal;                         /* hidden when the origin has expired */
    bool read_only;                        /* set by the node; passed over on input */
    bool tuple;                            /* MAP, LIST: packed as an array of its fields, in */
                                           /* order, nil for an absent one */
    const char *const *choices;            /* ENUM: NULL-terminated */
    const struct listing_property *fields; /* MAP, LIST: ends with name NULL */
    const char *meaning;                   /* one line of English, for schemas */
};

/*
 * All properties, in the order of docs/listings.md; ends with name NULL. One
 * name may have two rows, for different collections ("status").
 */
const struct listing_property *listing_properties(void);
/* The first row of that name, in whatever collection; NULL. */
const struct listing_property *listing_property_find(struct span name);
/* The row that holds for a collection; NULL if it has no such property. */
const struct listing_property *listing_property_of(uint8_t collection, struct span name);
/* A field of a MAP or LIST; NULL. */
const struct listing_property *listing_property_field(const struct listing_property *property,
                                                      struct span name);
/*
 * Members that only the API may put into a feature's properties: passed over
 * on input, never shown out of a body. Not in the table.
 */
bool listing_property_reserved(struct span name);
/* The collections that hold listings of this table: those that everybody sees, and members. */
#define LISTING_COLLECTIONS (COLLECTION_MASK_PUBLIC | 1u << COLLECTION_MEMBERS)

/* A position in 1e-7 degree. */
struct position {
    int32_t lon_e7;
    int32_t lat_e7;
};

/* What the index needs of a body, read in one pass without allocation. Borrowed. */
struct listing_fields {
    bool has_geometry;
    bool is_point;
    struct position point;   /* of a Point; else the middle of the box */
    struct position box_min; /* MBR of the geometry */
    struct position box_max;
    struct span geometry; /* the packed value, for exact tests */
    /* Packed values of whatever type, for who reads them; empty if absent. */
    struct span address, description, networks, opening_hours, people;
    bool reaches; /* it has an itinerary or says what it serves */
    uint8_t theme_count;
    struct span themes[LISTING_THEMES_MAX]; /* valid slugs */
    int64_t time_from_ms;     /* when it happens (events, courses with start), else validFrom; */
    int64_t time_through_ms;  /* INT64_MIN and INT64_MAX when open. docs/listings.md, "Time" */
    int64_t shown_from_ms;    /* to who asks for no time: validFrom through validThrough and, */
    int64_t shown_through_ms; /* with a start, not past its end */
    struct span name;         /* in sv, or else the first language */
    struct span names;        /* the whole packed language map */
    struct span municipality; /* at most 7 bytes */
    struct span country_code; /* 2 bytes */
    struct span area;
    struct span asker;
    struct span form;
    struct span source_system; /* identifiers.source */
    struct span source_id;
    int64_t created_ms;
    int64_t modified_ms;
    uint8_t provider[LISTING_REFERENCE_SIZE]; /* origin prefix and id; zeros if absent */
    bool moved;                               /* the body says only movedTo */
    uint8_t moved_to[LISTING_REFERENCE_SIZE]; /* where, if moved */
};

/*
 * Read a packed body. It was skimmed with profile_check. TORG_E_INVALID when a
 * field that the index relies on has another type than the table says: such a
 * listing is kept and relayed, but not shown. Any thread.
 */
enum torg_err listing_fields_read(uint8_t collection, struct span body,
                                  struct listing_fields *ret_fields);

/*
 * Check a packed body against the whole table, for what this node publishes
 * itself. Every mistake is named. TORG_E_INVALID if there was any. Something
 * missing whose path problems already has is not named again.
 */
enum torg_err listing_check(uint8_t collection, struct span body, struct problems *problems);

#endif

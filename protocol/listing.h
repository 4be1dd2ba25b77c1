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
#define LISTING_POSITIONS_MAX 4096

enum listing_type {
    LISTING_TYPE_TEXT,     /* language map */
    LISTING_TYPE_STRING,   /* up to max bytes */
    LISTING_TYPE_SLUGS,    /* list of at most max slugs */
    LISTING_TYPE_GEOMETRY, /* ["Point", [lon, lat]], 1e-7 degree */
    LISTING_TYPE_TIME,     /* ms UTC; RFC 3339 in JSON */
    LISTING_TYPE_LOCAL,    /* local date-time with its IANA zone */
    LISTING_TYPE_INT,
    LISTING_TYPE_NUMBER, /* list of one integer and its decimals, e.g. credits */
    LISTING_TYPE_URI,    /* http or https */
    LISTING_TYPE_ENUM,   /* one of choices */
    LISTING_TYPE_ID,     /* a listing: feature id in JSON, bin 24 in the body */
    LISTING_TYPE_IDS,
    LISTING_TYPE_STRINGS,
    LISTING_TYPE_PRICE, /* [minor units, ISO 4217] */
    LISTING_TYPE_MAP,   /* fields of its own */
    LISTING_TYPE_LIST,  /* list of maps or tuples with fields of its own */
};

struct listing_property {
    const char *name;
    enum listing_type type;
    uint32_t collections; /* mask */
    uint32_t max;         /* bytes, elements or value, by type */
    bool required;
    bool personal;                         /* hidden when the origin has expired */
    const char *const *choices;            /* ENUM: NULL-terminated */
    const struct listing_property *fields; /* MAP, LIST: ends with name NULL */
};

/* All properties, in the order of docs/listings.md; ends with name NULL. */
const struct listing_property *listing_properties(void);
const struct listing_property *listing_property_find(struct span name);

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
    uint8_t theme_count;
    struct span themes[LISTING_THEMES_MAX];
    int64_t time_from_ms;     /* when it happens (events, courses with start), else validFrom; */
    int64_t time_through_ms;  /* INT64_MIN and INT64_MAX when open */
    int64_t shown_from_ms;    /* when people see it who ask for no time: validFrom through */
    int64_t shown_through_ms; /* validThrough and, with a start, not past its end */
    struct span name;         /* in sv, or else the first language */
    struct span names;        /* the whole packed language map */
    struct span municipality;
    struct span country_code;
    struct span area;
    struct span asker;
    struct span form;
    struct span source_system; /* identifiers.source */
    struct span source_id;
    int64_t created_ms;
    int64_t modified_ms;
    uint8_t provider[24]; /* origin prefix and id; zeros if absent */
    bool moved;           /* the body says only movedTo */
};

/*
 * Read a packed body. It was skimmed with profile_check. TORG_E_INVALID when a
 * field that the index relies on has another type than the table says: such a
 * listing is kept and relayed, but not shown.
 */
enum torg_err listing_fields_read(uint8_t collection, struct span body,
                                  struct listing_fields *ret_fields);

/*
 * Check a packed body against the whole table, for what this node publishes
 * itself. Every mistake is named. TORG_E_INVALID if there was any.
 */
enum torg_err listing_check(uint8_t collection, struct span body, struct problems *problems);

#endif

/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_CQL2_H
#define TORG_PROTOCOL_CQL2_H

#include "protocol/bytes.h"

/*
 * CQL2 (OGC 21-065): a filter in its text or its JSON form becomes a tree whose
 * types have been checked against the properties that there are. Nothing is
 * evaluated here; index/filter.h does that. Known are basic CQL2, LIKE, BETWEEN
 * and IN, CASEI and ACCENTI, the spatial, the temporal and the array functions,
 * arithmetic, and expressions on either side of a comparison.
 */
#define CQL2_BYTES_MAX 8192      /* of a filter's text */
#define CQL2_NODES_MAX 1024      /* of a tree */
#define CQL2_DEPTH_MAX 24        /* how deep expressions stand in each other */
#define CQL2_USED_MAX 64         /* different properties in one filter */
#define CQL2_WKT_BYTES_MAX 65536 /* of all geometries in a filter, as well-known text */

enum cql2_type {
    CQL2_BOOLEAN = 1,
    CQL2_NUMBER,
    CQL2_STRING,
    CQL2_DATE,      /* a day, in UTC */
    CQL2_TIMESTAMP, /* a moment */
    CQL2_GEOMETRY,
    CQL2_INTERVAL, /* of a tree's nodes only */
    CQL2_ARRAY,    /* of strings, as a property */
};
const char *cql2_type_name(enum cql2_type type);

struct cql2_property {
    struct span name;
    enum cql2_type type;
};
/* What a filter may name. A geometry called "geometry" is known as "geom" as well. */
struct cql2_schema {
    const struct cql2_property *properties;
    size_t count;
};

enum cql2_op {
    /* leaves */
    CQL2_OP_BOOLEAN = 1,
    CQL2_OP_NUMBER,
    CQL2_OP_STRING,
    CQL2_OP_INSTANT,
    CQL2_OP_OPEN, /* the open end of an interval */
    CQL2_OP_GEOMETRY,
    CQL2_OP_PROPERTY,
    /* of any number of arguments */
    CQL2_OP_AND,
    CQL2_OP_OR,
    CQL2_OP_IN, /* the first is looked for in the others */
    CQL2_OP_ARRAY,
    /* of one */
    CQL2_OP_NOT,
    CQL2_OP_IS_NULL,
    CQL2_OP_CASEI,
    CQL2_OP_ACCENTI,
    /* of three: a value, the least, the greatest */
    CQL2_OP_BETWEEN,
    /* of two */
    CQL2_OP_EQ,
    CQL2_OP_NE,
    CQL2_OP_LT,
    CQL2_OP_LE,
    CQL2_OP_GT,
    CQL2_OP_GE,
    CQL2_OP_LIKE,
    CQL2_OP_ADD,
    CQL2_OP_SUBTRACT,
    CQL2_OP_MULTIPLY,
    CQL2_OP_DIVIDE,
    CQL2_OP_DIV, /* whole numbers, towards zero */
    CQL2_OP_MODULO,
    CQL2_OP_POWER,
    CQL2_OP_INTERVAL,
    CQL2_OP_A_EQUALS,
    CQL2_OP_A_CONTAINS,
    CQL2_OP_A_CONTAINED_BY,
    CQL2_OP_A_OVERLAPS,
    CQL2_OP_S_INTERSECTS,
    CQL2_OP_S_DISJOINT,
    CQL2_OP_S_EQUALS,
    CQL2_OP_S_TOUCHES,
    CQL2_OP_S_CROSSES,
    CQL2_OP_S_WITHIN,
    CQL2_OP_S_CONTAINS,
    CQL2_OP_S_OVERLAPS,
    CQL2_OP_T_AFTER,
    CQL2_OP_T_BEFORE,
    CQL2_OP_T_CONTAINS,
    CQL2_OP_T_DISJOINT,
    CQL2_OP_T_DURING,
    CQL2_OP_T_EQUALS,
    CQL2_OP_T_FINISHED_BY,
    CQL2_OP_T_FINISHES,
    CQL2_OP_T_INTERSECTS,
    CQL2_OP_T_MEETS,
    CQL2_OP_T_MET_BY,
    CQL2_OP_T_OVERLAPPED_BY,
    CQL2_OP_T_OVERLAPS,
    CQL2_OP_T_STARTED_BY,
    CQL2_OP_T_STARTS,
};

/* What a date or a moment covers: a day is all of its milliseconds. */
struct cql2_instant {
    int64_t from_ms, through_ms;
};

struct cql2_node {
    enum cql2_op op;
    enum cql2_type type;  /* of its value; an open end has none */
    uint16_t first, next; /* its first argument; the next argument of its parent; 0: none */
    union {
        bool boolean;
        double number;
        struct cql2_instant instant;
        uint16_t property; /* number in used */
        struct {
            uint32_t at, size; /* in text: a string, or a geometry as well-known text */
            double west, south, east, north; /* a geometry's box, in the units of its text */
            bool wraps;                      /* a box over the antimeridian, as two */
            bool mixed;                      /* holds a GEOMETRYCOLLECTION */
        };
    };
};

/* All zero is empty. Nodes refer to each other by number; 0 is none. */
struct cql2 {
    struct cql2_node *nodes; /* owned */
    uint16_t node_count, root;
    struct buffer text;                       /* what leaves say */
    uint16_t used[CQL2_USED_MAX], used_count; /* numbers of the schema's properties */
};
void cql2_done(struct cql2 *tree);
struct span cql2_text(const struct cql2 *tree, const struct cql2_node *node);

/* Why a filter was refused, where, and what was expected. */
struct cql2_fault {
    char text[1024];
};

/*
 * Read a filter that says true or false. schema is only needed during the call;
 * on success the tree is the caller's, on failure there is none. TORG_E_INVALID
 * and TORG_E_TOO_BIG fill the fault; TORG_E_NOMEM.
 */
enum torg_err cql2_parse_text(struct span text, const struct cql2_schema *schema,
                              struct cql2 *ret_tree, struct cql2_fault *fault);
enum torg_err cql2_parse_json(struct span text, const struct cql2_schema *schema,
                              struct cql2 *ret_tree, struct cql2_fault *fault);

/*
 * Narrow a tree, which may be empty, to the listings whose property equals a
 * value in the form of a query parameter: a date or an interval "start/end" for
 * times. The fault's text begins with what is wrong, without the name.
 */
enum torg_err cql2_and_equal(struct cql2 *tree, const struct cql2_schema *schema, size_t property,
                             struct span value, struct cql2_fault *fault);

#endif

/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "protocol/cql2_internal.h"
#include "protocol/num.h"

#define NAMES_SHOWN_BYTES 600 /* of the properties that a message lists */

const char *cql2_type_name(enum cql2_type type)
{
    switch (type) {
    case CQL2_BOOLEAN:
        return "a truth value";
    case CQL2_NUMBER:
        return "a number";
    case CQL2_STRING:
        return "a string";
    case CQL2_DATE:
        return "a date";
    case CQL2_TIMESTAMP:
        return "a timestamp";
    case CQL2_GEOMETRY:
        return "a geometry";
    case CQL2_INTERVAL:
        return "an interval";
    case CQL2_ARRAY:
        return "an array";
    }
    return "nothing";
}

static const struct {
    const char *name;
    enum cql2_op op;
} functions[] = {
    {"a_equals", CQL2_OP_A_EQUALS},
    {"a_contains", CQL2_OP_A_CONTAINS},
    {"a_containedBy", CQL2_OP_A_CONTAINED_BY},
    {"a_overlaps", CQL2_OP_A_OVERLAPS},
    {"s_intersects", CQL2_OP_S_INTERSECTS},
    {"s_disjoint", CQL2_OP_S_DISJOINT},
    {"s_equals", CQL2_OP_S_EQUALS},
    {"s_touches", CQL2_OP_S_TOUCHES},
    {"s_crosses", CQL2_OP_S_CROSSES},
    {"s_within", CQL2_OP_S_WITHIN},
    {"s_contains", CQL2_OP_S_CONTAINS},
    {"s_overlaps", CQL2_OP_S_OVERLAPS},
    {"t_after", CQL2_OP_T_AFTER},
    {"t_before", CQL2_OP_T_BEFORE},
    {"t_contains", CQL2_OP_T_CONTAINS},
    {"t_disjoint", CQL2_OP_T_DISJOINT},
    {"t_during", CQL2_OP_T_DURING},
    {"t_equals", CQL2_OP_T_EQUALS},
    {"t_finishedBy", CQL2_OP_T_FINISHED_BY},
    {"t_finishes", CQL2_OP_T_FINISHES},
    {"t_intersects", CQL2_OP_T_INTERSECTS},
    {"t_meets", CQL2_OP_T_MEETS},
    {"t_metBy", CQL2_OP_T_MET_BY},
    {"t_overlappedBy", CQL2_OP_T_OVERLAPPED_BY},
    {"t_overlaps", CQL2_OP_T_OVERLAPS},
    {"t_startedBy", CQL2_OP_T_STARTED_BY},
    {"t_starts", CQL2_OP_T_STARTS},
};

enum cql2_op cql2_function(struct span name)
{
    for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
        if (name.size == strlen(functions[i].name) &&
            strncasecmp((const char *)name.data, functions[i].name, name.size) == 0)
            return functions[i].op;
    }
    return 0;
}

bool cql2_takes_arrays(enum cql2_op op)
{
    return op >= CQL2_OP_A_EQUALS && op <= CQL2_OP_A_OVERLAPS;
}

static const char *function_name(enum cql2_op op)
{
    for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
        if (functions[i].op == op)
            return functions[i].name;
    }
    return "a function";
}

void cql2_done(struct cql2 *tree)
{
    free(tree->nodes);
    buffer_done(&tree->text);
    *tree = (struct cql2){0};
}

struct span cql2_text(const struct cql2 *tree, const struct cql2_node *node)
{
    return node->size ? span_of(tree->text.data + node->at, node->size) : (struct span){0};
}

/* ---- making ---- */

uint16_t cql2_fail(struct cql2_maker *maker, const char *format, ...)
{
    char *out = maker->fault->text;
    size_t size = sizeof(maker->fault->text);
    va_list args;
    int used;

    if (maker->err)
        return 0; /* The first mistake is what is told. */
    maker->err = TORG_E_INVALID;
    used = snprintf(out, size, "%s%s", maker->where, maker->where[0] ? ": " : "");
    va_start(args, format);
    (void)vsnprintf(out + used, size - (size_t)used, format, args);
    va_end(args);
    utf8_trim(out);
    return 0;
}

uint16_t cql2_make(struct cql2_maker *maker, enum cql2_op op)
{
    struct cql2 *tree = maker->tree;

    if (maker->err)
        return 0;
    if (!tree->nodes) {
        tree->nodes = calloc(CQL2_NODES_MAX, sizeof(*tree->nodes));
        tree->node_count = 1; /* 0 is none */
    }
    if (!tree->nodes) {
        maker->err = TORG_E_NOMEM;
        return 0;
    }
    if (tree->node_count == CQL2_NODES_MAX)
        return cql2_fail(maker, "the filter has more than %d parts; ask in several requests",
                         CQL2_NODES_MAX - 1);
    tree->nodes[tree->node_count] = (struct cql2_node){.op = op};
    return tree->node_count++;
}

void cql2_argue(struct cql2_maker *maker, uint16_t node, uint16_t last, uint16_t argument)
{
    if (!node || !argument)
        return;
    if (last)
        maker->tree->nodes[last].next = argument;
    else
        maker->tree->nodes[node].first = argument;
}

uint16_t cql2_make_of(struct cql2_maker *maker, enum cql2_op op, uint16_t a, uint16_t b, uint16_t c)
{
    uint16_t node = maker->err ? 0 : cql2_make(maker, op);

    cql2_argue(maker, node, 0, a);
    cql2_argue(maker, node, a, b);
    cql2_argue(maker, node, b, c);
    return cql2_check(maker, node);
}

uint16_t cql2_negate(struct cql2_maker *maker, uint16_t node, bool negate)
{
    return negate ? cql2_make_of(maker, CQL2_OP_NOT, node, 0, 0) : node;
}

uint16_t cql2_make_number(struct cql2_maker *maker, double value)
{
    uint16_t node = cql2_make(maker, CQL2_OP_NUMBER);

    if (node) {
        maker->tree->nodes[node].type = CQL2_NUMBER;
        maker->tree->nodes[node].number = value;
    }
    return node;
}

uint16_t cql2_make_boolean(struct cql2_maker *maker, bool value)
{
    uint16_t node = cql2_make(maker, CQL2_OP_BOOLEAN);

    if (node) {
        maker->tree->nodes[node].type = CQL2_BOOLEAN;
        maker->tree->nodes[node].boolean = value;
    }
    return node;
}

uint16_t cql2_make_string(struct cql2_maker *maker, struct span value)
{
    uint16_t node = cql2_make(maker, CQL2_OP_STRING);
    struct buffer *text = &maker->tree->text;

    if (!node)
        return 0;
    maker->tree->nodes[node].type = CQL2_STRING;
    maker->tree->nodes[node].at = (uint32_t)text->size;
    maker->tree->nodes[node].size = (uint32_t)value.size;
    buffer_put_span(text, value);
    if (text->err)
        maker->err = text->err;
    return text->err ? 0 : node;
}

static size_t find_property(const struct cql2_schema *schema, struct span name)
{
    for (size_t i = 0; i < schema->count; i++) {
        if (span_equal(schema->properties[i].name, name))
            return i;
    }
    if (span_equal(name, span_of_str("geom")))
        return find_property(schema, span_of_str("geometry"));
    return schema->count;
}

static uint16_t fail_unknown(struct cql2_maker *maker, struct span name)
{
    char known[NAMES_SHOWN_BYTES + 8];
    size_t used = 0;

    known[0] = '\0';
    for (size_t i = 0; i < maker->schema->count; i++) {
        struct span one = maker->schema->properties[i].name;

        if (used + one.size + 2 > NAMES_SHOWN_BYTES) {
            (void)snprintf(known + used, sizeof(known) - used, " ...");
            break;
        }
        used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%.*s", i ? ", " : "",
                                 (int)one.size, (const char *)one.data);
    }
    return cql2_fail(maker, "there is no property \"%.*s\" to filter by; there are: %s",
                     (int)(name.size < 80 ? name.size : 80), (const char *)name.data, known);
}

/* A property's place among those that the tree uses. */
static bool use_property(struct cql2_maker *maker, size_t property, uint16_t *ret_used)
{
    struct cql2 *tree = maker->tree;

    for (uint16_t i = 0; i < tree->used_count; i++) {
        if (tree->used[i] == property) {
            *ret_used = i;
            return true;
        }
    }
    if (tree->used_count == CQL2_USED_MAX) {
        cql2_fail(maker, "the filter names more than %d properties", CQL2_USED_MAX);
        return false;
    }
    tree->used[tree->used_count] = (uint16_t)property;
    *ret_used = tree->used_count++;
    return true;
}

static uint16_t make_property(struct cql2_maker *maker, size_t property)
{
    uint16_t used;
    uint16_t node;

    if (maker->err || !use_property(maker, property, &used))
        return 0;
    node = cql2_make(maker, CQL2_OP_PROPERTY);
    if (node) {
        maker->tree->nodes[node].type = maker->schema->properties[property].type;
        maker->tree->nodes[node].property = used;
    }
    return node;
}

uint16_t cql2_make_property(struct cql2_maker *maker, struct span name)
{
    size_t property = find_property(maker->schema, name);

    if (maker->err)
        return 0;
    if (property == maker->schema->count)
        return fail_unknown(maker, name);
    return make_property(maker, property);
}

static uint16_t put_instant(struct cql2_maker *maker, enum cql2_type type,
                            struct cql2_instant instant)
{
    uint16_t node = cql2_make(maker, CQL2_OP_INSTANT);

    if (node) {
        maker->tree->nodes[node].type = type;
        maker->tree->nodes[node].instant = instant;
    }
    return node;
}

uint16_t cql2_make_instant(struct cql2_maker *maker, enum cql2_type type, struct span value)
{
    struct cql2_instant instant = {0};

    if (type == CQL2_DATE && num_parse_date(value, &instant.from_ms, &instant.through_ms))
        return cql2_fail(maker, "\"%.*s\" is no date; write it as 2026-11-21",
                         (int)(value.size < 60 ? value.size : 60), (const char *)value.data);
    if (type == CQL2_TIMESTAMP && num_parse_time(value, &instant.from_ms))
        return cql2_fail(maker, "\"%.*s\" is no timestamp; write it as 2026-11-21T09:00:00Z",
                         (int)(value.size < 60 ? value.size : 60), (const char *)value.data);
    if (type == CQL2_TIMESTAMP)
        instant.through_ms = instant.from_ms;
    return put_instant(maker, type, instant);
}

uint16_t cql2_make_end(struct cql2_maker *maker, struct span value)
{
    bool has_time = value.size > 10;

    if (span_equal(value, span_of_str("..")))
        return cql2_make(maker, CQL2_OP_OPEN);
    return cql2_make_instant(maker, has_time ? CQL2_TIMESTAMP : CQL2_DATE, value);
}

enum torg_err cql2_made(struct cql2_maker *maker, uint16_t root)
{
    if (!maker->err && maker->tree->nodes[root].type != CQL2_BOOLEAN) {
        maker->where[0] = '\0';
        cql2_fail(maker, "the filter is %s; it must say what is true, such as name = 'Sorsele'",
                  cql2_type_name(maker->tree->nodes[root].type));
    }
    maker->tree->root = root;
    if (maker->err)
        cql2_done(maker->tree);
    return maker->err;
}

/* ---- types ---- */

static bool is_time(enum cql2_type type)
{
    return type == CQL2_DATE || type == CQL2_TIMESTAMP;
}

/* Days and moments can be compared: a moment lies before, in, or after a day. */
static bool comparable(enum cql2_type a, enum cql2_type b)
{
    return (a == b && a != CQL2_GEOMETRY && a != CQL2_INTERVAL && a != CQL2_ARRAY) ||
           (is_time(a) && is_time(b));
}

static uint16_t check_each(struct cql2_maker *maker, uint16_t node, enum cql2_type type,
                           const char *what)
{
    const struct cql2_node *nodes = maker->tree->nodes;

    for (uint16_t i = nodes[node].first; i; i = nodes[i].next) {
        if (nodes[i].type != type)
            return cql2_fail(maker, "%s takes %s, but here is %s", what, cql2_type_name(type),
                             cql2_type_name(nodes[i].type));
    }
    return node;
}

static uint16_t check_comparable(struct cql2_maker *maker, uint16_t node)
{
    const struct cql2_node *nodes = maker->tree->nodes;
    uint16_t first = nodes[node].first;
    enum cql2_op op = nodes[node].op;

    for (uint16_t i = nodes[first].next; i; i = nodes[i].next) {
        if (!comparable(nodes[first].type, nodes[i].type))
            return cql2_fail(maker,
                             is_time(nodes[first].type) || is_time(nodes[i].type)
                                 ? "%s cannot be compared with %s; times are DATE('2026-11-21') "
                                   "or TIMESTAMP('2026-11-21T09:00:00Z')"
                                 : "%s cannot be compared with %s",
                             cql2_type_name(nodes[first].type), cql2_type_name(nodes[i].type));
    }
    if (nodes[first].type == CQL2_BOOLEAN && op != CQL2_OP_EQ && op != CQL2_OP_NE &&
        op != CQL2_OP_IN)
        return cql2_fail(maker, "truth values are equal or not, none is greater");
    return node;
}

static uint16_t check_temporal(struct cql2_maker *maker, uint16_t node)
{
    const struct cql2_node *nodes = maker->tree->nodes;

    for (uint16_t i = nodes[node].first; i; i = nodes[i].next) {
        if (!is_time(nodes[i].type) && nodes[i].type != CQL2_INTERVAL)
            return cql2_fail(maker, "%s takes dates, timestamps and intervals, but here is %s",
                             function_name(nodes[node].op), cql2_type_name(nodes[i].type));
    }
    return node;
}

static uint16_t check_interval(struct cql2_maker *maker, uint16_t node)
{
    const struct cql2_node *nodes = maker->tree->nodes;
    const struct cql2_node *from = &nodes[nodes[node].first];
    const struct cql2_node *through = &nodes[from->next];

    for (const struct cql2_node *end = from;; end = through) {
        if (end->op != CQL2_OP_OPEN && !is_time(end->type))
            return cql2_fail(maker, "an interval goes from one time to another, but here is %s",
                             cql2_type_name(end->type));
        if (end == through)
            break;
    }
    if (from->op == CQL2_OP_INSTANT && through->op == CQL2_OP_INSTANT &&
        from->instant.from_ms > through->instant.through_ms)
        return cql2_fail(maker, "this interval ends before it begins");
    return node;
}

static uint16_t check_spatial(struct cql2_maker *maker, uint16_t node)
{
    const struct cql2_node *nodes = maker->tree->nodes;
    enum cql2_op op = nodes[node].op;

    if (!check_each(maker, node, CQL2_GEOMETRY, function_name(op)))
        return 0;
    for (uint16_t i = nodes[node].first; i; i = nodes[i].next) {
        if (nodes[i].op == CQL2_OP_GEOMETRY && nodes[i].mixed && op != CQL2_OP_S_INTERSECTS &&
            op != CQL2_OP_S_DISJOINT)
            return cql2_fail(maker, "a GEOMETRYCOLLECTION stands only in s_intersects and "
                                    "s_disjoint");
    }
    return node;
}

/* The standard lets a server want a property first: then nothing compares two lists of a filter. */
static uint16_t check_array(struct cql2_maker *maker, uint16_t node)
{
    const struct cql2_node *nodes = maker->tree->nodes;
    uint16_t first = nodes[node].first;

    if (nodes[first].type == CQL2_ARRAY && nodes[first].op != CQL2_OP_PROPERTY)
        return cql2_fail(maker,
                         "%s wants a property first, then an array such as ('food', 'crafts')",
                         function_name(nodes[node].op));
    return check_each(maker, node, CQL2_ARRAY, function_name(nodes[node].op));
}

/* One flat switch: what each operator takes, and what it is. */
uint16_t cql2_check(struct cql2_maker *maker, uint16_t node)
{
    struct cql2_node *self;

    if (maker->err || !node)
        return 0;
    self = &maker->tree->nodes[node];
    switch (self->op) {
    case CQL2_OP_AND:
    case CQL2_OP_OR:
    case CQL2_OP_NOT:
        self->type = CQL2_BOOLEAN;
        return check_each(maker, node, CQL2_BOOLEAN, "a logical operator");
    case CQL2_OP_IS_NULL:
        self->type = CQL2_BOOLEAN;
        return node;
    case CQL2_OP_CASEI:
    case CQL2_OP_ACCENTI:
        self->type = CQL2_STRING;
        return check_each(maker, node, CQL2_STRING,
                          self->op == CQL2_OP_CASEI ? "casei" : "accenti");
    case CQL2_OP_LIKE:
        self->type = CQL2_BOOLEAN;
        return check_each(maker, node, CQL2_STRING, "like");
    case CQL2_OP_IN:
    case CQL2_OP_BETWEEN:
    case CQL2_OP_EQ:
    case CQL2_OP_NE:
    case CQL2_OP_LT:
    case CQL2_OP_LE:
    case CQL2_OP_GT:
    case CQL2_OP_GE:
        self->type = CQL2_BOOLEAN;
        return check_comparable(maker, node);
    case CQL2_OP_ADD:
    case CQL2_OP_SUBTRACT:
    case CQL2_OP_MULTIPLY:
    case CQL2_OP_DIVIDE:
    case CQL2_OP_DIV:
    case CQL2_OP_MODULO:
    case CQL2_OP_POWER:
        self->type = CQL2_NUMBER;
        return check_each(maker, node, CQL2_NUMBER, "arithmetic");
    case CQL2_OP_INTERVAL:
        self->type = CQL2_INTERVAL;
        return check_interval(maker, node);
    case CQL2_OP_ARRAY:
        self->type = CQL2_ARRAY;
        return node; /* of anything */
    case CQL2_OP_A_EQUALS:
    case CQL2_OP_A_CONTAINS:
    case CQL2_OP_A_CONTAINED_BY:
    case CQL2_OP_A_OVERLAPS:
        self->type = CQL2_BOOLEAN;
        return check_array(maker, node);
    default:
        self->type = CQL2_BOOLEAN;
        return self->op >= CQL2_OP_T_AFTER ? check_temporal(maker, node)
                                           : check_spatial(maker, node);
    }
}

/* ---- properties as parameters ---- */

static bool is_open(struct span text)
{
    return text.size == 0 || span_equal(text, span_of_str(".."));
}

/* "2026-11-21", "2026-11-21T09:00:00Z" or either side of a "/" open or one of them. */
static uint16_t equal_time(struct cql2_maker *maker, uint16_t subject, struct span value)
{
    const uint8_t *slash = value.size ? memchr(value.data, '/', value.size) : NULL;
    struct span from = value, through = value;
    uint16_t a, b;

    if (!slash)
        return cql2_make_of(maker, CQL2_OP_EQ, subject, cql2_make_end(maker, value), 0);
    from.size = (size_t)(slash - value.data);
    through = span_of(slash + 1, value.size - from.size - 1);
    a = cql2_make_end(maker, is_open(from) ? span_of_str("..") : from);
    b = cql2_make_end(maker, is_open(through) ? span_of_str("..") : through);
    return cql2_make_of(maker, CQL2_OP_T_INTERSECTS, subject,
                        cql2_make_of(maker, CQL2_OP_INTERVAL, a, b, 0), 0);
}

static uint16_t equal_value(struct cql2_maker *maker, uint16_t subject, enum cql2_type type,
                            struct span value)
{
    bool yes = span_equal(value, span_of_str("true"));
    double number;

    switch (type) {
    case CQL2_BOOLEAN:
        if (!yes && !span_equal(value, span_of_str("false")))
            return cql2_fail(maker, "must be true or false");
        return cql2_make_of(maker, CQL2_OP_EQ, subject, cql2_make_boolean(maker, yes), 0);
    case CQL2_NUMBER:
        if (num_parse_double(value, &number))
            return cql2_fail(maker, "must be a number");
        return cql2_make_of(maker, CQL2_OP_EQ, subject, cql2_make_number(maker, number), 0);
    case CQL2_STRING:
        return cql2_make_of(maker, CQL2_OP_EQ, subject, cql2_make_string(maker, value), 0);
    case CQL2_DATE:
    case CQL2_TIMESTAMP:
        if (span_equal(value, span_of_str("..")))
            return cql2_fail(maker, "must be a time, or an interval start/end");
        return equal_time(maker, subject, value);
    case CQL2_ARRAY:
        return cql2_fail(maker, "is a list; use filter with a_contains");
    default:
        return cql2_fail(maker, "is a geometry; use bbox, or filter with s_intersects");
    }
}

enum torg_err cql2_and_equal(struct cql2 *tree, const struct cql2_schema *schema, size_t property,
                             struct span value, struct cql2_fault *fault)
{
    struct cql2_maker maker = {.tree = tree, .schema = schema, .fault = fault};
    uint16_t node;

    node = equal_value(&maker, make_property(&maker, property), schema->properties[property].type,
                       value);
    if (node && tree->root)
        node = cql2_make_of(&maker, CQL2_OP_AND, tree->root, node, 0);
    if (node)
        tree->root = node;
    return maker.err;
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "protocol/cql2_internal.h"
#include "protocol/listing_geojson.h"

/* The JSON form: {"op": ..., "args": [...]}, property references, values, times, geometries. */

static uint16_t read_value(struct cql2_maker *maker, const json_t *json);

static const struct {
    const char *name;
    enum cql2_op op;
    unsigned arguments; /* 0: two or more */
} operators[] = {
    {"and", CQL2_OP_AND, 0},         {"or", CQL2_OP_OR, 0},
    {"not", CQL2_OP_NOT, 1},         {"=", CQL2_OP_EQ, 2},
    {"<>", CQL2_OP_NE, 2},           {"<", CQL2_OP_LT, 2},
    {"<=", CQL2_OP_LE, 2},           {">", CQL2_OP_GT, 2},
    {">=", CQL2_OP_GE, 2},           {"like", CQL2_OP_LIKE, 2},
    {"between", CQL2_OP_BETWEEN, 3}, {"isNull", CQL2_OP_IS_NULL, 1},
    {"casei", CQL2_OP_CASEI, 1},     {"accenti", CQL2_OP_ACCENTI, 1},
    {"+", CQL2_OP_ADD, 2},           {"-", CQL2_OP_SUBTRACT, 2},
    {"*", CQL2_OP_MULTIPLY, 2},      {"/", CQL2_OP_DIVIDE, 2},
    {"div", CQL2_OP_DIV, 2},         {"%", CQL2_OP_MODULO, 2},
    {"^", CQL2_OP_POWER, 2},
};

static struct span string_of(const json_t *json)
{
    return span_of(json_string_value(json), json_string_length(json));
}

/* where is the path to the value at hand; back to it with path_pop. */
static size_t path_push(struct cql2_maker *maker, const char *name, size_t index)
{
    size_t size = strlen(maker->where);

    if (!maker->err)
        (void)snprintf(maker->where + size, sizeof(maker->where) - size, "%s%s[%zu]",
                       size ? "." : "in ", name, index);
    return size;
}

static void path_pop(struct cql2_maker *maker, size_t size)
{
    if (!maker->err)
        maker->where[size] = '\0';
}

static uint16_t read_argument(struct cql2_maker *maker, const json_t *args, size_t i)
{
    size_t size = path_push(maker, "args", i);
    uint16_t node = read_value(maker, json_array_get(args, i));

    path_pop(maker, size);
    return node;
}

static uint16_t read_all(struct cql2_maker *maker, enum cql2_op op, const json_t *args)
{
    uint16_t node = cql2_make(maker, op);
    uint16_t last = 0;

    for (size_t i = 0; i < json_array_size(args) && !maker->err; i++) {
        uint16_t argument = read_argument(maker, args, i);

        cql2_argue(maker, node, last, argument);
        last = argument;
    }
    return cql2_check(maker, node);
}

/* A list's values become arguments of node behind last; at: where the list stands. */
static void read_list(struct cql2_maker *maker, const json_t *values, const char *at, uint16_t node,
                      uint16_t last)
{
    for (size_t i = 0; i < json_array_size(values) && !maker->err; i++) {
        size_t size = path_push(maker, at, i);
        uint16_t value = read_value(maker, json_array_get(values, i));

        path_pop(maker, size);
        cql2_argue(maker, node, last, value);
        last = value;
    }
}

/* {"op": "in", "args": [value, [values]]} */
static uint16_t read_in(struct cql2_maker *maker, const json_t *args)
{
    const json_t *values = json_array_get(args, 1);
    uint16_t node = cql2_make(maker, CQL2_OP_IN);
    uint16_t last;

    if (json_array_size(args) != 2 || json_array_size(values) == 0)
        return cql2_fail(maker, "\"in\" has two args: a value, and a list of values");
    last = read_argument(maker, args, 0);
    cql2_argue(maker, node, 0, last);
    read_list(maker, values, "args[1]", node, last);
    return cql2_check(maker, node);
}

static uint16_t read_array(struct cql2_maker *maker, const json_t *json)
{
    uint16_t node = cql2_make(maker, CQL2_OP_ARRAY);

    read_list(maker, json, "", node, 0);
    return cql2_check(maker, node);
}

static uint16_t read_operation(struct cql2_maker *maker, const json_t *json)
{
    const json_t *name = json_object_get(json, "op");
    const json_t *args = json_object_get(json, "args");
    enum cql2_op op = 0;
    unsigned arguments = 2;

    if (!json_is_string(name) || !json_is_array(args))
        return cql2_fail(maker, "an operation has \"op\", a string, and \"args\", a list");
    if (strcmp(json_string_value(name), "in") == 0)
        return read_in(maker, args);
    for (size_t i = 0; i < ARRAY_SIZE(operators) && !op; i++) {
        if (strcasecmp(json_string_value(name), operators[i].name) == 0) {
            op = operators[i].op;
            arguments = operators[i].arguments;
        }
    }
    if (!op)
        op = cql2_function(string_of(name));
    if (!op)
        return cql2_fail(maker,
                         "there is no operator \"%.60s\"; there are and, or, not, =, <>, <, "
                         "<=, >, >=, like, between, in, isNull, casei, accenti, +, -, *, /, "
                         "div, %%, ^, and functions such as s_intersects and t_after",
                         json_string_value(name));
    if (arguments ? json_array_size(args) != arguments : json_array_size(args) < 2)
        return cql2_fail(maker,
                         arguments ? "\"%.60s\" takes %u args" : "\"%.60s\" takes at least %u args",
                         json_string_value(name), arguments ? arguments : 2);
    return read_all(maker, op, args);
}

static uint16_t read_end(struct cql2_maker *maker, const json_t *json)
{
    if (json_is_string(json))
        return cql2_make_end(maker, string_of(json));
    return read_value(maker, json);
}

static uint16_t read_interval(struct cql2_maker *maker, const json_t *ends)
{
    uint16_t from, through;

    if (json_array_size(ends) != 2)
        return cql2_fail(maker,
                         "an interval is a list of two times, either of which may be \"..\"");
    from = read_end(maker, json_array_get(ends, 0));
    through = read_end(maker, json_array_get(ends, 1));
    return cql2_make_of(maker, CQL2_OP_INTERVAL, from, through, 0);
}

static uint16_t read_box(struct cql2_maker *maker, const json_t *box)
{
    double numbers[6];
    size_t count = json_array_size(box);

    for (size_t i = 0; i < count && count <= 6; i++) {
        if (!json_is_number(json_array_get(box, i)))
            return cql2_fail(maker, "a bbox is a list of numbers: west, south, east, north");
        numbers[i] = json_number_value(json_array_get(box, i));
    }
    return cql2_wkt_box(maker, numbers, count);
}

static uint16_t read_object(struct cql2_maker *maker, const json_t *json)
{
    const json_t *property = json_object_get(json, "property");
    const json_t *date = json_object_get(json, "date");
    const json_t *timestamp = json_object_get(json, "timestamp");
    const json_t *box = json_object_get(json, "bbox");

    if (json_object_get(json, "op"))
        return read_operation(maker, json);
    if (json_is_string(property))
        return cql2_make_property(maker, string_of(property));
    if (json_is_string(date))
        return cql2_make_instant(maker, CQL2_DATE, string_of(date));
    if (json_is_string(timestamp))
        return cql2_make_instant(maker, CQL2_TIMESTAMP, string_of(timestamp));
    if (json_object_get(json, "interval"))
        return read_interval(maker, json_object_get(json, "interval"));
    if (json_object_get(json, "type"))
        return cql2_wkt_geojson(maker, json);
    if (box)
        return read_box(maker, box);
    return cql2_fail(maker, "an object with \"op\", \"property\", \"date\", \"timestamp\", "
                            "\"interval\", \"bbox\", or a GeoJSON geometry was expected");
}

static uint16_t read_value(struct cql2_maker *maker, const json_t *json)
{
    uint16_t node = 0;

    if (maker->err)
        return 0;
    if (maker->depth == CQL2_DEPTH_MAX)
        return cql2_fail(maker, "expressions stand more than %d deep in each other",
                         CQL2_DEPTH_MAX);
    maker->depth++;
    if (json_is_object(json))
        node = read_object(maker, json);
    else if (json_is_string(json))
        node = cql2_make_string(maker, string_of(json));
    else if (json_is_number(json))
        node = cql2_make_number(maker, json_number_value(json));
    else if (json_is_boolean(json))
        node = cql2_make_boolean(maker, json_is_true(json));
    else if (json_is_array(json))
        node = read_array(maker, json);
    else
        cql2_fail(maker, "a string, a number, true, false, a list or an object was expected");
    maker->depth--;
    return node;
}

enum torg_err cql2_parse_json(struct span text, const struct cql2_schema *schema,
                              struct cql2 *ret_tree, struct cql2_fault *fault)
{
    struct cql2_maker maker = {.tree = ret_tree, .schema = schema, .fault = fault};
    char message[200] = "";
    json_t *json = NULL;
    uint16_t root = 0;
    enum torg_err err;

    *ret_tree = (struct cql2){0};
    if (text.size > CQL2_BYTES_MAX) {
        cql2_fail(&maker, "the filter is longer than %d bytes", CQL2_BYTES_MAX);
        maker.err = TORG_E_TOO_BIG;
        return maker.err;
    }
    err = listing_json_parse(text, &json, message, sizeof(message));
    if (err == TORG_E_NOMEM)
        return err;
    if (err)
        cql2_fail(&maker, "the filter is no JSON: %s", message);
    else
        root = read_value(&maker, json);
    json_decref(json);
    return cql2_made(&maker, root);
}

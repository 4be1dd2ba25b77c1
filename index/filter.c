/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/filter_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/num.h"

/*
 * What looking at one feature costs beside the row of a listing, which is 1:
 * measured in micro-seconds for the text, roughly for what is done with it.
 */
#define WORK_FEATURE 4
#define WORK_NODES 8        /* so many nodes of the tree are one */
#define WORK_BYTES 512      /* so many bytes of the feature are one */
#define WORK_SHAPE_BYTES 32 /* so many bytes of a geometry that is asked are one */
#define WORK_STEPS 256      /* so many characters that LIKE compares are one */

#define EDGE_DEG 2e-7 /* boxes for the index are wider by two of its units */

enum kind { NOTHING, TRUTH, NUMBER, STRING, PERIOD, SHAPE, LIST };
struct value {
    enum kind kind;
    union {
        bool truth;
        double number;
        struct span text;
        struct filter_period period;
        struct filter_shape *shape;
    };
};

/* What belongs to one node: what was computed for it, for good or for the feature at hand. */
struct cell {
    bool constant, ready;
    struct buffer text;
    struct filter_shape *shape;
};

struct filter {
    struct cql2 tree;
    struct filter_path paths[CQL2_USED_MAX];
    enum cql2_type types[CQL2_USED_MAX];
    struct span found[CQL2_USED_MAX]; /* of the feature at hand */
    struct cell *cells;               /* by node */
    struct cell used[CQL2_USED_MAX];  /* by property: read from the feature at hand */
    struct filter_space *space;
    enum torg_err err;
    uint64_t work;
    uint64_t work_max; /* until the feature at hand has been judged */
};

static enum filter_truth judge(struct filter *filter, uint16_t number);

static enum filter_truth truth_of(bool yes)
{
    return yes ? FILTER_YES : FILTER_NO;
}

static const struct cql2_node *node_of(const struct filter *filter, uint16_t number)
{
    return &filter->tree.nodes[number];
}

static struct value nothing(void)
{
    return (struct value){.kind = NOTHING};
}

/* ---- values ---- */

static struct value shape_value(struct filter *filter, uint16_t used)
{
    struct cell *cell = &filter->used[used];
    struct span geojson = filter->found[used];

    if (!cell->ready && !filter->err) {
        filter->err = filter_shape_read(filter->space, geojson, &cell->shape);
        filter->work += geojson.size / WORK_SHAPE_BYTES;
        cell->ready = true;
    }
    return cell->shape ? (struct value){.kind = SHAPE, .shape = cell->shape} : nothing();
}

static struct value property_value(struct filter *filter, uint16_t used)
{
    struct span json = filter->found[used];
    struct cql2_instant instant;
    struct span text;
    double number;

    if (!json.size)
        return nothing();
    if (filter->types[used] != CQL2_GEOMETRY)
        filter->work += json.size / WORK_BYTES; /* Read again wherever it is named. */
    switch (filter->types[used]) {
    case CQL2_GEOMETRY:
        return shape_value(filter, used);
    case CQL2_ARRAY: /* What is in it, list_of reads. */
        return json.data[0] == '[' ? (struct value){.kind = LIST, .text = json} : nothing();
    case CQL2_BOOLEAN:
        if (span_equal(json, span_of_str("true")) || span_equal(json, span_of_str("false")))
            return (struct value){.kind = TRUTH, .truth = json.data[0] == 't'};
        return nothing();
    case CQL2_NUMBER:
        if (num_parse_double(json, &number))
            return nothing();
        return (struct value){.kind = NUMBER, .number = number};
    case CQL2_STRING:
        if (!filter_json_string(json, &filter->used[used].text, &text))
            return nothing();
        return (struct value){.kind = STRING, .text = text};
    default:
        if (!filter_json_string(json, &filter->used[used].text, &text) ||
            !filter_time(filter->types[used], text, &instant))
            return nothing();
        return (struct value){.kind = PERIOD, .period = {instant, instant}};
    }
}

static struct value value_of(struct filter *filter, uint16_t number);

static struct value folded_value(struct filter *filter, uint16_t number)
{
    const struct cql2_node *node = node_of(filter, number);
    struct cell *cell = &filter->cells[number];
    struct value inner;

    if (!cell->ready) {
        inner = value_of(filter, node->first);
        if (inner.kind != STRING)
            return nothing();
        buffer_clear(&cell->text);
        if (node->op == CQL2_OP_CASEI)
            filter->err = filter_casei(inner.text, &cell->text);
        else
            filter->err = filter_accenti(inner.text, &cell->text);
        cell->ready = cell->constant;
        filter->work += inner.text.size / WORK_SHAPE_BYTES;
    }
    return (struct value){.kind = STRING, .text = buffer_span(&cell->text)};
}

static double arithmetic(enum cql2_op op, double a, double b)
{
    switch (op) {
    case CQL2_OP_ADD:
        return a + b;
    case CQL2_OP_SUBTRACT:
        return a - b;
    case CQL2_OP_MULTIPLY:
        return a * b;
    case CQL2_OP_DIVIDE:
        return a / b;
    case CQL2_OP_DIV:
        return trunc(a / b);
    case CQL2_OP_MODULO:
        return fmod(a, b);
    default:
        return pow(a, b);
    }
}

static struct value arithmetic_value(struct filter *filter, const struct cql2_node *node)
{
    struct value a = value_of(filter, node->first);
    struct value b = value_of(filter, node_of(filter, node->first)->next);
    double number;

    if (a.kind != NUMBER || b.kind != NUMBER)
        return nothing();
    number = arithmetic(node->op, a.number, b.number);
    return isfinite(number) ? (struct value){.kind = NUMBER, .number = number} : nothing();
}

static bool end_of(struct filter *filter, uint16_t number, bool last, struct cql2_instant *ret)
{
    int64_t open_ms = last ? INT64_MAX : INT64_MIN;
    struct value value;

    if (node_of(filter, number)->op == CQL2_OP_OPEN) {
        *ret = (struct cql2_instant){open_ms, open_ms};
        return true;
    }
    value = value_of(filter, number);
    *ret = last ? value.period.through : value.period.from;
    return value.kind == PERIOD;
}

static struct value interval_value(struct filter *filter, const struct cql2_node *node)
{
    struct value value = {.kind = PERIOD};
    uint16_t through = node_of(filter, node->first)->next;

    if (!end_of(filter, node->first, false, &value.period.from) ||
        !end_of(filter, through, true, &value.period.through))
        return nothing();
    return value;
}

static struct value value_of(struct filter *filter, uint16_t number)
{
    const struct cql2_node *node = node_of(filter, number);
    enum filter_truth truth;

    switch (node->op) {
    case CQL2_OP_BOOLEAN:
        return (struct value){.kind = TRUTH, .truth = node->boolean};
    case CQL2_OP_NUMBER:
        return (struct value){.kind = NUMBER, .number = node->number};
    case CQL2_OP_STRING:
        return (struct value){.kind = STRING, .text = cql2_text(&filter->tree, node)};
    case CQL2_OP_INSTANT:
        return (struct value){.kind = PERIOD, .period = {node->instant, node->instant}};
    case CQL2_OP_GEOMETRY:
        return (struct value){.kind = SHAPE, .shape = filter->cells[number].shape};
    case CQL2_OP_PROPERTY:
        return property_value(filter, node->property);
    case CQL2_OP_INTERVAL:
        return interval_value(filter, node);
    case CQL2_OP_CASEI:
    case CQL2_OP_ACCENTI:
        return folded_value(filter, number);
    case CQL2_OP_OPEN:
    case CQL2_OP_ARRAY:
        return nothing();
    default:
        break;
    }
    if (node->type == CQL2_NUMBER)
        return arithmetic_value(filter, node);
    truth = judge(filter, number);
    return truth == FILTER_UNKNOWN ? nothing()
                                   : (struct value){.kind = TRUTH, .truth = truth == FILTER_YES};
}

/* ---- truth ---- */

/* The checked types leave only values of one kind beside each other. */
static bool compare(const struct value *a, const struct value *b, int *ret_order)
{
    if (a->kind == NOTHING || a->kind != b->kind)
        return false;
    switch (a->kind) {
    case TRUTH:
        *ret_order = (int)a->truth - (int)b->truth;
        return true;
    case NUMBER:
        *ret_order = (a->number > b->number) - (a->number < b->number);
        return true;
    case STRING:
        *ret_order = span_compare(a->text, b->text);
        return true;
    case PERIOD:
        *ret_order = filter_time_compare(a->period.from, b->period.from);
        return true;
    default:
        return false;
    }
}

static enum filter_truth judge_comparison(enum cql2_op op, const struct value *a,
                                          const struct value *b)
{
    int order;

    if (!compare(a, b, &order))
        return FILTER_UNKNOWN;
    switch (op) {
    case CQL2_OP_EQ:
        return truth_of(order == 0);
    case CQL2_OP_NE:
        return truth_of(order != 0);
    case CQL2_OP_LT:
        return truth_of(order < 0);
    case CQL2_OP_LE:
        return truth_of(order <= 0);
    case CQL2_OP_GT:
        return truth_of(order > 0);
    default:
        return truth_of(order >= 0);
    }
}

/* decisive: what one argument alone makes of the whole: NO of AND, YES of OR. */
static enum filter_truth judge_all(struct filter *filter, uint16_t first,
                                   enum filter_truth decisive)
{
    enum filter_truth all = decisive == FILTER_NO ? FILTER_YES : FILTER_NO;

    for (uint16_t i = first; i; i = node_of(filter, i)->next) {
        enum filter_truth one = judge(filter, i);

        if (one == decisive)
            return decisive;
        if (one == FILTER_UNKNOWN)
            all = FILTER_UNKNOWN;
    }
    return all;
}

static enum filter_truth negated(enum filter_truth truth)
{
    return truth == FILTER_UNKNOWN ? truth : truth_of(truth == FILTER_NO);
}

/* An OR of comparisons, and an AND of two: absent values count as there. */
static enum filter_truth judge_in(struct filter *filter, const struct cql2_node *node)
{
    struct value subject = value_of(filter, node->first);
    enum filter_truth all = FILTER_NO;

    for (uint16_t i = node_of(filter, node->first)->next; i; i = node_of(filter, i)->next) {
        struct value value = value_of(filter, i);
        enum filter_truth one = judge_comparison(CQL2_OP_EQ, &subject, &value);

        if (one == FILTER_YES)
            return one;
        if (one == FILTER_UNKNOWN)
            all = one;
    }
    return all;
}

static enum filter_truth judge_between(struct filter *filter, const struct cql2_node *node)
{
    uint16_t second = node_of(filter, node->first)->next;
    struct value subject = value_of(filter, node->first);
    struct value least = value_of(filter, second);
    struct value greatest = value_of(filter, node_of(filter, second)->next);
    enum filter_truth above = judge_comparison(CQL2_OP_GE, &subject, &least);
    enum filter_truth below = judge_comparison(CQL2_OP_LE, &subject, &greatest);

    if (above == FILTER_NO || below == FILTER_NO)
        return FILTER_NO;
    return above == FILTER_YES ? below : above;
}

static enum filter_truth judge_like(struct filter *filter, const struct value *text,
                                    const struct value *pattern)
{
    uint64_t steps = 0;
    bool is_like;

    if (text->kind != STRING || pattern->kind != STRING ||
        pattern->text.size > FILTER_PATTERN_BYTES_MAX)
        return FILTER_UNKNOWN;
    is_like = filter_like(text->text, pattern->text, &steps);
    filter->work += steps / WORK_STEPS;
    return truth_of(is_like);
}

/* One element that a filter's array names; false: nobody knows what it is. */
static bool add_element(struct filter *filter, uint16_t number, struct filter_list *list)
{
    struct value value;

    if (node_of(filter, number)->op == CQL2_OP_ARRAY) {
        filter_list_add_other(list);
        return true;
    }
    value = value_of(filter, number);
    switch (value.kind) {
    case NOTHING:
        return false;
    case STRING:
        filter_list_add_text(list, value.text);
        break;
    case NUMBER:
        filter_list_add_number(list, value.number);
        break;
    case TRUTH:
        filter_list_add_truth(list, value.truth);
        break;
    default:
        filter_list_add_other(list);
    }
    return true;
}

/* A property's list, or the filter's own. */
static bool list_of(struct filter *filter, uint16_t number, struct filter_list *list)
{
    const struct cql2_node *node = node_of(filter, number);
    struct value value;
    bool known = true;

    if (node->op != CQL2_OP_ARRAY) {
        value = value_of(filter, number);
        return value.kind == LIST && filter_list_add_json(list, value.text);
    }
    for (uint16_t i = node->first; i && known && !list->err; i = node_of(filter, i)->next)
        known = add_element(filter, i, list);
    return known;
}

static enum filter_truth judge_lists(struct filter *filter, const struct cql2_node *node)
{
    struct filter_list a = {0}, b = {0};
    bool known =
        list_of(filter, node->first, &a) && list_of(filter, node_of(filter, node->first)->next, &b);
    enum filter_truth truth = FILTER_UNKNOWN;

    if (a.err || b.err)
        filter->err = TORG_E_NOMEM;
    else if (known)
        truth = truth_of(filter_list_related(node->op, &a, &b, &filter->work));
    filter_list_done(&a);
    filter_list_done(&b);
    return truth;
}

static enum filter_truth judge_two(struct filter *filter, const struct cql2_node *node)
{
    struct value a = value_of(filter, node->first);
    struct value b = value_of(filter, node_of(filter, node->first)->next);

    if (node->op >= CQL2_OP_T_AFTER)
        return a.kind == PERIOD && b.kind == PERIOD
                   ? truth_of(filter_time_related(node->op, &a.period, &b.period))
                   : FILTER_UNKNOWN;
    if (node->op >= CQL2_OP_S_INTERSECTS)
        return a.kind == SHAPE && b.kind == SHAPE
                   ? filter_shape_related(filter->space, node->op, a.shape, b.shape, &filter->work)
                   : FILTER_UNKNOWN;
    if (node->op == CQL2_OP_LIKE)
        return judge_like(filter, &a, &b);
    return judge_comparison(node->op, &a, &b);
}

static enum filter_truth judge(struct filter *filter, uint16_t number)
{
    const struct cql2_node *node = node_of(filter, number);
    struct value value;

    if (!filter->err && filter->work > filter->work_max)
        filter->err = TORG_E_EXPENSIVE;
    if (filter->err)
        return FILTER_UNKNOWN;
    switch (node->op) {
    case CQL2_OP_AND:
        return judge_all(filter, node->first, FILTER_NO);
    case CQL2_OP_OR:
        return judge_all(filter, node->first, FILTER_YES);
    case CQL2_OP_NOT:
        return negated(judge(filter, node->first));
    case CQL2_OP_IS_NULL:
        value = value_of(filter, node->first);
        return truth_of(value.kind == NOTHING);
    case CQL2_OP_IN:
        return judge_in(filter, node);
    case CQL2_OP_BETWEEN:
        return judge_between(filter, node);
    case CQL2_OP_BOOLEAN:
    case CQL2_OP_PROPERTY:
        value = value_of(filter, number);
        return value.kind == TRUTH ? truth_of(value.truth) : FILTER_UNKNOWN;
    case CQL2_OP_A_EQUALS:
    case CQL2_OP_A_CONTAINS:
    case CQL2_OP_A_CONTAINED_BY:
    case CQL2_OP_A_OVERLAPS:
        return judge_lists(filter, node);
    default:
        return judge_two(filter, node);
    }
}

enum torg_err filter_passes(struct filter *filter, struct span feature, bool *ret_passes)
{
    enum filter_truth truth;

    filter->work_max = filter->work + FILTER_WORK_MAX;
    filter->err = filter_json_find(feature, filter->paths, filter->tree.used_count, filter->found);
    filter->work += WORK_FEATURE + filter->tree.node_count / WORK_NODES + feature.size / WORK_BYTES;
    truth = judge(filter, filter->tree.root);
    if (!filter->err && filter->work > filter->work_max)
        filter->err = TORG_E_EXPENSIVE;
    for (uint16_t i = 0; i < filter->tree.used_count; i++) {
        if (filter->used[i].shape)
            filter_shape_free(filter->space, filter->used[i].shape);
        filter->used[i].shape = NULL;
        filter->used[i].ready = false;
        if (filter->used[i].text.err && !filter->err)
            filter->err = filter->used[i].text.err;
    }
    if (!filter->err)
        *ret_passes = truth == FILTER_YES;
    return filter->err;
}

uint64_t filter_work(const struct filter *filter)
{
    return filter->work;
}

/* ---- making one ---- */

/* The box over the antimeridian is two in the text, and stays one for the index. */
static enum torg_err prepare_shape(struct filter *filter, uint16_t number,
                                   struct geo_transform *transform, struct cql2_fault *fault)
{
    struct cql2_node *node = &filter->tree.nodes[number];
    double box[4];
    enum torg_err err;

    err = filter_shape_literal(filter->space, cql2_text(&filter->tree, node), transform,
                               &filter->cells[number].shape, box, fault->text, sizeof(fault->text));
    if (err || (node->wraps && !transform))
        return err;
    node->west = box[0];
    node->south = box[1];
    node->east = box[2];
    node->north = box[3];
    node->wraps = false;
    return TORG_OK;
}

/* Arguments stand before what they are arguments of, or behind it: look down, not up. */
static bool is_constant(const struct filter *filter, uint16_t number)
{
    const struct cql2_node *node = node_of(filter, number);

    if (node->op == CQL2_OP_PROPERTY)
        return false;
    for (uint16_t i = node->first; i && node->op != CQL2_OP_PROPERTY;
         i = node_of(filter, i)->next) {
        if (!is_constant(filter, i))
            return false;
    }
    return true;
}

static enum torg_err prepare(struct filter *filter, uint16_t number,
                             struct geo_transform *transform, struct cql2_fault *fault)
{
    const struct cql2_node *node = node_of(filter, number);
    struct value pattern;

    if (node->op == CQL2_OP_GEOMETRY)
        return prepare_shape(filter, number, transform, fault);
    if (node->op == CQL2_OP_CASEI || node->op == CQL2_OP_ACCENTI)
        filter->cells[number].constant = is_constant(filter, number);
    if (node->op == CQL2_OP_LIKE && is_constant(filter, node_of(filter, node->first)->next)) {
        pattern = value_of(filter, node_of(filter, node->first)->next);
        if (pattern.kind == STRING && pattern.text.size > FILTER_PATTERN_BYTES_MAX) {
            (void)snprintf(fault->text, sizeof(fault->text),
                           "a pattern of LIKE is longer than %d bytes", FILTER_PATTERN_BYTES_MAX);
            return TORG_E_INVALID;
        }
    }
    return filter->err;
}

static bool is_own_geometry(const struct cql2_property *property)
{
    return property->type == CQL2_GEOMETRY && span_equal(property->name, span_of_str("geometry"));
}

enum torg_err filter_new(struct cql2 *tree, const struct cql2_schema *schema,
                         struct geo_transform *transform, struct filter **ret_filter,
                         struct cql2_fault *fault)
{
    struct filter *filter = calloc(1, sizeof(*filter));
    enum torg_err err = TORG_E_NOMEM;

    if (!filter) {
        cql2_done(tree);
        return err;
    }
    filter->tree = *tree;
    *tree = (struct cql2){0};
    for (uint16_t i = 0; i < filter->tree.used_count; i++) {
        const struct cql2_property *property = &schema->properties[filter->tree.used[i]];

        filter->paths[i] =
            (struct filter_path){.name = property->name, .geometry = is_own_geometry(property)};
        filter->types[i] = property->type;
    }
    filter->cells = calloc(filter->tree.node_count, sizeof(*filter->cells));
    if (filter->cells)
        err = filter_space_new(&filter->space);
    for (uint16_t i = 1; i < filter->tree.node_count && !err; i++)
        err = prepare(filter, i, transform, fault);
    if (err)
        filter_free(filter);
    else
        *ret_filter = filter;
    return err;
}

void filter_free(struct filter *filter)
{
    if (!filter)
        return;
    for (uint16_t i = 0; filter->cells && i < filter->tree.node_count; i++) {
        buffer_done(&filter->cells[i].text);
        filter_shape_free(filter->space, filter->cells[i].shape);
    }
    for (size_t i = 0; i < CQL2_USED_MAX; i++)
        buffer_done(&filter->used[i].text);
    free(filter->cells);
    filter_space_free(filter->space);
    cql2_done(&filter->tree);
    free(filter);
}

/* ---- for the planner ---- */

/* The i-th of what must all hold; 0: there are no more. */
static uint16_t conjunct(const struct filter *filter, uint16_t number, size_t *i)
{
    const struct cql2_node *node = node_of(filter, number);
    uint16_t found = 0;

    if (node->op != CQL2_OP_AND)
        return (*i)-- == 0 ? number : 0;
    for (uint16_t at = node->first; at && !found; at = node_of(filter, at)->next)
        found = conjunct(filter, at, i);
    return found;
}

static uint16_t conjunct_at(const struct filter *filter, size_t i)
{
    return conjunct(filter, filter->tree.root, &i);
}

/* A spatial function of a geometry and a literal, either way round: their boxes meet. Not
 * S_DISJOINT. */
static const struct cql2_node *meets(const struct filter *filter, const struct cql2_node *node)
{
    const struct cql2_node *a, *b;

    if (node->op < CQL2_OP_S_INTERSECTS || node->op > CQL2_OP_S_OVERLAPS ||
        node->op == CQL2_OP_S_DISJOINT)
        return NULL;
    a = node_of(filter, node->first);
    b = node_of(filter, a->next);
    if (b->op == CQL2_OP_PROPERTY) {
        const struct cql2_node *swap = a;

        a = b;
        b = swap;
    }
    if (a->op != CQL2_OP_PROPERTY || !filter->paths[a->property].geometry ||
        b->op != CQL2_OP_GEOMETRY)
        return NULL;
    return b;
}

static double clamped(double value, double limit)
{
    return value < -limit ? -limit : value > limit ? limit : value;
}

bool filter_box(const struct filter *filter, struct geo_box *ret_box)
{
    uint16_t number;

    for (size_t i = 0; (number = conjunct_at(filter, i)) != 0; i++) {
        const struct cql2_node *shape = meets(filter, node_of(filter, number));

        if (!shape)
            continue;
        *ret_box = (struct geo_box){
            .west_deg = clamped(shape->west - EDGE_DEG, 180),
            .south_deg = clamped(shape->south - EDGE_DEG, 90),
            .east_deg = clamped(shape->east + EDGE_DEG, 180),
            .north_deg = clamped(shape->north + EDGE_DEG, 90),
        };
        return geo_box_valid(ret_box) && (shape->wraps || ret_box->west_deg <= ret_box->east_deg);
    }
    return false;
}

/* property = 'value', either way round, or property IN ('value', ...). */
static size_t equals(const struct filter *filter, const struct cql2_node *node,
                     struct span property, struct span *values, size_t max)
{
    const struct cql2_node *subject, *other;
    size_t count = 0;

    if (node->op != CQL2_OP_EQ && node->op != CQL2_OP_IN)
        return 0;
    subject = node_of(filter, node->first);
    other = node_of(filter, subject->next);
    if (node->op == CQL2_OP_EQ && other->op == CQL2_OP_PROPERTY) {
        const struct cql2_node *swap = subject;

        subject = other;
        other = swap;
    }
    if (subject->op != CQL2_OP_PROPERTY ||
        !span_equal(filter->paths[subject->property].name, property))
        return 0;
    for (;; other = node_of(filter, other->next)) {
        if (other->op != CQL2_OP_STRING || count == max)
            return 0;
        values[count++] = cql2_text(&filter->tree, other);
        if (node->op == CQL2_OP_EQ || !other->next)
            return count;
    }
}

/* a_contains(property, ('value', ...)): the strings among them. */
static size_t elements(const struct filter *filter, const struct cql2_node *node,
                       struct span property, struct span *values, size_t max)
{
    const struct cql2_node *subject, *array;
    size_t count = 0;

    if (node->op != CQL2_OP_A_CONTAINS)
        return 0;
    subject = node_of(filter, node->first);
    array = node_of(filter, subject->next);
    if (subject->op != CQL2_OP_PROPERTY || array->op != CQL2_OP_ARRAY ||
        !span_equal(filter->paths[subject->property].name, property))
        return 0;
    for (uint16_t i = array->first; i && count < max; i = node_of(filter, i)->next) {
        if (node_of(filter, i)->op == CQL2_OP_STRING)
            values[count++] = cql2_text(&filter->tree, node_of(filter, i));
    }
    return count;
}

typedef size_t (*values_of)(const struct filter *filter, const struct cql2_node *node,
                            struct span property, struct span *values, size_t max);

/* Of the first conjunct that has any. */
static size_t first_values(const struct filter *filter, values_of find, const char *property,
                           struct span *values, size_t max)
{
    size_t count = 0;
    uint16_t number;

    for (size_t i = 0; !count && (number = conjunct_at(filter, i)) != 0; i++)
        count = find(filter, node_of(filter, number), span_of_str(property), values, max);
    return count;
}

size_t filter_values(const struct filter *filter, const char *property, struct span *values,
                     size_t max)
{
    return first_values(filter, equals, property, values, max);
}

size_t filter_elements(const struct filter *filter, const char *property, struct span *values,
                       size_t max)
{
    return first_values(filter, elements, property, values, max);
}

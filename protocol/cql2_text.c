/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "protocol/cql2_internal.h"
#include "protocol/num.h"

/*
 * The text form. Logical and arithmetic expressions share their parentheses,
 * so one descent reads both, and the types are checked afterwards.
 */
enum token_kind { TOKEN_END, TOKEN_NUMBER, TOKEN_STRING, TOKEN_NAME, TOKEN_QUOTED, TOKEN_SIGN };

struct parser {
    struct cql2_maker *maker;
    struct span left; /* behind the token at hand */
    enum token_kind kind;
    const uint8_t *at; /* the token at hand */
    struct span token; /* its text, of strings and quoted names without the quotes, escaped */
    struct buffer scratch;
};

static uint16_t parse_or(struct parser *parser);
static uint16_t parse_sum(struct parser *parser);

void cql2_at(struct cql2_maker *maker, const uint8_t *at)
{
    size_t character = 1;

    if (maker->err)
        return;
    for (const uint8_t *p = maker->begin; p < at; p++)
        character += (*p & 0xc0) != 0x80;
    (void)snprintf(maker->where, sizeof(maker->where), "at character %zu", character);
}

/* ---- tokens ---- */

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_start(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' || c >= 0x80;
}

static bool is_name_part(uint8_t c)
{
    return is_name_start(c) || is_digit(c) || c == '.';
}

static size_t number_size(struct span text)
{
    size_t size = 0;
    size_t mark;

    while (size < text.size && is_digit(text.data[size]))
        size++;
    if (size < text.size && text.data[size] == '.')
        size++;
    while (size < text.size && is_digit(text.data[size]))
        size++;
    mark = size;
    if (size < text.size && (text.data[size] | 0x20) == 'e') {
        size++;
        if (size < text.size && (text.data[size] == '+' || text.data[size] == '-'))
            size++;
        if (size == text.size || !is_digit(text.data[size]))
            return mark;
        while (size < text.size && is_digit(text.data[size]))
            size++;
    }
    return size;
}

static size_t sign_size(struct span text)
{
    static const char *const two[] = {"<>", "<=", ">="};

    for (size_t i = 0; i < ARRAY_SIZE(two) && text.size > 1; i++) {
        if (memcmp(text.data, two[i], 2) == 0)
            return 2;
    }
    return text.data[0] && strchr("()=<>,+-*/%^", text.data[0]) ? 1 : 0;
}

/* The quote stands twice, or behind a backslash, where it is meant. */
static void next_quoted(struct parser *parser, uint8_t quote)
{
    size_t i = 1;

    parser->kind = quote == '\'' ? TOKEN_STRING : TOKEN_QUOTED;
    buffer_clear(&parser->scratch);
    for (; i < parser->left.size; i++) {
        bool another = i + 1 < parser->left.size && parser->left.data[i + 1] == quote;

        if (another &&
            (parser->left.data[i] == quote || (quote == '\'' && parser->left.data[i] == '\\')))
            i++;
        else if (parser->left.data[i] == quote)
            break;
        buffer_put_u8(&parser->scratch, parser->left.data[i]);
    }
    if (i == parser->left.size) {
        cql2_fail(parser->maker, "a quotation mark %c is not closed", quote);
        return;
    }
    if (parser->scratch.err && !parser->maker->err)
        parser->maker->err = parser->scratch.err;
    parser->token = buffer_span(&parser->scratch);
    parser->left = span_of(parser->left.data + i + 1, parser->left.size - i - 1);
}

static void take_token(struct parser *parser, enum token_kind kind, size_t size)
{
    parser->kind = kind;
    parser->token = span_of(parser->left.data, size);
    parser->left = span_of(parser->left.data + size, parser->left.size - size);
}

static void next(struct parser *parser)
{
    size_t size = 0;
    uint8_t c;

    while (parser->left.size && memchr(" \t\r\n", parser->left.data[0], 4))
        parser->left = span_of(parser->left.data + 1, parser->left.size - 1);
    parser->at = parser->left.data;
    parser->token = (struct span){0};
    parser->kind = TOKEN_END;
    if (parser->maker->err || !parser->left.size)
        return;
    cql2_at(parser->maker, parser->at);
    c = parser->left.data[0];
    if (c == '\'' || c == '"') {
        next_quoted(parser, c);
    } else if (is_digit(c) ||
               (c == '.' && parser->left.size > 1 && is_digit(parser->left.data[1]))) {
        take_token(parser, TOKEN_NUMBER, number_size(parser->left));
    } else if (is_name_start(c)) {
        while (size < parser->left.size && is_name_part(parser->left.data[size]))
            size++;
        take_token(parser, TOKEN_NAME, size);
    } else if (sign_size(parser->left)) {
        take_token(parser, TOKEN_SIGN, sign_size(parser->left));
    } else {
        cql2_fail(parser->maker, "\"%c\" means nothing here", c > 0x20 && c < 0x7f ? c : '?');
    }
}

static bool is_sign(const struct parser *parser, const char *sign)
{
    return parser->kind == TOKEN_SIGN && span_equal(parser->token, span_of_str(sign));
}

static bool is_word(const struct parser *parser, const char *word)
{
    return parser->kind == TOKEN_NAME && parser->token.size == strlen(word) &&
           strncasecmp((const char *)parser->token.data, word, parser->token.size) == 0;
}

static bool take_sign(struct parser *parser, const char *sign)
{
    bool is = !parser->maker->err && is_sign(parser, sign);

    if (is)
        next(parser);
    return is;
}

static bool take_word(struct parser *parser, const char *word)
{
    bool is = !parser->maker->err && is_word(parser, word);

    if (is)
        next(parser);
    return is;
}

static uint16_t fail_expected(struct parser *parser, const char *expected)
{
    struct span token = parser->token;

    cql2_at(parser->maker, parser->at);
    if (parser->kind == TOKEN_END)
        return cql2_fail(parser->maker, "%s was expected, but the filter ends", expected);
    return cql2_fail(parser->maker, "%s was expected, not %.*s", expected,
                     (int)(token.size < 60 ? token.size : 60), (const char *)token.data);
}

static bool want_sign(struct parser *parser, const char *sign)
{
    if (take_sign(parser, sign))
        return true;
    fail_expected(parser, sign);
    return false;
}

/* ---- primaries ---- */

static struct span take_string(struct parser *parser, const char *what)
{
    if (parser->kind != TOKEN_STRING)
        fail_expected(parser, what);
    return parser->token;
}

/* DATE('...'), TIMESTAMP('...'): the name has been read. */
static uint16_t parse_instant(struct parser *parser, enum cql2_type type)
{
    uint16_t node;

    if (!want_sign(parser, "("))
        return 0;
    node = cql2_make_instant(parser->maker, type, take_string(parser, "a time in quotes"));
    next(parser);
    return want_sign(parser, ")") ? node : 0;
}

static uint16_t parse_end(struct parser *parser)
{
    uint16_t node;

    if (parser->kind != TOKEN_STRING)
        return parse_sum(parser);
    node = cql2_make_end(parser->maker, parser->token);
    next(parser);
    return node;
}

static uint16_t parse_interval(struct parser *parser)
{
    uint16_t from, through;

    if (!want_sign(parser, "("))
        return 0;
    from = parse_end(parser);
    if (!want_sign(parser, ","))
        return 0;
    through = parse_end(parser);
    if (!want_sign(parser, ")"))
        return 0;
    return cql2_make_of(parser->maker, CQL2_OP_INTERVAL, from, through, 0);
}

/*
 * The opening bracket has been taken. Within it another one begins an array, not an expression in
 * parentheses.
 */
static uint16_t parse_array(struct parser *parser)
{
    uint16_t node = cql2_make(parser->maker, CQL2_OP_ARRAY), last = 0;

    if (take_sign(parser, ")"))
        return cql2_check(parser->maker, node);
    if (parser->maker->depth == CQL2_DEPTH_MAX)
        return cql2_fail(parser->maker, "arrays stand too deep in each other");
    parser->maker->depth++;
    do {
        uint16_t value = take_sign(parser, "(") ? parse_array(parser) : parse_or(parser);

        cql2_argue(parser->maker, node, last, value);
        last = value;
    } while (take_sign(parser, ","));
    parser->maker->depth--;
    return want_sign(parser, ")") ? cql2_check(parser->maker, node) : 0;
}

static uint16_t parse_argument(struct parser *parser, enum cql2_op op)
{
    if (cql2_takes_arrays(op) && take_sign(parser, "("))
        return parse_array(parser);
    return parse_sum(parser);
}

static uint16_t parse_call(struct parser *parser, enum cql2_op op, bool two)
{
    uint16_t a, b = 0;

    next(parser); /* The parenthesis has been seen. */
    a = parse_argument(parser, op);
    if (two) {
        if (!want_sign(parser, ","))
            return 0;
        b = parse_argument(parser, op);
    }
    if (!want_sign(parser, ")"))
        return 0;
    return cql2_make_of(parser->maker, op, a, b, 0);
}

static uint16_t parse_geometry(struct parser *parser)
{
    const uint8_t *end = parser->left.data + parser->left.size;
    struct span text = span_of(parser->at, (size_t)(end - parser->at));
    size_t size = 0;
    uint16_t node = cql2_wkt_read(parser->maker, text, &size);

    parser->left = span_of(text.data + size, text.size - size);
    next(parser);
    return node;
}

/* A name: a function where a parenthesis follows, else a property. */
static uint16_t parse_name(struct parser *parser)
{
    static const char *const reserved[] = {"and", "or",   "not",     "like", "in",
                                           "is",  "null", "between", "div"};
    const uint8_t *end = parser->left.data + parser->left.size;
    struct span name = parser->token;
    enum cql2_op op = cql2_function(name);
    bool is_date = is_word(parser, "date"), is_time = is_word(parser, "timestamp");
    bool is_interval = is_word(parser, "interval"), is_casei = is_word(parser, "casei");
    bool is_accenti = is_word(parser, "accenti");
    const uint8_t *at = parser->at;

    if (cql2_wkt_begins(span_of(parser->at, (size_t)(end - parser->at))))
        return parse_geometry(parser);
    for (size_t i = 0; i < ARRAY_SIZE(reserved); i++) {
        if (is_word(parser, reserved[i]))
            return fail_expected(parser, "a value");
    }
    if (is_word(parser, "true") || is_word(parser, "false")) {
        bool value = is_word(parser, "true");

        next(parser);
        return cql2_make_boolean(parser->maker, value);
    }
    next(parser);
    if (!is_sign(parser, "(")) {
        cql2_at(parser->maker, at);
        return cql2_make_property(parser->maker, name);
    }
    if (is_date || is_time)
        return parse_instant(parser, is_date ? CQL2_DATE : CQL2_TIMESTAMP);
    if (is_interval)
        return parse_interval(parser);
    if (is_casei || is_accenti)
        return parse_call(parser, is_casei ? CQL2_OP_CASEI : CQL2_OP_ACCENTI, false);
    if (op)
        return parse_call(parser, op, true);
    cql2_at(parser->maker, at);
    return cql2_fail(parser->maker,
                     "there is no function \"%.*s\"; there are casei, accenti, date, timestamp, "
                     "interval, s_intersects and the other spatial, t_intersects and the other "
                     "temporal functions, a_contains, a_containedBy, a_equals and a_overlaps",
                     (int)(name.size < 60 ? name.size : 60), (const char *)name.data);
}

static uint16_t parse_primary(struct parser *parser)
{
    uint16_t node = 0;
    double number;

    if (parser->maker->err)
        return 0;
    if (parser->maker->depth == CQL2_DEPTH_MAX)
        return cql2_fail(parser->maker, "expressions stand more than %d deep in each other",
                         CQL2_DEPTH_MAX);
    parser->maker->depth++;
    if (parser->kind == TOKEN_NUMBER) {
        if (num_parse_double(parser->token, &number))
            fail_expected(parser, "a number");
        node = cql2_make_number(parser->maker, number);
        next(parser);
    } else if (parser->kind == TOKEN_STRING) {
        node = cql2_make_string(parser->maker, parser->token);
        next(parser);
    } else if (parser->kind == TOKEN_QUOTED) {
        node = cql2_make_property(parser->maker, parser->token);
        next(parser);
    } else if (parser->kind == TOKEN_NAME) {
        node = parse_name(parser);
    } else if (take_sign(parser, "(")) {
        node = parse_or(parser);
        if (!want_sign(parser, ")"))
            node = 0;
    } else {
        fail_expected(parser, "a property, a value or a function");
    }
    parser->maker->depth--;
    return node;
}

/* ---- arithmetic ---- */

static uint16_t parse_signed(struct parser *parser);

/* To the right first: 2^3^2 is 2^9. */
static uint16_t parse_power(struct parser *parser)
{
    uint16_t left = parse_primary(parser);
    uint16_t right;

    if (!take_sign(parser, "^"))
        return left;
    if (parser->maker->depth == CQL2_DEPTH_MAX)
        return cql2_fail(parser->maker, "powers stand too deep in each other");
    parser->maker->depth++;
    right = parse_signed(parser);
    parser->maker->depth--;
    return cql2_make_of(parser->maker, CQL2_OP_POWER, left, right, 0);
}

static uint16_t parse_signed(struct parser *parser)
{
    bool negative = false, any = false;
    uint16_t node;

    while (is_sign(parser, "-") || is_sign(parser, "+")) {
        negative ^= is_sign(parser, "-");
        any = true;
        next(parser);
    }
    node = parse_power(parser);
    if (!any || !node)
        return node;
    if (negative && parser->maker->tree->nodes[node].op == CQL2_OP_NUMBER) {
        parser->maker->tree->nodes[node].number *= -1;
        return node;
    }
    return cql2_make_of(parser->maker, negative ? CQL2_OP_SUBTRACT : CQL2_OP_ADD,
                        cql2_make_number(parser->maker, 0), node, 0);
}

static uint16_t parse_product(struct parser *parser)
{
    uint16_t node = parse_signed(parser);
    enum cql2_op op;

    for (;;) {
        op = take_sign(parser, "*")     ? CQL2_OP_MULTIPLY
             : take_sign(parser, "/")   ? CQL2_OP_DIVIDE
             : take_sign(parser, "%")   ? CQL2_OP_MODULO
             : take_word(parser, "div") ? CQL2_OP_DIV
                                        : 0;
        if (!op)
            return node;
        node = cql2_make_of(parser->maker, op, node, parse_signed(parser), 0);
    }
}

static uint16_t parse_sum(struct parser *parser)
{
    uint16_t node = parse_product(parser);
    enum cql2_op op;

    for (;;) {
        op = take_sign(parser, "+") ? CQL2_OP_ADD : take_sign(parser, "-") ? CQL2_OP_SUBTRACT : 0;
        if (!op)
            return node;
        node = cql2_make_of(parser->maker, op, node, parse_product(parser), 0);
    }
}

/* ---- predicates ---- */

static uint16_t parse_between(struct parser *parser, uint16_t subject)
{
    uint16_t least = parse_sum(parser);

    if (!take_word(parser, "and"))
        return fail_expected(parser, "AND, between the two ends,");
    return cql2_make_of(parser->maker, CQL2_OP_BETWEEN, subject, least, parse_sum(parser));
}

static uint16_t parse_in(struct parser *parser, uint16_t subject)
{
    uint16_t node = cql2_make(parser->maker, CQL2_OP_IN);
    uint16_t last = subject;

    cql2_argue(parser->maker, node, 0, subject);
    if (!want_sign(parser, "("))
        return 0;
    do {
        uint16_t value = parse_sum(parser);

        cql2_argue(parser->maker, node, last, value);
        last = value;
    } while (take_sign(parser, ","));
    return want_sign(parser, ")") ? cql2_check(parser->maker, node) : 0;
}

static uint16_t parse_predicate(struct parser *parser)
{
    static const struct {
        const char *sign;
        enum cql2_op op;
    } signs[] = {
        {"=", CQL2_OP_EQ},  {"<>", CQL2_OP_NE}, {"<", CQL2_OP_LT},
        {"<=", CQL2_OP_LE}, {">", CQL2_OP_GT},  {">=", CQL2_OP_GE},
    };
    uint16_t left = parse_sum(parser);
    bool negative;

    for (size_t i = 0; i < ARRAY_SIZE(signs); i++) {
        if (take_sign(parser, signs[i].sign))
            return cql2_make_of(parser->maker, signs[i].op, left, parse_sum(parser), 0);
    }
    if (take_word(parser, "is")) {
        negative = take_word(parser, "not");
        if (!take_word(parser, "null"))
            return fail_expected(parser, "NULL");
        return cql2_negate(parser->maker, cql2_make_of(parser->maker, CQL2_OP_IS_NULL, left, 0, 0),
                           negative);
    }
    negative = take_word(parser, "not");
    if (take_word(parser, "like"))
        left = cql2_make_of(parser->maker, CQL2_OP_LIKE, left, parse_sum(parser), 0);
    else if (take_word(parser, "between"))
        left = parse_between(parser, left);
    else if (take_word(parser, "in"))
        left = parse_in(parser, left);
    else if (negative)
        return fail_expected(parser, "LIKE, BETWEEN or IN");
    return cql2_negate(parser->maker, left, negative);
}

static uint16_t parse_not(struct parser *parser)
{
    bool negative = false;

    while (take_word(parser, "not"))
        negative = !negative;
    return cql2_negate(parser->maker, parse_predicate(parser), negative);
}

/* a op b op c as one node of three. */
static uint16_t parse_chain(struct parser *parser, const char *word, enum cql2_op op,
                            uint16_t (*operand)(struct parser *parser))
{
    uint16_t first = operand(parser);
    uint16_t last = first;
    uint16_t node;

    if (parser->maker->err || !is_word(parser, word))
        return first;
    node = cql2_make(parser->maker, op);
    cql2_argue(parser->maker, node, 0, first);
    while (take_word(parser, word)) {
        uint16_t more = operand(parser);

        cql2_argue(parser->maker, node, last, more);
        last = more;
    }
    return cql2_check(parser->maker, node);
}

static uint16_t parse_and(struct parser *parser)
{
    return parse_chain(parser, "and", CQL2_OP_AND, parse_not);
}

static uint16_t parse_or(struct parser *parser)
{
    return parse_chain(parser, "or", CQL2_OP_OR, parse_and);
}

enum torg_err cql2_parse_text(struct span text, const struct cql2_schema *schema,
                              struct cql2 *ret_tree, struct cql2_fault *fault)
{
    struct cql2_maker maker = {
        .tree = ret_tree, .schema = schema, .fault = fault, .begin = text.data};
    struct parser parser = {.maker = &maker, .left = text};
    uint16_t root = 0;

    *ret_tree = (struct cql2){0};
    if (text.size > CQL2_BYTES_MAX) {
        cql2_fail(&maker, "the filter is longer than %d bytes", CQL2_BYTES_MAX);
        maker.err = TORG_E_TOO_BIG;
    } else if (!utf8_valid(text)) {
        cql2_fail(&maker, "the filter is not UTF-8");
    } else {
        next(&parser);
        root = parse_or(&parser);
        if (!maker.err && parser.kind != TOKEN_END)
            fail_expected(&parser, "AND, OR or the end");
    }
    buffer_done(&parser.scratch);
    return cql2_made(&maker, root);
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/http_request.h"

#include <string.h>

/* Longer sizes have no use and could overflow. */
#define CHUNK_SIZE_DIGITS_MAX 8

static const struct {
    enum http_method method;
    const char *name;
} methods[] = {
    {HTTP_GET, "GET"}, {HTTP_HEAD, "HEAD"},   {HTTP_OPTIONS, "OPTIONS"}, {HTTP_POST, "POST"},
    {HTTP_PUT, "PUT"}, {HTTP_PATCH, "PATCH"}, {HTTP_DELETE, "DELETE"},
};

const char *http_request_method_name(enum http_method method)
{
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        if (methods[i].method == method)
            return methods[i].name;
    }
    return "";
}

static enum torg_err refuse(struct http_refusal *ret_refusal, int status, const char *detail)
{
    *ret_refusal = (struct http_refusal){.status = status, .detail = detail};
    return TORG_E_INVALID;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(uint8_t c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int hex_value(uint8_t c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* tchar of RFC 9110, section 5.6.2 */
static bool is_token_char(uint8_t c)
{
    return is_alnum(c) || (c != 0 && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (!is_token_char(text.data[i]))
            return false;
    }
    return text.size > 0;
}

/* What may stand in a field's value or in a quoted string: no control characters but the tab. */
static bool is_text_char(uint8_t c)
{
    return (c >= 0x20 || c == '\t') && c != 0x7f;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* What may stand in a path or query as it is: RFC 3986, section 3.3 and 3.4. */
static bool is_target_char(uint8_t c)
{
    return is_alnum(c) || (c != 0 && strchr("-._~!$&'()*+,;=:@/?%", c));
}

static struct span span_from(struct span text, size_t start, size_t end)
{
    return end > start ? span_of(text.data + start, end - start) : (struct span){0};
}

static struct span trim(struct span text)
{
    size_t start = 0;
    size_t end = text.size;

    while (start < end && is_blank(text.data[start]))
        start++;
    while (end > start && is_blank(text.data[end - 1]))
        end--;
    return span_from(text, start, end);
}

bool http_request_name_equal(struct span a, const char *b)
{
    if (a.size != strlen(b))
        return false;
    for (size_t i = 0; i < a.size; i++) {
        uint8_t x = a.data[i];
        uint8_t y = (uint8_t)b[i];

        if (x >= 'A' && x <= 'Z')
            x += 'a' - 'A';
        if (y >= 'A' && y <= 'Z')
            y += 'a' - 'A';
        if (x != y)
            return false;
    }
    return true;
}

/* ---- the head ---- */

static enum torg_err too_long(struct span input, struct http_refusal *ret_refusal)
{
    const uint8_t *line_end = memchr(input.data, '\r', HTTP_HEAD_BYTES_MAX);

    if (line_end)
        return refuse(ret_refusal, 431, "the head of the request is longer than 8192 bytes");
    return refuse(ret_refusal, 414, "the request's target is longer than 8192 bytes");
}

enum torg_err http_request_head_find(struct span input, size_t *at, size_t *ret_size,
                                     struct http_refusal *ret_refusal)
{
    size_t end = input.size < HTTP_HEAD_BYTES_MAX ? input.size : HTTP_HEAD_BYTES_MAX;

    for (; *at < end; (*at)++) {
        const uint8_t *c = input.data + *at;
        bool after_cr = *at > 0 && c[-1] == '\r';

        if (*c == '\n' && !after_cr)
            return refuse(ret_refusal, 400, "a line ends without a carriage return");
        if (*c != '\n' && after_cr)
            return refuse(ret_refusal, 400, "a carriage return stands inside a line");
        if (*c == '\0')
            return refuse(ret_refusal, 400, "a zero byte stands in the head");
        if (*c == '\n' && *at >= 3 && c[-2] == '\n') {
            *ret_size = *at + 1;
            return TORG_OK;
        }
    }
    if (end == HTTP_HEAD_BYTES_MAX)
        return too_long(input, ret_refusal);
    return TORG_E_TRUNCATED;
}

/* The next line of the head without its CRLF; the head is known to consist of such lines. */
static bool next_line(struct span *head, struct span *ret_line)
{
    const uint8_t *cr = head->size ? memchr(head->data, '\r', head->size) : NULL;
    size_t size;

    if (!cr)
        return false;
    size = (size_t)(cr - head->data);
    if (size + 2 > head->size || cr[1] != '\n')
        return false;
    *ret_line = span_of(head->data, size);
    *head = span_of(head->data + size + 2, head->size - size - 2);
    return true;
}

static enum torg_err parse_method(struct span text, struct http_request *request,
                                  struct http_refusal *ret_refusal)
{
    if (!is_token(text))
        return refuse(ret_refusal, 400, "the request line does not begin with a method");
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        if (span_equal(text, span_of_str(methods[i].name))) {
            request->method = methods[i].method;
            return TORG_OK;
        }
    }
    return refuse(ret_refusal, 501, "this method is not known here");
}

static enum torg_err parse_version(struct span text, struct http_request *request,
                                   struct http_refusal *ret_refusal)
{
    if (text.size != 8 || memcmp(text.data, "HTTP/", 5) != 0 || !is_digit(text.data[5]) ||
        text.data[6] != '.' || !is_digit(text.data[7]))
        return refuse(ret_refusal, 400, "the request line does not end in HTTP/1.1");
    if (text.data[5] != '1')
        return refuse(ret_refusal, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    request->minor = text.data[7] == '0' ? 0 : 1;
    return TORG_OK;
}

/* A host name or address, with or without a port: it goes into links, so nothing else passes. */
static bool is_host(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (!is_alnum(text.data[i]) && (!text.data[i] || !strchr("-._:[]", text.data[i])))
            return false;
    }
    return text.size > 0 && text.size <= 255;
}

/* "http://host/path": the host of the target counts, not the field (RFC 9112, 3.2.2). */
static bool split_absolute(struct span *target, struct span *ret_host)
{
    static const char *const schemes[] = {"http://", "https://"};

    for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
        size_t size = strlen(schemes[i]);
        size_t end = size;

        if (target->size < size ||
            !http_request_name_equal(span_of(target->data, size), schemes[i]))
            continue;
        while (end < target->size && target->data[end] != '/' && target->data[end] != '?')
            end++;
        *ret_host = span_from(*target, size, end);
        *target = span_from(*target, end, target->size);
        return true;
    }
    return false;
}

static enum torg_err parse_target(struct span text, struct http_request *request,
                                  struct http_refusal *ret_refusal)
{
    static const uint8_t slash[] = "/";
    struct span rest = text;
    const uint8_t *mark;

    if (text.size == 0)
        return refuse(ret_refusal, 400, "the request line has no target");
    request->target = text;
    if (request->method == HTTP_OPTIONS && span_equal(text, span_of_str("*"))) {
        request->path = text;
        return TORG_OK;
    }
    if (split_absolute(&rest, &request->host) && !is_host(request->host))
        return refuse(ret_refusal, 400, "the target's host is not a host name");
    for (size_t i = 0; i < rest.size; i++) {
        if (!is_target_char(rest.data[i]))
            return refuse(ret_refusal, 400,
                          "the target holds a character that must be percent-encoded "
                          "(curl: use -G with --data-urlencode)");
    }
    mark = rest.size ? memchr(rest.data, '?', rest.size) : NULL;
    request->path = mark ? span_of(rest.data, (size_t)(mark - rest.data)) : rest;
    if (mark)
        request->query = span_from(rest, request->path.size + 1, rest.size);
    if (request->path.size == 0 && request->host.size > 0)
        request->path = span_of(slash, 1);
    if (request->path.size == 0 || request->path.data[0] != '/')
        return refuse(ret_refusal, 400, "the target does not begin with a slash");
    return TORG_OK;
}

/* method SP target SP version, with exactly one space each */
static enum torg_err parse_request_line(struct span line, struct http_request *request,
                                        struct http_refusal *ret_refusal)
{
    const uint8_t *first = line.size ? memchr(line.data, ' ', line.size) : NULL;
    struct span rest;
    const uint8_t *second;
    enum torg_err err;

    if (!first)
        return refuse(ret_refusal, 400, "the first line is no request line");
    err = parse_method(span_of(line.data, (size_t)(first - line.data)), request, ret_refusal);
    if (err)
        return err;
    rest = span_from(line, (size_t)(first - line.data) + 1, line.size);
    second = rest.size ? memchr(rest.data, ' ', rest.size) : NULL;
    if (!second)
        return refuse(ret_refusal, 400, "the request line names no version of HTTP");
    err = parse_version(span_from(rest, (size_t)(second - rest.data) + 1, rest.size), request,
                        ret_refusal);
    if (err)
        return err;
    return parse_target(span_of(rest.data, (size_t)(second - rest.data)), request, ret_refusal);
}

static enum torg_err parse_field(struct span line, struct http_request *request,
                                 struct http_refusal *ret_refusal)
{
    const uint8_t *colon = memchr(line.data, ':', line.size);
    struct http_field field;

    if (is_blank(line.data[0]))
        return refuse(ret_refusal, 400, "a folded line stands in the head");
    if (!colon)
        return refuse(ret_refusal, 400, "a line of the head has no colon");
    field.name = span_of(line.data, (size_t)(colon - line.data));
    if (!is_token(field.name))
        return refuse(ret_refusal, 400, "the name of a field holds a character that it must not");
    field.value = trim(span_from(line, field.name.size + 1, line.size));
    for (size_t i = 0; i < field.value.size; i++) {
        if (!is_text_char(field.value.data[i]))
            return refuse(ret_refusal, 400, "a control character stands in a field");
    }
    if (request->field_count == HTTP_FIELDS_MAX)
        return refuse(ret_refusal, 431, "the head has more than 64 fields");
    request->fields[request->field_count++] = field;
    return TORG_OK;
}

const struct span *http_request_field(const struct http_request *request, const char *name)
{
    for (size_t i = 0; i < request->field_count; i++) {
        if (http_request_name_equal(request->fields[i].name, name))
            return &request->fields[i].value;
    }
    return NULL;
}

/* Fields whose second appearance two readers could take differently. */
static enum torg_err check_single_fields(const struct http_request *request,
                                         struct http_refusal *ret_refusal)
{
    static const char *const names[] = {
        "host",          "content-length", "transfer-encoding", "content-type",
        "authorization", "expect",         "content-encoding",  "range",
    };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        size_t count = 0;

        for (size_t j = 0; j < request->field_count; j++)
            count += http_request_name_equal(request->fields[j].name, names[i]);
        if (count > 1)
            return refuse(ret_refusal, 400,
                          "a field that may stand once stands twice (Host, Content-Length, "
                          "Transfer-Encoding, Content-Type, Content-Encoding, Authorization, "
                          "Expect or Range)");
    }
    return TORG_OK;
}

static enum torg_err parse_host(struct http_request *request, struct http_refusal *ret_refusal)
{
    const struct span *host = http_request_field(request, "host");

    if (!host) {
        if (request->minor == 0)
            return TORG_OK;
        return refuse(ret_refusal, 400, "the request has no Host field");
    }
    if (!is_host(*host))
        return refuse(ret_refusal, 400, "the Host field is not a host name with or without a port");
    if (request->host.size == 0)
        request->host = *host;
    return TORG_OK;
}

static enum torg_err parse_length(struct span text, struct http_request *request,
                                  struct http_refusal *ret_refusal)
{
    uint64_t length = 0;

    for (size_t i = 0; i < text.size; i++) {
        if (!is_digit(text.data[i]))
            return refuse(ret_refusal, 400, "Content-Length is not a plain number");
        length = length * 10 + (uint64_t)(text.data[i] - '0');
        if (length > HTTP_CONTENT_LENGTH_MAX)
            return refuse(ret_refusal, 413, "Content-Length is beyond every limit");
    }
    if (text.size == 0)
        return refuse(ret_refusal, 400, "Content-Length is empty");
    request->content_length = length;
    request->framing = length ? HTTP_BODY_LENGTH : HTTP_BODY_NONE;
    return TORG_OK;
}

static enum torg_err parse_framing(struct http_request *request, struct http_refusal *ret_refusal)
{
    const struct span *length = http_request_field(request, "content-length");
    const struct span *coding = http_request_field(request, "transfer-encoding");

    if (length && coding)
        return refuse(ret_refusal, 400, "Content-Length and Transfer-Encoding exclude each other");
    if (length)
        return parse_length(*length, request, ret_refusal);
    if (!coding)
        return TORG_OK;
    if (request->minor == 0)
        return refuse(ret_refusal, 400, "HTTP/1.0 has no Transfer-Encoding");
    if (!http_request_name_equal(*coding, "chunked"))
        return refuse(ret_refusal, 501, "the only transfer coding known here is chunked");
    request->framing = HTTP_BODY_CHUNKED;
    return TORG_OK;
}

static void parse_connection(struct http_request *request)
{
    request->keep_alive = request->minor >= 1;
    for (size_t i = 0; i < request->field_count; i++) {
        struct span list = request->fields[i].value;
        struct span element;

        if (!http_request_name_equal(request->fields[i].name, "connection"))
            continue;
        while (http_request_list_next(&list, &element)) {
            if (http_request_name_equal(element, "close"))
                request->keep_alive = false;
        }
    }
}

static enum torg_err parse_expect(struct http_request *request, struct http_refusal *ret_refusal)
{
    const struct span *expect = http_request_field(request, "expect");

    if (!expect || request->minor == 0)
        return TORG_OK; /* RFC 9110, 10.1.1: HTTP/1.0 knows no 100 */
    if (!http_request_name_equal(*expect, "100-continue"))
        return refuse(ret_refusal, 417, "the only expectation known here is 100-continue");
    request->expect_continue = request->framing != HTTP_BODY_NONE;
    return TORG_OK;
}

enum torg_err http_request_parse(struct span head, struct http_request *ret_request,
                                 struct http_refusal *ret_refusal)
{
    struct http_request request;
    struct span line = {0};
    enum torg_err err;

    memset(&request, 0, offsetof(struct http_request, fields)); /* Of 64 fields few are there. */
    if (head.size > HTTP_HEAD_BYTES_MAX)
        return refuse(ret_refusal, 431, "the head of the request is longer than 8192 bytes");
    if (next_line(&head, &line) && line.size == 0)
        next_line(&head, &line); /* One empty line before it is passed over (RFC 9112, 2.2). */
    err = parse_request_line(line, &request, ret_refusal);
    if (err)
        return err;
    while (next_line(&head, &line) && line.size > 0) {
        err = parse_field(line, &request, ret_refusal);
        if (err)
            return err;
    }
    if (line.size > 0 || head.size > 0) /* Only if it did not come from http_request_head_find. */
        return refuse(ret_refusal, 400, "the head does not end in one empty line");
    err = check_single_fields(&request, ret_refusal);
    if (!err)
        err = parse_host(&request, ret_refusal);
    if (!err)
        err = parse_framing(&request, ret_refusal);
    if (!err)
        err = parse_expect(&request, ret_refusal);
    if (err)
        return err;
    parse_connection(&request);
    memcpy(ret_request, &request,
           offsetof(struct http_request, fields) + request.field_count * sizeof(*request.fields));
    return TORG_OK;
}

/* ---- lists ---- */

bool http_request_list_next(struct span *list, struct span *ret_element)
{
    while (list->size > 0) {
        bool quoted = false;
        size_t end = 0;

        while (end < list->size && (quoted || list->data[end] != ',')) {
            if (quoted && list->data[end] == '\\' && end + 1 < list->size)
                end++;
            else if (list->data[end] == '"')
                quoted = !quoted;
            end++;
        }
        *ret_element = trim(span_from(*list, 0, end));
        *list = end < list->size ? span_from(*list, end + 1, list->size) : (struct span){0};
        if (ret_element->size > 0)
            return true; /* Empty elements are passed over (RFC 9110, 5.6.1). */
    }
    return false;
}

/* "0", "1", "0.25": RFC 9110, 12.4.2 */
static unsigned parse_quality(struct span text)
{
    unsigned value;
    unsigned weight = 100;

    if (text.size == 0 || text.size > 5 || text.data[0] < '0' || text.data[0] > '1')
        return 0;
    value = (unsigned)(text.data[0] - '0') * 1000;
    if (text.size > 1 && text.data[1] != '.')
        return 0;
    for (size_t i = 2; i < text.size; i++, weight /= 10) {
        if (!is_digit(text.data[i]))
            return 0;
        value += (unsigned)(text.data[i] - '0') * weight;
    }
    return value <= 1000 ? value : 0;
}

unsigned http_request_list_quality(struct span element, struct span *ret_token)
{
    unsigned quality = 1000;
    size_t end = 0;

    while (end < element.size && element.data[end] != ';')
        end++;
    *ret_token = trim(span_from(element, 0, end));
    while (end < element.size) {
        size_t start = end + 1;
        struct span parameter;

        end = start;
        while (end < element.size && element.data[end] != ';')
            end++;
        parameter = trim(span_from(element, start, end));
        if (parameter.size >= 2 && (parameter.data[0] | 0x20) == 'q' && parameter.data[1] == '=')
            quality = parse_quality(span_from(parameter, 2, parameter.size));
    }
    return quality;
}

/* ---- the chunked coding ---- */

enum chunk_state {
    CHUNK_SIZE,
    CHUNK_EXTENSION, /* white space: only the ';' may follow */
    CHUNK_EXTENSION_BEGIN,
    CHUNK_EXTENSION_NAME,
    CHUNK_EXTENSION_NAME_END, /* white space: '=' or ';' may follow */
    CHUNK_EXTENSION_VALUE,
    CHUNK_EXTENSION_TOKEN,
    CHUNK_EXTENSION_QUOTED,
    CHUNK_EXTENSION_ESCAPED,
    CHUNK_EXTENSION_END, /* the line may end, or another one begin */
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_TRAILER, /* a line begins after the last chunk */
    CHUNK_TRAILER_NAME,
    CHUNK_TRAILER_VALUE,
    CHUNK_TRAILER_LF,
    CHUNK_END_LF,
    CHUNK_REFUSED,
};

static enum torg_err chunk_refuse(struct http_chunked *chunked, enum http_chunked_fault fault)
{
    chunked->fault = fault;
    return TORG_E_INVALID;
}

static enum torg_err chunk_expect(struct http_chunked *chunked, bool expected,
                                  enum chunk_state next)
{
    if (!expected)
        return chunk_refuse(chunked, HTTP_CHUNKED_FRAMING);
    chunked->state = next;
    return TORG_OK;
}

static enum chunk_state after_extension(uint8_t c)
{
    if (c == '\r')
        return CHUNK_SIZE_LF;
    if (c == ';')
        return CHUNK_EXTENSION_BEGIN;
    return is_blank(c) ? CHUNK_EXTENSION : CHUNK_REFUSED;
}

/* *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] ): RFC 9112, 7.1.1 */
static enum chunk_state extension_next(enum chunk_state state, uint8_t c)
{
    switch (state) {
    case CHUNK_EXTENSION:
        if (c == ';')
            return CHUNK_EXTENSION_BEGIN;
        return is_blank(c) ? state : CHUNK_REFUSED;
    case CHUNK_EXTENSION_BEGIN:
        if (is_token_char(c))
            return CHUNK_EXTENSION_NAME;
        return is_blank(c) ? state : CHUNK_REFUSED;
    case CHUNK_EXTENSION_NAME:
        if (c == '=')
            return CHUNK_EXTENSION_VALUE;
        if (is_blank(c))
            return CHUNK_EXTENSION_NAME_END;
        return is_token_char(c) ? state : after_extension(c);
    case CHUNK_EXTENSION_NAME_END:
        if (c == '=')
            return CHUNK_EXTENSION_VALUE;
        if (c == ';')
            return CHUNK_EXTENSION_BEGIN;
        return is_blank(c) ? state : CHUNK_REFUSED;
    case CHUNK_EXTENSION_VALUE:
        if (c == '"')
            return CHUNK_EXTENSION_QUOTED;
        if (is_token_char(c))
            return CHUNK_EXTENSION_TOKEN;
        return is_blank(c) ? state : CHUNK_REFUSED;
    case CHUNK_EXTENSION_TOKEN:
        return is_token_char(c) ? state : after_extension(c);
    case CHUNK_EXTENSION_QUOTED:
        if (c == '"')
            return CHUNK_EXTENSION_END;
        if (c == '\\')
            return CHUNK_EXTENSION_ESCAPED;
        return is_text_char(c) ? state : CHUNK_REFUSED;
    case CHUNK_EXTENSION_ESCAPED:
        return is_text_char(c) ? CHUNK_EXTENSION_QUOTED : CHUNK_REFUSED;
    default:
        return after_extension(c);
    }
}

static enum torg_err extension_step(struct http_chunked *chunked, enum chunk_state state, uint8_t c)
{
    enum chunk_state next = extension_next(state, c);

    if (next != CHUNK_SIZE_LF && ++chunked->extension_bytes > HTTP_EXTENSION_BYTES_MAX)
        return chunk_refuse(chunked, HTTP_CHUNKED_EXTENSIONS);
    return chunk_expect(chunked, next != CHUNK_REFUSED, next);
}

static enum torg_err size_step(struct http_chunked *chunked, uint8_t c)
{
    int digit = hex_value(c);

    if (digit < 0 && chunked->digits > 0)
        return extension_step(chunked, CHUNK_EXTENSION_END, c);
    if (digit < 0 || chunked->digits == CHUNK_SIZE_DIGITS_MAX)
        return chunk_refuse(chunked, HTTP_CHUNKED_FRAMING); /* A sign, 0x, or nothing. */
    chunked->left = chunked->left * 16 + (unsigned)digit;
    chunked->digits++;
    return TORG_OK;
}

/*
 * Nothing here heeds a trailer. But a proxy in front that merges them into the head
 * would see another end of the message, or another host.
 */
static bool frames(struct span name)
{
    static const char *const names[] = {
        "connection", "content-length", "host", "te", "trailer", "transfer-encoding", "upgrade",
    };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (http_request_name_equal(name, names[i]))
            return true;
    }
    return false;
}

static enum torg_err trailer_name_step(struct http_chunked *chunked, uint8_t c)
{
    if (c != ':') {
        if (chunked->name_size < sizeof(chunked->name))
            chunked->name[chunked->name_size] = c;
        chunked->name_size++; /* The limit of bytes was kept before. */
        return chunk_expect(chunked, is_token_char(c), CHUNK_TRAILER_NAME);
    }
    if (chunked->name_size <= sizeof(chunked->name) &&
        frames(span_of(chunked->name, chunked->name_size)))
        return chunk_refuse(chunked, HTTP_CHUNKED_TRAILER_NAMES);
    chunked->state = CHUNK_TRAILER_VALUE;
    return TORG_OK;
}

static enum torg_err trailer_step(struct http_chunked *chunked, uint8_t c)
{
    if (++chunked->trailer_bytes > HTTP_TRAILER_BYTES_MAX)
        return chunk_refuse(chunked, HTTP_CHUNKED_TRAILERS);
    switch (chunked->state) {
    case CHUNK_TRAILER:
        if (c == '\r' || !is_token_char(c)) /* A folded line, or a colon without a name. */
            return chunk_expect(chunked, c == '\r', CHUNK_END_LF);
        if (++chunked->trailer_count > HTTP_TRAILER_FIELDS_MAX)
            return chunk_refuse(chunked, HTTP_CHUNKED_TRAILERS);
        chunked->name_size = 0;
        return trailer_name_step(chunked, c);
    case CHUNK_TRAILER_NAME:
        return trailer_name_step(chunked, c);
    case CHUNK_TRAILER_VALUE:
        return chunk_expect(chunked, c == '\r' || is_text_char(c),
                            c == '\r' ? CHUNK_TRAILER_LF : CHUNK_TRAILER_VALUE);
    case CHUNK_TRAILER_LF:
        return chunk_expect(chunked, c == '\n', CHUNK_TRAILER);
    default:
        chunked->done = c == '\n';
        return chunk_expect(chunked, c == '\n', CHUNK_END_LF);
    }
}

/* One byte of framing. */
static enum torg_err chunk_step(struct http_chunked *chunked, uint8_t c)
{
    switch (chunked->state) {
    case CHUNK_SIZE:
        return size_step(chunked, c);
    case CHUNK_SIZE_LF:
        chunked->digits = 0;
        return chunk_expect(chunked, c == '\n', chunked->left ? CHUNK_DATA : CHUNK_TRAILER);
    case CHUNK_DATA_CR:
        return chunk_expect(chunked, c == '\r', CHUNK_DATA_LF);
    case CHUNK_DATA_LF:
        return chunk_expect(chunked, c == '\n', CHUNK_SIZE);
    default:
        if (chunked->state < CHUNK_SIZE_LF)
            return extension_step(chunked, (enum chunk_state)chunked->state, c);
        return trailer_step(chunked, c);
    }
}

enum torg_err http_request_chunked_read(struct http_chunked *chunked, struct span input,
                                        size_t size_max, struct buffer *body, size_t *ret_used)
{
    size_t used = 0;
    enum torg_err err = TORG_OK;

    while (used < input.size && !chunked->done && !err) {
        size_t size = input.size - used;

        if (chunked->state != CHUNK_DATA) {
            err = chunk_step(chunked, input.data[used++]);
            if (!err && chunked->left > size_max - body->size)
                err = TORG_E_TOO_BIG;
            continue;
        }
        if (size > chunked->left)
            size = (size_t)chunked->left;
        buffer_put(body, input.data + used, size);
        err = body->err;
        used += size;
        chunked->left -= size;
        if (chunked->left == 0)
            chunked->state = CHUNK_DATA_CR;
    }
    *ret_used = used;
    return err;
}

/* ---- percent-encoding ---- */

/*
 * Decode from text up to one of two bytes; appends to *ret_end, which has room. Every
 * byte of a request's target passes here.
 */
static enum torg_err decode_until(struct span *text, char stop, char other_stop, bool plus_is_space,
                                  char **ret_end, struct span *ret_decoded)
{
    char *start = *ret_end, *out = start;
    size_t i = 0;

    for (; i < text->size && text->data[i] != stop && text->data[i] != other_stop; i++) {
        uint8_t c = text->data[i];

        if (c == '%') {
            int high = i + 2 < text->size ? hex_value(text->data[i + 1]) : -1;
            int low = i + 2 < text->size ? hex_value(text->data[i + 2]) : -1;

            if (high < 0 || low < 0)
                return TORG_E_INVALID;
            c = (uint8_t)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c < 0x20 || c == 0x7f)
            return TORG_E_INVALID;
        *out++ = (char)c;
    }
    *ret_end = out;
    *ret_decoded = span_of(start, (size_t)(out - start));
    *text = span_from(*text, i, text->size);
    return utf8_valid(*ret_decoded) ? TORG_OK : TORG_E_INVALID;
}

enum torg_err http_request_query_parse(struct span query, struct http_query *ret_query)
{
    char *out = ret_query->text;

    ret_query->count = 0;
    if (query.size > sizeof(ret_query->text))
        return TORG_E_TOO_BIG;
    while (query.size > 0) {
        struct http_pair pair = {0};
        enum torg_err err = decode_until(&query, '=', '&', true, &out, &pair.name);

        if (err)
            return err;
        if (query.size > 0 && query.data[0] == '=') {
            query = span_from(query, 1, query.size);
            err = decode_until(&query, '&', '&', true, &out, &pair.value);
            if (err)
                return err;
        }
        if (query.size > 0)
            query = span_from(query, 1, query.size); /* the '&' */
        if (pair.name.size == 0 && pair.value.size == 0)
            continue; /* "a=1&&b=2", or a lone '?' */
        if (ret_query->count == HTTP_QUERY_PAIRS_MAX)
            return TORG_E_TOO_BIG;
        ret_query->pairs[ret_query->count++] = pair;
    }
    return TORG_OK;
}

enum torg_err http_request_path_parse(struct span path, struct http_path *ret_path)
{
    char *out = ret_path->text;

    ret_path->count = 0;
    if (path.size > sizeof(ret_path->text))
        return TORG_E_TOO_BIG;
    if (path.size == 0 || path.data[0] != '/')
        return TORG_E_INVALID;
    while (path.size > 0) {
        struct span segment;
        enum torg_err err;

        path = span_from(path, 1, path.size); /* the '/' */
        err = decode_until(&path, '/', '/', false, &out, &segment);
        if (err)
            return err;
        if (ret_path->count == HTTP_PATH_SEGMENTS_MAX)
            return TORG_E_TOO_BIG;
        ret_path->segments[ret_path->count++] = segment;
    }
    return TORG_OK;
}

void http_request_put_escaped(struct buffer *out, struct span text)
{
    static const char digits[] = "0123456789ABCDEF";
    uint8_t *at;

    if (text.size == 0 || buffer_reserve(out, 3 * text.size))
        return;
    at = out->data + out->size;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];

        if (is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~') {
            *at++ = c;
        } else {
            *at++ = '%';
            *at++ = (uint8_t)digits[c >> 4];
            *at++ = (uint8_t)digits[c & 15];
        }
    }
    out->size = (size_t)(at - out->data);
}

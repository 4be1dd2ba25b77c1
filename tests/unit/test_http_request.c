/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include <stdio.h>

#include "protocol/http_request.h"

/*
 * A proxy in front of torgd and torgd itself must agree on where a request
 * ends. Where they do not, one visitor's bytes become the next one's request.
 */

/* Find and parse as the server does, byte by byte; the status, or 0 when it is accepted. */
static int parse_bytes(struct span input, struct http_request *request)
{
    struct http_refusal refusal = {0};
    size_t at = 0;
    size_t size = 0;
    enum torg_err err = TORG_E_TRUNCATED;

    for (size_t given = 1; given <= input.size && err == TORG_E_TRUNCATED; given++)
        err = http_request_head_find(span_of(input.data, given), &at, &size, &refusal);
    if (err == TORG_E_TRUNCATED)
        return -1;
    if (!err)
        err = http_request_parse(span_of(input.data, size), request, &refusal);
    if (!err)
        return 0;
    assert_int_equal(err, TORG_E_INVALID);
    assert_non_null(refusal.detail);
    return refusal.status;
}

static int parse(const char *text, struct http_request *request)
{
    return parse_bytes(span_of_str(text), request);
}

static void assert_span(struct span got, const char *want)
{
    if (!span_equal(got, span_of_str(want)))
        fail_msg("\"%.*s\", expected \"%s\"", (int)got.size, (const char *)got.data, want);
}

static void test_a_plain_request(void **state)
{
    struct http_request r;

    (void)state;
    assert_int_equal(parse("GET /torg/v1/search?q=caf%C3%A9 HTTP/1.1\r\nHost: umea.example:8480\r\n"
                           "Accept:  application/geo+json \r\nX-Empty:\r\n\r\n",
                           &r),
                     0);
    assert_int_equal(r.method, HTTP_GET);
    assert_span(r.path, "/torg/v1/search");
    assert_span(r.query, "q=caf%C3%A9");
    assert_span(r.host, "umea.example:8480");
    assert_int_equal(r.minor, 1);
    assert_true(r.keep_alive);
    assert_int_equal(r.framing, HTTP_BODY_NONE);
    assert_span(*http_request_field(&r, "accept"), "application/geo+json");
    assert_span(*http_request_field(&r, "X-EMPTY"), "");
    assert_null(http_request_field(&r, "x-absent"));
}

static void test_methods_and_versions(void **state)
{
    static const struct {
        const char *head;
        int status;
    } cases[] = {
        {"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 0},
        {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 0},
        {"PATCH / HTTP/1.1\r\nHost: a\r\n\r\n", 0},
        {"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 0},
        {"GET / HTTP/1.0\r\n\r\n", 0},
        {"GET / HTTP/1.3\r\nHost: a\r\n\r\n", 0},
        {"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"get / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
        {"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
        {"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 501},
        {"GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
        {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400},
        {"GET / http/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET / HTTP/11\r\nHost: a\r\n\r\n", 400},
        {"GET /\r\n\r\n", 400},
        {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"\x16\x03\x01\x02\n\r\n\r\n", 400}, /* TLS on the plain port */
    };
    struct http_request r;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int status = parse(cases[i].head, &r);

        if (status != cases[i].status)
            fail_msg("%d, expected %d: %s", status, cases[i].status, cases[i].head);
    }
}

static void test_targets(void **state)
{
    static const char *const refused[] = {
        "", "torg", "/a b", "/\xc3\xa5", "/a#b", "/a\\b", "/<b>", "/\"", "/{a}", "/a|b", "/^", "/`",
    };
    struct http_request r;
    char text[128];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        (void)snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", refused[i]);
        if (parse(text, &r) != 400)
            fail_msg("accepted: %s", refused[i]);
    }
    assert_int_equal(parse("GET http://b.example:80/x?y HTTP/1.1\r\nHost: a\r\n\r\n", &r), 0);
    assert_span(r.host, "b.example:80"); /* The target's host, not the field's. */
    assert_span(r.path, "/x");
    assert_span(r.query, "y");
    assert_int_equal(parse("GET http://b HTTP/1.1\r\nHost: a\r\n\r\n", &r), 0);
    assert_span(r.path, "/");
    assert_int_equal(parse("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", &r), 400);
    assert_int_equal(parse("GET http://u:p@b/ HTTP/1.1\r\nHost: a\r\n\r\n", &r), 400);
    assert_int_equal(parse("GET ftp://b/ HTTP/1.1\r\nHost: a\r\n\r\n", &r), 400);
    assert_int_equal(parse("GET http://b/ HTTP/1.1\r\n\r\n", &r), 400); /* still no Host */
}

static void test_hosts(void **state)
{
    struct http_request r;

    (void)state;
    assert_int_equal(parse("GET / HTTP/1.1\r\n\r\n", &r), 400);
    assert_int_equal(parse("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", &r), 400);
    assert_int_equal(parse("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", &r), 400);
    assert_int_equal(parse("GET / HTTP/1.1\r\nHost:\r\n\r\n", &r), 400);
    assert_int_equal(parse("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", &r), 400);
    assert_int_equal(parse("GET / HTTP/1.1\r\nHost: a\"><script>\r\n\r\n", &r), 400);
    assert_int_equal(parse("GET / HTTP/1.1\r\nHost: [::1]:8480\r\n\r\n", &r), 0);
    assert_span(r.host, "[::1]:8480");
    assert_int_equal(parse("GET / HTTP/1.0\r\n\r\n", &r), 0);
    assert_int_equal(r.host.size, 0);
    assert_false(r.keep_alive);
}

/* Each of these is read in two ways by real servers. */
static void test_smuggling(void **state)
{
    static const struct {
        const char *fields;
        int status;
    } cases[] = {
        {"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", 400},
        {"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", 400},
        {"Content-Length: 4\r\nContent-Length: 4\r\n", 400},
        {"Content-Length: 4\r\nContent-Length: 5\r\n", 400},
        {"Content-Length: 4, 4\r\n", 400},
        {"Content-Length: 0x4\r\n", 400},
        {"Content-Length: +4\r\n", 400},
        {"Content-Length: -4\r\n", 400},
        {"Content-Length: 4 4\r\n", 400},
        {"Content-Length: 4.0\r\n", 400},
        {"Content-Length:\r\n", 400},
        {"Content-Length: 18446744073709551620\r\n", 413},
        {"Content-Length : 4\r\n", 400},
        {"Content-Length\t: 4\r\n", 400},
        {" Content-Length: 4\r\n", 400},
        {"X: y\r\n folded: z\r\n", 400},
        {"X: y\r\n\tfolded\r\n", 400},
        {"X: y\n", 400},
        {"X: y\rZ: w\r\n", 400},
        {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400},
        {"Transfer-Encoding: chunked, identity\r\n", 501},
        {"Transfer-Encoding: gzip, chunked\r\n", 501},
        {"Transfer-Encoding: xchunked\r\n", 501},
        {"Transfer-Encoding: \"chunked\"\r\n", 501},
        {"Transfer-Encoding:\x0b"
         "chunked\r\n",
         400},
        {"Transfer-Encoding:\r\n chunked\r\n", 400},
        {"No colon here\r\n", 400},
        {": no name\r\n", 400},
        {"X@Y: z\r\n", 400},
        {"X: a\x01z\r\n", 400},
        {"X: a\x7fz\r\n", 400},
        {"Expect: something\r\n", 417},
        {"Authorization: a\r\nAuthorization: b\r\n", 400},
        {"Content-Length: 4\r\n", 0},
        {"Content-Length: 0004\r\n", 0},
        {"Transfer-Encoding: Chunked\r\n", 0},
        {"X: \xc3\xa5\r\n", 0},
    };
    char text[512];
    struct http_request r;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int status;

        (void)snprintf(text, sizeof(text), "POST /x HTTP/1.1\r\nHost: a\r\n%s\r\nGET /evil ",
                       cases[i].fields);
        status = parse(text, &r);
        if (status != cases[i].status)
            fail_msg("%d, expected %d: %s", status, cases[i].status, cases[i].fields);
    }
    assert_int_equal(parse("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", &r), 400);
    assert_int_equal(parse_bytes(span_of("GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", 28), &r), 400);
    assert_int_equal(parse("GET / HTTP/1.1\nHost: a\n\n", &r), 400);
}

static void test_framing_of_accepted_requests(void **state)
{
    struct http_request r;

    (void)state;
    assert_int_equal(parse("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0042\r\n"
                           "Expect: 100-Continue\r\nConnection: keep-alive, Close\r\n\r\n",
                           &r),
                     0);
    assert_int_equal(r.framing, HTTP_BODY_LENGTH);
    assert_int_equal(r.content_length, 42);
    assert_true(r.expect_continue);
    assert_false(r.keep_alive);
    assert_int_equal(parse("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", &r),
                     0);
    assert_int_equal(r.framing, HTTP_BODY_CHUNKED);
    assert_int_equal(parse("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n"
                           "Expect: 100-continue\r\n\r\n",
                           &r),
                     0);
    assert_int_equal(r.framing, HTTP_BODY_NONE);
    assert_false(r.expect_continue);
}

static void test_limits_of_the_head(void **state)
{
    struct buffer text = {0};
    struct http_request r;

    (void)state;
    for (size_t fields = HTTP_FIELDS_MAX; fields <= HTTP_FIELDS_MAX + 1; fields++) {
        buffer_clear(&text);
        buffer_put_str(&text, "GET / HTTP/1.1\r\nHost: a\r\n");
        for (size_t i = 1; i < fields; i++)
            buffer_printf(&text, "X%zu: y\r\n", i);
        buffer_put_str(&text, "\r\n");
        assert_int_equal(parse_bytes(buffer_span(&text), &r), fields <= HTTP_FIELDS_MAX ? 0 : 431);
    }
    for (size_t size = HTTP_HEAD_BYTES_MAX; size <= HTTP_HEAD_BYTES_MAX + 1; size++) {
        buffer_clear(&text);
        buffer_put_str(&text, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
        while (text.size < size - 4)
            buffer_put_u8(&text, 'y');
        buffer_put_str(&text, "\r\n\r\n");
        assert_int_equal(text.size, size);
        assert_int_equal(parse_bytes(buffer_span(&text), &r),
                         size <= HTTP_HEAD_BYTES_MAX ? 0 : 431);
    }
    buffer_clear(&text);
    buffer_put_str(&text, "GET /");
    while (text.size < HTTP_HEAD_BYTES_MAX + 10)
        buffer_put_u8(&text, 'y');
    assert_int_equal(parse_bytes(buffer_span(&text), &r), 414);
    buffer_done(&text);
}

/* A bad line is refused at once, not after the deadline of a head that never ends. */
static void test_refused_before_the_head_is_whole(void **state)
{
    struct http_refusal refusal;
    size_t at = 0;
    size_t size;

    (void)state;
    assert_err(http_request_head_find(span_of_str("GET / HTTP/1.1\nHost"), &at, &size, &refusal),
               TORG_E_INVALID);
    at = 0;
    assert_err(http_request_head_find(span_of_str("GET / HTTP/1.1\r\nHost: a\r\n\r"), &at, &size,
                                      &refusal),
               TORG_E_TRUNCATED);
}

static void test_lists(void **state)
{
    struct span list = span_of_str(" gzip;q=0.5 ,, br , \"a,\\\"b\",x;q=1;z");
    struct span element;
    struct span token;

    (void)state;
    assert_true(http_request_list_next(&list, &element));
    assert_int_equal(http_request_list_quality(element, &token), 500);
    assert_span(token, "gzip");
    assert_true(http_request_list_next(&list, &element));
    assert_span(element, "br");
    assert_int_equal(http_request_list_quality(element, &token), 1000);
    assert_true(http_request_list_next(&list, &element));
    assert_span(element, "\"a,\\\"b\"");
    assert_true(http_request_list_next(&list, &element));
    assert_int_equal(http_request_list_quality(element, &token), 1000);
    assert_false(http_request_list_next(&list, &element));
    assert_int_equal(http_request_list_quality(span_of_str("a;q=2"), &token), 0);
    assert_int_equal(http_request_list_quality(span_of_str("a; Q=0.001"), &token), 1);
    assert_int_equal(http_request_list_quality(span_of_str("a;q="), &token), 0);
    assert_int_equal(http_request_list_quality(span_of_str("a;q=1.5"), &token), 0);
}

/* In pieces of step bytes, the first of them of first bytes. */
static enum torg_err dechunk(struct span input, size_t first, size_t step,
                             struct http_chunked *ret_chunked, struct buffer *body,
                             size_t *ret_used)
{
    enum torg_err err = TORG_OK;
    size_t piece = first;

    *ret_chunked = (struct http_chunked){0};
    *ret_used = 0;
    buffer_clear(body);
    while (!err && !ret_chunked->done && *ret_used < input.size) {
        size_t given = input.size - *ret_used < piece ? input.size - *ret_used : piece;
        size_t used;

        err = http_request_chunked_read(ret_chunked, span_of(input.data + *ret_used, given), 64,
                                        body, &used);
        *ret_used += used;
        piece = step;
    }
    if (!err && !ret_chunked->done)
        err = TORG_E_TRUNCATED;
    return err;
}

struct chunked_case {
    const char *text;
    enum torg_err err;
    const char *body;
    size_t used;
    enum http_chunked_fault fault;
};

/* In two pieces cut anywhere, at once, and byte by byte: the same each time. */
static void check_chunked(const struct chunked_case *cases, size_t count)
{
    struct buffer body = {0};

    for (size_t i = 0; i < count; i++) {
        const struct chunked_case *c = &cases[i];
        struct span input = span_of_str(c->text);

        for (size_t first = 0; first <= input.size; first++) {
            struct http_chunked chunked;
            size_t used;
            enum torg_err err =
                dechunk(input, first ? first : 1, first ? input.size : 1, &chunked, &body, &used);

            if (err != c->err)
                fail_msg("%s, cut at %zu: %s", c->text, first, torg_err_text(err));
            if (chunked.fault != c->fault)
                fail_msg("%s, cut at %zu: fault %d", c->text, first, (int)chunked.fault);
            if (err)
                continue;
            assert_span(buffer_span(&body), c->body);
            assert_int_equal(used, c->used);
        }
    }
    buffer_done(&body);
}

static void test_chunked(void **state)
{
    static const struct chunked_case cases[] = {
        {"4\r\nabcd\r\n0\r\n\r\nGET", TORG_OK, "abcd", 14, 0},
        {"0\r\n\r\n", TORG_OK, "", 5, 0},
        {"A\r\n0123456789\r\n00000000\r\n\r\n", TORG_OK, "0123456789", 27, 0},
        {"1\r\na\r\n1\r\nb\r\n0\r\n\r\n", TORG_OK, "ab", 17, 0},
        {"4\r\nab", TORG_E_TRUNCATED, NULL, 0, 0},
        {"0x4\r\nabcd\r\n0\r\n\r\n", TORG_E_INVALID, NULL, 0, 0},
        {"+4\r\nabcd\r\n0\r\n\r\n", TORG_E_INVALID, NULL, 0, 0},
        {"-1\r\n", TORG_E_INVALID, NULL, 0, 0},
        {" 4\r\n", TORG_E_INVALID, NULL, 0, 0},
        {"4 \r\nabcd", TORG_E_INVALID, NULL, 0, 0},
        {"4\nabcd\n0\n\n", TORG_E_INVALID, NULL, 0, 0},
        {"\r\n", TORG_E_INVALID, NULL, 0, 0},
        {"4\r\nabcdX\r\n", TORG_E_INVALID, NULL, 0, 0},
        {"4\r\nabcd\rX", TORG_E_INVALID, NULL, 0, 0},
        {"0\r\n\rX", TORG_E_INVALID, NULL, 0, 0},
        {"000000001\r\n", TORG_E_INVALID, NULL, 0, 0},
        {"41\r\n", TORG_E_TOO_BIG, NULL, 0, 0},
        {"ffffffff\r\n", TORG_E_TOO_BIG, NULL, 0, 0},
        {"40\r\n0123456789012345678901234567890123456789012345678901234567890123\r\n1",
         TORG_E_TOO_BIG, NULL, 0, 0},
    };

    (void)state;
    check_chunked(cases, ARRAY_SIZE(cases));
}

/* They are passed over, and what only seems to be one moves no border. */
static void test_chunk_extensions(void **state)
{
    static const struct chunked_case cases[] = {
        {"4;x=y\r\nabcd\r\n0\r\n\r\nGET", TORG_OK, "abcd", 18, 0},
        {"4;x\r\nabcd\r\n0;last\r\n\r\n", TORG_OK, "abcd", 21, 0},
        {"1;a;b=c;d=\"e\"\r\na\r\n1;a\r\nb\r\n0\r\n\r\n", TORG_OK, "ab", 31, 0},
        {"1 \t; \ta \t= \tb ;c ; d\r\na\r\n0\r\n\r\n", TORG_OK, "a", 30, 0},
        {"1;a=\"\"\r\na\r\n0\r\n\r\n", TORG_OK, "a", 16, 0},
        {"1;a=\"; \\\" 5=\xc3\xa5\\\\\" ;b\r\na\r\n0\r\n\r\n", TORG_OK, "a", 30, 0},
        {"1;1f=2\r\na\r\n0\r\n\r\n", TORG_OK, "a", 16, 0},
        {"1;\r\na", TORG_E_INVALID, NULL, 0, 0},
        {"1;;a\r\na", TORG_E_INVALID, NULL, 0, 0},
        {"1;a;\r\na", TORG_E_INVALID, NULL, 0, 0},
        {"1;a=\r\na", TORG_E_INVALID, NULL, 0, 0},
        {"1;=b\r\na", TORG_E_INVALID, NULL, 0, 0},
        {"1;a=b=c\r\na", TORG_E_INVALID, NULL, 0, 0},
        {"1;a b\r\na", TORG_E_INVALID, NULL, 0, 0},
        {"1;a=b c\r\na", TORG_E_INVALID, NULL, 0, 0},
        {"1;a \r\na", TORG_E_INVALID, NULL, 0, 0},
        {"1;a=b \r\na", TORG_E_INVALID, NULL, 0, 0},
        {"1;a=\"b\" \r\na", TORG_E_INVALID, NULL, 0, 0},
        {"1;a=\"b\"c\r\na", TORG_E_INVALID, NULL, 0, 0},
        {"1;a=b\"c\"\r\na", TORG_E_INVALID, NULL, 0, 0},
        {"1;\"a\"\r\na", TORG_E_INVALID, NULL, 0, 0},
        {"1 2\r\na", TORG_E_INVALID, NULL, 0, 0},
        {"1,a\r\na", TORG_E_INVALID, NULL, 0, 0},
        {";a\r\n", TORG_E_INVALID, NULL, 0, 0},
        {"1;a\xc3\xa5\r\na", TORG_E_INVALID, NULL, 0, 0},
        /* Other readers end the line at a bare LF or CR, or not at all within quotes. */
        {"1;a\na", TORG_E_INVALID, NULL, 0, 0},
        {"1;a\ra", TORG_E_INVALID, NULL, 0, 0},
        {"1;a=b\na", TORG_E_INVALID, NULL, 0, 0},
        {"1;a=\"\n\"\r\na", TORG_E_INVALID, NULL, 0, 0},
        {"1;a=\"\r\n\"\r\na", TORG_E_INVALID, NULL, 0, 0},
        {"1;a=\"\\\r\n\"\r\na", TORG_E_INVALID, NULL, 0, 0},
        {"1;a=\"\\\n\"\r\na", TORG_E_INVALID, NULL, 0, 0},
        {"1;a=\"\x01\"\r\na", TORG_E_INVALID, NULL, 0, 0},
        {"1;a=\"\x7f\"\r\na", TORG_E_INVALID, NULL, 0, 0},
        {"1 \n;a\r\na", TORG_E_INVALID, NULL, 0, 0},
        {"1;a=\"b", TORG_E_TRUNCATED, NULL, 0, 0},
    };
    static const char zero[] = "1;a=\"\0\"\r\na";
    struct http_chunked chunked;
    struct buffer body = {0};
    size_t used;

    (void)state;
    check_chunked(cases, ARRAY_SIZE(cases));
    assert_int_equal(dechunk(span_of(zero, sizeof(zero) - 1), 1, 1, &chunked, &body, &used),
                     TORG_E_INVALID);
    buffer_done(&body);
}

/* They come after the body, and neither end it elsewhere nor change what was asked. */
static void test_trailers(void **state)
{
    static const struct chunked_case cases[] = {
        {"0\r\nDigest: x\r\n\r\nGET", TORG_OK, "", 16, 0},
        {"1;a\r\na\r\n0;b\r\nA:\r\nB: c : \xc3\xa5\t\r\n\r\n", TORG_OK, "a", 31, 0},
        {"0\r\nContent-Lengths: 5\r\nHostess: a\r\nTransfer-Encoding-Which-Is-Longer: a\r\n\r\n",
         TORG_OK, "", 75, 0},
        {"0\r\nA\r\n\r\n", TORG_E_INVALID, NULL, 0, 0},
        {"0\r\n: a\r\n\r\n", TORG_E_INVALID, NULL, 0, 0},
        {"0\r\nA : b\r\n\r\n", TORG_E_INVALID, NULL, 0, 0},
        {"0\r\n A: b\r\n\r\n", TORG_E_INVALID, NULL, 0, 0},
        {"0\r\nA: b\r\n c\r\n\r\n", TORG_E_INVALID, NULL, 0, 0},
        {"0\r\nA: b\r\n\tc\r\n\r\n", TORG_E_INVALID, NULL, 0, 0},
        {"0\r\nA\xc3\xa5: b\r\n\r\n", TORG_E_INVALID, NULL, 0, 0},
        {"0\r\nA: b\n\r\n", TORG_E_INVALID, NULL, 0, 0},
        {"0\r\nA: b\r\n\n", TORG_E_INVALID, NULL, 0, 0},
        {"0\r\n\n", TORG_E_INVALID, NULL, 0, 0},
        {"0\r\nA: b\rc\r\n\r\n", TORG_E_INVALID, NULL, 0, 0},
        {"0\r\nA: b\r\r\n\r\n", TORG_E_INVALID, NULL, 0, 0},
        {"0\r\nA: \x01\r\n\r\n", TORG_E_INVALID, NULL, 0, 0},
        {"0\r\nA: \x7f\r\n\r\n", TORG_E_INVALID, NULL, 0, 0},
        {"0\r\nA: b\r\n\rX", TORG_E_INVALID, NULL, 0, 0},
        {"0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", TORG_E_INVALID, NULL, 0, 0},
        {"0\r\nA: b\r\n", TORG_E_TRUNCATED, NULL, 0, 0},
        {"0\r\nContent-Length: 5\r\n\r\n", TORG_E_INVALID, NULL, 0, HTTP_CHUNKED_TRAILER_NAMES},
        {"0\r\nA: b\r\ntransfer-ENCODING: x\r\n\r\n", TORG_E_INVALID, NULL, 0,
         HTTP_CHUNKED_TRAILER_NAMES},
        {"0\r\nHost:\r\n\r\n", TORG_E_INVALID, NULL, 0, HTTP_CHUNKED_TRAILER_NAMES},
        {"0\r\nTrailer: x\r\n\r\n", TORG_E_INVALID, NULL, 0, HTTP_CHUNKED_TRAILER_NAMES},
        {"0\r\nconnection: close\r\n\r\n", TORG_E_INVALID, NULL, 0, HTTP_CHUNKED_TRAILER_NAMES},
        {"0\r\nTE: x\r\n\r\n", TORG_E_INVALID, NULL, 0, HTTP_CHUNKED_TRAILER_NAMES},
        {"0\r\nUpgrade: x\r\n\r\n", TORG_E_INVALID, NULL, 0, HTTP_CHUNKED_TRAILER_NAMES},
    };
    static const char zero[] = "0\r\nA: \0\r\n\r\n";
    struct http_chunked chunked;
    struct buffer body = {0};
    size_t used;

    (void)state;
    check_chunked(cases, ARRAY_SIZE(cases));
    assert_int_equal(dechunk(span_of(zero, sizeof(zero) - 1), 1, 1, &chunked, &body, &used),
                     TORG_E_INVALID);
    buffer_done(&body);
}

static void put_padding(struct buffer *out, size_t size)
{
    while (size-- > 0)
        buffer_put_u8(out, 'x');
}

static void check_limit(const struct buffer *input, enum torg_err want,
                        enum http_chunked_fault fault)
{
    static const size_t steps[] = {1, 1000, SIZE_MAX};
    struct buffer body = {0};

    assert_int_equal(input->err, TORG_OK);
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        struct http_chunked chunked;
        size_t used;

        assert_int_equal(dechunk(buffer_span(input), steps[i], steps[i], &chunked, &body, &used),
                         want);
        assert_int_equal(chunked.fault, fault);
    }
    buffer_done(&body);
}

/* What is thrown away costs a sender nothing else: the last byte allowed, and one more. */
static void test_chunked_limits(void **state)
{
    struct buffer input = {0};

    (void)state;
    for (size_t more = 0; more < 2; more++) {
        enum torg_err want = more ? TORG_E_INVALID : TORG_OK;

        buffer_clear(&input); /* The extensions of two chunks count together. */
        buffer_put_str(&input, "1;");
        put_padding(&input, HTTP_EXTENSION_BYTES_MAX - 3);
        buffer_put_str(&input, "\r\na\r\n0;");
        put_padding(&input, 1 + more);
        buffer_put_str(&input, "\r\n\r\n");
        check_limit(&input, want, more ? HTTP_CHUNKED_EXTENSIONS : HTTP_CHUNKED_FRAMING);

        buffer_clear(&input);
        buffer_put_str(&input, "0\r\nA:");
        put_padding(&input, HTTP_TRAILER_BYTES_MAX - 6 + more);
        buffer_put_str(&input, "\r\n\r\n");
        check_limit(&input, want, more ? HTTP_CHUNKED_TRAILERS : HTTP_CHUNKED_FRAMING);

        buffer_clear(&input);
        buffer_put_str(&input, "0\r\n");
        for (size_t i = 0; i < HTTP_TRAILER_FIELDS_MAX + more; i++)
            buffer_put_str(&input, "a: b\r\n");
        buffer_put_str(&input, "\r\n");
        check_limit(&input, want, more ? HTTP_CHUNKED_TRAILERS : HTTP_CHUNKED_FRAMING);
    }
    buffer_done(&input);
}

static void test_query_strings(void **state)
{
    static const char *const refused[] = {"a=%",   "a=%4",  "a=%zz",    "a=%00", "a=%0A",
                                          "a=%ff", "%C3=1", "a=%C0%80", "a=\x01"};
    struct http_query q;

    (void)state;
    assert_ok(http_request_query_parse(
        span_of_str("theme=food%2Fcafe&q=caf%C3%A9+au%2Blait&&flag&=&e="), &q));
    assert_int_equal(q.count, 4);
    assert_span(q.pairs[0].name, "theme");
    assert_span(q.pairs[0].value, "food/cafe");
    assert_span(q.pairs[1].value, "caf\xc3\xa9 au+lait");
    assert_span(q.pairs[2].name, "flag");
    assert_span(q.pairs[2].value, "");
    assert_span(q.pairs[3].name, "e");
    assert_ok(http_request_query_parse(span_of_str("a=b=c"), &q));
    assert_span(q.pairs[0].value, "b=c");
    assert_ok(http_request_query_parse((struct span){0}, &q));
    assert_int_equal(q.count, 0);
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        if (http_request_query_parse(span_of_str(refused[i]), &q) != TORG_E_INVALID)
            fail_msg("accepted: %s", refused[i]);
    }
}

static void test_too_many_pairs(void **state)
{
    struct buffer text = {0};
    struct http_query q;

    (void)state;
    for (int i = 0; i < HTTP_QUERY_PAIRS_MAX; i++)
        buffer_put_str(&text, "a=b&");
    assert_ok(http_request_query_parse(buffer_span(&text), &q));
    buffer_put_str(&text, "a=b");
    assert_err(http_request_query_parse(buffer_span(&text), &q), TORG_E_TOO_BIG);
    buffer_done(&text);
}

static void test_paths(void **state)
{
    struct http_path p;

    (void)state;
    assert_ok(http_request_path_parse(span_of_str("/torg/v1/collections/"), &p));
    assert_int_equal(p.count, 4);
    assert_span(p.segments[0], "torg");
    assert_span(p.segments[3], "");
    assert_ok(http_request_path_parse(span_of_str("/%C3%A5+b"), &p));
    assert_span(p.segments[0], "\xc3\xa5+b"); /* A plus is a space in queries only. */
    assert_ok(http_request_path_parse(span_of_str("/a%2Fb/c"), &p));
    assert_int_equal(p.count, 2);
    assert_span(p.segments[0], "a/b"); /* Such a slash parts nothing. */
    assert_err(http_request_path_parse(span_of_str("/a%00"), &p), TORG_E_INVALID);
    assert_err(http_request_path_parse(span_of_str("*"), &p), TORG_E_INVALID);
    assert_err(http_request_path_parse(span_of_str("/1/2/3/4/5/6/7/8/9/10/11/12/13"), &p),
               TORG_E_TOO_BIG);
}

static void test_escaping_comes_back(void **state)
{
    struct buffer out = {0};
    struct http_query q;

    (void)state;
    buffer_put_str(&out, "q=");
    http_request_put_escaped(&out, span_of_str("r\xc3\xb6ka & <gravad>+100%~"));
    assert_span(buffer_span(&out), "q=r%C3%B6ka%20%26%20%3Cgravad%3E%2B100%25~");
    assert_ok(http_request_query_parse(buffer_span(&out), &q));
    assert_span(q.pairs[0].value, "r\xc3\xb6ka & <gravad>+100%~");
    buffer_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_plain_request),
        cmocka_unit_test(test_methods_and_versions),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_smuggling),
        cmocka_unit_test(test_framing_of_accepted_requests),
        cmocka_unit_test(test_limits_of_the_head),
        cmocka_unit_test(test_refused_before_the_head_is_whole),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_chunked),
        cmocka_unit_test(test_chunk_extensions),
        cmocka_unit_test(test_trailers),
        cmocka_unit_test(test_chunked_limits),
        cmocka_unit_test(test_query_strings),
        cmocka_unit_test(test_too_many_pairs),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_escaping_comes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_HTTP_REQUEST_H
#define TORG_PROTOCOL_HTTP_REQUEST_H

#include "protocol/bytes.h"

/*
 * Requests of HTTP/1.1 (RFC 9110, RFC 9112), read strictly and without I/O.
 * What two parsers could understand in two ways is refused, because a proxy in
 * front may be the other one: bare CR or LF, folded lines, space before the
 * colon, Content-Length together with Transfer-Encoding or twice, sizes with a
 * sign or 0x, chunk extensions and trailers that are not well formed, trailers
 * that would frame or route, bytes in the target that have to be
 * percent-encoded.
 */
#define HTTP_HEAD_BYTES_MAX 8192
#define HTTP_FIELDS_MAX 64
#define HTTP_QUERY_PAIRS_MAX 128
#define HTTP_PATH_SEGMENTS_MAX 12
#define HTTP_CONTENT_LENGTH_MAX UINT64_C(999999999999)
#define HTTP_EXTENSION_BYTES_MAX 4096 /* of all chunks of a body together */
#define HTTP_TRAILER_BYTES_MAX 4096   /* with its empty line */
#define HTTP_TRAILER_FIELDS_MAX 16

enum http_method {
    HTTP_GET = 1 << 0,
    HTTP_HEAD = 1 << 1,
    HTTP_OPTIONS = 1 << 2,
    HTTP_POST = 1 << 3,
    HTTP_PUT = 1 << 4,
    HTTP_PATCH = 1 << 5,
    HTTP_DELETE = 1 << 6,
};
const char *http_request_method_name(enum http_method method);

enum http_framing { HTTP_BODY_NONE, HTTP_BODY_LENGTH, HTTP_BODY_CHUNKED };

struct http_field {
    struct span name;
    struct span value; /* without white space around it */
};

/* All spans borrow from the head. */
struct http_request {
    enum http_method method;
    struct span target; /* as it was sent */
    struct span path;   /* begins with '/', still percent-encoded; "*" only with OPTIONS */
    struct span query;  /* without the '?', still percent-encoded */
    struct span host; /* name[:port], checked to hold nothing else; empty in HTTP/1.0 without one */
    unsigned minor;   /* 0 or 1 */
    bool keep_alive;
    bool expect_continue;
    enum http_framing framing;
    uint64_t content_length; /* with HTTP_BODY_LENGTH */
    size_t field_count;
    struct http_field fields[HTTP_FIELDS_MAX];
};

/* Why a request is refused: an HTTP status and a sentence for its sender. Static storage. */
struct http_refusal {
    int status;
    const char *detail;
};

/*
 * Where the head ends. at remembers how far input was looked at, so that a head
 * that comes one byte at a time is looked at once; 0 at first, and 0 again when
 * the head was taken away. TORG_OK: *ret_size bytes are the head, with its empty
 * line. TORG_E_TRUNCATED: more bytes are needed. TORG_E_INVALID: refused.
 */
enum torg_err http_request_head_find(struct span input, size_t *at, size_t *ret_size,
                                     struct http_refusal *ret_refusal);
/* A whole head, as found. TORG_E_INVALID: refused, and the connection must be closed. */
enum torg_err http_request_parse(struct span head, struct http_request *ret_request,
                                 struct http_refusal *ret_refusal);

/* The first field of that name (any case); NULL if there is none. */
const struct span *http_request_field(const struct http_request *request, const char *name);
/* ASCII without regard to case. */
bool http_request_name_equal(struct span a, const char *b);
/*
 * The next element of a comma-separated list ("gzip, br;q=0.5"), without white
 * space around it; commas in quoted strings do not split. false at the end.
 */
bool http_request_list_next(struct span *list, struct span *ret_element);
/*
 * The quality of an element in thousandths, 1000 without a q parameter, 0 when
 * it is not well formed; *ret_token is what stands before the first ';'.
 */
unsigned http_request_list_quality(struct span element, struct span *ret_token);

enum http_chunked_fault {
    HTTP_CHUNKED_FRAMING,       /* no chunks, or none that are well formed */
    HTTP_CHUNKED_EXTENSIONS,    /* more than HTTP_EXTENSION_BYTES_MAX */
    HTTP_CHUNKED_TRAILERS,      /* more than the bytes or the fields above */
    HTTP_CHUNKED_TRAILER_NAMES, /* a trailer of a name that frames or routes a message */
};

/* A chunked body, decoded piece by piece. All zero is the beginning. */
struct http_chunked {
    unsigned state;
    unsigned digits;
    uint64_t left;
    uint16_t extension_bytes;
    uint16_t trailer_bytes;
    uint16_t trailer_count;
    uint16_t name_size; /* of a trailer's name; more than name holds are counted only */
    uint8_t name[20];
    enum http_chunked_fault fault; /* after TORG_E_INVALID */
    bool done;
};
/*
 * Decode from input; the data go to body, *ret_used bytes of input are over.
 * Extensions and trailers are checked and passed over (RFC 9112, 7.1.1 and
 * 7.1.2): nothing that they say is heeded.
 * After TORG_OK either done is set or more input is needed. TORG_E_INVALID: for
 * what fault says. TORG_E_TOO_BIG: body would pass size_max. TORG_E_NOMEM.
 */
enum torg_err http_request_chunked_read(struct http_chunked *chunked, struct span input,
                                        size_t size_max, struct buffer *body, size_t *ret_used);

/* Decoded names and values, text copied: valid UTF-8 without control characters. */
struct http_pair {
    struct span name, value;
};
struct http_query {
    size_t count;
    struct http_pair pairs[HTTP_QUERY_PAIRS_MAX];
    char text[HTTP_HEAD_BYTES_MAX];
};
/*
 * A query string, or a form's body: "theme=food%2Fcafe&q=caf%C3%A9+au+lait".
 * TORG_E_INVALID: bad escape, not UTF-8, control characters. TORG_E_TOO_BIG.
 */
enum torg_err http_request_query_parse(struct span query, struct http_query *ret_query);

/* The segments of a path between its slashes, decoded; "/a/b/" has three, the last one empty. */
struct http_path {
    size_t count;
    struct span segments[HTTP_PATH_SEGMENTS_MAX];
    char text[HTTP_HEAD_BYTES_MAX];
};
/* As http_request_query_parse. A slash that came as %2F is part of its segment: ids may have some.
 */
enum torg_err http_request_path_parse(struct span path, struct http_path *ret_path);

/* Append text with everything percent-encoded but unreserved characters (RFC 3986). */
void http_request_put_escaped(struct buffer *out, struct span text);

#endif

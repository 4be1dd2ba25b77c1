/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/http_request.h"

/*
 * A connection's bytes: heads and bodies as the server reads them. The same
 * bytes in two pieces must give the same requests, and whatever is accepted
 * must keep its promises.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BODY_BYTES_MAX 4096

static bool within(struct span inner, struct span outer)
{
    return inner.size == 0 ||
           (inner.data >= outer.data && inner.data + inner.size <= outer.data + outer.size);
}

static void check_lists(struct span value)
{
    struct span element;
    struct span token;

    while (http_request_list_next(&value, &element)) {
        assert(element.size > 0);
        assert(http_request_list_quality(element, &token) <= 1000);
    }
}

static void check_request(const struct http_request *request, struct span head)
{
    static struct http_path path;
    static struct http_query query;
    struct buffer escaped = {0};

    assert(request->field_count <= HTTP_FIELDS_MAX);
    assert(request->minor == 0 || request->host.size > 0);
    assert(request->path.size > 0 && within(request->query, head));
    assert(request->framing == HTTP_BODY_LENGTH || request->content_length == 0);
    for (size_t i = 0; i < request->field_count; i++) {
        assert(within(request->fields[i].name, head) && within(request->fields[i].value, head));
        assert(!request->fields[i].value.size ||
               !memchr(request->fields[i].value.data, '\n', request->fields[i].value.size));
        check_lists(request->fields[i].value);
    }
    if (!http_request_path_parse(request->path, &path)) {
        for (size_t i = 0; i < path.count; i++)
            http_request_put_escaped(&escaped, path.segments[i]);
    }
    (void)http_request_query_parse(request->query, &query);
    buffer_done(&escaped);
}

static enum torg_err read_chunked(struct span input, size_t step, struct buffer *body,
                                  size_t *ret_used, enum http_chunked_fault *ret_fault)
{
    struct http_chunked chunked = {0};
    enum torg_err err = TORG_OK;

    *ret_used = 0;
    while (!err && !chunked.done && *ret_used < input.size) {
        size_t given = input.size - *ret_used < step ? input.size - *ret_used : step;
        size_t used;

        err = http_request_chunked_read(&chunked, span_of(input.data + *ret_used, given),
                                        BODY_BYTES_MAX, body, &used);
        assert(used <= given && body->size <= BODY_BYTES_MAX);
        *ret_used += used;
    }
    assert(chunked.extension_bytes <= HTTP_EXTENSION_BYTES_MAX + 1);
    assert(chunked.trailer_bytes <= HTTP_TRAILER_BYTES_MAX + 1);
    *ret_fault = chunked.fault;
    return err ? err : chunked.done ? TORG_OK : TORG_E_TRUNCATED;
}

static void check_chunked(struct span input)
{
    struct buffer whole = {0};
    struct buffer pieces = {0};
    size_t used_whole;
    size_t used_pieces;
    enum http_chunked_fault fault_whole, fault_pieces;
    enum torg_err err = read_chunked(input, SIZE_MAX, &whole, &used_whole, &fault_whole);

    assert(read_chunked(input, 3, &pieces, &used_pieces, &fault_pieces) == err);
    assert(fault_whole == fault_pieces);
    if (!err)
        assert(used_whole == used_pieces && span_equal(buffer_span(&whole), buffer_span(&pieces)));
    buffer_done(&whole);
    buffer_done(&pieces);
}

/* The head found byte by byte must be the one found at once. */
static enum torg_err find_head(struct span input, size_t *ret_size)
{
    struct http_refusal whole_refusal = {0};
    struct http_refusal refusal = {0};
    enum torg_err err = TORG_E_TRUNCATED;
    size_t whole_at = 0;
    size_t at = 0;
    size_t size = 0;
    enum torg_err whole = http_request_head_find(input, &whole_at, ret_size, &whole_refusal);

    for (size_t given = 0; given <= input.size && err == TORG_E_TRUNCATED; given++)
        err = http_request_head_find(span_of(input.data, given), &at, &size, &refusal);
    assert(err == whole && refusal.status == whole_refusal.status);
    assert(err || size == *ret_size);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A copy of its own, so that a read past the end is seen. */
    uint8_t *copy = malloc(size ? size : 1);
    struct span input = span_of(copy, size);
    struct http_request request;
    struct http_refusal refusal = {0};
    size_t head_size;

    if (!copy)
        return 0;
    memcpy(copy, data, size);
    check_chunked(input);
    if (find_head(input, &head_size) == TORG_OK) {
        struct span head = span_of(copy, head_size);

        if (http_request_parse(head, &request, &refusal) == TORG_OK)
            check_request(&request, head);
        else
            assert(refusal.status >= 400 && refusal.status < 600 && refusal.detail);
        check_chunked(span_of(copy + head_size, size - head_size));
    }
    (void)http_request_parse(input, &request, &refusal); /* also what nobody found */
    free(copy);
    return 0;
}

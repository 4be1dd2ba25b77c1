/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/bench/server_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/bench/bench_measure.h"

#define READ_BYTES 65536
#define HEAD_BYTES_MAX 65536
#define IDLE_US_MAX 5e6 /* torgd closes a new connection without a request after 10 s */

struct server_http {
    int socket;
    uint16_t port;
    char bearer[512];
    double used_us;       /* when, last */
    struct buffer output; /* of the head */
    struct buffer input;
};

static void http_connect(struct server_http *http)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(http->port)};
    int on = 1;

    if (http->socket >= 0)
        close(http->socket);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    http->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (http->socket < 0 ||
        connect(http->socket, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        setsockopt(http->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
        bench_die("127.0.0.1:%u: %s", http->port, strerror(errno));
    http->used_us = bench_now_us();
}

struct server_http *server_http_new(uint16_t port, const char *bearer)
{
    struct server_http *http = calloc(1, sizeof(*http));

    if (!http)
        bench_die("out of memory");
    http->socket = -1;
    http->port = port;
    if (bearer)
        snprintf(http->bearer, sizeof(http->bearer), "Authorization: Bearer %s\r\n", bearer);
    http_connect(http);
    return http;
}

void server_http_free(struct server_http *http)
{
    if (!http)
        return;
    close(http->socket);
    buffer_done(&http->output);
    buffer_done(&http->input);
    free(http);
}

static void send_all(struct server_http *http, struct span bytes)
{
    while (bytes.size > 0) {
        ssize_t sent = send(http->socket, bytes.data, bytes.size, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            bench_die("torgd does not take the request: %s", strerror(errno));
        bytes = span_of(bytes.data + sent, bytes.size - (size_t)sent);
    }
}

void server_http_send(struct server_http *http, const char *method, const char *target,
                      const char *type, struct span body)
{
    if (bench_now_us() - http->used_us > IDLE_US_MAX)
        http_connect(http);
    buffer_clear(&http->output);
    buffer_printf(&http->output, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n%s", method, target,
                  http->port, http->bearer);
    if (type)
        buffer_printf(&http->output, "Content-Type: %s\r\nContent-Length: %zu\r\n", type,
                      body.size);
    if (strcmp(method, "PUT") == 0)
        buffer_put_str(&http->output, "If-Match: *\r\n");
    buffer_put_str(&http->output, "\r\n");
    if (body.size > 0 && body.size < READ_BYTES) {
        buffer_put_span(&http->output, body); /* One packet rather than two. */
        body.size = 0;
    }
    if (http->output.err)
        bench_die("out of memory");
    send_all(http, buffer_span(&http->output));
    send_all(http, body);
}

/* Until the input holds size bytes; 0: any more. */
static void receive_until(struct server_http *http, size_t size)
{
    do {
        size_t room = size > http->input.size ? size - http->input.size : READ_BYTES;
        ssize_t got;

        if (buffer_reserve(&http->input, room))
            bench_die("out of memory");
        got = recv(http->socket, http->input.data + http->input.size, room, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            bench_die("torgd does not answer: %s", got ? strerror(errno) : "it hung up");
        http->input.size += (size_t)got;
    } while (http->input.size < size);
}

static size_t content_length(const char *head)
{
    static const char name[] = "\r\nContent-Length: ";
    const char *field = strcasestr(head, name);

    return field ? strtoull(field + sizeof(name) - 1, NULL, 10) : 0;
}

/* Some peers do not know an answer's length before: its chunks are put together in place. */
static size_t receive_chunks(struct server_http *http, size_t head_size)
{
    size_t from = head_size, to = head_size, size;

    do {
        const uint8_t *line_end = NULL;
        size_t data;

        while (!(line_end = memmem(http->input.data + from, http->input.size - from, "\r\n", 2)))
            receive_until(http, 0);
        size = strtoull((const char *)http->input.data + from, NULL, 16);
        data = (size_t)(line_end - http->input.data) + 2;
        if (http->input.size < data + size + 2)
            receive_until(http, data + size + 2);
        memmove(http->input.data + to, http->input.data + data, size);
        to += size;
        from = data + size + 2;
    } while (size > 0);
    return to - head_size;
}

int server_http_receive(struct server_http *http, struct span *ret_body)
{
    const uint8_t *end = NULL;
    size_t head_size, size;
    int status;

    buffer_clear(&http->input);
    while (!end) {
        receive_until(http, 0);
        end = memmem(http->input.data, http->input.size, "\r\n\r\n", 4);
        if (!end && http->input.size > HEAD_BYTES_MAX)
            bench_die("torgd's answer has no end of its head");
    }
    head_size = (size_t)(end - http->input.data) + 4;
    http->input.data[head_size - 1] = '\0';
    if (sscanf((const char *)http->input.data, "HTTP/1.1 %d", &status) != 1)
        bench_die("torgd's answer is not HTTP");
    size = content_length((const char *)http->input.data);
    if (strcasestr((const char *)http->input.data, "\r\nTransfer-Encoding: chunked"))
        size = receive_chunks(http, head_size);
    else if (http->input.size < head_size + size)
        receive_until(http, head_size + size);
    http->used_us = bench_now_us();
    *ret_body = span_of(http->input.data + head_size, size);
    return status;
}

struct span server_http_get(struct server_http *http, const char *target)
{
    struct span body;
    int status;

    server_http_send(http, "GET", target, NULL, (struct span){0});
    status = server_http_receive(http, &body);
    if (status != 200)
        bench_die("GET %s: %d %.*s", target, status, (int)(body.size < 2000 ? body.size : 2000),
                  (const char *)body.data);
    return body;
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/bench/http_load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/bench.h"

#define READ_BYTES 262144
#define HEAD_BYTES_MAX 16384
#define EVENTS_MAX 64
#define ANSWER_MS_MAX 60000
#define CHUNKED_END "\r\n0\r\n\r\n"
#define CHUNKED_END_SIZE (sizeof(CHUNKED_END) - 1)

struct connection {
    int socket;
    bool in_body, chunked, busy;
    uint64_t left; /* of a body of known length */
    char head[HEAD_BYTES_MAX + 1];
    size_t head_size;
    char tail[CHUNKED_END_SIZE]; /* the last bytes of a chunked body */
    double sent_us;
};

struct run {
    struct http_load *load;
    struct bench_series *latencies;
    struct http_load_result result;
    double end_us;
    size_t busy;
    uint8_t *input;
};

static int connect_to(const struct http_load *load)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(load->port)};
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
        bench_die("%s: 127.0.0.1:%u: %s", load->name, load->port, strerror(errno));
    return fd;
}

static void ask(struct run *run, struct connection *connection)
{
    const struct span *request = &run->load->requests[run->load->next];

    run->load->next = (run->load->next + 1) % run->load->request_count;
    connection->in_body = connection->chunked = false;
    connection->head_size = 0;
    connection->busy = true;
    run->busy++;
    connection->sent_us = bench_now_us();
    if (send(connection->socket, request->data, request->size, MSG_NOSIGNAL) !=
        (ssize_t)request->size)
        bench_die("%s does not take a request: %s", run->load->name, strerror(errno));
}

static void answered(struct run *run, struct connection *connection)
{
    double now_us = bench_now_us();

    bench_series_add(run->latencies, now_us - connection->sent_us);
    run->result.answers++;
    run->busy--;
    connection->busy = false;
    if (now_us < run->end_us)
        ask(run, connection);
}

static void read_head(struct run *run, struct connection *connection)
{
    const char *head = connection->head;
    const char *length = strcasestr(head, "\r\nContent-Length: ");

    if (strncmp(head, "HTTP/1.1 200 ", 13) != 0)
        bench_die("%s answered: %.300s", run->load->name, head);
    connection->chunked = strcasestr(head, "\r\nTransfer-Encoding: chunked") != NULL;
    if (!connection->chunked && !length)
        bench_die("%s: an answer without its length", run->load->name);
    connection->left = length ? strtoull(length + 18, NULL, 10) : 0;
    connection->in_body = true;
    memset(connection->tail, 0, sizeof(connection->tail));
}

/* The body's end is known by its length, or by its last bytes: nothing follows unasked. */
static void take_body(struct run *run, struct connection *connection, const uint8_t *data,
                      size_t size)
{
    if (!connection->chunked) {
        if (size > connection->left)
            bench_die("%s sent more than its answer", run->load->name);
        connection->left -= size;
        if (connection->left == 0)
            answered(run, connection);
        return;
    }
    for (size_t i = size > CHUNKED_END_SIZE ? size - CHUNKED_END_SIZE : 0; i < size; i++) {
        memmove(connection->tail, connection->tail + 1, CHUNKED_END_SIZE - 1);
        connection->tail[CHUNKED_END_SIZE - 1] = (char)data[i];
    }
    if (memcmp(connection->tail, CHUNKED_END, CHUNKED_END_SIZE) == 0)
        answered(run, connection);
}

static void take(struct run *run, struct connection *connection, const uint8_t *data, size_t size)
{
    size_t before = connection->head_size;
    size_t some = size < HEAD_BYTES_MAX - before ? size : HEAD_BYTES_MAX - before;
    const char *end;

    if (connection->in_body) {
        take_body(run, connection, data, size);
        return;
    }
    memcpy(connection->head + before, data, some);
    connection->head_size += some;
    connection->head[connection->head_size] = '\0';
    end = strstr(connection->head, "\r\n\r\n");
    if (!end && connection->head_size == HEAD_BYTES_MAX)
        bench_die("%s: an answer without an end of its head", run->load->name);
    if (!end)
        return;
    some = (size_t)(end - connection->head) + 4 - before;
    read_head(run, connection);
    if (size > some || (!connection->chunked && connection->left == 0))
        take_body(run, connection, data + some, size - some);
}

static void on_ready(struct run *run, struct connection *connection)
{
    ssize_t got = recv(connection->socket, run->input, READ_BYTES, MSG_DONTWAIT);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0 || !connection->busy)
        bench_die("%s hung up: %s", run->load->name, got < 0 ? strerror(errno) : "closed");
    run->result.bytes += (uint64_t)got;
    take(run, connection, run->input, (size_t)got);
}

static void run_until_end(struct run *run, int poll)
{
    struct epoll_event events[EVENTS_MAX];

    while (run->busy > 0) {
        int count = epoll_wait(poll, events, EVENTS_MAX, ANSWER_MS_MAX);

        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            bench_die("%s does not answer", run->load->name);
        for (int i = 0; i < count; i++)
            on_ready(run, events[i].data.ptr);
    }
}

struct http_load_result http_load_run(struct http_load *load, size_t connections, double seconds,
                                      struct bench_series *latencies)
{
    struct connection *all = calloc(connections, sizeof(*all));
    struct run run = {.load = load, .latencies = latencies, .input = malloc(READ_BYTES)};
    int poll = epoll_create1(EPOLL_CLOEXEC);
    double begin_us;

    if (!all || !run.input || poll < 0 || connections > HTTP_LOAD_CONNECTIONS_MAX)
        bench_die("no memory for %zu connections", connections);
    for (size_t i = 0; i < connections; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};

        all[i].socket = connect_to(load);
        if (epoll_ctl(poll, EPOLL_CTL_ADD, all[i].socket, &event) != 0)
            bench_die("epoll: %s", strerror(errno));
    }
    begin_us = bench_now_us();
    run.end_us = begin_us + seconds * 1e6;
    for (size_t i = 0; i < connections; i++)
        ask(&run, &all[i]);
    run_until_end(&run, poll);
    run.result.us = bench_now_us() - begin_us;
    for (size_t i = 0; i < connections; i++)
        close(all[i].socket);
    close(poll);
    free(all);
    free(run.input);
    return run.result;
}

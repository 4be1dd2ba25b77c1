/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_workers.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/http_conn.h"
#include "daemon/http_gzip.h"
#include "daemon/http_origins.h"
#include "daemon/http_reply.h"
#include "daemon/http_theme_texts.h"
#include "daemon/log.h"

#define MAILBOX_MAX 4096
#define BACKLOG 511
#define LISTENERS_MAX (2 * CONFIG_LISTEN_MAX) /* the plain ones, then those with TLS */
#define DRAIN_MS 2000                         /* for answers on their way when the daemon stops */
#define ACCEPT_PAUSE_MS 500                   /* when there are no descriptors left */

struct thread {
    struct http_worker worker;
    pthread_t id;
    bool runs;
    struct evconnlistener *listeners[LISTENERS_MAX];
    struct event *timer; /* the pause of accepting, or the end of draining */
};

struct http_workers {
    struct http_workers_options options;
    struct http_gate *gate;
    uint8_t tag_key[HTTP_TAG_KEY_BYTES];
    size_t count;
    struct thread *threads;
    size_t listener_count;
    struct sockaddr_storage addresses[LISTENERS_MAX];
    socklen_t address_sizes[LISTENERS_MAX];
};

static struct thread *thread_of(struct http_worker *worker)
{
    return (struct thread *)(void *)((char *)worker - offsetof(struct thread, worker));
}

/* ---- binding ---- */

static const struct config_address *address_of(const struct http_workers *workers, size_t i)
{
    size_t plain = workers->options.address_count;

    return i < plain ? &workers->options.addresses[i] : &workers->options.tls_addresses[i - plain];
}

static enum torg_err resolve(struct http_workers *workers, size_t i)
{
    const struct config_address *address = address_of(workers, i);
    struct addrinfo hints = {
        .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
        .ai_socktype = SOCK_STREAM,
    };
    struct addrinfo *found = NULL;
    char port[8];

    (void)snprintf(port, sizeof(port), "%u", address->port);
    if (getaddrinfo(address->host, port, &hints, &found)) {
        log_event(LOG_ERROR, "http.listen", "listener=%s host=%s err=\"no numeric address\"",
                  workers->options.name, address->host);
        return TORG_E_CONFIG;
    }
    memcpy(&workers->addresses[i], found->ai_addr, found->ai_addrlen);
    workers->address_sizes[i] = found->ai_addrlen;
    freeaddrinfo(found);
    return TORG_OK;
}

/*
 * SO_REUSEPORT would let a second torgd of the same user share the port
 * without a word: bind once without it, and keep the port that the kernel chose.
 */
static enum torg_err probe(struct http_workers *workers, size_t i)
{
    struct sockaddr *address = (struct sockaddr *)(void *)&workers->addresses[i];
    int one = 1;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    enum torg_err err = TORG_OK;

    if (fd < 0)
        return TORG_E_IO;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (address->sa_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    if (bind(fd, address, workers->address_sizes[i]) || listen(fd, 1) ||
        getsockname(fd, address, &workers->address_sizes[i]))
        err = TORG_E_IO;
    if (err)
        log_event(LOG_ERROR, "http.listen", "listener=%s host=%s port=%u err=\"%s\"",
                  workers->options.name, address_of(workers, i)->host, address_of(workers, i)->port,
                  strerror(errno));
    (void)close(fd);
    return err;
}

static enum torg_err bind_thread(struct http_workers *workers, struct thread *thread);

static enum torg_err thread_init(struct http_workers *workers, struct thread *thread)
{
    enum torg_err err;

    thread->worker.all = workers;
    thread->worker.options = &workers->options;
    thread->worker.gate = workers->gate;
    memcpy(thread->worker.tag_key, workers->tag_key, sizeof(workers->tag_key));
    err = loop_new(MAILBOX_MAX, &thread->worker.loop);
    if (!err)
        err = http_outbox_init(&thread->worker.outbox, loop_base(thread->worker.loop),
                               http_conn_send);
    if (!err)
        err = bind_thread(workers, thread);
    return err;
}

enum torg_err http_workers_new(const struct http_workers_options *options,
                               struct http_workers **ret_workers)
{
    struct http_workers *workers = calloc(1, sizeof(*workers));
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    enum torg_err err = TORG_E_NOMEM;

    if (!workers)
        return TORG_E_NOMEM;
    workers->options = *options;
    http_tag_key_new(workers->tag_key);
    workers->count = options->threads ? options->threads : processors > 0 ? (size_t)processors : 1;
    workers->listener_count = options->address_count + options->tls_address_count;
    if (workers->listener_count == 0)
        workers->count = 0; /* "listen = none" */
    workers->threads = calloc(workers->count + 1, sizeof(*workers->threads));
    if (!workers->threads)
        goto done;
    err = http_gate_new(options->connections_max, options->per_address_max, &workers->gate);
    for (size_t i = 0; i < workers->listener_count && !err; i++) {
        err = resolve(workers, i);
        if (!err)
            err = probe(workers, i);
    }
    for (size_t i = 0; i < workers->count && !err; i++)
        err = thread_init(workers, &workers->threads[i]);
    if (err)
        goto done;
    *ret_workers = workers;
    return TORG_OK;
done:
    http_workers_free(workers);
    return err;
}

uint16_t http_workers_port(const struct http_workers *workers)
{
    const struct sockaddr_storage *address = &workers->addresses[0];

    if (address->ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)(const void *)address)->sin6_port);
    return ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port);
}

/* ---- accepting ---- */

struct eviction {
    struct http_worker *worker;
    uint64_t ticket;
};

static void evict(void *context)
{
    struct eviction *eviction = context;
    struct http_conn *conn = http_conn_find(eviction->worker, eviction->ticket);

    if (conn)
        http_conn_close(conn);
    free(eviction);
}

/* Have victim's own thread close it; its place is taken already. */
static void order_eviction(struct http_worker *worker, uint64_t ticket)
{
    struct eviction *eviction = malloc(sizeof(*eviction));

    if (!eviction)
        return; /* It stays until its deadline: one above the cap for 10 s. */
    *eviction = (struct eviction){.worker = worker, .ticket = ticket};
    if (loop_post(worker->loop, evict, eviction))
        free(eviction);
}

static void turn_away(struct http_worker *worker, evutil_socket_t fd, bool tls)
{
    static const struct http_refusal full = {503, "too many connections; try again shortly"};
    struct buffer out = {0};

    metrics_add(worker->options->node->metrics, METRIC_HTTP_CONNECTIONS_REFUSED, 1);
    http_reply_plain(&full, &out);
    if (!out.err && !tls)
        (void)!send(fd, out.data, out.size, MSG_DONTWAIT | MSG_NOSIGNAL);
    buffer_done(&out);
    evutil_closesocket(fd);
}

static void take_connection(struct http_worker *worker, evutil_socket_t fd,
                            const struct sockaddr *sockaddr, bool tls)
{
    struct http_gate_address address = http_gate_address_of(sockaddr);
    struct http_conn_source source = {.tls = tls};
    bool proxy;
    void *victim_worker = NULL;
    uint64_t victim;
    uint64_t ticket;
    int one = 1;

    http_gate_whole_address(sockaddr, source.address);
    proxy = http_forwarded_trusts(worker->options->node->config, source.address);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (http_gate_enter(worker->gate, proxy ? NULL : &address, worker, &ticket, &victim,
                        &victim_worker)) {
        turn_away(worker, fd, tls);
        return;
    }
    if (victim)
        order_eviction(victim_worker, victim);
    (void)http_conn_open(worker, fd, ticket, &source);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd,
                      struct sockaddr *sockaddr, int size, void *context)
{
    (void)listener;
    (void)size;
    take_connection(context, fd, sockaddr, false);
}

static void on_accept_tls(struct evconnlistener *listener, evutil_socket_t fd,
                          struct sockaddr *sockaddr, int size, void *context)
{
    (void)listener;
    (void)size;
    take_connection(context, fd, sockaddr, true);
}

static void on_accept_error(struct evconnlistener *listener, void *context)
{
    struct http_worker *worker = context;
    struct thread *thread = thread_of(worker);
    struct timeval pause = {.tv_usec = ACCEPT_PAUSE_MS * 1000};

    log_event(LOG_WARN, "http.accept", "listener=%s err=\"%s\"", worker->options->name,
              strerror(errno));
    (void)evconnlistener_disable(listener); /* The queue stays full: do not spin. */
    (void)event_add(thread->timer, &pause);
}

static void drain_end(struct http_worker *worker)
{
    struct http_conn *conn = worker->first;

    while (conn) {
        struct http_conn *next = http_conn_next(conn);

        http_conn_close(conn);
        conn = next;
    }
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
    struct thread *thread = context;

    (void)fd;
    (void)what;
    if (thread->worker.draining) {
        drain_end(&thread->worker);
        return;
    }
    for (size_t i = 0; i < thread->worker.all->listener_count; i++)
        (void)evconnlistener_enable(thread->listeners[i]);
}

static enum torg_err bind_thread(struct http_workers *workers, struct thread *thread)
{
    unsigned flags =
        LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE | LEV_OPT_REUSEABLE_PORT;
    struct event_base *base = loop_base(thread->worker.loop);

    thread->timer = evtimer_new(base, on_timer, thread);
    if (!thread->timer)
        return TORG_E_NOMEM;
    for (size_t i = 0; i < workers->listener_count; i++) {
        bool tls = i >= workers->options.address_count;
        struct sockaddr *address = (struct sockaddr *)(void *)&workers->addresses[i];
        unsigned only = address->sa_family == AF_INET6 ? LEV_OPT_BIND_IPV6ONLY : 0;

        thread->listeners[i] =
            evconnlistener_new_bind(base, tls ? on_accept_tls : on_accept, &thread->worker,
                                    flags | only, BACKLOG, address, (int)workers->address_sizes[i]);
        if (!thread->listeners[i]) {
            log_event(LOG_ERROR, "http.listen", "listener=%s host=%s err=\"%s\"",
                      workers->options.name, address_of(workers, i)->host, strerror(errno));
            return TORG_E_IO;
        }
        evconnlistener_set_error_cb(thread->listeners[i], on_accept_error);
    }
    return TORG_OK;
}

/* ---- running ---- */

static void *thread_main(void *context)
{
    struct thread *thread = context;

    if (loop_run(thread->worker.loop))
        log_event(LOG_ERROR, "http.loop", "listener=%s", thread->worker.options->name);
    return NULL;
}

enum torg_err http_workers_start(struct http_workers *workers)
{
    for (size_t i = 0; i < workers->count; i++) {
        struct thread *thread = &workers->threads[i];

        if (pthread_create(&thread->id, NULL, thread_main, thread))
            return TORG_E_NOMEM;
        thread->runs = true;
    }
    return TORG_OK;
}

void http_worker_check_drained(struct http_worker *worker)
{
    if (worker->draining && worker->connections == 0 && worker->exchanges == 0)
        loop_stop(worker->loop);
}

/* In the worker's thread: no new connections, and those that wait for nothing go. */
static void drain(void *context)
{
    struct http_worker *worker = context;
    struct thread *thread = thread_of(worker);
    struct timeval limit = {.tv_sec = DRAIN_MS / 1000};
    struct http_conn *conn = worker->first;

    worker->draining = true;
    for (size_t i = 0; i < LISTENERS_MAX; i++) {
        if (thread->listeners[i])
            evconnlistener_free(thread->listeners[i]);
        thread->listeners[i] = NULL;
    }
    while (conn) {
        struct http_conn *next = http_conn_next(conn);

        if (http_conn_idle(conn))
            http_conn_close(conn);
        conn = next;
    }
    (void)event_add(thread->timer, &limit);
    http_worker_check_drained(worker);
}

static void thread_done(struct thread *thread)
{
    struct http_worker *worker = &thread->worker;

    for (size_t i = 0; i < LISTENERS_MAX; i++) {
        if (thread->listeners[i])
            evconnlistener_free(thread->listeners[i]);
    }
    if (thread->timer)
        event_free(thread->timer);
    http_outbox_done(&worker->outbox);
    loop_free(worker->loop);
    http_origins_free(worker->origins);
    http_exchange_free_spare(worker->spare);
    http_gzip_free(worker->gzip);
    buffer_done(&worker->date);
    http_theme_texts_free(worker->theme_texts);
}

void http_workers_free(struct http_workers *workers)
{
    if (!workers)
        return;
    for (size_t i = 0; i < workers->count && workers->threads; i++) {
        if (workers->threads[i].runs)
            loop_answer(workers->threads[i].worker.loop, drain, &workers->threads[i].worker);
    }
    for (size_t i = 0; i < workers->count && workers->threads; i++) {
        if (workers->threads[i].runs)
            (void)pthread_join(workers->threads[i].id, NULL);
    }
    for (size_t i = 0; i < workers->count && workers->threads; i++)
        thread_done(&workers->threads[i]);
    http_gate_free(workers->gate);
    free(workers->threads);
    free(workers);
}

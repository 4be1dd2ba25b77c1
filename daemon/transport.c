/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/transport.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LISTEN_BACKLOG 128
#define LINK_BUCKETS 256
/* Say that output drained before it is empty, so that a fast link does not run dry. */
#define DRAINED_BYTES 65536
#define READ_BYTES_MAX 65536 /* in one turn of the loop, for one link */
#define ACCEPT_PAUSE_MS 200  /* after accept failed, for want of descriptors mostly */
#define CERTIFICATE_BYTES_MAX 4096

enum link_state {
    LINK_CONNECTING, /* TCP, dialled */
    LINK_HANDSHAKE,  /* TLS */
    LINK_UP,
    LINK_CLOSING, /* what is queued still goes out */
    LINK_DEAD     /* waits for the reaper */
};

struct link {
    struct transport *transport;
    uint32_t number;
    uint32_t dial; /* 0: accepted */
    enum link_state state;
    bool told; /* connected was called, so disconnected must be */
    int fd;    /* while CONNECTING; then bev's */
    struct event *timer;
    struct event *connect_event;
    struct bufferevent *bev;
    struct sockaddr_storage address;
    struct public_key keys[SYNC_PEER_KEYS_MAX]; /* who may answer a dial */
    size_t key_count;
    struct public_key proved;
    const char *why;            /* of its end; static */
    struct link *next;          /* in its bucket */
    struct link *newer, *older; /* in order of birth */
};

struct listener {
    struct evconnlistener *ev;
    struct listener *next;
};

struct transport {
    struct transport_options options;
    SSL_CTX *ssl;
    struct event *reaper;
    struct event *accept_again;
    struct listener *listeners;
    struct link *buckets[LINK_BUCKETS];
    struct link *oldest, *newest;
    uint32_t last_number;
    bool paused;
    struct public_key *pins;
    size_t pin_count;
    struct transport_counters counters;
};

/* ---- links ---- */

static struct link *link_find(const struct transport *transport, uint32_t number)
{
    struct link *link = transport->buckets[number % LINK_BUCKETS];

    while (link && link->number != number)
        link = link->next;
    return link;
}

/* Before TLS is up, whoever opened it. */
static bool link_is_early(const struct link *link)
{
    return link->state == LINK_CONNECTING || link->state == LINK_HANDSHAKE;
}

static void link_set_timer(struct link *link, uint32_t ms)
{
    struct timeval after = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};

    evtimer_add(link->timer, &after);
}

/* Its end; the reaper does the rest, outside of whatever callback we are in. */
static void link_die(struct link *link, const char *why)
{
    struct timeval now = {0};

    if (link->state == LINK_DEAD)
        return;
    link->state = LINK_DEAD;
    link->why = why;
    if (link->bev)
        bufferevent_disable(link->bev, EV_READ | EV_WRITE);
    evtimer_del(link->timer);
    evtimer_add(link->transport->reaper, &now);
}

static void on_link_timer(evutil_socket_t fd, short what, void *context)
{
    struct link *link = context;

    (void)fd;
    (void)what;
    if (link->state == LINK_CONNECTING)
        link_die(link, "no answer in time");
    else if (link->state == LINK_HANDSHAKE)
        link_die(link, "TLS handshake not done in time");
    else
        link_die(link, "closed here");
}

static struct link *link_new(struct transport *transport, const struct sockaddr *address,
                             socklen_t size)
{
    struct link *link = calloc(1, sizeof(*link));

    if (!link)
        return NULL;
    link->transport = transport;
    link->number = ++transport->last_number;
    link->fd = -1;
    memcpy(&link->address, address, size < sizeof(link->address) ? size : sizeof(link->address));
    link->timer = evtimer_new(transport->options.base, on_link_timer, link);
    if (!link->timer) {
        free(link);
        return NULL;
    }
    link->next = transport->buckets[link->number % LINK_BUCKETS];
    transport->buckets[link->number % LINK_BUCKETS] = link;
    link->older = transport->newest;
    *(transport->newest ? &transport->newest->newer : &transport->oldest) = link;
    transport->newest = link;
    return link;
}

static void link_free(struct link *link)
{
    struct transport *transport = link->transport;
    struct link **at = &transport->buckets[link->number % LINK_BUCKETS];

    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
    *(link->older ? &link->older->newer : &transport->oldest) = link->newer;
    *(link->newer ? &link->newer->older : &transport->newest) = link->older;
    if (link->bev) {
        SSL *ssl = bufferevent_openssl_get_ssl(link->bev);

        /* One close_notify if it fits; the answer is not waited for. */
        if (link->told)
            SSL_shutdown(ssl);
        ERR_clear_error();
        bufferevent_free(link->bev);
    } else if (link->fd >= 0) {
        close(link->fd);
    }
    if (link->connect_event)
        event_free(link->connect_event);
    event_free(link->timer);
    free(link);
}

static void address_text(const struct sockaddr_storage *address,
                         char out[TRANSPORT_ADDRESS_BYTES_MAX])
{
    char host[INET6_ADDRSTRLEN] = "?";

    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;

        inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof(host));
        snprintf(out, TRANSPORT_ADDRESS_BYTES_MAX, "[%s]:%u", host, ntohs(six->sin6_port));
    } else if (address->ss_family == AF_INET) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)address;

        inet_ntop(AF_INET, &four->sin_addr, host, sizeof(host));
        snprintf(out, TRANSPORT_ADDRESS_BYTES_MAX, "%s:%u", host, ntohs(four->sin_port));
    } else {
        snprintf(out, TRANSPORT_ADDRESS_BYTES_MAX, "?");
    }
}

static void tell_refused(struct transport *transport, const struct sockaddr_storage *address,
                         const char *why)
{
    char text[TRANSPORT_ADDRESS_BYTES_MAX];

    transport->counters.refused++;
    address_text(address, text);
    transport->options.callbacks.refused(transport->options.callbacks.context, text, why);
}

static void on_reap(evutil_socket_t fd, short what, void *context)
{
    struct transport *transport = context;
    const struct transport_callbacks *callbacks = &transport->options.callbacks;

    (void)fd;
    (void)what;
    for (struct link *link = transport->oldest, *newer; link; link = newer) {
        struct link end = *link;

        newer = link->newer;
        if (link->state != LINK_DEAD)
            continue;
        link_free(link);
        /* The callbacks may end other links, but freeing is only done here: newer stays. */
        if (end.told)
            callbacks->disconnected(callbacks->context, end.number, end.why);
        else if (end.dial)
            callbacks->dial_failed(callbacks->context, end.dial, end.why);
        else
            tell_refused(transport, &end.address, end.why);
    }
}

/* ---- TLS ---- */

static bool key_is_pinned(const struct public_key *key, const struct public_key *pins, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (memcmp(key, &pins[i], sizeof(*key)) == 0)
            return true;
    return false;
}

/*
 * The whole judgement of a certificate: its raw key. Names, dates and issuers
 * mean nothing here, so that no clock and no authority can shut a peer out.
 */
static int on_verify(X509_STORE_CTX *store, void *context)
{
    int ssl_index = SSL_get_ex_data_X509_STORE_CTX_idx();
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, ssl_index);
    struct link *link = ssl ? SSL_get_app_data(ssl) : NULL;
    X509 *certificate = X509_STORE_CTX_get0_cert(store);
    EVP_PKEY *pkey = certificate ? X509_get0_pubkey(certificate) : NULL;
    struct public_key key;
    size_t size = sizeof(key.bytes);
    bool pinned = false;

    (void)context;
    if (link && pkey && EVP_PKEY_get_id(pkey) == EVP_PKEY_ED25519 &&
        EVP_PKEY_get_raw_public_key(pkey, key.bytes, &size) == 1 && size == sizeof(key.bytes)) {
        if (link->dial)
            pinned = key_is_pinned(&key, link->keys, link->key_count);
        else
            pinned = key_is_pinned(&key, link->transport->pins, link->transport->pin_count);
    }
    if (pinned)
        link->proved = key;
    else
        X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return pinned;
}

/* Who we are is in the key alone; the rest of the form is filled in so that it parses. */
static X509 *certificate_new(EVP_PKEY *pkey)
{
    static const unsigned char name[] = "torg node";
    X509 *certificate = X509_new();
    X509_NAME *subject;

    if (!certificate)
        return NULL;
    subject = X509_get_subject_name(certificate);
    if (!X509_set_version(certificate, X509_VERSION_3) ||
        !ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) ||
        !ASN1_TIME_set_string(X509_getm_notBefore(certificate), "20000101000000Z") ||
        !ASN1_TIME_set_string(X509_getm_notAfter(certificate), "99991231235959Z") ||
        !X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, name, -1, -1, 0) ||
        !X509_set_issuer_name(certificate, subject) || !X509_set_pubkey(certificate, pkey) ||
        !X509_sign(certificate, pkey, NULL)) {
        X509_free(certificate);
        return NULL;
    }
    return certificate;
}

static bool ssl_configure(SSL_CTX *ssl)
{
    /* The macros cast const away; these are not const, so that clang is content. */
    char groups[] = "X25519";
    char algorithms[] = "ed25519";

    SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(ssl, on_verify, NULL);
    SSL_CTX_set_max_cert_list(ssl, CERTIFICATE_BYTES_MAX);
    SSL_CTX_set_max_early_data(ssl, 0);
    return SSL_CTX_set_min_proto_version(ssl, TLS1_3_VERSION) &&
           SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) && SSL_CTX_set_num_tickets(ssl, 0) &&
           SSL_CTX_set1_groups_list(ssl, groups) && SSL_CTX_set1_sigalgs_list(ssl, algorithms) &&
           SSL_CTX_set1_client_sigalgs_list(ssl, algorithms);
}

static enum torg_err ssl_new(const struct secret_key *key, SSL_CTX **ret_ssl)
{
    enum torg_err err = TORG_E_INTERNAL;
    X509 *certificate = NULL;
    /* libsodium's secret key begins with the seed, which is what OpenSSL calls the private key. */
    EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, key->bytes, 32);
    SSL_CTX *ssl = SSL_CTX_new(TLS_method());

    if (!pkey || !ssl || !ssl_configure(ssl))
        goto done;
    certificate = certificate_new(pkey);
    if (!certificate || SSL_CTX_use_certificate(ssl, certificate) != 1 ||
        SSL_CTX_use_PrivateKey(ssl, pkey) != 1)
        goto done;
    *ret_ssl = ssl;
    ssl = NULL;
    err = TORG_OK;
done:
    ERR_clear_error();
    SSL_CTX_free(ssl);
    X509_free(certificate);
    EVP_PKEY_free(pkey);
    return err;
}

/* ---- a link's life ---- */

static void give_bytes(struct link *link)
{
    const struct transport_callbacks *callbacks = &link->transport->options.callbacks;
    struct evbuffer *input = bufferevent_get_input(link->bev);
    size_t size;

    /* All of it: bytes left here would not call again (PITFALLS, libevent 4). */
    while (link->state == LINK_UP && (size = evbuffer_get_contiguous_space(input)) > 0) {
        callbacks->bytes(callbacks->context, link->number,
                         span_of(evbuffer_pullup(input, (ev_ssize_t)size), size));
        evbuffer_drain(input, size);
    }
    if (link->state != LINK_UP)
        evbuffer_drain(input, evbuffer_get_length(input));
}

static void on_readable(struct bufferevent *bev, void *context)
{
    (void)bev;
    give_bytes(context);
}

/*
 * Everything is out: end our direction and wait for the other end to end its
 * own. A close with bytes unread would send a reset, which may overtake the
 * last frame, the one that says why.
 */
static void link_say_goodbye(struct link *link)
{
    SSL_shutdown(bufferevent_openssl_get_ssl(link->bev));
    ERR_clear_error();
    shutdown(bufferevent_getfd(link->bev), SHUT_WR);
}

static void on_writable(struct bufferevent *bev, void *context)
{
    struct link *link = context;
    const struct transport_callbacks *callbacks = &link->transport->options.callbacks;
    size_t queued = evbuffer_get_length(bufferevent_get_output(bev));

    if (link->state == LINK_UP)
        callbacks->drained(callbacks->context, link->number, queued);
    else if (link->state == LINK_CLOSING && queued == 0)
        link_say_goodbye(link);
}

static void link_up(struct link *link)
{
    struct transport *transport = link->transport;
    const struct transport_callbacks *callbacks = &transport->options.callbacks;

    evtimer_del(link->timer);
    link->state = LINK_UP;
    link->told = true;
    transport->counters.connected++;
    if (transport->paused)
        bufferevent_disable(link->bev, EV_READ);
    callbacks->connected(callbacks->context, link->number, &link->proved, link->dial);
}

/* Why TLS or TCP gave up, in words that stay. */
static const char *end_reason(struct link *link, short what)
{
    int error = errno; /* of the failed call: libevent brings it along */
    unsigned long code = bufferevent_get_openssl_error(link->bev);
    const char *text = code ? ERR_reason_error_string(code) : NULL;

    if (link->state == LINK_CLOSING)
        return "closed here";
    if (text && ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED)
        return "its key is not pinned here";
    if (text && ERR_GET_REASON(code) == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE)
        return "refused by the other end: it does not know our node key";
    if (text && ERR_GET_REASON(code) != SSL_R_UNEXPECTED_EOF_WHILE_READING)
        return text;
    if (!text && !(what & BEV_EVENT_EOF) && error && error != EAGAIN)
        return strerrordesc_np(error);
    return link->state == LINK_HANDSHAKE ? "closed by the other end during the TLS handshake"
                                         : "closed by the other end";
}

static void on_event(struct bufferevent *bev, short what, void *context)
{
    struct link *link = context;

    (void)bev;
    if (what & BEV_EVENT_CONNECTED) {
        if (link->state == LINK_HANDSHAKE)
            link_up(link);
        return;
    }
    if (link->state == LINK_UP)
        give_bytes(link); /* what came before the end still counts */
    link_die(link, end_reason(link, what));
}

/* TCP stands; from here on the descriptor is the bufferevent's. */
static enum torg_err link_start_tls(struct link *link, int fd)
{
    struct transport *transport = link->transport;
    SSL *ssl = SSL_new(transport->ssl);
    int on = 1;

    link->fd = fd;
    if (!ssl || !SSL_set_app_data(ssl, link)) {
        SSL_free(ssl);
        return TORG_E_NOMEM;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    /* Deferred: a callback is never called from inside one of our own calls. */
    link->bev = bufferevent_openssl_socket_new(transport->options.base, fd, ssl,
                                               link->dial ? BUFFEREVENT_SSL_CONNECTING
                                                          : BUFFEREVENT_SSL_ACCEPTING,
                                               BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    if (!link->bev) {
        SSL_free(ssl);
        return TORG_E_NOMEM;
    }
    link->fd = -1;
    link->state = LINK_HANDSHAKE;
    bufferevent_setcb(link->bev, on_readable, on_writable, on_event, link);
    bufferevent_setwatermark(link->bev, EV_WRITE, DRAINED_BYTES, 0);
    bufferevent_set_max_single_read(link->bev, READ_BYTES_MAX);
    bufferevent_enable(link->bev, EV_READ | EV_WRITE);
    link_set_timer(link, transport->options.handshake_ms_max);
    return TORG_OK;
}

/* ---- accepting ---- */

/* One host or, in IPv6, one network: who has a /64 has all of its addresses. */
static bool same_source(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    if (a->ss_family != b->ss_family)
        return false;
    if (a->ss_family == AF_INET6)
        return memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
                      &((const struct sockaddr_in6 *)b)->sin6_addr, 8) == 0;
    return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
           ((const struct sockaddr_in *)b)->sin_addr.s_addr;
}

/*
 * Make room for one more handshake, in all and from one address. Who has waited
 * longest gives way: a real peer is through in milliseconds, so that silent
 * connections, also from behind the same address, do not keep it out.
 */
static void make_room(struct transport *transport, const struct sockaddr_storage *address)
{
    struct link *oldest = NULL, *oldest_there = NULL;
    uint32_t total = 0, there = 0;

    for (struct link *link = transport->newest; link; link = link->older) {
        if (link->dial || !link_is_early(link))
            continue;
        oldest = link;
        total++;
        if (same_source(&link->address, address)) {
            oldest_there = link;
            there++;
        }
    }
    if (oldest_there && there >= transport->options.handshakes_per_address)
        link_die(oldest_there, "too many handshakes at one time from this address");
    else if (oldest && total >= transport->options.handshakes_max)
        link_die(oldest, "too many handshakes at one time");
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                      int size, void *context)
{
    struct transport *transport = context;
    struct sockaddr_storage copy = {0};
    struct link *link;

    (void)listener;
    memcpy(&copy, address, (size_t)size < sizeof(copy) ? (size_t)size : sizeof(copy));
    transport->counters.accepted++;
    make_room(transport, &copy);
    link = link_new(transport, address, (socklen_t)size);
    if (!link) {
        close(fd);
        return;
    }
    if (link_start_tls(link, fd))
        link_die(link, torg_err_text(TORG_E_NOMEM));
}

static void on_accept_again(evutil_socket_t fd, short what, void *context)
{
    struct transport *transport = context;

    (void)fd;
    (void)what;
    for (struct listener *listener = transport->listeners; listener; listener = listener->next)
        evconnlistener_enable(listener->ev);
}

/* Out of descriptors: trying again at once would spin. */
static void on_accept_error(struct evconnlistener *listener, void *context)
{
    struct transport *transport = context;
    struct timeval after = {.tv_usec = ACCEPT_PAUSE_MS * 1000};

    evconnlistener_disable(listener);
    evtimer_add(transport->accept_again, &after);
}

static enum torg_err address_of(const struct config_address *address,
                                struct sockaddr_storage *ret_address, socklen_t *ret_size)
{
    struct sockaddr_storage out = {0};
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&out;
    struct sockaddr_in *four = (struct sockaddr_in *)&out;

    if (inet_pton(AF_INET6, address->host, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(address->port);
        *ret_size = sizeof(*six);
    } else if (inet_pton(AF_INET, address->host, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(address->port);
        *ret_size = sizeof(*four);
    } else {
        return TORG_E_INVALID;
    }
    *ret_address = out;
    return TORG_OK;
}

static int socket_listening(const struct sockaddr_storage *address, socklen_t size)
{
    int on = 1;
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (address->ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (bind(fd, (const struct sockaddr *)address, size) < 0 || listen(fd, LISTEN_BACKLOG) < 0) {
        int saved_errno = errno;

        close(fd);
        errno = saved_errno;
        return -1;
    }
    return fd;
}

static uint16_t socket_port(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof(address);

    if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        return 0;
    if (address.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)&address)->sin6_port);
    return ntohs(((const struct sockaddr_in *)&address)->sin_port);
}

enum torg_err transport_listen(struct transport *transport, const struct config_address *address,
                               uint16_t *ret_port)
{
    struct sockaddr_storage socket_address;
    struct listener *listener;
    enum torg_err err;
    socklen_t size;
    int fd;

    err = address_of(address, &socket_address, &size);
    if (err)
        return err;
    fd = socket_listening(&socket_address, size);
    if (fd < 0)
        return TORG_E_IO;
    listener = calloc(1, sizeof(*listener));
    if (listener)
        listener->ev = evconnlistener_new(transport->options.base, on_accept, transport,
                                          LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    if (!listener || !listener->ev) {
        free(listener);
        close(fd);
        return TORG_E_NOMEM;
    }
    evconnlistener_set_error_cb(listener->ev, on_accept_error);
    listener->next = transport->listeners;
    transport->listeners = listener;
    if (ret_port)
        *ret_port = socket_port(fd);
    return TORG_OK;
}

/* ---- dialling ---- */

static void on_connect(evutil_socket_t fd, short what, void *context)
{
    struct link *link = context;
    int error = 0;
    socklen_t size = sizeof(error);

    (void)what;
    if (link->state != LINK_CONNECTING)
        return;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    if (error)
        link_die(link, strerrordesc_np(error));
    else if (link_start_tls(link, fd))
        link_die(link, torg_err_text(TORG_E_NOMEM));
}

/* Returns why it cannot be, or NULL. */
static const char *link_connect(struct link *link, const struct sockaddr *address, socklen_t size)
{
    link->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->fd < 0)
        return strerrordesc_np(errno);
    if (connect(link->fd, address, size) < 0 && errno != EINPROGRESS)
        return strerrordesc_np(errno);
    link->connect_event =
        event_new(link->transport->options.base, link->fd, EV_WRITE, on_connect, link);
    if (!link->connect_event || event_add(link->connect_event, NULL) < 0)
        return torg_err_text(TORG_E_NOMEM);
    link_set_timer(link, TRANSPORT_CONNECT_MS_MAX);
    return NULL;
}

void transport_dial(struct transport *transport, const struct sockaddr *address, socklen_t size,
                    const struct public_key *keys, size_t key_count, uint32_t dial)
{
    struct link *link = link_new(transport, address, size);
    const char *why;

    assert(dial != 0 && key_count <= SYNC_PEER_KEYS_MAX);
    if (!link)
        abort(); /* the dial would never end; see loop_answer */
    transport->counters.dialled++;
    link->dial = dial;
    link->key_count = key_count;
    memcpy(link->keys, keys, key_count * sizeof(*keys));
    why = link_connect(link, address, size);
    if (why)
        link_die(link, why);
}

/* ---- the rest ---- */

enum torg_err transport_new(const struct transport_options *options,
                            struct transport **ret_transport)
{
    struct transport *transport = calloc(1, sizeof(*transport));
    enum torg_err err;

    if (!transport)
        return TORG_E_NOMEM;
    transport->options = *options;
    if (!transport->options.handshake_ms_max)
        transport->options.handshake_ms_max = TRANSPORT_HANDSHAKE_MS_MAX;
    transport->reaper = evtimer_new(options->base, on_reap, transport);
    transport->accept_again = evtimer_new(options->base, on_accept_again, transport);
    err = transport->reaper && transport->accept_again
              ? ssl_new(&options->node_key, &transport->ssl)
              : TORG_E_NOMEM;
    /* From here on the key lives in OpenSSL. */
    OPENSSL_cleanse(&transport->options.node_key, sizeof(transport->options.node_key));
    if (err) {
        transport_free(transport);
        return err;
    }
    *ret_transport = transport;
    return TORG_OK;
}

void transport_free(struct transport *transport)
{
    if (!transport)
        return;
    while (transport->oldest)
        link_free(transport->oldest);
    while (transport->listeners) {
        struct listener *listener = transport->listeners;

        transport->listeners = listener->next;
        evconnlistener_free(listener->ev);
        free(listener);
    }
    if (transport->reaper)
        event_free(transport->reaper);
    if (transport->accept_again)
        event_free(transport->accept_again);
    SSL_CTX_free(transport->ssl);
    free(transport->pins);
    free(transport);
}

enum torg_err transport_set_pins(struct transport *transport, const struct public_key *keys,
                                 size_t count)
{
    struct public_key *copy = calloc(count ? count : 1, sizeof(*copy));

    if (!copy)
        return TORG_E_NOMEM;
    if (count)
        memcpy(copy, keys, count * sizeof(*copy));
    free(transport->pins);
    transport->pins = copy;
    transport->pin_count = count;
    return TORG_OK;
}

void transport_send(struct transport *transport, uint32_t number, struct span bytes)
{
    struct link *link = link_find(transport, number);
    struct evbuffer *output;

    if (!link || link->state != LINK_UP)
        return;
    output = bufferevent_get_output(link->bev);
    if (evbuffer_get_length(output) + bytes.size > TRANSPORT_QUEUE_BYTES_MAX)
        link_die(link, "its output queue overflowed");
    else if (evbuffer_add(output, bytes.data, bytes.size) < 0)
        link_die(link, torg_err_text(TORG_E_NOMEM));
}

size_t transport_queued(const struct transport *transport, uint32_t number)
{
    struct link *link = link_find(transport, number);

    return link && link->bev ? evbuffer_get_length(bufferevent_get_output(link->bev)) : 0;
}

void transport_close(struct transport *transport, uint32_t number)
{
    struct link *link = link_find(transport, number);

    if (!link || link->state != LINK_UP)
        return;
    link->state = LINK_CLOSING;
    bufferevent_enable(link->bev, EV_READ); /* to see its end; what comes is thrown away */
    link_set_timer(link, TRANSPORT_LINGER_MS_MAX);
    if (evbuffer_get_length(bufferevent_get_output(link->bev)) == 0)
        link_say_goodbye(link);
}

void transport_pause(struct transport *transport, bool paused)
{
    if (transport->paused == paused)
        return;
    transport->paused = paused;
    for (struct link *link = transport->oldest; link; link = link->newer) {
        if (link->state != LINK_UP)
            continue;
        if (paused)
            bufferevent_disable(link->bev, EV_READ);
        else
            bufferevent_enable(link->bev, EV_READ);
    }
}

void transport_address(const struct transport *transport, uint32_t number,
                       char out[TRANSPORT_ADDRESS_BYTES_MAX])
{
    struct link *link = link_find(transport, number);

    out[0] = 0;
    if (link)
        address_text(&link->address, out);
}

void transport_counters(const struct transport *transport, struct transport_counters *ret_counters)
{
    struct transport_counters counters = transport->counters;

    for (struct link *link = transport->oldest; link; link = link->newer) {
        counters.links += link->state == LINK_UP;
        counters.handshakes += link_is_early(link);
    }
    *ret_counters = counters;
}

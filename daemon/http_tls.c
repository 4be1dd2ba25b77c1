/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_tls.h"

#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "daemon/clock.h"
#include "daemon/log.h"

/* What tells that a file is another one. */
struct stamp {
    ino_t inode;
    off_t size;
    struct timespec changed;
};

struct http_tls {
    pthread_mutex_t mutex; /* over all that follows */
    char *certificate, *key;
    SSL_CTX *context;
    struct stamp stamps[2]; /* of the files as they were last read, or tried */
    int64_t looked_s;
};

static struct stamp stamp_of(const char *path)
{
    struct stamp stamp = {0};
    struct stat status;

    if (stat(path, &status) == 0) {
        stamp.inode = status.st_ino;
        stamp.size = status.st_size;
        stamp.changed = status.st_mtim;
    }
    return stamp;
}

static bool stamp_equal(const struct stamp *a, const struct stamp *b)
{
    return a->inode == b->inode && a->size == b->size && a->changed.tv_sec == b->changed.tv_sec &&
           a->changed.tv_nsec == b->changed.tv_nsec;
}

/* HTTP/1.1 is all that we speak: say so to those who offer more (RFC 7301). */
static int select_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_size,
                           const unsigned char *in, unsigned in_size, void *context)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen;

    (void)ssl;
    (void)context;
    if (SSL_select_next_proto(&chosen, out_size, ours, sizeof(ours) - 1, in, in_size) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static void log_refused(const char *path, const char *what)
{
    char file[LOG_VALUE_BYTES_MAX], reason[LOG_VALUE_BYTES_MAX];
    unsigned long first = ERR_peek_error(); /* The later ones say only who noticed it. */
    const char *text =
        ERR_SYSTEM_ERROR(first) ? strerror(ERR_GET_REASON(first)) : ERR_reason_error_string(first);

    log_event(LOG_ERROR, "http.tls", "file=%s err=%s: %s", log_value(file, path),
              log_value(reason, text ? text : "unknown"), what);
    ERR_clear_error();
}

static SSL_CTX *context_of(const char *certificate, const char *key)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    if (!context)
        return NULL;
    (void)SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    (void)SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                           SSL_OP_CIPHER_SERVER_PREFERENCE);
    /* Many connections wait: their buffers need not. */
    (void)SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_alpn_select_cb(context, select_protocol, NULL);
    ERR_clear_error();
    if (SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1 ||
        SSL_CTX_use_certificate_chain_file(context, certificate) != 1) {
        log_refused(certificate, "name a readable PEM file with the certificate and its chain");
    } else if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
               SSL_CTX_check_private_key(context) != 1) {
        log_refused(key, "name a readable PEM file with the key of the certificate");
    } else {
        return context;
    }
    SSL_CTX_free(context);
    return NULL;
}

static void load(struct http_tls *tls)
{
    SSL_CTX *context;

    tls->stamps[0] = stamp_of(tls->certificate);
    tls->stamps[1] = stamp_of(tls->key);
    context = context_of(tls->certificate, tls->key);
    if (!context)
        return;
    if (tls->context)
        log_event(LOG_INFO, "http.tls", "certificate=read again");
    SSL_CTX_free(tls->context); /* Connections that began with it have it still. */
    tls->context = context;
}

enum torg_err http_tls_new(const char *certificate, const char *key, struct http_tls **ret_tls)
{
    struct http_tls *tls = calloc(1, sizeof(*tls));

    if (!tls)
        return TORG_E_NOMEM;
    pthread_mutex_init(&tls->mutex, NULL);
    tls->certificate = strdup(certificate);
    tls->key = strdup(key);
    if (!tls->certificate || !tls->key) {
        http_tls_free(tls);
        return TORG_E_NOMEM;
    }
    load(tls);
    if (!tls->context) {
        http_tls_free(tls);
        return TORG_E_CONFIG;
    }
    tls->looked_s = clock_monotonic_ms() / 1000;
    *ret_tls = tls;
    return TORG_OK;
}

void http_tls_free(struct http_tls *tls)
{
    if (!tls)
        return;
    SSL_CTX_free(tls->context);
    free(tls->certificate);
    free(tls->key);
    pthread_mutex_destroy(&tls->mutex);
    free(tls);
}

static void look(struct http_tls *tls)
{
    struct stamp certificate, key;

    if (clock_monotonic_ms() / 1000 - tls->looked_s < HTTP_TLS_LOOK_S)
        return;
    tls->looked_s = clock_monotonic_ms() / 1000;
    certificate = stamp_of(tls->certificate);
    key = stamp_of(tls->key);
    if (!stamp_equal(&certificate, &tls->stamps[0]) || !stamp_equal(&key, &tls->stamps[1]))
        load(tls);
}

SSL *http_tls_session(struct http_tls *tls)
{
    SSL *session;

    pthread_mutex_lock(&tls->mutex);
    look(tls);
    session = SSL_new(tls->context);
    pthread_mutex_unlock(&tls->mutex);
    return session;
}

void http_tls_reload(struct http_tls *tls)
{
    pthread_mutex_lock(&tls->mutex);
    load(tls);
    pthread_mutex_unlock(&tls->mutex);
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/node.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/admin.h"
#include "daemon/clock.h"
#include "daemon/guard.h"
#include "daemon/http_server.h"
#include "daemon/keyfile.h"
#include "daemon/log.h"
#include "daemon/memory.h"
#include "daemon/peers.h"
#include "daemon/warm.h"
#include "index/catalogue.h"
#include "index/settings.h"

#define STORE_FILE "torg.mdb" /* of index/store.c */
#define READERS_SPARE 64      /* beside one for each HTTP thread: backups, tools, checks */

/* struct node is what the parts see; this is all of it. */
struct node_whole {
    struct node node; /* first: node_stop gets a pointer to it */
    struct theme_tree *themes;
    struct http *http;
    struct admin *admin;
    struct warm *warm;
    struct secret_key node_key;
    struct replica_signer signer;
};

__attribute__((format(printf, 3, 4))) static enum torg_err refuse(char *message, enum torg_err err,
                                                                  const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, NODE_MESSAGE_BYTES_MAX, format, arguments);
    va_end(arguments);
    return err;
}

static const char *reason_of(enum torg_err err)
{
    return err == TORG_E_IO ? strerror(errno) : torg_err_text(err);
}

/* ---- the store ---- */

static enum torg_err store_missing(const char *directory, char *message)
{
    return refuse(message, TORG_E_NOT_FOUND,
                  "%s: holds no data of a municipality; found one with: torg init, or name the "
                  "right directory in [municipality]",
                  directory);
}

/* After a power cut the operator wants to know that nothing is missing. */
static void recovery_log(struct store *store)
{
    struct store_stat stat;

    if (!store_stat(store, &stat) && stat.recovered > 0)
        log_event(LOG_INFO, "store.recovered", "commits=%" PRIu64, stat.recovered);
}

static enum torg_err open_store(struct node_whole *whole, char *message)
{
    const struct config *config = whole->node.config;
    struct store_options options = store_options_default();
    char path[PATH_MAX];
    enum torg_err err;
    long pid;

    /* Or it would be created, empty. */
    snprintf(path, sizeof(path), "%s/%s", config->directory, STORE_FILE);
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return store_missing(config->directory, message);
    options.map_bytes = config->map_bytes;
    if (options.readers_max < config->http_threads + READERS_SPARE)
        options.readers_max = config->http_threads + READERS_SPARE;
    err = store_open(config->directory, &options, &whole->node.store);
    switch (err) {
    case TORG_OK:
        recovery_log(whole->node.store);
        return TORG_OK;
    case TORG_E_LOCKED:
        pid = store_writer_pid(config->directory);
        if (pid == 0)
            return refuse(message, err,
                          "%s: another process writes in this data directory, or reads what is "
                          "to be recovered after a power cut (torg verify, mdb_copy); end it first",
                          config->directory);
        return refuse(message, err,
                      "%s: another process (%ld) writes in this data directory; stop it first, or "
                      "set another directory in [municipality] of %s",
                      config->directory, pid, config->file);
    case TORG_E_VERSION:
        return refuse(message, err, "%s: written by a newer torg; install that version",
                      config->directory);
    case TORG_E_CORRUPT:
        return refuse(message, err, "%s: damaged; see what `torg verify` says, and restore a copy",
                      config->directory);
    default:
        return refuse(message, err, "%s: the store cannot be opened: %s", config->directory,
                      reason_of(err));
    }
}

/* ---- whose it is ---- */

/* Which number the charter gives our signing key. */
static enum torg_err find_signer(struct node_whole *whole, const struct charter *charter,
                                 const struct public_key *key, char *message)
{
    for (size_t i = 0; i < charter->signing_key_count; i++) {
        if (memcmp(&charter->signing_keys[i].key, key, sizeof(*key)) == 0) {
            whole->signer.key_no = charter->signing_keys[i].key_no;
            return TORG_OK;
        }
    }
    return refuse(message, TORG_E_SIGNATURE,
                  "%s/%s: the newest charter (number %llu) does not list this key; put the signing "
                  "key of this municipality there (after a torg charter that was cut off, it "
                  "stands beside it with the ending .new)",
                  whole->node.config->keys_directory, KEYFILE_SIGNING,
                  (unsigned long long)charter->charter_no);
}

static enum torg_err read_own(struct node_whole *whole, const struct kv *kv,
                              const struct public_key *signing, char *message)
{
    struct public_key node_key = seal_public_key(&whole->node_key);
    struct charter_signed charter_signed;
    struct replica_origin origin;
    struct charter charter;
    struct span bytes;
    enum torg_err err;

    err = settings_own_get(kv, &whole->node.own);
    if (err == TORG_E_NOT_FOUND)
        return store_missing(whole->node.config->directory, message);
    if (!err)
        err = replica_origin_get(kv, &whole->node.own, &origin);
    if (!err)
        err = replica_charter_get(kv, origin.number, origin.charter_no, &bytes);
    if (!err)
        err = charter_signed_parse(bytes, &charter_signed);
    if (!err)
        err = charter_parse(charter_signed.bytes, &charter);
    if (err)
        return refuse(message, err,
                      "%s: the own origin's charter cannot be read (%s); see what `torg verify` "
                      "says, and restore a copy",
                      whole->node.config->directory, torg_err_text(err));
    whole->node.has_own = true;
    if (!charter_has_node_key(&charter, &node_key))
        log_event(LOG_WARN, "node.key",
                  "the newest charter does not list node.key: collections for members will not be "
                  "sent to this node");
    return find_signer(whole, &charter, signing, message);
}

static enum torg_err find_own(struct node_whole *whole, char *message)
{
    const char *keys = whole->node.config->keys_directory;
    struct public_key signing, node_key;
    enum torg_err err;
    struct kv kv;

    err = keyfile_read(keys, KEYFILE_NODE, &whole->node_key, &node_key, message);
    if (!err)
        err = keyfile_read(keys, KEYFILE_SIGNING, &whole->signer.key, &signing, message);
    if (err)
        return err;
    if (memcmp(&signing, &node_key, sizeof(signing)) == 0)
        return refuse(message, TORG_E_CONFIG,
                      "%s: %s and %s hold the same key; TLS and signatures need one each", keys,
                      KEYFILE_NODE, KEYFILE_SIGNING);
    err = store_read_begin(whole->node.store, &kv);
    if (err)
        return refuse(message, err, "%s: the store cannot be read: %s",
                      whole->node.config->directory, reason_of(err));
    err = read_own(whole, &kv, &signing, message);
    store_read_end(&kv);
    return err;
}

/* ---- the catalogue ---- */

static enum torg_err rebuild(struct node_whole *whole)
{
    struct kv kv;
    enum torg_err err = store_write_begin(whole->node.store, &kv);

    if (err)
        return err;
    err = catalogue_rebuild(&kv, whole->themes, NULL, NULL);
    if (err) {
        store_write_abort(&kv);
        return err;
    }
    return store_write_commit(&kv);
}

/* Derived by another version or with other themes: once, before anybody asks. */
static enum torg_err check_catalogue(struct node_whole *whole, char *message)
{
    enum torg_err err;
    struct kv kv;

    err = store_read_begin(whole->node.store, &kv);
    if (!err) {
        err = catalogue_check(&kv, whole->themes);
        store_read_end(&kv);
    }
    if (err == TORG_E_STALE) {
        log_event(LOG_INFO, "catalogue.rebuild",
                  "reason=\"new, or derived by another version or taxonomy\"");
        err = rebuild(whole);
    }
    if (err)
        return refuse(message, err, "%s: the catalogue cannot be derived: %s",
                      whole->node.config->directory, reason_of(err));
    return TORG_OK;
}

/* ---- threads ---- */

static enum torg_err start_writer(struct node_whole *whole, bool confirm_guard, char *message)
{
    const struct config *config = whole->node.config;
    struct writer_options options = {
        .store = whole->node.store,
        .themes = whole->themes,
        .directory = config->directory,
        .has_own = true,
        .own = whole->node.own,
        .signer = whole->signer,
        .queue_max = config->writer_queue_max,
        .commit_bytes = (size_t)whole->node.commit_bytes,
        .ask = true,
        .confirm_guard = confirm_guard,
    };
    enum torg_err err;

    if (options.queue_max < config->sync.store_queue_writes)
        options.queue_max = config->sync.store_queue_writes;
    err = writer_new(&options, &whole->node.writer);
    sodium_memzero(&options.signer, sizeof(options.signer));
    sodium_memzero(&whole->signer, sizeof(whole->signer));
    if (err)
        return refuse(message, err, "%s/%s: the guard file cannot be used: %s", config->directory,
                      GUARD_FILE, reason_of(err));
    return TORG_OK;
}

static enum torg_err start_peers(struct node_whole *whole, char *message)
{
    enum torg_err err = peers_new(&whole->node, &whole->node_key, &whole->node.peers, message);

    sodium_memzero(&whole->node_key, sizeof(whole->node_key));
    return err;
}

/* error: of bind, as errno has it. */
static const char *listen_remedy(int error)
{
    switch (error) {
    case EACCES:
        return "a port below 1024 needs the capability CAP_NET_BIND_SERVICE, which the systemd "
               "unit gives; or set another";
    case EADDRNOTAVAIL:
        return "set an address of this machine";
    default:
        return "end the process that has the port, or set another";
    }
}

static enum torg_err refuse_listen(char *message, enum torg_err err, const char *section,
                                   const char *file)
{
    int error = errno;
    const char *reason = reason_of(err);

    return refuse(message, err, "cannot listen in [%s]: %s; %s, in %s", section, reason,
                  listen_remedy(err == TORG_E_IO ? error : 0), file);
}

static enum torg_err start_listeners(struct node_whole *whole, char *message)
{
    const struct config *config = whole->node.config;
    enum torg_err err = TORG_OK;

    if (config->http_count || config->http_tls_count) {
        err = http_new(&whole->node, &whole->http);
        if (err == TORG_E_CONFIG)
            return refuse(message, err,
                          "[http] in %s cannot be used as it is; the line above, http.tls or "
                          "http.listen, says why",
                          config->file);
        if (err)
            return refuse_listen(message, err, "http", config->file);
    }
    if (config->admin_count) {
        err = admin_new(&whole->node, &whole->admin);
        if (err)
            return refuse_listen(message, err, "admin", config->file);
    }
    err = warm_new(whole->node.store, &whole->warm);
    if (!err)
        err = peers_start(whole->node.peers);
    if (!err && whole->http)
        err = http_start(whole->http);
    if (!err && whole->admin)
        err = admin_start(whole->admin);
    return err ? refuse(message, err, "a thread cannot be started: %s", torg_err_text(err))
               : TORG_OK;
}

static enum torg_err start_all(struct node_whole *whole, bool confirm_guard, char *message)
{
    enum torg_err err = theme_tree_builtin(&whole->themes);

    if (!err)
        err = metrics_new(&whole->node.metrics);
    if (err)
        return refuse(message, err, "cannot start: %s", torg_err_text(err));
    whole->node.themes = whole->themes;
    err = open_store(whole, message);
    if (!err)
        err = find_own(whole, message);
    if (!err)
        err = check_catalogue(whole, message);
    if (!err)
        err = start_writer(whole, confirm_guard, message);
    if (!err)
        err = start_peers(whole, message);
    if (!err)
        err = start_listeners(whole, message);
    return err;
}

enum torg_err node_start(const struct config *config, bool confirm_guard, struct node **ret_node,
                         char *message)
{
    struct node_whole *whole = calloc(1, sizeof(*whole));
    enum torg_err err;

    if (!whole)
        return refuse(message, TORG_E_NOMEM, "%s", torg_err_text(TORG_E_NOMEM));
    whole->node.config = config;
    whole->node.started_ms = clock_wall_ms();
    whole->node.commit_bytes =
        config->commit_bytes ? config->commit_bytes : memory_for_commits(memory_bytes());
    err = start_all(whole, confirm_guard, message);
    if (err) {
        node_stop(&whole->node);
        return err;
    }
    *ret_node = &whole->node;
    return TORG_OK;
}

/* Answers first: listeners end while the writer still answers, the writer while loops still run. */
void node_stop(struct node *node)
{
    struct node_whole *whole = (struct node_whole *)node;

    if (!node)
        return;
    http_free(whole->http);
    admin_free(whole->admin);
    peers_stop(node->peers);
    writer_free(node->writer);
    peers_free(node->peers);
    warm_free(whole->warm);
    store_close(node->store);
    metrics_free(node->metrics);
    theme_tree_free(whole->themes);
    sodium_memzero(whole, sizeof(*whole));
    free(whole);
}

enum torg_err node_reload(struct node *node, struct config *config)
{
    const struct config_key *key = config_restart_key(node->config, config);

    if (key)
        log_event(LOG_WARN, "config.restart", "section=\"[%s]\" key=%s: counts after a restart",
                  key->section, key->name);
    log_set_level((enum log_level)config->log_level);
    if (((struct node_whole *)node)->http)
        http_reload(((struct node_whole *)node)->http);
    return peers_reload(node->peers, config);
}

bool node_is_broken(const struct node *node)
{
    struct kv kv;

    if (writer_state(node->writer) != WRITER_FAILED)
        return false;
    if (store_read_begin(node->store, &kv) == TORG_E_IO)
        return true;
    store_read_end(&kv);
    return false;
}

struct node_ports node_ports(const struct node *node)
{
    const struct node_whole *whole = (const struct node_whole *)node;

    return (struct node_ports){
        .http = whole->http ? http_port(whole->http) : 0,
        .peers = peers_port(node->peers),
        .admin = whole->admin ? admin_port(whole->admin) : 0,
    };
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include "tools/charter_change.h"

#include <errno.h>
#include <limits.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/guard.h"
#include "daemon/keyfile.h"
#include "index/settings.h"
#include "index/store.h"
#include "tools/cli.h"

/*
 * The order of steps is what makes a crash harmless: new keys go to files of
 * their own ("signing.key.new"), then the store takes charter and head in one
 * transaction, then the files take the old keys' names. Whoever comes next sees
 * by the newest charter whether a spare file is needed (take its place) or was
 * never announced (remove it).
 */
#define SPARE ".new"

struct key {
    bool made;
    struct secret_key secret;
    struct public_key public;
};

struct change {
    const struct config *config;
    const struct charter_wish *wish;
    char *message;
    struct store *store;
    struct guard guard;
    struct charter_own own;
    struct charter next;
    struct key root, new_root, signing, node;
    uint64_t signing_no;
    bool speaks; /* a head follows the charter */
};

__attribute__((format(printf, 3, 4))) static enum torg_err refuse(struct change *change,
                                                                  enum torg_err err,
                                                                  const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(change->message, CHARTER_MESSAGE_BYTES_MAX, format, arguments);
    va_end(arguments);
    return err;
}

static enum torg_err refuse_store(struct change *change, enum torg_err err)
{
    const char *directory = change->config->directory;

    if (err == TORG_E_LOCKED)
        return refuse(change, err, "%s: torgd is running there; stop it first", directory);
    if (err == TORG_E_NOT_FOUND)
        return refuse(change, err, "%s: no municipality is founded there", directory);
    return refuse(change, err, "%s: %s%s%s", directory, torg_err_text(err),
                  err == TORG_E_IO ? ": " : "", err == TORG_E_IO ? strerror(errno) : "");
}

enum torg_err charter_own_get(const struct kv *kv, struct charter_own *ret_own)
{
    struct origin_id id;
    struct span bytes;
    enum torg_err err = settings_own_get(kv, &id);

    if (!err)
        err = replica_origin_get(kv, &id, &ret_own->origin);
    if (!err)
        err = replica_charter_get(kv, ret_own->origin.number, ret_own->origin.charter_no, &bytes);
    if (!err)
        err = charter_signed_parse(bytes, &ret_own->charter_signed);
    if (!err)
        err = charter_parse(ret_own->charter_signed.bytes, &ret_own->charter);
    return err;
}

/* ---- key files ---- */

static bool signs(const struct charter *charter, const struct public_key *key)
{
    for (size_t i = 0; i < charter->signing_key_count; i++) {
        if (memcmp(&charter->signing_keys[i].key, key, sizeof(*key)) == 0)
            return true;
    }
    return false;
}

static bool rules(const struct charter *charter, const struct public_key *key)
{
    for (size_t i = 0; i < charter->root_key_count; i++) {
        if (memcmp(&charter->root_keys[i], key, sizeof(*key)) == 0)
            return true;
    }
    return false;
}

static enum torg_err spare_take(struct change *change, const char *name)
{
    const char *keys = change->config->keys_directory;
    char spare[PATH_MAX], place[PATH_MAX];

    if (snprintf(spare, sizeof(spare), "%s/%s" SPARE, keys, name) >= (int)sizeof(spare))
        return refuse(change, TORG_E_TOO_BIG, "%s: the path is too long", keys);
    snprintf(place, sizeof(place), "%s/%s", keys, name);
    if (rename(spare, place) == 0)
        return TORG_OK;
    return refuse(
        change, TORG_E_IO,
        "%s: cannot take the place of %s: %s. The charter lists the new key, so rename it "
        "yourself",
        spare, place, strerror(errno));
}

static void spare_drop(const struct change *change, const char *name)
{
    char spare[PATH_MAX];

    snprintf(spare, sizeof(spare), "%s/%s" SPARE, change->config->keys_directory, name);
    unlink(spare);
}

/* What a run left that was cut off: the newest charter knows what it is. */
static enum torg_err spare_settle(struct change *change, const char *name)
{
    char spare[64], message[KEYFILE_MESSAGE_BYTES_MAX];
    struct key key = {0};
    enum torg_err err;

    snprintf(spare, sizeof(spare), "%s" SPARE, name);
    err = keyfile_read(change->config->keys_directory, spare, &key.secret, &key.public, message);
    sodium_memzero(&key.secret, sizeof(key.secret));
    if (err == TORG_E_NOT_FOUND)
        return TORG_OK;
    if (err)
        return refuse(change, err, "%s", message);
    if (strcmp(name, KEYFILE_SIGNING) == 0
            ? signs(&change->own.charter, &key.public)
            : charter_has_node_key(&change->own.charter, &key.public))
        return spare_take(change, name);
    spare_drop(change, name);
    return TORG_OK;
}

/* directory/name of a path; "." when it has none. */
static void path_split(const char *path, char directory[PATH_MAX], const char **ret_name)
{
    const char *slash = strrchr(path, '/');

    *ret_name = slash ? slash + 1 : path;
    if (slash)
        snprintf(directory, PATH_MAX, "%.*s", (int)(slash - path + 1), path);
    else
        snprintf(directory, PATH_MAX, ".");
}

static enum torg_err key_draw(struct change *change, const char *directory, const char *name,
                              const char *comment, struct key *ret_key)
{
    char message[KEYFILE_MESSAGE_BYTES_MAX];
    uint8_t seed[32];
    enum torg_err err;

    randombytes_buf(seed, sizeof(seed));
    seal_key_of_seed(seed, &ret_key->secret, &ret_key->public);
    err = keyfile_write(directory, name, comment, seed, message);
    sodium_memzero(seed, sizeof(seed));
    ret_key->made = err == TORG_OK;
    return err ? refuse(change, err, "%s", message) : TORG_OK;
}

static enum torg_err keys_draw(struct change *change)
{
    const struct charter_wish *wish = change->wish;
    const char *keys = change->config->keys_directory;
    char directory[PATH_MAX];
    const char *name;
    enum torg_err err = TORG_OK;

    if (wish->new_signing_key)
        err = key_draw(change, keys, KEYFILE_SIGNING SPARE,
                       "torg signing key: signs this node's heads.", &change->signing);
    if (!err && wish->new_node_key)
        err = key_draw(change, keys, KEYFILE_NODE SPARE,
                       "torg node key: proves this node to its peers.", &change->node);
    if (!err && wish->new_root_key) {
        path_split(wish->new_root_key, directory, &name);
        err = key_draw(change, directory, name,
                       "torg root key: signs charters. Keep it offline, and a copy of it safe.",
                       &change->new_root);
    }
    return err;
}

static void keys_drop(const struct change *change)
{
    if (change->signing.made)
        spare_drop(change, KEYFILE_SIGNING);
    if (change->node.made)
        spare_drop(change, KEYFILE_NODE);
    if (change->new_root.made)
        unlink(change->wish->new_root_key);
}

/* The keys that there are: the root key, and the one that signs if it stays. */
static enum torg_err keys_read(struct change *change)
{
    char message[KEYFILE_MESSAGE_BYTES_MAX], directory[PATH_MAX];
    const char *name;
    enum torg_err err;

    path_split(change->wish->root_key, directory, &name);
    err = keyfile_read(directory, name, &change->root.secret, &change->root.public, message);
    if (err == TORG_E_NOT_FOUND)
        return refuse(change, err, "%s: is not there; bring root.key from where it is kept offline",
                      change->wish->root_key);
    if (err)
        return refuse(change, err, "%s", message);
    if (!rules(&change->own.charter, &change->root.public))
        return refuse(change, TORG_E_SIGNATURE, "%s: is not a root key of this municipality",
                      change->wish->root_key);
    if (change->own.charter.threshold > 1)
        return refuse(change, TORG_E_SIGNATURE,
                      "this charter needs %u root keys; torg signs with one only",
                      change->own.charter.threshold);
    if (change->wish->new_signing_key)
        return TORG_OK;
    err = keyfile_read(change->config->keys_directory, KEYFILE_SIGNING, &change->signing.secret,
                       &change->signing.public, message);
    if (err)
        return refuse(change, err, "%s", message);
    if (!signs(&change->own.charter, &change->signing.public))
        return refuse(change, TORG_E_SIGNATURE,
                      "%s/%s is not a signing key of this municipality; give --new-signing-key",
                      change->config->keys_directory, KEYFILE_SIGNING);
    return TORG_OK;
}

/* ---- the charter ---- */

/* Above every number that any charter ever gave: a number is never used again. */
static enum torg_err signing_no_next(const struct kv *kv, const struct charter_own *own,
                                     uint64_t *ret_no)
{
    uint64_t newest = 0;

    for (uint64_t no = 0; no <= own->origin.charter_no; no++) {
        struct charter_signed charter_signed;
        struct charter charter;
        struct span bytes;
        enum torg_err err = replica_charter_get(kv, own->origin.number, no, &bytes);

        if (!err)
            err = charter_signed_parse(bytes, &charter_signed);
        if (!err)
            err = charter_parse(charter_signed.bytes, &charter);
        if (err)
            return err;
        for (size_t i = 0; i < charter.signing_key_count; i++) {
            if (charter.signing_keys[i].key_no > newest)
                newest = charter.signing_keys[i].key_no;
        }
    }
    *ret_no = newest + 1;
    return TORG_OK;
}

static void root_replace(struct change *change)
{
    struct charter *next = &change->next;

    for (size_t i = 0; i < next->root_key_count; i++) {
        if (memcmp(&next->root_keys[i], &change->root.public, sizeof(change->root.public)) == 0)
            next->root_keys[i] = change->new_root.public;
    }
}

/* The next head would carry out what the charter does not name. */
static enum torg_err visibility_check(struct change *change)
{
    const struct charter_wish *wish = change->wish;

    for (uint8_t c = 1; c < COLLECTIONS_MAX; c++) {
        if (wish->visible >> c & 1 && wish->visibility[c] == VISIBILITY_LOCAL &&
            change->own.origin.held[c].count > 0)
            return refuse(change, TORG_E_INVALID,
                          "%s has listings, which are published; delete them before it becomes "
                          "local",
                          collection_name(c) ? collection_name(c) : "the collection");
    }
    return TORG_OK;
}

static void visibility_take(struct change *change)
{
    const struct charter_wish *wish = change->wish;

    for (uint8_t c = 1; c < COLLECTIONS_MAX; c++) {
        if (wish->visible >> c & 1)
            change->next.visibility[c] = wish->visibility[c];
    }
}

/* Texts point into the store and the wish, keys are drawn. */
static enum torg_err next_fill(struct change *change, const struct kv *kv)
{
    const struct charter_wish *wish = change->wish;
    struct charter *next = &change->next;
    enum torg_err err = TORG_OK;

    *next = change->own.charter;
    next->charter_no++;
    next->prev = charter_hash(change->own.charter_signed.bytes);
    next->epoch += wish->new_epoch;
    if (wish->name)
        next->name = span_of_str(wish->name);
    if (wish->address) {
        next->endpoint_count = *wish->address != '\0';
        next->endpoints[0] = span_of_str(wish->address);
    }
    if (wish->new_signing_key) {
        err = signing_no_next(kv, &change->own, &change->signing_no);
        next->signing_key_count = 1;
        next->signing_keys[0] = (struct charter_signing_key){.key_no = change->signing_no,
                                                             .key = change->signing.public};
    }
    for (size_t i = 0; i < next->signing_key_count; i++) {
        if (memcmp(&next->signing_keys[i].key, &change->signing.public,
                   sizeof(change->signing.public)) == 0)
            change->signing_no = next->signing_keys[i].key_no;
    }
    if (wish->new_node_key) {
        next->node_key_count = 1;
        next->node_keys[0] = change->node.public;
    }
    if (wish->new_root_key)
        root_replace(change);
    visibility_take(change);
    return err;
}

/* Signed by a root key of the charter before and by one of its own: often the same. */
static void next_sign(const struct change *change, struct span bytes,
                      struct charter_signed *ret_signed)
{
    *ret_signed = (struct charter_signed){.bytes = bytes, .signature_count = 1};
    ret_signed->signatures[0].key = change->root.public;
    ret_signed->signatures[0].signature = seal_sign(DOMAIN_CHARTER, bytes, &change->root.secret);
    if (!change->new_root.made)
        return;
    ret_signed->signature_count = 2;
    ret_signed->signatures[1].key = change->new_root.public;
    ret_signed->signatures[1].signature =
        seal_sign(DOMAIN_CHARTER, bytes, &change->new_root.secret);
}

/* Charter and, at once, a head by the new key: what was signed by the old one then counts no more.
 */
static enum torg_err next_store(struct change *change, struct kv *kv)
{
    struct replica_signer signer = {.key = change->signing.secret, .key_no = change->signing_no};
    struct charter_signed charter_signed;
    struct replica_write write = {
        .kind = REPLICA_WRITE_CHARTERS,
        .origin = change->own.origin.id,
        .charters = &charter_signed,
        .charter_count = 1,
        .now_ms = cli_now_ms(),
    };
    struct buffer bytes = {0}, head = {0};
    enum torg_err err = charter_pack(&change->next, &bytes);

    if (!err) {
        next_sign(change, buffer_span(&bytes), &charter_signed);
        err = replica_apply(kv, &write, NULL);
    }
    if (!err && change->speaks)
        err = replica_commit_local(kv, &change->own.origin.id, &signer, NULL, 0, write.now_ms, NULL,
                                   &head);
    sodium_memzero(&signer, sizeof(signer));
    buffer_done(&bytes);
    buffer_done(&head);
    return err;
}

/* ---- the whole of it ---- */

static struct guard_mark mark_of(const struct replica_origin *origin)
{
    return (struct guard_mark){.origin = origin->id,
                               .epoch = origin->head.epoch,
                               .hno = origin->head.hno,
                               .head_hash = origin->head_hash};
}

/* An old copy of the database must not sign anew what was published after it. */
static enum torg_err guard_check(struct change *change)
{
    const char *directory = change->config->directory;
    struct guard_mark mark = mark_of(&change->own.origin);
    enum torg_err err;

    if (!change->own.origin.has_head)
        return TORG_OK;
    err = guard_open(directory, &change->own.origin.id, &change->guard);
    if (err)
        return refuse(change, err, "%s/%s: %s", directory, GUARD_FILE, strerror(errno));
    if (change->guard.has_mark && memcmp(&change->guard.mark, &mark, sizeof(mark)) == 0)
        return TORG_OK;
    return refuse(change, TORG_E_RECOVERING,
                  "%s: the guard file does not name the newest head of this database, which may be "
                  "an old copy. Start torgd until /readyz says that it is ready, stop it, and try "
                  "again",
                  directory);
}

static enum torg_err check(struct change *change, const struct kv *kv)
{
    enum torg_err err = charter_own_get(kv, &change->own);

    if (err)
        return refuse_store(change, err);
    err = spare_settle(change, KEYFILE_SIGNING);
    if (!err)
        err = spare_settle(change, KEYFILE_NODE);
    if (!err)
        err = guard_check(change);
    if (!err)
        err = keys_read(change);
    if (!err)
        err = visibility_check(change);
    if (!err && change->wish->new_epoch && !change->own.origin.has_head)
        err = refuse(change, TORG_E_INVALID,
                     "nothing was published yet, so there is no epoch to end");
    change->speaks = change->own.origin.has_head;
    return err;
}

static enum torg_err write_all(struct change *change, struct kv *kv)
{
    enum torg_err err = check(change, kv);

    if (err)
        return err;
    err = keys_draw(change);
    if (err)
        return err;
    err = next_fill(change, kv);
    if (!err)
        err = next_store(change, kv);
    if (err == TORG_E_RECOVERING)
        return refuse(change, err,
                      "%s: some of the own listings are missing here; start torgd, which fetches "
                      "them from its peers, then stop it and try again",
                      change->config->directory);
    if (err == TORG_E_UNEXPECTED)
        return refuse(change, err,
                      "two heads with one number exist, so this epoch is at its end; give "
                      "--new-epoch");
    return err ? refuse_store(change, err) : TORG_OK;
}

/* Durable already: what follows is put right by the next start or the next run too. */
static enum torg_err finish(struct change *change)
{
    struct guard_mark mark;
    struct kv read;
    enum torg_err err = TORG_OK;

    if (change->speaks) {
        err = store_read_begin(change->store, &read);
        if (!err) {
            err = charter_own_get(&read, &change->own);
            store_read_end(&read);
        }
        mark = mark_of(&change->own.origin);
        if (!err)
            err = guard_write(&change->guard, &mark);
        if (err)
            refuse(change, err, "the charter is made, but not the guard file: %s",
                   err == TORG_E_IO ? strerror(errno) : torg_err_text(err));
    }
    if (!err && change->signing.made)
        err = spare_take(change, KEYFILE_SIGNING);
    if (!err && change->node.made)
        err = spare_take(change, KEYFILE_NODE);
    return err;
}

/* Or it would be made, empty. */
static bool store_is_there(const char *directory)
{
    char path[PATH_MAX];

    return snprintf(path, sizeof(path), "%s/torg.mdb", directory) < (int)sizeof(path) &&
           access(path, F_OK) == 0;
}

static enum torg_err change_run(struct change *change)
{
    struct store_options options = store_options_default();
    struct kv write;
    enum torg_err err;

    options.map_bytes = change->config->map_bytes;
    if (!store_is_there(change->config->directory))
        return refuse_store(change, TORG_E_NOT_FOUND);
    err = store_open(change->config->directory, &options, &change->store);
    if (!err)
        err = store_write_begin(change->store, &write);
    if (err)
        return refuse_store(change, err);
    err = write_all(change, &write);
    if (err) {
        store_write_abort(&write);
        keys_drop(change);
        return err;
    }
    err = store_write_commit(&write);
    /* When its fate is unknown the new keys must stay: the next run sees which count. */
    return err ? refuse_store(change, err) : finish(change);
}

enum torg_err charter_change(const struct config *config, const struct charter_wish *wish,
                             uint64_t *ret_charter_no, char *message)
{
    struct change *change = calloc(1, sizeof(*change));
    enum torg_err err = TORG_E_NOMEM;

    snprintf(message, CHARTER_MESSAGE_BYTES_MAX, "%s", torg_err_text(err));
    if (!change)
        return err;
    *change = (struct change){.config = config, .wish = wish, .message = message};
    err = change_run(change);
    if (!err)
        *ret_charter_no = change->next.charter_no;
    guard_done(&change->guard);
    store_close(change->store);
    sodium_memzero(change, sizeof(*change));
    free(change);
    return err;
}

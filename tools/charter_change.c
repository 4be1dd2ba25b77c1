/* SPDX-License-Identifier: EUPL-1.2 */
#include "tools/charter_change.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "index/settings.h"
#include "index/store.h"
#include "tools/charter_internal.h"
#include "tools/cli.h"

/*
 * The order of steps is what makes a crash harmless: new keys go to files of
 * their own ("signing.key.new"), then the store takes charter and head in one
 * transaction, then the files take the old keys' names. Whoever comes next sees
 * by the newest charter whether a spare file is needed (take its place) or was
 * never announced (remove it).
 */

enum torg_err charter_refuse(struct charter_change *change, enum torg_err err, const char *format,
                             ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(change->message, CHARTER_MESSAGE_BYTES_MAX, format, arguments);
    va_end(arguments);
    return err;
}

static enum torg_err refuse_store(struct charter_change *change, enum torg_err err)
{
    const char *directory = change->config->directory;

    if (err == TORG_E_LOCKED)
        return charter_refuse(change, err, "%s: torgd is running there; stop it first", directory);
    if (err == TORG_E_NOT_FOUND)
        return charter_refuse(change, err, "%s: no municipality is founded there", directory);
    return charter_refuse(change, err, "%s: %s%s%s", directory, torg_err_text(err),
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

/* ---- in the store ---- */

/* The number that the next charter gives to the key that this node signs with. */
static uint64_t signing_no(const struct charter_change *change)
{
    for (size_t i = 0; i < change->next.signing_key_count; i++) {
        const struct charter_signing_key *key = &change->next.signing_keys[i];

        if (memcmp(&key->key, &change->signing.public, sizeof(key->key)) == 0)
            return key->key_no;
    }
    return 0; /* no key has it: the commit refuses it */
}

/* Charter and, at once, a head by the new key: what was signed by the old one then counts no more.
 */
static enum torg_err next_store(struct charter_change *change, struct kv *kv)
{
    struct replica_signer signer = {.key = change->signing.secret, .key_no = signing_no(change)};
    struct replica_write write = {
        .kind = REPLICA_WRITE_CHARTERS,
        .origin = change->own.origin.id,
        .charters = &change->next_signed,
        .charter_count = 1,
        .now_ms = cli_now_ms(),
    };
    struct buffer head = {0};
    enum torg_err err = charter_next_check(change);

    if (!err)
        err = replica_apply(kv, &write, NULL);
    if (!err && change->speaks)
        err = replica_commit_local(kv, &change->own.origin.id, &signer, NULL, 0, write.now_ms, NULL,
                                   &head);
    sodium_memzero(&signer, sizeof(signer));
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
static enum torg_err guard_check(struct charter_change *change)
{
    const char *directory = change->config->directory;
    struct guard_mark mark = mark_of(&change->own.origin);
    enum torg_err err;

    if (!change->own.origin.has_head)
        return TORG_OK;
    err = guard_open(directory, &change->own.origin.id, &change->guard);
    if (err)
        return charter_refuse(change, err, "%s/%s: %s", directory, GUARD_FILE, strerror(errno));
    if (change->guard.has_mark && memcmp(&change->guard.mark, &mark, sizeof(mark)) == 0)
        return TORG_OK;
    return charter_refuse(
        change, TORG_E_RECOVERING,
        "%s: the guard file does not name the newest head of this database, which may be "
        "an old copy. Start torgd until /readyz says that it is ready, stop it, and try "
        "again",
        directory);
}

static enum torg_err own_get(struct charter_change *change, const struct kv *kv)
{
    enum torg_err err = charter_own_get(kv, &change->own);

    if (err)
        return refuse_store(change, err);
    change->speaks = change->own.origin.has_head;
    if (change->wish && change->wish->new_epoch && !change->speaks)
        return charter_refuse(change, TORG_E_INVALID,
                              "nothing was published yet, so there is no epoch to end");
    return TORG_OK;
}

static enum torg_err store_refused(struct charter_change *change, enum torg_err err)
{
    if (change->message[0])
        return err; /* said where it was decided */
    if (err == TORG_E_RECOVERING)
        return charter_refuse(
            change, err,
            "%s: some of the own listings are missing here; start torgd, which fetches "
            "them from its peers, then stop it and try again",
            change->config->directory);
    if (err == TORG_E_UNEXPECTED)
        return charter_refuse(change, err,
                              "two heads with one number exist, so this epoch is at its end; give "
                              "--new-epoch");
    return refuse_store(change, err);
}

/* A new charter with all its signatures. */
static enum torg_err new_write(struct charter_change *change, struct kv *kv)
{
    enum torg_err err = charter_keys_read_roots(change);

    if (!err)
        err = charter_keys_read_signing(change);
    if (!err)
        err = charter_keys_draw(change);
    if (!err)
        err = charter_next_make(change, kv);
    return err ? err : next_store(change, kv);
}

/* Is it the draft of what comes after the newest charter that is here? */
static enum torg_err draft_check(struct charter_change *change)
{
    const struct charter_draft *draft = &change->draft;

    if (span_equal(draft->before_signed.bytes, change->own.charter_signed.bytes))
        return TORG_OK;
    if (span_equal(draft->next_signed.bytes, change->own.charter_signed.bytes))
        return charter_refuse(change, TORG_E_KNOWN,
                              "this draft has become charter %" PRIu64 " already",
                              change->own.charter.charter_no);
    return charter_refuse(change, TORG_E_STALE,
                          "the draft goes on from a charter %" PRIu64 " that is not the newest "
                          "here; make another draft",
                          draft->before.charter_no);
}

/* A draft that has been signed in turn. */
static enum torg_err draft_write(struct charter_change *change, struct kv *kv)
{
    enum torg_err err = draft_check(change);

    if (err)
        return err;
    change->next = change->draft.next;
    change->next_signed = change->draft.next_signed;
    err = charter_keys_of_draft(change);
    return err ? err : next_store(change, kv);
}

static enum torg_err write_all(struct charter_change *change, struct kv *kv)
{
    enum torg_err err = own_get(change, kv);

    if (!err)
        err = charter_keys_settle(change);
    if (!err)
        err = guard_check(change);
    if (!err)
        err = change->wish ? new_write(change, kv) : draft_write(change, kv);
    return err ? store_refused(change, err) : TORG_OK;
}

/* Durable already: what follows is put right by the next start or the next run too. */
static enum torg_err finish(struct charter_change *change)
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
            charter_refuse(change, err, "the charter is made, but not the guard file: %s",
                           err == TORG_E_IO ? strerror(errno) : torg_err_text(err));
    }
    return err ? err : charter_keys_finish(change);
}

/* Or it would be made, empty. */
static bool store_is_there(const char *directory)
{
    char path[PATH_MAX];

    return snprintf(path, sizeof(path), "%s/torg.mdb", directory) < (int)sizeof(path) &&
           access(path, F_OK) == 0;
}

static enum torg_err change_run(struct charter_change *change)
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
        charter_keys_drop(change);
        return err;
    }
    err = store_write_commit(&write);
    /* When its fate is unknown the new keys must stay: the next run sees which count. */
    return err ? refuse_store(change, err) : finish(change);
}

/* ---- what can be asked for ---- */

static struct charter_change *change_new(const struct config *config,
                                         const struct charter_wish *wish, const char *suffix,
                                         char *message)
{
    struct charter_change *change = calloc(1, sizeof(*change));

    message[0] = '\0';
    if (change)
        *change = (struct charter_change){
            .config = config, .wish = wish, .message = message, .suffix = suffix};
    else
        snprintf(message, CHARTER_MESSAGE_BYTES_MAX, "%s", torg_err_text(TORG_E_NOMEM));
    return change;
}

static void change_free(struct charter_change *change)
{
    guard_done(&change->guard);
    store_close(change->store);
    charter_draft_done(&change->draft);
    buffer_done(&change->next_bytes);
    sodium_memzero(change, sizeof(*change));
    free(change);
}

enum torg_err charter_change(const struct config *config, const struct charter_wish *wish,
                             uint64_t *ret_charter_no, char *message)
{
    struct charter_change *change = change_new(config, wish, SPARE, message);
    enum torg_err err;

    if (!change)
        return TORG_E_NOMEM;
    err = change_run(change);
    if (!err)
        *ret_charter_no = change->next.charter_no;
    change_free(change);
    return err;
}

enum torg_err charter_take(const struct config *config, const char *path, uint64_t *ret_charter_no,
                           char *message)
{
    struct charter_change *change = change_new(config, NULL, SPARE, message);
    enum torg_err err;

    if (!change)
        return TORG_E_NOMEM;
    err = charter_draft_read(path, &change->draft, message);
    if (!err)
        err = change_run(change);
    if (!err)
        *ret_charter_no = change->next.charter_no;
    change_free(change);
    return err;
}

static enum torg_err draft_make(struct charter_change *change, const struct kv *kv,
                                const char *path)
{
    enum torg_err err = own_get(change, kv);

    if (!err)
        err = charter_keys_read_roots(change);
    if (!err)
        err = charter_keys_draw(change);
    if (!err)
        err = charter_next_make(change, kv);
    if (!err)
        err = charter_draft_write(path, &change->own.charter_signed, &change->next_signed, false,
                                  change->message);
    if (err)
        charter_keys_drop(change);
    return err ? store_refused(change, err) : TORG_OK;
}

enum torg_err charter_draft(const struct config *config, const struct charter_wish *wish,
                            const char *path, char *message)
{
    struct charter_change *change = change_new(config, wish, DRAFT, message);
    struct store_options options = store_options_default();
    struct kv read;
    enum torg_err err;

    if (!change)
        return TORG_E_NOMEM;
    options.read_only = true;
    err = store_open(config->directory, &options, &change->store);
    if (!err)
        err = store_read_begin(change->store, &read);
    if (err) {
        err = refuse_store(change, err);
    } else {
        err = draft_make(change, &read, path);
        store_read_end(&read);
    }
    change_free(change);
    return err;
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include <errno.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/keyfile.h"
#include "tools/charter_internal.h"

bool charter_lists_signing(const struct charter *charter, const struct public_key *key)
{
    for (size_t i = 0; i < charter->signing_key_count; i++) {
        if (memcmp(&charter->signing_keys[i].key, key, sizeof(*key)) == 0)
            return true;
    }
    return false;
}

bool charter_lists_root(const struct charter *charter, const struct public_key *key)
{
    for (size_t i = 0; i < charter->root_key_count; i++) {
        if (memcmp(&charter->root_keys[i], key, sizeof(*key)) == 0)
            return true;
    }
    return false;
}

/* Does charter list the key of the file of that name? */
static bool lists(const struct charter *charter, const char *name, const struct public_key *key)
{
    return strcmp(name, KEYFILE_SIGNING) == 0 ? charter_lists_signing(charter, key)
                                              : charter_has_node_key(charter, key);
}

/* ---- spare files ---- */

static enum torg_err path_of(struct charter_change *change, const char *name, const char *suffix,
                             char ret_path[PATH_MAX])
{
    const char *keys = change->config->keys_directory;

    if (snprintf(ret_path, PATH_MAX, "%s/%s%s", keys, name, suffix) >= PATH_MAX)
        return charter_refuse(change, TORG_E_TOO_BIG, "%s: the path is too long", keys);
    return TORG_OK;
}

static enum torg_err spare_take(struct charter_change *change, const char *name)
{
    char spare[PATH_MAX], place[PATH_MAX];
    enum torg_err err = path_of(change, name, SPARE, spare);

    if (!err)
        err = path_of(change, name, "", place);
    if (err || rename(spare, place) == 0)
        return err;
    return charter_refuse(
        change, TORG_E_IO,
        "%s: cannot take the place of %s: %s. The charter lists the new key, so rename it "
        "yourself",
        spare, place, strerror(errno));
}

static void file_drop(const struct charter_change *change, const char *name, const char *suffix)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s%s", change->config->keys_directory, name, suffix);
    unlink(path);
}

/* A key file of that suffix: TORG_E_NOT_FOUND, said nowhere, if it is not there. */
static enum torg_err key_read(struct charter_change *change, const char *name, const char *suffix,
                              struct charter_key *ret_key)
{
    char file[64], message[KEYFILE_MESSAGE_BYTES_MAX];
    enum torg_err err;

    snprintf(file, sizeof(file), "%s%s", name, suffix);
    err = keyfile_read(change->config->keys_directory, file, &ret_key->secret, &ret_key->public,
                       message);
    return err && err != TORG_E_NOT_FOUND ? charter_refuse(change, err, "%s", message) : err;
}

static enum torg_err spare_settle(struct charter_change *change, const char *name)
{
    struct charter_key key = {0};
    enum torg_err err = key_read(change, name, SPARE, &key);

    sodium_memzero(&key.secret, sizeof(key.secret));
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_OK : err;
    if (lists(&change->own.charter, name, &key.public))
        return spare_take(change, name);
    file_drop(change, name, SPARE);
    return TORG_OK;
}

enum torg_err charter_keys_settle(struct charter_change *change)
{
    enum torg_err err = spare_settle(change, KEYFILE_SIGNING);

    return err ? err : spare_settle(change, KEYFILE_NODE);
}

/* ---- keys that there are ---- */

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

enum torg_err charter_root_key_read(const char *path, struct secret_key *ret_secret,
                                    struct public_key *ret_public, char *message)
{
    char why[KEYFILE_MESSAGE_BYTES_MAX], directory[PATH_MAX];
    const char *name;
    enum torg_err err;

    path_split(path, directory, &name);
    err = keyfile_read(directory, name, ret_secret, ret_public, why);
    if (err == TORG_E_NOT_FOUND)
        snprintf(message, CHARTER_MESSAGE_BYTES_MAX,
                 "%s: is not there; bring root.key from where it is kept offline", path);
    else if (err)
        snprintf(message, CHARTER_MESSAGE_BYTES_MAX, "%s", why);
    return err;
}

static bool was_brought(const struct charter_change *change, const struct public_key *key)
{
    for (size_t i = 0; i < change->root_count; i++) {
        if (memcmp(&change->roots[i].public, key, sizeof(*key)) == 0)
            return true;
    }
    return false;
}

enum torg_err charter_keys_read_roots(struct charter_change *change)
{
    const struct charter_wish *wish = change->wish;

    for (size_t i = 0; i < wish->root_key_count; i++) {
        struct charter_key *root = &change->roots[i];
        enum torg_err err = charter_root_key_read(wish->root_keys[i], &root->secret, &root->public,
                                                  change->message);

        if (err)
            return err;
        if (!charter_lists_root(&change->own.charter, &root->public))
            return charter_refuse(change, TORG_E_SIGNATURE,
                                  "%s: is not a root key of this municipality", wish->root_keys[i]);
        if (was_brought(change, &root->public))
            return charter_refuse(change, TORG_E_KNOWN, "%s: is a root key that stands here twice",
                                  wish->root_keys[i]);
        change->root_count++;
    }
    return TORG_OK;
}

enum torg_err charter_keys_read_signing(struct charter_change *change)
{
    char message[KEYFILE_MESSAGE_BYTES_MAX];
    enum torg_err err;

    if (change->wish->new_signing_key)
        return TORG_OK;
    err = keyfile_read(change->config->keys_directory, KEYFILE_SIGNING, &change->signing.secret,
                       &change->signing.public, message);
    if (err)
        return charter_refuse(change, err, "%s", message);
    if (!charter_lists_signing(&change->own.charter, &change->signing.public))
        return charter_refuse(
            change, TORG_E_SIGNATURE,
            "%s/%s is not a signing key of this municipality; give --new-signing-key",
            change->config->keys_directory, KEYFILE_SIGNING);
    return TORG_OK;
}

/* ---- keys that are to be ---- */

static enum torg_err draw(const char *directory, const char *name, const char *comment,
                          struct secret_key *ret_secret, struct public_key *ret_public,
                          char *message)
{
    char why[KEYFILE_MESSAGE_BYTES_MAX];
    uint8_t seed[32];
    enum torg_err err;

    randombytes_buf(seed, sizeof(seed));
    seal_key_of_seed(seed, ret_secret, ret_public);
    err = keyfile_write(directory, name, comment, seed, why);
    sodium_memzero(seed, sizeof(seed));
    if (err)
        snprintf(message, CHARTER_MESSAGE_BYTES_MAX, "%s", why);
    return err;
}

enum torg_err charter_root_key_make(const char *path, struct secret_key *ret_secret,
                                    struct public_key *ret_public, char *message)
{
    char directory[PATH_MAX];
    const char *name;

    path_split(path, directory, &name);
    return draw(directory, name,
                "torg root key: signs charters. Keep it offline, and a copy of it safe.",
                ret_secret, ret_public, message);
}

static enum torg_err key_draw(struct charter_change *change, const char *name, const char *comment,
                              struct charter_key *ret_key)
{
    char file[64];
    enum torg_err err;

    snprintf(file, sizeof(file), "%s%s", name, change->suffix);
    if (strcmp(change->suffix, DRAFT) == 0)
        file_drop(change, name, DRAFT); /* of a draft that this one takes the place of */
    err = draw(change->config->keys_directory, file, comment, &ret_key->secret, &ret_key->public,
               change->message);
    ret_key->made = err == TORG_OK;
    return err;
}

/* A file to be made; or, as 64 hex digits, a key that another keeper has. */
static enum torg_err root_add(struct charter_change *change, const char *what)
{
    struct charter_key *root = &change->new_roots[change->new_root_count++];
    enum torg_err err;

    if (hex_decode(what, root->public.bytes, sizeof(root->public.bytes)) == TORG_OK)
        return TORG_OK;
    err = charter_root_key_make(what, &root->secret, &root->public, change->message);
    root->made = err == TORG_OK;
    return err;
}

enum torg_err charter_keys_draw(struct charter_change *change)
{
    const struct charter_wish *wish = change->wish;
    enum torg_err err = TORG_OK;

    if (wish->new_signing_key)
        err = key_draw(change, KEYFILE_SIGNING, "torg signing key: signs this node's heads.",
                       &change->signing);
    if (!err && wish->new_node_key)
        err = key_draw(change, KEYFILE_NODE, "torg node key: proves this node to its peers.",
                       &change->node);
    if (!err && wish->new_root_key)
        err = root_add(change, wish->new_root_key);
    for (size_t i = 0; i < wish->add_root_count && !err; i++)
        err = root_add(change, wish->add_roots[i]);
    return err;
}

void charter_keys_drop(const struct charter_change *change)
{
    const struct charter_wish *wish = change->wish;
    size_t replaced = wish && wish->new_root_key ? 1 : 0;

    if (change->signing.made)
        file_drop(change, KEYFILE_SIGNING, change->suffix);
    if (change->node.made)
        file_drop(change, KEYFILE_NODE, change->suffix);
    for (size_t i = 0; i < change->new_root_count; i++) {
        if (change->new_roots[i].made)
            unlink(i < replaced ? wish->new_root_key : wish->add_roots[i - replaced]);
    }
}

/* ---- a draft that is taken ---- */

/* Its key, which DRAFT holds or the file in use; from DRAFT it is to take its place. */
static enum torg_err draft_key(struct charter_change *change, const char *name,
                               struct charter_key *key)
{
    char draft[PATH_MAX], spare[PATH_MAX];
    enum torg_err err = key_read(change, name, "", key);

    if (!err && lists(&change->next, name, &key->public))
        return TORG_OK;
    if (!err || err == TORG_E_NOT_FOUND)
        err = key_read(change, name, DRAFT, key);
    if (err == TORG_E_NOT_FOUND || (!err && !lists(&change->next, name, &key->public)))
        return charter_refuse(change, TORG_E_SIGNATURE,
                              "the draft lists a key that is neither in %s nor in %s%s of %s; make "
                              "another draft",
                              name, name, DRAFT, change->config->keys_directory);
    if (!err)
        err = path_of(change, name, DRAFT, draft);
    if (!err)
        err = path_of(change, name, SPARE, spare);
    if (err)
        return err;
    if (link(draft, spare) != 0)
        return charter_refuse(change, TORG_E_IO, "%s: %s", spare, strerror(errno));
    key->made = true;
    return TORG_OK;
}

enum torg_err charter_keys_of_draft(struct charter_change *change)
{
    enum torg_err err = draft_key(change, KEYFILE_SIGNING, &change->signing);

    return err ? err : draft_key(change, KEYFILE_NODE, &change->node);
}

enum torg_err charter_keys_finish(struct charter_change *change)
{
    enum torg_err err = TORG_OK;

    if (change->signing.made)
        err = spare_take(change, KEYFILE_SIGNING);
    if (!err && change->node.made)
        err = spare_take(change, KEYFILE_NODE);
    if (!err) {
        file_drop(change, KEYFILE_SIGNING, DRAFT);
        file_drop(change, KEYFILE_NODE, DRAFT);
    }
    return err;
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include "tools/charter_draft.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "protocol/profile.h"
#include "tools/cli.h"

static const char magic[] = "torg charter draft 1\n";
#define MAGIC_BYTES (sizeof(magic) - 1)

__attribute__((format(printf, 3, 4))) static enum torg_err refuse(char *message, enum torg_err err,
                                                                  const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, CHARTER_MESSAGE_BYTES_MAX, format, arguments);
    va_end(arguments);
    return err;
}

/* ---- the file ---- */

/* The two charters, from bytes that anybody may have sent. */
static enum torg_err draft_parse(struct charter_draft *draft)
{
    struct span bytes = buffer_span(&draft->file);
    struct profile_reader in;
    enum torg_err err;

    if (bytes.size < MAGIC_BYTES || memcmp(bytes.data, magic, MAGIC_BYTES) != 0)
        return TORG_E_INVALID;
    bytes = span_of(bytes.data + MAGIC_BYTES, bytes.size - MAGIC_BYTES);
    err = profile_check(bytes);
    if (err)
        return err;
    in = profile_reader_of(bytes);
    profile_array_of(&in, 2);
    draft->before_signed.bytes = profile_bin(&in, CHARTER_BYTES_MAX);
    err = charter_signed_parse(profile_skip(&in), &draft->next_signed);
    if (!err)
        err = profile_end(&in);
    if (!err)
        err = charter_parse(draft->before_signed.bytes, &draft->before);
    return err ? err : charter_parse(draft->next_signed.bytes, &draft->next);
}

enum torg_err charter_draft_read(const char *path, struct charter_draft *ret_draft, char *message)
{
    struct charter_draft draft = {0};
    enum torg_err err = cli_read_file(path, CHARTER_DRAFT_BYTES_MAX, &draft.file);

    if (err == TORG_E_IO) {
        refuse(message, err, "%s: %s", path, strerror(errno));
    } else if (err || draft_parse(&draft)) {
        err =
            refuse(message, TORG_E_INVALID,
                   "%s: is no draft of a charter, as \"torg charter new --draft\" makes it", path);
    } else {
        err = charter_support_count(&draft.before_signed, &draft.next_signed, &draft.support);
        if (err == TORG_E_SIGNATURE)
            refuse(message, err,
                   "%s: has a signature that is none, or by a key that is no root key of either "
                   "charter",
                   path);
        else if (err)
            refuse(message, err, "%s: its charter does not follow the one before: %s", path,
                   torg_err_text(err));
    }
    if (err)
        charter_draft_done(&draft);
    else
        *ret_draft = draft;
    return err;
}

void charter_draft_done(struct charter_draft *draft)
{
    buffer_done(&draft->file);
    *draft = (struct charter_draft){0};
}

bool charter_draft_complete(const struct charter_draft *draft)
{
    return draft->support.by_before >= draft->before.threshold &&
           draft->support.by_own >= draft->next.threshold;
}

static bool write_whole(FILE *out, struct span bytes)
{
    bool good = fwrite(bytes.data, 1, bytes.size, out) == bytes.size && fflush(out) == 0 &&
                fsync(fileno(out)) == 0;

    return fclose(out) == 0 && good;
}

enum torg_err charter_draft_write(const char *path, const struct charter_signed *before,
                                  const struct charter_signed *next, bool replace, char *message)
{
    struct buffer bytes = {0};
    char new_path[PATH_MAX];
    enum torg_err err;
    FILE *out;

    if (!replace && access(path, F_OK) == 0)
        return refuse(message, TORG_E_KNOWN, "%s: is there already; name another file", path);
    if (snprintf(new_path, sizeof(new_path), "%s.new", path) >= (int)sizeof(new_path))
        return refuse(message, TORG_E_TOO_BIG, "the path is too long");
    buffer_put(&bytes, magic, MAGIC_BYTES);
    pack_array(&bytes, 2);
    pack_bin(&bytes, before->bytes.data, before->bytes.size);
    charter_signed_pack(next, &bytes);
    err = bytes.err;
    out = err ? NULL : fopen(new_path, "we");
    if (!err && (!out || !write_whole(out, buffer_span(&bytes)) || rename(new_path, path) != 0)) {
        err = refuse(message, TORG_E_IO, "%s: %s", path, strerror(errno));
        unlink(new_path);
    }
    buffer_done(&bytes);
    return err;
}

/* ---- one more signature ---- */

static bool rules(const struct charter *charter, const struct public_key *key)
{
    for (size_t i = 0; i < charter->root_key_count; i++) {
        if (memcmp(&charter->root_keys[i], key, sizeof(*key)) == 0)
            return true;
    }
    return false;
}

enum torg_err charter_draft_sign(struct charter_draft *draft, const char *path,
                                 const struct secret_key *secret, const struct public_key *key,
                                 char *message)
{
    struct charter_signed *next = &draft->next_signed;
    enum torg_err err;

    if (!rules(&draft->before, key) && !rules(&draft->next, key))
        return refuse(message, TORG_E_SIGNATURE,
                      "this is a root key neither of the charter in %s nor of the one before",
                      path);
    for (size_t i = 0; i < next->signature_count; i++) {
        if (memcmp(&next->signatures[i].key, key, sizeof(*key)) == 0)
            return refuse(message, TORG_E_KNOWN, "%s: this key has signed it already", path);
    }
    if (next->signature_count == CHARTER_SIGNATURES_MAX)
        return refuse(message, TORG_E_TOO_BIG, "%s: has all the signatures that fit", path);
    next->signatures[next->signature_count++] = (struct charter_signature){
        .key = *key, .signature = seal_sign(DOMAIN_CHARTER, next->bytes, secret)};
    err = charter_support_count(&draft->before_signed, next, &draft->support);
    if (err)
        return refuse(message, err, "%s: %s", path, torg_err_text(err));
    return charter_draft_write(path, &draft->before_signed, next, true, message);
}

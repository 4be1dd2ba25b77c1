/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/token.h"

#include <string.h>

#include "protocol/profile.h"
#include "protocol/seal.h"

#define DOMAIN_TOKEN "torg/token/1"
#define TOKEN_FORMAT 1
#define TOKEN_FORMAT_COMPANY 2
#define FEATURE_ID_BYTES 24
#define TOKEN_PREFIX "torg_"

static const char *const role_names[] = {
    [TOKEN_ROLE_EDITOR] = "editor",
    [TOKEN_ROLE_ADMIN] = "admin",
    [TOKEN_ROLE_COMPANY] = "company",
};

const char *token_role_name(enum token_role role)
{
    return role_names[role];
}

enum torg_err token_role_parse(struct span text, enum token_role *ret_role)
{
    for (enum token_role role = TOKEN_ROLE_EDITOR; role <= TOKEN_ROLE_COMPANY; role++) {
        if (span_equal(text, span_of_str(role_names[role]))) {
            *ret_role = role;
            return TORG_OK;
        }
    }
    return TORG_E_INVALID;
}

void token_text(const uint8_t secret[TOKEN_SECRET_BYTES], char out[TOKEN_TEXT_SIZE + 1])
{
    memcpy(out, TOKEN_PREFIX, strlen(TOKEN_PREFIX));
    hex_encode(secret, TOKEN_SECRET_BYTES, out + strlen(TOKEN_PREFIX));
}

static bool label_valid(struct span label)
{
    for (size_t i = 0; i < label.size; i++) {
        if (label.data[i] < 0x20 || label.data[i] == 0x7f)
            return false;
    }
    return label.size > 0 && label.size <= TOKEN_LABEL_BYTES_MAX && utf8_valid(label);
}

static enum torg_err token_read(struct span key, struct span value, struct token *ret_token)
{
    struct profile_reader in = profile_reader_of(value);
    struct token token = {0};
    struct span label;
    uint8_t company[FEATURE_ID_BYTES] = {0};
    uint64_t format;
    uint64_t role;
    uint32_t count;

    if (key.size != sizeof(struct hash))
        return TORG_E_CORRUPT;
    count = profile_array(&in);
    format = profile_uint(&in, TOKEN_FORMAT_COMPANY);
    role = profile_uint(&in, TOKEN_ROLE_COMPANY);
    label = profile_str(&in, TOKEN_LABEL_BYTES_MAX);
    token.created_ms = profile_int(&in);
    if (format == TOKEN_FORMAT_COMPANY)
        profile_bin_copy(&in, company, sizeof(company));
    if (profile_end(&in) || role == 0 ||
        (role == TOKEN_ROLE_COMPANY) != (format == TOKEN_FORMAT_COMPANY) ||
        count != (role == TOKEN_ROLE_COMPANY ? 5 : 4) ||
        (format != TOKEN_FORMAT && role != TOKEN_ROLE_COMPANY))
        return TORG_E_CORRUPT;
    memcpy(token.company.origin_prefix, company, sizeof(token.company.origin_prefix));
    memcpy(token.company.id.bytes, company + sizeof(token.company.origin_prefix),
           sizeof(token.company.id.bytes));
    token.role = (enum token_role)role;
    memcpy(token.label, label.data, label.size);
    hex_encode(key.data, TOKEN_ID_SIZE / 2, token.id);
    *ret_token = token;
    return TORG_OK;
}

static bool token_count_one(void *context, const struct token *token)
{
    size_t *count = context;

    (void)token;
    return ++*count < TOKENS_MAX;
}

enum torg_err token_put(struct kv *kv, const char *text, enum token_role role,
                        const struct feature_id *company, struct span label, int64_t created_ms,
                        struct token *ret_token)
{
    struct hash hash = seal_hash(DOMAIN_TOKEN, span_of_str(text));
    struct buffer value = {0};
    uint8_t id[FEATURE_ID_BYTES];
    size_t count = 0;
    enum torg_err err;

    if (!label_valid(label) || (role == TOKEN_ROLE_COMPANY) != (company != NULL))
        return TORG_E_INVALID;
    err = token_each(kv, token_count_one, &count);
    if (err)
        return err;
    if (count >= TOKENS_MAX)
        return TORG_E_TOO_BIG;
    pack_array(&value, company ? 5 : 4);
    pack_uint(&value, company ? TOKEN_FORMAT_COMPANY : TOKEN_FORMAT);
    pack_uint(&value, role);
    pack_str(&value, label);
    pack_int(&value, created_ms);
    if (company) {
        memcpy(id, company->origin_prefix, sizeof(company->origin_prefix));
        memcpy(id + sizeof(company->origin_prefix), company->id.bytes, sizeof(company->id.bytes));
        pack_bin(&value, id, sizeof(id));
    }
    err = value.err;
    if (!err)
        err = kv_put(kv, KV_TOKEN, span_of(hash.bytes, sizeof(hash.bytes)), buffer_span(&value));
    if (!err)
        err = token_read(span_of(hash.bytes, sizeof(hash.bytes)), buffer_span(&value), ret_token);
    buffer_done(&value);
    return err;
}

enum torg_err token_find(const struct kv *kv, struct span text, struct token *ret_token)
{
    struct hash hash;
    struct span value;
    enum torg_err err;

    if (text.size != TOKEN_TEXT_SIZE)
        return TORG_E_NOT_FOUND;
    hash = seal_hash(DOMAIN_TOKEN, text);
    err = kv_get(kv, KV_TOKEN, span_of(hash.bytes, sizeof(hash.bytes)), &value);
    if (err)
        return err;
    return token_read(span_of(hash.bytes, sizeof(hash.bytes)), value, ret_token);
}

enum torg_err token_delete(struct kv *kv, struct span id)
{
    char text[TOKEN_ID_SIZE + 1] = {0};
    uint8_t prefix[TOKEN_ID_SIZE / 2];
    struct hash hash = {0};
    struct kv_cursor *cursor;
    struct span key;
    struct span value;
    enum torg_err err;

    if (id.size != TOKEN_ID_SIZE)
        return TORG_E_INVALID;
    memcpy(text, id.data, TOKEN_ID_SIZE);
    err = hex_decode(text, prefix, sizeof(prefix));
    if (err)
        return err;
    err = kv_cursor_open(kv, KV_TOKEN, &cursor);
    if (err)
        return err;
    err = kv_cursor_seek(kv, cursor, span_of(prefix, sizeof(prefix)), &key, &value);
    if (!err && (key.size != sizeof(hash) || memcmp(key.data, prefix, sizeof(prefix)) != 0))
        err = TORG_E_NOT_FOUND;
    if (!err)
        memcpy(hash.bytes, key.data, sizeof(hash));
    kv_cursor_close(kv, cursor);
    if (err)
        return err;
    return kv_del(kv, KV_TOKEN, span_of(hash.bytes, sizeof(hash.bytes)));
}

enum torg_err token_each(const struct kv *kv, token_visit *visit, void *context)
{
    static const uint8_t first[1] = {0};
    struct kv_cursor *cursor;
    struct token token;
    struct span key;
    struct span value;
    enum torg_err err;

    err = kv_cursor_open(kv, KV_TOKEN, &cursor);
    if (err)
        return err;
    err = kv_cursor_seek(kv, cursor, span_of(first, sizeof(first)), &key, &value);
    while (!err) {
        err = token_read(key, value, &token);
        if (err || !visit(context, &token))
            break;
        err = kv_cursor_next(kv, cursor, &key, &value);
    }
    kv_cursor_close(kv, cursor);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_TOKEN_H
#define TORG_INDEX_TOKEN_H

#include "protocol/ident.h"
#include "protocol/kv.h"

/*
 * Bearer tokens of the HTTP API. The store holds only a hash of each, in
 * KV_TOKEN, so that a copy of the data directory opens no door. A token is 20
 * random bytes: nothing that could be guessed, so the hash needs no salt.
 *
 * key    H("torg/token/1", text), 32 bytes
 * value  [1, role, label, created_ms], packed by protocol/profile;
 *        [2, role, label, created_ms, feature id (24 bytes)] of one company's
 */
#define TOKEN_SECRET_BYTES 20
#define TOKEN_TEXT_SIZE 45 /* "torg_" and 40 hex digits */
#define TOKEN_LABEL_BYTES_MAX 64
#define TOKENS_MAX 1024
/* A token's id: the first 8 bytes of its hash, in hex. It names the token without being it. */
#define TOKEN_ID_SIZE 16

enum token_role {
    TOKEN_ROLE_EDITOR = 1,  /* may write listings of the own origin */
    TOKEN_ROLE_ADMIN = 2,   /* the same, and what is for administrators only */
    TOKEN_ROLE_COMPANY = 3, /* may change one company and write the listings that it provides */
};

struct token {
    char id[TOKEN_ID_SIZE + 1];
    enum token_role role;
    char label[TOKEN_LABEL_BYTES_MAX + 1];
    int64_t created_ms;
    struct feature_id company; /* of TOKEN_ROLE_COMPANY */
};

const char *token_role_name(enum token_role role);
/* TORG_E_INVALID unless text is a role's name. */
enum torg_err token_role_parse(struct span text, enum token_role *ret_role);

/* The text that the user keeps, of random bytes that the caller draws; terminated. */
void token_text(const uint8_t secret[TOKEN_SECRET_BYTES], char out[TOKEN_TEXT_SIZE + 1]);

/*
 * Store the hash of text. company: with TOKEN_ROLE_COMPANY, else NULL. TORG_E_INVALID for a label
 * that is empty, too long, not UTF-8 or holds control characters; TORG_E_TOO_BIG at TOKENS_MAX.
 */
enum torg_err token_put(struct kv *kv, const char *text, enum token_role role,
                        const struct feature_id *company, struct span label, int64_t created_ms,
                        struct token *ret_token);
/* TORG_E_NOT_FOUND if text is no token of this node. */
enum torg_err token_find(const struct kv *kv, struct span text, struct token *ret_token);
/* By its id. TORG_E_NOT_FOUND, TORG_E_INVALID. */
enum torg_err token_delete(struct kv *kv, struct span id);
/* All, in the order of their ids; false stops. */
typedef bool token_visit(void *context, const struct token *token);
enum torg_err token_each(const struct kv *kv, token_visit *visit, void *context);

#endif

/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/answer.h"

#include <string.h>

#include "protocol/profile.h"
#include "protocol/seal.h"

#define ANSWER_FORMAT 1
#define FEATURE_ID_BYTES 24
#define BY_KEY_SIZE 17
#define BY_TIME_SIZE 25

struct answer_key answer_key_of(const char *token_id, struct span key)
{
    struct buffer text = {0};
    struct answer_key hash;

    buffer_put_str(&text, token_id);
    buffer_put_u8(&text, 0);
    buffer_put_span(&text, key);
    seal_hash16("torg/answer/1", buffer_span(&text), hash.bytes);
    buffer_done(&text);
    return hash;
}

static struct span by_key(const struct answer_key *key, uint8_t out[BY_KEY_SIZE])
{
    out[0] = 'k';
    memcpy(out + 1, key->bytes, sizeof(key->bytes));
    return span_of(out, BY_KEY_SIZE);
}

static struct span by_time(int64_t at_ms, const struct answer_key *key, uint8_t out[BY_TIME_SIZE])
{
    out[0] = 't';
    for (int i = 0; i < 8; i++)
        out[1 + i] = (uint8_t)((uint64_t)at_ms >> (56 - 8 * i));
    memcpy(out + 9, key->bytes, sizeof(key->bytes));
    return span_of(out, BY_TIME_SIZE);
}

static enum torg_err answer_read(struct span value, struct answer *ret_answer)
{
    struct profile_reader in = profile_reader_of(value);
    struct answer answer = {0};
    uint8_t id[FEATURE_ID_BYTES];
    uint64_t format;

    profile_array_of(&in, 5);
    format = profile_uint(&in, ANSWER_FORMAT);
    answer.collection = (uint8_t)profile_uint(&in, UINT8_MAX);
    profile_bin_copy(&in, id, sizeof(id));
    profile_bin_copy(&in, answer.request, sizeof(answer.request));
    answer.at_ms = profile_int(&in);
    if (profile_end(&in) || format != ANSWER_FORMAT)
        return TORG_E_CORRUPT;
    memcpy(answer.id.origin_prefix, id, sizeof(answer.id.origin_prefix));
    memcpy(answer.id.id.bytes, id + sizeof(answer.id.origin_prefix), sizeof(answer.id.id.bytes));
    *ret_answer = answer;
    return TORG_OK;
}

enum torg_err answer_find(const struct kv *kv, const struct answer_key *key, int64_t now_ms,
                          struct answer *ret_answer)
{
    uint8_t bytes[BY_KEY_SIZE];
    struct answer answer;
    struct span value;
    enum torg_err err = kv_get(kv, KV_ANSWER, by_key(key, bytes), &value);

    if (!err)
        err = answer_read(value, &answer);
    if (err)
        return err;
    if (answer.at_ms < now_ms - ANSWER_KEPT_MS)
        return TORG_E_NOT_FOUND;
    *ret_answer = answer;
    return TORG_OK;
}

/* The oldest that is too old; its key's bytes. TORG_E_NOT_FOUND. */
static enum torg_err oldest(const struct kv *kv, int64_t now_ms, int64_t *ret_at_ms,
                            struct answer_key *ret_key)
{
    static const uint8_t first[] = {'t'};
    struct kv_cursor *cursor;
    struct span key, value;
    enum torg_err err = kv_cursor_open(kv, KV_ANSWER, &cursor);

    if (err)
        return err;
    err = kv_cursor_seek(kv, cursor, span_of(first, sizeof(first)), &key, &value);
    if (!err && key.size != BY_TIME_SIZE)
        err = TORG_E_CORRUPT;
    if (!err) {
        *ret_at_ms = (int64_t)get_u64be(key.data + 1);
        memcpy(ret_key->bytes, key.data + 9, sizeof(ret_key->bytes));
        if (*ret_at_ms >= now_ms - ANSWER_KEPT_MS)
            err = TORG_E_NOT_FOUND;
    }
    kv_cursor_close(kv, cursor);
    return err;
}

static enum torg_err clear_old(struct kv *kv, int64_t now_ms)
{
    uint8_t bytes[BY_TIME_SIZE];
    struct answer_key key;
    struct answer unused;
    int64_t at_ms;
    enum torg_err err = TORG_OK;

    for (size_t i = 0; i < ANSWER_CLEARED_MAX && !err; i++) {
        err = oldest(kv, now_ms, &at_ms, &key);
        if (err)
            break;
        err = kv_del(kv, KV_ANSWER, by_time(at_ms, &key, bytes));
        /* The key may have been used again since. */
        if (!err && answer_find(kv, &key, now_ms, &unused) == TORG_E_NOT_FOUND)
            err = kv_del(kv, KV_ANSWER, by_key(&key, bytes));
        if (err == TORG_E_NOT_FOUND)
            err = TORG_OK;
    }
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

enum torg_err answer_put(struct kv *kv, const struct answer_key *key, const struct answer *answer)
{
    uint8_t bytes[BY_TIME_SIZE];
    uint8_t id[FEATURE_ID_BYTES];
    struct buffer value = {0};
    enum torg_err err = clear_old(kv, answer->at_ms);

    if (err)
        return err;
    memcpy(id, answer->id.origin_prefix, sizeof(answer->id.origin_prefix));
    memcpy(id + sizeof(answer->id.origin_prefix), answer->id.id.bytes, sizeof(answer->id.id.bytes));
    pack_array(&value, 5);
    pack_uint(&value, ANSWER_FORMAT);
    pack_uint(&value, answer->collection);
    pack_bin(&value, id, sizeof(id));
    pack_bin(&value, answer->request, sizeof(answer->request));
    pack_int(&value, answer->at_ms);
    err = value.err;
    if (!err)
        err = kv_put(kv, KV_ANSWER, by_key(key, bytes), buffer_span(&value));
    if (!err)
        err = kv_put(kv, KV_ANSWER, by_time(answer->at_ms, key, bytes), span_of("", 0));
    buffer_done(&value);
    return err;
}

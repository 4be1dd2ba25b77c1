/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_tag.h"

#include <sodium.h>
#include <string.h>

#include "daemon/http_reply.h"
#include "daemon/http_workers.h"
#include "index/store.h"

#define HASH_BYTES crypto_shorthash_siphashx24_BYTES
#define TAG_TEXT_SIZE (2 * HASH_BYTES + 3)
#define MS_PER_MINUTE 60000
static_assert(HTTP_TAG_KEY_BYTES == crypto_shorthash_siphashx24_KEYBYTES, "SipHash's key");

struct span http_tag_opaque(struct span tag)
{
    return tag.size > 2 && memcmp(tag.data, "W/", 2) == 0 ? span_of(tag.data + 2, tag.size - 2)
                                                          : tag;
}

bool http_tag_known(const struct http_exchange *exchange, const char *quoted)
{
    const struct http_request *request = &exchange->request;

    if (!(request->method & (HTTP_GET | HTTP_HEAD)))
        return false;
    for (size_t i = 0; i < request->field_count; i++) {
        struct span list = request->fields[i].value;
        struct span element;

        if (!http_request_name_equal(request->fields[i].name, "if-none-match"))
            continue;
        while (http_request_list_next(&list, &element)) {
            if (span_equal(element, span_of_str("*")) ||
                span_equal(http_tag_opaque(element), span_of_str(quoted)))
                return true;
        }
    }
    return false;
}

/* digest in hex digits and quotes. */
static void quote(const uint8_t digest[HASH_BYTES], char ret_quoted[TAG_TEXT_SIZE])
{
    ret_quoted[0] = '"';
    hex_encode(digest, HASH_BYTES, ret_quoted + 1);
    ret_quoted[2 * HASH_BYTES + 1] = '"';
    ret_quoted[2 * HASH_BYTES + 2] = '\0';
}

/* The weak tag goes into the reply; true, with status 304, if the client has it. */
static bool answer_known(struct http_exchange *exchange, const uint8_t digest[HASH_BYTES])
{
    char quoted[TAG_TEXT_SIZE];

    quote(digest, quoted);
    http_reply_field_of(exchange, "ETag", "W/", quoted, NULL);
    if (!http_tag_known(exchange, quoted))
        return false;
    http_reply_begin(exchange, 304, NULL);
    return true;
}

void http_tag_key_new(uint8_t ret_key[HTTP_TAG_KEY_BYTES])
{
    randombytes_buf(ret_key, HTTP_TAG_KEY_BYTES);
}

/* Fixed sizes only: no two lists have the same material. */
struct material {
    uint64_t snapshot;
    int64_t minute; /* 0: the clock decides nothing */
    uint64_t expired;
    uint64_t form; /* format, language and scheme */
    uint8_t path[HASH_BYTES], query[HASH_BYTES], host[HASH_BYTES];
};
static_assert(sizeof(struct material) == 4 * sizeof(uint64_t) + 3 * HASH_BYTES, "no holes");

/* Which origins' personal data are no longer shown. */
static uint64_t expired(const struct http_origins *origins, int64_t now_ms)
{
    static const uint64_t factor = UINT64_C(0x9e3779b97f4a7c15); /* 2^64 by the golden ratio */
    uint64_t mixed = 0;

    for (size_t i = 0; i < origins->count; i++) {
        if (http_origins_expired(&origins->items[i], now_ms))
            mixed = (mixed + origins->items[i].number + 1) * factor;
    }
    return mixed;
}

static void hash(const uint8_t *key, struct span text, uint8_t ret_hash[HASH_BYTES])
{
    (void)crypto_shorthash_siphashx24(ret_hash, text.data, text.size, key);
}

/* Which languages were chosen: what the query says of them is no more than half of it. */
static uint64_t language_bits(const struct http_params *params)
{
    const char *tag = params->text_tag;
    bool english = http_words_language(params->language) == HTTP_ENGLISH;

    static_assert(HTTP_TAG_SIZE == 4, "three letters of seven bits, with the words' in 22 bits");
    return (uint64_t)english << 21 | (uint64_t)(tag[0] & 0x7f) << 14 |
           (uint64_t)(tag[1] & 0x7f) << 7 | (uint64_t)(tag[2] & 0x7f);
}

bool http_tag_list(struct http_exchange *exchange, const struct kv *kv,
                   const struct http_origins *origins)
{
    const uint8_t *key = exchange->worker->tag_key;
    const struct http_params *params = &exchange->params;
    uint8_t digest[HASH_BYTES];
    struct material material = {
        .snapshot = store_snapshot(kv),
        .form =
            (uint64_t)params->format << 32 | language_bits(params) << 8 | exchange->client.https,
    };

    /* A page has other bytes; and what is sent in pieces has more than one snapshot. */
    if (exchange->html || params->explain || params->all || exchange->reply.more)
        return false;
    if (origins) {
        material.expired = expired(origins, exchange->now_ms);
        material.minute = params->query.has_datetime ? 0 : exchange->now_ms / MS_PER_MINUTE;
    }
    hash(key, exchange->request.path, material.path);
    hash(key, exchange->request.query, material.query);
    hash(key, exchange->client.host, material.host);
    hash(key, span_of(&material, sizeof(material)), digest);
    return answer_known(exchange, digest);
}

void http_tag_document(struct http_exchange *exchange)
{
    uint8_t digest[HASH_BYTES];

    hash(exchange->worker->tag_key, buffer_span(&exchange->reply.body), digest);
    (void)answer_known(exchange, digest);
}

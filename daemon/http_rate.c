/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_rate.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define SETS 4096
#define WAYS 4 /* buckets that a key may have */
#define US_PER_S UINT64_C(1000000)

/* debt_us: how long the bucket takes until it is full again, at the time at_us. */
struct bucket {
    uint8_t key[HTTP_RATE_KEY_BYTES];
    uint64_t debt_us, at_us;
    bool used;
};

struct http_rate {
    pthread_mutex_t mutex;
    uint64_t each_us; /* what one request costs; 0: nothing */
    uint8_t secret[crypto_shorthash_KEYBYTES];
    struct bucket buckets[SETS][WAYS];
};

enum torg_err http_rate_new(uint32_t per_s, struct http_rate **ret_rate)
{
    struct http_rate *rate = calloc(1, sizeof(*rate));

    if (!rate)
        return TORG_E_NOMEM;
    pthread_mutex_init(&rate->mutex, NULL);
    rate->each_us = per_s ? US_PER_S / per_s : 0;
    crypto_shorthash_keygen(rate->secret);
    *ret_rate = rate;
    return TORG_OK;
}

void http_rate_free(struct http_rate *rate)
{
    if (!rate)
        return;
    pthread_mutex_destroy(&rate->mutex);
    free(rate);
}

static uint64_t debt_now_us(const struct bucket *bucket, uint64_t now_us)
{
    uint64_t passed_us = now_us > bucket->at_us ? now_us - bucket->at_us : 0;

    return bucket->used && bucket->debt_us > passed_us ? bucket->debt_us - passed_us : 0;
}

/* The key's bucket; else the one of its set that lacks least, emptied for it. */
static struct bucket *bucket_of(struct http_rate *rate, const uint8_t *key, uint64_t now_us)
{
    uint8_t hash[crypto_shorthash_BYTES];
    struct bucket *set, *least;

    crypto_shorthash(hash, key, HTTP_RATE_KEY_BYTES, rate->secret);
    set = rate->buckets[get_u16be(hash) % SETS];
    least = set;
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].used && memcmp(set[i].key, key, HTTP_RATE_KEY_BYTES) == 0)
            return &set[i];
        if (debt_now_us(&set[i], now_us) < debt_now_us(least, now_us))
            least = &set[i];
    }
    *least = (struct bucket){.used = true, .at_us = now_us};
    memcpy(least->key, key, HTTP_RATE_KEY_BYTES);
    return least;
}

bool http_rate_take(struct http_rate *rate, const uint8_t key[HTTP_RATE_KEY_BYTES], uint64_t now_us,
                    uint32_t *ret_wait_s)
{
    const uint64_t full_us = HTTP_RATE_BURST_S * US_PER_S;
    struct bucket *bucket;
    uint64_t debt_us;
    bool passes;

    if (rate->each_us == 0)
        return true;
    pthread_mutex_lock(&rate->mutex);
    bucket = bucket_of(rate, key, now_us);
    debt_us = debt_now_us(bucket, now_us);
    passes = debt_us + rate->each_us <= full_us;
    if (passes) {
        bucket->debt_us = debt_us + rate->each_us;
        bucket->at_us = now_us;
    }
    pthread_mutex_unlock(&rate->mutex);
    if (!passes)
        *ret_wait_s = (uint32_t)((debt_us + rate->each_us - full_us + US_PER_S - 1) / US_PER_S);
    return passes;
}

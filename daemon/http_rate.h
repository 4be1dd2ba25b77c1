/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_RATE_H
#define TORG_DAEMON_HTTP_RATE_H

#include "protocol/bytes.h"

/*
 * How many requests a second somebody may make: a bucket of tokens for each
 * key, full at first, that is filled again at a steady rate (the leaky bucket
 * of Turner 1986, as a meter). The table has a fixed size. When it is full, the
 * bucket gives way that lacks least, whose owner therefore loses least; keys
 * are placed by a secret, so that nobody can choose whom he meets.
 */
#define HTTP_RATE_BURST_S 10 /* of the rate at once, after so long a rest */
#define HTTP_RATE_KEY_BYTES 16

struct http_rate;

/* per_s: 0 allows everything. */
enum torg_err http_rate_new(uint32_t per_s, struct http_rate **ret_rate);
void http_rate_free(struct http_rate *rate);
/*
 * One request of key at now_us (monotonic). true: it may go on. false: not before
 * *ret_wait_s seconds, at least 1. Any thread.
 */
bool http_rate_take(struct http_rate *rate, const uint8_t key[HTTP_RATE_KEY_BYTES], uint64_t now_us,
                    uint32_t *ret_wait_s);

#endif

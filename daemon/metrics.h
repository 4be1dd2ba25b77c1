/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_METRICS_H
#define TORG_DAEMON_METRICS_H

#include "protocol/bytes.h"

/*
 * Counters and histograms in the Prometheus text format 0.0.4. Fixed at start,
 * updated with atomic operations from any thread, written out by the admin
 * listener.
 */
struct metrics;

enum metrics_counter {
    METRIC_HTTP_REQUESTS_2XX,
    METRIC_HTTP_REQUESTS_3XX,
    METRIC_HTTP_REQUESTS_4XX,
    METRIC_HTTP_REQUESTS_5XX,
    METRIC_HTTP_BYTES_SENT,
    METRIC_HTTP_CONNECTIONS,
    METRIC_HTTP_CONNECTIONS_REFUSED,
    METRIC_HTTP_LIMITED,
    METRIC_HTTP_TIMEOUTS,
    METRIC_HTTP_BAD_REQUESTS,
    METRIC_COUNTER_COUNT
};

enum torg_err metrics_new(struct metrics **ret_metrics);
void metrics_free(struct metrics *metrics);
void metrics_add(struct metrics *metrics, enum metrics_counter counter, uint64_t value);
/* Time from the request's first byte to its answer's last byte in the socket buffer. */
void metrics_http_time_us(struct metrics *metrics, uint64_t us);
/* Append the fixed metrics; whoever has others appends them in the same form. */
void metrics_put(const struct metrics *metrics, struct buffer *out);
/*
 * One sample, for gauges that are read when asked. HELP and TYPE lines come
 * before it unless help is NULL: give it with the first of a name's samples
 * only. labels: "peer=\"arjeplog\"" or NULL; values through metrics_label.
 */
void metrics_put_sample(struct buffer *out, const char *name, const char *type, const char *help,
                        const char *labels, double value);

#define METRICS_LABEL_BYTES_MAX 300
/* text with backslash, quote and newline escaped, cut to fit, for use inside labels. */
const char *metrics_label(char out[METRICS_LABEL_BYTES_MAX], const char *text);

#endif

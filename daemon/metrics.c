/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/metrics.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Upper bounds of the buckets, microseconds; the last bucket has none. */
static const uint64_t time_bounds_us[] = {100,     250,     500,     1000,    2500,   5000,
                                          10000,   25000,   50000,   100000,  250000, 500000,
                                          1000000, 2500000, 5000000, 10000000};
#define TIME_BOUNDS ARRAY_SIZE(time_bounds_us)

struct metrics {
    _Atomic uint64_t counters[METRIC_COUNTER_COUNT];
    _Atomic uint64_t time_buckets[TIME_BOUNDS + 1];
    _Atomic uint64_t time_sum_us;
};

/* Samples of one name stand together, as the format wants it; help with the first of them. */
static const struct counter_text {
    const char *name, *labels, *help;
} counter_texts[METRIC_COUNTER_COUNT] = {
    [METRIC_HTTP_REQUESTS_2XX] = {"torg_http_requests_total", "class=\"2xx\"",
                                  "Requests answered, by class of status."},
    [METRIC_HTTP_REQUESTS_3XX] = {"torg_http_requests_total", "class=\"3xx\"", NULL},
    [METRIC_HTTP_REQUESTS_4XX] = {"torg_http_requests_total", "class=\"4xx\"", NULL},
    [METRIC_HTTP_REQUESTS_5XX] = {"torg_http_requests_total", "class=\"5xx\"", NULL},
    [METRIC_HTTP_BYTES_SENT] = {"torg_http_sent_bytes_total", NULL,
                                "Bytes of answers, heads included."},
    [METRIC_HTTP_CONNECTIONS] = {"torg_http_connections_total", NULL, "Connections accepted."},
    [METRIC_HTTP_CONNECTIONS_REFUSED] = {"torg_http_connections_refused_total", NULL,
                                         "Connections closed because a limit was reached."},
    [METRIC_HTTP_LIMITED] = {"torg_http_limited_total", NULL,
                             "Requests refused because an address or a token asked too often."},
    [METRIC_HTTP_TIMEOUTS] = {"torg_http_timeouts_total", NULL,
                              "Connections closed because a head or body came too slowly."},
    [METRIC_HTTP_BAD_REQUESTS] = {"torg_http_bad_requests_total", NULL,
                                  "Requests whose form was refused."},
};

enum torg_err metrics_new(struct metrics **ret_metrics)
{
    struct metrics *metrics = calloc(1, sizeof(*metrics));

    if (!metrics)
        return TORG_E_NOMEM;
    *ret_metrics = metrics;
    return TORG_OK;
}

void metrics_free(struct metrics *metrics)
{
    free(metrics);
}

void metrics_add(struct metrics *metrics, enum metrics_counter counter, uint64_t value)
{
    atomic_fetch_add_explicit(&metrics->counters[counter], value, memory_order_relaxed);
}

void metrics_http_time_us(struct metrics *metrics, uint64_t us)
{
    size_t bucket = 0;

    while (bucket < TIME_BOUNDS && us > time_bounds_us[bucket])
        bucket++;
    atomic_fetch_add_explicit(&metrics->time_buckets[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&metrics->time_sum_us, us, memory_order_relaxed);
}

static void put_time(const struct metrics *metrics, struct buffer *out)
{
    static const char name[] = "torg_http_request_seconds";
    uint64_t below = 0;

    buffer_printf(out,
                  "# HELP %s From a request's first byte to its answer's last byte.\n"
                  "# TYPE %s histogram\n",
                  name, name);
    for (size_t i = 0; i <= TIME_BOUNDS; i++) {
        below += atomic_load_explicit(&metrics->time_buckets[i], memory_order_relaxed);
        if (i < TIME_BOUNDS)
            buffer_printf(out, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", name,
                          (double)time_bounds_us[i] / 1e6, below);
        else
            buffer_printf(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, below);
    }
    buffer_printf(out, "%s_sum %.6f\n%s_count %" PRIu64 "\n", name,
                  (double)atomic_load_explicit(&metrics->time_sum_us, memory_order_relaxed) / 1e6,
                  name, below);
}

void metrics_put(const struct metrics *metrics, struct buffer *out)
{
    for (size_t i = 0; i < METRIC_COUNTER_COUNT; i++) {
        const struct counter_text *text = &counter_texts[i];

        metrics_put_sample(
            out, text->name, "counter", text->help, text->labels,
            (double)atomic_load_explicit(&metrics->counters[i], memory_order_relaxed));
    }
    put_time(metrics, out);
}

void metrics_put_sample(struct buffer *out, const char *name, const char *type, const char *help,
                        const char *labels, double value)
{
    if (help)
        buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
    buffer_put_str(out, name);
    if (labels && *labels)
        buffer_printf(out, "{%s}", labels);
    if (fabs(value) < 9007199254740992.0 && floor(value) == value)
        buffer_printf(out, " %.0f\n", value);
    else
        buffer_printf(out, " %.17g\n", value);
}

const char *metrics_label(char out[METRICS_LABEL_BYTES_MAX], const char *text)
{
    size_t at = 0;

    for (; *text && at < METRICS_LABEL_BYTES_MAX - 2; text++) {
        if (*text == '\\' || *text == '"')
            out[at++] = '\\';
        if (*text == '\n') {
            out[at++] = '\\';
            out[at++] = 'n';
        } else {
            out[at++] = *text;
        }
    }
    out[at] = 0;
    return out;
}

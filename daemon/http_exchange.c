/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_exchange.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/clock.h"
#include "daemon/http_workers.h"

/* Memory that the next answer can use as it is; small enough to be kept. */
static struct buffer spare_buffer(struct buffer *used)
{
    struct buffer kept = {0};

    if (used->capacity <= HTTP_SPARE_BYTES_MAX) {
        kept = *used;
        buffer_clear(&kept);
    } else {
        buffer_done(used);
    }
    *used = (struct buffer){0};
    return kept;
}

struct http_exchange *http_exchange_new(struct http_worker *worker, struct http_conn *conn,
                                        uint64_t started_us)
{
    struct http_exchange *exchange = worker->spare;
    struct buffer fields = {0}, body = {0};

    if (exchange) {
        fields = exchange->reply.fields;
        body = exchange->reply.body;
    } else {
        exchange = malloc(sizeof(*exchange));
    }
    worker->spare = NULL;
    if (!exchange)
        return NULL;
    memset(exchange, 0, HTTP_EXCHANGE_ZEROED);
    exchange->reply.fields = fields;
    exchange->reply.body = body;
    exchange->query.count = 0;
    exchange->path.count = 0;
    exchange->worker = worker;
    exchange->conn = conn;
    exchange->node = worker->options->node;
    exchange->service = worker->options->service;
    exchange->now_ms = clock_wall_ms();
    exchange->started_us = started_us;
    worker->exchanges++;
    return exchange;
}

void http_exchange_free_spare(struct http_exchange *exchange)
{
    if (!exchange)
        return;
    buffer_done(&exchange->reply.fields);
    buffer_done(&exchange->reply.body);
    free(exchange);
}

void http_exchange_free(struct http_exchange *exchange)
{
    struct http_worker *worker;

    if (!exchange)
        return;
    worker = exchange->worker;
    http_params_done(&exchange->params);
    buffer_done(&exchange->body);
    exchange->reply.fields = spare_buffer(&exchange->reply.fields);
    exchange->reply.body = spare_buffer(&exchange->reply.body);
    worker->exchanges--;
    if (worker->spare)
        http_exchange_free_spare(exchange);
    else
        worker->spare = exchange;
}

struct loop *http_exchange_loop(const struct http_exchange *exchange)
{
    return exchange->worker->loop;
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_origins.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/http_reply.h"
#include "daemon/http_workers.h"
#include "index/store.h"
#include "protocol/num.h"

/* No origin has it: what a filter for an unknown origin matches. */
#define NUMBER_OF_NOBODY UINT32_MAX

static void copy_text(char *out, size_t size, struct span text)
{
    size_t used = text.size < size - 1 ? text.size : size - 1;

    if (used > 0)
        memcpy(out, text.data, used);
    out[used] = '\0';
}

static enum torg_err read_charter(const struct kv *kv, const struct replica_origin *from,
                                  struct http_origin *origin)
{
    struct charter_signed signed_charter;
    struct charter charter;
    struct span bytes;
    enum torg_err err;

    err = replica_charter_get(kv, from->number, from->charter_no, &bytes);
    if (!err)
        err = charter_signed_parse(bytes, &signed_charter);
    if (!err)
        err = charter_parse(signed_charter.bytes, &charter);
    if (err)
        return err;
    copy_text(origin->name, sizeof(origin->name), charter.name);
    copy_text(origin->owner_kind, sizeof(origin->owner_kind), charter.owner_kind);
    copy_text(origin->municipality, sizeof(origin->municipality), charter.municipality);
    origin->max_stale_s = charter.max_stale_s;
    return TORG_OK;
}

static enum torg_err gap_add(struct http_origins *origins, const struct http_gap *gap)
{
    size_t count = origins->gap_count;

    if ((count & (count - 1)) == 0) { /* Full: there is room for powers of two. */
        struct http_gap *gaps = realloc(origins->gaps, (count ? 2 * count : 1) * sizeof(*gaps));

        if (!gaps)
            return TORG_E_NOMEM;
        origins->gaps = gaps;
    }
    origins->gaps[origins->gap_count++] = *gap;
    return TORG_OK;
}

/* The head says how many there are; beside it stand what is held and what of that has no payload.
 */
static enum torg_err read_gaps(struct http_origins *origins, const struct replica_origin *from)
{
    uint32_t complete = replica_complete_mask(from, COLLECTION_MASK_PUBLIC);
    enum torg_err err = TORG_OK;

    for (uint8_t i = 1; i < COLLECTIONS_MAX && !err && from->has_head; i++) {
        struct head_state promised = head_state_of(&from->head, i);
        struct http_gap gap = {.origin_number = from->number, .collection = i};

        if (!(COLLECTION_MASK_PUBLIC >> i & 1) || ((complete >> i & 1) && from->missing[i] == 0))
            continue;
        gap.listings = from->missing[i];
        if (promised.count > from->held[i].count)
            gap.listings += promised.count - from->held[i].count;
        err = gap_add(origins, &gap);
    }
    return err;
}

static enum torg_err origins_add(struct http_origins *origins, size_t *capacity,
                                 const struct node *node, const struct kv *kv,
                                 const struct replica_origin *from)
{
    struct http_origin *origin;
    enum torg_err err;

    if (origins->count == *capacity) {
        size_t larger = *capacity ? 2 * *capacity : 16;
        struct http_origin *items = realloc(origins->items, larger * sizeof(*items));

        if (!items)
            return TORG_E_NOMEM;
        origins->items = items;
        *capacity = larger;
    }
    origin = &origins->items[origins->count];
    *origin = (struct http_origin){
        .number = from->number,
        .id = from->id,
        .own = node->has_own && memcmp(&node->own, &from->id, sizeof(from->id)) == 0,
        .has_head = from->has_head,
        .as_of_ms = from->has_head ? replica_as_of_ms(from) : 0,
        .flags = from->flags,
    };
    hex_encode(from->id.bytes, sizeof(from->id.bytes), origin->hex);
    err = read_charter(kv, from, origin);
    if (err)
        return err;
    origins->count++;
    return read_gaps(origins, from);
}

static enum torg_err origins_read(const struct node *node, const struct kv *kv,
                                  struct http_origins **ret_origins)
{
    struct http_origins *origins = calloc(1, sizeof(*origins));
    struct replica_origin *from = malloc(sizeof(*from));
    struct origin_id after;
    size_t capacity = 0;
    enum torg_err err = TORG_E_NOMEM;

    if (!origins || !from)
        goto done;
    err = replica_origin_next(kv, NULL, from);
    while (!err) {
        err = origins_add(origins, &capacity, node, kv, from);
        if (err)
            goto done;
        after = from->id;
        err = replica_origin_next(kv, &after, from);
    }
    if (err != TORG_E_NOT_FOUND)
        goto done;
    err = TORG_OK;
    origins->snapshot = store_snapshot(kv);
    *ret_origins = origins;
    origins = NULL;
done:
    free(from);
    http_origins_free(origins);
    return err;
}

enum torg_err http_origins_get(struct http_exchange *exchange, const struct kv *kv,
                               const struct http_origins **ret_origins)
{
    struct http_worker *worker = exchange->worker;
    struct http_origins *fresh;
    enum torg_err err;

    if (!worker->origins || worker->origins->snapshot != store_snapshot(kv)) {
        err = origins_read(exchange->node, kv, &fresh);
        if (err)
            return err;
        http_origins_free(worker->origins);
        worker->origins = fresh;
    }
    *ret_origins = worker->origins;
    return TORG_OK;
}

void http_origins_free(struct http_origins *origins)
{
    if (!origins)
        return;
    free(origins->items);
    free(origins->gaps);
    free(origins);
}

const struct http_origin *http_origins_find(const struct http_origins *origins, uint32_t number)
{
    for (size_t i = 0; i < origins->count; i++) {
        if (origins->items[i].number == number)
            return &origins->items[i];
    }
    return NULL;
}

int64_t http_origins_age_s(const struct http_origin *origin, int64_t now_ms)
{
    if (origin->own || now_ms < origin->as_of_ms)
        return 0;
    return (now_ms - origin->as_of_ms) / 1000;
}

bool http_origins_stale(const struct http_origin *origin, int64_t now_ms)
{
    return http_origins_age_s(origin, now_ms) > HTTP_STALE_S;
}

bool http_origins_expired(const struct http_origin *origin, int64_t now_ms)
{
    return origin->max_stale_s > 0 &&
           (uint64_t)http_origins_age_s(origin, now_ms) > origin->max_stale_s;
}

static bool has_prefix(const struct http_origin *origin, struct span digits)
{
    return strncasecmp(origin->hex, (const char *)digits.data, digits.size) == 0;
}

void http_origins_resolve(const struct http_origins *origins, struct http_params *params)
{
    struct query *query = &params->query;

    query->origin_count = 0;
    for (size_t i = 0; i < origins->count; i++) {
        bool named = false;

        for (size_t j = 0; j < params->origin_count && !named; j++)
            named = has_prefix(&origins->items[i], params->origins[j]);
        if (named && query->origin_count < QUERY_VALUES_MAX)
            query->origins[query->origin_count++] = origins->items[i].number;
    }
    if (params->origin_count > 0 && query->origin_count == 0)
        query->origins[query->origin_count++] = NUMBER_OF_NOBODY;
}

static bool is_named(uint32_t number, const struct query *query)
{
    bool named = query->origin_count == 0;

    for (size_t i = 0; i < query->origin_count; i++)
        named = named || query->origins[i] == number;
    return named;
}

void http_origins_reply_as_of(struct http_exchange *exchange, const struct http_origins *origins,
                              const struct query *query)
{
    const struct http_origin *oldest = NULL;
    int64_t oldest_ms = 0;
    struct buffer time = {0};

    for (size_t i = 0; i < origins->count; i++) {
        const struct http_origin *origin = &origins->items[i];
        int64_t ms = origin->own ? exchange->now_ms : origin->as_of_ms;

        if (!origin->has_head || !is_named(origin->number, query) || (oldest && ms >= oldest_ms))
            continue;
        oldest = origin;
        oldest_ms = ms;
    }
    if (!oldest)
        return;
    num_put_time(&time, oldest_ms);
    buffer_put_u8(&time, 0);
    if (!time.err)
        http_reply_field_of(exchange, "torg-as-of", (const char *)time.data,
                            "; origin=", oldest->hex, NULL);
    buffer_done(&time);
}

struct http_missing http_origins_missing(const struct http_origins *origins, uint8_t collection,
                                         const struct query *query)
{
    struct http_missing missing = {0};

    for (size_t i = 0; i < origins->gap_count; i++) {
        const struct http_gap *gap = &origins->gaps[i];

        if (gap->collection != collection || !is_named(gap->origin_number, query))
            continue;
        missing.origins++;
        missing.listings += gap->listings;
    }
    return missing;
}

/* "offers; listings=340; origins=2, places; listings=12; origins=1", however many origins. */
static void reply_missing(struct http_exchange *exchange, const struct http_origins *origins,
                          const struct query *query)
{
    struct buffer text = {0};

    for (uint8_t i = 1; i < COLLECTIONS_MAX && origins->gap_count > 0; i++) {
        struct http_missing missing = {0};

        if (!query->collections || query->collections >> i & 1)
            missing = http_origins_missing(origins, i, query);
        if (missing.origins > 0)
            buffer_printf(&text, "%s%s; listings=%" PRIu64 "; origins=%" PRIu64,
                          text.size ? ", " : "", collection_name(i), missing.listings,
                          missing.origins);
    }
    if (text.size > 0) {
        buffer_put_u8(&text, 0);
        if (!text.err)
            http_reply_field_of(exchange, "torg-missing", (const char *)text.data, NULL);
    }
    buffer_done(&text);
}

void http_origins_reply_state(struct http_exchange *exchange, const struct http_origins *origins,
                              const struct query *query)
{
    http_origins_reply_as_of(exchange, origins, query);
    reply_missing(exchange, origins, query);
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_personal.h"

#include "protocol/listing_geojson.h"
#include "protocol/listing_personal.h"

static bool is_expired(const struct http_exchange *exchange, const struct http_origins *origins,
                       const struct document *document)
{
    const struct http_origin *origin = http_origins_find(origins, document->origin_number);

    return origin && http_origins_expired(origin, exchange->now_ms);
}

enum torg_err http_personal_body(const struct http_exchange *exchange,
                                 const struct http_origins *origins,
                                 const struct document *document, struct buffer *scratch,
                                 struct span *body)
{
    enum torg_err err;

    if (!is_expired(exchange, origins, document))
        return TORG_OK;
    buffer_clear(scratch);
    err = listing_hide_personal(*body, scratch);
    if (!err)
        *body = buffer_span(scratch);
    return err;
}

enum torg_err http_personal_feature(const struct http_exchange *exchange, const struct kv *kv,
                                    const struct http_origins *origins, struct buffer *scratch,
                                    struct document *document)
{
    struct buffer packed = {0};
    struct listing_meta meta;
    struct span body;
    enum torg_err err;

    if (!is_expired(exchange, origins, document))
        return TORG_OK;
    err = catalogue_body(kv, document, &meta, &body);
    if (!err)
        err = listing_hide_personal(body, &packed);
    buffer_clear(scratch);
    if (!err)
        err = listing_put_geojson(&meta, buffer_span(&packed), scratch);
    if (!err) {
        document->feature = buffer_span(scratch);
        /* Another representation: a client that kept the whole one must fetch it anew. */
        document->etag[0] ^= 0xff;
    }
    buffer_done(&packed);
    return err;
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_gzip.h"

#include <sodium.h>
#include <stdlib.h>
#include <zlib.h>

#define WINDOW_BITS (15 + 16) /* the largest window, in gzip's frame */
#define MEMORY_LEVEL 8        /* zlib's own choice */
#define HASH_BYTES crypto_generichash_BYTES

struct kept {
    uint8_t hash[HASH_BYTES]; /* of the body before */
    struct buffer packed;     /* empty: this place is free */
};

struct http_gzip {
    z_stream stream; /* for what is compressed each time; level 1 is most of the gain */
    struct buffer packed;
    struct kept kept[HTTP_GZIP_KEPT_MAX];
    size_t next; /* of kept, to be replaced */
};

enum torg_err http_gzip_new(struct http_gzip **ret_gzip)
{
    struct http_gzip *gzip = calloc(1, sizeof(*gzip));

    if (!gzip)
        return TORG_E_NOMEM;
    if (deflateInit2(&gzip->stream, Z_BEST_SPEED, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        free(gzip);
        return TORG_E_NOMEM;
    }
    *ret_gzip = gzip;
    return TORG_OK;
}

void http_gzip_free(struct http_gzip *gzip)
{
    if (!gzip)
        return;
    (void)deflateEnd(&gzip->stream);
    buffer_done(&gzip->packed);
    for (size_t i = 0; i < HTTP_GZIP_KEPT_MAX; i++)
        buffer_done(&gzip->kept[i].packed);
    free(gzip);
}

/* Into packed; false if it would not be smaller than body. */
static bool pack(z_stream *stream, const struct buffer *body, struct buffer *packed)
{
    buffer_clear(packed);
    if (body->size > UINT32_MAX || buffer_reserve(packed, body->size))
        return false;
    stream->next_in = body->data;
    stream->avail_in = (uInt)body->size;
    stream->next_out = packed->data;
    stream->avail_out = (uInt)body->size - 1;
    if (deflate(stream, Z_FINISH) != Z_STREAM_END)
        return false;
    packed->size = stream->total_out;
    return true;
}

static void swap(struct buffer *a, struct buffer *b)
{
    struct buffer kept = *a;

    *a = *b;
    *b = kept;
}

static bool pack_best(const struct buffer *body, struct buffer *packed)
{
    z_stream stream = {0};
    bool done;

    if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    done = pack(&stream, body, packed);
    (void)deflateEnd(&stream);
    return done;
}

static bool body_steady(struct http_gzip *gzip, struct buffer *body)
{
    struct kept *kept = gzip->kept, *found = NULL;
    uint8_t hash[HASH_BYTES];

    (void)crypto_generichash(hash, sizeof(hash), body->data, body->size, NULL, 0);
    for (size_t i = 0; i < HTTP_GZIP_KEPT_MAX && !found; i++) {
        if (kept[i].packed.size > 0 && memcmp(kept[i].hash, hash, sizeof(hash)) == 0)
            found = &kept[i];
    }
    if (!found) {
        found = &kept[gzip->next];
        if (!pack_best(body, &found->packed)) {
            buffer_done(&found->packed);
            return false;
        }
        memcpy(found->hash, hash, sizeof(hash));
        gzip->next = (gzip->next + 1) % HTTP_GZIP_KEPT_MAX;
    }
    buffer_clear(body); /* It is longer: there is room. */
    buffer_put_span(body, buffer_span(&found->packed));
    return true;
}

bool http_gzip_body(struct http_gzip *gzip, struct buffer *body, bool steady)
{
    if (body->size == 0)
        return false;
    if (steady && body->size <= HTTP_GZIP_KEPT_BYTES_MAX)
        return body_steady(gzip, body);
    if (deflateReset(&gzip->stream) != Z_OK || !pack(&gzip->stream, body, &gzip->packed))
        return false;
    swap(body, &gzip->packed);
    if (gzip->packed.capacity > HTTP_GZIP_KEPT_BYTES_MAX)
        buffer_done(&gzip->packed);
    return true;
}

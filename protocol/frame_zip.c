/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/frame_zip.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

struct frame_zip {
    ZSTD_CCtx *in; /* made when first needed */
    ZSTD_DCtx *out;
    struct buffer packed;
};

enum torg_err frame_zip_new(struct frame_zip **ret_zip)
{
    struct frame_zip *zip = calloc(1, sizeof(*zip));

    if (!zip)
        return TORG_E_NOMEM;
    *ret_zip = zip;
    return TORG_OK;
}

void frame_zip_free(struct frame_zip *zip)
{
    if (!zip)
        return;
    ZSTD_freeCCtx(zip->in);
    ZSTD_freeDCtx(zip->out);
    buffer_done(&zip->packed);
    free(zip);
}

bool frame_zip_pays(uint8_t type)
{
    return type == FRAME_BATCH || type == FRAME_ENTRIES;
}

bool frame_zip_allowed(uint8_t type)
{
    return type != FRAME_HELLO && type != FRAME_CHARTER;
}

enum torg_err frame_zip_pack(struct frame_zip *zip, struct span frame, struct span *ret_zipped)
{
    struct span body = span_of(frame.data + FRAME_PREFIX_BYTES, frame.size - FRAME_PREFIX_BYTES);
    struct buffer *out = &zip->packed;
    size_t room = body.size - body.size / 8;
    size_t size;
    enum torg_err err;

    if (body.size < FRAME_ZIP_BYTES_MIN)
        return TORG_E_TOO_BIG;
    if (!zip->in)
        zip->in = ZSTD_createCCtx();
    if (!zip->in)
        return TORG_E_NOMEM;
    buffer_clear(out);
    err = buffer_reserve(out, FRAME_PREFIX_BYTES + room);
    if (err)
        return err;
    /* Room for less than there is: when it is used up, packing does not pay. */
    size = ZSTD_compressCCtx(zip->in, out->data + FRAME_PREFIX_BYTES, room, body.data, body.size,
                             FRAME_ZIP_LEVEL);
    if (ZSTD_isError(size))
        return TORG_E_TOO_BIG;
    put_u32be(out->data, (uint32_t)(FRAME_PREFIX_BYTES - FRAME_LENGTH_BYTES + size));
    out->data[FRAME_LENGTH_BYTES] = frame.data[FRAME_LENGTH_BYTES];
    out->data[FRAME_LENGTH_BYTES + 1] = FRAME_FLAG_ZSTD;
    out->size = FRAME_PREFIX_BYTES + size;
    *ret_zipped = buffer_span(out);
    return TORG_OK;
}

#define ZSTD_HEADER_BYTES_MIN 6 /* magic, descriptor, and a window or a size */
#define ZSTD_SINGLE_SEGMENT 0x20u

/* RFC 8878, 3.1.1.1.2; of a single segment the window is the content. */
static uint64_t window_of(struct span body)
{
    unsigned exponent = body.data[5] >> 3, mantissa = body.data[5] & 7;
    uint64_t base = UINT64_C(1) << (10 + exponent);

    return body.data[4] & ZSTD_SINGLE_SEGMENT ? 0 : base + base / 8 * mantissa;
}

enum torg_err frame_zip_size(struct span body, size_t *ret_bytes)
{
    static const uint8_t magic[4] = {0x28, 0xb5, 0x2f, 0xfd};
    unsigned long long content;

    /* Checked here, for a skippable frame is none of ours. */
    if (body.size < ZSTD_HEADER_BYTES_MIN || memcmp(body.data, magic, sizeof(magic)) != 0)
        return TORG_E_INVALID;
    content = ZSTD_getFrameContentSize(body.data, body.size);
    if (content == ZSTD_CONTENTSIZE_UNKNOWN || content == ZSTD_CONTENTSIZE_ERROR || content == 0 ||
        ZSTD_getDictID_fromFrame(body.data, body.size) != 0)
        return TORG_E_INVALID;
    if (content > FRAME_ZIP_PLAIN_BYTES_MAX || window_of(body) > FRAME_ZIP_WINDOW_BYTES_MAX)
        return TORG_E_TOO_BIG;
    *ret_bytes = (size_t)content;
    return TORG_OK;
}

enum torg_err frame_zip_unpack(struct frame_zip *zip, struct span body, struct buffer *out)
{
    size_t size = 0, got;
    enum torg_err err = frame_zip_size(body, &size);

    if (err)
        return err;
    if (ZSTD_findFrameCompressedSize(body.data, body.size) != body.size)
        return TORG_E_INVALID; /* cut off, or something behind it */
    if (!zip->out)
        zip->out = ZSTD_createDCtx();
    if (!zip->out)
        return TORG_E_NOMEM;
    buffer_clear(out);
    err = buffer_reserve(out, size);
    if (err)
        return err;
    got = ZSTD_decompressDCtx(zip->out, out->data, size, body.data, body.size);
    if (ZSTD_isError(got) || got != size)
        return TORG_E_INVALID;
    out->size = size;
    return TORG_OK;
}

/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_FRAME_ZIP_H
#define TORG_PROTOCOL_FRAME_ZIP_H

#include "protocol/frame.h"

/*
 * Frames with flag 1: the array is one zstd frame (RFC 8878) with its content
 * size, a window of at most 2^20 bytes, no dictionary and nothing behind it.
 *
 * A frame_zip is memory to work in, about 1.5 MiB once both ways have been used,
 * for one thread and any number of connections. What comes out is a function of
 * what goes in alone.
 */
#define FRAME_ZIP_PLAIN_BYTES_MAX 1048576 /* of the array, when it is unpacked */
#define FRAME_ZIP_WINDOW_BYTES_MAX 1048576
#define FRAME_ZIP_BYTES_MIN 512 /* a smaller frame is sent as it is */
#define FRAME_ZIP_LEVEL 1
/* Of a frame without credit, for each control frame that is charged. */
#define FRAME_ZIP_CHARGE_BYTES 16384

struct frame_zip;
enum torg_err frame_zip_new(struct frame_zip **ret_zip);
void frame_zip_free(struct frame_zip *zip); /* NULL is accepted */

/* Does it pay for frames of this type? They are mostly text: BATCH, ENTRIES. */
bool frame_zip_pays(uint8_t type);
/* May frames of this type have the flag at all? Not HELLO and CHARTER. */
bool frame_zip_allowed(uint8_t type);

/*
 * The same frame, packed; borrowed from zip until the next call. TORG_E_TOO_BIG: it
 * would not be smaller by an eighth, send it as it is.
 */
enum torg_err frame_zip_pack(struct frame_zip *zip, struct span frame, struct span *ret_zipped);

/*
 * How large is the array when unpacked? Reads a few bytes only, so that it is
 * charged before any work is done. TORG_E_INVALID: not such a frame;
 * TORG_E_TOO_BIG: above FRAME_ZIP_PLAIN_BYTES_MAX or its window.
 */
enum torg_err frame_zip_size(struct span body, size_t *ret_bytes);
/*
 * Replace out by the unpacked array. TORG_E_INVALID for whatever is not what
 * frame_zip_size said; no more than that is written.
 */
enum torg_err frame_zip_unpack(struct frame_zip *zip, struct span body, struct buffer *out);

#endif

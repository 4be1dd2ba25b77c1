/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_PROFILE_H
#define TORG_PROTOCOL_PROFILE_H

#include "protocol/bytes.h"
#include "protocol/limits.h"

/*
 * The strict msgpack profile of everything that is hashed or signed (and of
 * every frame): shortest forms only, integers within +-(2^53 - 1), UTF-8 text,
 * map keys are text in strictly ascending byte order, no floats, no ext, at
 * most PROFILE_DEPTH_MAX containers deep, no trailing byte. One value has
 * exactly one encoding, so a hash of bytes is a hash of meaning.
 * Format: the MessagePack specification; docs/format-log.md.
 */

/*
 * Is this exactly one value in the profile? Allocates nothing and looks at
 * each byte once, so it may run on anything that a stranger sends. Counts are
 * compared with the bytes left before anything is believed.
 * TORG_E_PROFILE, TORG_E_TRUNCATED or TORG_E_TOO_BIG (depth) if not.
 */
enum torg_err profile_check(struct span bytes);

enum profile_kind {
    PROFILE_NIL,
    PROFILE_BOOL,
    PROFILE_INT,
    PROFILE_STR,
    PROFILE_BIN,
    PROFILE_ARRAY,
    PROFILE_MAP,
};

/*
 * A cursor over values in the profile. It checks the form of all that it
 * passes (not the order of map keys: profile_check does that) and remembers
 * its first mistake, after which it gives zeros. A value of another kind than
 * the one asked for is TORG_E_INVALID. Text and bytes are borrowed.
 */
struct profile_reader {
    struct reader in;
};

struct profile_reader profile_reader_of(struct span bytes);
/* The kind of the next value, without passing it; PROFILE_NIL after an error. */
enum profile_kind profile_peek(struct profile_reader *in);
/* How many elements, or pairs, follow. At most the bytes left. */
uint32_t profile_array(struct profile_reader *in);
uint32_t profile_map(struct profile_reader *in);
/* An array of exactly count elements, else TORG_E_INVALID. */
void profile_array_of(struct profile_reader *in, uint32_t count);
int64_t profile_int(struct profile_reader *in);
/* 0 <= value <= max, else TORG_E_INVALID. */
uint64_t profile_uint(struct profile_reader *in, uint64_t max);
bool profile_bool(struct profile_reader *in);
void profile_nil(struct profile_reader *in);
struct span profile_str(struct profile_reader *in, size_t size_max);
struct span profile_bin(struct profile_reader *in, size_t size_max);
/* A bin of exactly size bytes, copied to out; zeros after an error. */
void profile_bin_copy(struct profile_reader *in, void *out, size_t size);
/* The bytes of the whole next value, containers included. */
struct span profile_skip(struct profile_reader *in);
/* No byte may be left, else TORG_E_PROFILE. Returns the reader's error. */
enum torg_err profile_end(struct profile_reader *in);

/*
 * Packing, by msgpack-c, which writes shortest forms. Errors stay in the
 * buffer. The caller sends map keys in ascending order and stays within
 * +-INTEGER_MAX (asserted).
 */
void pack_array(struct buffer *out, uint32_t count);
void pack_map(struct buffer *out, uint32_t count);
void pack_int(struct buffer *out, int64_t value);
void pack_uint(struct buffer *out, uint64_t value);
void pack_bool(struct buffer *out, bool value);
void pack_nil(struct buffer *out);
void pack_str(struct buffer *out, struct span text);
void pack_bin(struct buffer *out, const void *data, size_t size);

#endif

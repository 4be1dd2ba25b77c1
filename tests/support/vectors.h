/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_SUPPORT_VECTORS_H
#define TORG_TESTS_SUPPORT_VECTORS_H

#include "protocol/bytes.h"

/*
 * The byte-exact test vectors of docs/format-log.md and of frames, from
 * tests/vectors/format.txt and frames.txt: lines of "name = hex", and comments after '#'. Fails the
 * test when the file or the name is missing. The bytes are the caller's, to buffer_done().
 */
void vector_read(const char *name, struct buffer *ret_bytes);

/* Fails unless bytes are exactly the vector of that name. */
void assert_vector(struct span bytes, const char *name);

#endif

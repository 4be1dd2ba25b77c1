/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_JSON_OUT_H
#define TORG_DAEMON_JSON_OUT_H

#include "protocol/bytes.h"

/*
 * JSON written straight into a buffer. Commas come by themselves: a member or
 * element asks whether something stands before it. A name of NULL writes an
 * element of an array.
 */
void json_out_begin(struct buffer *out, const char *name, char bracket); /* '{' or '[' */
void json_out_end(struct buffer *out, char bracket);                     /* '}' or ']' */
void json_out_text(struct buffer *out, const char *name, const char *text);
void json_out_span(struct buffer *out, const char *name, struct span text);
void json_out_int(struct buffer *out, const char *name, int64_t value);
void json_out_bool(struct buffer *out, const char *name, bool value);
void json_out_null(struct buffer *out, const char *name);
/* RFC 3339 in UTC */
void json_out_time(struct buffer *out, const char *name, int64_t ms);
/* A position's coordinate or another integer of 10^-scale as a decimal number. */
void json_out_fixed(struct buffer *out, const char *name, int64_t value, unsigned scale);
/* Bytes that are JSON already. */
void json_out_raw(struct buffer *out, const char *name, struct span json);

#endif

/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_NUM_H
#define TORG_PROTOCOL_NUM_H

#include "protocol/bytes.h"

/*
 * Numbers and times as text, exact and without the locale. Parsers take the
 * whole span: a leading or trailing stranger is TORG_E_INVALID, a value that
 * does not fit TORG_E_TOO_BIG.
 */

/* Decimal digits with an optional minus. */
enum torg_err num_parse_int(struct span text, int64_t min, int64_t max, int64_t *ret_value);

/*
 * A decimal number ("-17.9", "1e2" is refused unless allow_exponent) as an
 * integer of 10^-scale, rounded half away from zero; scale 0..9.
 */
enum torg_err num_parse_fixed(struct span text, unsigned scale, bool allow_exponent,
                              int64_t *ret_value);
/* value of 10^-scale as the shortest decimal: 179000000, 7 -> "17.9". */
void num_put_fixed(struct buffer *out, int64_t value, unsigned scale);
void num_put_int(struct buffer *out, int64_t value);

/* A finite double in plain or exponent notation, for coordinates and radii. */
#define NUM_DOUBLE_BYTES_MAX 64
enum torg_err num_parse_double(struct span text, double *ret_value);

/*
 * RFC 3339 with a zone ("2026-11-21T09:00:00Z", "+01:00"), to ms UTC, years 0001
 * to 9999. Digits after the third of a fraction are dropped; a leap second is
 * taken as the second after it.
 */
enum torg_err num_parse_time(struct span text, int64_t *ret_ms);
/*
 * "2026-11-21T09:00:00Z", with milliseconds only when there are any. A time
 * outside the years 0001 to 9999 is written as the nearest one inside.
 */
void num_put_time(struct buffer *out, int64_t ms);
/* A date ("2026-11-21") as [first ms, last ms] of that day in UTC. */
enum torg_err num_parse_date(struct span text, int64_t *ret_from_ms, int64_t *ret_through_ms);

#endif

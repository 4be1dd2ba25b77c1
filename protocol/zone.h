/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_ZONE_H
#define TORG_PROTOCOL_ZONE_H

#include "protocol/bytes.h"

/*
 * Local time in the zones that torg computes by itself: UTC, and four that
 * follow the European Union's rule (Directive 2000/84/EC; the same since 1996):
 * summer time from the last Sunday of March to the last Sunday of October, both
 * at 01:00 UTC. A local time is "local ms": the milliseconds since 1970 that
 * its clock face would mean in UTC.
 */
#define ZONE_NAME_BYTES_MAX 48
#define ZONE_DEFAULT "Europe/Stockholm"
/* For messages. */
#define ZONE_KNOWN_TEXT "Europe/Stockholm, Europe/Helsinki, Europe/Oslo, Europe/Copenhagen or UTC"

/* Local times that are believed; before, summer time had other rules. */
#define ZONE_YEAR_MIN 1996
#define ZONE_YEAR_MAX 2199
/* A zone is never further from UTC than this. */
#define ZONE_OFFSET_MS_MAX (14 * INT64_C(3600000))
#define ZONE_DAY_MS INT64_C(86400000)

/* Is name written as IANA writes zones ("Area/Place", "UTC")? */
bool zone_name_valid(struct span name);
bool zone_known(struct span name);

/* Zone's clock minus UTC at utc_ms. The zone must be known (asserted). */
int64_t zone_offset_ms(struct span zone, int64_t utc_ms);
/*
 * The moment of a local time in a known zone. Of an hour that comes twice, the
 * first; of an hour that is skipped, as if the clock had not been set forward
 * (RFC 5545, 3.3.5), and *ret_exists is false. ret_exists may be NULL.
 */
int64_t zone_utc_ms(struct span zone, int64_t local_ms, bool *ret_exists);

/* What a local date or date-time says. */
struct zone_local {
    int64_t local_ms;
    bool date_only;
};
/* "2026-07-04", "2026-07-04T18:00" or with seconds; T may be a space. Years 1 to 9999. */
enum torg_err zone_local_parse(struct span text, struct zone_local *ret_local);
/* "2026-07-04" or "2026-07-04T18:00:00". */
void zone_local_put(struct buffer *out, const struct zone_local *local);
/* "+02:00"; whole minutes. */
void zone_offset_put(struct buffer *out, int64_t offset_ms);
/* The year of a local (or UTC) time. */
int zone_year(int64_t local_ms);

/* Days since 1970-01-01 in the Gregorian calendar, and back; month 1 to 12. */
int64_t zone_days_of_date(int year, int month, int day);
void zone_date_of_days(int64_t days, int *ret_year, int *ret_month, int *ret_day);
/* The day on which a local (or UTC) time is. */
int64_t zone_day(int64_t local_ms);
/* 0 for a Monday, 6 for a Sunday. */
unsigned zone_weekday(int64_t days);

#endif

/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_RRULE_H
#define TORG_PROTOCOL_RRULE_H

#include "protocol/bytes.h"

/*
 * The days of a recurrence rule (RFC 5545, section 3.3.10): DAILY, WEEKLY,
 * MONTHLY and YEARLY with all of their BY... parts but BYHOUR and BYMINUTE,
 * which are passed over: whoever asks knows the hour. A day is counted from
 * 1970-01-01, by the calendar on the wall.
 *
 * Where a rule has to count, it counts from its first day. That a day is the
 * first does not make it one of the rule's.
 */
#define RRULE_LIST_MAX 32     /* values of one part; of a day's opening rule more do not fit */
#define RRULE_COUNT_DAYS 4000 /* a rule with COUNT is followed so far, and is over then */

enum rrule_frequency { RRULE_DAILY, RRULE_WEEKLY, RRULE_MONTHLY, RRULE_YEARLY };
enum rrule_end { RRULE_FOR_EVER, RRULE_UNTIL_LOCAL, RRULE_UNTIL_UTC };

struct rrule_numbers {
    uint8_t count;
    int16_t values[RRULE_LIST_MAX]; /* negative: from the end */
};
struct rrule {
    enum rrule_frequency frequency;
    int64_t interval; /* 1 unless given */
    int64_t times;    /* COUNT; 0: none */
    enum rrule_end end;
    int64_t until_ms;                     /* the last moment that counts, on the wall or in UTC */
    unsigned week_start;                  /* 0 is Monday, as for all weekdays here */
    uint8_t weekdays;                     /* a bit for each that stands without a number */
    struct rrule_numbers nth;             /* numbers of weekdays, "-1SU"; ... */
    uint8_t nth_weekdays[RRULE_LIST_MAX]; /* ... and which these are */
    struct rrule_numbers month_days, year_days, weeks, months, positions;
};

/* TORG_E_INVALID: it is no such rule; TORG_E_TOO_BIG: a part has too many values. */
enum torg_err rrule_parse(struct span text, struct rrule *ret_rule);
/* Does it say nothing without its first day: every other week, every month? */
bool rrule_needs_first(const struct rrule *rule);
/*
 * Is the day one of the rule's? first: its first day; INT64_MIN when that is
 * not known, which is fine unless the rule needs it (else false). UNTIL is not
 * looked at: it speaks of hours. *work grows by the days that were looked at.
 */
bool rrule_has_day(const struct rrule *rule, int64_t first, int64_t day, uint64_t *work);

#endif

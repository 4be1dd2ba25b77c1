/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_OPENING_H
#define TORG_PROTOCOL_OPENING_H

#include "protocol/bytes.h"

/*
 * Opening hours: is it open at a moment? Each entry of a listing's openingHours
 * has days (weekdays or a recurrence rule), a time of the day from which and
 * one until which it is open, a zone, and perhaps a season. It is open from the
 * moment of opens on, until just before that of closes, by the clock on the
 * wall: of an hour that comes twice the first is meant, and one that is skipped
 * is as if the clock had not been set forward (zone.h). A closes that is not
 * after opens is on the next day; the entry's day is the one on which it opens.
 *
 * What cannot be known is not open: a zone that zone.h does not compute, a rule
 * that needs a first day when the entry has no from (rrule.h), parts that have
 * another form. What strangers sign may be anything.
 */

/* Moments that can be asked about: ZONE_YEAR_MIN to ZONE_YEAR_MAX. */
bool opening_moment_valid(int64_t utc_ms);

/* A listing's packed openingHours, from its packed body; empty without. Borrowed. */
struct span opening_of_body(struct span body);
/* utc_ms is valid. *work grows by what rules took, in days that were looked at. */
bool opening_at(struct span hours, int64_t utc_ms, uint64_t *work);

/*
 * For finding candidates: the week in UTC is divided into quarters of days, from
 * Monday on. A bit for each in which it may be open, in any season; where a bit
 * is missing it is closed for sure.
 */
#define OPENING_SLOTS 28
uint32_t opening_slots(struct span hours);
unsigned opening_slot(int64_t utc_ms);

#endif

/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_LISTING_ICAL_H
#define TORG_PROTOCOL_LISTING_ICAL_H

#include "protocol/listing.h"

/*
 * Listings with a start as events of a calendar that others subscribe to (RFC
 * 5545). A calendar is: begin, any number of events, end.
 *
 * UID is the feature's id and never changes; SEQUENCE grows with every change,
 * by the seconds between the first and the last, so that no count has to be
 * kept. Local times keep their zone: the calendar has a VTIMEZONE of each zone
 * that torg knows. An end that is a whole day is the last day, which RFC 5545
 * writes as the day after.
 */
void listing_ical_begin(struct buffer *out, struct span name);
/*
 * One feature as listing_put_geojson writes it. language: of texts that are in
 * several, else Swedish, else any. Without a start nothing is appended.
 * TORG_E_INVALID for what is no such feature; TORG_E_NOMEM.
 */
enum torg_err listing_put_ical(struct span feature, const char *language, struct buffer *out);
void listing_ical_end(struct buffer *out);

#endif

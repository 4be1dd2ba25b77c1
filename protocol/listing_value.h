/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_LISTING_VALUE_H
#define TORG_PROTOCOL_LISTING_VALUE_H

#include "protocol/listing.h"

/*
 * How single values are written. Each function gives NULL when text is right,
 * or else what is accepted ("must be ..."), in static storage.
 */
const char *listing_value_fault(enum listing_format format, struct span text);
/* http or https, a host, only characters of RFC 3986, no user name. */
const char *listing_value_uri_fault(struct span text);
/* Not empty, not only white space, no control characters; paragraphs allow '\n' and '\t'. */
const char *listing_value_text_fault(struct span text, bool paragraphs);
/* The code beside countryCode (empty: SE). */
const char *listing_value_municipality_fault(struct span code, struct span country);
/* Digits after the decimal point of an ISO 4217 currency. */
unsigned listing_value_currency_decimals(struct span currency);
const char *listing_value_currency_fault(struct span currency);

#endif

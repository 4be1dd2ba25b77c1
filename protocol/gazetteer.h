/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_GAZETTEER_H
#define TORG_PROTOCOL_GAZETTEER_H

#include "protocol/listing.h"

/*
 * Place names, so that people can type "Sörmjöle" instead of a position. Built
 * into the program from data/orter-geonames.csv, data/postnummer-geonames.csv
 * (both GeoNames, CC BY 4.0), data/orter-af.csv and data/kommuner.csv by
 * protocol/gazetteer_make.py; NOTICE names the licences. Sweden only so far.
 */
#define GAZETTEER_TEXT_BYTES_MAX 200

/* Static storage throughout. */
struct gazetteer_place {
    const char *name;
    const char *other_names;       /* further names, each ended by '\n'; "" if none */
    const char *municipality_code; /* SCB, "2480"; "" when not known */
    struct position position;
    uint32_t population; /* 0 when not known */
};

/* All places, in a fixed order. Any thread. */
size_t gazetteer_count(void);
const struct gazetteer_place *gazetteer_at(size_t i);
/* "Umeå" for "2480"; NULL for a code that is not known. */
const char *gazetteer_municipality(struct span code);
/* Its seat's further names, in Finnish, Sami and so on, each ended by '\n'; "" if none. */
const char *gazetteer_municipality_other_names(struct span code);
/* Changes with places and municipalities: what was derived from them must be derived again. */
uint32_t gazetteer_version(void);
/* All municipalities, ascending by code. */
size_t gazetteer_municipality_count(void);
void gazetteer_municipality_at(size_t i, const char **ret_code, const char **ret_name);

/* The names, folded and sorted for look-up: immutable after new; any thread. */
struct gazetteer;
enum torg_err gazetteer_new(struct gazetteer **ret_gazetteer);
void gazetteer_free(struct gazetteer *gazetteer);

/*
 * The places that text may mean: "umea", "Holmön, Umeå" (the second word names
 * the municipality) or a postal code of five digits. Places so called come
 * first and alone if there are any; otherwise places whose name begins so; each
 * time the most populous first. Returns how many there are; at most max are
 * written to out. *ret_exact tells which of the two. TORG_E_TOO_BIG for a text
 * that is too long, TORG_E_NOMEM.
 */
enum torg_err gazetteer_find(const struct gazetteer *gazetteer, struct span text,
                             const struct gazetteer_place **out, size_t max, size_t *ret_count,
                             bool *ret_exact);

#endif

/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TOOLS_QUERY_PRINT_H
#define TORG_TOOLS_QUERY_PRINT_H

#include <jansson.h>
#include <stdio.h>

/* An answer of the API for people: its listings, its facets, and how it was found. */
void query_print_features(const json_t *answer, FILE *out);
/* Nothing when the answer has none. */
void query_print_facets(const json_t *answer, FILE *out);
void query_print_explain(const json_t *answer, FILE *out);

#endif

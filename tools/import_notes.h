/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TOOLS_IMPORT_NOTES_H
#define TORG_TOOLS_IMPORT_NOTES_H

#include <jansson.h>
#include <stdio.h>

#include "protocol/theme.h"

/*
 * What an import took, but what its sender may not have meant: rows that the
 * next import of the file would publish a second time, and themes that the
 * taxonomy does not have. Gathered over all rows, said once at the end.
 */
#define IMPORT_THEMES_MAX 50 /* different unknown themes that are named */

struct import_theme {
    char slug[THEME_SLUG_BYTES_MAX + 1];
    size_t listings;
};

struct import_notes {
    struct theme_tree *taxonomy;
    size_t anonymous; /* new listings that no later import can recognise */
    size_t theme_count;
    struct import_theme themes[IMPORT_THEMES_MAX];
    bool more_themes; /* than there was room for */
};

/* TORG_E_NOMEM. */
enum torg_err import_notes_init(struct import_notes *notes);
void import_notes_done(struct import_notes *notes);

/*
 * Would importing this feature again update the listing that it became? Of one
 * that is new here an id says nothing: it is another municipality's.
 */
bool import_notes_recognisable(const json_t *feature);
/* A listing that was created from a feature that is not recognisable. */
void import_notes_anonymous(struct import_notes *notes);
/* A feature that was sent: its themes. */
void import_notes_themes(struct import_notes *notes, const json_t *feature);

void import_notes_print(const struct import_notes *notes, FILE *out);

#endif

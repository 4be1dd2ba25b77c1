/* SPDX-License-Identifier: EUPL-1.2 */
#include "tools/import_notes.h"

#include <limits.h>
#include <string.h>

#include "protocol/nearest.h"

enum torg_err import_notes_init(struct import_notes *notes)
{
    *notes = (struct import_notes){0};
    return theme_tree_builtin(&notes->taxonomy);
}

void import_notes_done(struct import_notes *notes)
{
    theme_tree_free(notes->taxonomy);
    *notes = (struct import_notes){0};
}

bool import_notes_recognisable(const json_t *feature)
{
    const json_t *properties = json_object_get(feature, "properties");
    const json_t *identifiers = json_object_get(properties, "identifiers");

    return json_is_object(json_object_get(identifiers, "source"));
}

void import_notes_anonymous(struct import_notes *notes)
{
    notes->anonymous++;
}

static void note_theme(struct import_notes *notes, const char *slug)
{
    for (size_t i = 0; i < notes->theme_count; i++) {
        if (strcmp(notes->themes[i].slug, slug) == 0) {
            notes->themes[i].listings++;
            return;
        }
    }
    if (notes->theme_count == IMPORT_THEMES_MAX) {
        notes->more_themes = true;
        return;
    }
    notes->themes[notes->theme_count].listings = 1;
    snprintf(notes->themes[notes->theme_count].slug, sizeof(notes->themes->slug), "%s", slug);
    notes->theme_count++;
}

void import_notes_themes(struct import_notes *notes, const json_t *feature)
{
    const json_t *themes = json_object_get(json_object_get(feature, "properties"), "themes");
    const json_t *theme;
    size_t i;

    json_array_foreach(themes, i, theme)
    {
        struct span slug = span_of(json_string_value(theme), json_string_length(theme));

        /* What is no slug at all is refused, and named there. */
        if (json_is_string(theme) && theme_slug_valid(slug) &&
            !theme_tree_find(notes->taxonomy, slug))
            note_theme(notes, (const char *)slug.data);
    }
}

/*
 * The known theme that was probably meant: the nearest whole slug, or one with
 * the same last level ("cafe" for food/cafe). NULL if none is near.
 */
static const char *theme_meant(const struct theme_tree *taxonomy, const char *slug)
{
    const char *slash = strrchr(slug, '/');
    struct span whole = span_of_str(slug);
    struct span last = span_of_str(slash ? slash + 1 : slug);
    unsigned best = (unsigned)(whole.size / 4 + 2); /* Further off it is another word. */
    const char *found = NULL;

    for (size_t i = 0; i < theme_tree_count(taxonomy); i++) {
        const char *known = theme_tree_at(taxonomy, i)->slug;
        const char *known_slash = strrchr(known, '/');
        struct span known_last = span_of_str(known_slash ? known_slash + 1 : known);
        unsigned distance = nearest_distance(whole, span_of_str(known));

        if (span_equal(last, known_last) && distance > 1)
            distance = 1; /* the right word on the wrong branch */
        if (distance < best) {
            best = distance;
            found = known;
        }
    }
    return found;
}

/* The broader theme under which people find it; NULL at the top. */
static const char *theme_above(const struct theme_tree *taxonomy, const char *slug)
{
    struct span above = span_of_str(slug);

    while (above.size > 0) {
        const struct theme *theme;

        while (above.size > 0 && above.data[above.size - 1] != '/')
            above.size--;
        if (above.size > 0)
            above.size--;
        theme = above.size > 0 ? theme_tree_find(taxonomy, above) : NULL;
        if (theme)
            return theme->slug;
    }
    return NULL;
}

static void print_theme(const struct import_notes *notes, const struct import_theme *theme,
                        FILE *out)
{
    const char *meant = theme_meant(notes->taxonomy, theme->slug);
    const char *above = theme_above(notes->taxonomy, theme->slug);

    fprintf(out, "note: theme \"%s\" (%zu row%s) is not in the taxonomy; ", theme->slug,
            theme->listings, theme->listings == 1 ? "" : "s");
    if (meant)
        fprintf(out, "did you mean %s? ", meant);
    if (above)
        fprintf(out, "It is kept, and found by its own name and under %s\n", above);
    else
        fputs("It is kept, and found by its own name only\n", out);
}

void import_notes_print(const struct import_notes *notes, FILE *out)
{
    for (size_t i = 0; i < notes->theme_count; i++)
        print_theme(notes, &notes->themes[i], out);
    if (notes->more_themes)
        fprintf(out, "note: and more than %d other themes that are not in the taxonomy\n",
                IMPORT_THEMES_MAX);
    if (notes->anonymous > 0)
        fprintf(out,
                "note: %zu new row%s neither identifiers.source nor the id of a listing here, so "
                "importing the file again "
                "would publish %s once more. Give each row identifiers.source.system (such as "
                "\"crm\") and identifiers.source.id (its number there); or change what is "
                "published in a file from torg export, which has the ids\n",
                notes->anonymous, notes->anonymous == 1 ? " has" : "s have",
                notes->anonymous == 1 ? "it" : "them");
}

/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_THEME_H
#define TORG_PROTOCOL_THEME_H

#include "protocol/bytes.h"

/*
 * Themes are slugs in a tree of at most three levels ("food/cafe"). A listing
 * carries slugs; the index carries, for exact and fast tests, a set of at most
 * 256 bits. The taxonomy, a JSON file with names in several languages, gives
 * each known slug its bit; a slug that it does not know falls back to its
 * nearest known ancestor's bit (or bit 0, "other"), and is compared as text.
 */
#define THEME_SLUG_BYTES_MAX 64
#define THEME_LEVELS_MAX 3
#define THEME_BITS 256
#define THEME_COUNT_MAX 4096 /* in a taxonomy; those past the bits share their parent's */

struct theme_set {
    uint64_t words[4];
};

static inline void theme_set_add(struct theme_set *set, unsigned bit)
{
    set->words[bit / 64] |= UINT64_C(1) << (bit % 64);
}
static inline bool theme_set_has(const struct theme_set *set, unsigned bit)
{
    return set->words[bit / 64] >> (bit % 64) & 1;
}
static inline bool theme_set_shares(const struct theme_set *a, const struct theme_set *b)
{
    return ((a->words[0] & b->words[0]) | (a->words[1] & b->words[1]) |
            (a->words[2] & b->words[2]) | (a->words[3] & b->words[3])) != 0;
}
static inline bool theme_set_empty(const struct theme_set *set)
{
    return (set->words[0] | set->words[1] | set->words[2] | set->words[3]) == 0;
}

/* Lower-case ASCII letters, digits and hyphens, one to three levels split by '/'. */
bool theme_slug_valid(struct span slug);
/* Is slug the theme itself or one below it ("food" holds "food/cafe")? */
bool theme_holds(struct span theme, struct span slug);

struct theme_tree; /* immutable after load; any thread */

struct theme {
    const char *slug;
    const char *parent; /* NULL at the top */
    uint8_t bit;
    size_t name_count; /* pairs of language tag and name */
    const char *const *languages;
    const char *const *names;
};

/*
 * From the taxonomy's JSON text, {"version", "themes": [{"slug", "bit", "names"}]};
 * message gets the reason of TORG_E_CONFIG. A theme without "bit" shares its
 * parent's; "other" has bit 0. Themes are held in ascending order of slug.
 */
enum torg_err theme_tree_parse(struct span json, struct theme_tree **ret_tree, char *message,
                               size_t message_size);
/* The taxonomy that is built into the program (data/themes.json). */
enum torg_err theme_tree_builtin(struct theme_tree **ret_tree);
void theme_tree_free(struct theme_tree *tree);
size_t theme_tree_count(const struct theme_tree *tree);
const struct theme *theme_tree_at(const struct theme_tree *tree, size_t i);
const struct theme *theme_tree_find(const struct theme_tree *tree, struct span slug);
/* The best name for language, falling back to sv, then any, then the slug. */
const char *theme_name(const struct theme *theme, const char *language);
/* Changes with slugs and bits: an index built with another one must be rebuilt. */
uint64_t theme_tree_version(const struct theme_tree *tree);

/* The theme of bit 0, which also takes in what nothing that is known holds. */
#define THEME_OTHER "other"

/* The bit that a listing's slug stands for. */
unsigned theme_bit(const struct theme_tree *tree, struct span slug);
/*
 * The bits that a listing with slug carries: that one, and those of all themes
 * that hold it. So a theme with everything narrower is one bit.
 */
struct theme_set theme_listing_set(const struct theme_tree *tree, struct span slug);
/*
 * What a query for slug must look for: one bit, which the listings carry that
 * have slug or something below it. *ret_exact is false when others carry it too
 * (a slug without a bit of its own shares another's, unknown ones fell back), so
 * that a hit must be compared as text.
 */
struct theme_set theme_query_set(const struct theme_tree *tree, struct span slug, bool *ret_exact);

#endif

/* SPDX-License-Identifier: EUPL-1.2 */
#include <string.h>

#include "index/query_plan.h"

struct themes_count {
    /* At a bit: the bits of its theme and of all that hold it. */
    struct theme_set holders[THEME_BITS];
    /* The theme that a bit stands for; NULL for an unused bit. */
    const struct theme *owners[THEME_BITS];
    uint64_t *counts;
};

/* A theme without a bit of its own shares its parent's. */
static bool theme_owns_bit(const struct theme_tree *themes, const struct theme *theme)
{
    const struct theme *parent =
        theme->parent ? theme_tree_find(themes, span_of_str(theme->parent)) : NULL;

    if (parent)
        return parent->bit != theme->bit;
    return theme->bit != 0 || strcmp(theme->slug, "other") == 0;
}

static void count_init(struct themes_count *count, const struct theme_tree *themes)
{
    for (size_t i = 0; i < theme_tree_count(themes); i++) {
        const struct theme *theme = theme_tree_at(themes, i);

        if (theme_owns_bit(themes, theme))
            count->owners[theme->bit] = theme;
    }
    for (unsigned bit = 0; bit < THEME_BITS; bit++) {
        const struct theme *theme = count->owners[bit];

        theme_set_add(&count->holders[bit], bit);
        while (theme && theme->parent) {
            theme = theme_tree_find(themes, span_of_str(theme->parent));
            if (theme)
                theme_set_add(&count->holders[bit], theme->bit);
        }
    }
}

static enum torg_err count_visit(void *context, uint32_t number, const struct catalogue_row *row)
{
    struct themes_count *count = context;
    struct theme_set all = {{0}};

    (void)number;
    for (size_t i = 0; i < row->theme_bits.size; i++) {
        const struct theme_set *holders = &count->holders[row->theme_bits.data[i]];

        for (size_t word = 0; word < ARRAY_SIZE(all.words); word++)
            all.words[word] |= holders->words[word];
    }
    for (size_t word = 0; word < ARRAY_SIZE(all.words); word++) {
        for (uint64_t left = all.words[word]; left; left &= left - 1)
            count->counts[64 * word + (unsigned)__builtin_ctzll(left)]++;
    }
    return TORG_OK;
}

enum torg_err query_theme_counts(const struct kv *kv, const struct theme_tree *themes,
                                 const struct query *query, uint64_t counts[THEME_BITS])
{
    struct themes_count count = {.counts = counts};
    struct query_plan plan;
    enum torg_err err;

    err = query_plan_init(&plan, kv, themes, query);
    if (err)
        return err;
    count_init(&count, themes);
    memset(counts, 0, THEME_BITS * sizeof(*counts));
    err = query_plan_each_row(&plan, count_visit, &count);
    query_plan_done(&plan);
    return err;
}

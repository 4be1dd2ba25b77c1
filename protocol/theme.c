/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/theme.h"

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* data/themes.json, made into an array while building. */
extern const unsigned char theme_data[];
extern const size_t theme_data_size;

struct entry {
    struct theme theme;
    size_t parent; /* index, or SIZE_MAX */
    bool own_bit;  /* false: it falls back to its ancestor's */
};

struct theme_tree {
    uint64_t version;
    size_t count;
    struct entry *entries; /* ascending by slug */
    bool used[THEME_BITS];
    json_t *json; /* owns slugs and names */
    const char **strings;
};

bool theme_slug_valid(struct span slug)
{
    unsigned levels = 1;
    bool letter_before = false;

    if (slug.size == 0 || slug.size > THEME_SLUG_BYTES_MAX)
        return false;
    for (size_t i = 0; i < slug.size; i++) {
        uint8_t c = slug.data[i];

        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
            letter_before = true;
        } else if ((c == '-' || c == '/') && letter_before) {
            letter_before = false;
            levels += c == '/';
        } else {
            return false;
        }
    }
    return letter_before && levels <= THEME_LEVELS_MAX;
}

bool theme_holds(struct span theme, struct span slug)
{
    return theme.size && slug.size >= theme.size &&
           memcmp(slug.data, theme.data, theme.size) == 0 &&
           (slug.size == theme.size || slug.data[theme.size] == '/');
}

/* The slug without its last level; empty at the top. */
static struct span slug_parent(struct span slug)
{
    while (slug.size && slug.data[slug.size - 1] != '/')
        slug.size--;
    if (slug.size)
        slug.size--;
    return slug;
}

static size_t entry_find(const struct theme_tree *tree, struct span slug)
{
    size_t low = 0;
    size_t high = tree->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = span_compare(span_of_str(tree->entries[middle].theme.slug), slug);

        if (order == 0)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return SIZE_MAX;
}

/* The nearest known theme that holds slug, itself included. */
static size_t entry_nearest(const struct theme_tree *tree, struct span slug)
{
    size_t found = SIZE_MAX;

    while (slug.size && found == SIZE_MAX) {
        found = entry_find(tree, slug);
        slug = slug_parent(slug);
    }
    return found;
}

static int entry_compare(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->theme.slug, ((const struct entry *)b)->theme.slug);
}

/* One theme of the file; its names go to strings, which has room for them. */
static bool entry_read(struct theme_tree *tree, const json_t *item, const char **strings,
                       char *message, size_t message_size)
{
    struct entry *entry = &tree->entries[tree->count];
    const char *slug = json_string_value(json_object_get(item, "slug"));
    const json_t *bit = json_object_get(item, "bit");
    json_t *names = json_object_get(item, "names");
    size_t name_count = json_object_size(names);
    const char *language;
    json_t *name;
    size_t n = 0;

    if (!slug || !theme_slug_valid(span_of_str(slug))) {
        snprintf(message, message_size, "theme %zu: slug must be 1 to 3 levels of a-z, 0-9 and -",
                 tree->count + 1);
        return false;
    }
    if (bit && (!json_is_integer(bit) || json_integer_value(bit) < 0 ||
                json_integer_value(bit) >= THEME_BITS)) {
        snprintf(message, message_size, "%s: bit must be 0 to %d, or be left out", slug,
                 THEME_BITS - 1);
        return false;
    }
    json_object_foreach(names, language, name)
    {
        if (!json_is_string(name)) {
            snprintf(message, message_size, "%s: names.%s must be a string", slug, language);
            return false;
        }
        strings[n] = language;
        strings[name_count + n] = json_string_value(name);
        n++;
    }
    entry->theme.slug = slug;
    entry->theme.name_count = name_count;
    entry->theme.languages = strings;
    entry->theme.names = strings + name_count;
    entry->own_bit = bit != NULL;
    entry->theme.bit = bit ? (uint8_t)json_integer_value(bit) : 0;
    return true;
}

/* Parents, bits of themes without one, and what only the whole can show. */
static bool tree_link(struct theme_tree *tree, char *message, size_t message_size)
{
    for (size_t i = 0; i < tree->count; i++) {
        struct entry *entry = &tree->entries[i];
        struct span parent = slug_parent(span_of_str(entry->theme.slug));

        if (i && strcmp(tree->entries[i - 1].theme.slug, entry->theme.slug) == 0) {
            snprintf(message, message_size, "%s: stands twice", entry->theme.slug);
            return false;
        }
        entry->parent = SIZE_MAX;
        if (parent.size) {
            /* A parent is a prefix, so it stands before and is linked already. */
            entry->parent = entry_find(tree, parent);
            if (entry->parent == SIZE_MAX) {
                snprintf(message, message_size, "%s: its parent is not in the file",
                         entry->theme.slug);
                return false;
            }
            entry->theme.parent = tree->entries[entry->parent].theme.slug;
            if (!entry->own_bit)
                entry->theme.bit = tree->entries[entry->parent].theme.bit;
        }
        if (entry->own_bit && tree->used[entry->theme.bit]) {
            snprintf(message, message_size, "%s: bit %u is taken", entry->theme.slug,
                     (unsigned)entry->theme.bit);
            return false;
        }
        if (entry->own_bit)
            tree->used[entry->theme.bit] = true;
        if (entry->own_bit &&
            (entry->theme.bit == 0) != (strcmp(entry->theme.slug, THEME_OTHER) == 0)) {
            snprintf(message, message_size, "%s: bit 0 belongs to \"other\"", entry->theme.slug);
            return false;
        }
    }
    if (entry_find(tree, span_of_str(THEME_OTHER)) == SIZE_MAX || !tree->used[0]) {
        snprintf(message, message_size, "a theme \"other\" with bit 0 must be there");
        return false;
    }
    return true;
}

static void tree_version(struct theme_tree *tree)
{
    crypto_generichash_state state;
    uint8_t digest[crypto_generichash_BYTES_MIN];

    crypto_generichash_init(&state, NULL, 0, sizeof(digest));
    for (size_t i = 0; i < tree->count; i++) {
        const struct theme *theme = &tree->entries[i].theme;

        crypto_generichash_update(&state, (const uint8_t *)theme->slug, strlen(theme->slug) + 1);
        crypto_generichash_update(&state, &theme->bit, 1);
    }
    crypto_generichash_final(&state, digest, sizeof(digest));
    tree->version = get_u64be(digest);
}

static size_t names_total(const json_t *themes)
{
    size_t total = 0;
    size_t i;
    json_t *item;

    json_array_foreach(themes, i, item) total += json_object_size(json_object_get(item, "names"));
    return total;
}

static enum torg_err tree_fill(struct theme_tree *tree, char *message, size_t message_size)
{
    const json_t *edition = json_object_get(tree->json, "version");
    const json_t *themes = json_object_get(tree->json, "themes");
    size_t used = 0;
    size_t i;
    json_t *item;

    if (!json_is_integer(edition) || json_integer_value(edition) < 1 ||
        json_integer_value(edition) > INT32_MAX) {
        snprintf(message, message_size, "version must be a whole number from 1");
        return TORG_E_CONFIG;
    }
    if (json_array_size(themes) < 1 || json_array_size(themes) > THEME_COUNT_MAX) {
        snprintf(message, message_size, "themes must be a list of 1 to %d", THEME_COUNT_MAX);
        return TORG_E_CONFIG;
    }
    tree->entries = calloc(json_array_size(themes), sizeof(*tree->entries));
    tree->strings = calloc(2 * names_total(themes) + 1, sizeof(*tree->strings));
    if (!tree->entries || !tree->strings)
        return TORG_E_NOMEM;
    json_array_foreach(themes, i, item)
    {
        if (!entry_read(tree, item, tree->strings + used, message, message_size))
            return TORG_E_CONFIG;
        used += 2 * tree->entries[tree->count].theme.name_count;
        tree->count++;
    }
    qsort(tree->entries, tree->count, sizeof(*tree->entries), entry_compare);
    if (!tree_link(tree, message, message_size))
        return TORG_E_CONFIG;
    tree_version(tree);
    return TORG_OK;
}

enum torg_err theme_tree_parse(struct span json, struct theme_tree **ret_tree, char *message,
                               size_t message_size)
{
    struct theme_tree *tree;
    json_error_t error;
    enum torg_err err;

    if (message_size)
        message[0] = '\0';
    tree = calloc(1, sizeof(*tree));
    if (!tree)
        return TORG_E_NOMEM;
    tree->json = json_loadb((const char *)json.data, json.size, JSON_REJECT_DUPLICATES, &error);
    if (!tree->json) {
        snprintf(message, message_size, "line %d: %s", error.line, error.text);
        err = TORG_E_CONFIG;
        goto done;
    }
    err = tree_fill(tree, message, message_size);
    if (err)
        goto done;
    *ret_tree = tree;
    tree = NULL;
done:
    theme_tree_free(tree);
    return err;
}

enum torg_err theme_tree_builtin(struct theme_tree **ret_tree)
{
    char message[200];
    enum torg_err err =
        theme_tree_parse(span_of(theme_data, theme_data_size), ret_tree, message, sizeof(message));

    /* The unit tests read this very file, so only memory can be short here. */
    return err == TORG_E_CONFIG ? TORG_E_INTERNAL : err;
}

void theme_tree_free(struct theme_tree *tree)
{
    if (!tree)
        return;
    json_decref(tree->json);
    free(tree->entries);
    free(tree->strings);
    free(tree);
}

size_t theme_tree_count(const struct theme_tree *tree)
{
    return tree->count;
}

const struct theme *theme_tree_at(const struct theme_tree *tree, size_t i)
{
    return i < tree->count ? &tree->entries[i].theme : NULL;
}

const struct theme *theme_tree_find(const struct theme_tree *tree, struct span slug)
{
    return theme_tree_at(tree, entry_find(tree, slug));
}

uint64_t theme_tree_version(const struct theme_tree *tree)
{
    return tree->version;
}

static const char *name_in(const struct theme *theme, const char *language)
{
    for (size_t i = 0; i < theme->name_count; i++) {
        if (strcmp(theme->languages[i], language) == 0)
            return theme->names[i];
    }
    return NULL;
}

const char *theme_name(const struct theme *theme, const char *language)
{
    const char *name = name_in(theme, language);

    if (!name)
        name = name_in(theme, "sv");
    if (!name && theme->name_count)
        name = theme->names[0];
    return name ? name : theme->slug;
}

unsigned theme_bit(const struct theme_tree *tree, struct span slug)
{
    size_t nearest = entry_nearest(tree, slug);

    return nearest == SIZE_MAX ? 0 : tree->entries[nearest].theme.bit;
}

struct theme_set theme_listing_set(const struct theme_tree *tree, struct span slug)
{
    size_t at = entry_nearest(tree, slug);
    struct theme_set set = {0};

    if (at == SIZE_MAX)
        theme_set_add(&set, 0);
    while (at != SIZE_MAX) {
        const struct theme *theme = &tree->entries[at].theme;

        theme_set_add(&set, theme->bit);
        at = theme->parent ? entry_find(tree, span_of_str(theme->parent)) : SIZE_MAX;
    }
    return set;
}

struct theme_set theme_query_set(const struct theme_tree *tree, struct span slug, bool *ret_exact)
{
    struct theme_set set = {0};
    size_t found = entry_find(tree, slug);

    theme_set_add(&set, theme_bit(tree, slug));
    /*
     * What carries a theme's own bit is the theme, or something below it: all
     * of it is asked for. Bit 0 also takes in what nothing holds.
     */
    *ret_exact =
        found != SIZE_MAX && tree->entries[found].own_bit && tree->entries[found].theme.bit != 0;
    return set;
}

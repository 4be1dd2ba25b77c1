/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/gazetteer.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/fold.h"
#include "protocol/num.h"

struct gazetteer_code {
    const char *code;
    const char *name;
    const char *other_names;
};

struct gazetteer_postal {
    uint32_t code;
    uint16_t place;
};

#include "protocol/gazetteer_data.h"

#define POSTAL_DIGITS 5

/* One name of one place, folded. */
struct name {
    uint32_t start; /* in text */
    uint16_t size;
    uint16_t place;
};

struct gazetteer {
    struct buffer text;
    struct name *names; /* ascending by folded name */
    size_t count;
};

size_t gazetteer_count(void)
{
    return ARRAY_SIZE(gazetteer_places);
}

const struct gazetteer_place *gazetteer_at(size_t i)
{
    return &gazetteer_places[i];
}

size_t gazetteer_municipality_count(void)
{
    return ARRAY_SIZE(gazetteer_codes);
}

void gazetteer_municipality_at(size_t i, const char **ret_code, const char **ret_name)
{
    *ret_code = gazetteer_codes[i].code;
    *ret_name = gazetteer_codes[i].name;
}

static const struct gazetteer_code *code_find(struct span code)
{
    size_t low = 0;
    size_t high = ARRAY_SIZE(gazetteer_codes);

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = span_compare(span_of_str(gazetteer_codes[middle].code), code);

        if (order == 0)
            return &gazetteer_codes[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const char *gazetteer_municipality(struct span code)
{
    const struct gazetteer_code *found = code_find(code);

    return found ? found->name : NULL;
}

const char *gazetteer_municipality_other_names(struct span code)
{
    const struct gazetteer_code *found = code_find(code);

    return found ? found->other_names : "";
}

uint32_t gazetteer_version(void)
{
    return gazetteer_checksum;
}

/* ---- the index of names ---- */

static struct span name_text(const struct gazetteer *gazetteer, const struct name *name)
{
    return span_of(gazetteer->text.data + name->start, name->size);
}

static int name_compare(const void *a, const void *b, void *context)
{
    const struct gazetteer *gazetteer = context;

    return span_compare(name_text(gazetteer, a), name_text(gazetteer, b));
}

static void name_add(struct gazetteer *gazetteer, struct span name, size_t place)
{
    size_t start = gazetteer->text.size;

    fold_put(&gazetteer->text, name);
    gazetteer->names[gazetteer->count++] = (struct name){
        .start = (uint32_t)start,
        .size = (uint16_t)(gazetteer->text.size - start),
        .place = (uint16_t)place,
    };
}

static void names_add(struct gazetteer *gazetteer, size_t place)
{
    const struct gazetteer_place *p = &gazetteer_places[place];

    name_add(gazetteer, span_of_str(p->name), place);
    for (const char *at = p->other_names; *at;) {
        const char *end = strchr(at, '\n');

        name_add(gazetteer, span_of(at, (size_t)(end - at)), place);
        at = end + 1;
    }
}

static size_t names_count(void)
{
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_SIZE(gazetteer_places); i++) {
        count++;
        for (const char *c = gazetteer_places[i].other_names; *c; c++)
            count += *c == '\n';
    }
    return count;
}

enum torg_err gazetteer_new(struct gazetteer **ret_gazetteer)
{
    struct gazetteer *gazetteer = calloc(1, sizeof(*gazetteer));
    enum torg_err err = TORG_E_NOMEM;

    if (!gazetteer)
        return TORG_E_NOMEM;
    gazetteer->names = calloc(names_count(), sizeof(*gazetteer->names));
    if (!gazetteer->names)
        goto done;
    for (size_t i = 0; i < ARRAY_SIZE(gazetteer_places); i++)
        names_add(gazetteer, i);
    err = gazetteer->text.err;
    if (err)
        goto done;
    qsort_r(gazetteer->names, gazetteer->count, sizeof(*gazetteer->names), name_compare, gazetteer);
    *ret_gazetteer = gazetteer;
    return TORG_OK;
done:
    gazetteer_free(gazetteer);
    return err;
}

void gazetteer_free(struct gazetteer *gazetteer)
{
    if (!gazetteer)
        return;
    buffer_done(&gazetteer->text);
    free(gazetteer->names);
    free(gazetteer);
}

/* ---- look-up ---- */

struct search {
    const struct gazetteer *gazetteer;
    struct span place;        /* folded */
    struct span municipality; /* folded; empty: any */
    uint8_t *seen;            /* by place */
    uint16_t *found;
    size_t count;
};

static bool starts_with(struct span text, struct span start)
{
    return text.size >= start.size && memcmp(text.data, start.data, start.size) == 0;
}

/* "umea" and "umea kommun" both mean Umeå. */
static bool municipality_matches(const struct search *search, size_t place)
{
    const char *name =
        gazetteer_municipality(span_of_str(gazetteer_places[place].municipality_code));
    struct buffer folded = {0};
    bool matches = false;

    if (search->municipality.size == 0)
        return true;
    if (!name)
        return false;
    fold_put(&folded, span_of_str(name));
    if (!folded.err)
        matches = starts_with(buffer_span(&folded), search->municipality) ||
                  starts_with(search->municipality, buffer_span(&folded));
    buffer_done(&folded);
    return matches;
}

static size_t first_name_at(const struct gazetteer *gazetteer, struct span text)
{
    size_t low = 0;
    size_t high = gazetteer->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (span_compare(name_text(gazetteer, &gazetteer->names[middle]), text) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void search_names(struct search *search, bool exact)
{
    const struct gazetteer *gazetteer = search->gazetteer;

    for (size_t i = first_name_at(gazetteer, search->place); i < gazetteer->count; i++) {
        const struct name *name = &gazetteer->names[i];
        struct span text = name_text(gazetteer, name);

        if (!starts_with(text, search->place) || (exact && text.size != search->place.size))
            break;
        if (search->seen[name->place] || !municipality_matches(search, name->place))
            continue;
        search->seen[name->place] = 1;
        search->found[search->count++] = name->place;
    }
}

static int larger_first(const void *a, const void *b)
{
    uint16_t i = *(const uint16_t *)a;
    uint16_t j = *(const uint16_t *)b;
    uint32_t x = gazetteer_places[i].population;
    uint32_t y = gazetteer_places[j].population;

    return x != y ? (x < y) - (x > y) : (i > j) - (i < j);
}

/* "91803", "918 03" */
static const struct gazetteer_place *find_postal(struct span text)
{
    uint32_t code = 0;
    unsigned digits = 0;

    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == ' ' && digits == 3)
            continue;
        if (text.data[i] < '0' || text.data[i] > '9' || digits == POSTAL_DIGITS)
            return NULL;
        code = code * 10 + (uint32_t)(text.data[i] - '0');
        digits++;
    }
    if (digits != POSTAL_DIGITS)
        return NULL;
    for (size_t low = 0, high = ARRAY_SIZE(gazetteer_postals); low < high;) {
        size_t middle = low + (high - low) / 2;

        if (gazetteer_postals[middle].code == code)
            return &gazetteer_places[gazetteer_postals[middle].place];
        if (gazetteer_postals[middle].code < code)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static struct span trimmed(struct span text)
{
    while (text.size > 0 && text.data[0] == ' ')
        text = span_of(text.data + 1, text.size - 1);
    while (text.size > 0 && text.data[text.size - 1] == ' ')
        text.size--;
    return text;
}

static void search_run(struct search *search, struct span folded, bool *ret_exact)
{
    const uint8_t *comma = folded.size ? memchr(folded.data, ',', folded.size) : NULL;
    size_t place_size = comma ? (size_t)(comma - folded.data) : folded.size;

    search->place = trimmed(span_of(folded.data, place_size));
    if (comma)
        search->municipality = trimmed(span_of(comma + 1, folded.size - place_size - 1));
    *ret_exact = true;
    if (search->place.size == 0)
        return;
    search_names(search, true);
    if (search->count == 0) {
        *ret_exact = false;
        search_names(search, false);
    }
    qsort(search->found, search->count, sizeof(*search->found), larger_first);
}

enum torg_err gazetteer_find(const struct gazetteer *gazetteer, struct span text,
                             const struct gazetteer_place **out, size_t max, size_t *ret_count,
                             bool *ret_exact)
{
    struct search search = {.gazetteer = gazetteer};
    const struct gazetteer_place *postal = find_postal(trimmed(text));
    struct buffer folded = {0};
    bool exact = true;
    enum torg_err err = TORG_E_NOMEM;

    if (text.size > GAZETTEER_TEXT_BYTES_MAX)
        return TORG_E_TOO_BIG;
    if (postal) {
        if (max > 0)
            out[0] = postal;
        *ret_count = 1;
        *ret_exact = true;
        return TORG_OK;
    }
    search.seen = calloc(gazetteer_count(), sizeof(*search.seen));
    search.found = calloc(gazetteer_count(), sizeof(*search.found));
    if (!search.seen || !search.found)
        goto done;
    fold_put(&folded, text);
    err = folded.err;
    if (err)
        goto done;
    search_run(&search, buffer_span(&folded), &exact);
    for (size_t i = 0; i < search.count && i < max; i++)
        out[i] = &gazetteer_places[search.found[i]];
    *ret_count = search.count;
    *ret_exact = exact;
done:
    free(search.seen);
    free(search.found);
    buffer_done(&folded);
    return err;
}

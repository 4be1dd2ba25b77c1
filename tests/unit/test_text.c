/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdio.h>
#include <stdlib.h>

#include "index/catalogue_row.h"
#include "index/catalogue_terms.h"
#include "index/text_internal.h"
#include "protocol/fold.h"
#include "protocol/letters.h"
#include "protocol/profile.h"
#include "tests/support/test.h"
#include "tests/support/world.h"

/*
 * Listings of a few words each, in several languages, and the same listings as
 * a plain array over which a question is answered word by word as docs/text.md
 * says, without postings, forms or sets.
 */
#define LISTINGS 160
#define WORK_MAX 1000000
#define FILLERS 4200 /* lists that a flush changes, so that those of others may wait */

struct text {
    const char *language;
    char words[160];
};

struct listing {
    bool live;
    uint8_t collection;
    unsigned origin;
    struct listing_id id;
    struct text name[2], description[2]; /* the second: "" if none */
    const char *locality, *municipality, *country;
    int provider; /* a listing, or -1 */
};

static const char *const vocabulary[] = {
    "Umeå",         "Umea",        "umeås",         "Ubmeje",      "Örnsköldsvik",
    "Ornskoldsvik", "fiske",       "Fiskekort",     "fiskekortet", "fisken",
    "FISKAR",       "sportfiske",  "fjällstuga",    "stuga",       "stugor",
    "stugorna",     "hår",         "har",           "hårt",        "hart",
    "the",          "i",           "och",           "cottage",     "cottages",
    "running",      "runs",        "runor",         "talo",        "talossa",
    "talot",        "kalastaa",    "kalastus",      "Hütte",       "Hütten",
    "Straße",       "strasse",     "gård",          "gårdarna",    "gard",
    "ål",           "al",          "24h",           "e-handel",    "handel",
    "Arjeplog",     "Árjepluovve", "Москва",        "日本",        "x",
    "xy",           "xyz",         "A\xcc\x8asele", "Åsele",       "kaféer",
    "kafé",         "cafe",        "båtuthyrning",  "båt",         "uthyrning",
    "17345",        "345",         "173",
};
static const char *const languages[] = {"sv", "sv", "fi", "en", "se", "nb", "de", "sv-SE"};
static const char *const localities[] = {NULL, "Umeå", "Hörnefors", "Bredbyn", "Ume"};
static const char *const municipalities[] = {NULL, "2480", "2284", "2506", "9999"};
static const char *const countries[] = {NULL, NULL, "SE", "NO"};

struct corpus {
    struct world world;
    struct listing listings[LISTINGS];
    struct buffer terms[LISTINGS]; /* that each was last given */
    struct text_stemmer stemmer;
    uint64_t random;
    bool large;  /* writes are, as those of a first copy */
    bool filled; /* the fillers' lists have a number */
};

static const char *pick(struct corpus *corpus, const char *const *from, size_t count)
{
    return from[test_random_below(&corpus->random, count)];
}
#define PICK(corpus, array) pick(corpus, array, ARRAY_SIZE(array))

static void random_text(struct corpus *corpus, struct text *text, size_t words_max)
{
    static const char *const between[] = {" ", " ", ", ", " - ", "/"};
    size_t count = 1 + test_random_below(&corpus->random, words_max);

    text->language = PICK(corpus, languages);
    text->words[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        if (i)
            strcat(text->words, PICK(corpus, between));
        strcat(text->words, PICK(corpus, vocabulary));
    }
}

static void random_listing(struct corpus *corpus, struct listing *l)
{
    static const uint8_t collections[] = {COLLECTION_COMPANIES, COLLECTION_OFFERS,
                                          COLLECTION_NETWORKS, COLLECTION_EVENTS};
    uint8_t before = l->collection;

    l->collection =
        before ? before : collections[test_random_below(&corpus->random, ARRAY_SIZE(collections))];
    random_text(corpus, &l->name[0], 3);
    random_text(corpus, &l->description[0], 6);
    l->name[1].words[0] = l->description[1].words[0] = '\0';
    if (test_random_below(&corpus->random, 3) == 0)
        random_text(corpus, &l->name[1], 2);
    if (test_random_below(&corpus->random, 3) == 0)
        random_text(corpus, &l->description[1], 6);
    /* A language comes once, and they ascend, as the profile demands. */
    if (strcmp(l->name[0].language, l->name[1].language ? l->name[1].language : "") >= 0)
        l->name[1].words[0] = '\0';
    if (strcmp(l->description[0].language,
               l->description[1].language ? l->description[1].language : "") >= 0)
        l->description[1].words[0] = '\0';
    l->locality = PICK(corpus, localities);
    l->municipality = PICK(corpus, municipalities);
    l->country = PICK(corpus, countries);
    l->provider = l->collection == COLLECTION_COMPANIES
                      ? -1
                      : (int)test_random_below(&corpus->random, 2 * LISTINGS) - LISTINGS;
}

static void pack_texts(struct buffer *out, const char *key, const struct text texts[2])
{
    pack_str(out, span_of_str(key));
    pack_map(out, texts[1].words[0] ? 2 : 1);
    for (size_t i = 0; i < 2 && texts[i].words[0]; i++) {
        pack_str(out, span_of_str(texts[i].language));
        pack_str(out, span_of_str(texts[i].words));
    }
}

static void pack_body(struct buffer *out, const struct listing *l)
{
    pack_map(out, 2 + (l->locality != NULL));
    if (l->locality) {
        pack_str(out, span_of_str("address"));
        pack_map(out, 1);
        pack_str(out, span_of_str("locality"));
        pack_str(out, span_of_str(l->locality));
    }
    pack_texts(out, "description", l->description);
    pack_texts(out, "name", l->name);
}

static void reference_of(const struct corpus *corpus, size_t i, uint8_t out[24])
{
    const struct listing *l = &corpus->listings[i];

    memcpy(out, corpus->world.towns[l->origin].id.bytes, 8);
    memcpy(out + 8, l->id.bytes, 16);
}

static void listing_terms(const struct corpus *corpus, const struct listing *l, struct buffer *out)
{
    struct listing_fields fields;
    struct buffer body = {0};
    uint8_t reference[24];

    pack_body(&body, l);
    assert_ok(body.err);
    catalogue_terms_add(out, POSTINGS_COLLECTION, span_of(&l->collection, 1));
    if (l->municipality)
        catalogue_terms_add(out, POSTINGS_MUNICIPALITY, span_of_str(l->municipality));
    if (l->country)
        catalogue_terms_add(out, POSTINGS_COUNTRY, span_of_str(l->country));
    if (l->provider >= 0) {
        reference_of(corpus, (size_t)l->provider, reference);
        catalogue_terms_add(out, POSTINGS_PROVIDER, span_of(reference, sizeof(reference)));
    }
    assert_ok(listing_fields_read(l->collection, buffer_span(&body), &fields));
    text_terms(corpus->world.themes, &fields, out);
    assert_ok(catalogue_terms_sort(out));
    buffer_done(&body);
}

static void record_put(const struct corpus *corpus, struct kv *kv, size_t i)
{
    const struct listing *l = &corpus->listings[i];
    struct catalogue_record record = {.collection = l->collection, .id = l->id};
    struct buffer value = {0};
    uint8_t key[4];

    record.origin_number = corpus->world.origin_numbers[l->origin];
    put_u32be(key, (uint32_t)i + 1);
    catalogue_record_pack(&record, &value);
    assert_ok(kv_put(kv, KV_DOCUMENT, span_of(key, sizeof(key)), buffer_span(&value)));
    buffer_done(&value);
}

/* Takes terms over. */
static void terms_replace(struct corpus *corpus, struct postings_writer *writer, size_t i,
                          struct buffer *terms)
{
    assert_ok(catalogue_terms_change(writer, (uint32_t)i + 1, buffer_span(&corpus->terms[i]),
                                     buffer_span(terms)));
    buffer_done(&corpus->terms[i]);
    corpus->terms[i] = *terms;
}

/* Whole names that nobody asks for come or go: many lists change. */
static void turn_fillers(struct corpus *corpus, struct postings_writer *writer)
{
    for (uint32_t i = 0; i < FILLERS; i++) {
        uint8_t key[4];

        put_u32be(key, i * 7919);
        assert_ok((corpus->filled ? postings_remove : postings_add)(
            writer, POSTINGS_WHOLE_NAME, span_of(key, sizeof(key)), LISTINGS + 1 + i));
    }
    corpus->filled = !corpus->filled;
}

/* Some of what waits is brought to where it belongs. */
static void corpus_merge(struct corpus *corpus)
{
    size_t merged;
    struct kv kv;

    assert_ok(kv_mem_write_begin(corpus->world.mem, &kv));
    assert_ok(postings_merge(&kv, test_random_below(&corpus->random, 2 * FILLERS), &merged));
    assert_ok(kv_mem_write_commit(&kv));
}

/* Some listings come, change or go; document numbers are 1 and up. */
static void corpus_change(struct corpus *corpus, size_t changes)
{
    struct postings_writer writer = {0};
    struct kv kv;

    assert_ok(kv_mem_write_begin(corpus->world.mem, &kv));
    for (size_t n = 0; n < changes; n++) {
        size_t i = test_random_below(&corpus->random, LISTINGS);
        struct listing *l = &corpus->listings[i];
        struct buffer terms = {0};

        l->live = !l->live || test_random_below(&corpus->random, 3) > 0;
        if (l->live) {
            random_listing(corpus, l);
            listing_terms(corpus, l, &terms);
            record_put(corpus, &kv, i);
        }
        terms_replace(corpus, &writer, i, &terms);
    }
    if (corpus->large)
        turn_fillers(corpus, &writer);
    assert_ok(catalogue_terms_flush(&writer, &corpus->stemmer, &kv));
    postings_writer_done(&writer);
    assert_ok(kv_mem_write_commit(&kv));
}

static struct corpus *corpus_new(uint64_t seed)
{
    struct corpus *corpus = calloc(1, sizeof(*corpus));

    assert_non_null(corpus);
    world_init(&corpus->world, seed);
    kv_mem_strict(corpus->world.mem, true);
    corpus->random = seed;
    for (size_t i = 0; i < LISTINGS; i++) {
        corpus->listings[i].origin = (unsigned)(i % WORLD_ORIGINS);
        put_u64be(corpus->listings[i].id.bytes, seed);
        put_u64be(corpus->listings[i].id.bytes + 8, i);
    }
    return corpus;
}

static void corpus_free(struct corpus *corpus)
{
    text_stemmer_done(&corpus->stemmer);
    for (size_t i = 0; i < LISTINGS; i++)
        buffer_done(&corpus->terms[i]);
    world_done(&corpus->world);
    free(corpus);
}

/* ---- the slow answer ---- */

/* Weights in the order of docs/text.md; 0: no match. */
enum way { NONE, WORD, FOLDED, STEM, BEGINS, PART };

static bool same_stem(struct corpus *corpus, enum text_language language, struct span a,
                      struct span b)
{
    struct buffer left = {0}, right = {0};
    bool same;

    assert_ok(text_stem(&corpus->stemmer, language, a, &left));
    assert_ok(text_stem(&corpus->stemmer, language, b, &right));
    same = left.size > 0 && span_equal(buffer_span(&left), buffer_span(&right));
    buffer_done(&left);
    buffer_done(&right);
    return same;
}

static bool contains(struct span text, struct span part)
{
    return text.size > 0 && memmem(text.data, text.size, part.data, part.size) != NULL;
}

static bool starts(struct span text, struct span with)
{
    return text.size >= with.size && memcmp(text.data, with.data, with.size) == 0;
}

static bool is_number(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (!strchr("0123456789", text.data[i]))
            return false;
    }
    return text.size > 0;
}

static enum way way_of(struct corpus *corpus, const struct text_word *asked,
                       const struct text_word *word, enum text_language language)
{
    size_t letters = letters_count(asked->folded);

    if (span_equal(asked->letters, word->letters))
        return WORD;
    if (span_equal(asked->folded, word->folded))
        return FOLDED;
    if (!is_number(word->folded) && same_stem(corpus, language, asked->letters, word->letters))
        return STEM;
    if (letters >= 2 && starts(word->folded, asked->folded))
        return BEGINS;
    return letters >= 3 && !is_number(word->folded) && contains(word->folded, asked->folded) ? PART
                                                                                             : NONE;
}

static enum way best_way(struct corpus *corpus, const struct text_word *asked, const char *language,
                         const char *text)
{
    struct text_words words = {.text = span_of_str(text)};
    enum text_language code = text_language_of(span_of_str(language));
    enum way best = NONE;
    struct text_word word;

    while (text_words_next(&words, &word)) {
        enum way way = way_of(corpus, asked, &word, code);

        if (way && (!best || way < best))
            best = way;
    }
    text_words_done(&words);
    return best;
}

static enum way better(enum way a, enum way b)
{
    return !a ? b : !b || a < b ? a : b;
}

static unsigned more(unsigned a, unsigned b)
{
    return a > b ? a : b;
}

static enum way name_way(struct corpus *corpus, const struct text_word *asked,
                         const struct listing *l)
{
    return better(best_way(corpus, asked, l->name[0].language, l->name[0].words),
                  l->name[1].words[0]
                      ? best_way(corpus, asked, l->name[1].language, l->name[1].words)
                      : NONE);
}

/* Names of a municipality in other languages: as the gazetteer has them. */
static enum way municipality_way(struct corpus *corpus, const struct text_word *asked,
                                 const struct listing *l)
{
    enum way way = NONE;
    char names[512];

    if (!l->municipality || (l->country && strcmp(l->country, "SE") != 0) ||
        !gazetteer_municipality(span_of_str(l->municipality)))
        return NONE;
    snprintf(names, sizeof(names), "%s\n%s", gazetteer_municipality(span_of_str(l->municipality)),
             gazetteer_municipality_other_names(span_of_str(l->municipality)));
    way = best_way(corpus, asked, "xx", names);
    return way;
}

static unsigned word_weight(struct corpus *corpus, const struct text_word *asked,
                            const struct listing *l)
{
    static const unsigned names[] = {0, 1000, 950, 850, 700, 500};
    static const unsigned places[] = {0, 600, 570, 0, 400, 0};
    static const unsigned providers[] = {0, 450, 450, 450, 270, 0};
    static const unsigned descriptions[] = {0, 300, 285, 250, 150, 0};
    unsigned weight = names[name_way(corpus, asked, l)];

    if (l->locality)
        weight = more(weight, places[best_way(corpus, asked, "xx", l->locality)]);
    weight = more(weight, places[municipality_way(corpus, asked, l)]);
    for (size_t i = 0; i < 2 && l->description[i].words[0]; i++)
        weight = more(weight, descriptions[best_way(corpus, asked, l->description[i].language,
                                                    l->description[i].words)]);
    if (l->provider >= 0) {
        const struct listing *provider = &corpus->listings[l->provider];

        if (provider->live && (provider->collection == COLLECTION_COMPANIES ||
                               provider->collection == COLLECTION_NETWORKS))
            weight = more(weight, providers[name_way(corpus, asked, provider)]);
    }
    return weight;
}

static bool whole_name(const struct listing *l, const char *query)
{
    struct buffer asked = {0}, name = {0};
    bool whole = false;

    text_whole(span_of_str(query), &asked);
    for (size_t i = 0; i < 2; i++) {
        buffer_clear(&name);
        text_whole(span_of_str(l->name[i].words), &name);
        whole = whole || (name.size && span_equal(buffer_span(&name), buffer_span(&asked)));
    }
    buffer_done(&asked);
    buffer_done(&name);
    return whole;
}

/* 0: no match. */
static unsigned score_of(struct corpus *corpus, const struct listing *l, const char *query)
{
    unsigned sum = 0, count = 0, all = 0, least = UINT32_MAX;

    for (int empty = 0; empty < 2 && count == 0; empty++) {
        struct text_words words = {.text = span_of_str(query)};
        char seen[512] = "\n";
        struct text_word word;

        while (text_words_next(&words, &word)) {
            char line[128];
            unsigned weight;

            all++;
            snprintf(line, sizeof(line), "\n%.*s\n", (int)word.letters.size,
                     (const char *)word.letters.data);
            if ((!empty && text_word_empty(word.folded)) || strstr(seen, line))
                continue;
            strcat(seen, line + 1);
            weight = word_weight(corpus, &word, l);
            least = weight < least ? weight : least;
            sum += weight;
            count++;
        }
        text_words_done(&words);
    }
    if (all == 0 || least == 0)
        return 0;
    return sum / count + (whole_name(l, query) ? 200 : 0);
}

static void compare(struct corpus *corpus, const struct kv *kv, const char *query)
{
    struct text_query *found;
    uint64_t count = 0;

    assert_ok(text_query_new(kv, span_of_str(query), WORK_MAX, &found));
    for (size_t i = 0; i < LISTINGS; i++) {
        const struct listing *l = &corpus->listings[i];
        unsigned want = l->live ? score_of(corpus, l, query) : 0;
        uint32_t number = (uint32_t)i + 1;

        count += want > 0;
        if (postings_set_contains(text_query_set(found), number) != (want > 0))
            fail_msg("\"%s\" and \"%s\" %s, \"%s\" (%s %s, %s): want score %u", query,
                     l->name[0].words, l->name[0].language, l->name[1].words,
                     l->description[0].language, l->description[0].words, l->description[1].words,
                     want);
        if (want && text_query_score(found, number) != want)
            fail_msg("\"%s\" and \"%s\" (%s): want score %u, got %u", query, l->name[0].words,
                     l->description[0].words, want, text_query_score(found, number));
    }
    assert_int_equal(text_query_count(found), count);
    text_query_free(found);
}

/* What people type: words, their beginnings and middles, without marks, in capitals. */
static void random_query(struct corpus *corpus, char *query, size_t size)
{
    size_t words = 1 + test_random_below(&corpus->random, 3);
    struct buffer out = {0};

    for (size_t i = 0; i < words; i++) {
        const char *word = PICK(corpus, vocabulary);
        size_t from = 0, to = strlen(word);

        buffer_put_u8(&out, ' ');
        switch (test_random_below(&corpus->random, 5)) {
        case 0:
            to = 1 + test_random_below(&corpus->random, to);
            break;
        case 1:
            from = test_random_below(&corpus->random, to);
            break;
        case 2:
            fold_put(&out, span_of_str(word));
            continue;
        default:
            break;
        }
        /* A cut within a letter leaves bytes that are no text: they end a word. */
        buffer_put(&out, word + from, to - from);
    }
    snprintf(query, size, "%.*s", (int)out.size, (const char *)out.data);
    buffer_done(&out);
}

static void report(void *context, const char *what)
{
    (void)context;
    fail_msg("%s", what);
}

/* A listing that a word should find and does not is as if it had never been published. */
static void test_answers_equal_reading_everything(void **state)
{
    static const uint64_t seeds[] = {1, 2, 3, 0x7e47};

    (void)state;
    for (size_t s = 0; s < 2 * ARRAY_SIZE(seeds); s++) {
        struct corpus *corpus = corpus_new(seeds[s / 2]);

        corpus->large = s % 2 == 1;
        for (size_t round = 0; round < 4; round++) {
            uint64_t pairs;
            struct kv kv;

            /* Of few, one is often the first or the last of its municipality. */
            corpus_change(corpus, !corpus->large ? round ? 40 : 2 * LISTINGS : round ? 12 : 20);
            if (corpus->large && round % 2)
                corpus_merge(corpus);
            world_read_begin(&corpus->world, &kv);
            for (size_t i = 0; i < 40; i++) {
                char query[256];

                random_query(corpus, query, sizeof(query));
                compare(corpus, &kv, query);
            }
            compare(corpus, &kv, "");
            compare(corpus, &kv, " - ");
            compare(corpus, &kv, "i");
            compare(corpus, &kv, corpus->listings[round].name[0].words);
            assert_ok(text_check(&kv, report, NULL));
            assert_ok(postings_check(&kv, report, NULL, &pairs));
            world_read_end(&corpus->world, &kv);
        }
        corpus_free(corpus);
    }
}

static void publish(struct corpus *corpus, size_t i, const char *language, const char *name)
{
    struct listing *l = &corpus->listings[i];
    struct postings_writer writer = {0};
    struct buffer terms = {0};
    struct kv kv;

    l->live = true;
    l->collection = COLLECTION_OFFERS;
    l->provider = -1;
    l->name[0].language = language;
    snprintf(l->name[0].words, sizeof(l->name[0].words), "%s", name);
    l->description[0].language = "sv";
    snprintf(l->description[0].words, sizeof(l->description[0].words), "-");
    assert_ok(kv_mem_write_begin(corpus->world.mem, &kv));
    listing_terms(corpus, l, &terms);
    terms_replace(corpus, &writer, i, &terms);
    assert_ok(catalogue_terms_flush(&writer, &corpus->stemmer, &kv));
    assert_ok(kv_mem_write_commit(&kv));
    postings_writer_done(&writer);
}

static void assert_found(struct corpus *corpus, const char *query, const char *const *want)
{
    struct text_query *found;
    struct kv kv;
    uint32_t last = UINT32_MAX;
    size_t count = 0;

    world_read_begin(&corpus->world, &kv);
    assert_ok(text_query_new(&kv, span_of_str(query), WORK_MAX, &found));
    for (; want[count]; count++) {
        uint32_t number = 1;

        while (strcmp(corpus->listings[number - 1].name[0].words, want[count]) != 0)
            number++;
        if (!postings_set_contains(text_query_set(found), number))
            fail_msg("\"%s\" does not find \"%s\"", query, want[count]);
        if (text_query_score(found, number) >= last)
            fail_msg("\"%s\": \"%s\" does not come after the one before", query, want[count]);
        last = text_query_score(found, number);
    }
    if (text_query_count(found) != count)
        fail_msg("\"%s\" finds %u, expected %zu", query, (unsigned)text_query_count(found), count);
    text_query_free(found);
    world_read_end(&corpus->world, &kv);
}

#define FINDS(corpus, query, ...)                                                                  \
    assert_found(corpus, query, (const char *const[]){__VA_ARGS__, NULL})

/* What people in these places type, and what they mean. */
static void test_people_find_what_they_mean(void **state)
{
    struct corpus *corpus = corpus_new(9);

    (void)state;
    publish(corpus, 0, "sv", "Umeå");
    publish(corpus, 1, "sv", "Umea");
    publish(corpus, 2, "sv", "Fiskekort i Hornavan");
    publish(corpus, 3, "sv", "Fjällstugor i Ammarnäs");
    publish(corpus, 4, "fi", "Kahvila Utsjoella");
    publish(corpus, 5, "en", "Cottages by the lake");
    publish(corpus, 6, "sv", "Åre");
    publish(corpus, 7, "sv", "Kanoter");
    publish(corpus, 8, "sv", "Stuga");
    FINDS(corpus, "umea", "Umea", "Umeå");
    FINDS(corpus, "UMEÅ", "Umeå", "Umea");
    FINDS(corpus, "Umea\xcc\x8a", "Umeå", "Umea"); /* typed on a Mac */
    FINDS(corpus, "fiskekorten hornavan", "Fiskekort i Hornavan");
    FINDS(corpus, "fiske", "Fiskekort i Hornavan");
    FINDS(corpus, "kort", "Fiskekort i Hornavan");
    FINDS(corpus, "stugor", "Stuga", "Fjällstugor i Ammarnäs");
    FINDS(corpus, "stuga i ammarnäs", NULL);
    FINDS(corpus, "fjällstuga i Ammarnäs", "Fjällstugor i Ammarnäs");
    FINDS(corpus, "fjallstugorna", "Fjällstugor i Ammarnäs");
    FINDS(corpus, "kanot", "Kanoter");
    FINDS(corpus, "kanoten", "Kanoter");
    FINDS(corpus, "kahvilat", "Kahvila Utsjoella");
    FINDS(corpus, "cottage", "Cottages by the lake");
    FINDS(corpus, "are", "Åre");
    FINDS(corpus, "a", NULL);
    corpus_free(corpus);
}

/* Limits: what passes them is refused, or cut where both sides cut it. */
/* Who asks for "stugan" means a stuga; short words and other words stay apart. */
static void test_swedish_definite_forms(void **state)
{
    static const char *const same[][4] = {
        {"fiskekort", "fiskekortet", "fiskekorten", "fiskekortets"},
        {"torg", "torget", "torgen", "torgets"},
        {"stuga", "stugan", "stugor", "stugorna"},
        {"skola", "skolan", "skolans", "skolor"},
        {"hem", "hemmet", "hemmen", "hemmets"},
        {"universitet", "universitetet", "universiteten", "universitetets"},
        {"bibliotek", "biblioteket", "biblioteken", "bibliotekets"},
        {"arbete", "arbetet", "arbetets", "arbeten"},
        {"barn", "barnet", "barnen", "barnets"},
        {"bageri", "bageriet", "bageriets", "bagerier"},
        {"kafé", "kaféet", "kaféer", "kaféets"},
        {"råd", "rådet", "råden", "rådets"},
    };
    static const char *const apart[][2] = {
        {"man", "m"}, {"plan", "pl"}, {"det", "d"}, {"året", "år"}, {"torg", "tor"}, {"sjön", "sj"},
    };
    struct corpus *corpus = corpus_new(11);

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
        for (size_t j = 1; j < ARRAY_SIZE(same[i]); j++) {
            if (!same_stem(corpus, TEXT_SV, span_of_str(same[i][0]), span_of_str(same[i][j])))
                fail_msg("\"%s\" does not find \"%s\"", same[i][j], same[i][0]);
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(apart); i++)
        assert_false(
            same_stem(corpus, TEXT_SV, span_of_str(apart[i][0]), span_of_str(apart[i][1])));
    assert_false(same_stem(corpus, TEXT_EN, span_of_str("planet"), span_of_str("plan")));
    corpus_free(corpus);
}

static void test_limits_hold(void **state)
{
    struct corpus *corpus = corpus_new(10);
    struct text_query *found;
    char text[TEXT_QUERY_BYTES_MAX + 2];
    struct kv kv;

    (void)state;
    publish(corpus, 0, "sv",
            "ooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooöö");
    world_read_begin(&corpus->world, &kv);
    memset(text, 'o', sizeof(text));
    assert_err(text_query_new(&kv, span_of(text, sizeof(text)), WORK_MAX, &found), TORG_E_TOO_BIG);
    assert_ok(text_query_new(&kv, span_of(text, 60), WORK_MAX, &found));
    assert_int_equal(text_query_count(found), 1); /* Cut alike. */
    text_query_free(found);
    assert_err(text_query_new(&kv, span_of_str("ooo"), 1, &found), TORG_E_EXPENSIVE);
    for (size_t i = 0; i < 200; i++) /* aq bq cq ..., ar br cr ... */
        text[i] = i % 3 == 2 ? ' ' : (char)(i % 3 ? 'q' + i / 78 : 'a' + i / 3 % 26);
    assert_err(text_query_new(&kv, span_of(text, 200), WORK_MAX, &found), TORG_E_TOO_BIG);
    world_read_end(&corpus->world, &kv);
    corpus_free(corpus);
}

/* The same page twice must be the same: rank hangs on nothing but these three. */
static void test_rank(void **state)
{
    (void)state;
    assert_int_equal(text_rank(500, -1, 0), 500);
    assert_int_equal(text_rank(500, 0, 7), 907);
    assert_int_equal(text_rank(500, 5000.7, 0), 700);
    assert_int_equal(text_rank(0, 20004000, 0), 0);
    assert_int_equal(text_freshness(0), 0);
    assert_int_equal(text_freshness(INT64_MIN), 0);
    assert_int_equal(text_freshness(1577836800000 + INT64_C(30) * 86400000), 1);
    assert_int_equal(text_freshness(INT64_MAX), TEXT_FRESHNESS_MAX);
    assert_true(text_rank(TEXT_SCORE_MAX, 0, TEXT_FRESHNESS_MAX) == TEXT_RANK_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_equal_reading_everything),
        cmocka_unit_test(test_people_find_what_they_mean),
        cmocka_unit_test(test_swedish_definite_forms),
        cmocka_unit_test(test_limits_hold),
        cmocka_unit_test(test_rank),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

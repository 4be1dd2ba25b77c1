/* SPDX-License-Identifier: EUPL-1.2 */
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/gazetteer.h"
#include "protocol/ident.h"
#include "protocol/num.h"
#include "protocol/theme.h"
#include "tools/cli.h"

#define COMMAND "generate"
#define COUNT_MAX 100000000
#define THEMES 256
/* Times lie around this instant, whatever the clock says: the same seed, the same listings. */
#define EPOCH_MS INT64_C(1790000000000)
#define DAY_MS INT64_C(86400000)
#define HOUR_MS INT64_C(3600000)

static const char help[] =
    "torg generate - deterministic test listings on real places\n"
    "\n"
    "usage: torg generate --count N [options] > FILE.geojsonseq\n"
    "\n"
    "Writes GeoJSON-seq for \"torg import\": listings of all collections, around places of\n"
    "Sweden in proportion to their size, with 256 themes of which a few are common and\n"
    "most are rare (Zipf). The same count and seed give the same bytes. Each listing says\n"
    "that it is an example.\n"
    "\n"
    "  --count N            how many\n"
    "  --seed S             another choice of listings (default 1)\n"
    "  --north DEGREES      only places north of this latitude (default 61)\n"
    "  --municipality CODE  only places of this municipality\n"
    "  --output FILE        default: standard output\n"
    "  --help\n";

struct generator {
    uint64_t state;
    uint64_t seed;
    size_t place_count;
    const struct gazetteer_place **places;
    double *weights; /* cumulative */
    char themes[THEMES][THEME_SLUG_BYTES_MAX + 1];
    char theme_names[THEMES][64];
    double theme_weights[THEMES]; /* cumulative */
};

/* SplitMix64 (Steele, Lea and Flood 2014). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static double next_unit(struct generator *generator)
{
    return (double)(next_random(&generator->state) >> 11) / 9007199254740992.0;
}

static uint32_t next_below(struct generator *generator, uint32_t limit)
{
    return (uint32_t)(next_unit(generator) * limit);
}

/* The first i whose cumulative weight passes a random point. */
static size_t next_weighted(struct generator *generator, const double *cumulative, size_t count)
{
    double target = next_unit(generator) * cumulative[count - 1];
    size_t low = 0;
    size_t high = count - 1;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (cumulative[middle] <= target)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static enum torg_err places_init(struct generator *generator, double north_deg,
                                 const char *municipality)
{
    double sum = 0;

    generator->places = calloc(gazetteer_count(), sizeof(*generator->places));
    generator->weights = calloc(gazetteer_count(), sizeof(*generator->weights));
    if (!generator->places || !generator->weights)
        return TORG_E_NOMEM;
    for (size_t i = 0; i < gazetteer_count(); i++) {
        const struct gazetteer_place *place = gazetteer_at(i);

        if (place->position.lat_e7 < north_deg * 1e7 || !*place->municipality_code ||
            (municipality && strcmp(place->municipality_code, municipality) != 0))
            continue;
        sum += place->population ? place->population : 100;
        generator->places[generator->place_count] = place;
        generator->weights[generator->place_count++] = sum;
    }
    return generator->place_count ? TORG_OK : TORG_E_NOT_FOUND;
}

/* The taxonomy's own themes first; narrower ones under them until there are THEMES. */
static enum torg_err themes_init(struct generator *generator)
{
    struct theme_tree *tree = NULL;
    enum torg_err err = theme_tree_builtin(&tree);
    size_t known;
    double sum = 0;

    if (err)
        return err;
    known = theme_tree_count(tree);
    for (size_t i = 0, made = 0; made < THEMES; i++) {
        const struct theme *theme = theme_tree_at(tree, i % known);
        const char *slash = strchr(theme->slug, '/');
        bool is_deepest = slash && strchr(slash + 1, '/');
        int size;

        if (i >= known && is_deepest)
            continue;
        if (i < known)
            size = snprintf(generator->themes[made], sizeof(generator->themes[made]), "%s",
                            theme->slug);
        else
            size = snprintf(generator->themes[made], sizeof(generator->themes[made]), "%s/kind-%zu",
                            theme->slug, i / known);
        if (size < 0 || (size_t)size >= sizeof(generator->themes[made]))
            continue;
        snprintf(generator->theme_names[made], sizeof(generator->theme_names[made]), "%s",
                 theme_name(theme, "sv"));
        made++;
    }
    for (size_t i = 0; i < THEMES; i++)
        generator->theme_weights[i] = sum += 1.0 / (double)(i + 1); /* Zipf, exponent 1 */
    theme_tree_free(tree);
    return TORG_OK;
}

static uint8_t next_collection(struct generator *generator)
{
    static const struct {
        uint8_t collection;
        uint8_t percent; /* cumulative */
    } shares[] = {
        {COLLECTION_OFFERS, 40},         {COLLECTION_COMPANIES, 65}, {COLLECTION_EVENTS, 77},
        {COLLECTION_PLACES, 85},         {COLLECTION_JOBS, 89},      {COLLECTION_NEEDS, 94},
        {COLLECTION_SERVICE_POINTS, 97}, {COLLECTION_COURSES, 100},
    };
    uint32_t roll = next_below(generator, 100);
    size_t i = 0;

    while (roll >= shares[i].percent)
        i++;
    return shares[i].collection;
}

/* Around a place: most within a kilometre or two, some far out. Degrees of 1e-7. */
static struct position next_position(struct generator *generator,
                                     const struct gazetteer_place *place)
{
    double distance_km = -2.5 * log(1 - next_unit(generator));
    double angle = next_unit(generator) * 6.283185307179586;
    double north_deg = distance_km * cos(angle) / 111.2;
    double east_deg = distance_km * sin(angle) /
                      (111.2 * cos(place->position.lat_e7 * 1e-7 * 0.017453292519943295));

    return (struct position){
        .lon_e7 = place->position.lon_e7 + (int32_t)(east_deg * 1e7),
        .lat_e7 = place->position.lat_e7 + (int32_t)(north_deg * 1e7),
    };
}

static void put_time(struct buffer *out, const char *name, int64_t ms)
{
    buffer_printf(out, ",\"%s\":\"", name);
    num_put_time(out, ms);
    buffer_put_str(out, "\"");
}

/* A local date and time without zone, as "start" and "end" take it. */
static void put_local(struct buffer *out, const char *name, int64_t ms)
{
    struct buffer text = {0};

    num_put_time(&text, ms / 60000 * 60000);
    buffer_printf(out, ",\"%s\":\"%.16s[Europe/Stockholm]\"", name,
                  text.data ? (const char *)text.data : "");
    buffer_done(&text);
}

static void put_times(struct generator *generator, uint8_t collection, struct buffer *out)
{
    int64_t at_ms = EPOCH_MS + (int64_t)(next_unit(generator) * 400 * (double)DAY_MS);

    if (collection == COLLECTION_EVENTS || collection == COLLECTION_COURSES) {
        int64_t start_ms = at_ms / DAY_MS * DAY_MS + (8 + next_below(generator, 13)) * HOUR_MS;
        int64_t end_ms = start_ms + (1 + next_below(generator, 48)) * HOUR_MS;

        /* There is no half past two in the night when clocks go forward. */
        if (end_ms / HOUR_MS % 24 == 2)
            end_ms += HOUR_MS;
        put_local(out, "start", start_ms);
        put_local(out, "end", end_ms);
    } else if (next_below(generator, 10) < 3) {
        put_time(out, "validFrom", EPOCH_MS - (int64_t)next_below(generator, 300) * DAY_MS);
        put_time(out, "validThrough", at_ms + 200 * DAY_MS);
    }
}

static void put_feature(struct generator *generator, uint64_t number, struct buffer *out)
{
    static const char *const askers[] = {"company", "municipality", "association"};
    const struct gazetteer_place *place;
    struct position position;
    uint8_t collection;
    size_t themes[3];
    uint32_t more;

    generator->state = generator->seed * UINT64_C(0xd1342543de82ef95) + number;
    collection = next_collection(generator);
    place = generator->places[next_weighted(generator, generator->weights, generator->place_count)];
    position = next_position(generator, place);
    themes[0] = next_weighted(generator, generator->theme_weights, THEMES);
    buffer_put_str(out, "{\"type\":\"Feature\",\"geometry\":{\"type\":\"Point\",\"coordinates\":[");
    num_put_fixed(out, position.lon_e7, 7);
    buffer_put_str(out, ",");
    num_put_fixed(out, position.lat_e7, 7);
    buffer_printf(out,
                  "]},\"properties\":{\"collection\":\"%s\",\"example\":true,"
                  "\"identifiers\":{\"source\":{\"system\":\"torg-generate\",\"id\":\"%" PRIu64
                  "-%" PRIu64 "\"}},"
                  "\"municipality\":\"%s\",\"name\":{\"sv\":\"%s i %s %" PRIu64
                  "\"},\"address\":{\"locality\":\"%s\"},\"themes\":[\"%s\"",
                  collection_name(collection), generator->seed, number, place->municipality_code,
                  generator->theme_names[themes[0]], place->name, number, place->name,
                  generator->themes[themes[0]]);
    /* One listing in five has a second theme, one in ten a third: all different. */
    more = next_below(generator, 10);
    for (size_t i = 0; i < 2 && more >= 8 + i; i++) {
        themes[i + 1] = next_weighted(generator, generator->theme_weights, THEMES);
        if (themes[i + 1] != themes[0] && (i == 0 || themes[2] != themes[1]))
            buffer_printf(out, ",\"%s\"", generator->themes[themes[i + 1]]);
    }
    buffer_put_str(out, "]");
    buffer_printf(out,
                  ",\"description\":{\"sv\":\"Påhittat exempel nummer %" PRIu64
                  " för prov av torg, placerat vid %s.\"}",
                  number, place->name);
    if (collection == COLLECTION_OFFERS)
        buffer_printf(
            out, ",\"kind\":\"%s\",\"price\":{\"amount\":%" PRIu32 ",\"currency\":\"SEK\"}",
            next_below(generator, 4) ? "sell" : "rent", 50 + 10 * next_below(generator, 300));
    if (collection == COLLECTION_NEEDS)
        buffer_printf(out, ",\"asker\":\"%s\",\"people\":%" PRIu32,
                      askers[next_below(generator, 3)], 1 + next_below(generator, 5));
    put_times(generator, collection, out);
    buffer_put_str(out, "}}\n");
}

static int generate(struct generator *generator, uint64_t count, FILE *file)
{
    struct cli_progress progress;
    struct buffer out = {0};
    bool failed = false;

    cli_progress_begin(&progress, COMMAND, count);
    for (uint64_t i = 0; i < count && !failed; i++) {
        put_feature(generator, i, &out);
        if (out.size > 65536 || i + 1 == count) {
            failed = out.err || fwrite(out.data, 1, out.size, file) != out.size;
            buffer_clear(&out);
            cli_progress_set(&progress, i + 1);
        }
    }
    failed = failed || fflush(file) != 0;
    cli_progress_end(&progress);
    buffer_done(&out);
    return failed ? cli_fail(COMMAND, "cannot write") : CLI_OK;
}

struct generate_options {
    int64_t count;
    int64_t seed;
    double north_deg;
    const char *municipality;
    const char *output;
};

static int options_read(int argc, char **argv, struct generate_options *options)
{
    static const struct option longs[] = {
        {"count", required_argument, NULL, 'n'},
        {"seed", required_argument, NULL, 's'},
        {"north", required_argument, NULL, 'l'},
        {"municipality", required_argument, NULL, 'm'},
        {"output", required_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (option) {
        case 'n':
            if (!cli_number(COMMAND, "--count", optarg, 1, COUNT_MAX, &options->count))
                return CLI_USAGE;
            break;
        case 's':
            if (!cli_number(COMMAND, "--seed", optarg, 0, INT32_MAX, &options->seed))
                return CLI_USAGE;
            break;
        case 'l':
            if (num_parse_double(span_of_str(optarg), &options->north_deg))
                return cli_usage(COMMAND, "--north: \"%s\" is not a latitude", optarg);
            break;
        case 'm':
            options->municipality = optarg;
            break;
        case 'o':
            options->output = optarg;
            break;
        case 'h':
            fputs(help, stdout);
            return -1;
        default:
            return cli_usage_told(COMMAND);
        }
    }
    if (optind < argc)
        return cli_usage(COMMAND, "\"%s\" is not an option", argv[optind]);
    return options->count ? CLI_OK : cli_usage(COMMAND, "how many? Give --count N");
}

int cmd_generate(int argc, char **argv)
{
    struct generate_options options = {.seed = 1, .north_deg = 61};
    struct generator *generator;
    FILE *file = stdout;
    enum torg_err err;
    int result = options_read(argc, argv, &options);

    if (result != CLI_OK)
        return result < 0 ? CLI_OK : result;
    generator = calloc(1, sizeof(*generator));
    if (!generator)
        return cli_fail(COMMAND, "out of memory");
    generator->seed = (uint64_t)options.seed;
    err = places_init(generator, options.north_deg, options.municipality);
    if (!err)
        err = themes_init(generator);
    if (err == TORG_E_NOT_FOUND)
        result = cli_fail(COMMAND, "no place lies there");
    else if (err)
        result = cli_fail(COMMAND, "%s", torg_err_text(err));
    else if (options.output && !(file = fopen(options.output, "wbe")))
        result = cli_fail(COMMAND, "%s cannot be written", options.output);
    else
        result = generate(generator, (uint64_t)options.count, file);
    if (options.output && file && fclose(file) != 0 && !result)
        result = cli_fail(COMMAND, "%s cannot be written", options.output);
    free(generator->places);
    free(generator->weights);
    free(generator);
    return result;
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/bench/bench_world.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "index/geo.h"
#include "protocol/gazetteer.h"

#define SOUTH_E7 610000000      /* northern Sweden: Hudiksvall and beyond */
#define POPULATION_UNKNOWN 100  /* of a place */
#define SCATTER_LISTING_KM 2.5  /* mean distance of a listing from its place */
#define SCATTER_QUESTION_KM 5.0 /* of who asks */
#define RADIUS_MIN_M 1e3
#define RADIUS_MAX_M 1e5
#define BOX_HEIGHT_MIN_DEG 0.02 /* a map on a screen: from a quarter of a town to a county */
#define BOX_HEIGHT_MAX_DEG 0.8
#define BOX_WIDTH_FACTOR 3.2 /* degrees of longitude are short up here: 4 to 3 on the ground */
#define KM_OF_DEG 111.2

struct bench_source {
    uint64_t state;
    struct bench_world world;
    struct bench_record *records;
    size_t place_count;
    const struct gazetteer_place **places;
    double *place_weights; /* cumulative */
    size_t theme_count;
    double theme_weights[BENCH_THEMES];
};

/* SplitMix64 (Steele, Lea and Flood 2014). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static double unit_of(uint64_t *state)
{
    return (double)(next_random(state) >> 11) / 9007199254740992.0;
}

size_t bench_random_below(uint64_t *state, size_t limit)
{
    return (size_t)(unit_of(state) * (double)limit);
}

void bench_shuffle(uint64_t *state, void *base, size_t count, size_t size)
{
    uint8_t *items = base;
    uint8_t kept[BENCH_SHUFFLE_BYTES_MAX];

    assert(size <= sizeof(kept));
    for (size_t i = count; i > 1; i--) {
        size_t j = bench_random_below(state, i);

        memcpy(kept, items + (i - 1) * size, size);
        memcpy(items + (i - 1) * size, items + j * size, size);
        memcpy(items + j * size, kept, size);
    }
}

void bench_source_seed(struct bench_source *source, uint64_t seed)
{
    source->state = seed;
}

static double next_unit(struct bench_source *source)
{
    return unit_of(&source->state);
}

static size_t next_below(struct bench_source *source, size_t limit)
{
    return bench_random_below(&source->state, limit);
}

/* The first i whose cumulative weight passes a random point. */
static size_t next_weighted(struct bench_source *source, const double *cumulative, size_t count)
{
    double target = next_unit(source) * cumulative[count - 1];
    size_t low = 0, high = count - 1;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (cumulative[middle] <= target)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Between the two, every magnitude as likely as another. */
static double next_magnitude(struct bench_source *source, double min, double max)
{
    return min * pow(max / min, next_unit(source));
}

static struct position next_around(struct bench_source *source, struct position place,
                                   double scatter_km)
{
    double distance_km = -scatter_km * log(1 - next_unit(source));
    double angle = next_unit(source) * 2 * M_PI;
    double shrink = cos(place.lat_e7 * 1e-7 * M_PI / 180);

    return (struct position){
        .lon_e7 = place.lon_e7 + (int32_t)(distance_km * sin(angle) / (KM_OF_DEG * shrink) * 1e7),
        .lat_e7 = place.lat_e7 + (int32_t)(distance_km * cos(angle) / KM_OF_DEG * 1e7),
    };
}

static void record_fill(struct bench_source *source, struct bench_record *record)
{
    size_t place = next_weighted(source, source->place_weights, source->place_count);
    struct position position =
        next_around(source, source->places[place]->position, SCATTER_LISTING_KM);
    struct geo_point point = geo_point_of(position);

    *record = (struct bench_record){
        .lon_e7 = position.lon_e7,
        .lat_e7 = position.lat_e7,
        .document = (uint32_t)(record - source->records),
        .theme = (uint16_t)next_weighted(source, source->theme_weights, source->theme_count),
        .alive = true,
    };
    bench_place(point.lon_deg, point.lat_deg, &record->x, &record->y, &record->z);
}

static void places_init(struct bench_source *source)
{
    double sum = 0;

    for (size_t i = 0; i < gazetteer_count(); i++) {
        const struct gazetteer_place *place = gazetteer_at(i);

        if (place->position.lat_e7 < SOUTH_E7)
            continue;
        sum += place->population ? place->population : POPULATION_UNKNOWN;
        source->places[source->place_count] = place;
        source->place_weights[source->place_count++] = sum;
    }
    if (source->place_count == 0)
        bench_die("the gazetteer has no place in northern Sweden");
}

struct bench_source *bench_source_new(size_t count, size_t theme_count, uint64_t seed)
{
    struct bench_source *source = calloc(1, sizeof(*source));
    double sum = 0;

    if (!source)
        bench_die("out of memory");
    source->state = seed;
    source->theme_count = theme_count;
    source->world.capacity = count + count / 10 + 1;
    source->records = calloc(source->world.capacity, sizeof(*source->records));
    source->places = calloc(gazetteer_count(), sizeof(const struct gazetteer_place *));
    source->place_weights = calloc(gazetteer_count(), sizeof(*source->place_weights));
    if (!source->records || !source->places || !source->place_weights)
        bench_die("out of memory");
    places_init(source);
    for (size_t i = 0; i < theme_count; i++)
        source->theme_weights[i] = sum += 1.0 / (double)(i + 1);
    for (size_t i = 0; i < count; i++)
        record_fill(source, &source->records[i]);
    source->world.records = source->records;
    source->world.count = source->world.alive = count;
    return source;
}

void bench_source_free(struct bench_source *source)
{
    free(source->records);
    free(source->places);
    free(source->place_weights);
    free(source);
}

const struct bench_world *bench_source_world(const struct bench_source *source)
{
    return &source->world;
}

/* ---- changes ---- */

static struct bench_record *next_alive(struct bench_source *source)
{
    struct bench_record *record;

    if (source->world.alive == 0)
        bench_die("no listing is left");
    do {
        record = &source->records[next_below(source, source->world.count)];
    } while (!record->alive);
    return record;
}

void bench_source_update(struct bench_source *source, struct bench_change *ret_change)
{
    struct bench_record *record = next_alive(source);

    *ret_change = (struct bench_change){.had = true, .has = true, .before = *record};
    record_fill(source, record);
    ret_change->after = *record;
}

static void change_insert(struct bench_source *source, struct bench_change *ret_change)
{
    struct bench_record *record = &source->records[source->world.count++];

    source->world.alive++;
    record_fill(source, record);
    *ret_change = (struct bench_change){.has = true, .after = *record};
}

static void change_delete(struct bench_source *source, struct bench_change *ret_change)
{
    struct bench_record *record = next_alive(source);

    *ret_change = (struct bench_change){.had = true, .before = *record};
    record->alive = false;
    source->world.alive--;
}

void bench_source_change(struct bench_source *source, struct bench_change *ret_change)
{
    size_t kind = next_below(source, 3);

    if (kind == 0 && source->world.count < source->world.capacity)
        change_insert(source, ret_change);
    else if (kind <= 1)
        bench_source_update(source, ret_change);
    else
        change_delete(source, ret_change);
}

/* ---- queries ---- */

static void query_set_box(struct bench_source *source, struct bench_query *query)
{
    double height_deg = next_magnitude(source, BOX_HEIGHT_MIN_DEG, BOX_HEIGHT_MAX_DEG);
    double width_deg = height_deg * BOX_WIDTH_FACTOR;
    struct geo_point corner = {query->lon_deg + width_deg / 2, query->lat_deg - height_deg / 2};
    struct geo_point centre = {query->lon_deg, query->lat_deg};

    /* The southern corners are the farthest; a little more for the bent edges. */
    *query = bench_query_within(query, 1.02 * geo_distance_m(centre, corner));
    query->kind = BENCH_BOX;
    query->west_e7 = (int32_t)lround((query->lon_deg - width_deg / 2) * 1e7);
    query->east_e7 = (int32_t)lround((query->lon_deg + width_deg / 2) * 1e7);
    query->south_e7 = (int32_t)lround((query->lat_deg - height_deg / 2) * 1e7);
    query->north_e7 = (int32_t)lround((query->lat_deg + height_deg / 2) * 1e7);
}

struct bench_query bench_source_query(struct bench_source *source, enum bench_kind kind,
                                      double radius_m, bool themed)
{
    const struct gazetteer_place *place = source->places[next_below(source, source->place_count)];
    struct geo_point point =
        geo_point_of(next_around(source, place->position, SCATTER_QUESTION_KM));
    struct bench_query query = {
        .kind = kind,
        .theme = themed ? next_alive(source)->theme : BENCH_THEME_ANY,
        .lon_deg = point.lon_deg,
        .lat_deg = point.lat_deg,
        .radius_m = radius_m,
    };

    bench_place(point.lon_deg, point.lat_deg, &query.x, &query.y, &query.z);
    if (kind == BENCH_BOX)
        query_set_box(source, &query);
    else if (kind != BENCH_NEAR)
        query = bench_query_within(
            &query, radius_m > 0 ? radius_m : next_magnitude(source, RADIUS_MIN_M, RADIUS_MAX_M));
    return query;
}

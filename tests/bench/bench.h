/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_BENCH_H
#define TORG_TESTS_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What the index benchmark and its peers agree on, in C and C++. A peer is one
 * file, peer_NAME, and one line in bench_index.c: it gets the same records, the
 * same queries and the same cheap test of a distance, so that what differs is
 * the index. docs/performance.md says what is measured and why so.
 */
#ifdef __cplusplus
extern "C" {
#endif

#define BENCH_THEMES 256
#define BENCH_THEME_ANY BENCH_THEMES
#define BENCH_NEAREST 20
#define BENCH_PAGE 100               /* whole listings in an answer of a server */
#define BENCH_EVERYWHERE_M 3000000.0 /* a circle that holds all the data */
/* Peers in a plane shrink longitudes by the cosine of 65 degrees, the middle of the data. */
#define BENCH_LON_SCALE 0.4226182617406994

/* A listing, as far as an index sees it. */
struct bench_record {
    double x, y, z; /* metres from the middle of the earth, on the ellipsoid */
    int32_t lon_e7, lat_e7;
    uint32_t document; /* its place in the world's array */
    uint16_t theme;
    bool alive; /* of the world's array: not deleted */
};

struct bench_world {
    const struct bench_record *records;
    size_t capacity; /* never more */
    size_t count;    /* ever made */
    size_t alive;    /* of these, not deleted */
};

/* One listing inserted (has), deleted (had), or changed (both). */
struct bench_change {
    bool had, has;
    struct bench_record before, after;
};

enum bench_kind { BENCH_RADIUS, BENCH_BOX, BENCH_NEAR, BENCH_COUNTS };

struct bench_query {
    enum bench_kind kind;
    uint16_t theme; /* or BENCH_THEME_ANY */
    double lon_deg, lat_deg, radius_m;
    double x, y, z; /* of the centre, as in a record */
    /* The box, or one that holds the circle: both edges belong to it. */
    int32_t west_e7, south_e7, east_e7, north_e7;
    /*
     * Squares of chords through the earth: up to the first a point is surely in
     * the circle, beyond the second surely not. A box's circle surely holds it.
     */
    double in_m2, out_m2;
};

struct bench_answer {
    uint32_t *documents; /* room for every record of the world */
    size_t count;
    double distances_m[BENCH_PAGE]; /* of the nearest: exact, ascending */
    uint32_t counts[BENCH_THEMES];  /* BENCH_COUNTS */
};

/*
 * An index under test. A failure inside ends the program (bench_die), for a
 * benchmark with one peer missing is none.
 */
struct bench_peer {
    const char *name;
    bool durable; /* keeps its data on disk: takes part in the updates */
    /* Make ready what load takes; directory is empty and the peer's own. Not timed. */
    void *(*open)(const struct bench_world *world, const char *directory);
    /* Build the tree of all living records. Timed. */
    void (*load)(void *tree);
    /* One query; answer is empty. Timed. */
    void (*run)(void *tree, const struct bench_query *query, struct bench_answer *answer);
    /* One commit. Timed for durable peers. NULL: load again, it cannot change. */
    void (*write)(void *tree, const struct bench_change *changes, size_t count);
    /* What it does on its own while nobody writes; how many commits that took. NULL: nothing. */
    size_t (*settle)(void *tree);
    /* Memory or file in use. NULL: what the heap grew by. */
    uint64_t (*bytes)(void *tree);
    void (*close)(void *tree);
};

extern const struct bench_peer peer_torg;
extern const struct bench_peer peer_torg_packed;
extern const struct bench_peer peer_boost_packed;
extern const struct bench_peer peer_boost_rstar;
extern const struct bench_peer peer_boost_by_theme;
extern const struct bench_peer peer_geos;
extern const struct bench_peer peer_spatialindex;
extern const struct bench_peer peer_sqlite;
extern const struct bench_peer peer_nanoflann;

__attribute__((noreturn, format(printf, 1, 2))) void bench_die(const char *format, ...);

/* Metres from the middle of the earth to a place on its ellipsoid. */
void bench_place(double lon_deg, double lat_deg, double *ret_x, double *ret_y, double *ret_z);
/* The geodesic, by which everything is decided in the end. */
double bench_distance_m(const struct bench_query *query, const struct bench_record *record);

static inline double bench_chord_m2(const struct bench_query *query,
                                    const struct bench_record *record)
{
    double x = record->x - query->x, y = record->y - query->y, z = record->z - query->z;

    return x * x + y * y + z * z;
}

/* Is it in the circle? Nearly always the chord knows. */
static inline bool bench_in_circle(const struct bench_query *query,
                                   const struct bench_record *record)
{
    double chord_m2 = bench_chord_m2(query, record);

    if (chord_m2 <= query->in_m2)
        return true;
    return chord_m2 <= query->out_m2 && bench_distance_m(query, record) <= query->radius_m;
}

static inline bool bench_in_box(const struct bench_query *query, const struct bench_record *record)
{
    return record->lon_e7 >= query->west_e7 && record->lon_e7 <= query->east_e7 &&
           record->lat_e7 >= query->south_e7 && record->lat_e7 <= query->north_e7;
}

static inline bool bench_has_theme(const struct bench_query *query,
                                   const struct bench_record *record)
{
    return query->theme == BENCH_THEME_ANY || query->theme == record->theme;
}

static inline bool bench_matches(const struct bench_query *query, const struct bench_record *record)
{
    if (!bench_has_theme(query, record))
        return false;
    return query->kind == BENCH_BOX ? bench_in_box(query, record) : bench_in_circle(query, record);
}

/* Take a match into the answer: a document, or one more of its theme. */
static inline void bench_take(const struct bench_query *query, const struct bench_record *record,
                              struct bench_answer *answer)
{
    if (query->kind == BENCH_COUNTS)
        answer->counts[record->theme]++;
    else
        answer->documents[answer->count++] = record->document;
}

/*
 * Nearest, for an index that orders by something that is nearly the distance
 * (Korn et al. 1996): it finds some BENCH_NEAREST matches, asks with the circle
 * around them for all that may be nearer, and cuts these with
 * bench_answer_nearest.
 */
struct bench_query bench_query_around(const struct bench_query *query,
                                      const struct bench_world *world,
                                      const struct bench_answer *some);
/* A circle around the query's centre with a radius that the peer chose itself. */
struct bench_query bench_query_within(const struct bench_query *query, double radius_m);
/* Who has all with a chord up to this has all with a distance up to the result. */
double bench_reach_m(double chord_m2);
/*
 * Cut the documents of answer, which hold every match up to complete_m away
 * (BENCH_EVERYWHERE_M: every match), to the nearest with their distances. False when
 * something farther away could belong to them; then answer is as it was.
 */
bool bench_answer_nearest(const struct bench_query *query, const struct bench_world *world,
                          struct bench_answer *answer, double complete_m);
/* The same for another number than BENCH_NEAREST: 1 <= wanted <= BENCH_PAGE. */
bool bench_answer_cut(const struct bench_query *query, const struct bench_world *world,
                      struct bench_answer *answer, size_t wanted, double complete_m);

#ifdef __cplusplus
}
#endif
#endif

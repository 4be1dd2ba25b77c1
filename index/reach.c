/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/reach.h"

#include "index/catalogue_row.h"
#include "index/catalogue_terms.h"
#include "index/shape_distance.h"
#include "protocol/profile.h"

#define NUMBERS_AT_ONCE 256
#define ROW_KEY_BYTES 3 /* of a cell: level and row */

/* ---- cells ---- */

/* value lies in 0..extent; the last cell holds the end, too. */
static uint32_t cell_of(int64_t value, int64_t extent, unsigned level)
{
    int64_t cell = (value << level) / extent, last = (INT64_C(1) << level) - 1;

    return (uint32_t)(cell < last ? cell : last);
}

static uint32_t column_of(int32_t lon_e7, unsigned level)
{
    return cell_of(lon_e7 + LISTING_LON_E7_MAX, 2 * LISTING_LON_E7_MAX, level);
}

static uint32_t row_of(int32_t lat_e7, unsigned level)
{
    return cell_of(lat_e7 + LISTING_LAT_E7_MAX, 2 * LISTING_LAT_E7_MAX, level);
}

static void cell_key(unsigned level, uint32_t row, uint32_t column, uint8_t key[REACH_CELL_BYTES])
{
    key[0] = (uint8_t)level;
    put_u16be(key + 1, (uint16_t)row);
    put_u16be(key + 3, (uint16_t)column);
}

static void put_cells(struct position min, struct position max, struct buffer *terms)
{
    unsigned level = REACH_LEVEL_MAX;
    uint8_t key[REACH_CELL_BYTES];

    while (column_of(max.lon_e7, level) - column_of(min.lon_e7, level) > 1 ||
           row_of(max.lat_e7, level) - row_of(min.lat_e7, level) > 1)
        level--; /* On level 0 there is one cell. */
    for (uint32_t row = row_of(min.lat_e7, level); row <= row_of(max.lat_e7, level); row++) {
        for (uint32_t column = column_of(min.lon_e7, level); column <= column_of(max.lon_e7, level);
             column++) {
            cell_key(level, row, column, key);
            catalogue_terms_add(terms, POSTINGS_REACH, span_of(key, sizeof(key)));
        }
    }
}

/* ---- the geometries of a listing ---- */

/* false stops the walk. For what is served the times are open. */
typedef bool geometry_visit(void *context, struct span geometry, int64_t from_ms,
                            int64_t through_ms);

/* A stop is [from, through, geometry]; what others publish may be anything. */
static bool stop_visit(struct profile_reader *in, geometry_visit *visit, void *context)
{
    struct profile_reader stop = profile_reader_of(profile_skip(in));
    uint32_t count = profile_array(&stop);
    int64_t from_ms = profile_int(&stop), through_ms = profile_int(&stop);
    struct span geometry = profile_skip(&stop);

    return in->in.err || stop.in.err || count < 3 || visit(context, geometry, from_ms, through_ms);
}

/* The body's keys ascend: "itinerary", then "serves". */
static void each_geometry(struct span body, geometry_visit *visit, void *context)
{
    struct profile_reader in = profile_reader_of(body);
    uint32_t count = profile_map(&in);

    for (uint32_t i = 0; i < count && !in.in.err; i++) {
        struct span key = profile_str(&in, SIZE_MAX), value = profile_skip(&in);
        struct profile_reader list = profile_reader_of(value);

        if (in.in.err || span_compare(key, span_of_str("serves")) > 0)
            return;
        if (span_equal(key, span_of_str("serves"))) {
            (void)visit(context, value, INT64_MIN, INT64_MAX);
            return;
        }
        if (!span_equal(key, span_of_str("itinerary")))
            continue;
        for (uint32_t left = profile_array(&list); left > 0 && !list.in.err; left--) {
            if (!stop_visit(&list, visit, context))
                return;
        }
    }
}

static bool terms_visit(void *context, struct span geometry, int64_t from_ms, int64_t through_ms)
{
    struct position min, max;
    bool is_point;

    (void)from_ms;
    (void)through_ms;
    if (listing_shape_box(geometry, &min, &max, &is_point) == TORG_OK)
        put_cells(min, max, context);
    return true;
}

void reach_terms(struct span body, struct buffer *terms)
{
    each_geometry(body, terms_visit, terms);
}

/* ---- candidates ---- */

struct find {
    const struct kv *kv;
    const struct reach_query *query;
    struct geo_centre centre;
    struct geo_window window;
    struct shape shape; /* read into again and again */
    uint64_t work_max;
    uint64_t *work;
    bool reaches; /* the listing that is compared */
    enum torg_err err;
};

static enum torg_err find_work(const struct find *find)
{
    return *find->work > find->work_max ? TORG_E_EXPENSIVE : TORG_OK;
}

/* Does the circle's window touch the cell? As whole units; the cell's edges belong to it. */
static bool cell_touched(const struct find *find, unsigned level, uint32_t row, uint32_t column)
{
    int64_t width = 2 * LISTING_LON_E7_MAX, height = 2 * LISTING_LAT_E7_MAX;
    int64_t west = (column * width >> level) - LISTING_LON_E7_MAX;
    int64_t south = (row * height >> level) - LISTING_LAT_E7_MAX;
    int64_t east = (((int64_t)column + 1) * width >> level) - LISTING_LON_E7_MAX;
    int64_t north = (((int64_t)row + 1) * height >> level) - LISTING_LAT_E7_MAX;

    return geo_window_overlaps(&find->window, (struct position){(int32_t)west, (int32_t)south},
                               (struct position){(int32_t)east, (int32_t)north});
}

/* Of a row only cells in which there is something are looked at. */
static enum torg_err find_row(struct find *find, unsigned level, uint32_t row,
                              struct postings_set *candidates)
{
    uint8_t prefix[REACH_CELL_BYTES];
    struct postings_walk walk;
    struct span key;
    uint64_t listings;
    enum torg_err err;

    cell_key(level, row, 0, prefix);
    err = postings_walk_open(&walk, find->kv, POSTINGS_REACH, span_of(prefix, ROW_KEY_BYTES));
    while (!err) {
        err = postings_walk_next(&walk, &key, &listings);
        if (err)
            break;
        ++*find->work;
        if (key.size != REACH_CELL_BYTES)
            err = TORG_E_CORRUPT;
        else if (cell_touched(find, level, row, get_u16be(key.data + 3)))
            err = postings_walk_or(&walk, candidates, find->work);
        if (!err)
            err = find_work(find);
    }
    postings_walk_close(&walk);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

static enum torg_err find_candidates(struct find *find, struct postings_set *candidates)
{
    enum torg_err err = TORG_OK;

    for (unsigned level = 0; level <= REACH_LEVEL_MAX && !err; level++) {
        uint32_t last = row_of(find->window.north_e7, level);

        for (uint32_t row = row_of(find->window.south_e7, level); row <= last && !err; row++)
            err = find_row(find, level, row, candidates);
    }
    if (!err && find->query->among)
        err = postings_set_and(candidates, find->query->among);
    return err;
}

/* ---- comparing ---- */

static bool compare_visit(void *context, struct span geometry, int64_t from_ms, int64_t through_ms)
{
    struct find *find = context;
    const struct reach_query *query = find->query;
    struct position min, max;
    double distance_m;
    bool is_point;

    if (from_ms > query->through_ms || through_ms < query->from_ms ||
        listing_shape_box(geometry, &min, &max, &is_point) ||
        geo_box_lower_m(&find->centre, min, max) > query->within_m)
        return true;
    find->err = shape_read(&find->shape, geometry);
    *find->work += find->shape.position_count / 16;
    if (!find->err)
        find->err = shape_distance(&find->shape, &find->centre, find->work, &distance_m);
    find->reaches = !find->err && distance_m <= query->within_m;
    return !find->err && !find->reaches;
}

static enum torg_err find_compare(struct find *find, uint32_t number, struct postings_set *set)
{
    struct span body;
    enum torg_err err = catalogue_record_body(find->kv, number, &body);

    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err; /* A list named it just now. */
    find->reaches = false;
    ++*find->work;
    each_geometry(body, compare_visit, find);
    if (find->err)
        return find->err;
    if (find->reaches)
        err = postings_set_add(set, &number, 1);
    return err ? err : find_work(find);
}

enum torg_err reach_find(const struct kv *kv, const struct reach_query *query, uint64_t work_max,
                         struct postings_set *ret_set, uint64_t *work)
{
    struct find find = {
        .kv = kv,
        .query = query,
        .centre = geo_centre_of(query->place),
        .window = geo_window_of_circle(query->place, query->within_m),
        .work_max = work_max,
        .work = work,
    };
    struct postings_set candidates = {0}, set = {0};
    uint32_t numbers[NUMBERS_AT_ONCE], from = 0;
    size_t count;
    enum torg_err err = find_candidates(&find, &candidates);

    do {
        count = err ? 0 : postings_set_read(&candidates, from, numbers, NUMBERS_AT_ONCE);
        for (size_t i = 0; i < count && !err; i++)
            err = find_compare(&find, numbers[i], &set);
        if (count > 0)
            from = numbers[count - 1] + 1;
    } while (!err && count == NUMBERS_AT_ONCE && from > 0);
    if (err)
        postings_set_done(&set);
    else
        *ret_set = set;
    postings_set_done(&candidates);
    shape_done(&find.shape);
    return err;
}

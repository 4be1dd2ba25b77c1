/* SPDX-License-Identifier: EUPL-1.2 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "index/rtree.h"
#include "index/rtree_repack.h"
#include "index/store.h"
#include "tests/bench/bench.h"

/*
 * Ourselves, as the product has it: the R-tree in LMDB with full sync, a read
 * transaction for every query. torg takes the changes; torg packed is loaded
 * anew after them and shows what they cost.
 */
#define COLLECTION 1
#define MAP_BYTES                                                                                  \
    (UINT64_C(4) << 30) /* for ten times 10 million; valgrind has no room for more                 \
                         */

struct torg {
    struct store *store;
    struct rtree_item *items; /* what load takes; it may reorder them */
    size_t item_count;
};

static void check(enum torg_err err, const char *what)
{
    if (err)
        bench_die("torg: %s: %s", what, torg_err_text(err));
}

static struct rtree_item item_of(const struct bench_record *record)
{
    struct position point = {record->lon_e7, record->lat_e7};
    struct rtree_item item = {
        .point = point,
        .min = point,
        .max = point,
        .document = record->document,
        .time_from_ms = INT64_MIN,
        .time_through_ms = INT64_MAX,
    };

    theme_set_add(&item.themes, record->theme);
    return item;
}

static void *torg_open(const struct bench_world *world, const char *directory)
{
    struct store_options options = store_options_default();
    struct torg *torg = calloc(1, sizeof(*torg));

    if (!torg)
        bench_die("out of memory");
    options.map_bytes = MAP_BYTES;
    torg->items = calloc(world->alive, sizeof(*torg->items));
    if (!torg->items)
        bench_die("out of memory");
    for (size_t i = 0; i < world->count; i++) {
        const struct bench_record *record = &world->records[i];

        if (!record->alive)
            continue;
        torg->items[torg->item_count++] = item_of(record);
    }
    check(store_open(directory, &options, &torg->store), directory);
    return torg;
}

static void torg_load(void *tree)
{
    struct torg *torg = tree;
    struct rtree rtree = {.collection = COLLECTION};
    struct kv kv;

    check(store_write_begin(torg->store, &kv), "begin");
    rtree.kv = &kv;
    check(rtree_bulk_load(&rtree, torg->items, torg->item_count), "bulk load");
    check(store_write_commit(&kv), "commit");
    free(torg->items);
    torg->items = NULL;
}

static bool torg_take(void *context, const struct rtree_batch *hits)
{
    struct bench_answer *answer = context;

    memcpy(&answer->documents[answer->count], hits->documents, hits->count * sizeof(uint32_t));
    answer->count += hits->count;
    return true;
}

static void torg_counts(const struct kv *kv, const struct rtree_query *query,
                        struct bench_answer *answer)
{
    uint64_t counts[THEME_BITS];

    check(rtree_theme_counts(kv, COLLECTION, query, counts, NULL, NULL), "counts");
    for (unsigned bit = 0; bit < BENCH_THEMES; bit++)
        answer->counts[bit] = (uint32_t)counts[bit];
}

static void torg_near(const struct kv *kv, const struct rtree_query *query,
                      struct bench_answer *answer)
{
    struct rtree_near *near;
    struct rtree_hit hit;
    enum torg_err err = TORG_OK;

    check(rtree_near_new(kv, UINT32_C(1) << COLLECTION, query, &near), "near");
    while (answer->count < BENCH_NEAREST && !(err = rtree_near_next(near, &hit))) {
        answer->distances_m[answer->count] = hit.distance_m;
        answer->documents[answer->count++] = hit.document;
    }
    if (err && err != TORG_E_NOT_FOUND)
        check(err, "near");
    rtree_near_free(near);
}

/* group: of the theme, and has to outlive the query */
static struct rtree_query query_of(const struct bench_query *query, struct rtree_theme_group *group)
{
    struct rtree_query asked = {.time_from_ms = INT64_MIN, .time_through_ms = INT64_MAX};

    if (query->kind == BENCH_BOX) {
        asked.has_box = true;
        asked.box = (struct geo_box){query->west_e7 / 1e7, query->south_e7 / 1e7,
                                     query->east_e7 / 1e7, query->north_e7 / 1e7};
    } else {
        asked.has_centre = true;
        asked.centre = (struct geo_point){query->lon_deg, query->lat_deg};
        asked.radius_m = query->kind == BENCH_NEAR ? (double)INFINITY : query->radius_m;
        asked.near_hint = BENCH_NEAREST;
    }
    if (query->theme != BENCH_THEME_ANY) {
        group->count = 1;
        group->sets[0] = (struct theme_set){{0}};
        theme_set_add(&group->sets[0], query->theme);
        asked.group_count = 1;
        asked.groups = group;
    }
    return asked;
}

static void torg_run(void *tree, const struct bench_query *query, struct bench_answer *answer)
{
    struct torg *torg = tree;
    struct rtree_theme_group group;
    struct rtree_query asked = query_of(query, &group);
    struct kv kv;

    check(store_read_begin(torg->store, &kv), "begin");
    if (query->kind == BENCH_NEAR)
        torg_near(&kv, &asked, answer);
    else if (query->kind == BENCH_COUNTS)
        torg_counts(&kv, &asked, answer);
    else
        check(rtree_search(&kv, COLLECTION, &asked, false, torg_take, answer, NULL), "search");
    store_read_end(&kv);
}

/* A commit's changes as the catalogue hands them over: in one batch. */
static void torg_write(void *tree, const struct bench_change *changes, size_t count)
{
    struct torg *torg = tree;
    struct rtree rtree = {.collection = COLLECTION};
    struct rtree_edit *edits = calloc(2 * count + 1, sizeof(*edits));
    size_t used = 0;
    struct kv kv;

    if (!edits)
        bench_die("out of memory");
    for (size_t i = 0; i < count; i++) {
        if (changes[i].had)
            edits[used++] = (struct rtree_edit){true, item_of(&changes[i].before)};
        if (changes[i].has)
            edits[used++] = (struct rtree_edit){false, item_of(&changes[i].after)};
    }
    check(store_write_begin(torg->store, &kv), "begin");
    rtree.kv = &kv;
    check(rtree_apply(&rtree, edits, used), "apply");
    check(store_write_commit(&kv), "commit");
    free(edits);
}

/* The repacking, step by step as the daemon does it when no write waits. */
static size_t torg_settle(void *tree)
{
    struct torg *torg = tree;
    struct rtree rtree = {.collection = COLLECTION};
    struct rtree_repacked repacked = {0};
    size_t steps = 0;
    struct kv kv;

    for (; !repacked.quiet; steps++) {
        check(store_write_begin(torg->store, &kv), "begin");
        rtree.kv = &kv;
        check(rtree_repack_step(&rtree, &repacked), "repack");
        check(store_write_commit(&kv), "commit");
    }
    return steps;
}

static uint64_t torg_bytes(void *tree)
{
    struct torg *torg = tree;
    struct store_stat stat;

    check(store_stat(torg->store, &stat), "stat");
    return stat.bytes[KV_RTREE] + stat.bytes[KV_THEME];
}

static void torg_close(void *tree)
{
    struct torg *torg = tree;

    store_close(torg->store);
    free(torg->items);
    free(torg);
}

const struct bench_peer peer_torg = {
    .name = "torg",
    .durable = true,
    .open = torg_open,
    .load = torg_load,
    .run = torg_run,
    .write = torg_write,
    .settle = torg_settle,
    .bytes = torg_bytes,
    .close = torg_close,
};

const struct bench_peer peer_torg_packed = {
    .name = "torg packed",
    .open = torg_open,
    .load = torg_load,
    .run = torg_run,
    .bytes = torg_bytes,
    .close = torg_close,
};

/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_RTREE_H
#define TORG_INDEX_RTREE_H

#include "index/geo.h"
#include "protocol/kv.h"
#include "protocol/theme.h"

/*
 * An aggregate R-tree of one collection, in KV_RTREE: nodes of at most
 * RTREE_NODE_BYTES_MAX in arrays by field, so that one LMDB page holds one.
 * Each child entry carries its box, its number of listings, the exact set of
 * its themes and the span of its times, so that place, theme and time prune
 * inside the tree and what lies wholly inside is counted without a visit.
 * Sources: Guttman 1984; Beckmann et al. 1990 (R*); Kamel and Faloutsos 1993
 * (Hilbert bulk load); Papadias et al. 2001 (aggregate R-tree); Hjaltason and
 * Samet 1999 (nearest). Node format and rules: docs/index.md.
 */
#define RTREE_NODE_BYTES_MAX                                                                       \
    4080 /* one page: a larger LMDB value takes two; all have this size                            \
          */

/*
 * What is indexed of a listing. Every item has a position: radius, distance
 * and nearest go by it. A line or an area also has its box, and a box query
 * asks its shape where the boxes touch; a point's box is the point itself.
 * point lies in [min, max]; min <= max in both fields (a box does not cross the
 * antimeridian); all positions valid.
 */
struct rtree_item {
    struct position point;    /* a listing's position; of an area the middle of its box */
    struct position min, max; /* equal to point for a point */
    uint32_t document;        /* once in a tree */
    struct theme_set themes;
    int64_t time_from_ms, time_through_ms; /* INT64_MIN, INT64_MAX when open; both inclusive */
};

/* Handle of one collection's tree in one transaction. */
struct rtree {
    struct kv *kv;
    uint8_t collection; /* 1..63; the catalogue keeps trees of its own beyond 31 */
};

/*
 * Insert; or remove the entry that equals item in point, box and document, or
 * else TORG_E_NOT_FOUND. TORG_E_INVALID when item breaks a rule above. After
 * any other error the transaction must be aborted.
 */
enum torg_err rtree_insert(struct rtree *tree, const struct rtree_item *item);
enum torg_err rtree_remove(struct rtree *tree, const struct rtree_item *item);
/*
 * Many edits at once, much cheaper than one by one, with the same outcome as in
 * the order given. A document may be edited several times, removal and insert
 * in turn. TORG_E_NOT_FOUND when something to be removed is not there; of more than one
 * edit, some may be done then: the transaction must be aborted after that, too.
 */
struct rtree_edit {
    bool removed; /* else inserted */
    struct rtree_item item;
};
enum torg_err rtree_apply(struct rtree *tree, const struct rtree_edit *edits, size_t count);
/* Replace the whole tree by a packed one over items. The same items give the same tree. */
enum torg_err rtree_bulk_load(struct rtree *tree, const struct rtree_item *items, size_t count);

/*
 * What is asked for. All parts that are present must hold. Themes: an item
 * matches when for some group all sets of the group share a theme with it. No
 * group: all themes.
 */
#define RTREE_THEME_GROUPS_MAX 16
#define RTREE_THEME_SETS_MAX 8
struct rtree_theme_group {
    uint8_t count;
    struct theme_set sets[RTREE_THEME_SETS_MAX];
};

/*
 * What is known of lines and areas beyond their box and point, and a region
 * that is more than a box: asked of whoever keeps geometries. Points never
 * need it but for the region's box test.
 */
struct rtree_shapes {
    void *context;
    bool has_region; /* items must touch a region */
    /*
     * How a box lies to the region. GEO_IN: all of it is in the region;
     * GEO_OUT: no point of it is; GEO_BORDER where that is not known. For a
     * point min equals max and the answer is never GEO_BORDER.
     */
    enum geo_side (*region_box)(void *context, struct position min, struct position max);
    /* Does an area touch the region? Asked when its box lies on GEO_BORDER. */
    enum torg_err (*region_item)(void *context, uint32_t document, bool *ret_touches);
    /*
     * Does an area touch the query's box? Asked when its own box does, without
     * lying in it. NULL: its box is enough.
     */
    enum torg_err (*box_item)(void *context, uint32_t document, bool *ret_touches);
    /* Exact metres from the query's centre to an area, 0 inside. NULL: areas go by their point. */
    enum torg_err (*distance)(void *context, uint32_t document, double *ret_m);
};

struct rtree_query {
    bool has_box;
    struct geo_box box; /* items that touch it, as far as shapes know, else whose box does; valid */
    bool has_centre;
    struct geo_point centre; /* valid */
    double radius_m;         /* with has_centre: items at most this far; INFINITY for all */
    uint8_t group_count;
    const struct rtree_theme_group *groups; /* borrowed: that many; they outlive every walk */
    int64_t time_from_ms, time_through_ms;  /* overlap; INT64_MIN and INT64_MAX for all */
    uint64_t work_max;                      /* nodes that may be visited; 0 without limit */
    /*
     * Nearest: may distances of points be such as geo_short_rounds them? Their order is
     * the exact one nonetheless.
     */
    bool near_rounded;
    uint32_t near_hint; /* nearest: how many will be taken, as far as known; 0: no idea */
    const struct rtree_shapes *shapes; /* borrowed; NULL: items go by their points and boxes */
};

struct rtree_hit {
    uint32_t document;
    double distance_m; /* exact unless near_rounded; -1 when it was not asked for */
};

struct rtree_work {
    uint64_t nodes, leaves, items, geodesics;
    uint64_t shapes; /* areas of which box_item, region_item or distance was asked */
};

/* Some of the hits, borrowed during the call; documents may lie in the store. */
struct rtree_batch {
    size_t count; /* at least 1 */
    const uint32_t *documents;
    const double *distances_m; /* exact; NULL when they were not asked for */
};
/* false stops the walk: what the batch held is the last */
typedef bool rtree_visit(void *context, const struct rtree_batch *batch);

/*
 * Every matching item, in no order, many at a time. TORG_OK also when visit
 * stopped it; TORG_E_CORRUPT when a node fails its checks; TORG_E_EXPENSIVE;
 * what the query's shapes return.
 * The answer equals brute force with geo_distance_m, over the poles and the
 * antimeridian too. Distances are computed only when want_distance and the
 * query has a centre.
 */
enum torg_err rtree_search(const struct kv *kv, uint8_t collection, const struct rtree_query *query,
                           bool want_distance, rtree_visit *visit, void *context,
                           struct rtree_work *work);
/* The number of items in the tree: one look. */
enum torg_err rtree_size(const struct kv *kv, uint8_t collection, uint64_t *ret_count);
/* The exact number of matching items; subtrees wholly inside are not visited. */
enum torg_err rtree_count(const struct kv *kv, uint8_t collection, const struct rtree_query *query,
                          uint64_t *ret_count, struct rtree_work *work);
/*
 * How many matching items carry each theme, exactly; one with several themes
 * counts once for each. The number of all matching items, as of rtree_count,
 * comes from the same walk. Both are written on success only; ret_count may be NULL.
 */
enum torg_err rtree_theme_counts(const struct kv *kv, uint8_t collection,
                                 const struct rtree_query *query, uint64_t ret_counts[THEME_BITS],
                                 uint64_t *ret_count, struct rtree_work *work);

/*
 * Matching items nearest first, one at a time: streaming over several
 * collections at once. Equal distances come in order of document. Borrowed kv
 * must outlive it.
 */
struct rtree_near;
enum torg_err rtree_near_new(const struct kv *kv, uint32_t collection_mask,
                             const struct rtree_query *query, struct rtree_near **ret_near);
/* TORG_E_NOT_FOUND at the end. */
enum torg_err rtree_near_next(struct rtree_near *near, struct rtree_hit *ret_hit);
/* Skip everything up to and including (distance_m, document): where a page begins. */
void rtree_near_after(struct rtree_near *near, double distance_m, uint32_t document);
/*
 * Make the distance of the hit that was given last one behind which a page can
 * begin: as it is, or with near_rounded, for which it rounds as before, up to 2 µm
 * more than the exact one, but less than that of anything that follows.
 */
void rtree_near_behind(struct rtree_near *near, struct rtree_hit *hit);
void rtree_near_work(const struct rtree_near *near, struct rtree_work *ret_work);
void rtree_near_free(struct rtree_near *near);

/*
 * Every item as the tree holds it, in no order: what the catalogue compares
 * with its own rows. TORG_E_CORRUPT. false stops.
 */
typedef bool rtree_item_visit(void *context, const struct rtree_item *item);
enum torg_err rtree_items(const struct kv *kv, uint8_t collection, rtree_item_visit *visit,
                          void *context);

struct rtree_stat {
    uint64_t items, leaves, inner_nodes, bytes; /* nodes of all its trees */
    uint32_t height;
    uint32_t theme_trees;
};
/*
 * Check every numbered invariant of the tree (rtree_check.c lists them) and
 * report each breach; report may be NULL. TORG_E_CORRUPT when there was any.
 * A tree that cannot be walked to its end is reported as far as that went.
 * ret_stat may be NULL.
 */
typedef void rtree_report(void *context, const char *what);
enum torg_err rtree_check(const struct kv *kv, uint8_t collection, rtree_report *report,
                          void *context, struct rtree_stat *ret_stat);

#endif

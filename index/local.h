/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_LOCAL_H
#define TORG_INDEX_LOCAL_H

#include "index/query_sort.h"
#include "protocol/local_feature.h"

/*
 * Local collections (protocol/local_feature.h) in KV_LOCAL: what they are, and
 * their features as they are sent, in the order in which they came. Queries go
 * through all features of a collection, within QUERY_WORK_MAX.
 * docs/storage.md has the bytes.
 */
#define LOCAL_COLLECTIONS_MAX 64
#define LOCAL_FEATURES_MAX 1000000 /* of one collection */

struct local_collection {
    char name[LOCAL_NAME_BYTES_MAX + 1];
    uint32_t number;
    uint32_t next; /* the number of the next new feature, from 1 */
    uint32_t count;
    bool has_box;
    struct position min, max; /* of all that ever was there */
    struct queryables types;
};

/* A heap's worth. TORG_E_NOT_FOUND. */
enum torg_err local_get(const struct kv *kv, struct span name, struct local_collection **ret);
void local_free(struct local_collection *collection);
/* As local_get; a new one, not yet stored, if there is none. TORG_E_FULL: there are too many. */
enum torg_err local_get_or_new(const struct kv *kv, struct span name,
                               struct local_collection **ret);
/* The first whose name comes after; TORG_E_NOT_FOUND. */
enum torg_err local_next(const struct kv *kv, struct span after, struct local_collection **ret);

enum local_action { LOCAL_CREATED, LOCAL_UPDATED, LOCAL_UNCHANGED };
/* What local_put would do, and to which feature (0: a new one). */
enum torg_err local_compare(const struct kv *kv, const struct local_collection *collection,
                            const struct local_feature *feature, enum local_action *ret_action,
                            uint32_t *ret_number);
/*
 * The feature takes the place of one with its id. TORG_E_TOO_BIG, and nothing
 * was changed: there are too many.
 */
enum torg_err local_put(struct kv *kv, struct local_collection *collection,
                        const struct local_feature *feature, enum local_action *ret_action);
/* After the last put of a transaction. */
enum torg_err local_save(struct kv *kv, const struct local_collection *collection);

/*
 * Delete the first features of a collection, at most max of them, and with the
 * last one the collection: its count is 0 then. What is left is whole at any
 * time. TORG_E_CORRUPT: a feature cannot be read.
 */
enum torg_err local_delete(struct kv *kv, struct local_collection *collection, size_t max,
                           size_t *ret_deleted);

/* Its JSON, borrowed. TORG_E_NOT_FOUND. */
enum torg_err local_feature_get(const struct kv *kv, const struct local_collection *collection,
                                uint32_t feature, struct span *ret_json);
enum torg_err local_find(const struct kv *kv, const struct local_collection *collection,
                         struct span id, uint32_t *ret_feature);

/*
 * What passes the query's box and filter, and when (NULL: any), as a page in
 * the order of sort, or of numbers (NULL, or it has no keys); all else of the
 * query is passed over. Errors as query_run.
 */
enum torg_err local_query(const struct kv *kv, const struct local_collection *collection,
                          const struct query *query, struct filter *when,
                          const struct query_sort *sort, struct query_page *ret_page);

/* Counts, boxes, ids and types of all local collections; report each difference. */
enum torg_err local_verify(const struct kv *kv, catalogue_report *report, void *context,
                           uint64_t *ret_features);

#endif

/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/catalogue_row.h"
#include "index/query.h"

struct query_cursor query_page_cursor(const struct query_page *page, size_t i)
{
    return (struct query_cursor){
        .distance_m =
            page->ranks ? TEXT_RANK_MAX - (double)page->ranks[i] : page->hits[i].distance_m,
        .document = page->hits[i].document,
    };
}

static bool is_point(const struct catalogue_row *row)
{
    return row->box_min.lon_e7 == row->box_max.lon_e7 && row->box_min.lat_e7 == row->box_max.lat_e7;
}

/* Lines and areas have their exact distance always; what has none has no place. */
enum torg_err query_cursor_at(const struct kv *kv, const struct query *query,
                              const struct query_page *page, size_t i,
                              struct query_cursor *ret_cursor)
{
    struct query_cursor cursor = query_page_cursor(page, i);
    struct catalogue_record record;
    struct catalogue_row row;
    enum torg_err err;

    if (query->rounded && query->has_near && !page->ranks) {
        err = catalogue_record_get(kv, cursor.document, &record);
        if (!err)
            err = catalogue_row_get(kv, record.collection, record.placed, cursor.document, &row);
        if (err)
            return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
        if (is_point(&row))
            cursor.distance_m = geo_distance_m(query->near, geo_point_of(row.point));
    }
    *ret_cursor = cursor;
    return TORG_OK;
}

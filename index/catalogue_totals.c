/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/catalogue_totals.h"

#include "index/catalogue_writer.h"

/* ---- numbers ---- */

static enum torg_err next_read(struct catalogue_totals *totals, struct kv *kv,
                               const struct theme_tree *themes)
{
    struct span value;
    enum torg_err err = kv_get(kv, KV_META, span_of_str(CATALOGUE_META_NEXT), &value);

    if (err == TORG_E_NOT_FOUND) {
        err = catalogue_writer_stamp(kv, themes);
        totals->next = 1;
        return err;
    }
    if (err)
        return err;
    if (value.size != 4 || get_u32be(value.data) == 0)
        return TORG_E_CORRUPT;
    totals->next = get_u32be(value.data);
    return TORG_OK;
}

/* Numbers are never used again: a cursor that stands at one would skip its next bearer. */
enum torg_err catalogue_totals_number(struct catalogue_totals *totals, struct kv *kv,
                                      const struct theme_tree *themes, uint32_t *ret_number)
{
    enum torg_err err = totals->next ? TORG_OK : next_read(totals, kv, themes);

    if (err)
        return err;
    if (totals->next == UINT32_MAX)
        return TORG_E_FULL; /* After four thousand million new listings: rebuild elsewhere. */
    *ret_number = totals->next++;
    totals->next_changed = true;
    return TORG_OK;
}

static enum torg_err next_write(struct catalogue_totals *totals, struct kv *kv)
{
    uint8_t next[4];

    if (!totals->next_changed)
        return TORG_OK;
    totals->next_changed = false;
    put_u32be(next, totals->next);
    return kv_put(kv, KV_META, span_of_str(CATALOGUE_META_NEXT), span_of(next, sizeof(next)));
}

/* ---- counts ---- */

static enum torg_err count_write(struct kv *kv, enum catalogue_counter counter, uint8_t collection,
                                 uint32_t origin_number, int64_t *change)
{
    uint64_t count;
    enum torg_err err;

    if (*change == 0)
        return TORG_OK;
    err = catalogue_count_get(kv, counter, collection, origin_number, &count);
    if (err)
        return err;
    if (*change < 0 && count < (uint64_t) - *change)
        return TORG_E_CORRUPT;
    count += (uint64_t)*change;
    *change = 0;
    return catalogue_count_put(kv, counter, collection, origin_number, count);
}

static enum torg_err origin_write(struct catalogue_totals *totals, struct kv *kv)
{
    enum torg_err err = TORG_OK;

    for (uint8_t collection = 1; collection < COLLECTIONS_MAX && !err; collection++)
        err = count_write(kv, CATALOGUE_COUNT_DOCUMENTS, collection, totals->origin_number,
                          &totals->of_origin[collection]);
    return err;
}

enum torg_err catalogue_totals_count(struct catalogue_totals *totals, struct kv *kv,
                                     const struct catalogue_row *row, int change)
{
    enum torg_err err = TORG_OK;

    if (row->origin_number != totals->origin_number) {
        err = origin_write(totals, kv);
        totals->origin_number = row->origin_number;
    }
    totals->of_origin[row->collection] += change;
    totals->documents[row->collection] += change;
    if (row->placed)
        totals->placed[row->collection] += change;
    if (!catalogue_row_regular(row))
        totals->irregular[row->collection] += change;
    if (row->stray)
        totals->stray[row->collection] += change;
    return err;
}

/* ---- extents ---- */

static enum torg_err extent_read(struct catalogue_totals *totals, const struct kv *kv,
                                 uint8_t collection)
{
    enum torg_err err;

    if (totals->extents_read >> collection & 1)
        return TORG_OK;
    err = catalogue_extent_get(kv, collection, &totals->extents[collection]);
    if (!err)
        totals->extents_read |= UINT32_C(1) << collection;
    return err;
}

enum torg_err catalogue_totals_extend(struct catalogue_totals *totals, const struct kv *kv,
                                      const struct catalogue_row *row)
{
    struct catalogue_extent *extent = &totals->extents[row->collection], before;
    enum torg_err err = extent_read(totals, kv, row->collection);

    if (err)
        return err;
    before = *extent;
    catalogue_extent_add(extent, row);
    if (!catalogue_extent_equal(&before, extent))
        totals->extents_changed |= UINT32_C(1) << row->collection;
    return TORG_OK;
}

enum torg_err catalogue_totals_shrink(struct catalogue_totals *totals, const struct kv *kv,
                                      const struct catalogue_row *row)
{
    enum torg_err err = extent_read(totals, kv, row->collection);

    if (!err && catalogue_extent_touches(&totals->extents[row->collection], row))
        totals->shrunk |= UINT32_C(1) << row->collection;
    return err;
}

static enum torg_err extent_write(struct catalogue_totals *totals, struct kv *kv,
                                  uint8_t collection)
{
    struct catalogue_extent *extent = &totals->extents[collection];
    enum torg_err err = TORG_OK;

    if (!((totals->extents_changed | totals->shrunk) >> collection & 1))
        return TORG_OK;
    if (totals->shrunk >> collection & 1)
        err = catalogue_extent_scan(kv, collection, extent);
    return err ? err : catalogue_extent_put(kv, collection, extent);
}

/* ---- all ---- */

enum torg_err catalogue_totals_flush(struct catalogue_totals *totals, struct kv *kv)
{
    enum torg_err err = next_write(totals, kv);

    if (!err)
        err = origin_write(totals, kv);
    for (uint8_t c = 1; c < COLLECTIONS_MAX && !err; c++) {
        err = count_write(kv, CATALOGUE_COUNT_DOCUMENTS, c, 0, &totals->documents[c]);
        if (!err)
            err = count_write(kv, CATALOGUE_COUNT_PLACED, c, 0, &totals->placed[c]);
        if (!err)
            err = count_write(kv, CATALOGUE_COUNT_IRREGULAR, c, 0, &totals->irregular[c]);
        if (!err)
            err = count_write(kv, CATALOGUE_COUNT_STRAY, c, 0, &totals->stray[c]);
        if (!err)
            err = extent_write(totals, kv, c);
    }
    if (!err)
        totals->shrunk = totals->extents_changed = 0;
    return err;
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/catalogue_writer.h"

#include <stdlib.h>
#include <string.h>

#include "index/catalogue_derive.h"
#include "index/rtree_repack.h"
#include "index/rtree_room.h"
#include "index/settings.h"

/*
 * A tree is packed again when more than an eighth of its listings were put in
 * or taken out since it was: once per eighth keeps the cost per listing
 * constant. A large tree would hold the commit up, so there it is done only
 * when one commit brings that many; else catalogue_repack mends it in between.
 * Nor does a commit of few edits pay for what the others before it have done.
 * Large batches of inserts alone, as those of a first copy, cost less than that
 * (rtree_sweep.h).
 */
#define WRITER_PACK_EDITS_MIN 1024
#define WRITER_PACK_FRACTION 8
#define WRITER_PACK_LARGE 65536
#define WRITER_PACK_COUNT_MIN 64
/* Packing needs all items in memory, 72 bytes each: past this, only single edits. */
#define WRITER_PACK_ITEMS_MAX 4000000
/* So many inserts are sorted together. */
#define WRITER_PACK_INSERTS 1024
/* Edits that may wait for the flush: 131,072 of them. */
#define WRITER_PENDING_BYTES_MAX (131072 * sizeof(struct writer_edit))
#define WRITER_POSTINGS_BYTES_MAX 67108864
/* Lists that one step of catalogue_repack merges: about 2 ms. */
#define WRITER_MERGED_LISTS 1024

/* What is to be done to a tree; lives in memory only. */
struct writer_edit {
    uint8_t tree;
    struct rtree_edit edit;
};

enum torg_err catalogue_writer_stamp(struct kv *kv, const struct theme_tree *themes)
{
    uint8_t stamp[CATALOGUE_STAMP_BYTES];

    put_u32be(stamp, CATALOGUE_FORMAT);
    put_u64be(stamp + 4, catalogue_version(themes));
    return kv_put(kv, KV_META, span_of_str(CATALOGUE_META_STAMP), span_of(stamp, sizeof(stamp)));
}

static enum torg_err writer_edit_add(struct catalogue_writer *writer, bool removed, uint8_t tree,
                                     const struct rtree_item *item)
{
    struct writer_edit edit = {.tree = tree, .edit = {.removed = removed, .item = *item}};

    buffer_put(&writer->pending, &edit, sizeof(edit));
    writer->dirty |= UINT64_C(1) << tree;
    return writer->pending.err;
}

/* What is stored of a document before the change. */
struct writer_before {
    bool exists;
    uint32_t number;
    struct span terms;        /* borrowed: until the first write */
    struct catalogue_row row; /* its spans are not used */
    struct rtree_item item;
    bool regular;
    bool has_source;
    bool sources_kept; /* of this origin */
    struct catalogue_source_key source;
};

static enum torg_err writer_before_get(const struct kv *kv,
                                       const struct catalogue_number_key *number_key,
                                       struct writer_before *ret_before)
{
    struct writer_before before = {.exists = true};
    struct catalogue_record record;
    enum torg_err err;

    err = catalogue_number_get(kv, number_key, &before.number);
    if (err == TORG_E_NOT_FOUND) {
        *ret_before = (struct writer_before){0};
        return TORG_OK;
    }
    if (!err)
        err = catalogue_record_get(kv, before.number, &record);
    if (!err)
        err = catalogue_row_get(kv, record.collection, record.placed, before.number, &before.row);
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
    before.item = catalogue_row_item(&before.row);
    before.regular = catalogue_row_regular(&before.row);
    before.terms = record.terms;
    before.has_source = record.has_source;
    if (record.has_source)
        before.source = catalogue_source_key(record.origin_number, record.collection, record.source,
                                             &record.id);
    *ret_before = before;
    return TORG_OK;
}

/* A missing entry that must be there means that the tables contradict each other. */
static enum torg_err writer_del(struct kv *kv, enum kv_table table, const void *key, size_t size)
{
    enum torg_err err = kv_del(kv, table, span_of(key, size));

    return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
}

static struct catalogue_source_key source_key_of(const struct catalogue_record *record)
{
    return catalogue_source_key(record->origin_number, record->collection, record->source,
                                &record->id);
}

enum torg_err catalogue_sources_kept(const struct kv *kv, const struct origin_id *origin,
                                     bool *ret_kept)
{
    struct origin_id own;
    enum torg_err err = settings_own_get(kv, &own);

    *ret_kept = !err && memcmp(&own, origin, sizeof(own)) == 0;
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

static enum torg_err source_put(struct kv *kv, const struct catalogue_record *record)
{
    struct catalogue_source_key source = source_key_of(record);

    return kv_put(kv, KV_SOURCE, span_of(source.bytes, sizeof(source.bytes)), (struct span){0});
}

/*
 * Most edits leave a listing's source as it was, and where it is counted. Then
 * nothing of that is written: in a small commit each table costs three pages.
 */
static enum torg_err source_change(struct kv *kv, const struct writer_before *before,
                                   const struct catalogue_record *after)
{
    enum torg_err err = TORG_OK;

    if (!before->sources_kept)
        return TORG_OK;
    if (before->has_source && after && after->has_source) {
        struct catalogue_source_key source = source_key_of(after);

        if (memcmp(source.bytes, before->source.bytes, sizeof(source.bytes)) == 0)
            return TORG_OK;
    }
    if (before->has_source)
        err = writer_del(kv, KV_SOURCE, before->source.bytes, sizeof(before->source.bytes));
    return err || !after || !after->has_source ? err : source_put(kv, after);
}

static enum torg_err counts_change(struct catalogue_writer *writer, struct kv *kv,
                                   const struct writer_before *before,
                                   const struct catalogue_row *after)
{
    const struct catalogue_row *row = &before->row;
    enum torg_err err;

    if (after && after->collection == row->collection &&
        after->origin_number == row->origin_number && after->placed == row->placed &&
        catalogue_row_regular(after) == before->regular && after->stray == row->stray)
        return TORG_OK;
    err = catalogue_totals_count(writer->totals, kv, row, -1);
    return err || !after ? err : catalogue_totals_count(writer->totals, kv, after, 1);
}

/* Take away what hangs on the old row, and the row unless the new one takes its key. */
static enum torg_err writer_row_drop(struct catalogue_writer *writer, struct kv *kv,
                                     const struct writer_before *before,
                                     const struct catalogue_row *after)
{
    const struct catalogue_row *row = &before->row;
    struct catalogue_row_key key = catalogue_row_key(row->collection, row->placed, before->number);
    enum torg_err err = catalogue_totals_shrink(writer->totals, kv, row);

    if (err)
        return err;
    if (!after || after->placed != row->placed)
        err = writer_del(kv, KV_TEXT, key.bytes, sizeof(key.bytes));
    return err;
}

static bool is_stored(const struct kv *kv, enum kv_table table, struct span key, struct span value)
{
    struct span stored;

    return !kv_get(kv, table, key, &stored) && span_equal(stored, value);
}

/* Row and document. A row is often the same after an edit: then its page need not be written. */
static enum torg_err document_put(struct kv *kv, const struct catalogue_ready *ready,
                                  uint32_t number, bool exists)
{
    const struct catalogue_row *row = &ready->row;
    struct catalogue_row_key key = catalogue_row_key(row->collection, row->placed, number);
    struct span row_key = span_of(key.bytes, sizeof(key.bytes));
    struct span row_value = ready->row_value;
    uint8_t document_key[4];
    enum torg_err err = TORG_OK;

    put_u32be(document_key, number);
    if (!exists || !is_stored(kv, KV_TEXT, row_key, row_value))
        err = kv_put(kv, KV_TEXT, row_key, row_value);
    if (!err)
        err = kv_put(kv, KV_DOCUMENT, span_of(document_key, sizeof(document_key)),
                     ready->record_value);
    return err;
}

enum torg_err catalogue_writer_store(struct catalogue_totals *totals, struct kv *kv,
                                     const struct catalogue_ready *ready, uint32_t number,
                                     bool source_kept)
{
    enum torg_err err = document_put(kv, ready, number, false);

    if (!err)
        err = catalogue_totals_extend(totals, kv, &ready->row);
    if (!err && source_kept && ready->record.has_source)
        err = source_put(kv, &ready->record);
    return err ? err : catalogue_totals_count(totals, kv, &ready->row, 1);
}

static enum torg_err writer_tree_edit(struct catalogue_writer *writer,
                                      const struct writer_before *before,
                                      const struct catalogue_row *after)
{
    uint8_t old_tree = catalogue_tree(before->row.collection, before->row.placed);
    struct rtree_item item;
    uint8_t tree;
    enum torg_err err = TORG_OK;

    if (!after)
        return writer_edit_add(writer, true, old_tree, &before->item);
    item = catalogue_row_item(after);
    tree = catalogue_tree(after->collection, after->placed);
    if (before->exists && tree == old_tree && catalogue_item_equal(&before->item, &item))
        return TORG_OK;
    if (before->exists)
        err = writer_edit_add(writer, true, old_tree, &before->item);
    return err ? err : writer_edit_add(writer, false, tree, &item);
}

/* A listing that was not shown before. */
static enum torg_err writer_add(struct catalogue_writer *writer, struct kv *kv,
                                const struct catalogue_number_key *number_key,
                                const struct writer_before *before, struct catalogue_ready *ready)
{
    uint8_t value[4];
    uint32_t number;
    enum torg_err err = catalogue_totals_number(writer->totals, kv, writer->themes, &number);

    if (err)
        return err;
    ready->row.number = number;
    put_u32be(value, number);
    err = kv_put(kv, KV_DOCNUMBER, span_of(number_key->bytes, sizeof(number_key->bytes)),
                 span_of(value, sizeof(value)));
    if (!err)
        err = catalogue_writer_store(writer->totals, kv, ready, number, before->sources_kept);
    if (!err)
        err = catalogue_terms_change(&writer->postings, number, before->terms, ready->terms);
    return err ? err : writer_tree_edit(writer, before, &ready->row);
}

static enum torg_err writer_replace(struct catalogue_writer *writer, struct kv *kv,
                                    const struct writer_before *before,
                                    struct catalogue_ready *ready)
{
    enum torg_err err =
        catalogue_terms_change(&writer->postings, before->number, before->terms, ready->terms);

    ready->row.number = before->number;
    if (!err)
        err = writer_row_drop(writer, kv, before, &ready->row);
    if (!err)
        err = source_change(kv, before, &ready->record);
    if (!err)
        err = counts_change(writer, kv, before, &ready->row);
    if (!err)
        err = document_put(kv, ready, before->number, true);
    if (!err)
        err = catalogue_totals_extend(writer->totals, kv, &ready->row);
    return err ? err : writer_tree_edit(writer, before, &ready->row);
}

static enum torg_err writer_drop(struct catalogue_writer *writer, struct kv *kv,
                                 const struct catalogue_number_key *number_key,
                                 const struct writer_before *before)
{
    uint8_t key[4];
    enum torg_err err;

    put_u32be(key, before->number);
    err =
        catalogue_terms_change(&writer->postings, before->number, before->terms, (struct span){0});
    if (!err)
        err = writer_row_drop(writer, kv, before, NULL);
    if (!err)
        err = source_change(kv, before, NULL);
    if (!err)
        err = counts_change(writer, kv, before, NULL);
    if (!err)
        err = writer_del(kv, KV_DOCUMENT, key, sizeof(key));
    if (!err)
        err = writer_del(kv, KV_DOCNUMBER, number_key->bytes, sizeof(number_key->bytes));
    return err ? err : writer_tree_edit(writer, before, NULL);
}

/* ready belongs to the caller; err is what catalogue_derive said of the entry. */
static enum torg_err writer_follow(struct catalogue_writer *writer, struct kv *kv,
                                   const struct catalogue_number_key *number_key,
                                   struct catalogue_ready *ready, enum torg_err err)
{
    struct writer_before before;
    enum torg_err before_err = writer_before_get(kv, number_key, &before);

    if (before_err)
        return before_err;
    before.sources_kept = writer->sources_kept;
    if (!err) {
        writer->changed++;
        return before.exists ? writer_replace(writer, kv, &before, ready)
                             : writer_add(writer, kv, number_key, &before, ready);
    }
    if (err != TORG_E_NOT_FOUND || !before.exists)
        return err == TORG_E_NOT_FOUND ? TORG_OK : err;
    writer->changed++;
    return writer_drop(writer, kv, number_key, &before);
}

/* May everybody see the collection? Listings come by the thousand of one origin. */
static enum torg_err writer_shows(struct catalogue_writer *writer, const struct kv *kv,
                                  const struct replica_origin *origin, uint8_t collection,
                                  bool *ret_shows)
{
    enum torg_err err;

    *ret_shows = false;
    if (!(COLLECTION_MASK_PUBLIC >> collection & 1))
        return TORG_OK;
    if (!writer->shows_known || writer->shows_number != origin->number ||
        writer->shows_charter != origin->charter_no) {
        err = replica_public_mask(kv, origin, &writer->shows);
        if (err)
            return err;
        writer->shows_known = true;
        writer->shows_number = origin->number;
        writer->shows_charter = origin->charter_no;
    }
    *ret_shows = writer->shows >> collection & 1;
    return TORG_OK;
}

/* What one transaction needs to know of the listings' origin, and to keep in memory. */
static enum torg_err writer_begin(struct catalogue_writer *writer, const struct kv *kv,
                                  const struct replica_origin *origin)
{
    if (!writer->totals)
        writer->totals = calloc(1, sizeof(*writer->totals));
    if (!writer->totals)
        return TORG_E_NOMEM;
    if (writer->origin_number == origin->number)
        return TORG_OK;
    writer->origin_number = origin->number;
    return catalogue_sources_kept(kv, &origin->id, &writer->sources_kept);
}

static enum torg_err writer_changed(void *context, struct kv *kv,
                                    const struct replica_origin *origin, uint8_t collection,
                                    const struct listing_key *key,
                                    const struct replica_entry *entry)
{
    struct catalogue_number_key number_key = catalogue_number_key(origin->number, collection, key);
    struct catalogue_writer *writer = context;
    struct catalogue_derived derived = {0};
    struct catalogue_ready here, *ready;
    bool shows;
    enum torg_err derive_err, err = writer_begin(writer, kv, origin);

    if (err)
        return err;
    /* Between two listings the rows say what the trees must hold, so here it may be done. */
    if (writer->pending.size >= WRITER_PENDING_BYTES_MAX ||
        postings_pending(&writer->postings) >= WRITER_POSTINGS_BYTES_MAX) {
        err = catalogue_flush(writer, kv);
        if (err)
            return err;
    }
    err = writer_shows(writer, kv, origin, collection, &shows);
    if (err)
        return err;
    ready =
        shows ? catalogue_ahead_find(writer->ahead, origin, collection, entry, &derive_err) : NULL;
    if (!shows) {
        derive_err = TORG_E_NOT_FOUND;
    } else if (!ready) {
        derive_err = catalogue_derive(writer->themes, origin, collection, entry, &derived);
        here = catalogue_derived_ready(&derived);
        ready = &here;
    }
    err = writer_follow(writer, kv, &number_key, ready, derive_err);
    catalogue_derived_done(&derived);
    return err;
}

struct replica_observer catalogue_observer(struct catalogue_writer *writer)
{
    return (struct replica_observer){.context = writer, .changed = writer_changed};
}

struct pack {
    struct rtree_item *items;
    size_t count;
    size_t capacity;
    uint32_t next; /* the number to go on from */
    bool more;
};

static enum torg_err pack_visit(void *context, const struct catalogue_row *row)
{
    struct pack *pack = context;

    if (pack->count == pack->capacity) {
        pack->more = true;
        pack->next = row->number;
        return TORG_E_TOO_BIG; /* Only to stop the walk. */
    }
    pack->items[pack->count++] = catalogue_row_item(row);
    return TORG_OK;
}

static enum torg_err pack_read(const struct kv *kv, uint8_t collection, bool placed,
                               struct pack *pack)
{
    enum torg_err err;

    pack->count = 0;
    pack->more = false;
    err = catalogue_rows(kv, collection, placed, pack->next, pack_visit, pack);
    return pack->more ? TORG_OK : err;
}

static enum torg_err tree_rows(const struct kv *kv, uint8_t collection, bool placed,
                               uint64_t *ret_rows)
{
    uint64_t documents, with_place;
    enum torg_err err;

    err = catalogue_count_get(kv, CATALOGUE_COUNT_DOCUMENTS, collection, 0, &documents);
    if (!err)
        err = catalogue_count_get(kv, CATALOGUE_COUNT_PLACED, collection, 0, &with_place);
    if (err)
        return err;
    if (with_place > documents)
        return TORG_E_CORRUPT;
    *ret_rows = placed ? with_place : documents - with_place;
    return TORG_OK;
}

static enum torg_err pack_insert(struct rtree *tree, const struct rtree_item *items, size_t count)
{
    struct rtree_edit edits[WRITER_PACK_INSERTS];
    enum torg_err err = TORG_OK;

    for (size_t begin = 0; begin < count && !err; begin += ARRAY_SIZE(edits)) {
        size_t size = count - begin < ARRAY_SIZE(edits) ? count - begin : ARRAY_SIZE(edits);

        for (size_t i = 0; i < size; i++)
            edits[i] = (struct rtree_edit){.item = items[begin + i]};
        err = rtree_apply(tree, edits, size);
    }
    return err;
}

/* A collection too large for memory gets a packed beginning; the rest goes in by inserts. */
enum torg_err catalogue_writer_pack(struct kv *kv, uint8_t collection, bool placed)
{
    struct rtree tree = {.kv = kv, .collection = catalogue_tree(collection, placed)};
    struct pack pack = {0};
    uint64_t rows;
    enum torg_err err;

    err = tree_rows(kv, collection, placed, &rows);
    if (err)
        return err;
    pack.capacity = rows < WRITER_PACK_ITEMS_MAX ? (size_t)rows : WRITER_PACK_ITEMS_MAX;
    pack.items = rtree_room(pack.capacity + 1, sizeof(*pack.items));
    if (!pack.items)
        return TORG_E_NOMEM;
    err = pack_read(kv, collection, placed, &pack);
    if (!err)
        err = rtree_bulk_load(&tree, pack.items, pack.count);
    while (!err && pack.more) {
        err = pack.capacity ? pack_read(kv, collection, placed, &pack) : TORG_E_CORRUPT;
        if (!err)
            err = pack_insert(&tree, pack.items, pack.count);
    }
    if (!err)
        err = catalogue_count_put(kv, CATALOGUE_COUNT_EDITS, tree.collection, 0, 0);
    free(pack.items);
    return err;
}

static struct writer_edit edit_at(const struct catalogue_writer *writer, size_t i)
{
    struct writer_edit edit;

    memcpy(&edit, writer->pending.data + i * sizeof(edit), sizeof(edit));
    return edit;
}

/* All that waits for one tree, together. */
static enum torg_err flush_edits(const struct catalogue_writer *writer, struct kv *kv,
                                 uint8_t number, size_t count)
{
    size_t pending = writer->pending.size / sizeof(struct writer_edit), filled = 0;
    struct rtree tree = {.kv = kv, .collection = number};
    struct rtree_edit *edits = calloc(count + 1, sizeof(*edits));
    enum torg_err err;

    if (!edits)
        return TORG_E_NOMEM;
    for (size_t i = 0; i < pending && filled < count; i++) {
        struct writer_edit edit = edit_at(writer, i);

        if (edit.tree == number)
            edits[filled++] = edit.edit;
    }
    err = rtree_apply(&tree, edits, filled);
    free(edits);
    return err == TORG_E_NOT_FOUND || err == TORG_E_INVALID ? TORG_E_CORRUPT : err;
}

/* Of so many rows, so many edits since the tree was packed, the last of them in this batch. */
static bool pack_is_due(uint64_t rows, uint64_t edits, uint64_t batch, bool removes)
{
    if (batch < WRITER_PACK_COUNT_MIN || edits < WRITER_PACK_EDITS_MIN ||
        rows > WRITER_PACK_ITEMS_MAX)
        return false;
    if (rows <= WRITER_PACK_LARGE)
        return edits >= rows / WRITER_PACK_FRACTION;
    return removes && batch >= rows / WRITER_PACK_FRACTION;
}

static enum torg_err flush_tree(struct catalogue_writer *writer, struct kv *kv, uint8_t collection,
                                bool placed)
{
    size_t pending = writer->pending.size / sizeof(struct writer_edit);
    uint8_t tree = catalogue_tree(collection, placed);
    uint64_t edits, rows, count = 0;
    bool removes = false;
    enum torg_err err;

    if (!(writer->dirty >> tree & 1))
        return TORG_OK;
    err = catalogue_count_get(kv, CATALOGUE_COUNT_EDITS, tree, 0, &edits);
    if (!err)
        err = tree_rows(kv, collection, placed, &rows);
    if (err)
        return err;
    for (size_t i = 0; i < pending; i++) {
        struct writer_edit edit = edit_at(writer, i);

        count += edit.tree == tree;
        removes = removes || (edit.tree == tree && edit.edit.removed);
    }
    edits += count;
    /* The rows are the truth: a packed tree needs none of the edits. */
    if (pack_is_due(rows, edits, count, removes))
        return catalogue_writer_pack(kv, collection, placed);
    err = flush_edits(writer, kv, tree, (size_t)count);
    return err ? err : catalogue_count_put(kv, CATALOGUE_COUNT_EDITS, tree, 0, edits);
}

enum torg_err catalogue_flush(struct catalogue_writer *writer, struct kv *kv)
{
    enum torg_err err;

    err = catalogue_terms_flush(&writer->postings, &writer->stemmer, kv);
    if (!err && writer->totals)
        err = catalogue_totals_flush(writer->totals, kv);
    for (uint8_t collection = 1; collection < COLLECTIONS_MAX && !err; collection++) {
        err = flush_tree(writer, kv, collection, true);
        if (!err)
            err = flush_tree(writer, kv, collection, false);
    }
    if (err)
        return err;
    buffer_clear(&writer->pending);
    writer->dirty = 0;
    return TORG_OK;
}

/* Lists whose changes wait, brought to where they belong; a large part of a page of each run. */
static enum torg_err merge_step(struct kv *kv, bool *ret_quiet)
{
    size_t merged = 0;
    enum torg_err err = postings_merge(kv, WRITER_MERGED_LISTS, &merged);

    *ret_quiet = merged == 0;
    return err;
}

enum torg_err catalogue_repack(struct kv *kv, struct catalogue_repacked *ret_repacked)
{
    struct rtree_repacked repacked = {.quiet = true};
    enum torg_err err = TORG_OK;

    for (uint8_t collection = 1; collection < COLLECTIONS_MAX && repacked.quiet; collection++) {
        for (int placed = 1; placed >= 0 && repacked.quiet && !err; placed--) {
            struct rtree tree = {.kv = kv, .collection = catalogue_tree(collection, placed)};

            if (COLLECTION_MASK_PUBLIC >> collection & 1)
                err = rtree_repack_step(&tree, &repacked);
        }
        if (err)
            return err;
    }
    if (repacked.quiet)
        err = merge_step(kv, &repacked.quiet);
    if (err)
        return err;
    *ret_repacked = (struct catalogue_repacked){repacked.quiet, repacked.items};
    return TORG_OK;
}

void catalogue_writer_done(struct catalogue_writer *writer)
{
    buffer_done(&writer->pending);
    postings_writer_done(&writer->postings);
    text_stemmer_done(&writer->stemmer);
    free(writer->totals);
    *writer = (struct catalogue_writer){.themes = writer->themes};
}

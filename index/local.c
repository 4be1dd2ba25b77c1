/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/local_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index/shape_box.h"
#include "protocol/listing_geojson.h"
#include "protocol/seal.h"

#define RECORD_FORMAT 1
#define HASH_DOMAIN "torg/local-feature/1"
#define WORK_SORT 4          /* of reading a feature for its order */
#define WORK_SHAPE_BYTES 128 /* of a feature that is read for its geometry, for one of work */
#define WORK_SHAPE_POSITIONS 8

struct local_feature_key local_feature_key(uint32_t collection, uint32_t feature)
{
    struct local_feature_key key = {{LOCAL_ROW_FEATURE}};

    put_u32be(key.bytes + 1, collection);
    put_u32be(key.bytes + 5, feature);
    return key;
}

static struct span key_span(const struct local_feature_key *key)
{
    return span_of(key->bytes, sizeof(key->bytes));
}

struct span local_id_key(uint32_t collection, struct span id, uint8_t bytes[LOCAL_ID_KEY_BYTES])
{
    bytes[0] = LOCAL_ROW_ID;
    put_u32be(bytes + 1, collection);
    seal_hash16("torg/local-id/1", id, bytes + 5);
    return span_of(bytes, LOCAL_ID_KEY_BYTES);
}

struct span local_name_key(struct span name, uint8_t bytes[LOCAL_NAME_KEY_BYTES_MAX])
{
    bytes[0] = LOCAL_ROW_COLLECTION;
    if (name.size)
        memcpy(bytes + 1, name.data, name.size);
    return span_of(bytes, name.size + 1);
}

/* ---- records ---- */

static void put_position(struct buffer *out, struct position position)
{
    buffer_put_u32be(out, (uint32_t)position.lon_e7);
    buffer_put_u32be(out, (uint32_t)position.lat_e7);
}

static struct position read_position(struct reader *in)
{
    struct position position;

    position.lon_e7 = (int32_t)reader_u32be(in);
    position.lat_e7 = (int32_t)reader_u32be(in);
    return position;
}

static enum torg_err record_read(struct span name, struct span value,
                                 struct local_collection *collection)
{
    struct reader in = reader_of(value);
    uint8_t format = reader_u8(&in);
    uint16_t count;

    memcpy(collection->name, name.data, name.size);
    collection->name[name.size] = '\0';
    collection->number = reader_u32be(&in);
    collection->next = reader_u32be(&in);
    collection->count = reader_u32be(&in);
    collection->has_box = reader_u8(&in) != 0;
    collection->min = read_position(&in);
    collection->max = read_position(&in);
    count = reader_u16be(&in);
    for (uint16_t i = 0; i < count && !in.err; i++) {
        uint8_t type = reader_u8(&in);
        struct span property = reader_bytes(&in, reader_u16be(&in));

        if (in.err || type < CQL2_BOOLEAN || type > CQL2_GEOMETRY ||
            !queryables_add(&collection->types, property, (enum cql2_type)type, NULL))
            return TORG_E_CORRUPT;
    }
    return in.err || reader_left(&in) || format != RECORD_FORMAT ? TORG_E_CORRUPT : TORG_OK;
}

enum torg_err local_save(struct kv *kv, const struct local_collection *collection)
{
    uint8_t bytes[LOCAL_NAME_KEY_BYTES_MAX];
    struct buffer out = {0};
    enum torg_err err;

    buffer_put_u8(&out, RECORD_FORMAT);
    buffer_put_u32be(&out, collection->number);
    buffer_put_u32be(&out, collection->next);
    buffer_put_u32be(&out, collection->count);
    buffer_put_u8(&out, collection->has_box);
    put_position(&out, collection->min);
    put_position(&out, collection->max);
    buffer_put_u16be(&out, (uint16_t)collection->types.count);
    for (size_t i = 0; i < collection->types.count; i++) {
        const struct cql2_property *property = &collection->types.items[i];

        buffer_put_u8(&out, (uint8_t)property->type);
        buffer_put_u16be(&out, (uint16_t)property->name.size);
        buffer_put_span(&out, property->name);
    }
    err = out.err;
    if (!err)
        err = kv_put(kv, KV_LOCAL, local_name_key(span_of_str(collection->name), bytes),
                     buffer_span(&out));
    buffer_done(&out);
    return err;
}

void local_free(struct local_collection *collection)
{
    free(collection);
}

static enum torg_err collection_new(struct span name, struct span value,
                                    struct local_collection **ret)
{
    struct local_collection *collection = calloc(1, sizeof(*collection));
    enum torg_err err;

    if (!collection)
        return TORG_E_NOMEM;
    err = name.size > LOCAL_NAME_BYTES_MAX ? TORG_E_CORRUPT : record_read(name, value, collection);
    if (err)
        free(collection);
    else
        *ret = collection;
    return err;
}

enum torg_err local_get(const struct kv *kv, struct span name, struct local_collection **ret)
{
    uint8_t bytes[LOCAL_NAME_KEY_BYTES_MAX];
    struct span value;
    enum torg_err err;

    if (!local_name_valid(name))
        return TORG_E_NOT_FOUND;
    err = kv_get(kv, KV_LOCAL, local_name_key(name, bytes), &value);
    return err ? err : collection_new(name, value, ret);
}

enum torg_err local_next(const struct kv *kv, struct span after, struct local_collection **ret)
{
    uint8_t bytes[LOCAL_NAME_KEY_BYTES_MAX];
    struct kv_cursor *cursor = NULL;
    struct span key, value, from = local_name_key(after, bytes);
    enum torg_err err = kv_cursor_open(kv, KV_LOCAL, &cursor);

    if (!err)
        err = kv_cursor_seek(kv, cursor, from, &key, &value);
    if (!err && after.size && span_equal(key, from))
        err = kv_cursor_next(kv, cursor, &key, &value);
    if (!err && (key.size < 2 || key.data[0] != LOCAL_ROW_COLLECTION))
        err = TORG_E_NOT_FOUND;
    if (!err)
        err = collection_new(span_of(key.data + 1, key.size - 1), value, ret);
    kv_cursor_close(kv, cursor);
    return err;
}

enum torg_err local_get_or_new(const struct kv *kv, struct span name, struct local_collection **ret)
{
    struct local_collection *collection, *other;
    uint32_t number = 0, count = 0;
    char after[LOCAL_NAME_BYTES_MAX + 1] = "";
    enum torg_err err = local_get(kv, name, ret);

    if (err != TORG_E_NOT_FOUND)
        return err;
    while ((err = local_next(kv, span_of_str(after), &other)) == TORG_OK) {
        number = other->number > number ? other->number : number;
        count++;
        memcpy(after, other->name, sizeof(after));
        local_free(other);
    }
    if (err != TORG_E_NOT_FOUND)
        return err;
    if (count >= LOCAL_COLLECTIONS_MAX)
        return TORG_E_FULL;
    collection = calloc(1, sizeof(*collection));
    if (!collection)
        return TORG_E_NOMEM;
    memcpy(collection->name, name.data, name.size);
    collection->number = number + 1;
    collection->next = 1;
    local_types_init(&collection->types);
    *ret = collection;
    return TORG_OK;
}

/* ---- features ---- */

struct stored {
    bool has_geometry;
    struct position min, max;
    uint8_t hash[16]; /* nothing else would notice a damaged property */
    struct span json;
};

static enum torg_err stored_read(struct span value, struct stored *ret)
{
    struct reader in = reader_of(value);

    ret->has_geometry = reader_u8(&in) != 0;
    ret->min = read_position(&in);
    ret->max = read_position(&in);
    reader_copy(&in, ret->hash, sizeof(ret->hash));
    ret->json = reader_bytes(&in, reader_left(&in));
    return in.err ? TORG_E_CORRUPT : TORG_OK;
}

static void grow_box(struct local_collection *collection, const struct local_feature *feature)
{
    if (!feature->has_geometry)
        return;
    if (!collection->has_box) {
        collection->min = feature->min;
        collection->max = feature->max;
        collection->has_box = true;
    }
    if (feature->min.lon_e7 < collection->min.lon_e7)
        collection->min.lon_e7 = feature->min.lon_e7;
    if (feature->min.lat_e7 < collection->min.lat_e7)
        collection->min.lat_e7 = feature->min.lat_e7;
    if (feature->max.lon_e7 > collection->max.lon_e7)
        collection->max.lon_e7 = feature->max.lon_e7;
    if (feature->max.lat_e7 > collection->max.lat_e7)
        collection->max.lat_e7 = feature->max.lat_e7;
}

static enum torg_err number_find(const struct kv *kv, uint32_t collection, struct span id,
                                 uint32_t *ret_feature)
{
    uint8_t bytes[LOCAL_ID_KEY_BYTES];
    struct span value;
    enum torg_err err = kv_get(kv, KV_LOCAL, local_id_key(collection, id, bytes), &value);

    if (err)
        return err;
    if (value.size != 4)
        return TORG_E_CORRUPT;
    *ret_feature = get_u32be(value.data);
    return TORG_OK;
}

static enum torg_err number_new(struct kv *kv, struct local_collection *collection,
                                const struct local_feature *feature, uint32_t *ret_number)
{
    uint8_t bytes[LOCAL_ID_KEY_BYTES], value[4];

    if (collection->count >= LOCAL_FEATURES_MAX || collection->next == UINT32_MAX)
        return TORG_E_TOO_BIG;
    *ret_number = collection->next++;
    collection->count++;
    put_u32be(value, *ret_number);
    return kv_put(kv, KV_LOCAL, local_id_key(collection->number, span_of_str(feature->id), bytes),
                  span_of(value, sizeof(value)));
}

enum torg_err local_compare(const struct kv *kv, const struct local_collection *collection,
                            const struct local_feature *feature, enum local_action *ret_action,
                            uint32_t *ret_number)
{
    struct span known;
    enum torg_err err = number_find(kv, collection->number, span_of_str(feature->id), ret_number);

    if (err == TORG_E_NOT_FOUND) {
        *ret_action = LOCAL_CREATED;
        *ret_number = 0;
        return TORG_OK;
    }
    if (!err)
        err = local_feature_get(kv, collection, *ret_number, &known);
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err; /* Its id leads there. */
    *ret_action = span_equal(known, buffer_span(&feature->json)) ? LOCAL_UNCHANGED : LOCAL_UPDATED;
    return TORG_OK;
}

enum torg_err local_put(struct kv *kv, struct local_collection *collection,
                        const struct local_feature *feature, enum local_action *ret_action)
{
    struct buffer value = {0};
    struct local_feature_key key;
    uint8_t hash[16];
    uint32_t number;
    enum torg_err err = local_compare(kv, collection, feature, ret_action, &number);

    if (!err && *ret_action == LOCAL_UNCHANGED)
        return TORG_OK;
    if (!err && *ret_action == LOCAL_CREATED)
        err = number_new(kv, collection, feature, &number);
    if (err)
        return err;
    grow_box(collection, feature);
    buffer_put_u8(&value, feature->has_geometry);
    put_position(&value, feature->min);
    put_position(&value, feature->max);
    seal_hash16(HASH_DOMAIN, buffer_span(&feature->json), hash);
    buffer_put(&value, hash, sizeof(hash));
    buffer_put_span(&value, buffer_span(&feature->json));
    key = local_feature_key(collection->number, number);
    err = value.err;
    if (!err)
        err = kv_put(kv, KV_LOCAL, key_span(&key), buffer_span(&value));
    buffer_done(&value);
    return err;
}

enum torg_err local_feature_get(const struct kv *kv, const struct local_collection *collection,
                                uint32_t feature, struct span *ret_json)
{
    struct local_feature_key key = local_feature_key(collection->number, feature);
    struct stored stored;
    struct span value;
    enum torg_err err = kv_get(kv, KV_LOCAL, key_span(&key), &value);

    if (!err)
        err = stored_read(value, &stored);
    if (!err)
        *ret_json = stored.json;
    return err;
}

enum torg_err local_find(const struct kv *kv, const struct local_collection *collection,
                         struct span id, uint32_t *ret_feature)
{
    return number_find(kv, collection->number, id, ret_feature);
}

/* ---- all of a collection ---- */

typedef enum torg_err stored_visit(void *context, uint32_t number, const struct stored *stored);

static enum torg_err each_stored(const struct kv *kv, uint32_t collection, stored_visit *visit,
                                 void *context)
{
    struct local_feature_key from = local_feature_key(collection, 0);
    struct kv_cursor *cursor = NULL;
    struct span key, value;
    struct stored stored;
    enum torg_err err = kv_cursor_open(kv, KV_LOCAL, &cursor);

    if (!err)
        err = kv_cursor_seek(kv, cursor, key_span(&from), &key, &value);
    while (!err && key.size == LOCAL_FEATURE_KEY_BYTES && memcmp(key.data, from.bytes, 5) == 0) {
        err = stored_read(value, &stored);
        if (!err)
            err = visit(context, get_u32be(key.data + 5), &stored);
        if (!err)
            err = kv_cursor_next(kv, cursor, &key, &value);
    }
    kv_cursor_close(kv, cursor);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

/* ---- queries ---- */

struct scan {
    const struct query *query;
    struct filter *when;
    struct shape_box box;
    struct query_page *page;
    struct query_sorter *sorter; /* NULL: the order is that of numbers */
    uint32_t skipped;
    uint64_t before; /* the filters' work */
    uint64_t shapes; /* the geometries' */
};

static uint64_t filters_work(const struct scan *scan)
{
    return (scan->query->filter ? filter_work(scan->query->filter) : 0) +
           (scan->when ? filter_work(scan->when) : 0);
}

static enum torg_err stored_touches(struct scan *scan, const struct stored *stored,
                                    bool *ret_touches)
{
    json_t *json = NULL;
    char message[120];
    uint64_t positions = 0;
    enum torg_err err = listing_json_parse(stored->json, &json, message, sizeof(message));

    if (!err)
        err = shape_box_touches_geojson(&scan->box, json_object_get(json, "geometry"), ret_touches,
                                        &positions);
    json_decref(json);
    scan->shapes += 2 + stored->json.size / WORK_SHAPE_BYTES + positions / WORK_SHAPE_POSITIONS;
    return err == TORG_E_INVALID ? TORG_E_CORRUPT : err;
}

/* Its geometry is read only where its box does not say it. */
static enum torg_err scan_boxed(struct scan *scan, const struct stored *stored, bool *ret_touches)
{
    const struct geo_window *window = &scan->box.window;

    *ret_touches = !scan->query->has_box || !stored->has_geometry ||
                   geo_window_overlaps(window, stored->min, stored->max);
    if (!*ret_touches || !scan->query->has_box || scan->query->box_is_cover ||
        !stored->has_geometry || geo_window_holds(window, stored->min, stored->max))
        return TORG_OK;
    return stored_touches(scan, stored, ret_touches);
}

static enum torg_err scan_matches(struct scan *scan, const struct stored *stored, bool *ret_matches)
{
    const struct query *query = scan->query;
    bool matches;
    enum torg_err err = scan_boxed(scan, stored, &matches);

    if (!err && matches && scan->when)
        err = filter_passes(scan->when, stored->json, &matches);
    if (!err && matches && query->filter)
        err = filter_passes(query->filter, stored->json, &matches);
    *ret_matches = matches;
    return err;
}

static enum torg_err scan_visit(void *context, uint32_t number, const struct stored *stored)
{
    struct scan *scan = context;
    struct query_page *page = scan->page;
    bool matches;
    enum torg_err err;

    page->explain.rows++;
    page->explain.work = page->explain.rows + scan->shapes + filters_work(scan) - scan->before;
    if (page->explain.work > QUERY_WORK_MAX)
        return TORG_E_EXPENSIVE;
    err = scan_matches(scan, stored, &matches);
    if (err || !matches)
        return err;
    page->matched++;
    if (scan->sorter) {
        page->explain.rows += WORK_SORT;
        return query_sorter_add(scan->sorter, number, stored->json);
    }
    if (scan->query->has_cursor && number <= scan->query->cursor.document)
        return TORG_OK;
    if (scan->skipped < scan->query->offset) {
        scan->skipped++;
    } else if (page->count < scan->query->limit) {
        page->hits[page->count++] = (struct rtree_hit){.document = number, .distance_m = -1};
    } else {
        page->has_next = scan->query->limit > 0;
    }
    return TORG_OK;
}

enum torg_err local_query(const struct kv *kv, const struct local_collection *collection,
                          const struct query *query, struct filter *when,
                          const struct query_sort *sort, struct query_page *ret_page)
{
    struct query_page page = {.explain = {.driver = "scan"}};
    struct scan scan = {.query = query, .when = when, .page = &page};
    enum torg_err err = TORG_OK;

    if (query->limit > QUERY_LIMIT_MAX || (query->has_box && !geo_box_valid(&query->box)))
        return TORG_E_INVALID;
    if (query->has_box)
        scan.box = shape_box_of(&query->box);
    scan.before = filters_work(&scan);
    page.hits = malloc((query->limit ? query->limit : 1) * sizeof(*page.hits));
    if (!page.hits)
        return TORG_E_NOMEM;
    if (sort && sort->count)
        err = query_sorter_new(sort, query->offset, query->limit, &scan.sorter);
    if (!err)
        err = each_stored(kv, collection->number, scan_visit, &scan);
    if (!err && scan.sorter)
        err = query_sorter_page(scan.sorter, &page);
    query_sorter_free(scan.sorter);
    if (err) {
        query_page_done(&page);
        return err;
    }
    if (page.has_next)
        page.next = query_page_cursor(&page, page.count - 1);
    *ret_page = page;
    return TORG_OK;
}

/* ---- checking ---- */

struct check {
    const struct kv *kv;
    const struct local_collection *collection;
    catalogue_report *report;
    void *context;
    struct queryables *types;
    uint32_t count;
};

static void check_say(struct check *check, uint32_t number, const char *what)
{
    char text[160];

    (void)snprintf(text, sizeof(text), "local collection %s, feature %lu: %s",
                   check->collection->name, (unsigned long)number, what);
    check->report(check->context, text);
}

/* Read as if it came in now: it must come out as it stands. */
static enum torg_err check_visit(void *context, uint32_t number, const struct stored *stored)
{
    struct check *check = context;
    const struct local_collection *collection = check->collection;
    struct local_feature feature = {0};
    struct problems problems = {0};
    json_t *json = NULL;
    char message[120];
    uint32_t found = 0;
    uint8_t hash[16];
    enum torg_err err;

    check->count++;
    seal_hash16(HASH_DOMAIN, stored->json, hash);
    if (memcmp(hash, stored->hash, sizeof(hash)) != 0)
        check_say(check, number, "is not what was stored");
    *check->types = collection->types;
    err = listing_json_parse(stored->json, &json, message, sizeof(message));
    if (!err)
        err = local_feature_read(json, check->types, &feature, &problems);
    json_decref(json);
    if (err == TORG_E_NOMEM)
        return err;
    if (err || !span_equal(buffer_span(&feature.json), stored->json))
        check_say(check, number, "is no feature of this collection");
    else if (check->types->count != collection->types.count)
        check_say(check, number, "has a property that the collection does not know");
    else if (feature.has_geometry != stored->has_geometry ||
             (feature.has_geometry && (memcmp(&feature.min, &stored->min, 8) != 0 ||
                                       memcmp(&feature.max, &stored->max, 8) != 0)))
        check_say(check, number, "its box is wrong");
    else if (number_find(check->kv, collection->number, span_of_str(feature.id), &found) ||
             found != number)
        check_say(check, number, "is not found by its id");
    local_feature_done(&feature);
    return TORG_OK;
}

static uint32_t count_ids(const struct kv *kv, uint32_t collection)
{
    uint8_t from[5] = {LOCAL_ROW_ID};
    struct kv_cursor *cursor = NULL;
    struct span key, value;
    uint32_t count = 0;
    enum torg_err err = kv_cursor_open(kv, KV_LOCAL, &cursor);

    put_u32be(from + 1, collection);
    if (!err)
        err = kv_cursor_seek(kv, cursor, span_of(from, sizeof(from)), &key, &value);
    for (; !err && key.size >= 5 && memcmp(key.data, from, 5) == 0; count++)
        err = kv_cursor_next(kv, cursor, &key, &value);
    kv_cursor_close(kv, cursor);
    return count;
}

static enum torg_err check_collection(struct check *check)
{
    enum torg_err err = each_stored(check->kv, check->collection->number, check_visit, check);

    if (err)
        return err;
    if (check->count != check->collection->count)
        check_say(check, 0, "the number of features is wrong");
    if (count_ids(check->kv, check->collection->number) != check->count)
        check_say(check, 0, "there are more ids than features, or fewer");
    return TORG_OK;
}

enum torg_err local_verify(const struct kv *kv, catalogue_report *report, void *context,
                           uint64_t *ret_features)
{
    char after[LOCAL_NAME_BYTES_MAX + 1] = "";
    struct queryables *types = calloc(1, sizeof(*types));
    struct local_collection *collection;
    enum torg_err err = TORG_OK;

    *ret_features = 0;
    if (!types)
        return TORG_E_NOMEM;
    while (!err && (err = local_next(kv, span_of_str(after), &collection)) == TORG_OK) {
        struct check check = {.kv = kv,
                              .collection = collection,
                              .report = report,
                              .context = context,
                              .types = types};

        err = check_collection(&check);
        *ret_features += check.count;
        memcpy(after, collection->name, sizeof(after));
        local_free(collection);
    }
    free(types);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

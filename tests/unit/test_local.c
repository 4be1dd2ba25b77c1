/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "index/local.h"
#include "protocol/listing_geojson.h"
#include "tests/support/kv_mem.h"

/* What is stored of local collections, and that damage to it is noticed. */
#define COUNT 40

struct world {
    struct kv_mem *store;
    struct kv kv;
    struct local_collection *collection;
};

static struct local_feature read_feature(struct world *world, const char *text)
{
    struct local_feature feature = {0};
    struct problems problems = {0};
    char message[100];
    json_t *json;

    assert_ok(listing_json_parse(span_of_str(text), &json, message, sizeof(message)));
    assert_ok(local_feature_read(json, &world->collection->types, &feature, &problems));
    json_decref(json);
    return feature;
}

static enum local_action put(struct world *world, const char *text)
{
    struct local_feature feature = read_feature(world, text);
    enum local_action action;

    assert_ok(local_put(&world->kv, world->collection, &feature, &action));
    local_feature_done(&feature);
    return action;
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    char text[200];

    assert_non_null(world);
    assert_ok(kv_mem_new(&world->store));
    assert_ok(kv_mem_write_begin(world->store, &world->kv));
    assert_ok(local_get_or_new(&world->kv, span_of_str("lakes"), &world->collection));
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(text, sizeof(text),
                       "{\"type\":\"Feature\",\"id\":%d,\"geometry\":{\"type\":\"Point\","
                       "\"coordinates\":[%.2f,63.5]},\"properties\":{\"depth\":%d%s}}",
                       i, 20 + i / 100.0, i % 7, i % 3 ? ",\"name\":\"Sjö\"" : "");
        assert_int_equal(put(world, text), LOCAL_CREATED);
    }
    assert_ok(local_save(&world->kv, world->collection));
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    local_free(world->collection);
    kv_mem_write_abort(&world->kv);
    kv_mem_free(world->store);
    free(world);
    return 0;
}

static void test_a_feature_comes_back(void **state)
{
    struct world *world = *state;
    struct local_collection *again;
    struct span json;
    uint32_t number;

    assert_ok(local_get(&world->kv, span_of_str("lakes"), &again));
    assert_int_equal(again->count, COUNT);
    assert_int_equal(again->types.count, 3);
    assert_int_equal(again->min.lon_e7, 200000000);
    assert_int_equal(again->max.lon_e7, 203900000);
    assert_ok(local_find(&world->kv, again, span_of_str("17"), &number));
    assert_ok(local_feature_get(&world->kv, again, number, &json));
    assert_true(span_equal(
        json, span_of_str("{\"type\":\"Feature\",\"id\":\"17\",\"geometry\":{\"type\":\"Point\","
                          "\"coordinates\":[20.17,63.5]},\"properties\":{\"depth\":3,\"name\":"
                          "\"Sjö\"}}")));
    assert_err(local_find(&world->kv, again, span_of_str("x"), &number), TORG_E_NOT_FOUND);
    local_free(again);
    assert_err(local_get(&world->kv, span_of_str("offers"), &again), TORG_E_NOT_FOUND);
    assert_err(local_get(&world->kv, span_of_str("lake"), &again), TORG_E_NOT_FOUND);
}

static void test_putting_again(void **state)
{
    struct world *world = *state;
    static const char same[] =
        "{\"type\":\"Feature\",\"id\":\"1\",\"geometry\":{\"type\":\"Point\","
        "\"coordinates\":[20.01,63.5]},\"properties\":{\"depth\":1,"
        "\"name\":\"Sjö\"}}";
    static const char other[] = "{\"type\":\"Feature\",\"id\":1,\"geometry\":null,\"properties\":"
                                "{\"depth\":2.5}}";

    assert_int_equal(put(world, same), LOCAL_UNCHANGED);
    assert_int_equal(put(world, other), LOCAL_UPDATED);
    assert_int_equal(world->collection->count, COUNT);
}

/* Pages of every size hold every matching feature once, in either order. */
static void test_pages(void **state)
{
    struct world *world = *state;
    struct query_sort sort = {
        .count = 1,
        .by = {{.name = span_of_str("depth"), .type = CQL2_NUMBER, .descending = true}}};

    for (int sorted = 0; sorted < 2; sorted++) {
        struct query query = {
            .limit = 7,
            .has_box = true,
            .box = {.west_deg = 20.1, .south_deg = 63, .east_deg = 20.3, .north_deg = 64}};
        bool seen[COUNT + 1] = {false};
        int before = 7, count = 0;
        bool more = true;

        sort.has_after = false;
        while (more) {
            struct query_page page;

            assert_ok(local_query(&world->kv, world->collection, &query, NULL,
                                  sorted ? &sort : NULL, &page));
            assert_int_equal(page.matched, 21);
            for (size_t i = 0; i < page.count; i++) {
                uint32_t number = page.hits[i].document;
                int depth = (int)(number - 1) % 7;

                assert_false(seen[number]);
                seen[number] = true;
                count++;
                assert_true(!sorted || depth <= before);
                before = depth;
            }
            more = page.has_next;
            query.has_cursor = true;
            if (more) {
                query.cursor = query_page_cursor(&page, page.count - 1);
                sort.has_after = true;
                sort.after_document = query.cursor.document;
                if (sorted)
                    sort.after = page.keys[page.count - 1];
            }
            query_page_done(&page);
        }
        assert_int_equal(count, 21);
    }
}

static uint64_t in_box(struct world *world, double west, double south, double east, double north)
{
    struct query query = {
        .limit = 100,
        .has_box = true,
        .box = {.west_deg = west, .south_deg = south, .east_deg = east, .north_deg = north}};
    struct query_page page;
    uint64_t matched;

    assert_ok(local_query(&world->kv, world->collection, &query, NULL, NULL, &page));
    matched = page.matched;
    query_page_done(&page);
    return matched;
}

/* A box finds what meets it, not what lies around it, to the last digit of the file. */
static void test_boxes_ask_geometries(void **state)
{
    static const char *const shapes[] = {
        "{\"type\":\"MultiPoint\",\"coordinates\":[[1,1],[2,2]]}",
        "{\"type\":\"LineString\",\"coordinates\":[[1,1],[1,2],[2,2]]}",
        "{\"type\":\"MultiLineString\",\"coordinates\":[[[1,1],[1,2]],[[2,1],[2,2]]]}",
        "{\"type\":\"Polygon\",\"coordinates\":[[[1,1],[2,1],[2,2],[1,2],[1,1]],[[1.1,1.1],"
        "[1.1,1.9],[1.9,1.9],[1.9,1.1],[1.1,1.1]]]}",
        "{\"type\":\"MultiPolygon\",\"coordinates\":[[[[1,1],[2,1],[1,2],[1,1]]],[[[2,1.5],[2,2],"
        "[1.9,2],[2,1.5]]]]}"};
    struct world *world = *state;
    char text[400];

    for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
        (void)snprintf(text, sizeof(text),
                       "{\"type\":\"Feature\",\"id\":%d,\"geometry\":%s,\"properties\":{}}",
                       1000 + (int)i, shapes[i]);
        assert_int_equal(put(world, text), LOCAL_CREATED);
    }
    assert_int_equal(in_box(world, 1.6, 1.6, 1.7, 1.7), 0);
    assert_int_equal(in_box(world, 1.5, 1.5, 1.6, 1.6), 1); /* touches the slanting side */
    assert_int_equal(in_box(world, 1.2, 1.2, 1.3, 1.3), 1); /* in the triangle, in the hole */
    assert_int_equal(in_box(world, 1, 1, 1, 1), 5);
    assert_int_equal(in_box(world, 1.6, 1.6, 2, 2), 5);
    assert_int_equal(in_box(world, 1.05, 1.2, 1.06, 1.3), 2); /* in two areas */
    assert_int_equal(in_box(world, 3, 0, 0.5, 3), 0);         /* around the earth */

    assert_int_equal(put(world,
                         "{\"type\":\"Feature\",\"id\":2000,\"geometry\":{\"type\":\"Point\","
                         "\"coordinates\":[5.12345678912,5.00000004]},\"properties\":{}}"),
                     LOCAL_CREATED);
    assert_int_equal(in_box(world, 5.12345678912, 5.00000004, 5.12345678912, 5.00000004), 1);
    assert_int_equal(in_box(world, 5.1234567892, 5, 6, 6), 0);
    assert_int_equal(in_box(world, 5.12345678, 5, 5.12345679, 5.00000003), 0);
}

static void count_report(void *context, const char *what)
{
    (void)what;
    ++*(int *)context;
}

static int verify(struct world *world)
{
    uint64_t features;
    int reports = 0;

    assert_ok(local_verify(&world->kv, count_report, &reports, &features));
    return reports;
}

/* Every byte of every row counts for something: wherever one is changed, it is noticed. */
static void test_damage_is_noticed(void **state)
{
    struct world *world = *state;
    struct local_collection *other;
    struct span key, value;
    struct kv_cursor *cursor;
    struct buffer saved_key = {0}, saved = {0};
    int kinds[4] = {0};

    assert_int_equal(verify(world), 0);
    assert_ok(kv_cursor_open(&world->kv, KV_LOCAL, &cursor));
    for (int row = 0;; row++) {
        enum torg_err err = kv_cursor_seek(&world->kv, cursor, span_of_str("\1"), &key, &value);

        for (int i = 0; i < row && !err; i++)
            err = kv_cursor_next(&world->kv, cursor, &key, &value);
        if (err)
            break;
        /* One of each kind is enough; the collection's own row is checked elsewhere. */
        if (key.data[0] == 1 || kinds[key.data[0]]++ > 1)
            continue;
        buffer_clear(&saved_key);
        buffer_clear(&saved);
        buffer_put_span(&saved_key, key);
        buffer_put_span(&saved, value);
        for (size_t at = 0; at < saved.size; at++) {
            saved.data[at] ^= 1;
            assert_ok(kv_put(&world->kv, KV_LOCAL, buffer_span(&saved_key), buffer_span(&saved)));
            if (verify(world) == 0)
                fail_msg("row of kind %d, byte %zu: nothing noticed", saved_key.data[0], at);
            saved.data[at] ^= 1;
        }
        assert_ok(kv_put(&world->kv, KV_LOCAL, buffer_span(&saved_key), buffer_span(&saved)));
        assert_ok(kv_del(&world->kv, KV_LOCAL, buffer_span(&saved_key)));
        assert_true(verify(world) > 0);
        assert_ok(kv_put(&world->kv, KV_LOCAL, buffer_span(&saved_key), buffer_span(&saved)));
    }
    kv_cursor_close(&world->kv, cursor);
    buffer_done(&saved_key);
    buffer_done(&saved);
    assert_true(kinds[2] > 0 && kinds[3] > 0);
    assert_int_equal(verify(world), 0);
    /* A count that is wrong. */
    assert_ok(local_get(&world->kv, span_of_str("lakes"), &other));
    other->count++;
    assert_ok(local_save(&world->kv, other));
    assert_true(verify(world) > 0);
    local_free(other);
}

static void test_what_does_not_fit_is_told(void **state)
{
    static const struct {
        const char *feature, *path;
    } cases[] = {
        {"{\"type\":\"Feature\",\"geometry\":null,\"properties\":{\"depth\":\"deep\"}}", "depth"},
        {"{\"type\":\"Feature\",\"geometry\":null,\"properties\":{\"geometry\":1}}", "geometry"},
        {"{\"type\":\"Thing\",\"geometry\":null,\"properties\":{}}", "type"},
        {"{\"type\":\"Feature\",\"geometry\":null,\"properties\":[]}", "properties"},
        {"{\"type\":\"Feature\",\"id\":[],\"geometry\":null,\"properties\":{}}", "id"},
        {"{\"type\":\"Feature\",\"geometry\":{\"type\":\"GeometryCollection\",\"geometries\":[]},"
         "\"properties\":{}}",
         "geometry"},
        {"{\"type\":\"Feature\",\"geometry\":{\"type\":\"Point\",\"coordinates\":[63,200]},"
         "\"properties\":{}}",
         "geometry.coordinates"},
        {"{\"type\":\"Feature\",\"geometry\":{\"type\":\"Polygon\",\"coordinates\":[1,2]},"
         "\"properties\":{}}",
         "geometry.coordinates"},
        {"{\"type\":\"Feature\",\"geometry\":null,\"properties\":{\"new\":1,\"depth\":true}}",
         "depth"},
    };
    struct world *world = *state;
    size_t before = world->collection->types.count;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct local_feature feature = {0};
        struct problems problems = {0};
        char message[100];
        json_t *json;

        assert_ok(
            listing_json_parse(span_of_str(cases[i].feature), &json, message, sizeof(message)));
        assert_err(local_feature_read(json, &world->collection->types, &feature, &problems),
                   TORG_E_INVALID);
        assert_string_equal(problems.items[0].path, cases[i].path);
        json_decref(json);
    }
    assert_int_equal(world->collection->types.count, before);
}

/* Times without an offset are UTC; strings that are no times make a property of times one of
 * strings. */
static void test_times(void **state)
{
    struct world *world = *state;
    struct local_feature feature =
        read_feature(world, "{\"type\":\"Feature\",\"geometry\":null,\"properties\":{\"seen\":"
                            "\"2022-04-16T10:13:19\"}}");
    size_t seen = queryables_find(&world->collection->types, span_of_str("seen"));

    assert_non_null(strstr((char *)feature.json.data, "\"seen\":\"2022-04-16T10:13:19Z\""));
    assert_int_equal(world->collection->types.items[seen].type, CQL2_TIMESTAMP);
    local_feature_done(&feature);
    feature =
        read_feature(world, "{\"type\":\"Feature\",\"geometry\":null,\"properties\":{\"seen\":"
                            "\"last year\"}}");
    assert_int_equal(world->collection->types.items[seen].type, CQL2_STRING);
    local_feature_done(&feature);
}

static void refuse_report(void *context, const char *what)
{
    (void)context;
    fail_msg("%s", what);
}

/* Stopped between any two steps, what is left is whole, and the neighbour is as it was. */
static void test_deleting_in_steps(void **state)
{
    struct world *world = *state;
    struct local_collection *lakes = world->collection, *again;
    size_t deleted, sum = 0;
    uint64_t features;
    uint32_t number;

    assert_ok(local_get_or_new(&world->kv, span_of_str("rivers"), &world->collection));
    assert_int_equal(put(world, "{\"type\":\"Feature\",\"id\":1,\"geometry\":null,\"properties\":{"
                                "\"depth\":1}}"),
                     LOCAL_CREATED);
    assert_ok(local_save(&world->kv, world->collection));
    for (unsigned step = 1; lakes->count > 0; step++) {
        assert_ok(local_delete(&world->kv, lakes, step, &deleted));
        sum += deleted;
        assert_int_equal(lakes->count, COUNT - sum);
        assert_ok(local_verify(&world->kv, refuse_report, NULL, &features));
        assert_int_equal(features, COUNT - sum + 1);
        assert_err(local_find(&world->kv, lakes, span_of_str("0"), &number), TORG_E_NOT_FOUND);
    }
    assert_int_equal(sum, COUNT);
    assert_err(local_get(&world->kv, span_of_str("lakes"), &again), TORG_E_NOT_FOUND);
    assert_ok(local_get(&world->kv, span_of_str("rivers"), &again));
    assert_ok(local_find(&world->kv, again, span_of_str("1"), &number));
    local_free(again);
    /* One that is made anew has nothing of the old one. */
    local_free(lakes);
    assert_ok(local_get_or_new(&world->kv, span_of_str("lakes"), &lakes));
    assert_int_equal(lakes->count + lakes->has_box, 0);
    assert_ok(local_save(&world->kv, lakes));
    assert_ok(local_delete(&world->kv, lakes, 10, &deleted));
    assert_int_equal(deleted, 0);
    assert_err(local_get(&world->kv, span_of_str("lakes"), &again), TORG_E_NOT_FOUND);
    local_free(lakes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_feature_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_putting_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_boxes_ask_geometries, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage_is_noticed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_does_not_fit_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_times, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_deleting_in_steps, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

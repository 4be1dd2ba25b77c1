/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/catalogue.h"

#include <stdio.h>
#include <stdlib.h>

#include "index/catalogue_row.h"
#include "protocol/profile.h"
#include "tests/support/test.h"
#include "tests/support/world.h"

/* ---- reports ---- */

struct reports {
    unsigned count;
    char first[256];
};

static void note_report(void *context, const char *what)
{
    struct reports *reports = context;

    if (reports->count++ == 0)
        snprintf(reports->first, sizeof(reports->first), "%s", what);
}

static struct reports verify(struct world *world)
{
    struct reports reports = {0};
    struct kv kv;

    assert_ok(kv_mem_read_begin(world->mem, &kv));
    assert_ok(catalogue_verify(&kv, world->themes, note_report, &reports));
    kv_mem_read_end(&kv);
    return reports;
}

static void verify_clean(struct world *world)
{
    struct reports reports = verify(world);

    if (reports.count)
        fail_msg("%u reports: %s", reports.count, reports.first);
}

static void rebuild(struct world *world)
{
    struct kv kv;

    assert_ok(kv_mem_write_begin(world->mem, &kv));
    assert_ok(catalogue_rebuild(&kv, world->themes, NULL, NULL));
    assert_ok(kv_mem_write_commit(&kv));
}

/* Everything derived but the trees' nodes, whose shape follows their history. */
static void dump(struct world *world, struct buffer *out)
{
    static const enum kv_table tables[] = {KV_DOCUMENT, KV_DOCNUMBER, KV_TEXT, KV_COUNT, KV_SOURCE};
    struct kv_cursor *cursor;
    struct span key, value;
    struct kv kv;

    buffer_clear(out);
    assert_ok(kv_mem_read_begin(world->mem, &kv));
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        enum torg_err err;

        assert_ok(kv_cursor_open(&kv, tables[i], &cursor));
        err = kv_cursor_seek(&kv, cursor, span_of("", 1), &key, &value);
        while (!err) {
            if (tables[i] != KV_COUNT || key.data[0] != CATALOGUE_COUNT_EDITS) {
                buffer_put_u8(out, (uint8_t)tables[i]);
                buffer_put_span(out, key);
                buffer_put_u32be(out, (uint32_t)value.size);
                buffer_put_span(out, value);
            }
            err = kv_cursor_next(&kv, cursor, &key, &value);
        }
        assert_int_equal(err, TORG_E_NOT_FOUND);
        kv_cursor_close(&kv, cursor);
    }
    kv_mem_read_end(&kv);
    assert_ok(out->err);
}

/* ---- documents ---- */

static void check_document(struct world *world, const struct kv *kv, const struct world_listing *l)
{
    struct document document, shown;
    struct listing_meta meta;
    struct span body;
    unsigned slugs = 0;

    assert_ok(catalogue_document(kv, l->number, &document));
    assert_ok(catalogue_shown(kv, l->number, &shown));
    assert_int_equal(shown.collection, document.collection);
    assert_int_equal(shown.origin_number, document.origin_number);
    assert_memory_equal(&shown.id, &document.id, sizeof(shown.id));
    assert_true(span_equal(shown.feature, document.feature));
    assert_memory_equal(shown.etag, document.etag, sizeof(shown.etag));
    assert_int_equal(document.number, l->number);
    assert_int_equal(document.collection, l->collection);
    assert_int_equal(document.origin_number, world->origin_numbers[l->origin]);
    assert_memory_equal(&document.id, &l->id, sizeof(l->id));
    assert_int_equal(document.has_geometry, l->placed);
    if (l->placed && !l->line) {
        assert_true(document.is_point);
        assert_memory_equal(&document.point, &l->a, sizeof(l->a));
        assert_memory_equal(&document.box_min, &l->a, sizeof(l->a));
    }
    assert_string_equal(document.municipality, l->municipality ? l->municipality : "");
    for (size_t i = 0; i < document.themes_text.size; i++)
        slugs += document.themes_text.data[i] == 0;
    assert_int_equal(slugs, l->theme_count);
    assert_true(document.created_ms == 1700000000000);
    assert_memory_equal(document.feature.data, "{\"type\":\"Feature\"", 17);
    assert_memory_equal(document.feature.data + document.feature.size - 2, "}}", 2);
    assert_ok(catalogue_body(kv, &document, &meta, &body));
    assert_memory_equal(&meta.origin, &world->towns[l->origin].id, sizeof(meta.origin));
    assert_ok(profile_check(body));
}

static void check_counts(struct world *world, const struct kv *kv)
{
    for (uint8_t c = 1; c <= 13; c++) {
        uint64_t sum = 0, count;

        for (unsigned o = 0; o < WORLD_ORIGINS; o++) {
            uint64_t want = 0;

            for (size_t i = 0; i < world->count; i++) {
                const struct world_listing *l = &world->listings[i];

                want += l->live && l->shown && l->collection == c && l->origin == o;
            }
            assert_ok(catalogue_count(kv, c, world->origin_numbers[o], &count));
            assert_int_equal(count, want);
            sum += want;
        }
        assert_ok(catalogue_count(kv, c, 0, &count));
        assert_int_equal(count, sum);
    }
}

/* What http sends is what the document says: a field of another listing would go out unseen. */
static void test_documents(void **state)
{
    struct world world;
    struct kv kv;

    (void)state;
    world_init(&world, 11);
    for (unsigned round = 0; round < 5; round++) {
        world_change(&world, 150, 40);
        assert_ok(kv_mem_read_begin(world.mem, &kv));
        world_number(&world, &kv); /* Ends the test unless exactly what is shown has one. */
        for (size_t i = 0; i < world.count; i++) {
            if (world.listings[i].number)
                check_document(&world, &kv, &world.listings[i]);
        }
        check_counts(&world, &kv);
        kv_mem_read_end(&kv);
        verify_clean(&world);
    }
    world_done(&world);
}

/* A cursor that stands at a number must never see it on another listing. */
static void test_numbers_are_stable_and_never_used_again(void **state)
{
    uint32_t highest = 0;
    struct world world;
    struct kv kv;

    (void)state;
    world_init(&world, 12);
    for (unsigned round = 0; round < 10; round++) {
        size_t old_count = world.count;
        uint32_t *before = calloc(old_count + 1, sizeof(*before));
        uint32_t above = highest;

        assert_non_null(before);
        for (size_t i = 0; i < old_count; i++)
            before[i] = world.listings[i].number;
        world_change(&world, 60, 40);
        if (round % 3 == 2)
            rebuild(&world);
        assert_ok(kv_mem_read_begin(world.mem, &kv));
        world_number(&world, &kv);
        for (size_t i = 0; i < world.count; i++) {
            uint32_t number = world.listings[i].number;

            if (number && i < old_count && before[i])
                assert_int_equal(number, before[i]);
            else if (number)
                assert_true(number > above);
            highest = number > highest ? number : highest;
        }
        kv_mem_read_end(&kv);
        free(before);
    }
    world_done(&world);
}

/* The counter is lost: after mending, a new listing must not get a number that is in use. */
static void test_lost_counter(void **state)
{
    struct world world;
    struct kv kv;

    (void)state;
    world_init(&world, 26);
    world_change(&world, 50, 0);
    assert_ok(kv_mem_write_begin(world.mem, &kv));
    assert_ok(kv_del(&kv, KV_META, span_of_str(CATALOGUE_META_NEXT)));
    assert_ok(kv_mem_write_commit(&kv));
    rebuild(&world);
    world_change(&world, 50, 0);
    verify_clean(&world);
    world_done(&world);
}

static struct feature_id feature_of(const struct world *world, const struct world_listing *l)
{
    struct feature_id id = {.id = l->id};

    memcpy(id.origin_prefix, world->towns[l->origin].id.bytes, sizeof(id.origin_prefix));
    return id;
}

/* Links in bookmarks: another origin's, or a deleted listing's id must lead nowhere. */
static void test_find(void **state)
{
    struct document document;
    struct feature_id id;
    struct world world;
    struct kv kv;

    (void)state;
    world_init(&world, 13);
    world_change(&world, 100, 0);
    assert_ok(kv_mem_read_begin(world.mem, &kv));
    world_number(&world, &kv);
    for (size_t i = 0; i < world.count; i++) {
        const struct world_listing *l = &world.listings[i];

        if (!l->number)
            continue;
        id = feature_of(&world, l);
        assert_ok(catalogue_find(&kv, l->collection, &id, &document));
        assert_int_equal(document.number, l->number);
        assert_err(catalogue_find(&kv, l->collection == 1 ? 2 : 1, &id, &document),
                   TORG_E_NOT_FOUND);
        memcpy(id.origin_prefix, world.towns[(l->origin + 1) % WORLD_ORIGINS].id.bytes, 8);
        assert_err(catalogue_find(&kv, l->collection, &id, &document), TORG_E_NOT_FOUND);
        memset(id.origin_prefix, 0, sizeof(id.origin_prefix));
        assert_err(catalogue_find(&kv, l->collection, &id, &document), TORG_E_NOT_FOUND);
        memset(id.origin_prefix, 0xff, sizeof(id.origin_prefix));
        assert_err(catalogue_find(&kv, l->collection, &id, &document), TORG_E_NOT_FOUND);
    }
    assert_err(catalogue_document(&kv, 1u << 30, &document), TORG_E_NOT_FOUND);
    assert_err(catalogue_shown(&kv, 1u << 30, &document), TORG_E_NOT_FOUND);
    kv_mem_read_end(&kv);
    world_done(&world);
}

/* The least id of the listings that name the source. */
static const struct world_listing *brute_source(const struct world *world, unsigned origin,
                                                uint8_t collection, unsigned source)
{
    const struct world_listing *found = NULL;

    for (size_t i = 0; i < world->count; i++) {
        const struct world_listing *l = &world->listings[i];

        if (!l->live || !l->shown || l->origin != origin || l->collection != collection ||
            l->source != source)
            continue;
        if (!found || memcmp(&l->id, &found->id, sizeof(l->id)) < 0)
            found = l;
    }
    return found;
}

/* An import that does not find what it brought the last time doubles every listing. Only the own
 * origin's sources are kept. */
static void test_sources(void **state)
{
    struct world world;
    struct kv kv;

    (void)state;
    world_init(&world, 14);
    for (unsigned round = 0; round < 4; round++) {
        world_change(&world, 200, 50);
        assert_ok(kv_mem_read_begin(world.mem, &kv));
        for (unsigned source = 1; source <= 50; source++) {
            for (unsigned n = 0; n < WORLD_ORIGINS * 8; n++) {
                unsigned origin = n % WORLD_ORIGINS;
                uint8_t collection = (uint8_t)(1 + n / WORLD_ORIGINS);
                const struct world_listing *l = brute_source(&world, origin, collection, source);
                struct listing_id id;
                char text[16];
                enum torg_err err;

                snprintf(text, sizeof(text), "%u", source);
                err = catalogue_source_find(&kv, world.origin_numbers[origin], collection,
                                            span_of_str("test"), span_of_str(text), &id);
                if (origin != WORLD_OWN)
                    l = NULL;
                assert_int_equal(err, l ? TORG_OK : TORG_E_NOT_FOUND);
                if (l)
                    assert_memory_equal(&id, &l->id, sizeof(id));
            }
        }
        kv_mem_read_end(&kv);
    }
    world_done(&world);
}

/* ---- rebuild and verify ---- */

/* Two nodes with equal roots must answer alike, however they came there. */
static void test_rebuild_is_incremental(void **state)
{
    struct buffer before = {0}, after = {0};
    struct world world;

    (void)state;
    world_init(&world, 15);
    for (unsigned round = 0; round < 4; round++) {
        world_change(&world, 300, 100);
        dump(&world, &before);
        rebuild(&world);
        dump(&world, &after);
        assert_true(span_equal(buffer_span(&before), buffer_span(&after)));
        verify_clean(&world);
    }
    buffer_done(&before);
    buffer_done(&after);
    world_done(&world);
}

/* Town 0's next charter, in the world's store, and what the index makes of it. */
static uint64_t offers_after_charter(struct world *world, uint32_t members_only)
{
    struct catalogue_writer writer = {.themes = world->themes};
    struct replica_observer observer = catalogue_observer(&writer);
    struct town_write write;
    uint64_t count;
    struct kv kv;

    world->towns[0].members_only = members_only;
    town_rotate(&world->towns[0], false);
    town_charters_write(&world->towns[0], &write);
    assert_ok(kv_mem_write_begin(world->mem, &kv));
    assert_ok(replica_apply(&kv, &write.write, &observer));
    assert_ok(catalogue_flush(&writer, &kv));
    assert_ok(catalogue_count(&kv, COLLECTION_OFFERS, world->origin_numbers[0], &count));
    assert_ok(kv_mem_write_commit(&kv));
    catalogue_writer_done(&writer);
    town_write_done(&write);
    return count;
}

/* What a charter keeps for members must be nowhere in the index, and back when it is public. */
static void test_what_is_for_members_is_not_shown(void **state)
{
    struct buffer before = {0}, after = {0};
    struct world world;
    uint64_t offers;

    (void)state;
    world_init(&world, 31);
    kv_mem_strict(world.mem, true);
    world_change(&world, 300, 100);
    offers = offers_after_charter(&world, 0);
    assert_true(offers > 0);
    assert_int_equal(offers_after_charter(&world, 1u << COLLECTION_OFFERS), 0);
    verify_clean(&world);
    dump(&world, &before);
    rebuild(&world);
    dump(&world, &after);
    assert_true(span_equal(buffer_span(&before), buffer_span(&after)));
    assert_int_equal(offers_after_charter(&world, 0), offers);
    verify_clean(&world);
    buffer_done(&before);
    buffer_done(&after);
    world_done(&world);
}

/* The spans of a store end with the next write: who keeps one reads freed memory. */
static void test_borrowed_spans(void **state)
{
    struct world world;

    (void)state;
    world_init(&world, 16);
    kv_mem_strict(world.mem, true);
    for (unsigned round = 0; round < 3; round++)
        world_change(&world, 200, 100);
    rebuild(&world);
    verify_clean(&world);
    world_done(&world);
}

/* A large load, then many small ones: trees are packed and edited by turns. */
static void test_trees_follow(void **state)
{
    struct world world;

    (void)state;
    world_init(&world, 17);
    world_change(&world, 9000, 0);
    verify_clean(&world);
    for (unsigned round = 0; round < 10; round++)
        world_change(&world, 100, 150);
    verify_clean(&world);
    world_change(&world, 2000, 3000);
    verify_clean(&world);
    world_done(&world);
}

/* Of the tree that was edited most since it was packed. */
static uint64_t edits_most(struct world *world)
{
    uint64_t most = 0;
    struct kv kv;

    assert_ok(kv_mem_read_begin(world->mem, &kv));
    for (uint8_t collection = 1; collection <= 13; collection++) {
        uint64_t edits;

        assert_ok(catalogue_count_get(&kv, CATALOGUE_COUNT_EDITS, catalogue_tree(collection, true),
                                      0, &edits));
        most = edits > most ? edits : most;
    }
    kv_mem_read_end(&kv);
    return most;
}

/* Whoever changes one listing would pay for packing them all: every so often, and nobody knows why.
 */
static void test_small_commits_pack_nothing(void **state)
{
    struct world world;

    (void)state;
    world_init(&world, 23);
    for (unsigned round = 0; round < 600 && edits_most(&world) < 1200; round++)
        world_change(&world, 40, 0);
    assert_true(edits_most(&world) >= 1200);
    world_change(&world, 1500, 0); /* 1,024 are reached, and an eighth of what there is. */
    assert_true(edits_most(&world) < 1100);
    verify_clean(&world);
    world_done(&world);
}

static void overwrite(struct world *world, enum kv_table table, struct span key, struct span value)
{
    struct kv kv;

    assert_ok(kv_mem_write_begin(world->mem, &kv));
    if (value.data)
        assert_ok(kv_put(&kv, table, key, value));
    else
        assert_ok(kv_del(&kv, table, key));
    assert_ok(kv_mem_write_commit(&kv));
}

/* The n-th entry of a table, copied. */
static void nth_entry(struct world *world, enum kv_table table, size_t n, struct buffer *key,
                      struct buffer *value)
{
    struct span key_span, value_span;
    struct kv_cursor *cursor;
    struct kv kv;

    assert_ok(kv_mem_read_begin(world->mem, &kv));
    assert_ok(kv_cursor_open(&kv, table, &cursor));
    assert_ok(kv_cursor_seek(&kv, cursor, span_of("", 1), &key_span, &value_span));
    while (n-- > 0)
        assert_ok(kv_cursor_next(&kv, cursor, &key_span, &value_span));
    buffer_clear(key);
    buffer_clear(value);
    buffer_put_span(key, key_span);
    buffer_put_span(value, value_span);
    kv_cursor_close(&kv, cursor);
    kv_mem_read_end(&kv);
}

static void expect_found_and_mended(struct world *world, const char *what, enum kv_table table)
{
    struct reports reports = verify(world);

    if (reports.count == 0)
        fail_msg("table %d: %s was not found", (int)table, what);
    rebuild(world);
    reports = verify(world);
    if (reports.count)
        fail_msg("table %d: %s was not mended: %s", (int)table, what, reports.first);
}

static void plant_in_table(struct world *world, enum kv_table table)
{
    struct buffer key = {0}, value = {0};

    for (size_t n = 0; n < 40; n += 13) {
        nth_entry(world, table, n, &key, &value);
        if (table == KV_COUNT && key.data[0] == CATALOGUE_COUNT_EDITS)
            continue;
        overwrite(world, table, buffer_span(&key), (struct span){0});
        expect_found_and_mended(world, "a missing entry", table);
        nth_entry(world, table, n, &key, &value);
        if (table == KV_COUNT && key.data[0] == CATALOGUE_COUNT_EDITS)
            continue;
        if (value.size) {
            value.data[value.size - 1] ^= 1;
            overwrite(world, table, buffer_span(&key), buffer_span(&value));
            expect_found_and_mended(world, "a changed entry", table);
        }
        nth_entry(world, table, n, &key, &value);
        key.data[key.size - 1] ^= 0x55;
        overwrite(world, table, buffer_span(&key),
                  span_of(value.size ? value.data : key.data, value.size));
        expect_found_and_mended(world, "a surplus entry", table);
    }
    buffer_done(&key);
    buffer_done(&value);
}

/* Damage that verify does not see is served until somebody complains. */
static void test_verify_finds_damage(void **state)
{
    static const enum kv_table tables[] = {KV_DOCUMENT, KV_DOCNUMBER, KV_TEXT, KV_COUNT, KV_SOURCE};
    struct world world;

    (void)state;
    world_init(&world, 18);
    world_change(&world, 700, 50); /* so many that each table has 40 entries */
    verify_clean(&world);
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
        plant_in_table(&world, tables[i]);
    world_done(&world);
}

static struct rtree_item some_item(struct world *world, struct kv *kv)
{
    for (size_t i = 0; i < world->count; i++) {
        const struct world_listing *l = &world->listings[i];
        struct catalogue_row row;

        if (!l->number || !l->placed || l->collection != COLLECTION_OFFERS)
            continue;
        assert_ok(catalogue_row_get(kv, l->collection, true, l->number, &row));
        return catalogue_row_item(&row);
    }
    fail_msg("no listing with a place");
    return (struct rtree_item){0};
}

/* A tree that lost a listing, has one too many, or another one's place. */
static void test_verify_finds_damaged_trees(void **state)
{
    struct world world;

    (void)state;
    world_init(&world, 19);
    world_change(&world, 300, 50);
    for (unsigned damage = 0; damage < 4; damage++) {
        struct rtree tree = {.collection = COLLECTION_OFFERS};
        struct rtree_item item;
        struct kv kv;

        assert_ok(kv_mem_write_begin(world.mem, &kv));
        world_number(&world, &kv);
        item = some_item(&world, &kv);
        tree.kv = &kv;
        if (damage != 1)
            assert_ok(rtree_remove(&tree, &item));
        if (damage == 1)
            item.document = 1u << 30;
        if (damage == 2)
            item.point.lon_e7 = item.min.lon_e7 = item.max.lon_e7 = item.min.lon_e7 / 2;
        if (damage == 3)
            item.time_from_ms = 4711;
        if (damage != 0)
            assert_ok(rtree_insert(&tree, &item));
        assert_ok(kv_mem_write_commit(&kv));
        expect_found_and_mended(&world, "a damaged tree", KV_RTREE);
    }
    world_done(&world);
}

/* ---- single listings ---- */

/* One listing of town 0, as it is and with its header as a signer could make it. */
static enum torg_err commit_one(struct world *world, struct catalogue_writer *writer, struct kv *kv,
                                const struct world_listing *l, uint64_t nonce)
{
    struct replica_observer observer = catalogue_observer(writer);
    struct buffer payload = {0}, head = {0};
    struct local_change change = {.collection = l->collection, .id = l->id};
    enum torg_err err;

    if (l->live)
        world_payload(l, nonce, &payload);
    change.payload = buffer_span(&payload);
    err = replica_commit_local(kv, &world->towns[0].id, &world->towns[0].signer, &change, 1,
                               world->now_ms, &observer, &head);
    buffer_done(&payload);
    buffer_done(&head);
    return err;
}

static struct world_listing plain_listing(void)
{
    return (struct world_listing){
        .live = true,
        .shown = true,
        .collection = COLLECTION_OFFERS,
        .id = {{7}},
        .placed = true,
        .a = {202630000, 638258000},
        .theme_count = 1,
        .themes = {"food/cafe"},
    };
}

/* A writer that makes one commit of several jobs sees a listing come, move and go in it. */
static void test_many_changes_in_one_transaction(void **state)
{
    struct catalogue_writer writer = {0};
    struct world_listing l = plain_listing();
    struct world world;
    struct kv kv;
    uint64_t count;

    (void)state;
    world_init(&world, 20);
    writer.themes = world.themes;
    for (unsigned round = 0; round < 2; round++) {
        assert_ok(kv_mem_write_begin(world.mem, &kv));
        l.live = true;
        for (unsigned i = 0; i < 6; i++) {
            l.a.lon_e7 += 1000000;
            l.placed = i % 3 != 1;
            assert_ok(commit_one(&world, &writer, &kv, &l, i));
        }
        l.live = round > 0;
        assert_ok(commit_one(&world, &writer, &kv, &l, 9));
        assert_ok(catalogue_flush(&writer, &kv));
        assert_ok(catalogue_count(&kv, l.collection, 0, &count));
        assert_int_equal(count, round);
        assert_ok(kv_mem_write_commit(&kv));
        catalogue_writer_done(&writer);
        verify_clean(&world);
    }
    world_done(&world);
}

/* What an aborted transaction left in memory must not reach the next one. */
static void test_abort(void **state)
{
    struct catalogue_writer writer = {0};
    struct world_listing l = plain_listing();
    struct world world;
    struct kv kv;

    (void)state;
    world_init(&world, 21);
    writer.themes = world.themes;
    assert_ok(kv_mem_write_begin(world.mem, &kv));
    assert_ok(commit_one(&world, &writer, &kv, &l, 1));
    kv_mem_write_abort(&kv);
    catalogue_writer_done(&writer);
    assert_ok(kv_mem_write_begin(world.mem, &kv));
    l.id.bytes[0] = 8;
    assert_ok(commit_one(&world, &writer, &kv, &l, 1));
    assert_ok(catalogue_flush(&writer, &kv));
    assert_ok(kv_mem_write_commit(&kv));
    catalogue_writer_done(&writer);
    verify_clean(&world);
    world_done(&world);
}

static enum torg_err shown(struct world *world, uint8_t flags, uint64_t schema, struct span body)
{
    static const uint8_t nonce[16];
    struct catalogue_writer writer = {.themes = world->themes};
    struct replica_observer observer = catalogue_observer(&writer);
    struct replica_entry entry = {0};
    struct replica_origin origin;
    struct buffer payload = {0};
    struct document document;
    struct feature_id id = {.id = {{9}}};
    struct kv kv;
    enum torg_err err;

    payload_pack(nonce, schema, body, &payload);
    entry.payload = buffer_span(&payload);
    entry.header.op = CHANGE_UPSERT;
    entry.header.collection = COLLECTION_OFFERS;
    entry.header.flags = flags;
    entry.header.id = id.id;
    entry.key = listing_key_of(&id.id);
    memcpy(id.origin_prefix, world->towns[0].id.bytes, sizeof(id.origin_prefix));
    assert_ok(kv_mem_write_begin(world->mem, &kv));
    assert_ok(replica_origin_get(&kv, &world->towns[0].id, &origin));
    assert_ok(
        observer.changed(observer.context, &kv, &origin, COLLECTION_OFFERS, &entry.key, &entry));
    assert_ok(catalogue_flush(&writer, &kv));
    err = catalogue_find(&kv, COLLECTION_OFFERS, &id, &document);
    kv_mem_write_abort(&kv);
    catalogue_writer_done(&writer);
    buffer_done(&payload);
    return err;
}

static void put_plain_body(struct buffer *out, const char *name)
{
    pack_map(out, 2);
    pack_str(out, span_of_str("name"));
    if (name) {
        pack_map(out, 1);
        pack_str(out, span_of_str("sv"));
        pack_str(out, span_of_str(name));
    } else {
        pack_int(out, 5);
    }
    pack_str(out, span_of_str("themes"));
    pack_array(out, 1);
    pack_str(out, span_of_str("food"));
}

/* A later version's listings: shown as well as this one can, unless they forbid it. */
static void test_what_is_shown(void **state)
{
    struct buffer good = {0}, bad = {0}, moved = {0};
    uint8_t reference[24] = {1};
    struct world world;

    (void)state;
    world_init(&world, 22);
    put_plain_body(&good, "Kaffe");
    put_plain_body(&bad, NULL);
    pack_map(&moved, 1);
    pack_str(&moved, span_of_str("movedTo"));
    pack_bin(&moved, reference, sizeof(reference));
    assert_ok(shown(&world, 0, 1, buffer_span(&good)));
    assert_ok(shown(&world, CHANGE_FLAG_CRITICAL, 1, buffer_span(&good)));
    assert_ok(shown(&world, 0, 2, buffer_span(&good)));
    assert_ok(shown(&world, 0xfe, 2, buffer_span(&good)));
    assert_err(shown(&world, CHANGE_FLAG_CRITICAL, 2, buffer_span(&good)), TORG_E_NOT_FOUND);
    assert_err(shown(&world, 0, 1, buffer_span(&bad)), TORG_E_NOT_FOUND);
    assert_err(shown(&world, 0, 1, buffer_span(&moved)), TORG_E_NOT_FOUND);
    buffer_done(&good);
    buffer_done(&bad);
    buffer_done(&moved);
    world_done(&world);
}

/* A relay that lacks a payload sends none: the document comes with it, later. */
static void test_missing_payload(void **state)
{
    struct catalogue_writer writer = {0};
    struct replica_observer observer = catalogue_observer(&writer);
    struct world_listing l = plain_listing();
    struct buffer payload = {0};
    struct local_change change = {.collection = l.collection, .id = l.id};
    struct world world;
    struct town *town = &world.towns[0];
    struct town_write write;
    struct span whole;
    struct kv_mem *node;
    struct kv kv, own;
    uint64_t count;

    (void)state;
    world_init(&world, 23);
    writer.themes = world.themes;
    world_payload(&l, 1, &payload);
    change.payload = buffer_span(&payload);
    assert_ok(town_commit(town, &change, 1));
    assert_ok(kv_mem_new(&node));
    town_charters_write(town, &write);
    assert_ok(town_apply(node, &write.write, NULL));
    town_write_done(&write);

    assert_ok(kv_mem_read_begin(town->mem, &own));
    town_delta(town, &own, 0, COLLECTION_MASK_ALL, &write);
    kv_mem_read_end(&own);
    whole = write.entries[0].payload;
    for (unsigned step = 0; step < 2; step++) {
        assert_ok(kv_mem_write_begin(node, &kv));
        write.entries[0].payload = step ? whole : (struct span){0};
        write.write.kind = step ? REPLICA_WRITE_PAYLOADS : REPLICA_WRITE_COMMIT;
        assert_ok(replica_apply(&kv, &write.write, &observer));
        assert_ok(catalogue_flush(&writer, &kv));
        assert_ok(catalogue_count(&kv, l.collection, 0, &count));
        assert_int_equal(count, step);
        assert_ok(kv_mem_write_commit(&kv));
        catalogue_writer_done(&writer);
    }
    town_write_done(&write);
    buffer_done(&payload);
    kv_mem_free(node);
    world_done(&world);
}

/* An index made by another version, or with another taxonomy, answers wrongly and says nothing. */
static void test_check(void **state)
{
    static const char other[] =
        "{\"version\":9,\"themes\":[{\"slug\":\"other\",\"bit\":0,\"names\":{\"sv\":\"A\"}},"
        "{\"slug\":\"food\",\"bit\":7,\"names\":{\"sv\":\"B\"}}]}";
    struct theme_tree *themes;
    char message[200];
    struct world world;
    struct kv kv;

    (void)state;
    world_init(&world, 24);
    assert_ok(theme_tree_parse(span_of_str(other), &themes, message, sizeof(message)));
    assert_ok(kv_mem_read_begin(world.mem, &kv));
    assert_err(catalogue_check(&kv, world.themes), TORG_E_STALE); /* Origins, and no index. */
    kv_mem_read_end(&kv);
    world_change(&world, 30, 0);
    assert_ok(kv_mem_write_begin(world.mem, &kv));
    assert_ok(catalogue_check(&kv, world.themes));
    assert_err(catalogue_check(&kv, themes), TORG_E_STALE);
    assert_ok(catalogue_rebuild(&kv, themes, NULL, NULL));
    assert_ok(catalogue_check(&kv, themes));
    assert_err(catalogue_check(&kv, world.themes), TORG_E_STALE);
    kv_mem_write_abort(&kv);
    theme_tree_free(themes);
    world_done(&world);
}

/* An error of the store in the middle of a listing must come back, not be taken for "not shown". */
static void test_failing_store(void **state)
{
    struct catalogue_writer writer = {0};
    struct world_listing l = plain_listing();
    struct world world;
    uint64_t operations;
    struct kv kv;

    (void)state;
    world_init(&world, 25);
    world_change(&world, 40, 0);
    writer.themes = world.themes;
    l.source = 3;
    operations = kv_mem_operations(world.mem);
    assert_ok(kv_mem_write_begin(world.mem, &kv));
    assert_ok(commit_one(&world, &writer, &kv, &l, 1));
    assert_ok(catalogue_flush(&writer, &kv));
    kv_mem_write_abort(&kv);
    catalogue_writer_done(&writer);
    operations = kv_mem_operations(world.mem) - operations;
    for (uint64_t after = 0; after < operations; after++) {
        enum torg_err err;

        assert_ok(kv_mem_write_begin(world.mem, &kv));
        kv_mem_fail_after(world.mem, after, TORG_E_FULL);
        err = commit_one(&world, &writer, &kv, &l, 1);
        if (!err)
            err = catalogue_flush(&writer, &kv);
        assert_int_equal(err, TORG_E_FULL);
        kv_mem_write_abort(&kv);
        catalogue_writer_done(&writer);
    }
    kv_mem_fail_after(world.mem, 0, TORG_OK);
    verify_clean(&world);
    world_done(&world);
}

static int setup(void **state)
{
    (void)state;
    return seal_init() ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_numbers_are_stable_and_never_used_again),
        cmocka_unit_test(test_lost_counter),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_sources),
        cmocka_unit_test(test_rebuild_is_incremental),
        cmocka_unit_test(test_what_is_for_members_is_not_shown),
        cmocka_unit_test(test_borrowed_spans),
        cmocka_unit_test(test_trees_follow),
        cmocka_unit_test(test_small_commits_pack_nothing),
        cmocka_unit_test(test_verify_finds_damage),
        cmocka_unit_test(test_verify_finds_damaged_trees),
        cmocka_unit_test(test_many_changes_in_one_transaction),
        cmocka_unit_test(test_abort),
        cmocka_unit_test(test_what_is_shown),
        cmocka_unit_test(test_missing_payload),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_failing_store),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/world.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index/geo.h"
#include "index/settings.h"
#include "index/shape_distance.h"
#include "protocol/num.h"
#include "protocol/profile.h"
#include "tests/support/shape_brute.h"
#include "tests/support/test.h"

#define MUST(expression) must((expression), #expression)
#define DAY_MS INT64_C(86400000)

static void must(enum torg_err err, const char *what)
{
    if (!err)
        return;
    fprintf(stderr, "%s: %s\n", what, torg_err_text(err));
    abort();
}

const struct world_name world_names[] = {
    {"Åkes Café", "akes cafe"},
    {"Café Ågrenska", "cafe agrenska"},
    {"Fiske i Hornavan", "fiske i hornavan"},
    {"FISKEKORT  Uddjaure", "fiskekort uddjaure"},
    {"Bjästa bageri", "bjasta bageri"},
    {"Sörmjöle bad", "sormjole bad"},
    {"Umeå öppna förskola", "umea oppna forskola"},
    {"Straße 7", "strasse 7"},
};
const size_t world_name_count = ARRAY_SIZE(world_names);

static const char *const searches[] = {"cafe", "CAFÉ",         "fiske",   "a",          "förskola",
                                       "ö",    "nothing such", "strasse", "UMEÅ  öppna"};
static_assert(ARRAY_SIZE(searches) == WORLD_TEXTS, "a place for each text");

/* Known ones of three levels and unknown ones, also below known ones. */
static const char *const slugs[] = {
    "food",
    "food/cafe",
    "food/bakery",
    "nature",
    "nature/fishing",
    "nature/fishing/xyzzy-pond",
    "competence",
    "competence/e-commerce",
    "other",
    "xyzzy",
    "xyzzy/deep/deeper",
    "food/xyzzy",
    "food/cafe/xyzzy",
};
static const char *const municipalities[] = {"2480", "2284", "2506"};
static const char *const areas[] = {"Västerbotten", "Norrbotten", NULL};
static const char *const askers[] = {"company", "municipality", "association", NULL};

bool world_strays(const char *slug)
{
    return strncmp(slug, "xyzzy", 5) == 0;
}

static uint64_t below(struct world *world, uint64_t limit)
{
    return test_random_below(&world->random, limit);
}

static bool chance(struct world *world, unsigned percent)
{
    return below(world, 100) < percent;
}

/* ---- the body ---- */

static void put_text(struct buffer *out, const char *key, const char *text)
{
    pack_str(out, span_of_str(key));
    pack_str(out, span_of_str(text));
}

static void put_int(struct buffer *out, const char *key, int64_t value)
{
    pack_str(out, span_of_str(key));
    pack_int(out, value);
}

static void put_local(struct buffer *out, const char *key, int64_t ms)
{
    struct buffer text = {0};

    num_put_time(&text, ms);
    pack_str(out, span_of_str(key));
    pack_array(out, 2);
    pack_str(out, span_of(text.data, text.size - 1)); /* without the Z */
    pack_str(out, span_of_str("UTC"));
    buffer_done(&text);
}

static void put_position(struct buffer *out, struct position position)
{
    pack_array(out, 2);
    pack_int(out, position.lon_e7);
    pack_int(out, position.lat_e7);
}

/* The corners of a listing's line or triangle; how many. */
static unsigned corners(const struct world_listing *l, struct position ret[4])
{
    ret[0] = l->a;
    ret[1] = l->b;
    ret[2] = (struct position){.lon_e7 = l->a.lon_e7, .lat_e7 = l->b.lat_e7};
    ret[3] = l->a;
    return l->filled ? 4 : l->line ? 2 : 1;
}

static void put_geometry(struct buffer *out, const struct world_listing *l)
{
    struct position positions[4];
    unsigned count = corners(l, positions);

    pack_str(out, span_of_str("geometry"));
    pack_array(out, 2);
    pack_str(out, span_of_str(l->filled ? "Polygon" : l->line ? "LineString" : "Point"));
    if (l->filled)
        pack_array(out, 1);
    if (l->line)
        pack_array(out, count);
    for (unsigned i = 0; i < count; i++)
        put_position(out, positions[i]);
}

/* Built without the payload, so that reading it is compared as well. */
static void world_shape(const struct world_listing *l, struct shape *shape)
{
    struct position positions[4];
    unsigned count = corners(l, positions);

    shape_begin(shape, listing_shape_find(span_of_str(l->filled ? "Polygon"
                                                      : l->line ? "LineString"
                                                                : "Point")));
    MUST(shape_path_begin(shape, false));
    for (unsigned i = 0; i < count; i++)
        MUST(shape_add(shape, positions[i]));
    MUST(shape_path_end(shape));
}

static void put_name(struct buffer *out, const struct world_listing *l)
{
    pack_str(out, span_of_str("name"));
    pack_map(out, l->name_en ? 2 : 1);
    if (l->name_en)
        put_text(out, "en", world_names[l->name_en].text);
    put_text(out, "sv", world_names[l->name].text);
}

static void put_themes(struct buffer *out, const struct world_listing *l)
{
    pack_str(out, span_of_str("themes"));
    pack_array(out, l->theme_count);
    for (unsigned i = 0; i < l->theme_count; i++)
        pack_str(out, span_of_str(l->themes[i]));
}

struct feature_id world_network(unsigned i)
{
    struct feature_id id = {{0}};

    memset(id.origin_prefix, 0x80 + (int)i, sizeof(id.origin_prefix));
    memset(id.id.bytes, 0x40 + (int)i, sizeof(id.id.bytes));
    return id;
}

static void put_networks(struct buffer *out, const struct world_listing *l)
{
    pack_str(out, span_of_str("networks"));
    pack_array(out, (uint32_t)__builtin_popcount(l->networks));
    for (unsigned i = 0; i < WORLD_NETWORKS; i++) {
        struct feature_id network = world_network(i);
        uint8_t reference[LISTING_REFERENCE_SIZE];

        if (!(l->networks >> i & 1))
            continue;
        memcpy(reference, network.origin_prefix, 8);
        memcpy(reference + 8, network.id.bytes, 16);
        pack_bin(out, reference, sizeof(reference));
    }
}

static void put_source(struct buffer *out, const struct world_listing *l)
{
    char id[16];

    snprintf(id, sizeof(id), "%u", l->source);
    pack_str(out, span_of_str("identifiers"));
    pack_map(out, 1);
    pack_str(out, span_of_str("source"));
    pack_array(out, 2);
    pack_str(out, span_of_str("test"));
    pack_str(out, span_of_str(id));
}

static void put_moved(struct buffer *out)
{
    uint8_t reference[24] = {1};

    pack_map(out, 1);
    pack_str(out, span_of_str("movedTo"));
    pack_bin(out, reference, sizeof(reference));
}

static uint32_t body_fields(const struct world_listing *l)
{
    return 4 + (l->area != NULL) + (l->asker != NULL) + l->has_end + l->placed + (l->source > 0) +
           (l->municipality != NULL) + (l->networks > 0) + (l->people > 0) + l->has_start +
           l->has_from + l->has_through + l->reach.serves + (l->reach.stop_count > 0) +
           (l->hours > 0);
}

/* Keys ascend, as the profile demands. */
static void put_body(struct buffer *out, const struct world_listing *l)
{
    pack_map(out, body_fields(l));
    if (l->area)
        put_text(out, "area", l->area);
    if (l->asker)
        put_text(out, "asker", l->asker);
    put_int(out, "created", 1700000000000);
    if (l->has_end)
        put_local(out, "end", l->end_ms);
    if (l->placed)
        put_geometry(out, l);
    if (l->source)
        put_source(out, l);
    world_reach_put_itinerary(out, &l->reach);
    put_int(out, "modified", l->changed_ms);
    if (l->municipality)
        put_text(out, "municipality", l->municipality);
    put_name(out, l);
    if (l->networks)
        put_networks(out, l);
    world_hours_put(out, l->hours);
    if (l->people)
        put_int(out, "people", l->people);
    world_reach_put_serves(out, &l->reach);
    if (l->has_start)
        put_local(out, "start", l->start_ms);
    put_themes(out, l);
    if (l->has_from)
        put_int(out, "validFrom", l->from_ms);
    if (l->has_through)
        put_int(out, "validThrough", l->through_ms);
}

static bool public_collection(uint8_t collection)
{
    return COLLECTION_MASK_PUBLIC >> collection & 1;
}

void world_payload(const struct world_listing *listing, uint64_t nonce, struct buffer *out)
{
    bool moved = !listing->shown && public_collection(listing->collection);
    struct buffer body = {0};
    uint8_t nonce_bytes[16] = {0};

    put_u64be(nonce_bytes, nonce);
    if (moved)
        put_moved(&body);
    else
        put_body(&body, listing);
    MUST(body.err);
    payload_pack(nonce_bytes, PAYLOAD_SCHEMA, buffer_span(&body), out);
    MUST(out->err);
    buffer_done(&body);
}

/* ---- random listings ---- */

static struct position random_position(struct world *world)
{
    static const struct position hubs[] = {
        {202630000, 638258000},   {179000000, 660500000}, {1799990000, 600000000},
        {-1799990000, 600000000}, {100000000, 899990000}, {-700000000, -899990000},
    };
    struct position at = hubs[below(world, ARRAY_SIZE(hubs))];
    int64_t lon = at.lon_e7 + (int64_t)below(world, 20000000) - 10000000;
    int64_t lat = at.lat_e7 + (int64_t)below(world, 10000000) - 5000000;

    if (chance(world, 10)) /* Many at one place. */
        return at;
    if (lon > 1800000000)
        lon -= 3600000000;
    if (lon < -1800000000)
        lon += 3600000000;
    if (lat > 900000000 || lat < -900000000)
        lat = at.lat_e7;
    return (struct position){(int32_t)lon, (int32_t)lat};
}

static int64_t random_time(struct world *world)
{
    int64_t offset_ms = ((int64_t)below(world, 20 * 24) - 10 * 24) * 3600000;

    return (world->now_ms + offset_ms) / 1000 * 1000;
}

static void random_times(struct world *world, struct world_listing *l)
{
    bool happens = l->collection == COLLECTION_EVENTS || l->collection == COLLECTION_COURSES;

    l->has_from = chance(world, happens ? 20 : 40) && !(happens && world->regular);
    l->has_through = chance(world, happens ? 20 : 40) && !(happens && world->regular);
    l->from_ms = random_time(world);
    l->through_ms = random_time(world);
    if (l->through_ms < l->from_ms) {
        int64_t swap = l->from_ms;

        l->from_ms = l->through_ms;
        l->through_ms = swap;
    }
    l->has_start = happens && chance(world, 80);
    l->has_end = l->has_start && chance(world, 70);
    l->start_ms = random_time(world);
    l->end_ms = l->start_ms + (int64_t)below(world, 5 * 24) * 3600000;
}

/* Small and large, some over much of the world. */
static struct world_place random_stop(struct world *world)
{
    static const int64_t sizes_e7[] = {1000, 1000000, 30000000, 300000000};
    int64_t size_e7 = sizes_e7[below(world, ARRAY_SIZE(sizes_e7))];
    struct world_place place = {.a = random_position(world), .filled = chance(world, 60)};
    int64_t lon = place.a.lon_e7 + (int64_t)below(world, (uint64_t)size_e7) - size_e7 / 2;
    int64_t lat = place.a.lat_e7 + (int64_t)below(world, (uint64_t)size_e7) - size_e7 / 2;

    place.b.lon_e7 = (int32_t)(lon > 1800000000    ? 1800000000
                               : lon < -1800000000 ? -1800000000
                                                   : lon);
    place.b.lat_e7 = (int32_t)(lat > 900000000 ? 900000000 : lat < -900000000 ? -900000000 : lat);
    place.from_ms = random_time(world);
    place.through_ms = place.from_ms + (int64_t)below(world, 5) * DAY_MS;
    return place;
}

static void swap_random(struct world *world)
{
    uint64_t kept = world->random;

    world->random = world->random_reach;
    world->random_reach = kept;
}

static void random_reach(struct world *world, struct world_listing *l)
{
    swap_random(world);
    l->reach = (struct world_reach){.serves = chance(world, 20)};
    if (l->reach.serves)
        l->reach.served = random_stop(world);
    l->reach.stop_count = chance(world, 20) ? 1 + (unsigned)below(world, WORLD_STOPS_MAX) : 0;
    for (unsigned i = 0; i < l->reach.stop_count; i++)
        l->reach.stops[i] = random_stop(world);
    l->hours = chance(world, 60) ? (unsigned)below(world, WORLD_HOURS) : 0;
    swap_random(world);
}

static void random_content(struct world *world, struct world_listing *l)
{
    l->live = true;
    l->shown = public_collection(l->collection) && chance(world, 95);
    l->placed = chance(world, 75);
    l->line = chance(world, 20);
    l->filled = l->line && chance(world, 50);
    l->a = random_position(world);
    l->b = random_position(world);
    if (llabs((long long)l->a.lon_e7 - l->b.lon_e7) > 100000000)
        l->line = l->filled = false; /* Not around the world. */
    l->theme_count = 1 + (unsigned)below(world, WORLD_THEMES_MAX);
    for (unsigned i = 0; i < l->theme_count; i++) {
        l->themes[i] = slugs[below(world, ARRAY_SIZE(slugs))];
        if (world->known && world_strays(l->themes[i]))
            l->themes[i] = THEME_OTHER;
    }
    random_times(world, l);
    l->name = (unsigned)below(world, world_name_count);
    l->name_en = chance(world, 30) ? 1 + (unsigned)below(world, world_name_count - 1) : 0;
    l->municipality = chance(world, 80) ? municipalities[below(world, 3)] : NULL;
    l->area = areas[below(world, ARRAY_SIZE(areas))];
    l->asker = l->collection == COLLECTION_NEEDS ? askers[below(world, ARRAY_SIZE(askers))] : NULL;
    l->people = l->collection == COLLECTION_NEEDS ? (unsigned)below(world, 4) : 0;
    l->changed_ms = 1700000000000 + (int64_t)below(world, 3) * 20 * DAY_MS;
    l->networks = chance(world, 30) ? 1 + (unsigned)below(world, 7) : 0;
    l->source = chance(world, 30) ? 1 + (unsigned)below(world, 50) : 0;
    random_reach(world, l);
}

static struct world_listing *listing_new(struct world *world)
{
    static const uint8_t collections[] = {1, 2, 2, 2, 3, 3, 4, 5, 6, 6, 7, 8, 13, 9};
    struct world_listing *l;

    if (world->count == world->capacity) {
        world->capacity = world->capacity ? 2 * world->capacity : 64;
        world->listings = realloc(world->listings, world->capacity * sizeof(*world->listings));
        if (!world->listings)
            abort();
    }
    l = &world->listings[world->count++];
    *l = (struct world_listing){0};
    l->collection = collections[below(world, ARRAY_SIZE(collections))];
    l->origin = (unsigned)below(world, WORLD_ORIGINS);
    put_u64be(l->id.bytes, test_random(&world->random));
    put_u64be(l->id.bytes + 8, test_random(&world->random));
    return l;
}

/* ---- changes ---- */

static struct catalogue_writer writer_of(const struct world *world)
{
    return (struct catalogue_writer){.themes = world->themes};
}

static void write_begin(const struct world *world, struct kv *kv)
{
    MUST(world->store ? store_write_begin(world->store, kv) : kv_mem_write_begin(world->mem, kv));
}

static void write_commit(const struct world *world, struct kv *kv)
{
    MUST(world->store ? store_write_commit(kv) : kv_mem_write_commit(kv));
}

void world_read_begin(const struct world *world, struct kv *ret_kv)
{
    MUST(world->store ? store_read_begin(world->store, ret_kv)
                      : kv_mem_read_begin(world->mem, ret_kv));
}

void world_read_end(const struct world *world, struct kv *kv)
{
    if (world->store)
        store_read_end(kv);
    else
        kv_mem_read_end(kv);
}

static void world_begin(struct world *world)
{
    MUST(theme_tree_builtin(&world->themes));
    for (unsigned i = 0; i < WORLD_ORIGINS; i++) {
        struct town_write write;
        struct replica_origin origin;
        struct kv kv;

        town_init(&world->towns[i], 1000 + i);
        town_charters_write(&world->towns[i], &write);
        write_begin(world, &kv);
        MUST(replica_apply(&kv, &write.write, NULL));
        if (i == WORLD_OWN)
            MUST(settings_own_set(&kv, &world->towns[i].id));
        write_commit(world, &kv);
        town_write_done(&write);
        world_read_begin(world, &kv);
        MUST(replica_origin_get(&kv, &world->towns[i].id, &origin));
        world->origin_numbers[i] = origin.number;
        world_read_end(world, &kv);
    }
}

void world_init(struct world *world, uint64_t seed)
{
    *world = (struct world){.random = seed, .random_reach = ~seed, .now_ms = 1790000000000};
    MUST(kv_mem_new(&world->mem));
    world_begin(world);
}

void world_init_on_disk(struct world *world, uint64_t seed, const char *directory)
{
    struct store_options options = store_options_default();

    *world = (struct world){.random = seed, .random_reach = ~seed, .now_ms = 1790000000000};
    MUST(store_open(directory, &options, &world->store));
    world_begin(world);
}

void world_regions_done(struct world *world)
{
    for (unsigned i = 0; i < WORLD_REGIONS; i++) {
        shape_region_free(world->regions[i].region);
        shape_done(&world->regions[i].shape);
        world->regions[i] = (struct world_region){.region = NULL};
    }
}

void world_done(struct world *world)
{
    for (unsigned i = 0; i < WORLD_ORIGINS; i++)
        town_done(&world->towns[i]);
    world_regions_done(world);
    world_texts_done(world);
    kv_mem_free(world->mem);
    store_close(world->store);
    theme_tree_free(world->themes);
    free(world->listings);
    *world = (struct world){0};
}

/* The changes of one origin, committed when they are many. */
struct batch {
    struct local_change changes[COMMIT_CHANGES_MAX];
    struct buffer payloads[COMMIT_CHANGES_MAX];
    size_t count;
};

static void batch_commit(struct world *world, unsigned origin, struct batch *batch, struct kv *kv,
                         struct catalogue_writer *writer)
{
    struct replica_observer observer = catalogue_observer(writer);
    struct town *town = &world->towns[origin];
    struct buffer head = {0};

    MUST(replica_commit_local(kv, &town->id, &town->signer, batch->changes, batch->count,
                              world->now_ms, &observer, &head));
    for (size_t i = 0; i < batch->count; i++)
        buffer_done(&batch->payloads[i]);
    batch->count = 0;
    buffer_done(&head);
}

static void batch_add(struct world *world, const struct world_listing *l, struct batch *batch)
{
    size_t i = batch->count++;

    batch->payloads[i] = (struct buffer){0};
    if (l->live)
        world_payload(l, test_random(&world->random), &batch->payloads[i]);
    batch->changes[i] = (struct local_change){
        .collection = l->collection,
        .id = l->id,
        .payload = buffer_span(&batch->payloads[i]),
    };
}

/* In any one commit a listing may change once: touched ones are marked by number 1. */
void world_change(struct world *world, size_t upserts, size_t deletes)
{
    struct batch *batches = calloc(WORLD_ORIGINS, sizeof(*batches));
    struct catalogue_writer writer = writer_of(world);
    struct kv kv;

    if (!batches)
        abort();
    for (size_t i = 0; i < world->count; i++)
        world->listings[i].number = 0;
    write_begin(world, &kv);
    for (size_t i = 0; i < upserts + deletes; i++) {
        bool old = world->count > 0 && (i >= upserts || chance(world, 30));
        struct world_listing *l =
            old ? &world->listings[below(world, world->count)] : listing_new(world);

        if (l->number)
            continue;
        l->number = 1;
        if (i < upserts)
            random_content(world, l);
        else
            l->live = false;
        batch_add(world, l, &batches[l->origin]);
        if (batches[l->origin].count == COMMIT_CHANGES_MAX)
            batch_commit(world, l->origin, &batches[l->origin], &kv, &writer);
    }
    for (unsigned o = 0; o < WORLD_ORIGINS; o++)
        batch_commit(world, o, &batches[o], &kv, &writer);
    MUST(catalogue_flush(&writer, &kv));
    write_commit(world, &kv);
    catalogue_writer_done(&writer);
    free(batches);
}

void world_texts_done(struct world *world)
{
    for (unsigned i = 0; i < WORLD_TEXTS; i++) {
        text_query_free(world->texts[i]);
        world->texts[i] = NULL;
    }
}

size_t world_number(struct world *world, const struct kv *kv)
{
    size_t count = 0;

    world_texts_done(world);
    world->kv = *kv;

    for (size_t i = 0; i < world->count; i++) {
        struct world_listing *l = &world->listings[i];
        struct feature_id id = {.id = l->id};
        struct document document;
        enum torg_err err;

        memcpy(id.origin_prefix, world->towns[l->origin].id.bytes, sizeof(id.origin_prefix));
        err = catalogue_find(kv, l->collection, &id, &document);
        if (err && err != TORG_E_NOT_FOUND)
            must(err, "catalogue_find");
        l->number = err ? 0 : document.number;
        if (!err != (l->live && l->shown))
            must(TORG_E_CORRUPT, "a document for each listing that is shown");
        count += !err;
    }
    return count;
}

/* ---- questions ---- */

static void random_place(struct world *world, struct query *query)
{
    static const double radii[] = {0, 10, 1000, 20000, 60000, 500000, 3e6, 2e7, INFINITY};
    struct position at = random_position(world);
    struct position to = random_position(world);

    query->has_near = chance(world, 40);
    query->near = geo_point_of(at);
    query->radius_m = radii[below(world, ARRAY_SIZE(radii))];
    query->has_box = chance(world, query->has_near ? 20 : 40);
    query->box = (struct geo_box){-180, -90, 180, 90};
    if (chance(world, 80)) {
        struct geo_point a = geo_point_of(at), b = geo_point_of(to);

        query->box = (struct geo_box){a.lon_deg, fmin(a.lat_deg, b.lat_deg), b.lon_deg,
                                      fmax(a.lat_deg, b.lat_deg)};
    }
}

static void random_filters(struct world *world, struct query *query)
{
    query->group_count = chance(world, 40) ? (uint8_t)(1 + below(world, 3)) : 0;
    for (unsigned i = 0; i < query->group_count; i++) {
        query->groups[i].count = chance(world, 80) ? 1 : 2;
        for (unsigned j = 0; j < query->groups[i].count; j++)
            query->groups[i].slugs[j] = span_of_str(slugs[below(world, ARRAY_SIZE(slugs))]);
    }
    if (chance(world, 20))
        query->text = span_of_str(searches[below(world, ARRAY_SIZE(searches))]);
    query->has_datetime = chance(world, 40);
    query->from_ms = random_time(world);
    query->through_ms = query->from_ms + (int64_t)below(world, 10) * DAY_MS;
    if (chance(world, 20))
        query->from_ms = INT64_MIN;
    if (chance(world, 20))
        query->through_ms = INT64_MAX;
    query->now_ms = chance(world, 70) ? world->now_ms : random_time(world);
    if (chance(world, 20)) {
        query->origin_count = 1 + below(world, 2);
        for (size_t i = 0; i < query->origin_count; i++)
            query->origins[i] = world->origin_numbers[below(world, WORLD_ORIGINS)];
    }
    if (chance(world, 20)) {
        query->municipality_count = 1 + below(world, 2);
        for (size_t i = 0; i < query->municipality_count; i++)
            query->municipalities[i] = span_of_str(municipalities[below(world, 3)]);
    }
    if (chance(world, 10)) {
        query->network_count = 1 + below(world, 2);
        for (size_t i = 0; i < query->network_count; i++)
            query->networks[i] = world_network((unsigned)below(world, WORLD_NETWORKS + 1));
    }
}

/* A polygon around somewhere, perhaps with a hole; now and then a line, or points. */
static void random_region_shape(struct world *world, struct shape *shape)
{
    static const char *const names[] = {"Polygon", "Polygon", "Polygon", "LineString",
                                        "MultiPoint"};
    const struct listing_shape *form =
        listing_shape_find(span_of_str(names[below(world, ARRAY_SIZE(names))]));
    struct position at = random_position(world);
    int64_t size_e7 = chance(world, 20) ? 900000000 : 10000000;
    uint64_t paths = form->rings ? 1 + below(world, 2) : 1;

    shape_begin(shape, form);
    for (uint64_t p = 0; p < paths; p++) {
        uint64_t count = 3 + below(world, 4);

        MUST(shape_path_begin(shape, p > 0));
        for (uint64_t i = 0; i < count; i++) {
            int64_t lon = at.lon_e7 + (int64_t)below(world, (uint64_t)size_e7) - size_e7 / 2;
            int64_t lat = at.lat_e7 + (int64_t)below(world, (uint64_t)size_e7) - size_e7 / 2;

            /* What would pass over an edge of the plane lies on it. */
            lon = lon > 1800000000 ? 1800000000 : lon < -1800000000 ? -1800000000 : lon;
            lat = lat > 900000000 ? 900000000 : lat < -900000000 ? -900000000 : lat;
            if (chance(world, 10))
                MUST(shape_add(shape, random_position(world)));
            else
                MUST(shape_add(shape, (struct position){(int32_t)lon, (int32_t)lat}));
        }
        MUST(shape_path_end(shape));
    }
}

/* Valid, as regions are: tried until it is. */
static const struct shape_region *random_region(struct world *world)
{
    struct world_region *region = &world->regions[world->region_next++ % WORLD_REGIONS];
    struct shape_fault fault;

    shape_region_free(region->region);
    region->region = NULL;
    do {
        random_region_shape(world, &region->shape);
    } while (shape_check(&region->shape, &fault));
    MUST(shape_region_new(&region->shape, &region->region, &fault));
    return region->region;
}

#define OPEN_DAYS 60 /* over the end of summer time */

/* From a corner of what somebody serves, or from anywhere. */
static void random_reach_query(struct world *world, struct query *query)
{
    static const double within_m[] = {0, 0, 0.5, 100, 5000, 100000};
    const struct world_listing *l;

    swap_random(world);
    query->has_reach = chance(world, 15);
    query->reach = geo_point_of(random_position(world));
    if (chance(world, 50) && world->count > 0) {
        l = &world->listings[below(world, world->count)];
        if (l->reach.serves)
            query->reach = geo_point_of(l->reach.served.a);
        else if (l->reach.stop_count > 0)
            query->reach = geo_point_of(l->reach.stops[0].a);
    }
    query->reach_m = within_m[below(world, ARRAY_SIZE(within_m))];
    query->by_rank = query->text.size > 0 && chance(world, 50);
    query->has_open = chance(world, 15);
    query->open_ms = world->now_ms + (int64_t)below(world, OPEN_DAYS * 1440) * 60000;
    swap_random(world);
}

struct query world_query(struct world *world)
{
    static const uint32_t limits[] = {0, 1, 2, 7, 20, 100, 10000};
    struct query query = {0};

    query.collections =
        chance(world, 50) ? COLLECTION_MASK_PUBLIC : UINT32_C(1) << (1 + below(world, 8));
    random_place(world, &query);
    query.region = chance(world, 20) ? random_region(world) : NULL;
    random_filters(world, &query);
    random_reach_query(world, &query);
    query.limit = limits[below(world, ARRAY_SIZE(limits))];
    query.offset = chance(world, 20) ? (uint32_t)below(world, 50) : 0;
    return query;
}

/* ---- answers, the slow way ---- */

bool world_theme_holds(const char *theme, const char *slug)
{
    size_t size = strlen(theme);

    return strncmp(theme, slug, size) == 0 && (slug[size] == '\0' || slug[size] == '/');
}

static bool matches_theme(const struct world_listing *l, struct span theme)
{
    char text[THEME_SLUG_BYTES_MAX + 1];

    snprintf(text, sizeof(text), "%.*s", (int)theme.size, (const char *)theme.data);
    for (unsigned i = 0; i < l->theme_count; i++) {
        if (world_theme_holds(text, l->themes[i]))
            return true;
    }
    return false;
}

static bool matches_themes(const struct query *query, const struct world_listing *l)
{
    for (unsigned i = 0; i < query->group_count; i++) {
        unsigned held = 0;

        for (unsigned j = 0; j < query->groups[i].count; j++)
            held += matches_theme(l, query->groups[i].slugs[j]);
        if (held == query->groups[i].count)
            return true;
    }
    return query->group_count == 0;
}

static int64_t day_end(int64_t ms)
{
    return ms / DAY_MS * DAY_MS + DAY_MS - 1;
}

static bool matches_time(const struct query *query, const struct world_listing *l)
{
    int64_t valid_from = l->has_from ? l->from_ms : INT64_MIN;
    int64_t valid_through = l->has_through ? l->through_ms : INT64_MAX;
    int64_t from = valid_from, through = valid_through;

    if (l->has_start) {
        from = l->start_ms;
        through = l->has_end ? l->end_ms : day_end(l->start_ms);
    }
    if (query->has_datetime)
        return from <= query->through_ms && through >= query->from_ms;
    if (l->has_start && through < query->now_ms)
        return false;
    return valid_from <= query->now_ms && query->now_ms <= valid_through;
}

/* A corner of a box, which lies on whole units here. */
static struct position corner(double lon_deg, double lat_deg)
{
    return (struct position){.lon_e7 = (int32_t)lround(lon_deg * 1e7),
                             .lat_e7 = (int32_t)lround(lat_deg * 1e7)};
}

/* One range of the box as an area. */
static bool range_touches(const struct geo_box *box, double west_deg, double east_deg,
                          const struct shape *shape)
{
    struct shape range = {0};
    bool touches;

    shape_begin(&range, listing_shape_find(span_of_str("Polygon")));
    MUST(shape_path_begin(&range, false));
    MUST(shape_add(&range, corner(west_deg, box->south_deg)));
    MUST(shape_add(&range, corner(east_deg, box->south_deg)));
    MUST(shape_add(&range, corner(east_deg, box->north_deg)));
    MUST(shape_add(&range, corner(west_deg, box->north_deg)));
    MUST(shape_path_end(&range));
    touches = shape_brute_touches(&range, shape);
    shape_done(&range);
    return touches;
}

static bool matches_box(const struct query *query, const struct world_listing *l)
{
    const struct geo_box *box = &query->box;
    struct shape shape = {0};
    bool touches;

    if (!l->placed)
        return true;
    world_shape(l, &shape);
    if (box->west_deg <= box->east_deg)
        touches = range_touches(box, box->west_deg, box->east_deg, &shape);
    else
        touches = range_touches(box, box->west_deg, 180, &shape) ||
                  range_touches(box, -180, box->east_deg, &shape);
    shape_done(&shape);
    return touches;
}

/* That of lines and areas is compared with sampling in test_shape.c. */
double world_distance(const struct query *query, const struct world_listing *listing)
{
    struct geo_centre centre;
    struct shape shape = {0};
    double distance_m = -1;
    uint64_t work = 0;

    if (!query->has_near)
        return -1;
    if (!listing->line)
        return geo_distance_m(query->near, geo_point_of(listing->a));
    centre = geo_centre_of(query->near);
    world_shape(listing, &shape);
    MUST(shape_distance(&shape, &centre, &work, &distance_m));
    shape_done(&shape);
    return distance_m;
}

static bool matches_region(const struct world *world, const struct query *query,
                           const struct world_listing *l)
{
    const struct world_region *region = world->regions;
    struct shape shape = {0};
    bool touches;

    if (!l->placed)
        return false;
    while (region->region != query->region)
        region++;
    world_shape(l, &shape);
    touches = shape_brute_touches(&region->shape, &shape);
    shape_done(&shape);
    return touches;
}

/* What the words find is another test's matter; here it is one filter among others. */
static const struct text_query *text_of(const struct world *world, const struct query *query)
{
    struct world *writable = (struct world *)(uintptr_t)world; /* what is kept changes no answer */

    for (unsigned i = 0; i < WORLD_TEXTS; i++) {
        if (!span_equal(query->text, span_of_str(searches[i])))
            continue;
        if (!world->texts[i])
            MUST(text_query_new(&world->kv, query->text, UINT64_MAX, &writable->texts[i]));
        return world->texts[i];
    }
    return NULL;
}

static bool matches_text(const struct world *world, const struct query *query,
                         const struct world_listing *l)
{
    return query->text.size == 0 ||
           postings_set_contains(text_query_set(text_of(world, query)), l->number);
}

double world_key(const struct world *world, const struct query *query,
                 const struct world_listing *listing)
{
    uint32_t score;

    if ((query->has_near && !query->by_rank) || query->text.size == 0)
        return world_distance(query, listing);
    score = text_query_score(text_of(world, query), listing->number);
    return TEXT_RANK_MAX - (double)text_rank(score, world_distance(query, listing),
                                             text_freshness(listing->changed_ms));
}

static bool matches_values(const struct world *world, const struct query *query,
                           const struct world_listing *l)
{
    bool origin = query->origin_count == 0;
    bool municipality = query->municipality_count == 0;
    bool network = query->network_count == 0;

    for (size_t i = 0; i < query->origin_count; i++)
        origin = origin || query->origins[i] == world->origin_numbers[l->origin];
    for (size_t i = 0; i < query->municipality_count; i++)
        municipality =
            municipality ||
            (l->municipality && span_equal(query->municipalities[i], span_of_str(l->municipality)));
    for (size_t i = 0; i < query->network_count; i++) {
        for (unsigned j = 0; j < WORLD_NETWORKS; j++) {
            struct feature_id id = world_network(j);

            network = network ||
                      (l->networks >> j & 1 && memcmp(&query->networks[i], &id, sizeof(id)) == 0);
        }
    }
    return origin && municipality && network;
}

bool world_matches(const struct world *world, const struct query *query,
                   const struct world_listing *listing)
{
    if (!listing->live || !listing->shown || !(query->collections >> listing->collection & 1))
        return false;
    if (query->has_box && !matches_box(query, listing))
        return false;
    if (!matches_themes(query, listing) || !matches_time(query, listing) ||
        !matches_text(world, query, listing) || !matches_values(world, query, listing))
        return false;
    if (query->region && !matches_region(world, query, listing))
        return false;
    if (query->has_reach && !world_reach_matches(&listing->reach, query))
        return false;
    if (query->has_open && !world_hours_open(listing->hours, query->open_ms))
        return false;
    /* Last, for the geodesic is slow. */
    return !query->has_near ||
           (listing->placed && world_distance(query, listing) <= query->radius_m);
}

static int hit_compare(const void *a, const void *b)
{
    const struct rtree_hit *left = a;
    const struct rtree_hit *right = b;

    if (left->distance_m != right->distance_m)
        return left->distance_m < right->distance_m ? -1 : 1;
    return (left->document > right->document) - (left->document < right->document);
}

size_t world_answer(const struct world *world, const struct query *query,
                    struct rtree_hit **ret_hits)
{
    struct rtree_hit *hits = calloc(world->count + 1, sizeof(*hits));
    size_t count = 0;

    if (!hits)
        abort();
    for (size_t i = 0; i < world->count; i++) {
        const struct world_listing *l = &world->listings[i];

        if (!world_matches(world, query, l))
            continue;
        hits[count].document = l->number;
        hits[count++].distance_m = world_key(world, query, l);
    }
    qsort(hits, count, sizeof(*hits), hit_compare);
    *ret_hits = hits;
    return count;
}

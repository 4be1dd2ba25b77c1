/* SPDX-License-Identifier: EUPL-1.2 */
#include <string.h>

#include "index/catalogue_ahead.h"
#include "tests/support/test.h"
#include "tests/support/world.h"

/* What is derived ahead must not change what is stored, by a byte. */
#define ENTRIES 40

struct batch {
    struct world world;
    struct buffer payloads[ENTRIES];
    struct replica_entry entries[ENTRIES];
    struct replica_origin origin;
};

static void batch_init(struct batch *batch)
{
    struct kv kv;

    world_init(&batch->world, 31);
    world_change(&batch->world, 200, 0);
    world_read_begin(&batch->world, &kv);
    assert_int_equal(replica_origin_get(&kv, &batch->world.towns[0].id, &batch->origin), TORG_OK);
    world_read_end(&batch->world, &kv);
    for (size_t i = 0; i < ENTRIES; i++) {
        const struct world_listing *l = &batch->world.listings[i];
        struct replica_entry *entry = &batch->entries[i];

        world_payload(l, i, &batch->payloads[i]);
        if (i % 9 == 8)
            buffer_put_u8(&batch->payloads[i], 0); /* no listing that can be shown */
        *entry = (struct replica_entry){.payload = buffer_span(&batch->payloads[i])};
        entry->header =
            (struct change_header){.op = CHANGE_UPSERT, .collection = l->collection, .id = l->id};
        entry->key = listing_key_of(&l->id);
    }
}

static void batch_done(struct batch *batch)
{
    for (size_t i = 0; i < ENTRIES; i++)
        buffer_done(&batch->payloads[i]);
    world_done(&batch->world);
}

/* All of the store after the entries were followed with so many of them derived ahead. */
static void stored(struct batch *batch, size_t derived, struct buffer *out)
{
    struct catalogue_writer writer = {.themes = batch->world.themes};
    struct replica_observer observer = catalogue_observer(&writer);
    struct catalogue_ahead *ahead = NULL;
    struct kv kv;

    assert_int_equal(catalogue_ahead_new(batch->world.themes, &batch->origin.id,
                                         batch->origin.number, batch->entries, ENTRIES, &ahead),
                     TORG_OK);
    assert_int_equal(catalogue_ahead_step(ahead, derived), derived < ENTRIES);
    writer.ahead = ahead;
    assert_int_equal(kv_mem_write_begin(batch->world.mem, &kv), TORG_OK);
    for (size_t i = 0; i < ENTRIES; i++)
        assert_int_equal(observer.changed(observer.context, &kv, &batch->origin,
                                          batch->entries[i].header.collection,
                                          &batch->entries[i].key, &batch->entries[i]),
                         TORG_OK);
    assert_int_equal(catalogue_flush(&writer, &kv), TORG_OK);
    assert_int_equal(kv_mem_dump(&kv, out), TORG_OK);
    kv_mem_write_abort(&kv);
    catalogue_writer_done(&writer);
    catalogue_ahead_free(ahead);
}

static void test_same_bytes(void **state)
{
    static const size_t derived[] = {1, 17, ENTRIES - 1, ENTRIES};
    static struct batch batch;
    struct buffer plain = {0};

    (void)state;
    batch_init(&batch);
    stored(&batch, 0, &plain);
    for (size_t i = 0; i < ARRAY_SIZE(derived); i++) {
        struct buffer dump = {0};

        stored(&batch, derived[i], &dump);
        assert_true(span_equal(buffer_span(&plain), buffer_span(&dump)));
        buffer_done(&dump);
    }
    buffer_done(&plain);
    batch_done(&batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

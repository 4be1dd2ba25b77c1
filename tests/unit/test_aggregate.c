/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/aggregate.h"

#include "tests/support/test.h"
#include "tests/support/world.h"

static bool listing_has(const struct world_listing *l, const char *theme)
{
    for (unsigned i = 0; i < l->theme_count; i++) {
        if (strcmp(l->themes[i], theme) == 0)
            return true;
    }
    return false;
}

static bool text_is(const char *cell, const char *text)
{
    return strcmp(cell, text ? text : "") == 0;
}

/* Does the need count in the cell? */
static bool in_cell(const struct world_listing *l, const struct aggregate_cell *cell, unsigned by)
{
    return (!(by & AGGREGATE_BY_THEME) || listing_has(l, cell->theme)) &&
           (!(by & AGGREGATE_BY_AREA) || text_is(cell->area, l->area)) &&
           (!(by & AGGREGATE_BY_MUNICIPALITY) || text_is(cell->municipality, l->municipality));
}

static unsigned asker_of(const struct world_listing *l)
{
    static const char *const askers[] = {"company", "municipality", "association"};

    for (unsigned i = 0; i < ARRAY_SIZE(askers); i++) {
        if (l->asker && strcmp(l->asker, askers[i]) == 0)
            return i;
    }
    return 3;
}

static void check_cell(const struct world *world, const struct query *query,
                       const struct aggregate_cell *cell, unsigned by)
{
    struct aggregate_cell want = {{0}};

    for (size_t i = 0; i < world->count; i++) {
        const struct world_listing *l = &world->listings[i];

        if (!world_matches(world, query, l) || !in_cell(l, cell, by))
            continue;
        want.needs++;
        want.people += l->people;
        want.askers[asker_of(l)]++;
    }
    assert_int_equal(cell->needs, want.needs);
    assert_int_equal(cell->people, want.people);
    assert_memory_equal(cell->askers, want.askers, sizeof(want.askers));
}

/* Every need is in a cell for each of its slugs; so cells and needs can be counted against. */
static void check_sum(const struct world *world, const struct query *query,
                      const struct aggregate_table *table, unsigned by)
{
    uint64_t needs = 0, cells = 0, sum = 0;

    for (size_t i = 0; i < world->count; i++) {
        const struct world_listing *l = &world->listings[i];

        if (!world_matches(world, query, l))
            continue;
        needs++;
        for (unsigned j = 0; j < l->theme_count; j++) {
            bool seen = false;

            for (unsigned k = 0; k < j; k++)
                seen = seen || strcmp(l->themes[j], l->themes[k]) == 0;
            cells += !seen;
        }
    }
    for (size_t i = 0; i < table->count; i++)
        sum += table->cells[i].needs;
    assert_int_equal(table->needs, needs);
    assert_int_equal(sum, by & AGGREGATE_BY_THEME ? cells : needs);
}

/* A table that funds courses: a need counted twice, or in no cell, would not be seen in it. */
static void test_needs_agree_with_brute_force(void **state)
{
    struct world world;
    struct kv kv;

    (void)state;
    world_init(&world, 0x2ee5);
    world_change(&world, 2500, 200);
    assert_ok(kv_mem_read_begin(world.mem, &kv));
    world_number(&world, &kv);
    for (unsigned n = 0; n < 64; n++) {
        struct query query = world_query(&world);
        struct aggregate_table table;
        unsigned by = n % 8;

        query.collections = UINT32_C(1) << COLLECTION_NEEDS;
        assert_ok(aggregate_competence_needs(&kv, world.themes, &query, by, &table));
        check_sum(&world, &query, &table, by);
        for (size_t i = 0; i < table.count; i++) {
            check_cell(&world, &query, &table.cells[i], by);
            if (i > 0)
                assert_true(table.cells[i - 1].needs >= table.cells[i].needs);
        }
        aggregate_table_done(&table);
    }
    kv_mem_read_end(&kv);
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
        cmocka_unit_test(test_needs_agree_with_brute_force),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include "daemon/http_theme_texts.h"
#include "daemon/http_workers.h"
#include "protocol/num.h"

/*
 * The tree is text with places for numbers: a place too many, or the numbers of
 * one theme at another, would look right.
 */

/* "food-fair" and "foodie" stand between "food" and what is below it, or beside. */
static const char taxonomy[] =
    "{\"version\":1,\"themes\":["
    "{\"slug\":\"other\",\"bit\":0,\"names\":{\"sv\":\"Annat\"}},"
    "{\"slug\":\"food\",\"bit\":1,\"names\":{\"sv\":\"Mat\",\"en\":\"Food\"}},"
    "{\"slug\":\"food/cafe\",\"bit\":2,\"names\":{\"sv\":\"Kaf\xc3\xa9\"}},"
    "{\"slug\":\"food/cafe/garden\",\"names\":{\"sv\":\"\\\"Ute\\\"\"}},"
    "{\"slug\":\"food/shop\",\"bit\":3,\"names\":{\"sv\":\"Butik\"}},"
    "{\"slug\":\"food-fair\",\"bit\":4,\"names\":{\"sv\":\"Matmarknad\"}},"
    "{\"slug\":\"foodie\",\"bit\":5,\"names\":{\"sv\":\"Matgalen\"}}]}";

struct world {
    struct theme_tree *themes;
    struct node node;
    struct http_worker worker;
    struct http_exchange *exchange;
};

static int world_init(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    char message[200];

    assert_non_null(world);
    if (theme_tree_parse(span_of_str(taxonomy), &world->themes, message, sizeof(message)))
        fail_msg("%s", message);
    world->node.themes = world->themes;
    world->exchange = calloc(1, sizeof(*world->exchange));
    assert_non_null(world->exchange);
    world->exchange->node = &world->node;
    world->exchange->worker = &world->worker;
    *state = world;
    return 0;
}

static int world_done(void **state)
{
    struct world *world = *state;

    http_theme_texts_free(world->worker.theme_texts);
    theme_tree_free(world->themes);
    free(world->exchange);
    free(world);
    return 0;
}

static const struct http_theme_texts *texts_of(struct world *world)
{
    const struct http_theme_texts *texts, *again;

    assert_ok(http_theme_texts_get(world->exchange, &texts));
    assert_ok(http_theme_texts_get(world->exchange, &again));
    assert_ptr_equal(texts, again);
    return texts;
}

static void test_tree(void **state)
{
    static const char want[] =
        "[{\"slug\":\"food\",\"name\":{\"sv\":\"Mat\",\"en\":\"Food\"},\"count\":10,\"narrower\":["
        "{\"slug\":\"food/cafe\",\"name\":{\"sv\":\"Kaf\xc3\xa9\"},\"count\":200,\"narrower\":["
        "{\"slug\":\"food/cafe/garden\",\"name\":{\"sv\":\"\\\"Ute\\\"\"},\"count\":200,"
        "\"narrower\":[]}]},"
        "{\"slug\":\"food/shop\",\"name\":{\"sv\":\"Butik\"},\"count\":0,\"narrower\":[]}]},"
        "{\"slug\":\"food-fair\",\"name\":{\"sv\":\"Matmarknad\"},\"count\":18446744073709551,"
        "\"narrower\":[]},"
        "{\"slug\":\"foodie\",\"name\":{\"sv\":\"Matgalen\"},\"count\":5,\"narrower\":[]},"
        "{\"slug\":\"other\",\"name\":{\"sv\":\"Annat\"},\"count\":7,\"narrower\":[]}";
    static const uint64_t counts[THEME_BITS] = {7, 10, 200, 0, UINT64_C(18446744073709551), 5};
    struct buffer out = {0};

    buffer_put_str(&out, "[");
    http_theme_texts_put_tree(texts_of(*state), counts, &out);
    buffer_put_u8(&out, 0);
    assert_int_equal(out.err, TORG_OK);
    assert_string_equal((const char *)out.data, want);
    buffer_done(&out);
}

/* One that shares its parent's bit has no number of its own, so no element of a facet. */
static void test_elements(void **state)
{
    const struct http_theme_texts *texts = texts_of(*state);

    struct buffer out = {0};

    for (size_t i = 0; i < texts->count; i++) {
        const struct http_theme_text *text = &texts->items[i];

        assert_int_equal(text->numbered, strcmp(text->theme->slug, "food/cafe/garden") != 0);
        if (strcmp(text->theme->slug, "food") != 0)
            continue;
        buffer_put_span(&out, text->before);
        num_put_int(&out, 42);
        buffer_put_span(&out, text->after);
    }
    buffer_put_u8(&out, 0);
    assert_string_equal((const char *)out.data, "{\"value\":\"food\",\"count\":42,"
                                                "\"name\":{\"sv\":\"Mat\",\"en\":\"Food\"}}");
    buffer_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tree, world_init, world_done),
        cmocka_unit_test_setup_teardown(test_elements, world_init, world_done),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

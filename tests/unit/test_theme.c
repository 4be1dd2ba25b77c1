/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/theme.h"
#include "tests/support/test.h"

static struct theme_tree *builtin(void)
{
    struct theme_tree *tree = NULL;

    assert_ok(theme_tree_builtin(&tree));
    return tree;
}

static struct theme_tree *parsed(const char *json)
{
    struct theme_tree *tree = NULL;
    char message[200];

    if (theme_tree_parse(span_of_str(json), &tree, message, sizeof(message)))
        fail_msg("%s", message);
    return tree;
}

static void test_slug_syntax(void **state)
{
    static const char *const good[] = {"food", "food/cafe", "nature/hunting/small-game", "a",
                                       "it/24-7"};
    static const char *const bad[] = {"",           "Food",    "food/", "/food",
                                      "food//cafe", "a/b/c/d", "food_", "food cafe",
                                      "-food",      "food-",   "a/-b",  "kött"};
    char slug[80];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        assert_true(theme_slug_valid(span_of_str(good[i])));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(theme_slug_valid(span_of_str(bad[i])));
    memset(slug, 'a', sizeof(slug));
    assert_true(theme_slug_valid(span_of(slug, THEME_SLUG_BYTES_MAX)));
    assert_false(theme_slug_valid(span_of(slug, THEME_SLUG_BYTES_MAX + 1)));
}

/* "food" must not take in "foodie". */
static void test_holds(void **state)
{
    (void)state;
    assert_true(theme_holds(span_of_str("food"), span_of_str("food")));
    assert_true(theme_holds(span_of_str("food"), span_of_str("food/cafe")));
    assert_false(theme_holds(span_of_str("food"), span_of_str("foodie")));
    assert_false(theme_holds(span_of_str("food/cafe"), span_of_str("food")));
}

/* A taxonomy that does not load stops every node; one without names shows slugs to people. */
static void test_builtin_is_sound(void **state)
{
    struct theme_tree *tree = builtin();
    bool used[THEME_BITS] = {false};

    (void)state;
    assert_in_range(theme_tree_count(tree), 90, THEME_BITS);
    assert_null(theme_tree_at(tree, theme_tree_count(tree)));
    for (size_t i = 0; i < theme_tree_count(tree); i++) {
        const struct theme *theme = theme_tree_at(tree, i);

        assert_false(used[theme->bit]);
        used[theme->bit] = true;
        assert_true(theme_slug_valid(span_of_str(theme->slug)));
        assert_ptr_equal(theme_tree_find(tree, span_of_str(theme->slug)), theme);
        assert_int_equal(theme_bit(tree, span_of_str(theme->slug)), theme->bit);
        assert_int_equal(strcmp(theme->slug, theme_name(theme, "sv")) != 0, 1);
        assert_int_equal(strcmp(theme->slug, theme_name(theme, "en")) != 0, 1);
        if (theme->parent)
            assert_true(theme_holds(span_of_str(theme->parent), span_of_str(theme->slug)));
    }
    assert_non_null(theme_tree_find(tree, span_of_str("competence/digital-communication")));
    theme_tree_free(tree);
}

/* Bits stand in every index: one that moved would silently hide listings. */
static void test_bits_are_stable(void **state)
{
    static const struct {
        const char *slug;
        unsigned bit;
    } known[] = {{"other", 0},        {"food", 1},         {"nature/fishing", 17},
                 {"sami/duodji", 56}, {"competence", 121}, {"competence/value-chain", 168}};
    struct theme_tree *tree = builtin();

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        assert_int_equal(theme_bit(tree, span_of_str(known[i].slug)), known[i].bit);
    theme_tree_free(tree);
}

static void test_names_fall_back(void **state)
{
    struct theme_tree *tree = builtin();
    const struct theme *theme = theme_tree_find(tree, span_of_str("food/bakery"));

    (void)state;
    assert_string_equal(theme_name(theme, "en"), "Bakery");
    assert_string_equal(theme_name(theme, "se"), "Bageri");
    theme = theme_tree_find(tree, span_of_str("sami/duodji"));
    assert_string_equal(theme_name(theme, "se"), "Duodji");
    theme_tree_free(tree);
    tree = parsed("{\"version\":1,\"themes\":[{\"slug\":\"other\",\"bit\":0},"
                  "{\"slug\":\"a\",\"bit\":1,\"names\":{\"fi\":\"Eka\"}}]}");
    assert_string_equal(theme_name(theme_tree_find(tree, span_of_str("other")), "sv"), "other");
    assert_string_equal(theme_name(theme_tree_find(tree, span_of_str("a")), "sv"), "Eka");
    theme_tree_free(tree);
}

static void test_mistakes_are_named(void **state)
{
    static const struct {
        const char *json;
        const char *message;
    } cases[] = {
        {"{", "line 1"},
        {"{\"themes\":[]}", "version"},
        {"{\"version\":1,\"themes\":[]}", "list of 1 to"},
        {"{\"version\":1,\"themes\":[{\"slug\":\"A\"}]}", "slug must be"},
        {"{\"version\":1,\"themes\":[7]}", "slug must be"},
        {"{\"version\":1,\"themes\":[{\"slug\":\"a\",\"bit\":256}]}", "bit must be"},
        {"{\"version\":1,\"themes\":[{\"slug\":\"a\",\"bit\":0}]}", "belongs to \"other\""},
        {"{\"version\":1,\"themes\":[{\"slug\":\"a\",\"bit\":1}]}", "\"other\" with bit 0"},
        {"{\"version\":1,\"themes\":[{\"slug\":\"a/b\",\"bit\":1}]}", "parent"},
        {"{\"version\":1,\"themes\":[{\"slug\":\"a\"},{\"slug\":\"a\"}]}", "twice"},
        {"{\"version\":1,\"themes\":[{\"slug\":\"a\",\"bit\":1},{\"slug\":\"b\",\"bit\":1}]}",
         "taken"},
        {"{\"version\":1,\"themes\":[{\"slug\":\"a\",\"names\":{\"sv\":1}}]}", "names.sv"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct theme_tree *tree = NULL;
        char message[200];

        assert_err(theme_tree_parse(span_of_str(cases[i].json), &tree, message, sizeof(message)),
                   TORG_E_CONFIG);
        if (!strstr(message, cases[i].message))
            fail_msg("%s: \"%s\"", cases[i].json, message);
        assert_null(tree);
    }
}

/*
 * The rule that queries rest on: a listing is found by a query if and only if
 * it carries the bit that is asked for, as long as the answer calls itself exact; and never
 * missed, also when it does not.
 */
static void check_query(const struct theme_tree *tree, const char *query, const char *slug)
{
    bool exact;
    struct theme_set set = theme_query_set(tree, span_of_str(query), &exact);
    bool wanted = theme_holds(span_of_str(query), span_of_str(slug));
    struct theme_set carried = theme_listing_set(tree, span_of_str(slug));
    bool hit = theme_set_shares(&set, &carried);

    if (wanted && !hit)
        fail_msg("%s misses %s", query, slug);
    if (exact && hit != wanted)
        fail_msg("%s calls itself exact but hits %s", query, slug);
}

static void test_query_sets_are_exact_or_say_so(void **state)
{
    static const char *const unknown[] = {"zebra",        "zebra/stripe",   "food/x",
                                          "food/cafe/x",  "food-truck",     "nature/hunting/bear",
                                          "other/things", "competence/law", "culture/music/jazz"};
    struct theme_tree *tree = builtin();
    bool exact;

    (void)state;
    for (size_t i = 0; i < theme_tree_count(tree); i++) {
        const char *query = theme_tree_at(tree, i)->slug;

        for (size_t j = 0; j < theme_tree_count(tree); j++)
            check_query(tree, query, theme_tree_at(tree, j)->slug);
        for (size_t j = 0; j < ARRAY_SIZE(unknown); j++) {
            check_query(tree, query, unknown[j]);
            check_query(tree, unknown[j], query);
            for (size_t k = 0; k < ARRAY_SIZE(unknown); k++)
                check_query(tree, unknown[j], unknown[k]);
        }
        theme_query_set(tree, span_of_str(query), &exact);
        assert_int_equal(exact, strcmp(query, "other") != 0);
    }
    assert_int_equal(theme_bit(tree, span_of_str("food/cafe/x")),
                     theme_bit(tree, span_of_str("food/cafe")));
    assert_int_equal(theme_bit(tree, span_of_str("zebra")), 0);
    theme_query_set(tree, span_of_str("food/x"), &exact);
    assert_false(exact);
    theme_tree_free(tree);
}

/* More themes than bits: those without one share their parent's. */
static void test_themes_without_a_bit(void **state)
{
    struct theme_tree *tree =
        parsed("{\"version\":1,\"themes\":[{\"slug\":\"other\",\"bit\":0},"
               "{\"slug\":\"a\",\"bit\":1},{\"slug\":\"a/b\"},{\"slug\":\"a/b/c\",\"bit\":2},"
               "{\"slug\":\"a/d\",\"bit\":3},{\"slug\":\"a-x\"},{\"slug\":\"e\"}]}");

    (void)state;
    for (size_t i = 0; i < theme_tree_count(tree); i++) {
        for (size_t j = 0; j < theme_tree_count(tree); j++)
            check_query(tree, theme_tree_at(tree, i)->slug, theme_tree_at(tree, j)->slug);
    }
    assert_int_equal(theme_bit(tree, span_of_str("a/b")), 1);
    assert_int_equal(theme_bit(tree, span_of_str("e")), 0);
    theme_tree_free(tree);
}

/* A node whose bits changed must rebuild its index; one with a new name need not. */
static void test_version_follows_slugs_and_bits(void **state)
{
    struct theme_tree *a = parsed("{\"version\":1,\"themes\":[{\"slug\":\"other\",\"bit\":0}]}");
    struct theme_tree *b = parsed("{\"version\":2,\"themes\":[{\"slug\":\"other\",\"bit\":0,"
                                  "\"names\":{\"sv\":\"Annat\"}}]}");
    struct theme_tree *c = parsed("{\"version\":1,\"themes\":[{\"slug\":\"other\",\"bit\":0},"
                                  "{\"slug\":\"a\",\"bit\":1}]}");
    struct theme_tree *d = parsed("{\"version\":1,\"themes\":[{\"slug\":\"other\",\"bit\":0},"
                                  "{\"slug\":\"a\",\"bit\":2}]}");

    (void)state;
    assert_true(theme_tree_version(a) == theme_tree_version(b));
    assert_true(theme_tree_version(a) != theme_tree_version(c));
    assert_true(theme_tree_version(c) != theme_tree_version(d));
    theme_tree_free(a);
    theme_tree_free(b);
    theme_tree_free(c);
    theme_tree_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slug_syntax),
        cmocka_unit_test(test_holds),
        cmocka_unit_test(test_builtin_is_sound),
        cmocka_unit_test(test_bits_are_stable),
        cmocka_unit_test(test_names_fall_back),
        cmocka_unit_test(test_mistakes_are_named),
        cmocka_unit_test(test_query_sets_are_exact_or_say_so),
        cmocka_unit_test(test_themes_without_a_bit),
        cmocka_unit_test(test_version_follows_slugs_and_bits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include <stdio.h>

#include "protocol/gazetteer.h"

/* A village that cannot be found by typing it does not exist for its visitors. */

static int set_up(void **state)
{
    struct gazetteer *gazetteer;

    assert_ok(gazetteer_new(&gazetteer));
    *state = gazetteer;
    return 0;
}

static int tear_down(void **state)
{
    gazetteer_free(*state);
    return 0;
}

static const struct gazetteer_place *find_first(void *state, const char *text, size_t *ret_count,
                                                bool *ret_exact)
{
    const struct gazetteer_place *found[8] = {0};

    assert_ok(
        gazetteer_find(state, span_of_str(text), found, ARRAY_SIZE(found), ret_count, ret_exact));
    return *ret_count ? found[0] : NULL;
}

static void assert_found(void *state, const char *text, const char *name, const char *code)
{
    size_t count;
    bool exact;
    const struct gazetteer_place *place = find_first(state, text, &count, &exact);

    if (!place)
        fail_msg("%s was not found", text);
    assert_string_equal(place->name, name);
    assert_string_equal(place->municipality_code, code);
    assert_true(exact);
}

static void test_villages_by_every_spelling(void **state)
{
    assert_found(*state, "Umeå", "Umeå", "2480");
    assert_found(*state, "umea", "Umeå", "2480");
    assert_found(*state, "  UMEÅ ", "Umeå", "2480");
    assert_found(*state, "Ubmi", "Umeå", "2480"); /* a Sámi name */
    assert_found(*state, "Sörmjöle", "Sörmjöle", "2480");
    assert_found(*state, "sormjole", "Sörmjöle", "2480");
    assert_found(*state, "Holmön", "Holmön", "2480");
    assert_found(*state, "Bredbyn", "Bredbyn", "2284");
    assert_found(*state, "Köpmanholmen", "Köpmanholmen", "2284");
    assert_found(*state, "Arjeplog", "Arjeplog", "2506");
    assert_found(*state, "giron", "Kiruna", "2584");
}

static void test_position(void **state)
{
    size_t count;
    bool exact;
    const struct gazetteer_place *place = find_first(*state, "arjeplog", &count, &exact);

    assert_non_null(place);
    assert_int_equal(place->position.lon_e7, 178860600);
    assert_int_equal(place->position.lat_e7, 660517300);
}

static void test_municipality_decides(void **state)
{
    const struct gazetteer_place *found[64];
    size_t all;
    size_t count;
    bool exact;

    assert_ok(gazetteer_find(*state, span_of_str("Hammar"), found, 0, &all, &exact));
    for (size_t i = 0; i < gazetteer_count(); i++) {
        const struct gazetteer_place *place = gazetteer_at(i);
        char text[300];

        if (i % 97 || !place->municipality_code[0])
            continue;
        (void)snprintf(text, sizeof(text), "%s, %s kommun", place->name,
                       gazetteer_municipality(span_of_str(place->municipality_code)));
        assert_ok(
            gazetteer_find(*state, span_of_str(text), found, ARRAY_SIZE(found), &count, &exact));
        if (count == 0 || !exact)
            fail_msg("%s was not found", text);
        for (size_t j = 0; j < count; j++)
            assert_string_equal(found[j]->municipality_code, place->municipality_code);
    }
    assert_ok(gazetteer_find(*state, span_of_str("Umeå, Arjeplog"), found, 64, &count, &exact));
    assert_int_equal(count, 0);
}

static void test_prefix_when_nothing_is_so_called(void **state)
{
    size_t count;
    bool exact;
    const struct gazetteer_place *place = find_first(*state, "örnsk", &count, &exact);

    assert_non_null(place);
    assert_string_equal(place->name, "Örnsköldsvik");
    assert_false(exact);
    place = find_first(*state, "s", &count, &exact);
    assert_true(count > 100);
    assert_string_equal(place->name, "Stockholm"); /* the most populous first */
}

static void test_postal_codes(void **state)
{
    size_t count;
    bool exact;

    assert_found(*state, "91803", "Holmön", "2480");
    assert_found(*state, "918 03", "Holmön", "2480");
    assert_null(find_first(*state, "00000", &count, &exact));
    assert_null(find_first(*state, "9180", &count, &exact));
}

static void test_nothing_and_nonsense(void **state)
{
    static const char *const texts[] = {"",        " ", ",", ",Umeå", "xyzzy", "'; drop table",
                                        "\xff\xfe"};
    char longest[GAZETTEER_TEXT_BYTES_MAX + 1];
    size_t count;
    bool exact;

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        assert_null(find_first(*state, texts[i], &count, &exact));
    memset(longest, 'a', sizeof(longest));
    assert_err(gazetteer_find(*state, span_of(longest, sizeof(longest)), NULL, 0, &count, &exact),
               TORG_E_TOO_BIG);
}

static void test_municipalities(void **state)
{
    const char *code;
    const char *name;

    (void)state;
    assert_int_equal(gazetteer_municipality_count(), 290);
    for (size_t i = 0; i < gazetteer_municipality_count(); i++) {
        gazetteer_municipality_at(i, &code, &name);
        assert_string_equal(gazetteer_municipality(span_of_str(code)), name);
    }
    assert_string_equal(gazetteer_municipality(span_of_str("2480")), "Umeå");
    assert_null(gazetteer_municipality(span_of_str("9999")));
    assert_null(gazetteer_municipality((struct span){0}));
    for (size_t i = 0; i < gazetteer_count(); i++) {
        const struct gazetteer_place *place = gazetteer_at(i);

        if (place->municipality_code[0])
            assert_non_null(gazetteer_municipality(span_of_str(place->municipality_code)));
        assert_true(place->position.lat_e7 > 550000000 && place->position.lat_e7 < 691000000);
        assert_true(place->position.lon_e7 > 105000000 && place->position.lon_e7 < 245000000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_villages_by_every_spelling),
        cmocka_unit_test(test_position),
        cmocka_unit_test(test_municipality_decides),
        cmocka_unit_test(test_prefix_when_nothing_is_so_called),
        cmocka_unit_test(test_postal_codes),
        cmocka_unit_test(test_nothing_and_nonsense),
        cmocka_unit_test(test_municipalities),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}

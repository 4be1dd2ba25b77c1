/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/ident.h"

#include "tests/support/test.h"

/* The numbers are signed: a name that slides to another number moves listings. */
static void test_collections(void **state)
{
    static const char *const names[] = {
        NULL,
        "companies",
        "offers",
        "events",
        "jobs",
        "courses",
        "needs",
        "service-points",
        "places",
        "need-statistics",
        "maturity-statistics",
        "receipts",
        "members",
        "networks",
    };

    (void)state;
    for (uint8_t i = 1; i < ARRAY_SIZE(names); i++) {
        assert_string_equal(collection_name(i), names[i]);
        assert_int_equal(collection_of_name(span_of_str(names[i])), i);
    }
    assert_null(collection_name(0));
    for (unsigned i = ARRAY_SIZE(names); i < 256; i++)
        assert_null(collection_name((uint8_t)i));
    assert_int_equal(collection_of_name(span_of_str("")), 0);
    assert_int_equal(collection_of_name(span_of_str("offer")), 0);
    assert_int_equal(collection_of_name(span_of_str("Offers")), 0);
    assert_int_equal(collection_of_name((struct span){0}), 0);
}

static void test_feature_id(void **state)
{
    struct feature_id id;
    struct feature_id parsed;
    char text[FEATURE_ID_SIZE + 1];

    (void)state;
    memset(id.origin_prefix, 0xab, sizeof(id.origin_prefix));
    for (uint8_t i = 0; i < 16; i++)
        id.id.bytes[i] = (uint8_t)(16 + i);
    feature_id_format(&id, text);
    assert_string_equal(text, "vov2xk5lvov2w-caireeyuculbogazdinryhi6d4");
    assert_ok(feature_id_parse(span_of_str(text), &parsed));
    assert_memory_equal(&parsed, &id, sizeof(id));
}

static void test_feature_ids_survive_text(void **state)
{
    uint64_t seed = 5;

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        struct feature_id id;
        struct feature_id parsed;
        char text[FEATURE_ID_SIZE + 1];

        for (unsigned j = 0; j < sizeof(id); j++)
            ((uint8_t *)&id)[j] = (uint8_t)test_random(&seed);
        feature_id_format(&id, text);
        assert_int_equal(strlen(text), FEATURE_ID_SIZE);
        assert_ok(feature_id_parse(span_of_str(text), &parsed));
        assert_memory_equal(&parsed, &id, sizeof(id));
    }
}

/* One listing under two ids would be two listings to every cache and bookmark. */
static void test_feature_id_has_one_form(void **state)
{
    static const char *const texts[] = {
        "",
        "vov2xk5lvov2w",
        "vov2xk5lvov2w-caireeyuculbogazdinryhi6d",   /* short */
        "vov2xk5lvov2w-caireeyuculbogazdinryhi6d4a", /* long */
        "vov2xk5lvov2wacaireeyuculbogazdinryhi6d4",  /* no hyphen */
        "VOV2XK5LVOV2W-CAIREEYUCULBOGAZDINRYHI6D4",  /* upper case */
        "vov2xk5lvov2x-caireeyuculbogazdinryhi6d4",  /* a bit left over in the origin */
        "vov2xk5lvov2w-caireeyuculbogazdinryhi6d5",  /* and in the listing */
        "vov2xk5lvov2w-caireeyuculbogazdinryhi6d0",  /* 0 is no digit */
        "vov2xk5lvov2w-caireeyuculbogazdinryhi6d=",
        "-ov2xk5lvov2w-caireeyuculbogazdinryhi6d4",
    };
    struct feature_id id;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        assert_err(feature_id_parse(span_of_str(texts[i]), &id), TORG_E_INVALID);
    assert_err(feature_id_parse((struct span){0}, &id), TORG_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_collections),
        cmocka_unit_test(test_feature_id),
        cmocka_unit_test(test_feature_ids_survive_text),
        cmocka_unit_test(test_feature_id_has_one_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "index/filter.h"

/*
 * A filter, as text or as JSON by its first character, and behind a zero byte,
 * if there is one, the feature that it is asked about. What is refused is
 * refused with words; what is read can be asked, and gives the same answer twice.
 */
static const struct cql2_property properties[] = {
    {{(const uint8_t *)"geometry", 8}, CQL2_GEOMETRY}, {{(const uint8_t *)"name", 4}, CQL2_STRING},
    {{(const uint8_t *)"size", 4}, CQL2_NUMBER},       {{(const uint8_t *)"on", 2}, CQL2_DATE},
    {{(const uint8_t *)"at", 2}, CQL2_TIMESTAMP},      {{(const uint8_t *)"open", 4}, CQL2_BOOLEAN},
    {{(const uint8_t *)"a.b", 3}, CQL2_STRING},        {{(const uint8_t *)"of", 2}, CQL2_ARRAY},
};
static const char feature[] =
    "{\"type\":\"Feature\",\"id\":\"1\",\"geometry\":{\"type\":\"Point\",\"coordinates\":[20.26,"
    "63.83]},\"properties\":{\"name\":{\"en\":\"Boat\",\"sv\":\"B\\u00e5t\"},\"size\":-1.5e3,"
    "\"on\":\"2022-04-16\",\"at\":\"2022-04-16T10:13:19+02:00[Europe/Stockholm]\",\"open\":true,"
    "\"a\":{\"b\":\"x\"},\"of\":[\"x\",\"y\\n\",2,true,[]]}}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct cql2_schema schema = {properties, ARRAY_SIZE(properties)};
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    struct span text = span_of(data, zero ? (size_t)(zero - data) : size);
    struct span about =
        zero ? span_of(zero + 1, size - text.size - 1) : span_of(feature, sizeof(feature) - 1);
    struct cql2_fault fault = {""};
    struct filter *filter = NULL;
    struct cql2 tree;
    bool first = false, second = false;
    enum torg_err err;

    err = text.size && text.data[0] == '{' ? cql2_parse_json(text, &schema, &tree, &fault)
                                           : cql2_parse_text(text, &schema, &tree, &fault);
    if (!err)
        err = filter_new(&tree, &schema, NULL, &filter, &fault);
    if (err) {
        assert(err == TORG_E_INVALID || err == TORG_E_TOO_BIG);
        assert(fault.text[0]);
        return 0;
    }
    err = filter_passes(filter, about, &first);
    assert(err == filter_passes(filter, about, &second));
    assert(err == TORG_OK || err == TORG_E_CORRUPT);
    assert(first == second);
    filter_free(filter);
    return 0;
}

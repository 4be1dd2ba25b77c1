/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <math.h>

#include "daemon/http_params.h"
#include "protocol/seal.h"

/*
 * A query string as far as the index: whatever is accepted is within the
 * limits that the index trusts, and every refusal names its parameter.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_query(const struct query *query)
{
    assert(!query->has_near || geo_point_valid(query->near));
    assert(!query->has_box || geo_box_valid(&query->box));
    assert(query->radius_m >= 0 && (isinf(query->radius_m) || query->radius_m <= GEO_RADIUS_M_MAX));
    assert(query->limit <= QUERY_LIMIT_MAX && query->offset <= HTTP_OFFSET_MAX);
    assert(query->group_count <= RTREE_THEME_GROUPS_MAX);
    assert(query->municipality_count <= QUERY_VALUES_MAX);
    assert(query->text.size <= QUERY_TEXT_BYTES_MAX);
    assert((query->collections & ~COLLECTION_MASK_PUBLIC) == 0);
    for (size_t i = 0; i < query->group_count; i++) {
        assert(query->groups[i].count >= 1 && query->groups[i].count <= RTREE_THEME_SETS_MAX);
        for (size_t j = 0; j < query->groups[i].count; j++)
            assert(theme_slug_valid(query->groups[i].slugs[j]));
    }
}

static void check_cursor(const struct http_params *params)
{
    struct buffer text = {0};
    struct query_cursor again;
    uint64_t binding;

    http_params_cursor_put(&text, &params->cursor, params->cursor_binding);
    assert(http_params_cursor_parse(buffer_span(&text), &again, &binding) == TORG_OK);
    assert(again.document == params->cursor.document && binding == params->cursor_binding);
    buffer_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_query pairs;
    static struct http_params params;
    static struct problems problems;
    uint64_t all = (UINT64_C(1) << HTTP_PARAM_COUNT) - 1;

    if (seal_init() || http_request_query_parse(span_of(data, size), &pairs))
        return 0;
    for (int form = 0; form <= 1; form++) {
        problems.count = 0;
        if (http_params_read(&pairs, all, HTTP_FORMAT_GEOJSON | HTTP_FORMAT_CSV, form, &params,
                             &problems)) {
            assert(problems.count > 0 && problems.items[0].text[0]);
            continue;
        }
        assert(problems.count == 0);
        check_query(&params.query);
        (void)http_params_binding(&params);
        if (params.given & HTTP_PARAM_BIT(CURSOR))
            check_cursor(&params);
        http_params_done(&params);
    }
    return 0;
}

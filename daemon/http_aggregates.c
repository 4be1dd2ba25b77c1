/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_aggregates.h"
#include "daemon/http_link.h"
#include "daemon/http_reply.h"

#include <string.h>

#include "daemon/http_origins.h"
#include "daemon/http_words.h"
#include "daemon/json_out.h"
#include "index/aggregate.h"
#include "protocol/gazetteer.h"
#include "protocol/listing_csv.h"
#include "protocol/num.h"

static const char *const asker_names[] = {"company", "municipality", "association", "notStated"};

static const char *municipality_name(const struct aggregate_cell *cell)
{
    const char *name = gazetteer_municipality(span_of_str(cell->municipality));

    return name ? name : "";
}

static const struct theme *theme_of(const struct http_exchange *exchange,
                                    const struct aggregate_cell *cell)
{
    return theme_tree_find(exchange->node->themes, span_of_str(cell->theme));
}

static void put_row_json(struct http_exchange *exchange, const struct aggregate_cell *cell,
                         unsigned by)
{
    struct buffer *out = &exchange->reply.body;

    json_out_begin(out, NULL, '{');
    if (by & AGGREGATE_BY_THEME) {
        const struct theme *theme = theme_of(exchange, cell);

        json_out_text(out, "theme", cell->theme);
        json_out_begin(out, "themeName", '{');
        for (size_t i = 0; theme && i < theme->name_count; i++)
            json_out_text(out, theme->languages[i], theme->names[i]);
        json_out_end(out, '}');
    }
    if (by & AGGREGATE_BY_AREA)
        json_out_text(out, "area", cell->area);
    if (by & AGGREGATE_BY_MUNICIPALITY) {
        json_out_text(out, "municipality", cell->municipality);
        json_out_text(out, "municipalityName", municipality_name(cell));
    }
    json_out_int(out, "needs", (int64_t)cell->needs);
    json_out_int(out, "people", (int64_t)cell->people);
    json_out_begin(out, "askers", '{');
    for (size_t i = 0; i < ARRAY_SIZE(asker_names); i++)
        json_out_int(out, asker_names[i], (int64_t)cell->askers[i]);
    json_out_end(out, '}');
    json_out_end(out, '}');
}

static void put_json(struct http_exchange *exchange, const struct aggregate_table *table,
                     unsigned by)
{
    static const char *const titles[] = {"Uttalade kompetensbehov", "Stated competence needs"};
    struct buffer *out = &exchange->reply.body;

    json_out_begin(out, NULL, '{');
    json_out_text(out, "title", titles[http_words_language(exchange->params.language)]);
    json_out_time(out, "timeStamp", exchange->now_ms);
    json_out_int(out, "needs", (int64_t)table->needs);
    json_out_begin(out, "rows", '[');
    for (size_t i = 0; i < table->count; i++)
        put_row_json(exchange, &table->cells[i], by);
    json_out_end(out, ']');
    json_out_begin(out, "links", '[');
    http_link_self(exchange, out, http_params_format_type(HTTP_FORMAT_JSON));
    buffer_put_str(out, "]}\n");
}

static void put_cell(struct buffer *out, const char *text)
{
    csv_put_cell(out, span_of_str(text));
    buffer_put_u8(out, ',');
}

static void put_csv(struct http_exchange *exchange, const struct aggregate_table *table,
                    unsigned by)
{
    struct buffer *out = &exchange->reply.body;

    buffer_put_str(out, by & AGGREGATE_BY_THEME ? "theme,themeName," : "");
    buffer_put_str(out, by & AGGREGATE_BY_AREA ? "area," : "");
    buffer_put_str(out, by & AGGREGATE_BY_MUNICIPALITY ? "municipality,municipalityName," : "");
    buffer_put_str(out, "needs,people,askersCompany,askersMunicipality,askersAssociation,"
                        "askersNotStated\r\n");
    for (size_t i = 0; i < table->count; i++) {
        const struct aggregate_cell *cell = &table->cells[i];

        if (by & AGGREGATE_BY_THEME) {
            const struct theme *theme = theme_of(exchange, cell);

            put_cell(out, cell->theme);
            put_cell(out, theme ? theme_name(theme, "sv") : cell->theme);
        }
        if (by & AGGREGATE_BY_AREA)
            put_cell(out, cell->area);
        if (by & AGGREGATE_BY_MUNICIPALITY) {
            put_cell(out, cell->municipality);
            put_cell(out, municipality_name(cell));
        }
        num_put_int(out, (int64_t)cell->needs);
        buffer_put_u8(out, ',');
        num_put_int(out, (int64_t)cell->people);
        for (size_t j = 0; j < ARRAY_SIZE(asker_names); j++) {
            buffer_put_u8(out, ',');
            num_put_int(out, (int64_t)cell->askers[j]);
        }
        buffer_put_str(out, "\r\n");
    }
}

static enum torg_err answer(struct http_exchange *exchange, const struct kv *kv)
{
    struct query *query = &exchange->params.query;
    unsigned by = exchange->params.by ? exchange->params.by : AGGREGATE_BY_THEME;
    struct aggregate_table table = {0};
    const struct http_origins *origins;
    enum torg_err err = http_origins_get(exchange, kv, &origins);

    if (err)
        return err;
    http_origins_resolve(origins, &exchange->params);
    query->collections = 1u << COLLECTION_NEEDS;
    if (!exchange->params.never)
        err = aggregate_competence_needs(kv, exchange->node->themes, query, by, &table);
    if (err)
        return err;
    http_reply_begin(exchange, 200, http_params_format_type(exchange->params.format));
    http_origins_reply_state(exchange, origins, query);
    if (exchange->params.format == HTTP_FORMAT_CSV)
        put_csv(exchange, &table, by);
    else
        put_json(exchange, &table, by);
    aggregate_table_done(&table);
    return exchange->reply.body.err;
}

enum torg_err http_aggregates_needs(struct http_exchange *exchange)
{
    return http_reply_read(exchange, answer);
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include "tools/query_print.h"

#include "tools/cli.h"

static const char *property(const json_t *feature, const char *name)
{
    const char *text =
        json_string_value(json_object_get(json_object_get(feature, "properties"), name));

    return text ? text : "";
}

/* A name in Swedish, or in whatever language there is. */
static const char *feature_name(const json_t *feature)
{
    json_t *name = json_object_get(json_object_get(feature, "properties"), "name");
    const char *text = json_string_value(name);
    const char *language;
    json_t *value;

    if (!text)
        text = json_string_value(json_object_get(name, "sv"));
    if (text)
        return text;
    json_object_foreach(name, language, value) return json_string_value(value);
    return "";
}

void query_print_features(const json_t *answer, FILE *out)
{
    static const char *const titles[] = {">distance", "name", "collection", "municipality", "id"};
    json_t *features = json_object_get(answer, "features");
    struct cli_table table;
    const json_t *feature;
    size_t i;

    cli_table_begin(&table, titles, ARRAY_SIZE(titles));
    json_array_foreach(features, i, feature)
    {
        json_t *distance = json_object_get(json_object_get(feature, "properties"), "distance");
        const char *id = json_string_value(json_object_get(feature, "id"));

        if (json_is_number(distance))
            cli_table_cell(&table, "%.3f km", json_number_value(distance) / 1000);
        else
            cli_table_cell(&table, "-");
        cli_table_cell(&table, "%s", feature_name(feature));
        cli_table_cell(&table, "%s", property(feature, "collection"));
        cli_table_cell(&table, "%s", property(feature, "municipality"));
        cli_table_cell(&table, "%s", id ? id : "");
    }
    cli_table_end(&table, out);
    fprintf(out, "%zu of %lld\n", json_array_size(features),
            (long long)json_integer_value(json_object_get(answer, "numberMatched")));
}

static long long integer(const json_t *object, const char *name)
{
    return (long long)json_integer_value(json_object_get(object, name));
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "";
}

/* Themes have names in several languages, the others one, or none. */
static const char *facet_name(const json_t *value)
{
    const json_t *name = json_object_get(value, "name");
    const char *text = json_string_value(name);

    if (!text)
        text = json_string_value(json_object_get(name, "sv"));
    return text ? text : "";
}

void query_print_facets(const json_t *answer, FILE *out)
{
    json_t *facets = json_object_get(answer, "facets");
    const char *facet;
    json_t *values;

    json_object_foreach(facets, facet, values)
    {
        const char *titles[] = {facet, ">listings", "name"};
        struct cli_table table;
        const json_t *value;
        size_t i;

        fputc('\n', out);
        cli_table_begin(&table, titles, ARRAY_SIZE(titles));
        json_array_foreach(values, i, value)
        {
            cli_table_cell(&table, "%s", text_of(value, "value"));
            cli_table_cell(&table, "%lld", integer(value, "count"));
            cli_table_cell(&table, "%s", facet_name(value));
        }
        cli_table_end(&table, out);
    }
}

static void print_part(const json_t *part, bool last, FILE *out)
{
    long long by_tree = integer(part, "byTree");

    fprintf(out, "%s %s %s: %lld matched, by %s\n", last ? "`-" : "|-", text_of(part, "collection"),
            json_is_true(json_object_get(part, "placed")) ? "with a place" : "without a place",
            integer(part, "matched"), text_of(part, "driver"));
    fprintf(out, "%s   of %lld; place, themes and time leave %lld", last ? "  " : "| ",
            integer(part, "documents"), by_tree);
    if (json_object_get(part, "byPostings"))
        fprintf(out, ", the filters %lld", integer(part, "byPostings"));
    fprintf(out, "%s\n",
            json_is_true(json_object_get(part, "compared")) ? ", compared further" : "");
}

void query_print_explain(const json_t *answer, FILE *out)
{
    const json_t *explain = json_object_get(answer, "explain");
    const json_t *parts = json_object_get(explain, "parts");
    const json_t *visited = json_object_get(explain, "visited");
    const json_t *filters = json_object_get(explain, "filters");
    const json_t *filter;
    const json_t *part;
    size_t i;

    if (!explain)
        return;
    fprintf(out, "\n%lld matched; the page by %s\n", integer(answer, "numberMatched"),
            text_of(explain, "driver"));
    json_array_foreach(filters, i, filter)
        fprintf(out, "|- filter %s: %lld listings, by %s\n", text_of(filter, "name"),
                integer(filter, "listings"), text_of(filter, "by"));
    if (json_object_get(explain, "set"))
        fprintf(out, "|- all filters: %lld listings\n", integer(explain, "set"));
    json_array_foreach(parts, i, part) print_part(part, i + 1 == json_array_size(parts), out);
    fprintf(out,
            "visited: %lld nodes, %lld leaves with %lld items; %lld hits, %lld rows, "
            "%lld postings; %lld geodesics\nwork: %lld of at most %lld\n",
            integer(visited, "nodes"), integer(visited, "leaves"), integer(visited, "items"),
            integer(visited, "hits"), integer(visited, "rows"), integer(visited, "postings"),
            integer(visited, "geodesics"), integer(explain, "work"), integer(explain, "workMax"));
}

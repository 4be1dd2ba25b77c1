/* SPDX-License-Identifier: EUPL-1.2 */
#include "tools/feature_source.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "protocol/listing_geojson.h"

#define RECORD_SEPARATOR 0x1e

enum feature_format feature_format_of_name(const char *name)
{
    if (strcmp(name, "geojson") == 0)
        return FEATURE_GEOJSON;
    if (strcmp(name, "geojsonseq") == 0)
        return FEATURE_GEOJSONSEQ;
    if (strcmp(name, "csv") == 0)
        return FEATURE_CSV;
    return FEATURE_FORMAT_UNKNOWN;
}

enum feature_format feature_format_of_path(const char *path)
{
    static const struct {
        const char *ending;
        enum feature_format format;
    } endings[] = {
        {".geojson", FEATURE_GEOJSON},
        {".json", FEATURE_GEOJSON},
        {".geojsonl", FEATURE_GEOJSONSEQ},
        {".geojsons", FEATURE_GEOJSONSEQ},
        {".geojsonseq", FEATURE_GEOJSONSEQ},
        {".ndjson", FEATURE_GEOJSONSEQ},
        {".jsonl", FEATURE_GEOJSONSEQ},
        {".csv", FEATURE_CSV},
        {".tsv", FEATURE_CSV},
    };
    const char *dot = strrchr(path, '.');

    for (size_t i = 0; dot && i < ARRAY_SIZE(endings); i++) {
        if (strcasecmp(dot, endings[i].ending) == 0)
            return endings[i].format;
    }
    return FEATURE_FORMAT_UNKNOWN;
}

static enum torg_err open_geojson(struct feature_source *source)
{
    const char *type;
    enum torg_err err;

    if (source->text.size > FEATURE_JSON_BYTES_MAX) {
        snprintf(source->message, sizeof(source->message),
                 "a GeoJSON file of more than %u MB is not read whole: write it as GeoJSON-seq, "
                 "one feature a line, and import that",
                 FEATURE_JSON_BYTES_MAX >> 20);
        return TORG_E_TOO_BIG;
    }
    err =
        listing_json_parse(source->text, &source->whole, source->message, sizeof(source->message));
    if (err)
        return err;
    type = json_string_value(json_object_get(source->whole, "type"));
    if (json_is_array(source->whole)) {
        source->items = source->whole;
    } else if (type && strcmp(type, "FeatureCollection") == 0) {
        source->items = json_object_get(source->whole, "features");
    } else if (type && strcmp(type, "Feature") == 0) {
        json_t *array = json_pack("[o]", source->whole);

        if (!array)
            return TORG_E_NOMEM;
        source->whole = array;
        source->items = array;
    }
    if (json_is_array(source->items))
        return TORG_OK;
    snprintf(source->message, sizeof(source->message),
             "this is JSON, but neither a FeatureCollection nor a Feature");
    return TORG_E_INVALID;
}

static size_t id_column_find(const struct csv_reader *header)
{
    for (size_t i = 0; i < header->field_count; i++) {
        if (span_equal(header->fields[i], span_of_str("id")))
            return i;
    }
    return SIZE_MAX;
}

/* Every column that is not understood, a line each. */
static void say_header(struct feature_source *source, const struct problems *problems)
{
    size_t shown = problems->count < PROBLEMS_MAX ? problems->count : PROBLEMS_MAX;
    size_t used = (size_t)snprintf(source->message, sizeof(source->message), "the header is wrong");

    for (size_t i = 0; i < shown && used < sizeof(source->message); i++)
        used += (size_t)snprintf(source->message + used, sizeof(source->message) - used,
                                 "\n  %s: %s", problems->items[i].path, problems->items[i].text);
    if (problems->count > shown && used < sizeof(source->message))
        snprintf(source->message + used, sizeof(source->message) - used, "\n  and %zu more",
                 problems->count - shown);
}

static enum torg_err open_csv(struct feature_source *source)
{
    struct problems problems = {0};
    enum torg_err err;

    if (source->collection == 0) {
        snprintf(source->message, sizeof(source->message),
                 "CSV needs --collection NAME: what are these rows?");
        return TORG_E_INVALID;
    }
    csv_reader_init(&source->csv, source->text);
    err = csv_reader_next(&source->csv);
    if (err) {
        snprintf(source->message, sizeof(source->message), "%s",
                 err == TORG_E_INVALID ? source->csv.problem : "no header line");
        return err;
    }
    source->id_column = id_column_find(&source->csv);
    err = csv_columns_new(source->collection, &source->csv, &source->columns, &problems);
    if (err && problems.count > 0)
        say_header(source, &problems);
    else if (err)
        snprintf(source->message, sizeof(source->message), "the header: %s", torg_err_text(err));
    return err;
}

enum torg_err feature_source_open(struct feature_source *source, enum feature_format format,
                                  struct span text, uint8_t collection, const char *language)
{
    *source = (struct feature_source){
        .format = format, .text = text, .collection = collection, .language = language};
    if (format == FEATURE_GEOJSON)
        return open_geojson(source);
    if (format == FEATURE_CSV)
        return open_csv(source);
    return TORG_OK;
}

void feature_source_close(struct feature_source *source)
{
    json_decref(source->whole);
    if (source->format == FEATURE_CSV) {
        csv_columns_free(source->columns);
        csv_reader_done(&source->csv);
    }
    *source = (struct feature_source){0};
}

void feature_source_progress(const struct feature_source *source, uint64_t *ret_done,
                             uint64_t *ret_total)
{
    if (source->format == FEATURE_GEOJSON) {
        *ret_done = source->row;
        *ret_total = json_array_size(source->items);
        return;
    }
    *ret_done = source->format == FEATURE_CSV ? source->csv.at : source->at;
    *ret_total = source->text.size;
}

static enum torg_err next_geojson(struct feature_source *source, json_t **ret_feature)
{
    json_t *feature = json_array_get(source->items, source->row);

    if (!feature)
        return TORG_E_NOT_FOUND;
    source->row++;
    *ret_feature = json_incref(feature);
    return TORG_OK;
}

/* The next line that is not blank, without a record separator at its start. */
static struct span next_line(struct feature_source *source)
{
    while (source->at < source->text.size) {
        const uint8_t *start = source->text.data + source->at;
        size_t left = source->text.size - source->at;
        const uint8_t *end = memchr(start, '\n', left);
        struct span line = span_of(start, end ? (size_t)(end - start) : left);

        source->at += line.size + (end != NULL);
        source->line++;
        if (line.size > 0 && line.data[0] == RECORD_SEPARATOR)
            line = span_of(line.data + 1, line.size - 1);
        if (line.size > 0 && line.data[line.size - 1] == '\r')
            line.size--;
        if (line.size > 0)
            return line;
    }
    return (struct span){0};
}

static enum torg_err next_geojsonseq(struct feature_source *source, json_t **ret_feature,
                                     struct problems *problems)
{
    struct span line = next_line(source);
    char message[200];
    enum torg_err err;

    if (line.size == 0)
        return TORG_E_NOT_FOUND;
    source->row++;
    err = listing_json_parse(line, ret_feature, message, sizeof(message));
    if (err == TORG_E_NOMEM)
        return err;
    if (err)
        problems_add(problems, "", "%s", message);
    return err ? TORG_E_INVALID : TORG_OK;
}

/* A CSV row, checked and packed, goes on as the feature that it stands for. */
static enum torg_err feature_of_body(const struct feature_source *source, struct span body,
                                     json_t **ret_feature)
{
    struct listing_meta meta = {.collection = source->collection};
    struct buffer text = {0};
    char message[200];
    enum torg_err err = listing_put_geojson(&meta, body, &text);

    if (!err)
        err = text.err;
    if (!err)
        err = listing_json_parse(buffer_span(&text), ret_feature, message, sizeof(message));
    buffer_done(&text);
    if (!err)
        json_object_del(*ret_feature, "id");
    return err;
}

/* What was exported says by its id which listing it is; without it each import made copies. */
static enum torg_err id_keep(const struct feature_source *source, json_t **feature)
{
    struct span id;

    if (source->id_column >= source->csv.field_count)
        return TORG_OK;
    id = source->csv.fields[source->id_column];
    if (id.size == 0)
        return TORG_OK;
    if (json_object_set_new(*feature, "id", json_stringn((const char *)id.data, id.size)) == 0)
        return TORG_OK;
    json_decref(*feature);
    *feature = NULL;
    return TORG_E_NOMEM;
}

static enum torg_err next_csv(struct feature_source *source, json_t **ret_feature,
                              struct problems *problems)
{
    struct buffer body = {0};
    enum torg_err err = csv_reader_next(&source->csv);

    if (err == TORG_E_NOT_FOUND)
        return err;
    source->row++;
    source->line = source->csv.line;
    if (err) {
        problems_add(problems, "", "%s",
                     err == TORG_E_INVALID ? source->csv.problem : torg_err_text(err));
        return TORG_E_INVALID;
    }
    err = listing_of_csv(source->columns, &source->csv, source->language, 0, 0, &body, problems);
    if (!err)
        err = feature_of_body(source, buffer_span(&body), ret_feature);
    if (!err)
        err = id_keep(source, ret_feature);
    buffer_done(&body);
    return err;
}

enum torg_err feature_source_next(struct feature_source *source, json_t **ret_feature,
                                  struct problems *problems)
{
    if (source->format == FEATURE_GEOJSON)
        return next_geojson(source, ret_feature);
    if (source->format == FEATURE_GEOJSONSEQ)
        return next_geojsonseq(source, ret_feature, problems);
    return next_csv(source, ret_feature, problems);
}

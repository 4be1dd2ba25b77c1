/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TOOLS_FEATURE_SOURCE_H
#define TORG_TOOLS_FEATURE_SOURCE_H

#include <jansson.h>

#include "protocol/listing_csv.h"

/*
 * The rows of an import file, one GeoJSON feature at a time, whatever the
 * file's format. GeoJSON (a FeatureCollection, a Feature or an array of them)
 * is read whole; GeoJSON-seq (RFC 8142, or one feature a line) and CSV a row at
 * a time.
 */
#define FEATURE_FILE_BYTES_MAX (1u << 30)
#define FEATURE_JSON_BYTES_MAX (128u << 20) /* whole files as one tree */

enum feature_format { FEATURE_FORMAT_UNKNOWN, FEATURE_GEOJSON, FEATURE_GEOJSONSEQ, FEATURE_CSV };

enum feature_format feature_format_of_name(const char *name);
/* By the file's ending; FEATURE_FORMAT_UNKNOWN if it tells nothing. */
enum feature_format feature_format_of_path(const char *path);

struct feature_source {
    enum feature_format format;
    struct span text;
    size_t at;
    size_t line;   /* of the row last given, from 1; 0 when the format has none */
    size_t row;    /* of the row last given, from 1 */
    json_t *whole; /* GeoJSON */
    json_t *items; /* borrowed from whole */
    struct csv_reader csv;
    struct csv_columns *columns;
    size_t id_column;   /* CSV: which column names a listing that there is; SIZE_MAX for none */
    uint8_t collection; /* CSV: rows have no collection of their own */
    const char *language;
    char message[8000]; /* why the source could not be opened */
};

/* text is borrowed. TORG_E_INVALID, TORG_E_TOO_BIG: message says what and where. */
enum torg_err feature_source_open(struct feature_source *source, enum feature_format format,
                                  struct span text, uint8_t collection, const char *language);
void feature_source_close(struct feature_source *source);
/* Bytes or rows done and in all, for a progress bar. */
void feature_source_progress(const struct feature_source *source, uint64_t *ret_done,
                             uint64_t *ret_total);

/*
 * The next row as a new reference. TORG_E_NOT_FOUND at the end. TORG_E_INVALID:
 * this row cannot be read, problems say why, and the next may be asked for.
 */
enum torg_err feature_source_next(struct feature_source *source, json_t **ret_feature,
                                  struct problems *problems);

#endif

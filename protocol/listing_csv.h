/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_LISTING_CSV_H
#define TORG_PROTOCOL_LISTING_CSV_H

#include "protocol/listing.h"

/*
 * CSV (RFC 4180, UTF-8) in and out. One header line with stable columns:
 * property names, language maps as name.sv, maps as address.locality, the
 * position as longitude and latitude, lists joined by ';'. Other geometries
 * than points are in the column geometry as GeoJSON.
 */
#define CSV_FIELD_BYTES_MAX 65536
#define CSV_COLUMNS_MAX 256

/* Splits text into records; remembers where it is for messages. */
struct csv_reader {
    struct span text;
    size_t at;
    size_t line; /* of the record last read, from 1 */
    char separator;
    struct buffer scratch;
    size_t field_count;
    struct span fields[CSV_COLUMNS_MAX];
};

/* Skips a byte order mark; takes ',', ';' or tab, whichever the first line uses most. */
void csv_reader_init(struct csv_reader *csv, struct span text);
void csv_reader_done(struct csv_reader *csv);
/* The next record; TORG_E_NOT_FOUND at the end, TORG_E_INVALID on broken quoting. */
enum torg_err csv_reader_next(struct csv_reader *csv);

struct csv_columns; /* what each column of a file means */
/* From the header record. Unknown columns are problems. */
enum torg_err csv_columns_new(uint8_t collection, const struct csv_reader *header,
                              struct csv_columns **ret_columns, struct problems *problems);
void csv_columns_free(struct csv_columns *columns);

/* One record to a packed body, as listing_of_geojson does. */
enum torg_err listing_of_csv(const struct csv_columns *columns, const struct csv_reader *record,
                             const char *language, int64_t created_ms, int64_t modified_ms,
                             struct buffer *ret_body, struct problems *problems);

/* The stable header of a collection, and one listing as a record (with CRLF). */
struct listing_meta;
void csv_put_header(uint8_t collection, struct buffer *out);
enum torg_err listing_put_csv(const struct listing_meta *meta, struct span body,
                              struct buffer *out);
/* One cell, quoted when needed; a leading = + - @ is neutralised with an apostrophe. */
void csv_put_cell(struct buffer *out, struct span cell);

#endif

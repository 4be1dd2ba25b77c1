/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_LISTING_CSV_H
#define TORG_PROTOCOL_LISTING_CSV_H

#include "protocol/listing.h"

/*
 * CSV (RFC 4180, UTF-8) in and out. One header line with stable columns:
 * property names, language maps as name.sv, maps as address.locality, the
 * position as longitude and latitude, lists joined by ';'. Other geometries
 * than points are in the column geometry as GeoJSON, lists of objects as JSON.
 * docs/listings.md, "CSV", tells people.
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
    struct span fields[CSV_COLUMNS_MAX]; /* valid until the next record */
    const char *problem;                 /* the reason of TORG_E_INVALID; static storage */
    size_t next_line;
    bool unreadable; /* not UTF-8: problem says what it seems to be */
};

/* Skips a byte order mark; takes ',', ';' or tab, whichever the first line uses most. */
void csv_reader_init(struct csv_reader *csv, struct span text);
void csv_reader_done(struct csv_reader *csv);
/*
 * The next record; records without any content are passed over.
 * TORG_E_NOT_FOUND at the end. TORG_E_INVALID, with the reason in problem: for
 * broken quoting or a limit, and the next call goes on behind it; for text that
 * is not UTF-8, always. TORG_E_NOMEM.
 */
enum torg_err csv_reader_next(struct csv_reader *csv);

struct csv_columns; /* what each column of a file means */
/*
 * From the header record; the separator is taken over: with ';', numbers may
 * have a decimal comma. Unknown columns are problems, and TORG_E_INVALID; the
 * API's own (id, collection, origin, created ...) are passed over.
 */
enum torg_err csv_columns_new(uint8_t collection, const struct csv_reader *header,
                              struct csv_columns **ret_columns, struct problems *problems);
void csv_columns_free(struct csv_columns *columns);

/*
 * One record to a packed body, as listing_of_geojson does. Empty cells are
 * absent. The paths of problems are column names.
 */
enum torg_err listing_of_csv(const struct csv_columns *columns, const struct csv_reader *record,
                             const char *language, int64_t created_ms, int64_t modified_ms,
                             struct buffer *ret_body, struct problems *problems);

/*
 * The stable header of a collection, and one listing as a record (both with
 * CRLF). What CSV cannot carry is left out: languages without a column of their
 * own, and properties that the table does not know.
 */
struct listing_meta;
void csv_put_header(uint8_t collection, struct buffer *out);
enum torg_err listing_put_csv(const struct listing_meta *meta, struct span body,
                              struct buffer *out);
/*
 * One cell, quoted when needed. A leading = + - @ is neutralised with an
 * apostrophe, so that a spreadsheet does not run it; apostrophes before such a
 * sign get one more, so that csv_cell_text can take exactly one back.
 */
void csv_put_cell(struct buffer *out, struct span cell);
/* What csv_put_cell was given, of a field as a reader gives it. */
struct span csv_cell_text(struct span field);

/*
 * The column that a Swedish or spreadsheet-like heading ("Företag", "Postnr",
 * "X") probably means, for a message; NULL when none is known. Case, accents,
 * hyphens and spaces do not matter. Static storage.
 */
const char *csv_column_meant(struct span heading);

/* The languages that have columns; ends with NULL. */
extern const char *const csv_languages[];

#endif

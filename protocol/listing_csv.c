/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/listing_csv.h"

#include <string.h>

/* RFC 4180, and what spreadsheets make of it: other separators, other line ends. */

const char *const csv_languages[] = {"sv",  "en",  "fi",  "fit", "se",
                                     "smj", "sma", "sje", "sju", NULL};

static char find_separator(struct span text)
{
    static const char separators[] = ",;\t";
    size_t counts[3] = {0};
    bool quoted = false;
    size_t best = 0;

    for (size_t i = 0; i < text.size; i++) {
        const char *found;

        if (text.data[i] == '"')
            quoted = !quoted;
        if (!quoted && (text.data[i] == '\n' || text.data[i] == '\r'))
            break;
        found = text.data[i] ? strchr(separators, text.data[i]) : NULL;
        if (!quoted && found)
            counts[found - separators]++;
    }
    for (size_t i = 1; i < ARRAY_SIZE(counts); i++) {
        if (counts[i] > counts[best])
            best = i;
    }
    return separators[best];
}

static const char *encoding_problem(struct span text)
{
    if (text.size >= 2 &&
        (memcmp(text.data, "\xff\xfe", 2) == 0 || memcmp(text.data, "\xfe\xff", 2) == 0))
        return "the file is UTF-16, not UTF-8: save it as \"CSV UTF-8\"";
    if (!utf8_valid(text))
        return "the file is not UTF-8, it seems to be Latin-1 (Windows-1252): save it as \"CSV "
               "UTF-8\"";
    return NULL;
}

void csv_reader_init(struct csv_reader *csv, struct span text)
{
    memset(csv, 0, sizeof(*csv));
    csv->problem = encoding_problem(text);
    csv->unreadable = csv->problem != NULL;
    if (text.size >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0)
        text = span_of(text.data + 3, text.size - 3);
    csv->text = text;
    csv->next_line = 1;
    csv->separator = find_separator(text);
}

void csv_reader_done(struct csv_reader *csv)
{
    buffer_done(&csv->scratch);
    *csv = (struct csv_reader){0};
}

static bool at_end(const struct csv_reader *csv)
{
    return csv->at >= csv->text.size;
}

static uint8_t peek(const struct csv_reader *csv)
{
    return csv->text.data[csv->at];
}

static bool at_line_end(const struct csv_reader *csv)
{
    return at_end(csv) || peek(csv) == '\n' || peek(csv) == '\r';
}

/* Past LF, CRLF or a lone CR. */
static void pass_line_end(struct csv_reader *csv)
{
    if (at_end(csv))
        return;
    if (csv->text.data[csv->at++] == '\r' && !at_end(csv) && peek(csv) == '\n')
        csv->at++;
    csv->next_line++;
}

static enum torg_err broken(struct csv_reader *csv, const char *problem)
{
    while (!at_line_end(csv))
        csv->at++;
    pass_line_end(csv);
    csv->problem = problem;
    return TORG_E_INVALID;
}

/* A field's place: in the text as it stands, or in scratch without its doubled quotes. */
struct place {
    bool in_scratch;
    size_t start;
    size_t size;
};

static enum torg_err read_quoted(struct csv_reader *csv, struct place *ret_place)
{
    size_t start = csv->scratch.size;

    csv->at++;
    for (;;) {
        const uint8_t *from = csv->text.data + csv->at;
        const uint8_t *quote = at_end(csv) ? NULL : memchr(from, '"', csv->text.size - csv->at);

        if (!quote)
            return broken(csv, "a quote is opened but never closed");
        for (const uint8_t *p = from; p < quote; p++)
            csv->next_line += *p == '\n';
        buffer_put(&csv->scratch, from, (size_t)(quote - from));
        csv->at += (size_t)(quote - from) + 1;
        if (at_end(csv) || peek(csv) != '"')
            break;
        buffer_put_u8(&csv->scratch, '"');
        csv->at++;
    }
    *ret_place = (struct place){true, start, csv->scratch.size - start};
    if (!at_line_end(csv) && peek(csv) != (uint8_t)csv->separator)
        return broken(csv, "text follows a closing quote; double the quotes that belong to text");
    return csv->scratch.err;
}

static enum torg_err read_field(struct csv_reader *csv, struct place *ret_place)
{
    size_t start = csv->at;
    enum torg_err err = TORG_OK;

    if (!at_end(csv) && peek(csv) == '"') {
        err = read_quoted(csv, ret_place);
    } else {
        while (!at_line_end(csv) && peek(csv) != (uint8_t)csv->separator)
            csv->at++;
        *ret_place = (struct place){false, start, csv->at - start};
    }
    if (!err && ret_place->size > CSV_FIELD_BYTES_MAX)
        return broken(csv, "a cell is longer than 65536 bytes");
    return err;
}

static enum torg_err read_record(struct csv_reader *csv, bool *ret_content)
{
    struct place places[CSV_COLUMNS_MAX];
    size_t count = 0;
    bool content = false;
    bool more = true;

    buffer_clear(&csv->scratch);
    csv->line = csv->next_line;
    while (more) {
        enum torg_err err;

        if (count == CSV_COLUMNS_MAX)
            return broken(csv, "the record has more than 256 cells");
        err = read_field(csv, &places[count]);
        if (err)
            return err;
        content = content || places[count].size > 0;
        count++;
        more = !at_line_end(csv);
        if (more)
            csv->at++;
    }
    pass_line_end(csv);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *base = places[i].in_scratch ? csv->scratch.data : csv->text.data;

        csv->fields[i] = span_of(places[i].size ? base + places[i].start : NULL, places[i].size);
    }
    csv->field_count = count;
    *ret_content = content;
    return TORG_OK;
}

enum torg_err csv_reader_next(struct csv_reader *csv)
{
    enum torg_err err = TORG_OK;
    bool content = false;

    csv->field_count = 0;
    if (csv->unreadable)
        return TORG_E_INVALID;
    while (!content && !err) {
        if (at_end(csv))
            return TORG_E_NOT_FOUND;
        err = read_record(csv, &content);
    }
    return err;
}

/* Does a spreadsheet take what follows any apostrophes for a formula? */
static bool is_formula(struct span cell)
{
    size_t at = 0;

    while (at < cell.size && cell.data[at] == '\'')
        at++;
    return at < cell.size && cell.data[at] && strchr("=+-@\t\r", cell.data[at]);
}

void csv_put_cell(struct buffer *out, struct span cell)
{
    bool formula = is_formula(cell);
    bool quote = false;

    for (size_t i = 0; i < cell.size && !quote; i++)
        quote = cell.data[i] && strchr("\",;\t\r\n", cell.data[i]);
    if (quote)
        buffer_put_u8(out, '"');
    if (formula)
        buffer_put_u8(out, '\'');
    for (size_t i = 0; i < cell.size; i++) {
        if (cell.data[i] == '"')
            buffer_put_u8(out, '"');
        buffer_put_u8(out, cell.data[i]);
    }
    if (quote)
        buffer_put_u8(out, '"');
}

struct span csv_cell_text(struct span field)
{
    if (field.size && field.data[0] == '\'' && is_formula(field))
        return span_of(field.data + 1, field.size - 1);
    return field;
}

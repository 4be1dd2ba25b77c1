/* SPDX-License-Identifier: EUPL-1.2 */
#include "tools/cli.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "protocol/ident.h"
#include "protocol/nearest.h"
#include "protocol/num.h"

#define LONG_NAME_BYTES 7

__attribute__((format(printf, 2, 0))) static void cli_say(const char *command, const char *format,
                                                          va_list args)
{
    fprintf(stderr, "torg %s: ", command);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

int cli_fail(const char *command, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    cli_say(command, format, args);
    va_end(args);
    return CLI_FAILED;
}

int cli_fail_store(const char *command, const char *directory, enum torg_err err)
{
    const char *why = err == TORG_E_IO ? strerror(errno) : torg_err_text(err);

    if (err == TORG_E_NOT_FOUND)
        return cli_fail(command,
                        "%s: there is no torg data here; torg init makes some, or name the right "
                        "directory in [municipality]",
                        directory);
    return cli_fail(command, "%s: %s", directory, why);
}

int cli_usage_told(const char *command)
{
    fprintf(stderr, "Try: torg %s --help\n", command);
    return CLI_USAGE;
}

int cli_usage(const char *command, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    cli_say(command, format, args);
    va_end(args);
    return cli_usage_told(command);
}

bool cli_words(const char *command, const char *verbs, int argc, char **argv,
               struct cli_words *ret_words)
{
    if (optind >= argc) {
        cli_usage(command, "%s", verbs);
        return false;
    }
    if (optind + 2 < argc) {
        cli_usage(command, "\"%s\" is one word too many", argv[optind + 2]);
        return false;
    }
    ret_words->verb = argv[optind];
    ret_words->object = optind + 1 < argc ? argv[optind + 1] : NULL;
    return true;
}

const char *cli_collection_near(const char *name)
{
    for (uint8_t c = 1; c < COLLECTIONS_MAX; c++) {
        const char *known = COLLECTION_MASK_PUBLIC >> c & 1 ? collection_name(c) : NULL;

        if (known && nearest_distance(span_of_str(name), span_of_str(known)) <=
                         (strlen(known) >= LONG_NAME_BYTES ? 2u : 1u))
            return known;
    }
    return NULL;
}

bool cli_number(const char *command, const char *option, const char *text, int64_t min, int64_t max,
                int64_t *ret_value)
{
    if (num_parse_int(span_of_str(text), min, max, ret_value) == TORG_OK)
        return true;
    cli_usage(command, "%s: \"%s\" is not a whole number from %" PRId64 " to %" PRId64, option,
              text, min, max);
    return false;
}

const char *cli_config_file(const char *command, const char *option)
{
    static const char *const places[] = {"federation.conf", "/etc/torg/federation.conf"};
    const char *from_environment = getenv("TORG_CONFIG");

    if (option)
        return option;
    if (from_environment && *from_environment)
        return from_environment;
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        if (access(places[i], R_OK) == 0)
            return places[i];
    }
    cli_usage(command, "which node? Give --config FILE (or set TORG_CONFIG); neither "
                       "./federation.conf nor /etc/torg/federation.conf can be read");
    return NULL;
}

bool cli_config(const char *command, const char *option, struct config *ret_config)
{
    const char *file = cli_config_file(command, option);
    char message[512];
    enum torg_err err;

    if (!file)
        return false;
    err = config_read(file, ret_config, message, sizeof(message));
    if (err)
        cli_fail(command, "%s", message);
    return err == TORG_OK;
}

static enum torg_err read_stream(FILE *in, size_t size_max, struct buffer *ret_text)
{
    size_t got;

    do {
        if (buffer_reserve(ret_text, 65536))
            return ret_text->err;
        got = fread(ret_text->data + ret_text->size, 1, 65536, in);
        ret_text->size += got;
        if (ret_text->size > size_max)
            return TORG_E_TOO_BIG;
    } while (got > 0);
    return ferror(in) ? TORG_E_IO : TORG_OK;
}

enum torg_err cli_read_file(const char *path, size_t size_max, struct buffer *ret_text)
{
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *in = is_stdin ? stdin : fopen(path, "rbe");
    enum torg_err err;

    if (!in)
        return TORG_E_IO;
    err = read_stream(in, size_max, ret_text);
    if (!is_stdin)
        fclose(in);
    return err;
}

int64_t cli_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Monotonic. */
static double seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void cli_progress_begin(struct cli_progress *progress, const char *label, uint64_t total)
{
    *progress = (struct cli_progress){
        .label = label, .total = total, .started_s = seconds_now(), .on = isatty(2) == 1};
    progress->drawn_s = progress->started_s;
}

static void progress_draw(const struct cli_progress *progress)
{
    double elapsed_s = seconds_now() - progress->started_s;
    double rate = elapsed_s > 0 ? (double)progress->done / elapsed_s : 0;
    char bar[31];
    size_t filled;

    if (progress->total == 0) {
        fprintf(stderr, "\r%s %" PRIu64 "  %.0f/s\033[K", progress->label, progress->done, rate);
        return;
    }
    filled = (size_t)((double)progress->done / (double)progress->total * 30);
    for (size_t i = 0; i < 30; i++)
        bar[i] = i < filled ? '#' : '.';
    bar[30] = '\0';
    fprintf(stderr, "\r%s [%s] %3.0f %%  %" PRIu64 "/%" PRIu64 "  %.0f/s", progress->label, bar,
            100.0 * (double)progress->done / (double)progress->total, progress->done,
            progress->total, rate);
    if (rate > 0 && progress->done < progress->total)
        fprintf(stderr, "  %.0f s left", (double)(progress->total - progress->done) / rate);
    fputs("\033[K", stderr);
}

void cli_progress_set(struct cli_progress *progress, uint64_t done)
{
    double now_s;

    progress->done = done;
    if (!progress->on)
        return;
    now_s = seconds_now();
    if (now_s - progress->drawn_s < 0.1)
        return;
    progress->drawn_s = now_s;
    progress_draw(progress);
}

void cli_progress_end(struct cli_progress *progress)
{
    if (!progress->on)
        return;
    progress_draw(progress);
    fputc('\n', stderr);
}

void cli_table_begin(struct cli_table *table, const char *const *titles, size_t columns)
{
    *table = (struct cli_table){.columns = columns};
    for (size_t i = 0; i < columns; i++)
        table->titles[i] = titles[i];
}

/* How many bytes at the beginning of text a terminal would obey; 0: it shows them. */
static size_t obeyed(const unsigned char *text, size_t size)
{
    bool has_third = size > 2 && text[0] == 0xe2;

    if (text[0] < 0x20 || text[0] == 0x7f)
        return 1;
    if (size > 1 && text[0] == 0xc2 && text[1] < 0xa0)
        return 2; /* U+0080 to U+009F */
    if (size > 1 && text[0] == 0xd8 && text[1] == 0x9c)
        return 2; /* U+061C, ARABIC LETTER MARK */
    if (has_third && text[1] == 0x80 &&
        (text[2] == 0x8e || text[2] == 0x8f || (text[2] >= 0xa8 && text[2] <= 0xae)))
        return 3; /* direction marks, line and paragraph separators, embeddings and overrides */
    if (has_third && text[1] == 0x81 && text[2] >= 0xa6 && text[2] <= 0xa9)
        return 3; /* isolates */
    return 0;
}

void cli_text_tame(char *text, size_t size)
{
    for (size_t i = 0; i < size;) {
        size_t count = obeyed((const unsigned char *)text + i, size - i);

        memset(text + i, '?', count);
        i += count ? count : 1;
    }
}

void cli_text_print(struct span text, FILE *out)
{
    struct buffer copy = {0};

    buffer_put_span(&copy, text);
    if (!copy.err && copy.size) {
        cli_text_tame((char *)copy.data, copy.size);
        (void)fwrite(copy.data, 1, copy.size, out);
    }
    buffer_done(&copy);
}

void cli_table_cell(struct cli_table *table, const char *format, ...)
{
    char cell[512];
    va_list args;

    va_start(args, format);
    vsnprintf(cell, sizeof(cell), format, args);
    va_end(args);
    cli_text_tame(cell, strlen(cell));
    buffer_put(&table->cells, cell, strlen(cell) + 1);
    table->count++;
}

/* Columns of a terminal: good enough for Latin text, one a code point. */
static size_t text_width(const char *text)
{
    size_t width = 0;

    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void put_padded(FILE *out, const char *text, size_t width, bool right, bool last)
{
    size_t pad = width > text_width(text) ? width - text_width(text) : 0;

    if (right)
        fprintf(out, "%*s%s", (int)pad, "", text);
    else if (last)
        fputs(text, out);
    else
        fprintf(out, "%s%*s", text, (int)pad, "");
    fputs(last ? "\n" : "  ", out);
}

void cli_table_end(struct cli_table *table, FILE *out)
{
    size_t widths[CLI_COLUMNS_MAX];
    const char *cell = (const char *)table->cells.data;

    if (table->cells.err) {
        buffer_done(&table->cells);
        return;
    }
    for (size_t i = 0; i < table->columns; i++)
        widths[i] = text_width(table->titles[i]) - (table->titles[i][0] == '>');
    for (size_t i = 0; i < table->count; i++, cell += strlen(cell) + 1) {
        size_t width = text_width(cell);

        if (width > widths[i % table->columns])
            widths[i % table->columns] = width;
    }
    for (size_t i = 0; i < table->columns; i++) {
        bool right = table->titles[i][0] == '>';

        put_padded(out, table->titles[i] + right, widths[i], right, i + 1 == table->columns);
    }
    cell = (const char *)table->cells.data;
    for (size_t i = 0; i < table->count; i++, cell += strlen(cell) + 1) {
        size_t column = i % table->columns;

        put_padded(out, cell, widths[column], table->titles[column][0] == '>',
                   column + 1 == table->columns);
    }
    buffer_done(&table->cells);
}

void cli_age(int64_t age_ms, char *out, size_t size)
{
    int64_t s = age_ms < 0 ? 0 : age_ms / 1000;

    if (s < 120)
        snprintf(out, size, "%" PRId64 " s", s);
    else if (s < 2 * 3600)
        snprintf(out, size, "%" PRId64 " min", s / 60);
    else if (s < 2 * 86400)
        snprintf(out, size, "%" PRId64 " h", s / 3600);
    else
        snprintf(out, size, "%" PRId64 " days", s / 86400);
}

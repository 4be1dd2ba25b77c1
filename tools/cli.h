/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TOOLS_CLI_H
#define TORG_TOOLS_CLI_H

#include <stdio.h>

#include "daemon/config.h"
#include "protocol/bytes.h"

/*
 * What the commands of torg share: how they speak to people. Results go to
 * standard output, everything else to standard error. Exit codes:
 */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1, /* it was tried and did not work */
    CLI_USAGE = 2,  /* the command line is wrong; nothing was tried */
};

/* Runs one command; argv[0] is its name. */
typedef int cli_run(int argc, char **argv);

struct cli_command {
    const char *name;
    const char *summary;
    cli_run *run;
};

int cmd_card(int argc, char **argv);
int cmd_charter(int argc, char **argv);
int cmd_collection(int argc, char **argv);
int cmd_export(int argc, char **argv);
int cmd_generate(int argc, char **argv);
int cmd_import(int argc, char **argv);
int cmd_init(int argc, char **argv);
int cmd_member(int argc, char **argv);
int cmd_peer(int argc, char **argv);
int cmd_query(int argc, char **argv);
int cmd_snapshot(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_token(int argc, char **argv);
int cmd_verify(int argc, char **argv);

/* "torg import: ..." on standard error. Returns CLI_FAILED. */
int cli_fail(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same, with a pointer to --help. Returns CLI_USAGE. */
int cli_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * A store that cannot be opened or read: what err means of directory. Returns CLI_FAILED.
 */
int cli_fail_store(const char *command, const char *directory, enum torg_err err);
/* Only the pointer, when getopt has said what is wrong. */
int cli_usage_told(const char *command);

/* What is left after the options of a command that has commands of its own. */
struct cli_words {
    const char *verb;
    const char *object; /* or NULL */
};
/* false: there is none (then the message is verbs), or one too many; it has been said. */
bool cli_words(const char *command, const char *verbs, int argc, char **argv,
               struct cli_words *ret_words);

/* Those that "there is no collection" is followed by. */
#define CLI_COLLECTIONS                                                                            \
    "companies, offers, events, jobs, courses, needs, service-points, places and networks"

/*
 * The collection of listings that was probably meant by name, which is none; NULL when none is
 * near: one letter away, two in long names.
 */
const char *cli_collection_near(const char *name);

/* A whole number within limits from an option's value; false after a message. */
bool cli_number(const char *command, const char *option, const char *text, int64_t min, int64_t max,
                int64_t *ret_value);

/*
 * The node's configuration: --config, or $TORG_CONFIG, or ./federation.conf,
 * or /etc/torg/federation.conf. False after a message.
 */
bool cli_config(const char *command, const char *option, struct config *ret_config);
/* The file that cli_config would read; NULL after a message. */
const char *cli_config_file(const char *command, const char *option);

/* Reads a whole file ("-": standard input) up to size_max. TORG_E_IO, TORG_E_TOO_BIG. */
enum torg_err cli_read_file(const char *path, size_t size_max, struct buffer *ret_text);

/* Milliseconds UTC. */
int64_t cli_now_ms(void);

/*
 * A progress bar on standard error while it is a terminal, else nothing.
 * total 0: unknown, shows a count.
 */
struct cli_progress {
    const char *label;
    uint64_t total;
    uint64_t done;
    double started_s;
    double drawn_s;
    bool on;
};
void cli_progress_begin(struct cli_progress *progress, const char *label, uint64_t total);
void cli_progress_set(struct cli_progress *progress, uint64_t done);
void cli_progress_end(struct cli_progress *progress);

/*
 * Text that others wrote, for a terminal: what would move its cursor, end the line or turn the
 * reading direction becomes "?", byte for byte. A name in a charter could else show keys that
 * it does not have.
 */
void cli_text_tame(char *text, size_t size);
/* Prints it so. */
void cli_text_print(struct span text, FILE *out);

/*
 * A table of text with aligned columns. Cells are copied, and tamed; a column is
 * right aligned when its title begins with '>'.
 */
#define CLI_COLUMNS_MAX 16
struct cli_table {
    size_t columns;
    const char *titles[CLI_COLUMNS_MAX];
    struct buffer cells; /* each ended by a zero byte, row by row */
    size_t count;
};
void cli_table_begin(struct cli_table *table, const char *const *titles, size_t columns);
void cli_table_cell(struct cli_table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Prints and frees. */
void cli_table_end(struct cli_table *table, FILE *out);

/* "3 min", "2 days": an age for people. out holds 32. */
void cli_age(int64_t age_ms, char *out, size_t size);

#endif

/* SPDX-License-Identifier: EUPL-1.2 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/admin.h"
#include "daemon/guard.h"
#include "index/catalogue.h"
#include "index/local.h"
#include "index/store.h"
#include "protocol/replica.h"
#include "tools/cli.h"

#define COMMAND "verify"
#define REPORTS_SHOWN_MAX 100

static const char help[] =
    "torg verify - recompute everything from what is stored\n"
    "\n"
    "usage: torg verify [options] [DIR]\n"
    "\n"
    "Checks, of every origin: the chain of charters and heads with their signatures, each\n"
    "listing's hash, the state trie and its root against the signed head, the order of\n"
    "changes; and of the index: documents, trees and counts against the listings. Says\n"
    "what is wrong and where. Reads only, also while torgd is running.\n"
    "\n"
    "  DIR              the data directory (default: that of --config)\n"
    "  --repair         say what is wrong with the index, then derive all of it again from\n"
    "                   the verified listings; torgd must be stopped. Listings and the\n"
    "                   log are never changed by it: damage there heals from the peers\n"
    "                   when torgd runs\n"
    "  --config FILE    the node's configuration\n"
    "  --help\n"
    "\n"
    "exit status: 0 when all is right, 1 when something is wrong\n";

struct verify {
    const char *config;
    const char *directory;
    bool repair;
    struct store *store;
    struct theme_tree *themes;
    char subject[256];
    uint64_t wrong;
    uint64_t listings;
};

static void report(void *context, const char *what)
{
    struct verify *verify = context;

    verify->wrong++;
    if (verify->wrong <= REPORTS_SHOWN_MAX)
        printf("wrong: %s: %s\n", verify->subject, what);
    else if (verify->wrong == REPORTS_SHOWN_MAX + 1)
        printf("wrong: and more; only the first %d are shown\n", REPORTS_SHOWN_MAX);
}

static void print_origin(const struct replica_origin *origin, const char *name, uint64_t wrong)
{
    uint64_t listings = 0;

    for (size_t c = 1; c < COLLECTIONS_MAX; c++)
        listings += origin->held[c].count;
    printf("%s  %s: epoch %" PRIu64 ", head %" PRIu64 ", seq %" PRIu64 ", %" PRIu64 " listings\n",
           wrong ? "WRONG" : "ok   ", name, origin->head.epoch, origin->head.hno, origin->head.seq,
           listings);
    for (uint8_t c = 1; c < COLLECTIONS_MAX; c++) {
        char root[65];

        if (origin->held[c].count == 0)
            continue;
        hex_encode(origin->held[c].digest.bytes, sizeof(origin->held[c].digest.bytes), root);
        printf("       %-16s %8" PRIu32 "  root %s\n",
               collection_name(c) ? collection_name(c) : "(unnamed)", origin->held[c].count, root);
    }
}

/* "Umeå kommun (0a1b2c3d...)" */
static void origin_name(const struct kv *kv, const struct replica_origin *origin, char *out,
                        size_t size)
{
    struct charter_signed charter_signed;
    struct charter charter;
    struct span bytes;
    char hex[17];

    hex_encode(origin->id.bytes, 8, hex);
    if (replica_charter_get(kv, origin->number, origin->charter_no, &bytes) ||
        charter_signed_parse(bytes, &charter_signed) ||
        charter_parse(charter_signed.bytes, &charter))
        snprintf(out, size, "origin %s", hex);
    else
        snprintf(out, size, "%.*s (%s)", (int)charter.name.size, (const char *)charter.name.data,
                 hex);
    cli_text_tame(out, strlen(out));
}

static enum torg_err verify_origins(struct verify *verify, const struct kv *kv)
{
    const struct origin_id *after = NULL;
    struct replica_origin origin;
    struct origin_id last;
    enum torg_err err;

    while ((err = replica_origin_next(kv, after, &origin)) == TORG_OK) {
        uint64_t wrong_before = verify->wrong;

        last = origin.id;
        after = &last;
        origin_name(kv, &origin, verify->subject, sizeof(verify->subject));
        err = replica_verify(kv, &origin, report, verify);
        if (err)
            return err;
        print_origin(&origin, verify->subject, verify->wrong - wrong_before);
    }
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

static enum torg_err verify_index(struct verify *verify, const struct kv *kv)
{
    uint64_t wrong_before = verify->wrong;
    uint64_t documents = 0;
    enum torg_err err;

    snprintf(verify->subject, sizeof(verify->subject), "index");
    err = catalogue_verify(kv, verify->themes, report, verify);
    if (err == TORG_E_CORRUPT) {
        report(verify, "cannot be read to its end");
        err = TORG_OK;
    }
    for (uint8_t c = 1; c < COLLECTIONS_MAX && !err; c++) {
        uint64_t count = 0;

        if (catalogue_count(kv, c, 0, &count) == TORG_OK) /* else it is said already */
            documents += count;
    }
    if (!err)
        printf("%s  index: %" PRIu64 " listings shown\n",
               verify->wrong > wrong_before ? "WRONG" : "ok   ", documents);
    return err;
}

static enum torg_err verify_local(struct verify *verify, const struct kv *kv)
{
    uint64_t wrong_before = verify->wrong;
    uint64_t features = 0;
    enum torg_err err;

    snprintf(verify->subject, sizeof(verify->subject), "local");
    err = local_verify(kv, report, verify, &features);
    if (err == TORG_E_CORRUPT) {
        report(verify, "cannot be read to its end; import the local collections again");
        err = TORG_OK;
    }
    if (!err && (features > 0 || verify->wrong > wrong_before))
        printf("%s  local: %" PRIu64 " features of local collections\n",
               verify->wrong > wrong_before ? "WRONG" : "ok   ", features);
    return err;
}

static enum torg_err verify_all(struct verify *verify)
{
    struct kv read;
    enum torg_err err = store_read_begin(verify->store, &read);

    if (err)
        return err;
    err = verify_origins(verify, &read);
    if (!err)
        err = verify_index(verify, &read);
    if (!err)
        err = verify_local(verify, &read);
    store_read_end(&read);
    return err;
}

static void repair_progress(void *context, uint64_t done, uint64_t total)
{
    struct cli_progress *progress = context;

    progress->total = total;
    cli_progress_set(progress, done);
}

/* What the operator will want to know later: what it was that the repair mended. */
static enum torg_err repair_name(struct verify *verify)
{
    struct kv read;
    enum torg_err err = store_read_begin(verify->store, &read);

    if (err)
        return err;
    puts("before the repair:");
    err = verify_index(verify, &read);
    store_read_end(&read);
    verify->wrong = 0;
    return err;
}

static enum torg_err repair(struct verify *verify)
{
    struct cli_progress progress;
    struct kv write;
    enum torg_err err = repair_name(verify);

    if (!err)
        err = store_write_begin(verify->store, &write);
    if (err)
        return err;
    cli_progress_begin(&progress, "index", 0);
    err = catalogue_rebuild(&write, verify->themes, repair_progress, &progress);
    cli_progress_end(&progress);
    if (err) {
        store_write_abort(&write);
        return err;
    }
    err = store_write_commit(&write);
    if (!err)
        puts("the index is derived again; everything:");
    return err;
}

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
    size_t i = 0;

    while (i < count && strcmp(name, names[i]) != 0)
        i++;
    return i < count;
}

/* They take no part in anything, but somebody may think that they do. */
static void name_foreign_files(const char *directory)
{
    static const char *const known[] = {GUARD_FILE, ADMIN_SECRET_FILE, ".", ".."};
    DIR *files = opendir(directory);
    const struct dirent *file;

    while (files && (file = readdir(files))) {
        if (!is_one_of(file->d_name, known, ARRAY_SIZE(known)) &&
            !is_one_of(file->d_name, store_files, STORE_FILES_COUNT))
            printf("note: %s/%s is no file of torg; it takes no part in anything\n", directory,
                   file->d_name);
    }
    if (files)
        closedir(files);
}

#define RESTORE "restore a backup, or start from an empty directory and let the peers fill it"

/* The store is a file in memory: what is not in it any more comes as a signal. */
static void cut_off(int signal_number)
{
    static const char text[] =
        "torg verify: torg.mdb ends before its data: the file was cut off; " RESTORE "\n";

    (void)signal_number;
    (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    _exit(CLI_FAILED);
}

static void watch_for_the_end(void)
{
    struct sigaction action = {.sa_handler = cut_off};

    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}

/* LMDB takes an empty file for a new one; here it is a lost one. */
static bool file_is_empty(const char *directory)
{
    char path[PATH_MAX];
    struct stat stat_file;

    return snprintf(path, sizeof(path), "%s/torg.mdb", directory) < (int)sizeof(path) &&
           stat(path, &stat_file) == 0 && stat_file.st_size == 0;
}

static int verify_fail(const char *directory, enum torg_err err)
{
    if (err == TORG_E_LOCKED)
        return cli_fail(COMMAND, "%s: torgd is running there; stop it before --repair", directory);
    if (err == TORG_E_NOT_FOUND)
        return cli_fail(COMMAND, "%s: there is no torg data here", directory);
    if (err == TORG_E_VERSION)
        return cli_fail(COMMAND, "%s: written by a newer torg; verify it with that version",
                        directory);
    if (err == TORG_E_CORRUPT)
        return cli_fail(COMMAND,
                        "%s: torg.mdb is damaged beyond its own structure, does not fit "
                        "torg.journal, or is another program's file; " RESTORE,
                        directory);
    return cli_fail(COMMAND, "%s: %s%s%s", directory, torg_err_text(err),
                    err == TORG_E_IO ? ": " : "", err == TORG_E_IO ? strerror(errno) : "");
}

static int run(struct verify *verify)
{
    struct store_options options = store_options_default();
    struct config config = {0};
    const char *directory = verify->directory;
    enum torg_err err;

    if (!directory) {
        if (!cli_config(COMMAND, verify->config, &config))
            return CLI_FAILED;
        directory = config.directory;
    }
    if (file_is_empty(directory)) {
        cli_fail(COMMAND, "%s: torg.mdb is empty; " RESTORE, directory);
        config_done(&config);
        return CLI_FAILED;
    }
    watch_for_the_end();
    options.read_only = !verify->repair;
    err = store_open(directory, &options, &verify->store);
    if (!err)
        err = theme_tree_builtin(&verify->themes);
    if (!err && verify->repair)
        err = repair(verify);
    if (!err)
        err = verify_all(verify);
    if (!err)
        name_foreign_files(directory);
    if (err) {
        verify_fail(directory, err);
    } else if (verify->wrong) {
        printf("%" PRIu64 " things are wrong in %s\n", verify->wrong, directory);
        if (!verify->repair)
            puts("If only the index is named, \"torg verify --repair\" mends it.");
    } else {
        printf("all is right in %s\n", directory);
    }
    theme_tree_free(verify->themes);
    store_close(verify->store);
    config_done(&config);
    return err || verify->wrong ? CLI_FAILED : CLI_OK;
}

int cmd_verify(int argc, char **argv)
{
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"repair", no_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct verify verify = {0};
    int option;

    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (option) {
        case 'c':
            verify.config = optarg;
            break;
        case 'r':
            verify.repair = true;
            break;
        case 'h':
            fputs(help, stdout);
            return CLI_OK;
        default:
            return cli_usage_told(COMMAND);
        }
    }
    if (optind + 1 < argc)
        return cli_usage(COMMAND, "one directory, not more");
    verify.directory = argv[optind]; /* NULL when none is given */
    return run(&verify);
}

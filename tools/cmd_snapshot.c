/* SPDX-License-Identifier: EUPL-1.2 */
#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "tools/cli.h"
#include "tools/snapshot.h"

#define COMMAND "snapshot"

static const char help[] =
    "torg snapshot - the states of all municipalities in one file\n"
    "\n"
    "usage: torg snapshot export FILE\n"
    "       torg snapshot import FILE\n"
    "\n"
    "export writes charters, newest heads and all listings of every origin that is whole\n"
    "here, of the collections that are for everybody; also while torgd is running. import\n"
    "brings them into another node, from a USB stick or a static web server, where a line is\n"
    "slow or down; torgd must be stopped there. Nothing in the file is believed unsigned:\n"
    "whoever carried it cannot have changed, added or hidden anything of what it holds. Only\n"
    "origins that are trusted (torg peer add) and not newer here are taken. After a failure\n"
    "or an interruption, import again: it goes on from what is there. What has been\n"
    "published since comes from the peers when torgd runs.\n"
    "\n"
    "  --config FILE    the node's configuration\n"
    "  --help\n";

static int open_fail(const char *directory, bool import, enum torg_err err)
{
    if (err == TORG_E_LOCKED)
        return cli_fail(COMMAND, "%s: torgd is running there; stop it before an import", directory);
    if (err == TORG_E_NOT_FOUND)
        return cli_fail(COMMAND, "%s: there is no torg data here%s", directory,
                        import ? "; \"torg init\" makes a node" : "");
    return cli_fail(COMMAND, "%s: %s", directory,
                    err == TORG_E_IO ? strerror(errno) : torg_err_text(err));
}

static int run(const char *config_option, bool import, const char *path)
{
    struct store_options options = store_options_default();
    struct config config = {0};
    struct store *store = NULL;
    enum torg_err err;
    int result;

    if (!cli_config(COMMAND, config_option, &config))
        return CLI_FAILED;
    options.read_only = !import;
    options.map_bytes = config.map_bytes;
    err = store_open(config.directory, &options, &store);
    if (err)
        result = open_fail(config.directory, import, err);
    else
        result = import ? snapshot_import(store, &config, path) : snapshot_export(store, path);
    store_close(store);
    config_done(&config);
    return result;
}

int cmd_snapshot(int argc, char **argv)
{
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    const char *config = NULL;
    bool import;
    int option;

    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (option) {
        case 'c':
            config = optarg;
            break;
        case 'h':
            fputs(help, stdout);
            return CLI_OK;
        default:
            return cli_usage_told(COMMAND);
        }
    }
    if (optind + 2 != argc)
        return cli_usage(COMMAND, "export FILE, or import FILE");
    import = strcmp(argv[optind], "import") == 0;
    if (!import && strcmp(argv[optind], "export") != 0)
        return cli_usage(COMMAND, "\"%s\": export or import?", argv[optind]);
    return run(config, import, argv[optind + 1]);
}

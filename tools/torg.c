/* SPDX-License-Identifier: EUPL-1.2 */
#include <curl/curl.h>
#include <locale.h>
#include <string.h>

#include "protocol/seal.h"
#include "tools/cli.h"

static const struct cli_command commands[] = {
    {"init", "found a municipality: keys, charter, data directory, configuration", cmd_init},
    {"card", "print the card that the neighbours need to federate with this node", cmd_card},
    {"charter", "show and change keys, name, address and epoch of this municipality", cmd_charter},
    {"peer", "add, list and remove neighbours", cmd_peer},
    {"member", "say who belongs to the federation that this node is the catalogue of", cmd_member},
    {"token", "create, list and revoke bearer tokens for writing over HTTP", cmd_token},
    {"import", "publish listings from GeoJSON, GeoJSON-seq or CSV", cmd_import},
    {"collection", "list and delete local collections, which this node alone shows",
     cmd_collection},
    {"export", "write listings as GeoJSON, GeoJSON-seq or CSV", cmd_export},
    {"query", "ask a node: near, theme, text, time", cmd_query},
    {"snapshot", "write and read the states of all municipalities as one file", cmd_snapshot},
    {"status", "show origins, heads, lag, staleness and peers", cmd_status},
    {"verify", "recompute heads, roots, index and counts from what is stored", cmd_verify},
    {"generate", "make deterministic test listings on real places", cmd_generate},
};

static void print_help(FILE *out)
{
    fputs("torg - the shared marketplace of municipalities, from the command line\n"
          "\n"
          "usage: torg COMMAND [options]\n"
          "\n"
          "commands:\n",
          out);
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fputs("\n"
          "torg COMMAND --help tells more. A command that concerns one node finds it by\n"
          "--config FILE, or TORG_CONFIG in the environment, or ./federation.conf, or\n"
          "/etc/torg/federation.conf. The daemon is torgd; see torgd(8).\n",
          out);
}

int main(int argc, char **argv)
{
    char called[32];
    int result = CLI_USAGE;

    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(argc < 2 ? stderr : stdout);
        return argc < 2 ? CLI_USAGE : CLI_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("torg " TORG_VERSION);
        return CLI_OK;
    }
    if (seal_init() || curl_global_init(CURL_GLOBAL_DEFAULT))
        return cli_fail(argv[1], "a library cannot start");
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            /* As whom getopt speaks when an option is wrong. */
            snprintf(called, sizeof(called), "torg %s", commands[i].name);
            argv[1] = called;
            result = commands[i].run(argc - 1, argv + 1);
            curl_global_cleanup();
            return result;
        }
    }
    curl_global_cleanup();
    fprintf(stderr, "torg: there is no command \"%s\"\n\n", argv[1]);
    print_help(stderr);
    return CLI_USAGE;
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include <getopt.h>
#include <string.h>

#include "protocol/local_feature.h"
#include "tools/admin_client.h"
#include "tools/cli.h"

#define COMMAND "collection"

static const char help[] =
    "torg collection - local collections, which this node alone shows\n"
    "\n"
    "usage: torg collection list [--json] [--config FILE]\n"
    "       torg collection delete NAME [--config FILE]\n"
    "\n"
    "\"torg import --collection NAME\" makes one of any GeoJSON. What is deleted is gone from\n"
    "this node at once, step by step; when it was stopped on the way, the same command goes on.\n"
    "\n"
    "  --json         list as JSON\n"
    "  --config FILE  the node's configuration\n"
    "  --help\n";

static int list(struct http_client *client, bool as_json)
{
    static const char *const titles[] = {"name", "features"};
    json_t *answer = admin_client_ask(COMMAND, client, "GET", "/collections", NULL);
    const json_t *all = json_object_get(answer, "collections"), *one;
    struct cli_table table;
    size_t i;

    if (!answer)
        return CLI_FAILED;
    if (as_json) {
        json_dumpf(all, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        cli_table_begin(&table, titles, ARRAY_SIZE(titles));
        json_array_foreach(all, i, one)
        {
            cli_table_cell(&table, "%s", json_string_value(json_object_get(one, "name")));
            cli_table_cell(&table, "%" JSON_INTEGER_FORMAT,
                           json_integer_value(json_object_get(one, "features")));
        }
        cli_table_end(&table, stdout);
    }
    json_decref(answer);
    return CLI_OK;
}

/* Each request is a step of its own, so that the node's other writes come in between. */
static int delete_all(struct http_client *client, const char *name)
{
    json_int_t deleted = 0, left = 1;
    char path[LOCAL_NAME_BYTES_MAX + 32];

    if (!name || !local_name_valid(span_of_str(name)))
        return cli_usage(COMMAND,
                         "delete needs the NAME of a local collection, as \"torg collection "
                         "list\" shows it");
    (void)snprintf(path, sizeof(path), "/collections/%s", name);
    while (left > 0) {
        json_t *answer = admin_client_ask(COMMAND, client, "DELETE", path, NULL);

        if (!answer)
            return CLI_FAILED;
        deleted += json_integer_value(json_object_get(answer, "deleted"));
        left = json_integer_value(json_object_get(answer, "left"));
        json_decref(answer);
    }
    fprintf(stderr, "The collection %s and its %" JSON_INTEGER_FORMAT " features are deleted.\n",
            name, deleted);
    return CLI_OK;
}

static int run(const char *verb, const char *argument, const char *config, bool as_json)
{
    struct http_client *client;
    int result;

    if (strcmp(verb, "list") != 0 && strcmp(verb, "delete") != 0)
        return cli_usage(COMMAND, "\"%s\" is not list or delete", verb);
    client = admin_client_open(COMMAND, config);
    if (!client)
        return CLI_FAILED;
    result = strcmp(verb, "list") == 0 ? list(client, as_json) : delete_all(client, argument);
    http_client_free(client);
    return result;
}

int cmd_collection(int argc, char **argv)
{
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    const char *config = NULL;
    bool as_json = false;
    struct cli_words words;
    int option;

    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (option) {
        case 'c':
            config = optarg;
            break;
        case 'j':
            as_json = true;
            break;
        case 'h':
            fputs(help, stdout);
            return CLI_OK;
        default:
            return cli_usage_told(COMMAND);
        }
    }
    if (!cli_words(COMMAND, "list or delete?", argc, argv, &words))
        return CLI_USAGE;
    return run(words.verb, words.object, config, as_json);
}

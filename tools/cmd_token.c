/* SPDX-License-Identifier: EUPL-1.2 */
#include <getopt.h>
#include <string.h>

#include "tools/admin_client.h"
#include "tools/cli.h"

#define COMMAND "token"

static const char help[] =
    "torg token - bearer tokens, for writing over HTTP\n"
    "\n"
    "usage: torg token create --label TEXT [--role editor|admin] [--config FILE]\n"
    "       torg token create --label TEXT --role company --company ID [--config FILE]\n"
    "       torg token list [--config FILE]\n"
    "       torg token revoke ID [--config FILE]\n"
    "\n"
    "The node keeps only a hash of a token: what create prints cannot be shown again.\n"
    "An editor may publish, change and delete all of the municipality's listings, an admin\n"
    "also see how queries are answered; a company may change its own entry among the\n"
    "companies, and publish, change and delete the listings whose provider it is.\n"
    "\n"
    "  --label TEXT     who has it, for example \"booking system\"\n"
    "  --role ROLE      editor (default), admin or company\n"
    "  --company ID     of role company: the id of its listing in the collection companies\n"
    "  --json           list as JSON\n"
    "  --config FILE    the node's configuration\n"
    "  --help\n";

struct token_options {
    const char *config;
    const char *label;
    const char *role;
    const char *company;
    bool json;
};

static int token_create(struct http_client *client, const struct token_options *options)
{
    json_t *body;
    json_t *answer;

    if (!options->label)
        return cli_usage(COMMAND, "create needs --label TEXT: who will have it?");
    if (strcmp(options->role, "editor") != 0 && strcmp(options->role, "admin") != 0 &&
        strcmp(options->role, "company") != 0)
        return cli_usage(COMMAND, "--role %s: editor, admin or company?", options->role);
    if ((strcmp(options->role, "company") == 0) != (options->company != NULL))
        return cli_usage(COMMAND, "--role company and --company ID belong together");
    body = json_pack("{s:s, s:s, s:s*}", "label", options->label, "role", options->role, "company",
                     options->company);
    if (!body)
        return cli_fail(COMMAND, "the label is not UTF-8");
    answer = admin_client_ask(COMMAND, client, "POST", "/tokens", body);
    json_decref(body);
    if (!answer)
        return CLI_FAILED;
    /* The secret alone on standard output, so that a script can keep it. */
    printf("%s\n", json_string_value(json_object_get(answer, "token")));
    fprintf(stderr, "Token %s (%s) is made. Keep it now: it cannot be shown again.\n",
            json_string_value(json_object_get(answer, "id")), options->role);
    json_decref(answer);
    return CLI_OK;
}

static int token_list(struct http_client *client, const struct token_options *options)
{
    static const char *const titles[] = {"id", "role", "label", "created", "company"};
    json_t *answer = admin_client_ask(COMMAND, client, "GET", "/tokens", NULL);
    struct cli_table table;
    const json_t *token;
    size_t i;

    if (!answer)
        return CLI_FAILED;
    if (options->json) {
        json_dumpf(json_object_get(answer, "tokens"), stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(answer);
        return CLI_OK;
    }
    cli_table_begin(&table, titles, ARRAY_SIZE(titles));
    json_array_foreach(json_object_get(answer, "tokens"), i, token)
    {
        for (size_t c = 0; c < ARRAY_SIZE(titles); c++) {
            const char *text = json_string_value(json_object_get(token, titles[c]));

            cli_table_cell(&table, "%s", text ? text : "");
        }
    }
    cli_table_end(&table, stdout);
    json_decref(answer);
    return CLI_OK;
}

static int token_revoke(struct http_client *client, const char *id)
{
    char path[128];
    json_t *answer;

    if (!id || strlen(id) > 64 || strspn(id, "0123456789abcdef") != strlen(id))
        return cli_usage(COMMAND, "revoke needs the token's ID, as \"torg token list\" shows it");
    snprintf(path, sizeof(path), "/tokens/%s", id);
    answer = admin_client_ask(COMMAND, client, "DELETE", path, NULL);
    if (!answer)
        return CLI_FAILED;
    json_decref(answer);
    fprintf(stderr, "Token %s is revoked.\n", id);
    return CLI_OK;
}

static int run(const char *verb, const char *argument, const struct token_options *options)
{
    struct http_client *client;
    int result;

    if (strcmp(verb, "create") != 0 && strcmp(verb, "list") != 0 && strcmp(verb, "revoke") != 0)
        return cli_usage(COMMAND, "\"%s\" is not create, list or revoke", verb);
    client = admin_client_open(COMMAND, options->config);
    if (!client)
        return CLI_FAILED;
    if (strcmp(verb, "create") == 0)
        result = token_create(client, options);
    else if (strcmp(verb, "list") == 0)
        result = token_list(client, options);
    else
        result = token_revoke(client, argument);
    http_client_free(client);
    return result;
}

int cmd_token(int argc, char **argv)
{
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"label", required_argument, NULL, 'l'},
        {"role", required_argument, NULL, 'r'},
        {"json", no_argument, NULL, 'j'},
        {"company", required_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct token_options options = {.role = "editor"};
    struct cli_words words;
    int option;

    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (option) {
        case 'c':
            options.config = optarg;
            break;
        case 'l':
            options.label = optarg;
            break;
        case 'r':
            options.role = optarg;
            break;
        case 'o':
            options.company = optarg;
            break;
        case 'j':
            options.json = true;
            break;
        case 'h':
            fputs(help, stdout);
            return CLI_OK;
        default:
            return cli_usage_told(COMMAND);
        }
    }
    if (!cli_words(COMMAND, "create, list or revoke?", argc, argv, &words))
        return CLI_USAGE;
    return run(words.verb, words.object, &options);
}

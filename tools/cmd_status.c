/* SPDX-License-Identifier: EUPL-1.2 */
#include <getopt.h>
#include <inttypes.h>
#include <string.h>

#include "tools/cli.h"
#include "tools/http_client.h"

#define COMMAND "status"

static const char help[] =
    "torg status - what a node holds, how old it is, and whom it is connected to\n"
    "\n"
    "usage: torg status [--json] [--url URL | --config FILE]\n"
    "\n"
    "  lag    heads that a peer claims to have and this node has not\n"
    "  age    since the origin was last known to be alive; nothing for the own one\n"
    "\n"
    "  --json           everything, as /federation answers it\n"
    "  --url URL        a node elsewhere\n"
    "  --config FILE    the node's configuration\n"
    "  --help\n";

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "";
}

static int64_t int_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static void put_age(struct cli_table *table, const json_t *origin)
{
    const json_t *age = json_object_get(origin, "age_s");
    char text[32];

    if (json_is_true(json_object_get(origin, "own")) || !json_is_integer(age)) {
        cli_table_cell(table, "-");
        return;
    }
    cli_age(json_integer_value(age) * 1000, text, sizeof(text));
    cli_table_cell(table, "%s", text);
}

/* "complete", or whatever else an operator must know. */
static void put_state(struct cli_table *table, const json_t *origin)
{
    struct buffer text = {0};
    const json_t *flag;
    size_t i;

    buffer_put_str(&text, text_of(origin, "state"));
    json_array_foreach(json_object_get(origin, "flags"), i, flag)
    {
        if (strcmp(json_string_value(flag), "partial") != 0)
            buffer_printf(&text, ", %s", json_string_value(flag));
    }
    buffer_put_u8(&text, '\0');
    cli_table_cell(table, "%s", text.err ? "" : (const char *)text.data);
    buffer_done(&text);
}

static void print_origins(const json_t *status)
{
    static const char *const titles[] = {"origin", "id",   ">epoch",    ">head",
                                         ">lag",   ">age", ">listings", "state"};
    struct cli_table table;
    const json_t *origin;
    size_t i;

    cli_table_begin(&table, titles, ARRAY_SIZE(titles));
    json_array_foreach(json_object_get(status, "origins"), i, origin)
    {
        const json_t *head = json_object_get(origin, "head");
        const json_t *lag = json_object_get(origin, "lag");

        cli_table_cell(&table, "%s%s", text_of(origin, "name"),
                       json_is_true(json_object_get(origin, "own")) ? " (own)" : "");
        cli_table_cell(&table, "%.16s", text_of(origin, "id"));
        cli_table_cell(&table, "%" PRId64, int_of(head, "epoch"));
        cli_table_cell(&table, "%" PRId64, int_of(head, "hno"));
        if (json_is_integer(lag))
            cli_table_cell(&table, "%" PRId64, (int64_t)json_integer_value(lag));
        else
            cli_table_cell(&table, "-");
        put_age(&table, origin);
        cli_table_cell(&table, "%" PRId64, int_of(origin, "listings"));
        put_state(&table, origin);
    }
    cli_table_end(&table, stdout);
}

static void print_peers(const json_t *status)
{
    static const char *const titles[] = {"peer", "state", ">since", ">rtt", "last error"};
    struct cli_table table;
    const json_t *peer;
    size_t i;

    cli_table_begin(&table, titles, ARRAY_SIZE(titles));
    json_array_foreach(json_object_get(status, "peers"), i, peer)
    {
        const json_t *rtt = json_object_get(peer, "rtt_ms");
        char since[32];

        cli_age(int_of(peer, "since_s") * 1000, since, sizeof(since));
        cli_table_cell(&table, "%s", text_of(peer, "name"));
        cli_table_cell(&table, "%s", text_of(peer, "state"));
        cli_table_cell(&table, "%s", since);
        if (json_is_integer(rtt))
            cli_table_cell(&table, "%" PRId64 " ms", (int64_t)json_integer_value(rtt));
        else
            cli_table_cell(&table, "-");
        cli_table_cell(&table, "%s", text_of(peer, "lastError"));
    }
    cli_table_end(&table, stdout);
}

static int print_status(const struct http_answer *answer, bool as_json)
{
    char problem[2048];
    json_t *status;

    if (answer->status != 200) {
        http_answer_problem(answer, problem, sizeof(problem));
        return cli_fail(COMMAND, "the node answers %s", problem);
    }
    status = http_answer_json(answer);
    if (!status)
        return cli_fail(COMMAND, "the answer is not JSON: is this a torg node?");
    if (as_json) {
        json_dumpf(status, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        printf("%s, %s, at %s\n\n", text_of(status, "node"), text_of(status, "software"),
               text_of(status, "timeStamp"));
        print_origins(status);
        putchar('\n');
        if (json_array_size(json_object_get(status, "peers")) > 0)
            print_peers(status);
        else
            puts("no peers: add one with \"torg peer add\"");
    }
    json_decref(status);
    return CLI_OK;
}

static int ask(const char *url, const char *base_path, bool as_json)
{
    struct http_client *client = NULL;
    struct http_answer answer = {0};
    char path[128];
    int result;

    snprintf(path, sizeof(path), "%s/federation", base_path);
    if (http_client_new(url, NULL, &client))
        return cli_fail(COMMAND, "out of memory");
    if (http_client_request(client, "GET", path, NULL, (struct span){0}, &answer))
        result = cli_fail(COMMAND, "no answer from %s, is torgd running? %s", url,
                          http_client_error(client));
    else
        result = print_status(&answer, as_json);
    http_answer_done(&answer);
    http_client_free(client);
    return result;
}

/* The first web address of the configuration, as one asks it from the same machine. */
static int ask_own(const char *config_option, bool as_json)
{
    char url[CONFIG_ADDRESS_BYTES_MAX + 8];
    char address[CONFIG_ADDRESS_BYTES_MAX];
    struct config config = {0};
    struct config_address own;
    int result;

    if (!cli_config(COMMAND, config_option, &config))
        return CLI_FAILED;
    if (config.http_count == 0) {
        result = cli_fail(COMMAND, "%s has no [http] listen; give --url URL", config.file);
    } else {
        own = config.http[0];
        if (strcmp(own.host, "0.0.0.0") == 0)
            snprintf(own.host, sizeof(own.host), "127.0.0.1");
        else if (strcmp(own.host, "::") == 0)
            snprintf(own.host, sizeof(own.host), "::1");
        snprintf(url, sizeof(url), "http://%s", config_address_format(&own, address));
        result = ask(url, config.base_path, as_json);
    }
    config_done(&config);
    return result;
}

int cmd_status(int argc, char **argv)
{
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"url", required_argument, NULL, 'u'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    const char *config_option = NULL;
    const char *url = NULL;
    bool as_json = false;
    int option;

    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (option) {
        case 'c':
            config_option = optarg;
            break;
        case 'u':
            url = optarg;
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
    if (optind < argc)
        return cli_usage(COMMAND, "\"%s\" is not an option", argv[optind]);
    return url ? ask(url, "/torg/v1", as_json) : ask_own(config_option, as_json);
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/http_params.h"
#include "tools/cli.h"
#include "tools/http_client.h"
#include "tools/query_print.h"

#define COMMAND "query"
#define DEFAULT_URL "http://127.0.0.1:8480"
#define TOKEN_FILE_BYTES_MAX 4096

static const char help[] =
    "torg query - ask a node, as its web API answers\n"
    "\n"
    "usage: torg query [options]\n"
    "\n"
    "  --url URL             the node (default " DEFAULT_URL ")\n"
    "  --collection NAME     one collection; without it, all of them\n"
    "  --near LON,LAT        nearest first, from this position in degrees\n"
    "  --radius METRES       at most this far\n"
    "  --bbox W,S,E,N        inside this box\n"
    "  --intersects GEOMETRY touching this: POLYGON((17 65,18 65,18 66,17 65)), or GeoJSON\n"
    "  --theme SLUG          this theme or a narrower one (may be repeated)\n"
    "  --q WORDS             all of these words, in name, place, provider or description\n"
    "  --order ORDER         with --near and --q: distance, or rank (words, nearness, newness)\n"
    "  --datetime INTERVAL   RFC 3339, FROM/THROUGH, with .. for open\n"
    "  --origin ID           only what this origin published (may be repeated)\n"
    "  --municipality CODE   only what lies there (may be repeated)\n"
    "  --network ID          only what has applied to this network (may be repeated)\n"
    "  --reaches LON,LAT[,M] who comes there: serves the place or stops at most M metres away\n"
    "  --openAt TIME         open then, by its opening hours: 2026-11-21T09:00:00Z\n"
    "  --limit N             how many (default 20)\n"
    "  --facets LIST         also how all that matches divides: theme, origin, municipality,\n"
    "                        collection, or several with commas\n"
    "  --explain             also how the answer was found; needs an administrator's token\n"
    "  --token-file FILE     the token (default: what TORG_TOKEN holds)\n"
    "  --json                the answer as it came (GeoJSON)\n"
    "  --csv                 the answer as CSV; needs --collection\n"
    "  --help\n"
    "\n"
    "example: torg query --collection offers --theme nature/fishing \\\n"
    "             --near 17.886,66.053 --radius 30000\n";

struct query_options {
    const char *url;
    const char *collection; /* when exactly one */
    const char *format;
    const char *token_file;
    struct buffer parameters;
};

static int take_collection(const char *name, struct query_options *options)
{
    if (options->collection)
        return cli_usage(COMMAND, "give --collection once, or not at all to search all");
    if (!(COLLECTION_MASK_PUBLIC >> collection_of_name(span_of_str(name)) & 1))
        return cli_usage(
            COMMAND, "there is no collection of listings \"%s\"; there are " CLI_COLLECTIONS, name);
    options->collection = name;
    return CLI_OK;
}

static int take_format(const char *format, struct query_options *options)
{
    if (options->format)
        return cli_usage(COMMAND, "--json or --csv, once");
    options->format = format;
    return CLI_OK;
}

/* Flat: one case for each option. -1: only help was asked for. */
static int options_read(int argc, char **argv, struct query_options *ret_options)
{
    static const struct option longs[] = {
        {"url", required_argument, NULL, 'u'},
        {"collection", required_argument, NULL, 'c'},
        {"near", required_argument, NULL, 'p'},
        {"radius", required_argument, NULL, 'p'},
        {"bbox", required_argument, NULL, 'p'},
        {"intersects", required_argument, NULL, 'p'},
        {"theme", required_argument, NULL, 'p'},
        {"q", required_argument, NULL, 'p'},
        {"order", required_argument, NULL, 'p'},
        {"datetime", required_argument, NULL, 'p'},
        {"origin", required_argument, NULL, 'p'},
        {"municipality", required_argument, NULL, 'p'},
        {"network", required_argument, NULL, 'p'},
        {"reaches", required_argument, NULL, 'p'},
        {"openAt", required_argument, NULL, 'p'},
        {"limit", required_argument, NULL, 'p'},
        {"facets", required_argument, NULL, 'p'},
        {"explain", no_argument, NULL, 'e'},
        {"token-file", required_argument, NULL, 't'},
        {"json", no_argument, NULL, 'j'},
        {"csv", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int index = 0;
    int option;

    ret_options->url = DEFAULT_URL;
    while ((option = getopt_long(argc, argv, "", longs, &index)) != -1) {
        switch (option) {
        case 'u':
            ret_options->url = optarg;
            break;
        case 'c':
            if (take_collection(optarg, ret_options))
                return CLI_USAGE;
            break;
        case 'p': /* The API's own names and values. */
            http_query_put(&ret_options->parameters, longs[index].name, optarg);
            break;
        case 'e':
            http_query_put(&ret_options->parameters, "explain", "true");
            break;
        case 't':
            ret_options->token_file = optarg;
            break;
        case 'j':
        case 'v':
            if (take_format(option == 'j' ? "geojson" : "csv", ret_options))
                return CLI_USAGE;
            break;
        case 'h':
            fputs(help, stdout);
            return -1;
        default:
            return cli_usage_told(COMMAND);
        }
    }
    if (optind < argc)
        return cli_usage(COMMAND, "\"%s\" is not an option", argv[optind]);
    if (ret_options->format && strcmp(ret_options->format, "csv") == 0 && !ret_options->collection)
        return cli_usage(COMMAND, "--csv needs --collection NAME: each has its own columns");
    return CLI_OK;
}

static int print_answer(const struct http_answer *answer, const struct query_options *options)
{
    char problem[2048];
    json_t *json;

    if (answer->status != 200) {
        http_answer_problem(answer, problem, sizeof(problem));
        return cli_fail(COMMAND, "the node answers %s", problem);
    }
    if (options->format) {
        fwrite(answer->body.data, 1, answer->body.size, stdout);
        return CLI_OK;
    }
    json = http_answer_json(answer);
    if (!json)
        return cli_fail(COMMAND, "the answer is not JSON: is this a torg node?");
    query_print_features(json, stdout);
    query_print_facets(json, stdout);
    query_print_explain(json, stdout);
    json_decref(json);
    return CLI_OK;
}

/*
 * The same reading that a node does, so that mistakes are named whether or not
 * a node answers. What a newer node may take, this one calls a mistake.
 */
static int parameters_check(const struct query_options *options)
{
    struct span text = buffer_span(&options->parameters);
    struct http_query *pairs = malloc(sizeof(*pairs));
    struct http_params *params = malloc(sizeof(*params));
    struct problems problems = {0};
    enum torg_err err = pairs && params ? TORG_OK : TORG_E_NOMEM;
    int result = CLI_OK;

    if (text.size > 0 && text.data[0] == '?')
        text = span_of(text.data + 1, text.size - 1);
    if (!err)
        err = http_request_query_parse(text, pairs);
    if (err == TORG_E_NOMEM)
        result = cli_fail(COMMAND, "out of memory");
    else if (err)
        result = cli_usage(COMMAND, "the options are too long, or not UTF-8");
    else if (http_params_read(pairs, HTTP_PARAMS_FILTER | HTTP_PARAMS_PAGE, 0, false, params,
                              &problems))
        for (size_t i = 0; i < problems.count && i < PROBLEMS_MAX; i++)
            result = cli_usage(COMMAND, "--%s %s", problems.items[i].path, problems.items[i].text);
    else
        http_params_done(params);
    free(params);
    free(pairs);
    return result;
}

/* Not as an option's value, for others can read those. Empty without one. */
static bool read_token(const struct query_options *options, struct buffer *token)
{
    const char *given = getenv("TORG_TOKEN");
    enum torg_err err;

    if (options->token_file) {
        err = cli_read_file(options->token_file, TOKEN_FILE_BYTES_MAX, token);
        if (err) {
            cli_fail(COMMAND, "%s: %s", options->token_file, torg_err_text(err));
            return false;
        }
    } else if (given) {
        buffer_put_str(token, given);
    }
    while (token->size > 0 && token->data[token->size - 1] <= ' ')
        token->size--;
    buffer_put_u8(token, '\0');
    return token->err == TORG_OK;
}

static int ask(struct query_options *options)
{
    struct http_client *client = NULL;
    struct http_answer answer = {0};
    struct buffer path = {0};
    struct buffer token = {0};
    const char *bearer;
    int result;

    if (!read_token(options, &token)) {
        buffer_done(&token);
        return CLI_FAILED;
    }
    bearer = token.size > 1 ? (const char *)token.data : NULL;
    if (options->format)
        http_query_put(&options->parameters, "f", options->format);
    if (options->collection)
        buffer_printf(&path, "/torg/v1/collections/%s/items", options->collection);
    else
        buffer_put_str(&path, "/torg/v1/search");
    buffer_put_span(&path, buffer_span(&options->parameters));
    buffer_put_u8(&path, '\0');
    if (path.err || http_client_new(options->url, bearer, &client)) {
        result = cli_fail(COMMAND, "out of memory");
    } else if (http_client_request(client, "GET", (const char *)path.data, NULL, (struct span){0},
                                   &answer)) {
        result =
            cli_fail(COMMAND, "no answer from %s: %s", options->url, http_client_error(client));
    } else {
        result = print_answer(&answer, options);
    }
    http_answer_done(&answer);
    http_client_free(client);
    buffer_done(&token);
    buffer_done(&path);
    return result;
}

int cmd_query(int argc, char **argv)
{
    struct query_options options = {0};
    int result = options_read(argc, argv, &options);

    if (result == CLI_OK)
        result = parameters_check(&options);
    if (result == CLI_OK)
        result = ask(&options);
    buffer_done(&options.parameters);
    return result < 0 ? CLI_OK : result;
}

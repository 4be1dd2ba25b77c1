/* SPDX-License-Identifier: EUPL-1.2 */
#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "tools/admin_client.h"
#include "tools/card.h"
#include "tools/cli.h"

#define COMMAND "member"
#define ORIGIN_DIGITS 64
#define ORIGIN_DIGITS_MIN 8 /* of an id that is not typed whole */

static const char help[] =
    "torg member - who belongs to the federation that this node is the catalogue of\n"
    "\n"
    "usage: torg member add CARD-FILE [options]\n"
    "       torg member set MEMBER [options]\n"
    "       torg member list [--json]\n"
    "       torg member remove MEMBER\n"
    "\n"
    "Whoever names this municipality as catalogue in [trust] takes its active members'\n"
    "listings, and follows what is changed here without being told. CARD-FILE is what the\n"
    "member's operator printed with \"torg card\"; \"-\" reads it from standard input. MEMBER is\n"
    "a name or an origin id, as list shows it, or the beginning of an id.\n"
    "\n"
    "  --status WORD          active, suspended or left; only from active ones is anything taken\n"
    "  --name NAME            as people know it; add takes it from the card\n"
    "  --groups A,B           groups of members, such as regions; none takes them away\n"
    "  --networks ID,ID       the networks that it belongs to, by their listings' ids; none\n"
    "  --endpoints HOST:PORT  what neighbours dial, several with commas; none\n"
    "  --quota N              how many listings it may publish, as agreed; none\n"
    "  --charter HASH         the right one of two charters with one number; none\n"
    "  --json                 list as JSON\n"
    "  --config FILE          the node's configuration\n"
    "  --help\n";

struct member_options {
    const char *config;
    const char *status, *name, *groups, *networks, *endpoints, *quota, *charter;
    bool json;
};

/* ---- entries ---- */

static const char *property(const json_t *entry, const char *name)
{
    const char *text =
        json_string_value(json_object_get(json_object_get(entry, "properties"), name));

    return text ? text : "";
}

static const char *entry_name(const json_t *entry)
{
    json_t *names = json_object_get(json_object_get(entry, "properties"), "name");
    const json_t *name = json_object_get(names, "sv");

    if (!name)
        name = json_object_iter_value(json_object_iter(names));
    return json_string_value(name) ? json_string_value(name) : "";
}

/* All entries, page by page. NULL after a message. */
static json_t *entries_get(struct http_client *client)
{
    json_t *all = json_array();
    char path[64] = "/members";

    while (*path) {
        json_t *page = admin_client_ask(COMMAND, client, "GET", path, NULL);
        const char *after = json_string_value(json_object_get(page, "after"));

        if (!page || json_array_extend(all, json_object_get(page, "members"))) {
            json_decref(page);
            json_decref(all);
            return NULL;
        }
        path[0] = '\0';
        if (after)
            snprintf(path, sizeof(path), "/members/after/%.32s", after);
        json_decref(page);
    }
    return all;
}

static bool is_meant(const json_t *entry, const char *word)
{
    size_t size = strlen(word);
    bool is_id = size >= ORIGIN_DIGITS_MIN && strspn(word, "0123456789abcdef") == size;

    return strcmp(entry_name(entry), word) == 0 ||
           (is_id && strncmp(property(entry, "member"), word, size) == 0);
}

/* The one entry that word means, borrowed from all; NULL after a message. */
static json_t *entry_find(json_t *all, const char *word)
{
    json_t *entry, *found = NULL;
    size_t i;

    json_array_foreach(all, i, entry)
    {
        if (!is_meant(entry, word))
            continue;
        if (found) {
            cli_fail(COMMAND, "more than one member is called %s; give its origin id", word);
            return NULL;
        }
        found = entry;
    }
    if (!found)
        cli_fail(COMMAND, "there is no member %s; \"torg member list\" shows who there is", word);
    return found;
}

/* ---- what options change ---- */

static json_t *words_of(const char *text)
{
    json_t *words = json_array();

    while (*text) {
        size_t size = strcspn(text, ",");

        if (size)
            json_array_append_new(words, json_stringn(text, size));
        text += size + (text[size] == ',');
    }
    return words;
}

static void set_list(json_t *properties, const char *name, const char *text)
{
    if (!text)
        return;
    if (strcmp(text, "none") == 0)
        json_object_del(properties, name);
    else
        json_object_set_new(properties, name, words_of(text));
}

/* What is wrong in it, torgd says, which knows the rules. */
static bool apply(json_t *properties, const struct member_options *options)
{
    int64_t quota;

    if (options->status)
        json_object_set_new(properties, "status", json_string(options->status));
    if (options->name)
        json_object_set_new(properties, "name", json_string(options->name));
    set_list(properties, "groups", options->groups);
    set_list(properties, "networks", options->networks);
    set_list(properties, "endpoints", options->endpoints);
    if (options->charter && strcmp(options->charter, "none") == 0)
        json_object_del(properties, "charter");
    else if (options->charter)
        json_object_set_new(properties, "charter", json_string(options->charter));
    if (!options->quota)
        return true;
    if (strcmp(options->quota, "none") == 0) {
        json_object_del(properties, "quota");
        return true;
    }
    if (!cli_number(COMMAND, "--quota", options->quota, 0, INT64_C(1000000000), &quota))
        return false;
    json_object_set_new(properties, "quota", json_integer(quota));
    return true;
}

static int entry_put(struct http_client *client, const json_t *entry)
{
    char path[32 + ORIGIN_DIGITS];
    json_t *answer;

    snprintf(path, sizeof(path), "/members/%.64s", property(entry, "member"));
    answer = admin_client_ask(COMMAND, client, "PUT", path, entry);
    if (!answer)
        return CLI_FAILED;
    fprintf(stderr, "%s is %s.\n", entry_name(answer), property(answer, "status"));
    json_decref(answer);
    return CLI_OK;
}

/* ---- the verbs ---- */

static json_t *entry_of_card(const struct card *card)
{
    char origin[ORIGIN_DIGITS + 1];
    json_t *properties;

    hex_encode(card->origin.bytes, sizeof(card->origin.bytes), origin);
    properties =
        json_pack("{s:s,s:s,s:s}", "name", card->name, "member", origin, "status", "active");
    if (*card->address)
        json_object_set_new(properties, "endpoints", json_pack("[s]", card->address));
    return json_pack("{s:s,s:n,s:o}", "type", "Feature", "geometry", "properties", properties);
}

static bool read_card(const char *path, struct card *ret_card)
{
    struct buffer text = {0};
    char message[256];
    bool good = false;

    if (cli_read_file(path, CARD_BYTES_MAX, &text))
        cli_fail(COMMAND, "%s: %s", path, strerror(errno));
    else if (card_parse(buffer_span(&text), ret_card, message, sizeof(message)))
        cli_fail(COMMAND, "%s: %s. The member makes it with \"torg card\"", path, message);
    else
        good = true;
    buffer_done(&text);
    return good;
}

static int member_add(struct http_client *client, const char *path,
                      const struct member_options *options)
{
    json_t *all, *entry, *other;
    int result = CLI_FAILED;
    struct card card;
    size_t i;

    if (!read_card(path, &card))
        return CLI_FAILED;
    all = entries_get(client);
    if (!all)
        return CLI_FAILED;
    entry = entry_of_card(&card);
    json_array_foreach(all, i, other)
    {
        if (strcmp(property(other, "member"), property(entry, "member")) != 0)
            continue;
        cli_fail(COMMAND,
                 "this municipality is listed already, as \"%s\"; change it with \"torg "
                 "member set\"",
                 entry_name(other));
        goto done;
    }
    if (apply(json_object_get(entry, "properties"), options))
        result = entry_put(client, entry);
done:
    json_decref(entry);
    json_decref(all);
    return result;
}

static int member_set(struct http_client *client, const char *word,
                      const struct member_options *options)
{
    json_t *all = entries_get(client);
    json_t *entry = all ? entry_find(all, word) : NULL;
    int result = CLI_FAILED;

    if (entry && apply(json_object_get(entry, "properties"), options))
        result = entry_put(client, entry);
    json_decref(all);
    return result;
}

static int member_remove(struct http_client *client, const char *word)
{
    json_t *all = entries_get(client);
    const json_t *entry = all ? entry_find(all, word) : NULL;
    char path[32 + ORIGIN_DIGITS];
    json_t *answer = NULL;

    if (entry) {
        snprintf(path, sizeof(path), "/members/%.64s", property(entry, "member"));
        answer = admin_client_ask(COMMAND, client, "DELETE", path, NULL);
    }
    if (answer)
        fprintf(stderr, "%s is no member any more.\n", entry_name(entry));
    json_decref(all);
    if (!answer)
        return CLI_FAILED;
    json_decref(answer);
    return CLI_OK;
}

static void print_row(struct cli_table *table, const json_t *entry)
{
    const json_t *groups = json_object_get(json_object_get(entry, "properties"), "groups"), *group;
    struct buffer text = {0};
    size_t i;

    json_array_foreach(groups, i, group)
        buffer_printf(&text, "%s%s", i ? "," : "", json_string_value(group));
    cli_table_cell(table, "%s", entry_name(entry));
    cli_table_cell(table, "%s", property(entry, "status"));
    cli_table_cell(table, "%s", property(entry, "member"));
    cli_table_cell(table, "%.*s", (int)text.size, text.size ? (const char *)text.data : "");
    buffer_done(&text);
}

static int member_list(struct http_client *client, bool as_json)
{
    static const char *const titles[] = {"name", "status", "origin", "groups"};
    json_t *all = entries_get(client);
    const json_t *entry;
    struct cli_table table;
    size_t i;

    if (!all)
        return CLI_FAILED;
    if (as_json) {
        json_dumpf(all, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        cli_table_begin(&table, titles, ARRAY_SIZE(titles));
        json_array_foreach(all, i, entry) print_row(&table, entry);
        cli_table_end(&table, stdout);
    }
    json_decref(all);
    return CLI_OK;
}

static int run(const char *verb, const char *word, const struct member_options *options)
{
    bool adds = strcmp(verb, "add") == 0, sets = strcmp(verb, "set") == 0;
    bool lists = strcmp(verb, "list") == 0;
    struct http_client *client;
    int result;

    if (!adds && !sets && !lists && strcmp(verb, "remove") != 0)
        return cli_usage(COMMAND, "\"%s\" is not add, set, list or remove", verb);
    if (!lists && !word)
        return cli_usage(COMMAND, adds ? "add needs the CARD-FILE" : "which MEMBER?");
    if (lists && word)
        return cli_usage(COMMAND, "\"%s\" is one word too many", word);
    client = admin_client_open(COMMAND, options->config);
    if (!client)
        return CLI_FAILED;
    if (adds)
        result = member_add(client, word, options);
    else if (sets)
        result = member_set(client, word, options);
    else
        result = lists ? member_list(client, options->json) : member_remove(client, word);
    http_client_free(client);
    return result;
}

int cmd_member(int argc, char **argv)
{
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"status", required_argument, NULL, 's'},
        {"name", required_argument, NULL, 'm'},
        {"groups", required_argument, NULL, 'g'},
        {"networks", required_argument, NULL, 'n'},
        {"endpoints", required_argument, NULL, 'e'},
        {"quota", required_argument, NULL, 'q'},
        {"json", no_argument, NULL, 'j'},
        {"charter", required_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct member_options options = {0};
    struct cli_words words;
    int option;

    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (option) {
        case 'c':
            options.config = optarg;
            break;
        case 's':
            options.status = optarg;
            break;
        case 'm':
            options.name = optarg;
            break;
        case 'g':
            options.groups = optarg;
            break;
        case 'n':
            options.networks = optarg;
            break;
        case 'e':
            options.endpoints = optarg;
            break;
        case 'q':
            options.quota = optarg;
            break;
        case 'r':
            options.charter = optarg;
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
    if (!cli_words(COMMAND, "add, set, list or remove?", argc, argv, &words))
        return CLI_USAGE;
    return run(words.verb, words.object, &options);
}

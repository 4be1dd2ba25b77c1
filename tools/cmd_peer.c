/* SPDX-License-Identifier: EUPL-1.2 */
#include <errno.h>
#include <getopt.h>
#include <sodium.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/keyfile.h"
#include "tools/card.h"
#include "tools/cli.h"
#include "tools/conf_file.h"

#define COMMAND "peer"

static const char help[] =
    "torg peer - neighbours of this node\n"
    "\n"
    "usage: torg peer add NAME CARD-FILE [--address HOST:PORT] [--no-dial] [--trust-only]\n"
    "       torg peer remove NAME\n"
    "       torg peer list\n"
    "\n"
    "CARD-FILE is what the neighbour printed with \"torg card\"; \"-\" reads it from standard\n"
    "input. NAME is yours to choose: letters, digits, dots, hyphens and underscores. A peer\n"
    "is a node to connect with; trust means that the municipality's listings are stored\n"
    "here, whoever brings them. add gives both. Both sides must add each other. Afterwards:\n"
    "systemctl reload torgd.\n"
    "\n"
    "  --address HOST:PORT   dial this instead of the card's address\n"
    "  --no-dial             do not dial: the neighbour connects to us\n"
    "  --trust-only          its listings come through others; no connection of our own\n"
    "  --config FILE         the node's configuration\n"
    "  --help\n";

struct peer_options {
    const char *config;
    const char *address;
    bool no_dial;
    bool trust_only;
};

static bool name_valid(const char *name)
{
    return *name && strlen(name) <= CONFIG_NAME_BYTES_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
               strlen(name);
}

static int read_card(const char *path, struct card *ret_card)
{
    struct buffer text = {0};
    char message[256];
    int result = CLI_OK;

    if (cli_read_file(path, CARD_BYTES_MAX, &text))
        result = cli_fail(COMMAND, "%s: %s", path, strerror(errno));
    else if (card_parse(buffer_span(&text), ret_card, message, sizeof(message)))
        result =
            cli_fail(COMMAND, "%s: %s. The neighbour makes it with \"torg card\"", path, message);
    buffer_done(&text);
    return result;
}

/* A node that dialled itself would wait for itself for ever. */
static bool is_own(const struct config *config, const struct card *card)
{
    char message[KEYFILE_MESSAGE_BYTES_MAX];
    struct secret_key secret;
    struct public_key own;

    if (keyfile_read(config->keys_directory, KEYFILE_NODE, &secret, &own, message))
        return false; /* torgd says so at its start, with the remedy. */
    sodium_memzero(&secret, sizeof(secret));
    return memcmp(&own, &card->node_key, sizeof(own)) == 0;
}

/* What the file would say twice, or of this node itself. */
static int check_new(const struct config *config, const char *name, const struct card *card,
                     const struct peer_options *options)
{
    if (is_own(config, card))
        return cli_fail(COMMAND, "this is the card of this node itself; add the neighbour's");
    for (size_t i = 0; i < config->trust_count; i++) {
        if (strcmp(config->trust[i].name, name) == 0)
            return cli_fail(COMMAND, "%s is there already; \"torg peer remove %s\" first", name,
                            name);
        if (memcmp(&config->trust[i].origin, &card->origin, sizeof(card->origin)) == 0)
            return cli_fail(COMMAND, "this municipality is trusted already, as \"%s\"",
                            config->trust[i].name);
    }
    for (size_t i = 0; i < config->peer_count && !options->trust_only; i++) {
        if (strcmp(config->peers[i].name, name) == 0)
            return cli_fail(COMMAND, "%s is there already; \"torg peer remove %s\" first", name,
                            name);
        if (memcmp(&config->peers[i].keys[0], &card->node_key, sizeof(card->node_key)) == 0)
            return cli_fail(COMMAND, "this node is a peer already, as \"%s\"",
                            config->peers[i].name);
    }
    return CLI_OK;
}

/* text with the card's node as a peer, unless it is only trusted, and its origin trusted. */
static void put_peer(struct span text, const char *name, const struct card *card,
                     const struct peer_options *options, struct buffer *out)
{
    const char *address = options->address ? options->address : card->address;
    char key[2 * sizeof(card->node_key.bytes) + 1];
    char origin[2 * sizeof(card->origin.bytes) + 1];
    char line[CONFIG_NAME_BYTES_MAX + sizeof(origin) + 16];

    hex_encode(card->node_key.bytes, sizeof(card->node_key.bytes), key);
    hex_encode(card->origin.bytes, sizeof(card->origin.bytes), origin);
    snprintf(line, sizeof(line), "origin %s = %s", name, origin);
    conf_text_with_line(text, "trust", line, out);
    if (options->trust_only)
        return;
    buffer_printf(out, "\n# %s\n[peer %s]\n", card->name, name);
    if (!options->no_dial && *address)
        buffer_printf(out, "address = %s\n", address);
    buffer_printf(out, "key = %s\n", key);
}

static int peer_add(const char *file, const char *name, const char *card_path,
                    const struct peer_options *options)
{
    struct config config = {0};
    struct buffer text = {0}, more = {0};
    struct card card;
    char message[512];
    int result;

    if (!name || !card_path)
        return cli_usage(COMMAND, "add needs a NAME and a CARD-FILE");
    if (!name_valid(name))
        return cli_usage(COMMAND,
                         "NAME: at most %d letters a to z, digits, dots, hyphens and underscores",
                         CONFIG_NAME_BYTES_MAX);
    result = read_card(card_path, &card);
    if (result)
        return result;
    if (!cli_config(COMMAND, file, &config))
        return CLI_FAILED;
    result = check_new(&config, name, &card, options);
    config_done(&config);
    if (result)
        return result;
    if (cli_read_file(file, CONFIG_FILE_BYTES_MAX, &text)) {
        buffer_done(&text);
        return cli_fail(COMMAND, "%s: %s", file, strerror(errno));
    }
    put_peer(buffer_span(&text), name, &card, options, &more);
    if (more.err)
        result = cli_fail(COMMAND, "%s", torg_err_text(more.err));
    else if (conf_file_replace(file, buffer_span(&more), message, sizeof(message)))
        result = cli_fail(COMMAND, "%s", message);
    else
        fprintf(stderr, "%s (%s) is added to %s. Make torgd read it: systemctl reload torgd\n",
                name, card.name, file);
    buffer_done(&text);
    buffer_done(&more);
    return result;
}

/* text without the lines of [trust] that are about name: its origin, and what says more of it. */
static void without_trust(struct span text, const char *name, struct buffer *out,
                          bool *ret_was_trusted)
{
    static const char *const words[] = {"collections", "listings", "origin"};
    struct buffer less = {0};

    buffer_put_span(&less, text);
    for (size_t i = 0; i < ARRAY_SIZE(words) && !less.err; i++) {
        char key[CONFIG_NAME_BYTES_MAX + 16];
        struct buffer before = less;

        less = (struct buffer){0};
        snprintf(key, sizeof(key), "%s %s", words[i], name);
        conf_text_without_key(buffer_span(&before), "trust", key, &less, ret_was_trusted);
        buffer_done(&before);
    }
    if (less.err)
        out->err = less.err;
    else
        buffer_put_span(out, buffer_span(&less));
    buffer_done(&less);
}

static int peer_remove(const char *file, const char *name)
{
    struct buffer text = {0}, less = {0}, least = {0};
    char section[CONFIG_NAME_BYTES_MAX + 16];
    bool was_peer, was_trusted;
    char message[512];
    int result = CLI_OK;

    if (!name || !name_valid(name))
        return cli_usage(COMMAND, "remove needs the NAME, as \"torg peer list\" shows it");
    if (cli_read_file(file, CONFIG_FILE_BYTES_MAX, &text)) {
        buffer_done(&text);
        return cli_fail(COMMAND, "%s: %s", file, strerror(errno));
    }
    snprintf(section, sizeof(section), "peer %s", name);
    conf_text_without_section(buffer_span(&text), section, &less, &was_peer);
    without_trust(buffer_span(&less), name, &least, &was_trusted);
    if (!was_peer && !was_trusted)
        result = cli_fail(COMMAND, "there is no %s in %s", name, file);
    else if (less.err || least.err)
        result = cli_fail(COMMAND, "out of memory");
    else if (conf_file_replace(file, buffer_span(&least), message, sizeof(message)))
        result = cli_fail(COMMAND, "%s", message);
    else
        fprintf(stderr, "%s is removed from %s. Make torgd read it: systemctl reload torgd\n", name,
                file);
    buffer_done(&text);
    buffer_done(&less);
    buffer_done(&least);
    return result;
}

static int peer_list(const char *file)
{
    static const char *const titles[] = {"peer", "address", "node key"};
    static const char *const trust_titles[] = {"trusted", "origin"};
    struct config config = {0};
    struct cli_table table;
    char hex[65];

    if (!cli_config(COMMAND, file, &config))
        return CLI_FAILED;
    cli_table_begin(&table, titles, ARRAY_SIZE(titles));
    for (size_t i = 0; i < config.peer_count; i++) {
        char address[CONFIG_ADDRESS_BYTES_MAX];

        hex_encode(config.peers[i].keys[0].bytes, sizeof(config.peers[i].keys[0].bytes), hex);
        cli_table_cell(&table, "%s", config.peers[i].name);
        cli_table_cell(&table, "%s",
                       config.peers[i].has_address
                           ? config_address_format(&config.peers[i].address, address)
                           : "(it dials us)");
        cli_table_cell(&table, "%s", hex);
    }
    cli_table_end(&table, stdout);
    putchar('\n');
    cli_table_begin(&table, trust_titles, ARRAY_SIZE(trust_titles));
    for (size_t i = 0; i < config.trust_count; i++) {
        hex_encode(config.trust[i].origin.bytes, sizeof(config.trust[i].origin.bytes), hex);
        cli_table_cell(&table, "%s", config.trust[i].name);
        cli_table_cell(&table, "%s", hex);
    }
    cli_table_end(&table, stdout);
    config_done(&config);
    return CLI_OK;
}

int cmd_peer(int argc, char **argv)
{
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'}, {"address", required_argument, NULL, 'a'},
        {"no-dial", no_argument, NULL, 'n'},      {"trust-only", no_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},         {0},
    };
    struct peer_options options = {0};
    const char *words[3] = {0};
    const char *file;
    int option;

    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (option) {
        case 'c':
            options.config = optarg;
            break;
        case 'a':
            options.address = optarg;
            break;
        case 'n':
            options.no_dial = true;
            break;
        case 't':
            options.trust_only = true;
            break;
        case 'h':
            fputs(help, stdout);
            return CLI_OK;
        default:
            return cli_usage_told(COMMAND);
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(words) && optind < argc; i++)
        words[i] = argv[optind++];
    if (optind < argc)
        return cli_usage(COMMAND, "\"%s\" is one word too many", argv[optind]);
    file = cli_config_file(COMMAND, options.config);
    if (!file)
        return CLI_USAGE;
    if (words[0] && strcmp(words[0], "add") == 0)
        return peer_add(file, words[1], words[2], &options);
    if (words[0] && strcmp(words[0], "remove") == 0)
        return peer_remove(file, words[1]);
    if (words[0] && strcmp(words[0], "list") == 0)
        return peer_list(file);
    return cli_usage(COMMAND, "add, remove or list?");
}

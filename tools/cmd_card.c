/* SPDX-License-Identifier: EUPL-1.2 */
#include <getopt.h>
#include <sodium.h>
#include <string.h>

#include "daemon/keyfile.h"
#include "index/settings.h"
#include "index/store.h"
#include "protocol/replica.h"
#include "tools/card.h"
#include "tools/cli.h"

#define COMMAND "card"

static const char help[] =
    "torg card - print the card that neighbours need to federate with this node\n"
    "\n"
    "usage: torg card [--address HOST:PORT] [--config FILE]\n"
    "\n"
    "Nothing on the card is secret, but it says whom to trust: send it so that the\n"
    "neighbour knows it is from you, and read the keys aloud over the telephone.\n"
    "\n"
    "  --address HOST:PORT   what neighbours dial, when the charter names no other\n"
    "  --config FILE         the node's configuration\n"
    "  --help\n";

/* What the charter says, read from the node's store. */
static enum torg_err card_of_store(const char *directory, struct card *card)
{
    struct store_options options = store_options_default();
    struct charter_signed charter_signed;
    struct replica_origin origin;
    struct store *store = NULL;
    struct charter charter;
    struct span bytes;
    struct kv read;
    enum torg_err err;

    options.read_only = true;
    err = store_open(directory, &options, &store);
    if (err)
        return err;
    err = store_read_begin(store, &read);
    if (err)
        goto done;
    err = settings_own_get(&read, &card->origin);
    if (!err)
        err = replica_origin_get(&read, &card->origin, &origin);
    if (!err)
        err = replica_charter_get(&read, origin.number, origin.charter_no, &bytes);
    if (!err)
        err = charter_signed_parse(bytes, &charter_signed);
    if (!err)
        err = charter_parse(charter_signed.bytes, &charter);
    if (!err) {
        snprintf(card->name, sizeof(card->name), "%.*s", (int)charter.name.size,
                 (const char *)charter.name.data);
        if (!*card->address && charter.endpoint_count > 0)
            snprintf(card->address, sizeof(card->address), "%.*s", (int)charter.endpoints[0].size,
                     (const char *)charter.endpoints[0].data);
    }
    store_read_end(&read);
done:
    store_close(store);
    return err;
}

static int print_card(const struct config *config, const char *address)
{
    char message[KEYFILE_MESSAGE_BYTES_MAX];
    struct secret_key secret;
    struct buffer text = {0};
    struct card card = {0};
    enum torg_err err;

    snprintf(card.address, sizeof(card.address), "%s", address ? address : "");
    err = keyfile_read(config->keys_directory, KEYFILE_NODE, &secret, &card.node_key, message);
    if (err)
        return cli_fail(COMMAND, "%s", message);
    sodium_memzero(&secret, sizeof(secret));
    err = card_of_store(config->directory, &card);
    if (err)
        return cli_fail_store(COMMAND, config->directory, err);
    card_put(&card, &text);
    if (!text.err)
        fwrite(text.data, 1, text.size, stdout);
    buffer_done(&text);
    return CLI_OK;
}

int cmd_card(int argc, char **argv)
{
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"address", required_argument, NULL, 'a'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    const char *config_option = NULL;
    const char *address = NULL;
    struct config config = {0};
    int option;
    int result;

    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (option) {
        case 'c':
            config_option = optarg;
            break;
        case 'a':
            address = optarg;
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
    if (!cli_config(COMMAND, config_option, &config))
        return CLI_FAILED;
    result = print_card(&config, address);
    config_done(&config);
    return result;
}

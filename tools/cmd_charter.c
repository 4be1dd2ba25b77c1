/* SPDX-License-Identifier: EUPL-1.2 */
#include <getopt.h>
#include <inttypes.h>
#include <sodium.h>
#include <string.h>

#include "daemon/keyfile.h"
#include "index/store.h"
#include "tools/charter_change.h"
#include "tools/cli.h"

#define COMMAND "charter"

static const char help[] =
    "torg charter - show and change who this municipality is and which keys speak for it\n"
    "\n"
    "usage: torg charter show [--config FILE]\n"
    "       torg charter new --root-key FILE CHANGE... [--config FILE]\n"
    "\n"
    "new makes the next charter, signed with the root key, and puts new keys in place;\n"
    "torgd must be stopped. When it runs again, all others follow by themselves. Take the\n"
    "root key away again afterwards.\n"
    "\n"
    "  --root-key FILE      root.key, from where it is kept; mode 0600\n"
    "  --config FILE        the node's configuration\n"
    "  --help\n"
    "\n"
    "changes:\n"
    "  --new-signing-key    what is signed with the old one counts no more\n"
    "  --new-node-key       neighbours then need this node's card again\n"
    "  --new-root-key FILE  makes FILE; the old root key then signs nothing more\n"
    "  --new-epoch          with a stolen signing key, or two nodes that ran at once:\n"
    "                       whatever this node does not hold is no longer published\n"
    "  --name NAME          as people know it\n"
    "  --address HOST:PORT  what neighbours dial, or none\n"
    "  --visibility COLLECTION=WHO\n"
    "                       who gets it: public or local (nobody); several times\n";

/* ---- show ---- */

static void print_key(const char *what, const struct public_key *key, const char *note)
{
    char hex[2 * sizeof(key->bytes) + 1];

    hex_encode(key->bytes, sizeof(key->bytes), hex);
    printf("%-13s %s%s\n", what, hex, note);
}

/* Is it the key in this node's file? */
static const char *own_note(const struct config *config, const char *file,
                            const struct public_key *key)
{
    char message[KEYFILE_MESSAGE_BYTES_MAX];
    struct secret_key secret;
    struct public_key public;

    if (keyfile_read(config->keys_directory, file, &secret, &public, message))
        return "";
    sodium_memzero(&secret, sizeof(secret));
    return memcmp(&public, key, sizeof(public)) == 0 ? "  (this node's)" : "";
}

static void print_collection(uint8_t collection, bool *first)
{
    printf("%s", *first ? "" : ", ");
    if (collection_name(collection))
        printf("%s", collection_name(collection));
    else
        printf("%u", collection);
    *first = false;
}

static void print_visibility(const struct charter *charter)
{
    static const char *const words[] = {
        [VISIBILITY_PUBLIC] = "public", [VISIBILITY_MEMBERS] = "for members"};
    char hex[2 * sizeof(charter->catalogue.bytes) + 1];

    for (unsigned who = VISIBILITY_PUBLIC; who <= VISIBILITY_MEMBERS; who++) {
        bool first = true;

        for (uint8_t c = 1; c < COLLECTIONS_MAX; c++) {
            if (charter->visibility[c] != who)
                continue;
            if (first)
                printf("%-13s ", words[who]);
            print_collection(c, &first);
        }
        printf("%s", first ? "" : "\n");
    }
    if (!charter->has_catalogue)
        return;
    hex_encode(charter->catalogue.bytes, sizeof(charter->catalogue.bytes), hex);
    printf("%-13s %s\n", "catalogue", hex);
}

static void print_charter(const struct config *config, const struct charter_own *own)
{
    const struct charter *charter = &own->charter;
    char origin[2 * sizeof(own->origin.id.bytes) + 1];

    hex_encode(own->origin.id.bytes, sizeof(own->origin.id.bytes), origin);
    printf("%-13s %s\n%-13s %.*s\n%-13s %" PRIu64 ", epoch %" PRIu64 "\n", "origin", origin, "name",
           (int)charter->name.size, (const char *)charter->name.data, "charter",
           charter->charter_no, charter->epoch);
    if (charter->municipality.size)
        printf("%-13s %.*s\n", "municipality", (int)charter->municipality.size,
               (const char *)charter->municipality.data);
    for (size_t i = 0; i < charter->endpoint_count; i++)
        printf("%-13s %.*s\n", "address", (int)charter->endpoints[i].size,
               (const char *)charter->endpoints[i].data);
    print_visibility(charter);
    for (size_t i = 0; i < charter->signing_key_count; i++) {
        char what[40];

        snprintf(what, sizeof(what), "signing %" PRIu64, charter->signing_keys[i].key_no);
        print_key(what, &charter->signing_keys[i].key,
                  own_note(config, KEYFILE_SIGNING, &charter->signing_keys[i].key));
    }
    for (size_t i = 0; i < charter->node_key_count; i++)
        print_key("node", &charter->node_keys[i],
                  own_note(config, KEYFILE_NODE, &charter->node_keys[i]));
    for (size_t i = 0; i < charter->root_key_count; i++)
        print_key("root", &charter->root_keys[i], "");
}

static int show(const struct config *config)
{
    struct store_options options = store_options_default();
    struct store *store = NULL;
    struct charter_own own;
    struct kv read;
    enum torg_err err;

    options.read_only = true;
    err = store_open(config->directory, &options, &store);
    if (!err)
        err = store_read_begin(store, &read);
    if (!err) {
        err = charter_own_get(&read, &own);
        if (!err)
            print_charter(config, &own);
        store_read_end(&read);
    }
    store_close(store);
    return err ? cli_fail_store(COMMAND, config->directory, err) : CLI_OK;
}

/* ---- new ---- */

static int wish_check(const struct charter_wish *wish)
{
    if (!wish->root_key)
        return cli_usage(COMMAND, "--root-key FILE is missing: only the root key makes a charter");
    if (!wish->name && !wish->address && !wish->new_root_key && !wish->new_signing_key &&
        !wish->new_node_key && !wish->new_epoch && !wish->visible)
        return cli_usage(COMMAND, "what is to change?");
    if (wish->name && (!*wish->name || strlen(wish->name) > CHARTER_NAME_BYTES_MAX ||
                       !utf8_valid(span_of_str(wish->name)) || strpbrk(wish->name, "\"[]\n\r;#")))
        return cli_usage(COMMAND, "--name: 1 to %d bytes of UTF-8, without \" [ ] ; #",
                         CHARTER_NAME_BYTES_MAX);
    if (wish->address && *wish->address && !config_address_dialable(wish->address))
        return cli_usage(COMMAND,
                         "--address \"%s\": what neighbours dial, like torg.example.se:8490, or "
                         "none",
                         wish->address);
    return CLI_OK;
}

static int make_new(const struct config *config, const struct charter_wish *wish)
{
    char message[CHARTER_MESSAGE_BYTES_MAX];
    uint64_t charter_no = 0;

    if (charter_change(config, wish, &charter_no, message))
        return cli_fail(COMMAND, "%s", message);
    printf("Charter %" PRIu64 " is made. Start torgd: the others follow when they hear of it.\n",
           charter_no);
    if (wish->new_node_key)
        puts("Send the neighbours this node's new card (torg card). Until they have put its\n"
             "node-key into their configuration, they refuse the connection.");
    if (wish->new_root_key)
        printf("Put %s away offline, with a copy; destroy the old root key.\n", wish->new_root_key);
    if (wish->name)
        puts("The name in federation.conf is what its own pages and log say; change it there too.");
    return CLI_OK;
}

static int run(const char *verb, const char *config_option, const struct charter_wish *wish)
{
    bool is_new = strcmp(verb, "new") == 0;
    struct config config = {0};
    int result = CLI_OK;

    if (!is_new && strcmp(verb, "show") != 0)
        return cli_usage(COMMAND, "\"%s\" is not show or new", verb);
    if (is_new)
        result = wish_check(wish);
    if (result)
        return result;
    if (!cli_config(COMMAND, config_option, &config))
        return CLI_FAILED;
    result = is_new ? make_new(&config, wish) : show(&config);
    config_done(&config);
    return result;
}

/* COLLECTION=WHO; false after a message. */
static bool read_visibility(const char *text, struct charter_wish *wish)
{
    static const char *const words[] = {
        [VISIBILITY_LOCAL] = "local", [VISIBILITY_PUBLIC] = "public"};
    size_t size = strcspn(text, "=");
    uint8_t collection = collection_of_name(span_of(text, size));

    for (size_t who = 0; collection && text[size] && who < ARRAY_SIZE(words); who++) {
        if (strcmp(text + size + 1, words[who]) != 0)
            continue;
        wish->visible |= UINT32_C(1) << collection;
        wish->visibility[collection] = (uint8_t)who;
        return true;
    }
    cli_usage(COMMAND,
              "--visibility \"%s\": the name of a collection, =, and public or local; "
              "like members=public",
              text);
    return false;
}

int cmd_charter(int argc, char **argv)
{
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"root-key", required_argument, NULL, 'r'},
        {"new-signing-key", no_argument, NULL, 's'},
        {"new-node-key", no_argument, NULL, 'n'},
        {"new-root-key", required_argument, NULL, 't'},
        {"new-epoch", no_argument, NULL, 'e'},
        {"name", required_argument, NULL, 'm'},
        {"address", required_argument, NULL, 'a'},
        {"visibility", required_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct charter_wish wish = {0};
    const char *config_option = NULL;
    int option;

    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (option) {
        case 'c':
            config_option = optarg;
            break;
        case 'r':
            wish.root_key = optarg;
            break;
        case 's':
            wish.new_signing_key = true;
            break;
        case 'n':
            wish.new_node_key = true;
            break;
        case 't':
            wish.new_root_key = optarg;
            break;
        case 'e':
            wish.new_epoch = true;
            break;
        case 'm':
            wish.name = optarg;
            break;
        case 'a':
            wish.address = strcmp(optarg, "none") ? optarg : "";
            break;
        case 'v':
            if (!read_visibility(optarg, &wish))
                return CLI_USAGE;
            break;
        case 'h':
            fputs(help, stdout);
            return CLI_OK;
        default:
            return cli_usage_told(COMMAND);
        }
    }
    if (optind + 1 != argc)
        return cli_usage(COMMAND, "show or new?");
    return run(argv[optind], config_option, &wish);
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include <errno.h>
#include <getopt.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/keyfile.h"
#include "index/catalogue.h"
#include "index/settings.h"
#include "index/store.h"
#include "protocol/replica.h"
#include "tools/cli.h"
#include "tools/conf_file.h"

#define COMMAND "init"
#define PATH_BYTES_MAX 480
#define SIGNING_KEY_NO 1
#define MAX_STALE_S (30 * 86400)

static const char help[] =
    "torg init - found a municipality: its keys, its charter, its data directory\n"
    "\n"
    "usage: torg init DIR --name NAME [options]\n"
    "\n"
    "Makes DIR with federation.conf, keys/ (root.key, signing.key, node.key) and data/.\n"
    "Nothing that exists is overwritten. What it prints says how to go on.\n"
    "\n"
    "  --name NAME           as people know it, \"Umeå kommun\"\n"
    "  --municipality CODE   SCB code, four digits, when it is a Swedish municipality\n"
    "  --kind KIND           municipality (default), company, association, region, state\n"
    "  --country CC          ISO 3166, default SE\n"
    "  --national-code CODE  the country's own number of the owner, where there is one\n"
    "  --http ADDRESS        where the web is served (default 127.0.0.1:8480)\n"
    "  --peer-listen ADDRESS where neighbours connect (default 127.0.0.1:8490), or none\n"
    "  --admin ADDRESS       health and metrics (default 127.0.0.1:8500)\n"
    "  --address ADDRESS     what neighbours dial, host:port, when it is not --peer-listen\n"
    "  --help\n";

struct init {
    const char *directory;
    const char *name;
    const char *municipality;
    const char *kind;
    const char *country;
    const char *national_code;
    const char *http;
    const char *peer_listen;
    const char *admin;
    const char *address;
    char keys[PATH_BYTES_MAX];
    char data[PATH_BYTES_MAX];
    char conf[PATH_BYTES_MAX];
    struct secret_key root_secret;
    struct public_key root, signing, node;
    struct origin_id origin;
};

static bool options_check(const struct init *init)
{
    static const char *const kinds[] = {"municipality", "company", "association", "region",
                                        "state"};
    size_t i = 0;

    if (!init->name || !*init->name) {
        cli_usage(COMMAND, "--name NAME is missing");
        return false;
    }
    if (strlen(init->name) > CHARTER_NAME_BYTES_MAX || !utf8_valid(span_of_str(init->name)) ||
        strpbrk(init->name, "\"[]\n\r;#")) {
        cli_usage(COMMAND, "--name: at most %d bytes of UTF-8, without \" [ ] ; #",
                  CHARTER_NAME_BYTES_MAX);
        return false;
    }
    if (*init->municipality &&
        (strlen(init->municipality) != 4 || strspn(init->municipality, "0123456789") != 4)) {
        cli_usage(COMMAND, "--municipality %s: an SCB code has four digits, like 2480",
                  init->municipality);
        return false;
    }
    if (strlen(init->country) != 2 || strspn(init->country, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 2) {
        cli_usage(COMMAND, "--country %s: two capital letters, like SE", init->country);
        return false;
    }
    while (i < ARRAY_SIZE(kinds) && strcmp(init->kind, kinds[i]) != 0)
        i++;
    if (i == ARRAY_SIZE(kinds)) {
        cli_usage(COMMAND, "--kind %s: municipality, company, association, region or state?",
                  init->kind);
        return false;
    }
    return true;
}

static bool paths_make(struct init *init)
{
    struct {
        char *path;
        const char *name;
        bool is_directory;
    } places[] = {
        {init->keys, "keys", true},
        {init->data, "data", true},
        {init->conf, "federation.conf", false},
    };

    if (mkdir(init->directory, 0700) != 0 && errno != EEXIST) {
        cli_fail(COMMAND, "%s: %s", init->directory, strerror(errno));
        return false;
    }
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        if (snprintf(places[i].path, PATH_BYTES_MAX, "%s/%s", init->directory, places[i].name) >=
            PATH_BYTES_MAX) {
            cli_fail(COMMAND, "%s: the path is too long", init->directory);
            return false;
        }
        if (!places[i].is_directory && access(places[i].path, F_OK) == 0) {
            cli_fail(COMMAND,
                     "%s exists: this municipality is founded already. To found another, "
                     "choose another directory",
                     places[i].path);
            return false;
        }
        if (places[i].is_directory && mkdir(places[i].path, 0700) != 0 && errno != EEXIST) {
            cli_fail(COMMAND, "%s: %s", places[i].path, strerror(errno));
            return false;
        }
    }
    return true;
}

static bool key_make(const struct init *init, const char *name, const char *comment,
                     struct secret_key *ret_secret, struct public_key *ret_public)
{
    char message[KEYFILE_MESSAGE_BYTES_MAX];
    uint8_t seed[32];
    bool made;

    randombytes_buf(seed, sizeof(seed));
    made = keyfile_write(init->keys, name, comment, seed, message) == TORG_OK;
    if (made)
        seal_key_of_seed(seed, ret_secret, ret_public);
    else
        cli_fail(COMMAND, "%s", message);
    sodium_memzero(seed, sizeof(seed));
    return made;
}

static bool keys_make(struct init *init)
{
    struct secret_key secret;
    bool made = key_make(init, KEYFILE_ROOT,
                         "torg root key: signs charters. Keep it offline, and a copy of it safe.",
                         &init->root_secret, &init->root) &&
                key_make(init, KEYFILE_SIGNING, "torg signing key: signs this node's heads.",
                         &secret, &init->signing) &&
                key_make(init, KEYFILE_NODE, "torg node key: proves this node to its peers.",
                         &secret, &init->node);

    sodium_memzero(&secret, sizeof(secret));
    return made;
}

static void charter_fill(const struct init *init, struct charter *charter)
{
    *charter = (struct charter){
        .epoch = 1,
        .name = span_of_str(init->name),
        .municipality = span_of_str(init->municipality),
        .threshold = 1,
        .root_key_count = 1,
        .root_keys = {init->root},
        .signing_key_count = 1,
        .signing_keys = {{.key_no = SIGNING_KEY_NO, .key = init->signing}},
        .node_key_count = 1,
        .node_keys = {init->node},
        .max_stale_s = MAX_STALE_S,
        .owner_kind = span_of_str(init->kind),
        .country = span_of_str(init->country),
        .national_code = span_of_str(init->national_code),
    };
    for (uint8_t c = 1; c < COLLECTIONS_MAX; c++) {
        if (COLLECTION_MASK_PUBLIC >> c & 1)
            charter->visibility[c] = VISIBILITY_PUBLIC;
    }
    if (*init->address) {
        charter->endpoint_count = 1;
        charter->endpoints[0] = span_of_str(init->address);
    }
}

static enum torg_err store_charter(struct init *init, struct kv *kv, struct span bytes)
{
    struct charter_signed charter_signed = {
        .bytes = bytes,
        .signature_count = 1,
        .signatures = {{.key = init->root}},
    };
    struct replica_write write = {
        .kind = REPLICA_WRITE_CHARTERS,
        .charters = &charter_signed,
        .charter_count = 1,
        .now_ms = cli_now_ms(),
    };
    enum torg_err err;

    charter_signed.signatures[0].signature = seal_sign(DOMAIN_CHARTER, bytes, &init->root_secret);
    init->origin = charter_origin(bytes);
    write.origin = init->origin;
    err = replica_apply(kv, &write, NULL);
    if (err)
        return err;
    return settings_own_set(kv, &init->origin);
}

/* An empty index, marked with the version and the taxonomy that will fill it. */
static enum torg_err store_index(struct kv *kv)
{
    struct theme_tree *themes = NULL;
    enum torg_err err = theme_tree_builtin(&themes);

    if (!err)
        err = catalogue_rebuild(kv, themes, NULL, NULL);
    theme_tree_free(themes);
    return err;
}

static bool data_make(struct init *init)
{
    struct store_options options = store_options_default();
    struct store *store = NULL;
    struct buffer bytes = {0};
    struct charter charter;
    struct kv write;
    enum torg_err err;

    charter_fill(init, &charter);
    err = charter_pack(&charter, &bytes);
    if (!err)
        err = store_open(init->data, &options, &store);
    if (!err)
        err = store_write_begin(store, &write);
    if (!err) {
        err = store_charter(init, &write, buffer_span(&bytes));
        if (!err)
            err = store_index(&write);
        if (err)
            store_write_abort(&write);
        else
            err = store_write_commit(&write);
    }
    store_close(store);
    buffer_done(&bytes);
    if (err)
        cli_fail(COMMAND, "%s: %s%s%s", init->data, torg_err_text(err),
                 err == TORG_E_IO ? ": " : "", err == TORG_E_IO ? strerror(errno) : "");
    return err == TORG_OK;
}

static bool conf_make(const struct init *init)
{
    struct buffer text = {0};
    char message[512];
    enum torg_err err;

    buffer_printf(&text,
                  "# The configuration of one torg node; federation.conf(5) describes every key.\n"
                  "# torgd --check-config names each mistake; SIGHUP (systemctl reload torgd)\n"
                  "# makes torgd read neighbours, trust and log level again.\n"
                  "\n"
                  "[municipality]\n"
                  "name = %s\n"
                  "directory = data\n"
                  "keys = keys\n"
                  "\n"
                  "# The web: pages and API. Put a proxy with TLS in front of it, or listen on\n"
                  "# loopback only.\n"
                  "[http]\n"
                  "listen = %s\n"
                  "\n"
                  "# Where neighbours connect, with TLS 1.3 and pinned keys. \"none\" for a node\n"
                  "# that only dials out.\n"
                  "[peer-listen]\n"
                  "listen = %s\n"
                  "\n"
                  "# For the operators: /healthz, /readyz, /metrics, and the torg command.\n"
                  "[admin]\n"
                  "listen = %s\n"
                  "\n"
                  "# Neighbours are added with \"torg peer add\".\n",
                  init->name, init->http, init->peer_listen, init->admin);
    err = text.err ? text.err
                   : conf_file_replace(init->conf, buffer_span(&text), message, sizeof(message));
    if (err)
        cli_fail(COMMAND, "%s", text.err ? torg_err_text(text.err) : message);
    buffer_done(&text);
    return err == TORG_OK;
}

static void say_next(const struct init *init)
{
    char origin[2 * sizeof(init->origin.bytes) + 1];

    hex_encode(init->origin.bytes, sizeof(init->origin.bytes), origin);
    printf("%s is founded in %s.\n"
           "\n"
           "  origin   %s\n"
           "\n"
           "Next:\n"
           "  1. Move %s/root.key to a safe place offline, and keep a copy. It is needed\n"
           "     only to change the charter; whoever has it can speak as %s.\n"
           "  2. Start the node:        torgd --config %s\n"
           "  3. Give the neighbours:   torg card --config %s\n"
           "  4. Take in theirs:        torg peer add NAME CARD-FILE --config %s\n"
           "  5. Publish:               torg import --config %s FILE\n",
           init->name, init->directory, origin, init->keys, init->name, init->conf, init->conf,
           init->conf, init->conf);
}

int cmd_init(int argc, char **argv)
{
    static const struct option longs[] = {
        {"name", required_argument, NULL, 'n'},
        {"municipality", required_argument, NULL, 'm'},
        {"kind", required_argument, NULL, 'k'},
        {"country", required_argument, NULL, 'c'},
        {"national-code", required_argument, NULL, 'o'},
        {"http", required_argument, NULL, 'w'},
        {"peer-listen", required_argument, NULL, 'p'},
        {"admin", required_argument, NULL, 'a'},
        {"address", required_argument, NULL, 'd'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct init init = {
        .municipality = "",
        .kind = "municipality",
        .country = "SE",
        .national_code = "",
        .http = "127.0.0.1:8480",
        .peer_listen = "127.0.0.1:8490",
        .admin = "127.0.0.1:8500",
    };
    const char **targets[128] = {
        ['n'] = &init.name,        ['m'] = &init.municipality,  ['k'] = &init.kind,
        ['c'] = &init.country,     ['o'] = &init.national_code, ['w'] = &init.http,
        ['p'] = &init.peer_listen, ['a'] = &init.admin,         ['d'] = &init.address,
    };
    bool made;
    int option;

    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            return CLI_OK;
        }
        if (option >= 128 || !targets[option])
            return cli_usage(COMMAND, "the options are wrong");
        *targets[option] = optarg;
    }
    if (optind + 1 != argc)
        return cli_usage(COMMAND, "one directory: torg init DIR --name NAME");
    init.directory = argv[optind];
    if (!init.address)
        init.address = strcmp(init.peer_listen, "none") ? init.peer_listen : "";
    if (!options_check(&init))
        return CLI_USAGE;
    umask(077);
    /* The configuration comes last: it says that everything else is there. */
    made = paths_make(&init) && keys_make(&init) && data_make(&init) && conf_make(&init);
    sodium_memzero(&init.root_secret, sizeof(init.root_secret));
    if (made)
        say_next(&init);
    return made ? CLI_OK : CLI_FAILED;
}

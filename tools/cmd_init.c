/* SPDX-License-Identifier: EUPL-1.2 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/keyfile.h"
#include "index/catalogue.h"
#include "index/settings.h"
#include "index/store.h"
#include "protocol/fold.h"
#include "protocol/gazetteer.h"
#include "protocol/nearest.h"
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
    "Nothing that exists is overwritten, and what cannot be finished is taken back. What\n"
    "it prints says how to go on.\n"
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

/* What is made in the end; everything before that only thinks. */
enum init_key { KEY_ROOT, KEY_SIGNING, KEY_NODE, KEY_COUNT };

static const struct {
    const char *file, *comment;
} key_files[KEY_COUNT] = {
    [KEY_ROOT] = {KEYFILE_ROOT,
                  "torg root key: signs charters. Keep it offline, and a copy of it safe."},
    [KEY_SIGNING] = {KEYFILE_SIGNING, "torg signing key: signs this node's heads."},
    [KEY_NODE] = {KEYFILE_NODE, "torg node key: proves this node to its peers."},
};

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
    uint8_t seeds[KEY_COUNT][32];
    struct public_key publics[KEY_COUNT];
    struct origin_id origin;
    struct buffer charter;
    struct buffer conf_text;
    /* what was made here, and goes again when the rest fails */
    bool made_directory, made_keys, made_data;
    size_t keys_written;
};

/* ---- checks: nothing is written yet ---- */

static bool name_check(const struct init *init)
{
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
    return true;
}

/* How unlike a municipality's name is to "Umeå kommun" or "Arjeplogs kommun". */
static unsigned name_distance(struct span wanted, const char *municipality)
{
    static const char *const endings[] = {"", "s", " kommun", "s kommun"};
    unsigned best = UINT_MAX;

    for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
        struct buffer folded = {0};
        char whole[80];
        unsigned distance;

        snprintf(whole, sizeof(whole), "%s%s", municipality, endings[i]);
        fold_put(&folded, span_of_str(whole));
        distance = folded.err ? UINT_MAX : nearest_distance(wanted, buffer_span(&folded));
        if (distance < best)
            best = distance;
        buffer_done(&folded);
    }
    return best;
}

/* The municipality whose name is most like --name; false if none is. */
static bool municipality_named(const struct init *init, const char **ret_code,
                               const char **ret_name)
{
    struct buffer wanted = {0};
    unsigned best = 3; /* Further off it is another place. */

    fold_put(&wanted, span_of_str(init->name));
    for (size_t i = 0; i < gazetteer_municipality_count() && !wanted.err; i++) {
        const char *code, *name;
        unsigned distance;

        gazetteer_municipality_at(i, &code, &name);
        distance = name_distance(buffer_span(&wanted), name);
        if (distance < best) {
            best = distance;
            *ret_code = code;
            *ret_name = name;
        }
    }
    buffer_done(&wanted);
    return best < 3;
}

/* The known code that is nearest as a number: a slip of the finger. */
static void municipality_numbered(const struct init *init, const char **ret_code,
                                  const char **ret_name)
{
    long wanted = strtol(init->municipality, NULL, 10);
    long best = LONG_MAX;

    for (size_t i = 0; i < gazetteer_municipality_count(); i++) {
        const char *code, *name;
        long distance;

        gazetteer_municipality_at(i, &code, &name);
        distance = labs(strtol(code, NULL, 10) - wanted);
        if (distance < best) {
            best = distance;
            *ret_code = code;
            *ret_name = name;
        }
    }
}

static bool municipality_check(const struct init *init)
{
    const char *code = "", *name = "";

    if (!*init->municipality)
        return true;
    if (strlen(init->municipality) != 4 || strspn(init->municipality, "0123456789") != 4) {
        cli_usage(COMMAND, "--municipality %s: an SCB code has four digits, like 2480",
                  init->municipality);
        return false;
    }
    if (strcmp(init->country, "SE") != 0) {
        cli_usage(COMMAND, "--municipality is for Sweden; give --national-code in %s",
                  init->country);
        return false;
    }
    if (gazetteer_municipality(span_of_str(init->municipality)))
        return true;
    if (!municipality_named(init, &code, &name))
        municipality_numbered(init, &code, &name);
    cli_usage(COMMAND, "--municipality %s: SCB has no such code; did you mean %s, %s?",
              init->municipality, code, name);
    return false;
}

static bool listen_check(const char *option, const char *value, bool none)
{
    if (config_listen_valid(value) && (none || strcmp(value, "none") != 0))
        return true;
    cli_usage(COMMAND, "%s \"%s\": an address and a port to listen on, like 127.0.0.1:8480%s",
              option, value, none ? ", or none" : "");
    return false;
}

static bool options_check(const struct init *init)
{
    static const char *const kinds[] = {"municipality", "company", "association", "region",
                                        "state"};
    size_t i = 0;

    if (!name_check(init))
        return false;
    if (strlen(init->country) != 2 || strspn(init->country, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 2) {
        cli_usage(COMMAND, "--country %s: two capital letters, like SE", init->country);
        return false;
    }
    if (!municipality_check(init))
        return false;
    while (i < ARRAY_SIZE(kinds) && strcmp(init->kind, kinds[i]) != 0)
        i++;
    if (i == ARRAY_SIZE(kinds)) {
        cli_usage(COMMAND, "--kind %s: municipality, company, association, region or state?",
                  init->kind);
        return false;
    }
    if (*init->address && !config_address_dialable(init->address)) {
        cli_usage(COMMAND, "--address \"%s\": what neighbours dial, like torg.example.se:8490",
                  init->address);
        return false;
    }
    return listen_check("--http", init->http, false) &&
           listen_check("--peer-listen", init->peer_listen, true) &&
           listen_check("--admin", init->admin, false);
}

/* Paths, and that nothing of a municipality stands there already. */
static bool paths_check(struct init *init)
{
    const struct {
        char *path;
        const char *name;
    } places[] = {{init->keys, "keys"}, {init->data, "data"}, {init->conf, "federation.conf"}};
    char file[PATH_BYTES_MAX + 32];

    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        if (snprintf(places[i].path, PATH_BYTES_MAX, "%s/%s", init->directory, places[i].name) >=
            PATH_BYTES_MAX) {
            cli_fail(COMMAND, "%s: the path is too long", init->directory);
            return false;
        }
    }
    for (size_t i = 0; i < KEY_COUNT + 2; i++) {
        if (i < KEY_COUNT)
            snprintf(file, sizeof(file), "%s/%s", init->keys, key_files[i].file);
        else if (i == KEY_COUNT)
            snprintf(file, sizeof(file), "%s/torg.mdb", init->data);
        else
            snprintf(file, sizeof(file), "%s", init->conf);
        if (access(file, F_OK) == 0) {
            cli_fail(COMMAND,
                     "%s exists: this municipality is founded already. To found another, choose "
                     "another directory",
                     file);
            return false;
        }
    }
    return true;
}

static void keys_draw(struct init *init)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        struct secret_key secret;

        randombytes_buf(init->seeds[i], sizeof(init->seeds[i]));
        seal_key_of_seed(init->seeds[i], &secret, &init->publics[i]);
        sodium_memzero(&secret, sizeof(secret));
    }
}

static void charter_fill(const struct init *init, struct charter *charter)
{
    *charter = (struct charter){
        .epoch = 1,
        .name = span_of_str(init->name),
        .municipality = span_of_str(init->municipality),
        .threshold = 1,
        .root_key_count = 1,
        .root_keys = {init->publics[KEY_ROOT]},
        .signing_key_count = 1,
        .signing_keys = {{.key_no = SIGNING_KEY_NO, .key = init->publics[KEY_SIGNING]}},
        .node_key_count = 1,
        .node_keys = {init->publics[KEY_NODE]},
        .max_stale_s = MAX_STALE_S,
        .owner_kind = span_of_str(init->kind),
        .country = span_of_str(init->country),
        .national_code = span_of_str(init->national_code),
    };
    /* Those of listings; members among them, for any origin may be a catalogue one day. */
    for (uint8_t c = 1; c < COLLECTIONS_MAX; c++) {
        if (LISTING_COLLECTIONS >> c & 1)
            charter->visibility[c] = VISIBILITY_PUBLIC;
    }
    if (*init->address) {
        charter->endpoint_count = 1;
        charter->endpoints[0] = span_of_str(init->address);
    }
}

static bool charter_make(struct init *init)
{
    struct charter charter;
    enum torg_err err;

    charter_fill(init, &charter);
    err = charter_pack(&charter, &init->charter);
    if (err)
        cli_fail(COMMAND, "the charter cannot be made: %s", torg_err_text(err));
    else
        init->origin = charter_origin(buffer_span(&init->charter));
    return err == TORG_OK;
}

static bool conf_make(struct init *init)
{
    struct buffer *text = &init->conf_text;
    struct config config = {0};
    char message[512];
    enum torg_err err;

    buffer_printf(text,
                  "# The configuration of one torg node; federation.conf(5) describes every key.\n"
                  "# torgd --check-config names each mistake; SIGHUP (systemctl reload torgd)\n"
                  "# makes torgd read neighbours, trust, limits and log level again.\n"
                  "\n"
                  "[municipality]\n"
                  "name = %s\n"
                  "directory = data\n"
                  "keys = keys\n"
                  "\n"
                  "# The web: pages and API. On an open port set tls-listen, tls-certificate and\n"
                  "# tls-key, or put a proxy with TLS in front.\n"
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
    if (text->err)
        snprintf(message, sizeof(message), "%s", torg_err_text(text->err));
    err = text->err
              ? text->err
              : config_parse(init->conf, buffer_span(text), &config, message, sizeof(message));
    if (err)
        cli_fail(COMMAND, "%s", message);
    config_done(&config);
    return err == TORG_OK;
}

/* ---- making it ---- */

static bool directory_make(const char *path, bool *ret_made)
{
    *ret_made = mkdir(path, 0700) == 0;
    if (*ret_made || errno == EEXIST)
        return true;
    cli_fail(COMMAND, "%s: %s", path, strerror(errno));
    return false;
}

static bool keys_write(struct init *init)
{
    char message[KEYFILE_MESSAGE_BYTES_MAX];

    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (keyfile_write(init->keys, key_files[i].file, key_files[i].comment, init->seeds[i],
                          message)) {
            cli_fail(COMMAND, "%s", message);
            return false;
        }
        init->keys_written++;
    }
    return true;
}

static enum torg_err store_charter(const struct init *init, struct kv *kv)
{
    struct span bytes = buffer_span(&init->charter);
    struct charter_signed charter_signed = {
        .bytes = bytes,
        .signature_count = 1,
        .signatures = {{.key = init->publics[KEY_ROOT]}},
    };
    struct secret_key secret;
    struct public_key root;
    struct replica_write write = {
        .kind = REPLICA_WRITE_CHARTERS,
        .charters = &charter_signed,
        .charter_count = 1,
        .origin = init->origin,
        .now_ms = cli_now_ms(),
    };
    enum torg_err err;

    seal_key_of_seed(init->seeds[KEY_ROOT], &secret, &root);
    charter_signed.signatures[0].signature = seal_sign(DOMAIN_CHARTER, bytes, &secret);
    sodium_memzero(&secret, sizeof(secret));
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

static bool data_make(const struct init *init)
{
    struct store_options options = store_options_default();
    struct store *store = NULL;
    struct kv write;
    enum torg_err err = store_open(init->data, &options, &store);

    if (!err)
        err = store_write_begin(store, &write);
    if (!err) {
        err = store_charter(init, &write);
        if (!err)
            err = store_index(&write);
        if (err)
            store_write_abort(&write);
        else
            err = store_write_commit(&write);
    }
    store_close(store);
    if (err)
        cli_fail(COMMAND, "%s: %s%s%s", init->data, torg_err_text(err),
                 err == TORG_E_IO ? ": " : "", err == TORG_E_IO ? strerror(errno) : "");
    return err == TORG_OK;
}

static bool conf_write(const struct init *init)
{
    char message[512];

    if (conf_file_replace(init->conf, buffer_span(&init->conf_text), message, sizeof(message)) ==
        TORG_OK)
        return true;
    cli_fail(COMMAND, "%s", message);
    return false;
}

/* The configuration comes last: it says that everything else is there. */
static bool make_all(struct init *init)
{
    return directory_make(init->directory, &init->made_directory) &&
           directory_make(init->keys, &init->made_keys) &&
           directory_make(init->data, &init->made_data) && keys_write(init) && data_make(init) &&
           conf_write(init);
}

/* Only what was made here; a directory that holds anything else stays. */
static void take_back(const struct init *init)
{
    char file[PATH_BYTES_MAX + 32];

    for (size_t i = 0; i < init->keys_written; i++) {
        snprintf(file, sizeof(file), "%s/%s", init->keys, key_files[i].file);
        unlink(file);
    }
    for (size_t i = 0; i < STORE_FILES_COUNT && init->made_data; i++) {
        snprintf(file, sizeof(file), "%s/%s", init->data, store_files[i]);
        unlink(file);
    }
    if (init->made_data)
        rmdir(init->data);
    if (init->made_keys)
        rmdir(init->keys);
    if (init->made_directory)
        rmdir(init->directory);
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
    if (!*init->address && strcmp(init->peer_listen, "none") != 0)
        printf("\n"
               "Neighbours cannot dial %s, so the card names no address: give each neighbour one\n"
               "with torg card --address HOST:PORT.\n",
               init->peer_listen);
}

/* "0.0.0.0:8490": every address of this machine is none that a neighbour could dial. */
static bool is_any_address(const char *text)
{
    return strncmp(text, "0.0.0.0:", 8) == 0 || strncmp(text, "[::]:", 5) == 0;
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
            return cli_usage_told(COMMAND);
        *targets[option] = optarg;
    }
    if (optind + 1 != argc)
        return cli_usage(COMMAND, "one directory: torg init DIR --name NAME");
    init.directory = argv[optind];
    if (!init.address)
        init.address =
            config_address_dialable(init.peer_listen) && !is_any_address(init.peer_listen)
                ? init.peer_listen
                : "";
    if (!options_check(&init))
        return CLI_USAGE;
    umask(077);
    keys_draw(&init);
    made = paths_check(&init) && charter_make(&init) && conf_make(&init) && make_all(&init);
    if (made)
        say_next(&init);
    else
        take_back(&init);
    sodium_memzero(init.seeds, sizeof(init.seeds));
    buffer_done(&init.charter);
    buffer_done(&init.conf_text);
    return made ? CLI_OK : CLI_FAILED;
}

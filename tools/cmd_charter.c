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
    "usage: torg charter show [DRAFT] [--config FILE]\n"
    "       torg charter new --root-key FILE CHANGE... [--config FILE]\n"
    "       torg charter new --draft DRAFT CHANGE... [--config FILE]\n"
    "       torg charter sign DRAFT --root-key FILE\n"
    "       torg charter take DRAFT [--config FILE]\n"
    "       torg charter key FILE\n"
    "\n"
    "new makes the next charter, signed with the root key, and puts new keys in place;\n"
    "torgd must be stopped. When it runs again, all others follow by themselves. Take the\n"
    "root key away again afterwards.\n"
    "\n"
    "Where a charter asks for several root keys, give --root-key once for each. Or let the\n"
    "keepers sign in turn, each on a machine of their own: new --draft writes the file\n"
    "DRAFT, each sign adds a signature to it, show says what it changes and how many are\n"
    "still wanted, and take puts it in place at the node, where torgd must be stopped.\n"
    "key makes a root key and prints the digits for --add-root-key.\n"
    "\n"
    "  --root-key FILE      root.key, from where it is kept; mode 0600; several times\n"
    "  --draft DRAFT        the file to write, to be signed in turn; torgd may be running\n"
    "  --config FILE        the node's configuration\n"
    "  --help\n"
    "\n"
    "changes:\n"
    "  --new-signing-key    what is signed with the old one counts no more\n"
    "  --new-node-key       neighbours then need this node's card again\n"
    "  --new-root-key FILE  makes FILE, in the place of the (first) --root-key\n"
    "  --add-root-key KEY   one root key more: 64 hex digits, or a FILE to make\n"
    "  --remove-root-key HEX\n"
    "                       one less, by its digits\n"
    "  --threshold N        so many root keys must sign every charter from this one on\n"
    "  --new-epoch          with a stolen signing key, or two nodes that ran at once:\n"
    "                       whatever this node does not hold is no longer published\n"
    "  --name NAME          as people know it\n"
    "  --address HOST:PORT  what neighbours dial, or none\n"
    "  --visibility COLLECTION=WHO\n"
    "                       who gets it: public, members (of the catalogue below, over their\n"
    "                       own connections only) or local (nobody); several times\n"
    "  --catalogue ORIGIN   the origin id of the catalogue that says who members are, or none\n";

struct arguments {
    const char *verb;
    const char *file; /* what stands behind the verb, or NULL */
    const char *config;
    const char *draft;
    struct charter_wish wish;
};

/* ---- show ---- */

static void print_key(const char *what, const struct public_key *key, const char *note)
{
    char hex[2 * sizeof(key->bytes) + 1];

    hex_encode(key->bytes, sizeof(key->bytes), hex);
    printf("%-13s %s%s\n", what, hex, note);
}

/* Is it the key in this node's file? config NULL: there is no node. */
static const char *own_note(const struct config *config, const char *file,
                            const struct public_key *key)
{
    char message[KEYFILE_MESSAGE_BYTES_MAX];
    struct secret_key secret;
    struct public_key public;

    if (!config || keyfile_read(config->keys_directory, file, &secret, &public, message))
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

static void print_text(const char *what, struct span text)
{
    printf("%-13s ", what);
    cli_text_print(text, stdout);
    putchar('\n');
}

static void print_charter(const struct config *config, const struct charter *charter)
{
    print_text("name", charter->name);
    printf("%-13s %" PRIu64 ", epoch %" PRIu64 "\n", "charter", charter->charter_no,
           charter->epoch);
    if (charter->municipality.size)
        print_text("municipality", charter->municipality);
    for (size_t i = 0; i < charter->endpoint_count; i++)
        print_text("address", charter->endpoints[i]);
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
    printf("%-13s %u of %u root keys sign a charter\n", "threshold", charter->threshold,
           charter->root_key_count);
}

/* What a keeper is to sign, or has signed, and what is still wanted. */
static void print_draft(const struct charter_draft *draft)
{
    puts("The charter that counts:\n");
    print_charter(NULL, &draft->before);
    puts("\nThe draft of the next one:\n");
    print_charter(NULL, &draft->next);
    putchar('\n');
    for (size_t i = 0; i < draft->next_signed.signature_count; i++)
        print_key("signed by", &draft->next_signed.signatures[i].key, "");
}

static void print_support(const struct charter_draft *draft, const char *path)
{
    printf("%u of the %u root keys that charter %" PRIu64 " asks for have signed, and %u of the %u "
           "that the new one does.\n",
           draft->support.by_before, draft->before.threshold, draft->before.charter_no,
           draft->support.by_own, draft->next.threshold);
    if (charter_draft_complete(draft))
        printf("That is enough: at the node, with torgd stopped, torg charter take %s\n", path);
    else
        puts("Hand the file on to the next keeper of a root key.");
}

static int show_draft(const char *path)
{
    char message[CHARTER_MESSAGE_BYTES_MAX];
    struct charter_draft draft;

    if (charter_draft_read(path, &draft, message))
        return cli_fail(COMMAND, "%s", message);
    print_draft(&draft);
    print_support(&draft, path);
    charter_draft_done(&draft);
    return CLI_OK;
}

static void print_own(const struct config *config, const struct charter_own *own)
{
    char origin[2 * sizeof(own->origin.id.bytes) + 1];
    char hash[2 * sizeof(own->origin.charter_hash.bytes) + 1];

    hex_encode(own->origin.id.bytes, sizeof(own->origin.id.bytes), origin);
    printf("%-13s %s\n", "origin", origin);
    hex_encode(own->origin.charter_hash.bytes, sizeof(own->origin.charter_hash.bytes), hash);
    printf("%-13s %s\n", "hash", hash);
    print_charter(config, &own->charter);
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
            print_own(config, &own);
        store_read_end(&read);
    }
    store_close(store);
    return err ? cli_fail_store(COMMAND, config->directory, err) : CLI_OK;
}

/* ---- new ---- */

static bool changes_nothing(const struct charter_wish *wish)
{
    return !wish->name && !wish->address && !wish->new_root_key && !wish->new_signing_key &&
           !wish->new_node_key && !wish->new_epoch && !wish->threshold && !wish->add_root_count &&
           !wish->remove_root_count && !wish->visible && !wish->new_catalogue;
}

static int wish_check(const struct charter_wish *wish, const char *draft)
{
    if (!wish->root_key_count && (!draft || wish->new_root_key))
        return cli_usage(COMMAND, "--root-key FILE is missing: only the root key makes a charter");
    if (changes_nothing(wish))
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

static void print_new_root(const char *path)
{
    uint8_t digits[32];

    if (hex_decode(path, digits, sizeof(digits)) != TORG_OK)
        printf("Put %s away offline, with a copy.\n", path);
}

static int make_draft(const struct config *config, const struct charter_wish *wish,
                      const char *path)
{
    char message[CHARTER_MESSAGE_BYTES_MAX];
    struct charter_draft draft;

    if (charter_draft(config, wish, path, message) || charter_draft_read(path, &draft, message))
        return cli_fail(COMMAND, "%s", message);
    printf("%s is the draft of charter %" PRIu64 "; nothing has changed yet.\n", path,
           draft.next.charter_no);
    print_support(&draft, path);
    charter_draft_done(&draft);
    if (wish->new_root_key)
        print_new_root(wish->new_root_key);
    for (size_t i = 0; i < wish->add_root_count; i++)
        print_new_root(wish->add_roots[i]);
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
    for (size_t i = 0; i < wish->add_root_count; i++)
        print_new_root(wish->add_roots[i]);
    if (wish->name)
        puts("The name in federation.conf is what its own pages and log say; change it there too.");
    return CLI_OK;
}

/* ---- signed in turn ---- */

static int sign(const char *path, const struct charter_wish *wish)
{
    char message[CHARTER_MESSAGE_BYTES_MAX];
    struct charter_draft draft;
    struct secret_key secret;
    struct public_key key;
    enum torg_err err;

    if (wish->root_key_count != 1)
        return cli_usage(COMMAND, "sign needs one --root-key FILE");
    if (charter_draft_read(path, &draft, message))
        return cli_fail(COMMAND, "%s", message);
    err = charter_root_key_read(wish->root_keys[0], &secret, &key, message);
    if (!err)
        err = charter_draft_sign(&draft, path, &secret, &key, message);
    sodium_memzero(&secret, sizeof(secret));
    if (!err) {
        print_draft(&draft);
        print_support(&draft, path);
    }
    charter_draft_done(&draft);
    return err ? cli_fail(COMMAND, "%s", message) : CLI_OK;
}

static int take(const struct config *config, const char *path)
{
    char message[CHARTER_MESSAGE_BYTES_MAX];
    uint64_t charter_no = 0;

    if (charter_take(config, path, &charter_no, message))
        return cli_fail(COMMAND, "%s", message);
    printf("Charter %" PRIu64 " is made. Start torgd: the others follow when they hear of it.\n",
           charter_no);
    return CLI_OK;
}

static int make_key(const char *path)
{
    char message[CHARTER_MESSAGE_BYTES_MAX];
    char hex[2 * sizeof(struct public_key) + 1];
    struct secret_key secret;
    struct public_key key;

    if (charter_root_key_make(path, &secret, &key, message))
        return cli_fail(COMMAND, "%s", message);
    sodium_memzero(&secret, sizeof(secret));
    hex_encode(key.bytes, sizeof(key.bytes), hex);
    printf("%s\n", hex);
    fprintf(stderr,
            "%s is a root key. Keep it offline, with a copy; give the digits to the node.\n", path);
    return CLI_OK;
}

/* ---- the command line ---- */

/* What needs the node. */
static int run_at_node(const struct arguments *arguments)
{
    struct config config = {0};
    int result;

    if (!cli_config(COMMAND, arguments->config, &config))
        return CLI_FAILED;
    if (strcmp(arguments->verb, "show") == 0)
        result = show(&config);
    else if (strcmp(arguments->verb, "take") == 0)
        result = take(&config, arguments->file);
    else if (arguments->draft)
        result = make_draft(&config, &arguments->wish, arguments->draft);
    else
        result = make_new(&config, &arguments->wish);
    config_done(&config);
    return result;
}

static int run(const struct arguments *arguments)
{
    static const struct {
        const char *verb;
        bool may_have_file, must_have_file;
    } verbs[] = {{"show", true, false},
                 {"new", false, false},
                 {"sign", true, true},
                 {"take", true, true},
                 {"key", true, true}};
    size_t at = 0;

    while (at < ARRAY_SIZE(verbs) && strcmp(verbs[at].verb, arguments->verb) != 0)
        at++;
    if (at == ARRAY_SIZE(verbs))
        return cli_usage(COMMAND, "\"%s\" is not show, new, sign, take or key", arguments->verb);
    if (arguments->draft && strcmp(arguments->verb, "new") != 0)
        return cli_usage(COMMAND, "--draft is for new");
    if (arguments->file && !verbs[at].may_have_file)
        return cli_usage(COMMAND, "\"%s\" is not an option", arguments->file);
    if (!arguments->file && verbs[at].must_have_file)
        return cli_usage(COMMAND, "%s needs a file", arguments->verb);
    if (strcmp(arguments->verb, "show") == 0 && arguments->file)
        return show_draft(arguments->file);
    if (strcmp(arguments->verb, "sign") == 0)
        return sign(arguments->file, &arguments->wish);
    if (strcmp(arguments->verb, "key") == 0)
        return make_key(arguments->file);
    if (strcmp(arguments->verb, "new") == 0 && wish_check(&arguments->wish, arguments->draft))
        return CLI_USAGE;
    return run_at_node(arguments);
}

/* COLLECTION=WHO; false after a message. */
static bool read_visibility(const char *text, struct charter_wish *wish)
{
    static const char *const words[] = {[VISIBILITY_LOCAL] = "local",
                                        [VISIBILITY_PUBLIC] = "public",
                                        [VISIBILITY_MEMBERS] = "members"};
    size_t size = strcspn(text, "=");
    uint8_t collection = collection_of_name(span_of(text, size));

    for (size_t who = 0; collection && text[size] && who < ARRAY_SIZE(words); who++) {
        if (strcmp(text + size + 1, words[who]) != 0)
            continue;
        if (who == VISIBILITY_MEMBERS && COLLECTION_MASK_PUBLIC >> collection & 1) {
            cli_usage(COMMAND,
                      "--visibility \"%s\": what the API shows to everybody cannot be edited "
                      "where it does not show it; for members can be need-statistics, "
                      "maturity-statistics, receipts and members",
                      text);
            return false;
        }
        wish->visible |= UINT32_C(1) << collection;
        wish->visibility[collection] = (uint8_t)who;
        return true;
    }
    cli_usage(COMMAND,
              "--visibility \"%s\": the name of a collection, =, and public, members or local; "
              "like need-statistics=members",
              text);
    return false;
}

/* An origin id or none; false after a message. */
static bool read_catalogue(const char *text, struct charter_wish *wish)
{
    wish->new_catalogue = true;
    wish->has_catalogue = strcmp(text, "none") != 0;
    if (!wish->has_catalogue ||
        hex_decode(text, wish->catalogue.bytes, sizeof(wish->catalogue.bytes)) == TORG_OK)
        return true;
    cli_usage(COMMAND, "--catalogue \"%s\": 64 hex digits, the catalogue's origin id; or none",
              text);
    return false;
}

/* One more value of an option that may stand several times; false after a message. */
static bool several(const char *option, const char *value, const char **values, size_t max,
                    size_t *count)
{
    if (*count == max) {
        cli_usage(COMMAND, "%s stands here more than %zu times", option, max);
        return false;
    }
    values[(*count)++] = value;
    return true;
}

/* Options with a value of the wish; false after a message. */
static bool wish_option(struct charter_wish *wish, int option, const char *value)
{
    int64_t number;

    switch (option) {
    case 'r':
        return several("--root-key", value, wish->root_keys, ARRAY_SIZE(wish->root_keys),
                       &wish->root_key_count);
    case 'A':
        return several("--add-root-key", value, wish->add_roots, ARRAY_SIZE(wish->add_roots),
                       &wish->add_root_count);
    case 'R':
        return several("--remove-root-key", value, wish->remove_roots,
                       ARRAY_SIZE(wish->remove_roots), &wish->remove_root_count);
    case 'T':
        if (!cli_number(COMMAND, "--threshold", value, 1, CHARTER_ROOT_KEYS_MAX, &number))
            return false;
        wish->threshold = (uint32_t)number;
        return true;
    case 't':
        wish->new_root_key = value;
        return true;
    case 'v':
        return read_visibility(value, wish);
    case 'l':
        return read_catalogue(value, wish);
    case 'm':
        wish->name = value;
        return true;
    default:
        wish->address = strcmp(value, "none") ? value : "";
        return true;
    }
}

int cmd_charter(int argc, char **argv)
{
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"root-key", required_argument, NULL, 'r'},
        {"draft", required_argument, NULL, 'd'},
        {"new-signing-key", no_argument, NULL, 's'},
        {"new-node-key", no_argument, NULL, 'n'},
        {"new-root-key", required_argument, NULL, 't'},
        {"add-root-key", required_argument, NULL, 'A'},
        {"remove-root-key", required_argument, NULL, 'R'},
        {"threshold", required_argument, NULL, 'T'},
        {"new-epoch", no_argument, NULL, 'e'},
        {"name", required_argument, NULL, 'm'},
        {"address", required_argument, NULL, 'a'},
        {"visibility", required_argument, NULL, 'v'},
        {"catalogue", required_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct arguments arguments = {0};
    int option;

    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (option) {
        case 'c':
            arguments.config = optarg;
            break;
        case 'd':
            arguments.draft = optarg;
            break;
        case 's':
            arguments.wish.new_signing_key = true;
            break;
        case 'n':
            arguments.wish.new_node_key = true;
            break;
        case 'e':
            arguments.wish.new_epoch = true;
            break;
        case 'h':
            fputs(help, stdout);
            return CLI_OK;
        case '?':
            return cli_usage_told(COMMAND);
        default:
            if (!wish_option(&arguments.wish, option, optarg))
                return CLI_USAGE;
        }
    }
    if (optind == argc || optind + 2 < argc)
        return cli_usage(COMMAND, "show, new, sign, take or key?");
    arguments.verb = argv[optind];
    arguments.file = argv[optind + 1]; /* NULL at the end */
    return run(&arguments);
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/config.h"
#include "daemon/config_values.h"

#include <assert.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"

/*
 * One table says which keys exist, how each is read, where it goes, what it
 * may be and what it is if absent; the defaults pass through the same parsers
 * as a file's values. inih finds sections, keys and values; lines reach it
 * through next_line, which therefore knows the number of the line at hand.
 */
enum section {
    SECTION_NONE,
    SECTION_MUNICIPALITY,
    SECTION_HTTP,
    SECTION_PEER_LISTEN,
    SECTION_ADMIN,
    SECTION_PEER,
    SECTION_TRUST,
    SECTION_LIMITS,
    SECTION_LOG,
    SECTION_COUNT
};

static const char *const section_names[SECTION_COUNT] = {
    [SECTION_MUNICIPALITY] = "municipality",
    [SECTION_HTTP] = "http",
    [SECTION_PEER_LISTEN] = "peer-listen",
    [SECTION_ADMIN] = "admin",
    [SECTION_PEER] = "peer NAME",
    [SECTION_TRUST] = "trust",
    [SECTION_LIMITS] = "limits",
    [SECTION_LOG] = "log",
};
#define SECTIONS_ACCEPTED                                                                          \
    "[municipality], [http], [peer-listen], [admin], [peer NAME], [trust], [limits], [log]"

/* How a value is read. The last six are for keys that have no fixed place in struct config. */
enum value_kind {
    VALUE_TEXT,
    VALUE_PATH,
    VALUE_PATH_OR_NONE,
    VALUE_LISTEN,
    VALUE_NETWORKS,
    VALUE_BASE_PATH,
    VALUE_BASE_URL,
    VALUE_NUMBER,
    VALUE_BYTES32,
    VALUE_BYTES64,
    VALUE_BYTES64_OR_AUTO,
    VALUE_SECONDS,
    VALUE_LEVEL,
    VALUE_YES_NO,
    VALUE_COLLECTIONS,
    VALUE_CATALOGUE,
    VALUE_PEER_ADDRESS,
    VALUE_PEER_KEY,
    VALUE_PEER_KEY_NEXT,
    VALUE_ORIGIN,
    VALUE_ORIGIN_COLLECTIONS,
    VALUE_ORIGIN_LISTINGS,
    VALUE_ORIGIN_CHARTER,
};

struct key {
    struct config_key shown;
    enum section section;
    enum value_kind kind;
    size_t offset; /* in struct config */
    size_t size;   /* of a text, with its end; of a list, where its count is */
    uint64_t min, max;
};

#define AT(field) offsetof(struct config, field)
#define SIZE(field) sizeof(((struct config *)0)->field)
#define ACCEPTED_LISTEN                                                                            \
    "ADDRESS:PORT with a numeric address, several with commas, such as 127.0.0.1:8480 or "         \
    "[::1]:8480; or none"

#define LISTINGS_MAX 1000000000
#define ACCEPTED_LISTINGS "0 (no limit) to 1000000000 listings"

#define ACCEPTED_COLLECTIONS                                                                       \
    "all, or names of collections with commas, each once, such as offers, events, companies; "     \
    "14 to 31 for those without a name"

/* One row a key, in the manual's order. */
/* clang-format off */
#define FIXED(section_id, section, name, kind, field, accepted, standard)                          \
    {{section, name, accepted, standard}, section_id, kind, AT(field), SIZE(field), 0, 0}
#define LISTEN(section_id, section, field, standard)                                               \
    {{section, "listen", ACCEPTED_LISTEN, standard},                                               \
     section_id, VALUE_LISTEN, AT(field), AT(field##_count), 0, 0}
#define RANGE(section_id, section, name, kind, field, min, max, accepted, standard)                \
    {{section, name, accepted, standard}, section_id, kind, AT(field), 0, min, max}
#define FREE(section_id, section, name, kind, accepted)                                            \
    {{section, name, accepted, NULL}, section_id, kind, 0, 0, 0, 0}

static const struct key keys[] = {
    FIXED(SECTION_MUNICIPALITY, "municipality", "name", VALUE_TEXT, name,
          "text of 1 to 200 bytes", "torg"),
    FIXED(SECTION_MUNICIPALITY, "municipality", "directory", VALUE_PATH, directory,
          "a path of at most 400 bytes", "/var/lib/torg"),
    FIXED(SECTION_MUNICIPALITY, "municipality", "keys", VALUE_PATH, keys_directory,
          "a path of at most 400 bytes", "/etc/torg/keys"),

    LISTEN(SECTION_HTTP, "http", http, "127.0.0.1:8480"),
    FIXED(SECTION_HTTP, "http", "base-url", VALUE_BASE_URL, base_url,
          "http:// or https:// and a host, without a slash at the end; or none", "none"),
    FIXED(SECTION_HTTP, "http", "base-path", VALUE_BASE_PATH, base_path,
          "a path such as /torg/v1, at most 63 bytes, without a slash at the end; / is the root",
          "/torg/v1"),
    {{"http", "tls-listen", ACCEPTED_LISTEN, "none"},
     SECTION_HTTP, VALUE_LISTEN, AT(http_tls), AT(http_tls_count), 0, 0},
    FIXED(SECTION_HTTP, "http", "tls-certificate", VALUE_PATH_OR_NONE, http_tls_certificate,
          "a path of at most 400 bytes, to a file in PEM with the chain; or none", "none"),
    FIXED(SECTION_HTTP, "http", "tls-key", VALUE_PATH_OR_NONE, http_tls_key,
          "a path of at most 400 bytes, to a file in PEM; or none", "none"),
    {{"http", "proxies", "numeric addresses, each with or without /BITS, several with commas, such "
      "as 127.0.0.1 or 10.0.0.0/8; or none", "none"},
     SECTION_HTTP, VALUE_NETWORKS, AT(http_proxies), AT(http_proxy_count), 0, 0},
    RANGE(SECTION_HTTP, "http", "threads", VALUE_NUMBER, http_threads, 0, 64,
          "0 (one for each processor) to 64", "0"),
    RANGE(SECTION_HTTP, "http", "connections", VALUE_NUMBER, http_connections_max, 1, 100000,
          "1 to 100000 connections", "1024"),
    RANGE(SECTION_HTTP, "http", "connections-per-address", VALUE_NUMBER,
          http_connections_per_address, 1, 100000, "1 to 100000 connections", "64"),
    RANGE(SECTION_HTTP, "http", "requests-per-address", VALUE_NUMBER, http_requests_per_address,
          0, 100000, "0 (no limit) to 100000 requests a second", "100"),
    RANGE(SECTION_HTTP, "http", "requests-per-token", VALUE_NUMBER, http_requests_per_token,
          0, 100000, "0 (no limit) to 100000 requests a second", "100"),

    LISTEN(SECTION_PEER_LISTEN, "peer-listen", peer_listen, "0.0.0.0:8490"),
    RANGE(SECTION_PEER_LISTEN, "peer-listen", "handshakes", VALUE_NUMBER, handshakes_max, 1, 10000,
          "1 to 10000 connections", "64"),
    RANGE(SECTION_PEER_LISTEN, "peer-listen", "handshakes-per-address", VALUE_NUMBER,
          handshakes_per_address, 1, 10000, "1 to 10000 connections", "8"),

    LISTEN(SECTION_ADMIN, "admin", admin, "127.0.0.1:8500"),

    FREE(SECTION_PEER, "peer NAME", "address", VALUE_PEER_ADDRESS,
         "HOST:PORT, such as torg.example.se:8490 or [2001:db8::1]:8490"),
    FREE(SECTION_PEER, "peer NAME", "key", VALUE_PEER_KEY,
         "64 hex digits, the node key that the peer's operator tells you"),
    FREE(SECTION_PEER, "peer NAME", "key-next", VALUE_PEER_KEY_NEXT,
         "64 hex digits, the node key that the peer will change to"),

    FREE(SECTION_TRUST, "trust", "origin NAME", VALUE_ORIGIN,
         "64 hex digits, the origin id that the origin's operator tells you"),
    FIXED(SECTION_TRUST, "trust", "catalogue", VALUE_CATALOGUE, catalogue,
          "64 hex digits, the origin id of a catalogue, whose members are trusted; or none", "none"),
    FIXED(SECTION_TRUST, "trust", "collections", VALUE_COLLECTIONS, collections,
          ACCEPTED_COLLECTIONS, "all"),
    FREE(SECTION_TRUST, "trust", "collections NAME", VALUE_ORIGIN_COLLECTIONS,
         ACCEPTED_COLLECTIONS),
    {{"trust", "listings NAME", ACCEPTED_LISTINGS, NULL},
     SECTION_TRUST, VALUE_ORIGIN_LISTINGS, 0, 0, 0, LISTINGS_MAX},
    FREE(SECTION_TRUST, "trust", "charter NAME", VALUE_ORIGIN_CHARTER,
         "64 hex digits, the hash of the right charter, that the origin's operator tells you"),

    RANGE(SECTION_LIMITS, "limits", "map-size", VALUE_BYTES64, map_bytes, 16 * MIB, 64 * TIB,
          "16 MiB to 64 TiB, in B, KiB, MiB, GiB or TiB", "64 GiB"),
    RANGE(SECTION_LIMITS, "limits", "commit-memory", VALUE_BYTES64_OR_AUTO, commit_bytes, 64 * MIB,
          512 * MIB, "auto, or 64 MiB to 512 MiB", "auto"),
    RANGE(SECTION_LIMITS, "limits", "writer-queue", VALUE_NUMBER, writer_queue_max, 1, 100000,
          "1 to 100000 jobs", "1024"),
    RANGE(SECTION_LIMITS, "limits", "ask-peers", VALUE_SECONDS, ask_peers_s, 0, 3600,
          "0 s to 1 h, in s, min or h", "10 s"),
    RANGE(SECTION_LIMITS, "limits", "live-credit", VALUE_BYTES32, sync.live_credit_bytes,
          512 * KIB, 64 * MIB, "512 KiB to 64 MiB", "1 MiB"),
    RANGE(SECTION_LIMITS, "limits", "sync-credit", VALUE_BYTES32, sync.sync_credit_bytes,
          512 * KIB, 64 * MIB, "512 KiB to 64 MiB", "4 MiB"),
    RANGE(SECTION_LIMITS, "limits", "output-queue", VALUE_BYTES32, sync.output_queue_bytes,
          512 * KIB, 64 * MIB, "512 KiB to 64 MiB", "2 MiB"),
    RANGE(SECTION_LIMITS, "limits", "sync-sessions-per-peer", VALUE_NUMBER,
          sync.sync_sessions_peer, 1, 64, "1 to 64 sessions", "4"),
    RANGE(SECTION_LIMITS, "limits", "sync-sessions", VALUE_NUMBER, sync.sync_sessions_total,
          1, 256, "1 to 256 sessions", "16"),
    RANGE(SECTION_LIMITS, "limits", "store-queue", VALUE_NUMBER, sync.store_queue_writes,
          1, 1024, "1 to 1024 writes", "64"),
    RANGE(SECTION_LIMITS, "limits", "heads", VALUE_NUMBER, sync.heads_burst, 0, 1000000,
          "0 (no limit) to 1000000 heads", "1000"),
    RANGE(SECTION_LIMITS, "limits", "listings-per-origin", VALUE_NUMBER, sync.listings_per_origin,
          0, LISTINGS_MAX, ACCEPTED_LISTINGS, "1000000"),
    FIXED(SECTION_LIMITS, "limits", "compress", VALUE_YES_NO, sync.compress, "yes or no", "no"),

    FIXED(SECTION_LOG, "log", "level", VALUE_LEVEL, log_level, "error, warn, info or debug",
          "info"),
};
/* clang-format on */

const struct config_key *config_key_at(size_t i)
{
    return i < ARRAY_SIZE(keys) ? &keys[i].shown : NULL;
}

static size_t value_size(const struct key *key)
{
    switch (key->kind) {
    case VALUE_LISTEN:
        return sizeof(struct config_address) * CONFIG_LISTEN_MAX;
    case VALUE_NETWORKS:
        return sizeof(struct config_network) * CONFIG_NETWORKS_MAX;
    case VALUE_BYTES64:
    case VALUE_BYTES64_OR_AUTO:
        return sizeof(uint64_t);
    case VALUE_NUMBER:
    case VALUE_BYTES32:
    case VALUE_SECONDS:
    case VALUE_LEVEL:
    case VALUE_COLLECTIONS:
    case VALUE_YES_NO:
        return sizeof(uint32_t);
    case VALUE_PEER_ADDRESS:
    case VALUE_PEER_KEY:
    case VALUE_PEER_KEY_NEXT:
    case VALUE_ORIGIN:
    case VALUE_ORIGIN_COLLECTIONS:
    case VALUE_ORIGIN_LISTINGS:
    case VALUE_ORIGIN_CHARTER:
        return 0; /* in lists, which are reloaded */
    default:
        return key->size;
    }
}

/* What a running daemon takes over. */
static bool key_reloads(const struct key *key)
{
    return value_size(key) == 0 || key->section == SECTION_LOG || key->section == SECTION_TRUST ||
           (key->offset >= AT(sync) && key->offset < AT(sync) + SIZE(sync));
}

const struct config_key *config_restart_key(const struct config *before, const struct config *after)
{
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        const uint8_t *old = (const uint8_t *)before + keys[i].offset;
        const uint8_t *new = (const uint8_t *)after + keys[i].offset;

        if (!key_reloads(&keys[i]) && memcmp(old, new, value_size(&keys[i])) != 0)
            return &keys[i].shown;
    }
    return NULL;
}

/* ---- the parse ---- */

struct parse {
    struct config *config;
    const char *file;
    char *message;
    size_t message_size;
    enum torg_err err;

    const char *at, *end; /* what is left of the file's text */
    uint32_t line;        /* the line that inih has in hand, from 1 */
    enum section section;
    uint32_t section_line[SECTION_COUNT];
    uint32_t key_line[ARRAY_SIZE(keys)]; /* 0: not seen; per section for [peer NAME] */
};

/* Keep the first mistake. Returns 0, which is inih's word for failure. */
__attribute__((format(printf, 3, 4))) static int fail(struct parse *parse, uint32_t line,
                                                      const char *format, ...)
{
    va_list arguments;
    int at;

    if (parse->err)
        return 0;
    parse->err = TORG_E_CONFIG;
    if (line)
        at = snprintf(parse->message, parse->message_size, "%s:%u: ", parse->file, line);
    else
        at = snprintf(parse->message, parse->message_size, "%s: ", parse->file);
    if (at < 0 || (size_t)at >= parse->message_size)
        return 0;
    va_start(arguments, format);
    vsnprintf(parse->message + at, parse->message_size - (size_t)at, format, arguments);
    va_end(arguments);
    return 0;
}

static bool name_valid(const char *name)
{
    size_t size = strlen(name);

    return size >= 1 && size <= CONFIG_NAME_BYTES_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
               size;
}

#define ACCEPTED_NAME "a name of 1 to 40 letters a to z, digits, dots, hyphens and underscores"

/* ---- keys ---- */

static bool set_number(uint8_t *field, const struct key *key, const char *text)
{
    uint64_t value;
    const char *rest;
    bool read;

    if (key->kind == VALUE_NUMBER || key->kind == VALUE_ORIGIN_LISTINGS)
        read = config_read_digits(text, &value, &rest) && !*rest;
    else if (key->kind == VALUE_SECONDS)
        read = config_read_seconds(text, &value);
    else
        read = config_read_bytes(text, &value);
    if (!read || value < key->min || value > key->max)
        return false;
    if (value_size(key) == sizeof(value)) {
        memcpy(field, &value, sizeof(value));
    } else {
        uint32_t narrow = (uint32_t)value;

        memcpy(field, &narrow, sizeof(narrow));
    }
    return true;
}

/* Values that are words and stand for a number of 32 bits. */
static bool set_word(const struct key *key, const char *text, uint8_t *field)
{
    uint32_t value = 0;
    bool read;

    if (key->kind == VALUE_COLLECTIONS)
        read = config_read_collections(text, &value);
    else if (key->kind == VALUE_YES_NO)
        read = config_read_yes_no(text, &value);
    else
        read = config_read_level(text, &value);
    if (read)
        memcpy(field, &value, sizeof(value));
    return read;
}

static bool set_catalogue(struct config *config, const char *text)
{
    config->has_catalogue = strcmp(text, "none") != 0;
    return !config->has_catalogue ||
           hex_decode(text, config->catalogue.bytes, sizeof(config->catalogue.bytes)) == TORG_OK;
}

static bool set_value(const char *file, struct config *config, const struct key *key,
                      const char *text)
{
    uint8_t *field = (uint8_t *)config + key->offset;

    switch (key->kind) {
    case VALUE_TEXT:
        return config_read_text(text, (char *)field, key->size);
    case VALUE_PATH:
        return config_read_path(file, text, (char *)field, key->size);
    case VALUE_PATH_OR_NONE:
        if (strcmp(text, "none") != 0)
            return config_read_path(file, text, (char *)field, key->size);
        *field = 0;
        return true;
    case VALUE_LISTEN: {
        struct config_address list[CONFIG_LISTEN_MAX] = {0};
        size_t count;

        if (!config_read_listen(text, list, &count))
            return false;
        memcpy(field, list, sizeof(list));
        memcpy((uint8_t *)config + key->size, &count, sizeof(count));
        return true;
    }
    case VALUE_NETWORKS: {
        struct config_network list[CONFIG_NETWORKS_MAX] = {0};
        size_t count;

        if (!config_read_networks(text, list, &count))
            return false;
        memcpy(field, list, sizeof(list));
        memcpy((uint8_t *)config + key->size, &count, sizeof(count));
        return true;
    }
    case VALUE_BYTES64_OR_AUTO:
        if (strcmp(text, "auto") != 0)
            return set_number(field, key, text);
        memset(field, 0, sizeof(uint64_t));
        return true;
    case VALUE_CATALOGUE:
        return set_catalogue(config, text);
    case VALUE_BASE_PATH:
        return config_read_base_path(text, (char *)field, key->size);
    case VALUE_BASE_URL:
        return config_read_base_url(text, (char *)field, key->size);
    case VALUE_COLLECTIONS:
    case VALUE_YES_NO:
    case VALUE_LEVEL:
        return set_word(key, text, field);
    default:
        return set_number(field, key, text);
    }
}

static int key_twice(struct parse *parse, const char *what, uint32_t first)
{
    return fail(parse, parse->line,
                "%s stands here for the second time, first in line %u; "
                "accepted: once",
                what, first);
}

static int set_peer_value(struct parse *parse, const struct key *key, const char *text)
{
    struct config_peer *peer = &parse->config->peers[parse->config->peer_count - 1];
    struct public_key pin;

    if (key->kind == VALUE_PEER_ADDRESS) {
        peer->has_address = config_read_dialable(text, &peer->address);
        return peer->has_address ? 1 : -1;
    }
    if (hex_decode(text, pin.bytes, sizeof(pin.bytes)))
        return -1;
    for (size_t i = 0; i < parse->config->peer_count; i++)
        for (size_t j = 0; j < parse->config->peers[i].key_count; j++)
            if (memcmp(&parse->config->peers[i].keys[j], &pin, sizeof(pin)) == 0)
                return fail(parse, parse->line,
                            "%s is already a key of [peer %s]; accepted: each node key once",
                            key->shown.name, parse->config->peers[i].name);
    assert(peer->key_count < SYNC_PEER_KEYS_MAX);
    peer->keys[peer->key_count++] = pin;
    return 1;
}

static int set_origin(struct parse *parse, const struct key *key, const char *name,
                      const char *text)
{
    struct config *config = parse->config;
    struct config_trust trust = {0};
    struct config_trust *grown;

    if (hex_decode(text, trust.origin.bytes, sizeof(trust.origin.bytes)))
        return fail(parse, parse->line, "origin %s = \"%s\": not understood; accepted: %s", name,
                    text, key->shown.accepted);
    if (config->trust_count == CONFIG_TRUST_MAX)
        return fail(parse, parse->line, "too many origins; accepted: at most %d", CONFIG_TRUST_MAX);
    for (size_t i = 0; i < config->trust_count; i++)
        if (strcmp(config->trust[i].name, name) == 0 ||
            memcmp(&config->trust[i].origin, &trust.origin, sizeof(trust.origin)) == 0)
            return fail(parse, parse->line,
                        "origin %s has the name or the id of origin %s above; "
                        "accepted: each name and each id once",
                        name, config->trust[i].name);
    grown = realloc(config->trust, (config->trust_count + 1) * sizeof(*grown));
    if (!grown) {
        parse->err = TORG_E_NOMEM;
        return 0;
    }
    snprintf(trust.name, sizeof(trust.name), "%s", name);
    config->trust = grown;
    config->trust[config->trust_count++] = trust;
    return 1;
}

static uint32_t *line_of_key(struct config_trust *trust, const struct key *key)
{
    switch (key->kind) {
    case VALUE_ORIGIN_LISTINGS:
        return &trust->listings_line;
    case VALUE_ORIGIN_CHARTER:
        return &trust->charter_line;
    default:
        return &trust->collections_line;
    }
}

static bool read_of_origin(struct config_trust *trust, const struct key *key, const char *text)
{
    switch (key->kind) {
    case VALUE_ORIGIN_LISTINGS:
        return set_number((uint8_t *)&trust->listings, key, text);
    case VALUE_ORIGIN_CHARTER:
        return hex_decode(text, trust->charter.bytes, sizeof(trust->charter.bytes)) == TORG_OK;
    default:
        return config_read_collections(text, &trust->collections);
    }
}

/* collections NAME = TEXT, listings NAME = TEXT and charter NAME = TEXT, below origin NAME. */
static int set_of_origin(struct parse *parse, const struct key *key, const char *name,
                         const char *text)
{
    int word = (int)strcspn(key->shown.name, " ");
    struct config *config = parse->config;
    struct config_trust *trust = NULL;
    uint32_t *line;

    for (size_t i = 0; i < config->trust_count && !trust; i++)
        trust = strcmp(config->trust[i].name, name) == 0 ? &config->trust[i] : NULL;
    if (!trust)
        return fail(parse, parse->line,
                    "%.*s %s: there is no origin %s above; accepted: below its origin", word,
                    key->shown.name, name, name);
    line = line_of_key(trust, key);
    if (*line)
        return key_twice(parse, key->shown.name, *line);
    if (!read_of_origin(trust, key, text))
        return fail(parse, parse->line, "%.*s %s = \"%s\": not understood; accepted: %s", word,
                    key->shown.name, name, text, key->shown.accepted);
    *line = parse->line;
    return 1;
}

static int fail_key(struct parse *parse, const char *name)
{
    struct buffer accepted = {0};

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (keys[i].section == parse->section)
            buffer_printf(&accepted, "%s%s", accepted.size ? ", " : "", keys[i].shown.name);
    fail(parse, parse->line, "unknown key \"%s\" in [%s]; accepted: %.*s", name,
         section_names[parse->section], (int)accepted.size, (const char *)accepted.data);
    buffer_done(&accepted);
    return 0;
}

/* inih's handler: the line at hand is NAME = TEXT; sections are next_line's affair. */
static int on_key(void *context, const char *section, const char *name, const char *text)
{
    struct parse *parse = context;
    int set;

    (void)section;
    if (parse->err)
        return 0;
    if (parse->section == SECTION_NONE)
        return fail(parse, parse->line,
                    "\"%s\" stands before the first section; accepted: " SECTIONS_ACCEPTED, name);
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        const struct key *key = &keys[i];

        if (key->section != parse->section)
            continue;
        if (key->section == SECTION_TRUST && value_size(key) == 0) {
            size_t word = strcspn(key->shown.name, " ") + 1;
            const char *origin = name + word;

            if (strncmp(name, key->shown.name, word) != 0)
                continue;
            origin += strspn(origin, " \t");
            if (!name_valid(origin))
                return fail(parse, parse->line,
                            "\"%s\": not a name; accepted: %.*s and " ACCEPTED_NAME, name,
                            (int)word - 1, key->shown.name);
            return key->kind == VALUE_ORIGIN ? set_origin(parse, key, origin, text)
                                             : set_of_origin(parse, key, origin, text);
        }
        if (strcmp(name, key->shown.name) != 0)
            continue;
        if (parse->key_line[i])
            return key_twice(parse, name, parse->key_line[i]);
        parse->key_line[i] = parse->line;
        if (key->section == SECTION_PEER)
            set = set_peer_value(parse, key, text);
        else
            set = set_value(parse->file, parse->config, key, text) ? 1 : -1;
        if (set < 0)
            return fail(parse, parse->line, "%s = \"%s\": not understood; accepted: %s", name, text,
                        key->shown.accepted);
        return set;
    }
    return fail_key(parse, name);
}

/* ---- lines and sections ---- */

/* A peer without a pin could be anybody. */
static void check_peer(struct parse *parse)
{
    const struct config *config = parse->config;
    const struct config_peer *peer;
    size_t key = 0;

    if (parse->section != SECTION_PEER)
        return;
    while (keys[key].kind != VALUE_PEER_KEY)
        key++;
    peer = &config->peers[config->peer_count - 1];
    if (!parse->key_line[key])
        fail(parse, peer->line, "[peer %s] has no key; accepted: key = %s", peer->name,
             keys[key].shown.accepted);
}

/* A listener that could not speak would only be noticed by visitors. */
static void check_tls(struct parse *parse)
{
    const struct config *config = parse->config;

    if (config->http_tls_count > 0 && !(*config->http_tls_certificate && *config->http_tls_key))
        fail(parse, parse->section_line[SECTION_HTTP],
             "tls-listen needs tls-certificate and tls-key; accepted: all three, or none");
}

static void begin_peer(struct parse *parse, const char *name)
{
    struct config *config = parse->config;
    struct config_peer *grown;

    name += strspn(name, " \t");
    if (!name_valid(name)) {
        fail(parse, parse->line, "[peer %s]: not a name; accepted: " ACCEPTED_NAME, name);
        return;
    }
    for (size_t i = 0; i < config->peer_count; i++)
        if (strcmp(config->peers[i].name, name) == 0) {
            fail(parse, parse->line,
                 "[peer %s] stands here for the second time, first in line %u; "
                 "accepted: once",
                 name, config->peers[i].line);
            return;
        }
    if (config->peer_count == CONFIG_PEERS_MAX) {
        fail(parse, parse->line, "too many peers; accepted: at most %d", CONFIG_PEERS_MAX);
        return;
    }
    grown = realloc(config->peers, (config->peer_count + 1) * sizeof(*grown));
    if (!grown) {
        parse->err = TORG_E_NOMEM;
        return;
    }
    config->peers = grown;
    config->peers[config->peer_count] = (struct config_peer){.line = parse->line};
    snprintf(config->peers[config->peer_count].name, sizeof(grown->name), "%s", name);
    config->peer_count++;
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (keys[i].section == SECTION_PEER)
            parse->key_line[i] = 0;
}

/* line begins with '['. What inih would pass over silently is refused here. */
static void begin_section(struct parse *parse, const char *line)
{
    const char *end = strchr(line, ']');
    char name[64];

    check_peer(parse);
    if (!end)
        return; /* inih names the line */
    if (end[1 + strspn(end + 1, " \t")] && !strchr(";#", end[1 + strspn(end + 1, " \t")])) {
        fail(parse, parse->line, "text after [section]; accepted: a new line");
        return;
    }
    snprintf(name, sizeof(name), "%.*s", (int)(end - line - 1), line + 1);
    if (strncmp(name, "peer ", 5) == 0) {
        begin_peer(parse, name + 5);
        parse->section = SECTION_PEER;
        return;
    }
    for (int i = SECTION_NONE + 1; i < SECTION_COUNT; i++) {
        if (i == SECTION_PEER || strcmp(name, section_names[i]) != 0)
            continue;
        if (parse->section_line[i]) {
            fail(parse, parse->line,
                 "[%s] stands here for the second time, first in line %u; "
                 "accepted: once",
                 name, parse->section_line[i]);
            return;
        }
        parse->section_line[i] = parse->line;
        parse->section = (enum section)i;
        return;
    }
    fail(parse, parse->line, "unknown section [%s]; accepted: " SECTIONS_ACCEPTED, name);
}

/* inih's fgets: one line of at most size - 1 bytes; NULL at the end or after a mistake. */
static char *next_line(char *out, int size, void *context)
{
    struct parse *parse = context;
    const char *newline;
    size_t length;

    if (parse->err || parse->at == parse->end)
        return NULL;
    parse->line++;
    newline = memchr(parse->at, '\n', (size_t)(parse->end - parse->at));
    length = (size_t)((newline ? newline : parse->end) - parse->at);
    if (length > CONFIG_LINE_BYTES_MAX || length + 2 > (size_t)size) {
        fail(parse, parse->line, "too long; accepted: lines of at most %d bytes",
             CONFIG_LINE_BYTES_MAX);
        return NULL;
    }
    memcpy(out, parse->at, length);
    out[length] = 0;
    parse->at += length + (newline ? 1 : 0);
    if (length && out[length - 1] == '\r')
        out[--length] = 0;
    for (size_t i = 0; i < length; i++) {
        if (((unsigned char)out[i] < 0x20 && out[i] != '\t') || out[i] == 0x7f) {
            fail(parse, parse->line, "a control character; accepted: text in UTF-8");
            return NULL;
        }
    }
    if (!utf8_valid(span_of(out, length))) {
        fail(parse, parse->line, "not UTF-8; accepted: text in UTF-8");
        return NULL;
    }
    if (out[strspn(out, " \t")] == '[')
        begin_section(parse, out + strspn(out, " \t"));
    return parse->err ? NULL : out;
}

static enum torg_err read_file(const char *file, struct buffer *out)
{
    enum torg_err err = TORG_OK;
    FILE *in = fopen(file, "re");
    size_t got = 1;

    if (!in)
        return TORG_E_IO;
    while (!err && got > 0) {
        err = buffer_reserve(out, 4096);
        if (err)
            break;
        got = fread(out->data + out->size, 1, 4096, in);
        out->size += got;
        if (out->size > CONFIG_FILE_BYTES_MAX)
            err = TORG_E_TOO_BIG;
    }
    if (!err && ferror(in))
        err = TORG_E_IO;
    fclose(in);
    return err;
}

static void set_defaults(const char *file, struct config *config)
{
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if (keys[i].shown.standard) {
            bool set = set_value(file, config, &keys[i], keys[i].shown.standard);

            assert(set); /* our own table */
            (void)set;
        }
    }
    snprintf(config->file, sizeof(config->file), "%s", file);
}

static enum torg_err parse_text(struct parse *parse, struct span text)
{
    int bad_line;

    parse->at = (const char *)text.data;
    parse->end = parse->at + text.size;
    /* A byte order mark is no part of the first line. */
    if (text.size >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0)
        parse->at += 3;
    ini_allow_multiline = false;
    ini_stop_on_first_error = true;
    ini_use_stack = false;
    ini_allow_realloc = false;
    ini_initial_alloc = CONFIG_LINE_BYTES_MAX + 24;
    ini_max_line = CONFIG_LINE_BYTES_MAX + 24;
    bad_line = ini_parse_stream(next_line, parse, on_key, parse);
    if (parse->err)
        return parse->err;
    if (bad_line == -2)
        return TORG_E_NOMEM;
    if (bad_line > 0)
        fail(parse, (uint32_t)bad_line,
             "not understood; accepted: KEY = VALUE, [SECTION], or a "
             "comment that begins with # or ;");
    check_peer(parse);
    check_tls(parse);
    for (size_t i = 0; i < parse->config->trust_count; i++) {
        struct config_trust *trust = &parse->config->trust[i];

        if (!trust->collections_line)
            trust->collections = parse->config->collections;
        if (!trust->listings_line)
            trust->listings = parse->config->sync.listings_per_origin;
    }
    return parse->err;
}

static enum torg_err parse_whole(struct parse *parse, struct span text, struct config *ret_config)
{
    /* Not every limit has a key; set_defaults writes over those that have. */
    struct config config = {.sync = sync_limits_default()};
    enum torg_err err;

    parse->config = &config;
    set_defaults(parse->file, &config);
    err = parse_text(parse, text);
    if (err)
        config_done(&config);
    else
        *ret_config = config;
    if (err && !parse->message[0])
        snprintf(parse->message, parse->message_size, "%s: %s", parse->file, torg_err_text(err));
    return err;
}

static enum torg_err parse_begin(struct parse *parse, const char *file, char *message,
                                 size_t message_size)
{
    *parse = (struct parse){.file = file, .message = message, .message_size = message_size};
    assert(message_size > 0);
    message[0] = 0;
    if (strlen(file) < sizeof(parse->config->file))
        return TORG_OK;
    snprintf(message, message_size, "%.100s...: the path is too long; accepted: %zu bytes", file,
             sizeof(parse->config->file) - 1);
    return TORG_E_CONFIG;
}

enum torg_err config_parse(const char *file, struct span text, struct config *ret_config,
                           char *message, size_t message_size)
{
    struct parse parse;
    enum torg_err err = parse_begin(&parse, file, message, message_size);

    return err ? err : parse_whole(&parse, text, ret_config);
}

enum torg_err config_read(const char *file, struct config *ret_config, char *message,
                          size_t message_size)
{
    struct buffer text = {0};
    struct parse parse;
    enum torg_err err = parse_begin(&parse, file, message, message_size);

    if (err)
        return err;
    err = read_file(file, &text);
    if (err == TORG_E_IO)
        fail(&parse, 0, "cannot be read: %s", strerror(errno));
    else if (err == TORG_E_TOO_BIG)
        fail(&parse, 0, "too big; accepted: at most %d bytes", CONFIG_FILE_BYTES_MAX);
    else if (err)
        snprintf(message, message_size, "%s: %s", file, torg_err_text(err));
    if (err)
        err = parse.err ? parse.err : err;
    else
        err = parse_whole(&parse, buffer_span(&text), ret_config);
    buffer_done(&text);
    return err;
}

void config_done(struct config *config)
{
    free(config->peers);
    free(config->trust);
    config->peers = NULL;
    config->trust = NULL;
    config->peer_count = 0;
    config->trust_count = 0;
}

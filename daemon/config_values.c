/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/config_values.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "daemon/log.h"

/* ---- values: each returns false when text is not one ---- */

/* Decimal digits alone, no sign, no space; *ret_rest is what follows them. */
bool config_read_digits(const char *text, uint64_t *ret_value, const char **ret_rest)
{
    uint64_t value = 0;
    const char *at = text;

    for (; *at >= '0' && *at <= '9'; at++) {
        if (value > (UINT64_MAX - 9) / 10)
            return false;
        value = value * 10 + (uint64_t)(*at - '0');
    }
    if (at == text)
        return false;
    *ret_value = value;
    *ret_rest = at;
    return true;
}

struct unit {
    const char *name;
    uint64_t factor;
};

/* A number with one of the units, the first of which may be left out. */
static bool read_quantity(const char *text, const struct unit *units, size_t unit_count,
                          uint64_t *ret_value)
{
    uint64_t value;
    const char *rest;

    if (!config_read_digits(text, &value, &rest))
        return false;
    rest += strspn(rest, " \t");
    for (size_t i = 0; i < unit_count; i++) {
        if (strcmp(rest, units[i].name) != 0 && (i > 0 || *rest))
            continue;
        if (value > UINT64_MAX / units[i].factor)
            return false;
        *ret_value = value * units[i].factor;
        return true;
    }
    return false;
}

bool config_read_bytes(const char *text, uint64_t *ret_value)
{
    static const struct unit units[] = {
        {"B", 1}, {"KiB", KIB}, {"MiB", MIB}, {"GiB", GIB}, {"TiB", TIB}};

    return read_quantity(text, units, ARRAY_SIZE(units), ret_value);
}

bool config_read_seconds(const char *text, uint64_t *ret_value)
{
    static const struct unit units[] = {{"s", 1}, {"min", 60}, {"h", 3600}};

    return read_quantity(text, units, ARRAY_SIZE(units), ret_value);
}

static bool host_is_numeric(const char *host)
{
    uint8_t address[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

static bool host_is_name(const char *host)
{
    size_t size = strlen(host);

    return size >= 1 && isalnum((unsigned char)host[0]) &&
           strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") == size;
}

/* HOST:PORT or [IPV6]:PORT, the first size bytes of text. */
static bool read_address(const char *text, size_t size, struct config_address *ret_address)
{
    struct config_address address = {0};
    const char *colon = memrchr(text, ':', size);
    const char *host = text, *host_end = colon, *rest;
    char port_text[8];
    uint64_t port;

    if (!colon)
        return false;
    size_t port_size = size - (size_t)(colon + 1 - text);

    if (port_size >= sizeof(port_text))
        return false;
    memcpy(port_text, colon + 1, port_size);
    port_text[port_size] = 0;
    if (!config_read_digits(port_text, &port, &rest) || *rest || port > UINT16_MAX)
        return false;
    if (*host == '[') {
        host++;
        if (--host_end < host || *host_end != ']')
            return false;
    } else if (memchr(host, ':', (size_t)(host_end - host))) {
        return false; /* an IPv6 address without brackets: where would the port begin? */
    }
    if ((size_t)(host_end - host) >= sizeof(address.host))
        return false;
    memcpy(address.host, host, (size_t)(host_end - host));
    address.port = (uint16_t)port;
    *ret_address = address;
    return true;
}

bool config_read_dialable(const char *text, struct config_address *ret_address)
{
    struct config_address address;

    if (!read_address(text, strlen(text), &address) || address.port == 0 ||
        !(host_is_numeric(address.host) || host_is_name(address.host)))
        return false;
    *ret_address = address;
    return true;
}

bool config_address_dialable(const char *text)
{
    struct config_address address;

    return config_read_dialable(text, &address);
}

/*
 * The next of several items with commas, without the white space around it;
 * at goes on behind, or becomes NULL after the last. An item may be empty.
 */
static const char *next_item(const char **at, size_t *ret_size)
{
    const char *item = *at;
    size_t size = strcspn(item, ",");

    *at = item[size] ? item + size + 1 + strspn(item + size + 1, " \t") : NULL;
    while (size > 0 && isspace((unsigned char)item[size - 1]))
        size--;
    *ret_size = size;
    return item;
}

bool config_read_listen(const char *text, struct config_address *out, size_t *ret_count)
{
    size_t count = 0;

    if (strcmp(text, "none") == 0) {
        *ret_count = 0;
        return true;
    }
    for (const char *at = text; at;) {
        size_t size;
        const char *item = next_item(&at, &size);

        if (count == CONFIG_LISTEN_MAX || !read_address(item, size, &out[count]) ||
            !host_is_numeric(out[count].host))
            return false;
        count++;
    }
    *ret_count = count;
    return true;
}

bool config_listen_valid(const char *text)
{
    struct config_address list[CONFIG_LISTEN_MAX];
    size_t count;

    return config_read_listen(text, list, &count);
}

bool config_read_text(const char *text, char *out, size_t size)
{
    if (!*text || strlen(text) >= size)
        return false;
    memcpy(out, text, strlen(text) + 1);
    return true;
}

/* A relative path starts where the file is, so that a directory can be moved as a whole. */
bool config_read_path(const char *file, const char *text, char *out, size_t size)
{
    const char *slash = strrchr(file, '/');
    int wrote;

    if (!*text || strlen(text) > 400)
        return false;
    if (*text == '/' || !slash)
        wrote = snprintf(out, size, "%s", text);
    else
        wrote = snprintf(out, size, "%.*s/%s", (int)(slash - file), file, text);
    return wrote >= 0 && (size_t)wrote < size;
}

bool config_read_base_path(const char *text, char *out, size_t size)
{
    size_t length = strlen(text);

    if (length >= size || text[0] != '/' || strstr(text, "//") || strstr(text, "/."))
        return false;
    if (strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~/-") !=
        length)
        return false;
    if (length > 1 && text[length - 1] == '/')
        return false;
    snprintf(out, size, "%s", length == 1 ? "" : text);
    return true;
}

bool config_read_base_url(const char *text, char *out, size_t size)
{
    size_t length = strlen(text), scheme;

    if (strcmp(text, "none") == 0) {
        out[0] = 0;
        return true;
    }
    if (strncmp(text, "https://", 8) == 0)
        scheme = 8;
    else if (strncmp(text, "http://", 7) == 0)
        scheme = 7;
    else
        return false;
    if (length >= size || length == scheme || text[length - 1] == '/')
        return false;
    /* It is copied into links: nothing that JSON, HTML or a header would have to quote. */
    if (strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~/:[]%-") !=
        length)
        return false;
    memcpy(out, text, length + 1);
    return true;
}

bool config_read_yes_no(const char *text, uint32_t *ret_yes)
{
    if (strcmp(text, "yes") != 0 && strcmp(text, "no") != 0)
        return false;
    *ret_yes = text[0] == 'y';
    return true;
}

bool config_read_level(const char *text, uint32_t *ret_level)
{
    static const char *const names[] = {
        [LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};

    for (uint32_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret_level = i;
            return true;
        }
    }
    return false;
}

/* A collection by its name, or by its number if no name is known here. */
static uint8_t read_collection(const char *text, size_t size)
{
    uint8_t collection = collection_of_name(span_of(text, size));
    const char *rest;
    uint64_t number;

    if (collection)
        return collection;
    if (!config_read_digits(text, &number, &rest) || rest != text + size || number == 0 ||
        number >= COLLECTIONS_MAX || collection_name((uint8_t)number))
        return 0;
    return (uint8_t)number;
}

bool config_read_collections(const char *text, uint32_t *ret_mask)
{
    uint32_t mask = 0;

    if (strcmp(text, "all") == 0) {
        *ret_mask = COLLECTION_MASK_ALL;
        return true;
    }
    for (const char *at = text; at;) {
        size_t size;
        const char *item = next_item(&at, &size);
        uint8_t collection = read_collection(item, size);

        if (!collection || mask >> collection & 1)
            return false;
        mask |= UINT32_C(1) << collection;
    }
    *ret_mask = mask;
    return true;
}

/* One numeric address, with "/bits" or whole; IPv4 as it stands in IPv6. */
static bool read_network(const char *text, size_t size, struct config_network *ret_network)
{
    struct config_network network = {.bits = 128};
    const char *slash = memchr(text, '/', size);
    char host[INET6_ADDRSTRLEN];
    const char *rest;
    uint64_t bits;
    unsigned before = 0;
    size_t host_size = slash ? (size_t)(slash - text) : size;

    if (host_size >= sizeof(host))
        return false;
    memcpy(host, text, host_size);
    host[host_size] = '\0';
    if (inet_pton(AF_INET, host, network.address + 12) == 1) {
        network.address[10] = network.address[11] = 0xff;
        before = 96;
    } else if (inet_pton(AF_INET6, host, network.address) != 1) {
        return false;
    }
    if (slash) {
        if (!config_read_digits(slash + 1, &bits, &rest) || rest != text + size ||
            bits > 128 - before)
            return false;
        network.bits = (uint8_t)(before + bits);
    }
    *ret_network = network;
    return true;
}

bool config_read_networks(const char *text, struct config_network *out, size_t *ret_count)
{
    size_t count = 0;

    if (strcmp(text, "none") == 0) {
        *ret_count = 0;
        return true;
    }
    for (const char *at = text; at;) {
        size_t size;
        const char *item = next_item(&at, &size);

        if (count == CONFIG_NETWORKS_MAX || !read_network(item, size, &out[count]))
            return false;
        count++;
    }
    *ret_count = count;
    return true;
}

bool config_network_holds(const struct config_network *network, const uint8_t address[16])
{
    unsigned whole = network->bits / 8, rest = network->bits % 8;

    if (memcmp(network->address, address, whole) != 0)
        return false;
    return rest == 0 || (network->address[whole] ^ address[whole]) >> (8 - rest) == 0;
}

const char *config_address_format(const struct config_address *address,
                                  char out[CONFIG_ADDRESS_BYTES_MAX])
{
    bool six = strchr(address->host, ':') != NULL;

    snprintf(out, CONFIG_ADDRESS_BYTES_MAX, six ? "[%s]:%u" : "%s:%u", address->host,
             address->port);
    return out;
}

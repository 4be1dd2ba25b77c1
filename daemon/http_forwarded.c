/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_forwarded.h"

#include <arpa/inet.h>
#include <string.h>

#define ELEMENTS_MAX 32 /* of a chain; what stands before them is not looked at */
#define HOST_BYTES_MAX 255

struct elements {
    size_t count; /* of the last ones */
    struct span items[ELEMENTS_MAX];
};

bool http_forwarded_trusts(const struct config *config, const uint8_t address[16])
{
    for (size_t i = 0; i < config->http_proxy_count; i++) {
        if (config_network_holds(&config->http_proxies[i], address))
            return true;
    }
    return false;
}

static struct span trimmed(struct span text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = span_of(text.data + 1, text.size - 1);
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

/*
 * What is left of text before the next comma, quoted or not: a client's quotation
 * mark that never closes must not take in what our proxy has written behind it.
 */
static bool next_element(struct span *list, struct span *ret_element)
{
    const uint8_t *end;

    if (!list->data)
        return false;
    end = list->size ? memchr(list->data, ',', list->size) : NULL;
    *ret_element = trimmed(span_of(list->data, end ? (size_t)(end - list->data) : list->size));
    *list = end ? span_of(end + 1, list->size - (size_t)(end + 1 - list->data)) : (struct span){0};
    return true;
}

/* All fields of a name are one list. */
static void elements_read(const struct http_request *request, const char *name,
                          struct elements *elements)
{
    elements->count = 0;
    for (size_t i = 0; i < request->field_count; i++) {
        struct span list = request->fields[i].value;
        struct span element;

        if (!http_request_name_equal(request->fields[i].name, name))
            continue;
        while (next_element(&list, &element)) {
            if (element.size == 0)
                continue;
            if (elements->count == ELEMENTS_MAX)
                memmove(elements->items, elements->items + 1,
                        --elements->count * sizeof(*elements->items));
            elements->items[elements->count++] = element;
        }
    }
}

/* The value of a parameter of a Forwarded element, without its quotes; empty if it has none. */
static struct span parameter(struct span element, const char *name)
{
    while (element.size > 0) {
        const uint8_t *end = memchr(element.data, ';', element.size);
        struct span pair = span_of(element.data, end ? (size_t)(end - element.data) : element.size);
        const uint8_t *equal = memchr(pair.data, '=', pair.size);

        element = end ? span_of(end + 1, element.size - pair.size - 1) : (struct span){0};
        if (!equal || !http_request_name_equal(
                          trimmed(span_of(pair.data, (size_t)(equal - pair.data))), name))
            continue;
        pair = trimmed(span_of(equal + 1, pair.size - (size_t)(equal + 1 - pair.data)));
        if (pair.size >= 2 && pair.data[0] == '"' && pair.data[pair.size - 1] == '"')
            pair = span_of(pair.data + 1, pair.size - 2);
        return pair;
    }
    return (struct span){0};
}

/* "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]:80"; hidden names are none. */
static bool read_node(struct span text, uint8_t ret_address[16])
{
    char host[INET6_ADDRSTRLEN + 1];
    uint8_t address[16] = {0};
    const uint8_t *end;

    if (text.size > 0 && text.data[0] == '[') {
        end = memchr(text.data, ']', text.size);
        if (!end)
            return false;
        text = span_of(text.data + 1, (size_t)(end - text.data) - 1);
    } else {
        end = memchr(text.data, ':', text.size);
        if (end && !memchr(end + 1, ':', text.size - (size_t)(end + 1 - text.data)))
            text.size = (size_t)(end - text.data); /* one colon: a port */
    }
    if (text.size == 0 || text.size >= sizeof(host))
        return false;
    memcpy(host, text.data, text.size);
    host[text.size] = '\0';
    if (inet_pton(AF_INET, host, address + 12) == 1)
        address[10] = address[11] = 0xff;
    else if (inet_pton(AF_INET6, host, address) != 1)
        return false;
    memcpy(ret_address, address, sizeof(address));
    return true;
}

/* It is copied into links: letters, digits and what stands in names, numbers and ports. */
static bool is_host(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              memchr(".-_:[]", c, 6)))
            return false;
    }
    return text.size > 0 && text.size <= HOST_BYTES_MAX;
}

/* From the end, past those that are proxies of ours too; a name that hides ends the way. */
static void find_client(const struct config *config, const struct elements *elements,
                        bool parameters, struct http_client *client)
{
    for (size_t i = elements->count; i > 0; i--) {
        struct span node = elements->items[i - 1];

        if (parameters)
            node = parameter(node, "for");
        if (!read_node(node, client->address) || !http_forwarded_trusts(config, client->address))
            return;
    }
}

static void take_scheme(struct span scheme, struct http_client *client)
{
    if (http_request_name_equal(scheme, "https"))
        client->https = true;
    else if (http_request_name_equal(scheme, "http"))
        client->https = false;
}

/* Forwarded; false: it does not stand there. */
static bool read_standard(const struct http_request *request, const struct config *config,
                          struct http_client *client)
{
    struct elements elements;
    struct span host;

    elements_read(request, "forwarded", &elements);
    if (elements.count == 0)
        return false;
    find_client(config, &elements, true, client);
    take_scheme(parameter(elements.items[elements.count - 1], "proto"), client);
    host = parameter(elements.items[elements.count - 1], "host");
    if (is_host(host))
        client->host = host;
    return true;
}

/* X-Forwarded-For, -Proto and -Host; false: none of them stands there. */
static bool read_usual(const struct http_request *request, const struct config *config,
                       struct http_client *client)
{
    struct elements elements;
    bool any;

    elements_read(request, "x-forwarded-for", &elements);
    any = elements.count > 0;
    find_client(config, &elements, false, client);
    elements_read(request, "x-forwarded-proto", &elements);
    any = any || elements.count > 0;
    if (elements.count > 0)
        take_scheme(elements.items[elements.count - 1], client);
    elements_read(request, "x-forwarded-host", &elements);
    if (elements.count > 0 && is_host(elements.items[elements.count - 1]))
        client->host = elements.items[elements.count - 1];
    return any || elements.count > 0;
}

void http_forwarded_read(const struct http_request *request, const struct config *config,
                         const uint8_t peer[16], bool https, struct http_client *ret_client)
{
    struct http_client own = {.https = https, .host = request->host}, standard, usual;
    bool has_standard, has_usual;

    memcpy(own.address, peer, sizeof(own.address));
    *ret_client = own;
    if (config->http_proxy_count == 0 || !http_forwarded_trusts(config, peer))
        return;
    standard = usual = own;
    has_standard = read_standard(request, config, &standard);
    has_usual = read_usual(request, config, &usual);
    if (has_standard != has_usual) {
        *ret_client = has_standard ? standard : usual;
        return;
    }
    /* Most proxies write one of both, and pass on what the client wrote as the other. */
    if (memcmp(standard.address, usual.address, sizeof(usual.address)) == 0)
        memcpy(ret_client->address, usual.address, sizeof(usual.address));
    if (span_equal(standard.host, usual.host))
        ret_client->host = usual.host;
    ret_client->https = standard.https || usual.https;
}

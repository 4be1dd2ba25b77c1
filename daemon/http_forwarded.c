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
        while (http_request_list_next(&list, &element)) {
            if (elements->count == ELEMENTS_MAX)
                memmove(elements->items, elements->items + 1,
                        --elements->count * sizeof(*elements->items));
            elements->items[elements->count++] = element;
        }
    }
}

static struct span trimmed(struct span text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = span_of(text.data + 1, text.size - 1);
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
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

void http_forwarded_read(const struct http_request *request, const struct config *config,
                         const uint8_t peer[16], bool https, struct http_client *ret_client)
{
    struct http_client client = {.https = https, .host = request->host};
    struct span host = {0};
    struct elements elements;

    memcpy(client.address, peer, sizeof(client.address));
    if (config->http_proxy_count > 0 && http_forwarded_trusts(config, peer)) {
        elements_read(request, "forwarded", &elements);
        if (elements.count > 0) {
            find_client(config, &elements, true, &client);
            take_scheme(parameter(elements.items[elements.count - 1], "proto"), &client);
            host = parameter(elements.items[elements.count - 1], "host");
        } else {
            elements_read(request, "x-forwarded-for", &elements);
            find_client(config, &elements, false, &client);
            elements_read(request, "x-forwarded-proto", &elements);
            if (elements.count > 0)
                take_scheme(elements.items[elements.count - 1], &client);
            elements_read(request, "x-forwarded-host", &elements);
            if (elements.count > 0)
                host = elements.items[elements.count - 1];
        }
        if (is_host(host))
            client.host = host;
    }
    *ret_client = client;
}

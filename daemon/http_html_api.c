/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_html_api.h"

#include <ctype.h>
#include <string.h>

#include "daemon/html.h"

/* A parameter, or what it refers to. */
static const json_t *resolve(const json_t *document, const json_t *parameter)
{
    const char *reference = json_string_value(json_object_get(parameter, "$ref"));
    const char *name = reference ? strrchr(reference, '/') : NULL;
    const json_t *components = json_object_get(document, "components");

    if (!name)
        return parameter;
    return json_object_get(json_object_get(components, "parameters"), name + 1);
}

static void put_text(struct buffer *out, const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    html_text(out, text ? text : "");
}

static void put_parameters(const struct http_page_parts *page, const json_t *document,
                           const json_t *operation)
{
    const json_t *parameters = json_object_get(operation, "parameters");

    if (json_array_size(parameters) == 0)
        return;
    buffer_put_str(page->out, "<dl class=\"facts\">\n");
    for (size_t i = 0; i < json_array_size(parameters); i++) {
        const json_t *parameter = resolve(document, json_array_get(parameters, i));

        buffer_put_str(page->out, "<dt>");
        put_text(page->out, parameter, "name");
        buffer_put_str(page->out, "</dt><dd>");
        put_text(page->out, parameter, "description");
        buffer_put_str(page->out, "</dd>\n");
    }
    buffer_put_str(page->out, "</dl>\n");
}

void http_html_api_put(const struct http_page_parts *page, const json_t *document)
{
    json_t *paths = json_object_get(document, "paths");
    const char *path, *method;
    json_t *operations, *operation;

    buffer_put_str(page->out, "<p>");
    put_text(page->out, json_object_get(document, "info"), "description");
    buffer_put_str(page->out, "</p>\n");
    json_object_foreach(paths, path, operations)
    {
        json_object_foreach(operations, method, operation)
        {
            buffer_put_str(page->out, "<h2>");
            for (const char *c = method; *c; c++)
                buffer_put_u8(page->out, (uint8_t)toupper((unsigned char)*c));
            buffer_put_u8(page->out, ' ');
            html_text(page->out, path);
            buffer_put_str(page->out, "</h2>\n<p>");
            put_text(page->out, operation, "summary");
            buffer_put_str(page->out, "</p>\n");
            put_parameters(page, document, operation);
        }
    }
}

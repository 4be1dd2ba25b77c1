/* SPDX-License-Identifier: EUPL-1.2 */
#include "tools/http_client.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_BYTES_MAX (256u << 20)
#define CONNECT_TIMEOUT_S 10L
/* A bulk import of a thousand rows is a commit; a slow disk may take its time. */
#define ANSWER_TIMEOUT_S 300L

struct http_client {
    CURL *curl;
    char url[512];
    char error[CURL_ERROR_SIZE];
};

void http_answer_done(struct http_answer *answer)
{
    buffer_done(&answer->body);
}

enum torg_err http_client_new(const char *url, const char *bearer, struct http_client **ret_client)
{
    struct http_client *client = calloc(1, sizeof(*client));
    size_t size;

    if (!client)
        return TORG_E_NOMEM;
    client->curl = curl_easy_init();
    if (!client->curl) {
        free(client);
        return TORG_E_NOMEM;
    }
    snprintf(client->url, sizeof(client->url), "%s", url);
    size = strlen(client->url);
    while (size > 0 && client->url[size - 1] == '/')
        client->url[--size] = '\0';
    if (bearer) {
        curl_easy_setopt(client->curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
        curl_easy_setopt(client->curl, CURLOPT_XOAUTH2_BEARER, bearer);
    }
    curl_easy_setopt(client->curl, CURLOPT_ERRORBUFFER, client->error);
    curl_easy_setopt(client->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(client->curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
    curl_easy_setopt(client->curl, CURLOPT_TIMEOUT, ANSWER_TIMEOUT_S);
    curl_easy_setopt(client->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(client->curl, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(client->curl, CURLOPT_USERAGENT, "torg/" TORG_VERSION);
    *ret_client = client;
    return TORG_OK;
}

void http_client_free(struct http_client *client)
{
    if (!client)
        return;
    curl_easy_cleanup(client->curl);
    free(client);
}

static size_t take_body(char *data, size_t size, size_t count, void *context)
{
    struct buffer *body = context;

    if (body->size + size * count > ANSWER_BYTES_MAX)
        return 0;
    buffer_put(body, data, size * count);
    return body->err ? 0 : size * count;
}

enum torg_err http_client_request(struct http_client *client, const char *method, const char *path,
                                  const char *content_type, struct span body,
                                  struct http_answer *ret_answer)
{
    struct http_answer answer = {0};
    struct curl_slist *headers = NULL;
    char header[160];
    char url[4096];
    const char *type = NULL;
    long status = 0;
    CURLcode code;

    snprintf(url, sizeof(url), "%s%s", client->url, path);
    curl_easy_setopt(client->curl, CURLOPT_URL, url);
    curl_easy_setopt(client->curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(client->curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(client->curl, CURLOPT_WRITEDATA, &answer.body);
    if (body.size > 0) {
        snprintf(header, sizeof(header), "Content-Type: %s", content_type);
        headers = curl_slist_append(headers, header);
        headers = curl_slist_append(headers, "Expect:");
        curl_easy_setopt(client->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.size);
        curl_easy_setopt(client->curl, CURLOPT_POSTFIELDS, (const char *)body.data);
    } else {
        curl_easy_setopt(client->curl, CURLOPT_HTTPGET, 1L);
        curl_easy_setopt(client->curl, CURLOPT_CUSTOMREQUEST, method);
    }
    curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, headers);
    client->error[0] = '\0';
    code = curl_easy_perform(client->curl);
    curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    if (code != CURLE_OK) {
        if (!client->error[0])
            snprintf(client->error, sizeof(client->error), "%s", curl_easy_strerror(code));
        http_answer_done(&answer);
        return TORG_E_IO;
    }
    curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(client->curl, CURLINFO_CONTENT_TYPE, &type);
    answer.status = (int)status;
    snprintf(answer.content_type, sizeof(answer.content_type), "%s", type ? type : "");
    *ret_answer = answer;
    return TORG_OK;
}

const char *http_client_error(const struct http_client *client)
{
    return client->error;
}

json_t *http_answer_json(const struct http_answer *answer)
{
    return json_loadb((const char *)answer->body.data, answer->body.size, JSON_REJECT_DUPLICATES,
                      NULL);
}

void http_answer_problem(const struct http_answer *answer, char *out, size_t size)
{
    json_t *json = http_answer_json(answer);
    const char *title = json_string_value(json_object_get(json, "title"));
    const char *detail = json_string_value(json_object_get(json, "detail"));
    const json_t *error;
    size_t used, i;

    snprintf(out, size, "%d%s%s%s%s", answer->status, title ? " " : "", title ? title : "",
             detail ? ": " : "", detail ? detail : "");
    json_array_foreach(json_object_get(json, "errors"), i, error)
    {
        const char *path = json_string_value(json_object_get(error, "path"));
        const char *why = json_string_value(json_object_get(error, "detail"));

        used = strlen(out);
        snprintf(out + used, size - used, "\n  %s: %s", path ? path : "", why ? why : "");
    }
    json_decref(json);
}

void http_query_put(struct buffer *out, const char *name, const char *value)
{
    static const char digits[] = "0123456789ABCDEF";

    buffer_put_str(out,
                   memchr(out->data ? (const char *)out->data : "", '?', out->size) ? "&" : "?");
    buffer_put_str(out, name);
    buffer_put_u8(out, '=');
    for (const unsigned char *at = (const unsigned char *)value; *at; at++) {
        if ((*at >= '0' && *at <= '9') || (*at >= 'A' && *at <= 'Z') ||
            (*at >= 'a' && *at <= 'z') || strchr("-._~,/:", *at)) {
            buffer_put_u8(out, *at);
        } else {
            buffer_put_u8(out, '%');
            buffer_put_u8(out, (uint8_t)digits[*at >> 4]);
            buffer_put_u8(out, (uint8_t)digits[*at & 15]);
        }
    }
}

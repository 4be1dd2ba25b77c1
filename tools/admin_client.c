/* SPDX-License-Identifier: EUPL-1.2 */
#include "tools/admin_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/admin.h"
#include "tools/cli.h"

#define SECRET_BYTES_MAX 256

/* The secret's text, without its newline; false after a message. */
static bool read_secret(const char *command, const struct config *config, struct buffer *secret)
{
    char path[sizeof(config->directory) + sizeof(ADMIN_SECRET_FILE) + 1];
    enum torg_err err;

    snprintf(path, sizeof(path), "%s/%s", config->directory, ADMIN_SECRET_FILE);
    err = cli_read_file(path, SECRET_BYTES_MAX, secret);
    if (!err) {
        while (secret->size > 0 && secret->data[secret->size - 1] <= ' ')
            secret->size--;
        buffer_put_u8(secret, '\0');
        return secret->err == TORG_OK;
    }
    if (errno == EACCES)
        cli_fail(command, "no permission to read %s: run this as the user of torgd, or as root",
                 path);
    else
        cli_fail(command,
                 "torgd has never run for %s (there is no %s): start it with "
                 "\"torgd --config %s\" or \"systemctl start torgd\"",
                 config->name, path, config->file);
    return false;
}

static struct http_client *open_for(const char *command, const struct config *config)
{
    struct http_client *client = NULL;
    struct buffer secret = {0};
    char url[192];
    bool is_ipv6;

    if (config->admin_count == 0) {
        cli_fail(command, "%s switches the operators' listener off; set [admin] listen",
                 config->file);
        return NULL;
    }
    is_ipv6 = strchr(config->admin[0].host, ':') != NULL;
    snprintf(url, sizeof(url), is_ipv6 ? "http://[%s]:%u" : "http://%s:%u", config->admin[0].host,
             config->admin[0].port);
    if (read_secret(command, config, &secret) &&
        http_client_new(url, (const char *)secret.data, &client))
        cli_fail(command, "out of memory");
    buffer_done(&secret);
    return client;
}

struct http_client *admin_client_open(const char *command, const char *config_option)
{
    struct http_client *client;
    struct config config = {0};

    if (!cli_config(command, config_option, &config))
        return NULL;
    client = open_for(command, &config);
    config_done(&config);
    return client;
}

json_t *admin_client_ask(const char *command, struct http_client *client, const char *method,
                         const char *path, const json_t *body)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    struct http_answer answer = {0};
    json_t *json = NULL;
    char problem[2048];

    if (http_client_request(client, method, path, "application/json",
                            text ? span_of_str(text) : (struct span){0}, &answer)) {
        cli_fail(command, "torgd does not answer, is it running? %s", http_client_error(client));
    } else if (answer.status < 200 || answer.status > 299) {
        http_answer_problem(&answer, problem, sizeof(problem));
        cli_fail(command, "torgd refuses: %s", problem);
    } else {
        json = answer.body.size ? http_answer_json(&answer) : json_object();
        if (!json)
            cli_fail(command, "torgd's answer is not JSON");
    }
    free(text);
    http_answer_done(&answer);
    return json;
}

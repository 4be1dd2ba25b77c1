/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/admin.h"
#include "tests/support/http_world.h"

/*
 * The operators' listener. Whoever may not read the data directory must not be
 * able to make a token through it, and a node that takes no writes must not
 * call itself ready.
 */
struct fixture {
    struct http_world world;
    struct http_world as_admin; /* the same, for the client: with the admin port */
    struct admin *admin;
    char secret[80];
};

static void read_secret(struct fixture *f)
{
    char path[128];
    struct stat stat_of;
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/" ADMIN_SECRET_FILE, f->world.directory);
    assert_int_equal(stat(path, &stat_of), 0);
    assert_int_equal(stat_of.st_mode & 0777, 0600);
    file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(f->secret, sizeof(f->secret), file));
    (void)fclose(file);
    f->secret[strcspn(f->secret, "\n")] = '\0';
    assert_int_equal(strlen(f->secret), 64);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    http_world_init(&f->world, 16, 16);
    (void)snprintf(f->world.config.admin[0].host, sizeof(f->world.config.admin[0].host),
                   "127.0.0.1");
    f->world.config.admin_count = 1;
    assert_ok(admin_new(&f->world.node, &f->admin));
    assert_ok(admin_start(f->admin));
    f->as_admin.port = admin_port(f->admin);
    read_secret(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char path[128];

    admin_free(f->admin);
    (void)snprintf(path, sizeof(path), "%s/" ADMIN_SECRET_FILE, f->world.directory);
    (void)unlink(path);
    http_world_done(&f->world);
    free(f);
    return 0;
}

static void test_health_and_readiness(void **state)
{
    struct fixture *f = *state;
    struct http_answer answer = {0};

    http_client_request(&f->as_admin, "GET /healthz", "", NULL, &answer);
    assert_int_equal(answer.status, 200);
    http_client_request(&f->as_admin, "GET /readyz", "", NULL, &answer);
    assert_int_equal(answer.status, 200);
    http_world_writing(&f->world, WRITING_REFUSES, TORG_E_RECOVERING);
    http_client_request(&f->as_admin, "GET /readyz", "", NULL, &answer);
    assert_int_equal(answer.status, 503);
    assert_non_null(strstr((const char *)answer.body.data, "peers are being asked"));
    http_client_request(&f->as_admin, "GET /healthz", "", NULL, &answer);
    assert_int_equal(answer.status, 200);
    http_answer_done(&answer);
}

/* A second HELP line for one name makes Prometheus drop the whole scrape. */
static void test_metrics_have_one_help_each(void **state)
{
    static const char *const wanted[] = {"torg_store_entries{table=\"live\"} ",
                                         "torg_store_entries{table=\"local\"} ",
                                         "torg_writer_ready 1",
                                         "torg_peer_up{peer=\"arjeplog\"} ",
                                         "torg_origin_age_seconds{origin=\"",
                                         "torg_up_seconds "};
    struct fixture *f = *state;
    struct http_answer answer = {0};
    const char *text;

    http_client_request(&f->as_admin, "GET /metrics", "", NULL, &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(http_answer_field(&answer, "Content-Type"),
                        "text/plain; version=0.0.4; charset=utf-8");
    text = (const char *)answer.body.data;
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
        if (!strstr(text, wanted[i]))
            fail_msg("missing: %s", wanted[i]);
    }
    assert_null(strstr(text, "(null)"));
    for (const char *at = strstr(text, "# HELP "); at; at = strstr(at + 1, "# HELP ")) {
        char line[200];

        (void)snprintf(line, sizeof(line), "%.*s ", (int)strcspn(at + 7, " ") + 7, at);
        if (strstr(at + 1, line))
            fail_msg("twice: %s", line);
    }
    http_answer_done(&answer);
}

static void as_operator(struct fixture *f, const char *method_and_target, const char *body,
                        struct http_answer *answer)
{
    char fields[200];

    (void)snprintf(fields, sizeof(fields), "Authorization: Bearer %s\r\n%s", f->secret,
                   body ? "Content-Type: application/json\r\n" : "");
    http_client_request(&f->as_admin, method_and_target, fields, body, answer);
}

/* Whether the token opens the API. */
static bool opens(struct fixture *f, const char *token)
{
    struct http_answer answer = {0};
    char fields[200];
    int status;

    (void)snprintf(fields, sizeof(fields), "Authorization: Bearer %s\r\n", token);
    http_client_request(&f->world,
                        "DELETE /torg/v1/collections/offers/items/"
                        "aaaaaaaaaaaaa-aaaaaaaaaaaaaaaaaaaaaaaaaa",
                        fields, NULL, &answer);
    status = answer.status;
    http_answer_done(&answer);
    assert_true(status == 401 || status == 403); /* known, but another origin's listing */
    return status == 403;
}

static void test_a_token_is_made_used_and_taken_back(void **state)
{
    struct fixture *f = *state;
    struct http_answer answer = {0};
    char token[64];
    char line[64];
    json_t *json;

    as_operator(f, "POST /tokens", "{\"role\":\"editor\",\"label\":\"Turistbyrån\"}", &answer);
    assert_int_equal(answer.status, 201);
    json = json_loadb((const char *)answer.body.data, answer.body.size, 0, NULL);
    (void)snprintf(token, sizeof(token), "%s", json_string_value(json_object_get(json, "token")));
    (void)snprintf(line, sizeof(line), "DELETE /tokens/%s",
                   json_string_value(json_object_get(json, "id")));
    json_decref(json);
    assert_true(opens(f, token));
    as_operator(f, "GET /tokens", NULL, &answer);
    assert_non_null(strstr((const char *)answer.body.data, "Turistbyrån"));
    assert_null(strstr((const char *)answer.body.data, token));
    as_operator(f, line, NULL, &answer);
    assert_int_equal(answer.status, 204);
    assert_false(opens(f, token));
    as_operator(f, line, NULL, &answer);
    assert_int_equal(answer.status, 404);
    http_answer_done(&answer);
}

static void test_only_the_secret_opens(void **state)
{
    static const char body[] = "{\"role\":\"admin\",\"label\":\"x\"}";
    struct fixture *f = *state;
    struct http_answer answer = {0};

    http_client_request(&f->as_admin, "GET /tokens", "", NULL, &answer);
    assert_int_equal(answer.status, 401);
    http_client_request(&f->as_admin, "POST /tokens", "Content-Type: application/json\r\n", body,
                        &answer);
    assert_int_equal(answer.status, 401);
    f->secret[63] ^= 1;
    as_operator(f, "POST /tokens", body, &answer);
    assert_int_equal(answer.status, 401);
    f->secret[63] = '\0';
    as_operator(f, "POST /tokens", body, &answer);
    assert_int_equal(answer.status, 401);
    (void)snprintf(f->secret, sizeof(f->secret), "%s", f->world.token);
    as_operator(f, "POST /tokens", body, &answer); /* An editor is no operator. */
    assert_int_equal(answer.status, 401);
    http_answer_done(&answer);
}

static void test_wrong_tokens_are_refused(void **state)
{
    static const char *const bodies[] = {"{}", "[]", "{\"role\":\"root\",\"label\":\"x\"}",
                                         "{\"role\":\"admin\",\"label\":\"\"}",
                                         "{\"role\":\"admin\",\"label\":7}"};
    struct fixture *f = *state;
    struct http_answer answer = {0};

    for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
        as_operator(f, "POST /tokens", bodies[i], &answer);
        assert_int_equal(answer.status, 422);
    }
    as_operator(f, "POST /tokens", "{\"role\":", &answer);
    assert_int_equal(answer.status, 400);
    as_operator(f, "DELETE /tokens/..%2e", NULL, &answer);
    assert_int_equal(answer.status, 404);
    as_operator(f, "GET /torg/v1", NULL, &answer); /* not here */
    assert_int_equal(answer.status, 404);
    http_answer_done(&answer);
}

/* What stands in a catalogue decides whom others trust: only what is right gets there. */
static void test_members_of_a_catalogue(void **state)
{
    static const char origin[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    static const char good[] =
        "{\"type\":\"Feature\",\"geometry\":null,\"properties\":{\"name\":\"Arjeplog\","
        "\"member\":\"ff\",\"status\":\"active\",\"groups\":[\"norrbotten\"],\"quota\":100,"
        "\"endpoints\":[\"torg.arjeplog.se:8490\"]}}";
    static const char bad[] = "{\"type\":\"Feature\",\"geometry\":null,\"properties\":{\"name\":"
                              "\"Arjeplog\",\"status\":\"friend\",\"endpoints\":[\"here\"]}}";
    struct fixture *f = *state;
    struct http_answer answer = {0};
    char put[100], get[100], del[100];

    (void)snprintf(put, sizeof(put), "PUT /members/%s", origin);
    (void)snprintf(get, sizeof(get), "GET /members/%s", origin);
    (void)snprintf(del, sizeof(del), "DELETE /members/%s", origin);
    http_client_request(&f->as_admin, get, "", NULL, &answer);
    assert_int_equal(answer.status, 401);
    as_operator(f, get, NULL, &answer);
    assert_int_equal(answer.status, 404);
    as_operator(f, put, bad, &answer);
    assert_int_equal(answer.status, 422);
    assert_non_null(strstr((const char *)answer.body.data, "active, suspended or left"));
    assert_non_null(strstr((const char *)answer.body.data, "endpoints[0]"));
    as_operator(f, "PUT /members/0123", good, &answer);
    assert_int_equal(answer.status, 404);
    as_operator(f, put, good, &answer);
    assert_int_equal(answer.status, 200);
    /* The path says who it is. */
    assert_non_null(strstr((const char *)answer.body.data, origin));
    as_operator(f, "GET /members", NULL, &answer);
    assert_non_null(strstr((const char *)answer.body.data, "norrbotten"));
    assert_null(strstr((const char *)answer.body.data, "\"after\""));
    as_operator(f, "GET /members/after/00000000000000000000000000000000", NULL, &answer);
    assert_non_null(strstr((const char *)answer.body.data, "norrbotten"));
    as_operator(f, "GET /members/after/ffffffffffffffffffffffffffffffff", NULL, &answer);
    assert_null(strstr((const char *)answer.body.data, "norrbotten"));
    as_operator(f, del, NULL, &answer);
    assert_int_equal(answer.status, 204);
    as_operator(f, get, NULL, &answer);
    assert_int_equal(answer.status, 404);
    as_operator(f, del, NULL, &answer);
    assert_int_equal(answer.status, 404);
    http_answer_done(&answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_health_and_readiness, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_metrics_have_one_help_each, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_token_is_made_used_and_taken_back, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_only_the_secret_opens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_wrong_tokens_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_members_of_a_catalogue, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

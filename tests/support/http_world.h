/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_SUPPORT_HTTP_WORLD_H
#define TORG_TESTS_SUPPORT_HTTP_WORLD_H

#include "daemon/http_server.h"
#include "tests/support/town.h"

/*
 * The HTTP server on a real store and a real socket, with two origins (its own
 * and a foreign one), and a writer that does as the test says: it commits at
 * once, holds its jobs back, or refuses. Stands in for daemon/writer and
 * daemon/peers, so the test links neither. Whatever goes wrong in the fixture
 * ends the program.
 */
struct http_world {
    char directory[64];
    struct config config;
    struct node node;
    struct town own, foreign;
    struct theme_tree *themes;
    struct http *http;
    uint16_t port;
    char token[64];
};

void http_world_init(struct http_world *world, uint32_t connections_max, uint32_t per_address);
/* Stops the server. */
void http_world_done(struct http_world *world);
/* CMocka's setup and teardown: a world of its own, with 64 connections. */
int http_world_setup(void **state);
int http_world_teardown(void **state);
/* A listing of an origin, straight into the store: GeoJSON in, its feature id out. */
void http_world_publish(struct http_world *world, struct town *town, uint8_t collection,
                        const char *geojson, char *ret_id);

/* What the writer does with the next jobs. */
enum http_world_writing { WRITING_COMMITS, WRITING_HOLDS, WRITING_REFUSES };
void http_world_writing(struct http_world *world, enum http_world_writing writing,
                        enum torg_err refusal);
/* How many jobs are held; and let them go. */
size_t http_world_held(struct http_world *world);
void http_world_release(struct http_world *world);

/* ---- a client ---- */

struct http_answer {
    int status; /* 0: the connection was closed without an answer */
    struct buffer head;
    struct buffer body;
};
void http_answer_done(struct http_answer *answer);
/* The field's value, terminated, valid until the answer is freed; NULL if it is not there. */
const char *http_answer_field(struct http_answer *answer, const char *name);

int http_client_connect(const struct http_world *world);
void http_client_send(int fd, const char *text);
/* The next answer on the connection; with_body false after HEAD. */
void http_client_read(int fd, bool with_body, struct http_answer *answer);
/* Has the server closed the connection (within five seconds)? */
bool http_client_closed(int fd);
/* One request on a connection of its own. */
void http_client_ask(const struct http_world *world, const char *request,
                     struct http_answer *answer);
/* "METHOD target", further fields (each with CRLF, or ""), body or NULL. */
void http_client_request(const struct http_world *world, const char *method_and_target,
                         const char *fields, const char *body, struct http_answer *answer);

#endif

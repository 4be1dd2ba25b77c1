/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_outbox.h"

#include <assert.h>

/* Sending answers no request, so nothing is put meanwhile. */
static void send_all(struct http_outbox *outbox)
{
    size_t count = outbox->count;

    for (size_t i = 0; i < count; i++) {
        struct http_outbox_answer *answer = &outbox->answers[i];

        if (answer->conn)
            outbox->send(answer->conn, &answer->head, &answer->body);
        buffer_clear(&answer->head);
        buffer_clear(&answer->body);
    }
    assert(outbox->count == count);
    outbox->count = 0;
}

static void on_turn(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    send_all(context);
}

enum torg_err http_outbox_init(struct http_outbox *outbox, struct event_base *base,
                               http_outbox_send *send)
{
    outbox->send = send;
    outbox->turn = evtimer_new(base, on_turn, outbox);
    return outbox->turn ? TORG_OK : TORG_E_NOMEM;
}

void http_outbox_done(struct http_outbox *outbox)
{
    if (outbox->turn)
        event_free(outbox->turn);
    for (size_t i = 0; i < HTTP_OUTBOX_ANSWERS_MAX; i++) {
        buffer_done(&outbox->answers[i].head);
        buffer_done(&outbox->answers[i].body);
    }
    *outbox = (struct http_outbox){0};
}

struct buffer *http_outbox_head(struct http_outbox *outbox)
{
    struct buffer *head = &outbox->answers[outbox->count].head;

    buffer_clear(head);
    return head;
}

void http_outbox_put(struct http_outbox *outbox, struct http_conn *conn, struct buffer *body,
                     uint64_t came_us)
{
    struct http_outbox_answer *answer = &outbox->answers[outbox->count];
    struct buffer spare = answer->body;

    assert(outbox->count < HTTP_OUTBOX_ANSWERS_MAX);
    answer->conn = conn;
    answer->body = *body;
    *body = spare;
    if (outbox->count++ > 0)
        return;
    outbox->since_us = came_us;
    event_active(outbox->turn, EV_TIMEOUT, 0);
}

void http_outbox_check(struct http_outbox *outbox, uint64_t now_us)
{
    if (outbox->count == HTTP_OUTBOX_ANSWERS_MAX ||
        (outbox->count > 0 && now_us > outbox->since_us + HTTP_OUTBOX_WAIT_US_MAX))
        send_all(outbox);
}

void http_outbox_forget(struct http_outbox *outbox, const struct http_conn *conn)
{
    for (size_t i = 0; i < outbox->count; i++) {
        if (outbox->answers[i].conn == conn)
            outbox->answers[i].conn = NULL;
    }
}

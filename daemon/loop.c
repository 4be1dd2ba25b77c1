/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/loop.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/*
 * The mailbox is a list behind a mutex. An eventfd wakes the loop: it is
 * written only when the list was empty, so a burst costs one wake-up.
 */
struct letter {
    loop_function *function;
    void *context;
    struct letter *next;
};

struct loop {
    struct event_base *base;
    struct event *wake_event;
    int wake_fd;
    size_t mailbox_max;

    pthread_mutex_t mutex;
    struct letter *first, **last; /* under mutex, as are the next two */
    size_t count;
    bool stopped;
};

/* Run what is in the mailbox now; letters that come meanwhile wait for the next wake-up. */
static bool mailbox_run(struct loop *loop)
{
    struct letter *letter;
    bool stopped;

    pthread_mutex_lock(&loop->mutex);
    letter = loop->first;
    loop->first = NULL;
    loop->last = &loop->first;
    loop->count = 0;
    stopped = loop->stopped;
    pthread_mutex_unlock(&loop->mutex);

    while (letter) {
        struct letter *next = letter->next;

        letter->function(letter->context);
        free(letter);
        letter = next;
    }
    return stopped;
}

static void on_wake(evutil_socket_t fd, short what, void *context)
{
    struct loop *loop = context;
    uint64_t count;

    (void)what;
    (void)!read(fd, &count, sizeof(count)); /* before the list is taken: no wake-up is lost */
    if (mailbox_run(loop))
        event_base_loopbreak(loop->base);
}

static void wake(struct loop *loop)
{
    uint64_t one = 1;

    /* Fails only when the counter is full, and then the loop is awake anyway. */
    (void)!write(loop->wake_fd, &one, sizeof(one));
}

enum torg_err loop_new(size_t mailbox_max, struct loop **ret_loop)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    enum torg_err err = TORG_E_NOMEM;

    if (!loop)
        return TORG_E_NOMEM;
    loop->mailbox_max = mailbox_max;
    loop->last = &loop->first;
    pthread_mutex_init(&loop->mutex, NULL);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->wake_fd < 0) {
        err = TORG_E_IO;
        goto done;
    }
    loop->base = event_base_new();
    if (!loop->base)
        goto done;
    loop->wake_event = event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop);
    if (!loop->wake_event || event_add(loop->wake_event, NULL) < 0)
        goto done;
    *ret_loop = loop;
    loop = NULL;
    err = TORG_OK;
done:
    loop_free(loop);
    return err;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    while (loop->first)
        mailbox_run(loop);
    if (loop->wake_event)
        event_free(loop->wake_event);
    if (loop->base) {
        /* libevent ends bufferevents in callbacks that it has put off: let those run. */
        for (int i = 0; i < 2; i++)
            event_base_loop(loop->base, EVLOOP_NONBLOCK);
        event_base_free(loop->base);
    }
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    pthread_mutex_destroy(&loop->mutex);
    free(loop);
}

struct event_base *loop_base(struct loop *loop)
{
    return loop->base;
}

enum torg_err loop_run(struct loop *loop)
{
    /* The wake-up event keeps the base from running dry. */
    return event_base_dispatch(loop->base) < 0 ? TORG_E_INTERNAL : TORG_OK;
}

void loop_stop(struct loop *loop)
{
    pthread_mutex_lock(&loop->mutex);
    loop->stopped = true;
    pthread_mutex_unlock(&loop->mutex);
    wake(loop);
}

static enum torg_err post(struct loop *loop, loop_function *function, void *context, size_t max)
{
    struct letter *letter = malloc(sizeof(*letter));
    bool was_empty, full;

    if (!letter)
        return TORG_E_NOMEM;
    *letter = (struct letter){.function = function, .context = context};
    pthread_mutex_lock(&loop->mutex);
    full = loop->count >= max;
    was_empty = !loop->first;
    if (!full) {
        *loop->last = letter;
        loop->last = &letter->next;
        loop->count++;
    }
    pthread_mutex_unlock(&loop->mutex);
    if (full) {
        free(letter);
        return TORG_E_BUSY;
    }
    if (was_empty)
        wake(loop);
    return TORG_OK;
}

enum torg_err loop_post(struct loop *loop, loop_function *function, void *context)
{
    return post(loop, function, context, loop->mailbox_max);
}

void loop_answer(struct loop *loop, loop_function *function, void *context)
{
    /* A lost answer would leave its asker waiting for ever: better to fall and start again. */
    if (post(loop, function, context, SIZE_MAX))
        abort();
}

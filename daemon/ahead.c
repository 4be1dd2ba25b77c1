/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/ahead.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>

#define AHEAD_NICE 5
#define AHEAD_STEP_ENTRIES 64 /* between two looks at whether the writer has come */

struct ahead {
    struct store *store;
    const struct theme_tree *themes;
    pthread_t thread;
    pthread_mutex_t mutex; /* over all that follows, and over the tasks */
    pthread_cond_t offered, done;
    struct ahead_task *first, **last; /* WAITING, in the order of the writer's queue */
    size_t derived_bytes;             /* of tasks that are DONE or BUSY and not taken */
    bool stop;
};

static enum torg_err number_of(const struct ahead *ahead, const struct origin_id *origin,
                               uint32_t *ret_number)
{
    struct replica_origin record;
    struct kv kv;
    enum torg_err err = store_read_begin(ahead->store, &kv);

    if (err)
        return err;
    err = replica_origin_get(&kv, origin, &record);
    store_read_end(&kv);
    if (!err)
        *ret_number = record.number;
    return err;
}

/* NULL when it cannot be done: then the writer does it, and knows the error. */
static struct catalogue_ahead *begin(const struct ahead *ahead, const struct sync_store *store)
{
    const struct replica_write *write = &store->write;
    struct catalogue_ahead *derived;
    uint32_t number;

    if (number_of(ahead, &write->origin, &number) ||
        catalogue_ahead_new(ahead->themes, &write->origin, number, write->entries,
                            write->entry_count, &derived))
        return NULL;
    return derived;
}

/* mutex held, and given up in between: until all is derived or the writer has come to it. */
static void derive(struct ahead *ahead, struct ahead_task *task)
{
    bool more = true;

    task->state = AHEAD_BUSY;
    ahead->derived_bytes += task->bytes;
    while (more && !task->wanted) {
        pthread_mutex_unlock(&ahead->mutex);
        if (!task->derived)
            task->derived = begin(ahead, task->store);
        more = task->derived && catalogue_ahead_step(task->derived, AHEAD_STEP_ENTRIES);
        pthread_mutex_lock(&ahead->mutex);
    }
    task->state = AHEAD_DONE;
    pthread_cond_broadcast(&ahead->done);
}

static void *ahead_thread(void *context)
{
    struct ahead *ahead = context;

    /* On Linux a thread's own. Where it is refused, it is not as patient. */
    (void)setpriority(PRIO_PROCESS, 0, AHEAD_NICE);
    pthread_mutex_lock(&ahead->mutex);
    for (;;) {
        struct ahead_task *task = ahead->first;

        if (ahead->stop)
            break;
        if (!task ||
            (ahead->derived_bytes && ahead->derived_bytes + task->bytes > AHEAD_BYTES_MAX)) {
            pthread_cond_wait(&ahead->offered, &ahead->mutex);
            continue;
        }
        ahead->first = task->next;
        if (!ahead->first)
            ahead->last = &ahead->first;
        derive(ahead, task);
    }
    pthread_mutex_unlock(&ahead->mutex);
    return NULL;
}

enum torg_err ahead_new(struct store *store, const struct theme_tree *themes,
                        struct ahead **ret_ahead)
{
    struct ahead *ahead = calloc(1, sizeof(*ahead));

    if (!ahead)
        return TORG_E_NOMEM;
    *ahead = (struct ahead){.store = store, .themes = themes};
    ahead->last = &ahead->first;
    pthread_mutex_init(&ahead->mutex, NULL);
    pthread_cond_init(&ahead->offered, NULL);
    pthread_cond_init(&ahead->done, NULL);
    if (pthread_create(&ahead->thread, NULL, ahead_thread, ahead) != 0) {
        pthread_cond_destroy(&ahead->offered);
        pthread_cond_destroy(&ahead->done);
        pthread_mutex_destroy(&ahead->mutex);
        free(ahead);
        return TORG_E_NOMEM;
    }
    *ret_ahead = ahead;
    return TORG_OK;
}

void ahead_free(struct ahead *ahead)
{
    if (!ahead)
        return;
    pthread_mutex_lock(&ahead->mutex);
    ahead->stop = true;
    pthread_cond_signal(&ahead->offered);
    pthread_mutex_unlock(&ahead->mutex);
    pthread_join(ahead->thread, NULL);
    pthread_cond_destroy(&ahead->offered);
    pthread_cond_destroy(&ahead->done);
    pthread_mutex_destroy(&ahead->mutex);
    free(ahead);
}

void ahead_offer(struct ahead *ahead, struct ahead_task *task, const struct sync_store *store,
                 size_t bytes)
{
    if (store->write.entry_count < AHEAD_ENTRIES_MIN)
        return;
    pthread_mutex_lock(&ahead->mutex);
    *task = (struct ahead_task){.store = store, .bytes = bytes, .state = AHEAD_WAITING};
    *ahead->last = task;
    ahead->last = &task->next;
    pthread_cond_signal(&ahead->offered);
    pthread_mutex_unlock(&ahead->mutex);
}

static void remove_waiting(struct ahead *ahead, struct ahead_task *task)
{
    struct ahead_task **at = &ahead->first;

    while (*at != task)
        at = &(*at)->next;
    *at = task->next;
    if (!*at)
        ahead->last = at;
}

struct catalogue_ahead *ahead_take(struct ahead *ahead, struct ahead_task *task)
{
    struct catalogue_ahead *derived;

    pthread_mutex_lock(&ahead->mutex);
    task->wanted = true;
    while (task->state == AHEAD_BUSY)
        pthread_cond_wait(&ahead->done, &ahead->mutex);
    if (task->state == AHEAD_WAITING) {
        remove_waiting(ahead, task);
    } else if (task->state == AHEAD_DONE) {
        ahead->derived_bytes -= task->bytes;
        pthread_cond_signal(&ahead->offered);
    }
    derived = task->derived;
    *task = (struct ahead_task){0};
    pthread_mutex_unlock(&ahead->mutex);
    return derived;
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/warm.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "daemon/clock.h"
#include "index/catalogue_warm.h"

#define WARM_NICE 5

struct warm {
    struct store *store;
    pthread_t thread;
    pthread_mutex_t mutex; /* over stop */
    pthread_cond_t ended;
    bool stop;
};

/* The next look is due: true. The end: false. */
static bool wait_for_look(struct warm *warm)
{
    int64_t until_ms = clock_monotonic_ms() + WARM_LOOK_MS;
    bool stop;

    pthread_mutex_lock(&warm->mutex);
    while (!warm->stop && clock_cond_wait(&warm->ended, &warm->mutex, until_ms))
        continue; /* woken for nothing */
    stop = warm->stop;
    pthread_mutex_unlock(&warm->mutex);
    return !stop;
}

static bool stopped(struct warm *warm)
{
    bool stop;

    pthread_mutex_lock(&warm->mutex);
    stop = warm->stop;
    pthread_mutex_unlock(&warm->mutex);
    return stop;
}

/* Of this thread. */
static long faults(void)
{
    struct rusage usage;

    return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_majflt : 0;
}

/* 0: it cannot be read. */
static uint64_t newest(const struct warm *warm)
{
    struct kv kv;
    uint64_t snapshot;

    if (store_read_begin(warm->store, &kv))
        return 0;
    snapshot = store_snapshot(&kv);
    store_read_end(&kv);
    return snapshot;
}

/* In a read transaction of its own: a long one would keep old pages. */
static void step(const struct warm *warm, uint64_t snapshot, struct catalogue_warm *walk)
{
    struct kv kv;
    bool stays = false;

    if (store_read_begin(warm->store, &kv) == TORG_OK) {
        stays = store_snapshot(&kv) == snapshot && catalogue_warm_step(&kv, walk) == TORG_OK;
        store_read_end(&kv);
    }
    if (!stays)
        walk->phase = CATALOGUE_WARM_DONE;
}

static void walk_snapshot(struct warm *warm, uint64_t snapshot)
{
    struct catalogue_warm walk = {0};
    long before = faults();

    while (walk.phase != CATALOGUE_WARM_DONE && !stopped(warm) &&
           faults() - before <= WARM_FAULTS_MAX)
        step(warm, snapshot, &walk);
}

static void *warm_thread(void *context)
{
    struct warm *warm = context;
    uint64_t seen = 0, done = 0;
    int64_t again_ms = 0;

    (void)setpriority(PRIO_PROCESS, 0, WARM_NICE); /* On Linux a thread's own. */
    while (wait_for_look(warm)) {
        uint64_t snapshot = newest(warm);
        int64_t begun_ms = clock_monotonic_ms();

        if (snapshot == seen && snapshot != done && begun_ms >= again_ms) {
            walk_snapshot(warm, snapshot);
            done = snapshot;
            again_ms = begun_ms + (clock_monotonic_ms() - begun_ms) * WARM_FRACTION;
        }
        seen = snapshot;
    }
    return NULL;
}

enum torg_err warm_new(struct store *store, struct warm **ret_warm)
{
    struct warm *warm = calloc(1, sizeof(*warm));

    if (!warm)
        return TORG_E_NOMEM;
    warm->store = store;
    pthread_mutex_init(&warm->mutex, NULL);
    clock_cond_init(&warm->ended);
    if (pthread_create(&warm->thread, NULL, warm_thread, warm) != 0) {
        pthread_cond_destroy(&warm->ended);
        pthread_mutex_destroy(&warm->mutex);
        free(warm);
        return TORG_E_NOMEM;
    }
    *ret_warm = warm;
    return TORG_OK;
}

void warm_free(struct warm *warm)
{
    if (!warm)
        return;
    pthread_mutex_lock(&warm->mutex);
    warm->stop = true;
    pthread_cond_signal(&warm->ended);
    pthread_mutex_unlock(&warm->mutex);
    pthread_join(warm->thread, NULL);
    pthread_cond_destroy(&warm->ended);
    pthread_mutex_destroy(&warm->mutex);
    free(warm);
}

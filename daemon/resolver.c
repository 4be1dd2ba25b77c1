/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/resolver.h"

#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The helper thread may hang in getaddrinfo for as long as a name server is
 * silent, and nothing can wake it. So it is detached, and what it touches is
 * its own: a core that both sides hold, freed by the last of them.
 */
struct question {
    struct config_address address;
    uint32_t number;
    struct question *next;
};

struct core {
    pthread_mutex_t mutex; /* over all here */
    pthread_cond_t wake;
    struct question *first, **last;
    struct resolver *resolver; /* NULL once stopped */
    unsigned holders;
};

struct resolver {
    struct loop *loop;
    resolver_answer *answer;
    void *context;
    struct core *core;
    bool has_thread;
    bool stopped; /* the loop's thread */
};

struct answer {
    struct resolver *resolver;
    uint32_t question;
    struct resolver_address addresses[RESOLVER_ADDRESSES_MAX];
    size_t count;
    const char *why;
};

static void deliver(void *context)
{
    struct answer *answer = context;
    struct resolver *resolver = answer->resolver;

    if (!resolver->stopped)
        resolver->answer(resolver->context, answer->question, answer->addresses, answer->count,
                         answer->why);
    free(answer);
}

static void look_up(const struct config_address *address, int flags, struct answer *answer)
{
    struct addrinfo hints = {.ai_flags = flags | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    char port[8];
    int rc;

    snprintf(port, sizeof(port), "%u", address->port);
    rc = getaddrinfo(address->host, port, &hints, &list);
    if (rc) {
        answer->why = gai_strerror(rc);
        return;
    }
    for (struct addrinfo *at = list; at && answer->count < RESOLVER_ADDRESSES_MAX;
         at = at->ai_next) {
        struct resolver_address *out = &answer->addresses[answer->count];

        if (at->ai_addrlen > sizeof(out->address))
            continue;
        memcpy(&out->address, at->ai_addr, at->ai_addrlen);
        out->size = at->ai_addrlen;
        answer->count++;
    }
    freeaddrinfo(list);
    answer->why = answer->count ? NULL : "the name has no address";
}

static struct answer *answer_new(struct resolver *resolver, uint32_t question)
{
    struct answer *answer = calloc(1, sizeof(*answer));

    if (!answer)
        abort(); /* the question would never be answered; see loop_answer */
    answer->resolver = resolver;
    answer->question = question;
    return answer;
}

/* mutex held; gives it up. */
static void core_release(struct core *core)
{
    bool last = --core->holders == 0;

    while (last && core->first) {
        struct question *question = core->first;

        core->first = question->next;
        free(question);
    }
    pthread_mutex_unlock(&core->mutex);
    if (!last)
        return;
    pthread_cond_destroy(&core->wake);
    pthread_mutex_destroy(&core->mutex);
    free(core);
}

static void *resolver_thread(void *context)
{
    struct core *core = context;

    pthread_mutex_lock(&core->mutex);
    while (core->resolver) {
        struct question *question = core->first;
        struct answer *answer;

        if (!question) {
            pthread_cond_wait(&core->wake, &core->mutex);
            continue;
        }
        core->first = question->next;
        if (!core->first)
            core->last = &core->first;
        answer = answer_new(core->resolver, question->number);
        pthread_mutex_unlock(&core->mutex);
        look_up(&question->address, AI_ADDRCONFIG, answer);
        free(question);
        pthread_mutex_lock(&core->mutex);
        if (core->resolver)
            loop_answer(core->resolver->loop, deliver, answer);
        else
            free(answer);
    }
    core_release(core);
    return NULL;
}

static enum torg_err start_thread(struct resolver *resolver)
{
    pthread_attr_t detached;
    pthread_t thread;
    int rc;

    if (resolver->has_thread)
        return TORG_OK;
    pthread_mutex_lock(&resolver->core->mutex);
    resolver->core->holders++;
    pthread_mutex_unlock(&resolver->core->mutex);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    rc = pthread_create(&thread, &detached, resolver_thread, resolver->core);
    pthread_attr_destroy(&detached);
    if (rc) {
        pthread_mutex_lock(&resolver->core->mutex);
        core_release(resolver->core);
        return TORG_E_NOMEM;
    }
    resolver->has_thread = true;
    return TORG_OK;
}

enum torg_err resolver_new(struct loop *loop, resolver_answer *answer, void *context,
                           struct resolver **ret_resolver)
{
    struct resolver *resolver = calloc(1, sizeof(*resolver));
    struct core *core = calloc(1, sizeof(*core));

    if (!resolver || !core) {
        free(resolver);
        free(core);
        return TORG_E_NOMEM;
    }
    *core = (struct core){.resolver = resolver, .holders = 1, .last = &core->first};
    pthread_mutex_init(&core->mutex, NULL);
    pthread_cond_init(&core->wake, NULL);
    *resolver = (struct resolver){.loop = loop, .answer = answer, .context = context, .core = core};
    *ret_resolver = resolver;
    return TORG_OK;
}

void resolver_stop(struct resolver *resolver)
{
    if (!resolver || resolver->stopped)
        return;
    resolver->stopped = true;
    pthread_mutex_lock(&resolver->core->mutex);
    resolver->core->resolver = NULL;
    pthread_cond_signal(&resolver->core->wake);
    core_release(resolver->core);
    resolver->core = NULL;
}

void resolver_free(struct resolver *resolver)
{
    resolver_stop(resolver);
    free(resolver);
}

void resolver_ask(struct resolver *resolver, const struct config_address *address, uint32_t number)
{
    struct answer *answer = answer_new(resolver, number);
    struct question *question;

    look_up(address, AI_NUMERICHOST, answer);
    if (answer->count) {
        loop_answer(resolver->loop, deliver, answer);
        return;
    }
    question = malloc(sizeof(*question));
    if (!question || start_thread(resolver)) {
        free(question);
        answer->why = torg_err_text(TORG_E_NOMEM);
        loop_answer(resolver->loop, deliver, answer);
        return;
    }
    free(answer);
    *question = (struct question){.address = *address, .number = number};
    pthread_mutex_lock(&resolver->core->mutex);
    *resolver->core->last = question;
    resolver->core->last = &question->next;
    pthread_cond_signal(&resolver->core->wake);
    pthread_mutex_unlock(&resolver->core->mutex);
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_gate.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/*
 * Slots, each either free or one connection. Those that wait for a head stand
 * in a list, the longest waiting first. A ticket is the slot's number and how
 * often the slot was used, so that a late word about a closed connection never
 * reaches the next one in its slot.
 */
#define NONE UINT32_MAX

struct slot {
    uint32_t uses; /* odd while taken */
    uint32_t before, after;
    bool waiting;
    struct http_gate_address address;
    void *worker;
};

struct http_gate {
    pthread_mutex_t mutex;
    uint32_t max, per_address_max;
    uint32_t count;
    uint32_t first, last; /* of those that wait */
    uint32_t free;        /* list of free slots through after */
    struct slot *slots;
};

void http_gate_whole_address(const struct sockaddr *address, uint8_t ret_address[16])
{
    memset(ret_address, 0, 16);
    if (address->sa_family == AF_INET) {
        memcpy(ret_address + 12, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
        ret_address[10] = ret_address[11] = 0xff;
    } else if (address->sa_family == AF_INET6) {
        memcpy(ret_address, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
    }
}

bool http_gate_is_ipv4(const uint8_t address[16])
{
    static const uint8_t before[12] = {[10] = 0xff, [11] = 0xff};

    return memcmp(address, before, sizeof(before)) == 0;
}

struct http_gate_address http_gate_address_of(const struct sockaddr *address)
{
    struct http_gate_address out = {{0}};
    uint8_t whole[16];

    http_gate_whole_address(address, whole);
    memcpy(out.bytes, whole, http_gate_is_ipv4(whole) ? 16 : 8);
    return out;
}

enum torg_err http_gate_new(uint32_t connections_max, uint32_t per_address_max,
                            struct http_gate **ret_gate)
{
    struct http_gate *gate = calloc(1, sizeof(*gate));

    if (!gate)
        return TORG_E_NOMEM;
    gate->slots = calloc(connections_max, sizeof(*gate->slots));
    if (!gate->slots) {
        free(gate);
        return TORG_E_NOMEM;
    }
    for (uint32_t i = 0; i < connections_max; i++)
        gate->slots[i].after = i + 1 < connections_max ? i + 1 : NONE;
    gate->first = gate->last = NONE;
    gate->max = connections_max;
    gate->per_address_max = per_address_max;
    pthread_mutex_init(&gate->mutex, NULL);
    *ret_gate = gate;
    return TORG_OK;
}

void http_gate_free(struct http_gate *gate)
{
    if (!gate)
        return;
    pthread_mutex_destroy(&gate->mutex);
    free(gate->slots);
    free(gate);
}

static uint64_t ticket_of(const struct http_gate *gate, uint32_t slot)
{
    return (uint64_t)gate->slots[slot].uses << 32 | slot;
}

/* NULL when the ticket's connection has left. */
static struct slot *slot_of(struct http_gate *gate, uint64_t ticket)
{
    uint32_t number = (uint32_t)ticket;

    if (number >= gate->max || ticket_of(gate, number) != ticket)
        return NULL;
    return &gate->slots[number];
}

static void wait_begin(struct http_gate *gate, uint32_t number)
{
    struct slot *slot = &gate->slots[number];

    slot->waiting = true;
    slot->before = gate->last;
    slot->after = NONE;
    if (gate->last == NONE)
        gate->first = number;
    else
        gate->slots[gate->last].after = number;
    gate->last = number;
}

static void wait_end(struct http_gate *gate, uint32_t number)
{
    struct slot *slot = &gate->slots[number];

    slot->waiting = false;
    if (slot->before == NONE)
        gate->first = slot->after;
    else
        gate->slots[slot->before].after = slot->after;
    if (slot->after == NONE)
        gate->last = slot->before;
    else
        gate->slots[slot->after].before = slot->before;
}

static void release(struct http_gate *gate, uint32_t number)
{
    struct slot *slot = &gate->slots[number];

    if (slot->waiting)
        wait_end(gate, number);
    slot->uses++;
    slot->after = gate->free;
    gate->free = number;
    gate->count--;
}

static bool same_address(const struct http_gate_address *a, const struct http_gate_address *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static uint32_t count_of(const struct http_gate *gate, const struct http_gate_address *address)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < gate->max; i++)
        count += gate->slots[i].uses % 2 && same_address(&gate->slots[i].address, address);
    return count;
}

/* The longest waiting connection, of one address or (NULL) of all. */
static uint32_t victim(const struct http_gate *gate, const struct http_gate_address *address)
{
    uint32_t i = gate->first;

    while (i != NONE && address && !same_address(&gate->slots[i].address, address))
        i = gate->slots[i].after;
    return i;
}

static void take_slot(struct http_gate *gate, const struct http_gate_address *address, void *worker,
                      uint64_t *ret_ticket)
{
    uint32_t number = gate->free;
    struct slot *slot = &gate->slots[number];

    gate->free = slot->after;
    gate->count++;
    slot->uses++;
    slot->address = address ? *address : (struct http_gate_address){{0}};
    slot->worker = worker;
    wait_begin(gate, number);
    *ret_ticket = ticket_of(gate, number);
}

enum torg_err http_gate_enter(struct http_gate *gate, const struct http_gate_address *address,
                              void *worker, uint64_t *ret_ticket, uint64_t *ret_victim,
                              void **ret_victim_worker)
{
    bool too_many_there = false;
    uint32_t gives_way = NONE;
    enum torg_err err = TORG_OK;

    *ret_victim = 0;
    pthread_mutex_lock(&gate->mutex);
    if (address)
        too_many_there = count_of(gate, address) >= gate->per_address_max;
    if (too_many_there || gate->count == gate->max) {
        gives_way = victim(gate, too_many_there ? address : NULL);
        if (gives_way == NONE)
            err = TORG_E_BUSY;
    }
    if (gives_way != NONE) {
        *ret_victim = ticket_of(gate, gives_way);
        *ret_victim_worker = gate->slots[gives_way].worker;
        release(gate, gives_way);
    }
    if (!err)
        take_slot(gate, address, worker, ret_ticket);
    pthread_mutex_unlock(&gate->mutex);
    return err;
}

void http_gate_waiting(struct http_gate *gate, uint64_t ticket)
{
    struct slot *slot;

    pthread_mutex_lock(&gate->mutex);
    slot = slot_of(gate, ticket);
    if (slot && !slot->waiting)
        wait_begin(gate, (uint32_t)ticket);
    pthread_mutex_unlock(&gate->mutex);
}

void http_gate_busy(struct http_gate *gate, uint64_t ticket)
{
    struct slot *slot;

    pthread_mutex_lock(&gate->mutex);
    slot = slot_of(gate, ticket);
    if (slot && slot->waiting)
        wait_end(gate, (uint32_t)ticket);
    pthread_mutex_unlock(&gate->mutex);
}

void http_gate_leave(struct http_gate *gate, uint64_t ticket)
{
    pthread_mutex_lock(&gate->mutex);
    if (slot_of(gate, ticket))
        release(gate, (uint32_t)ticket);
    pthread_mutex_unlock(&gate->mutex);
}

uint32_t http_gate_count(struct http_gate *gate)
{
    uint32_t count;

    pthread_mutex_lock(&gate->mutex);
    count = gate->count;
    pthread_mutex_unlock(&gate->mutex);
    return count;
}

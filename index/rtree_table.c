/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FILLED_BITS 64 /* of a word that says which chunks are there */

/*
 * Tables stand in a queue, oldest first. A chunk belongs to one table or to
 * several in a row, at the same place in each: so when the oldest goes, what
 * the next has not got at the same place is freed, and nothing is counted.
 */
struct rtree_tables {
    rtree_tables_lock *lock; /* over the queue, the readers and what grows */
    void *context;
    struct rtree_table *first, *last;
    struct rtree_table *current; /* the last one, while it is good for later snapshots */
    struct rtree_table *base;    /* the write transaction's: what it began from */
    struct rtree_table *next;    /* and what it will leave; not in the queue yet */
    bool published;
    _Atomic uint64_t bytes;
};

static void *tables_alloc(struct rtree_tables *tables, size_t size)
{
    void *memory;

    if (atomic_load_explicit(&tables->bytes, memory_order_relaxed) + size > RTREE_TABLE_BYTES_MAX)
        return NULL;
    memory = calloc(1, size);
    if (memory)
        atomic_fetch_add_explicit(&tables->bytes, size, memory_order_relaxed);
    return memory;
}

static void tables_release_memory(struct rtree_tables *tables, void *memory, size_t size)
{
    if (!memory)
        return;
    atomic_fetch_sub_explicit(&tables->bytes, size, memory_order_relaxed);
    free(memory);
}

/* The chunks, and behind them what is filled. */
static size_t filled_at(size_t capacity)
{
    return sizeof(struct rtree_table_space) + capacity * sizeof(struct rtree_table_chunk *);
}

static size_t space_bytes(size_t capacity)
{
    return filled_at(capacity) + (capacity + FILLED_BITS - 1) / FILLED_BITS * sizeof(uint64_t);
}

static struct rtree_table_space *space_new(struct rtree_tables *tables, size_t capacity)
{
    struct rtree_table_space *space = tables_alloc(tables, space_bytes(capacity));

    if (space) {
        space->capacity = capacity;
        space->filled = (uint64_t *)(void *)((uint8_t *)space + filled_at(capacity));
    }
    return space;
}

static void space_put(struct rtree_table_space *space, size_t i, struct rtree_table_chunk *chunk)
{
    space->filled[i / FILLED_BITS] |= UINT64_C(1) << i % FILLED_BITS;
    atomic_store_explicit(&space->chunks[i], chunk, memory_order_release);
}

static struct rtree_table_space *space_of(const struct rtree_table *table, unsigned space)
{
    return atomic_load_explicit(&table->spaces[space], memory_order_acquire);
}

static struct rtree_table_chunk *chunk_of(const struct rtree_table_space *space, size_t i)
{
    if (!space || i >= space->capacity)
        return NULL;
    return atomic_load_explicit(&space->chunks[i], memory_order_acquire);
}

/* A space of at least this capacity with the chunks of another, which may be NULL. */
static struct rtree_table_space *space_copy(struct rtree_tables *tables,
                                            const struct rtree_table_space *from, size_t capacity)
{
    struct rtree_table_space *space;

    if (from && capacity < from->capacity)
        capacity = from->capacity;
    space = space_new(tables, capacity);
    for (size_t i = 0; space && from && i < from->capacity; i++) {
        struct rtree_table_chunk *chunk = chunk_of(from, i);

        if (chunk)
            space_put(space, i, chunk);
    }
    return space;
}

static void space_free(struct rtree_tables *tables, struct rtree_table_space *space)
{
    while (space) {
        struct rtree_table_space *outgrown = space->outgrown;

        tables_release_memory(tables, space, space_bytes(space->capacity));
        space = outgrown;
    }
}

/*
 * Those of one word. A snapshot finds few documents, anywhere in a space with room for all: to walk
 * it would be the longest that readers are kept out after a commit.
 */
static void chunks_free(struct rtree_tables *tables, const struct rtree_table_space *space,
                        size_t word, const struct rtree_table_space *kept)
{
    for (uint64_t left = space->filled[word]; left; left &= left - 1) {
        size_t i = word * FILLED_BITS + (unsigned)__builtin_ctzll(left);
        struct rtree_table_chunk *chunk = chunk_of(space, i);

        if (chunk && chunk != chunk_of(kept, i))
            tables_release_memory(tables, chunk, sizeof(*chunk));
    }
}

/* Free a table with all that heir, which may be NULL, has not got at the same place. */
static void table_free(struct rtree_tables *tables, struct rtree_table *table,
                       const struct rtree_table *heir)
{
    for (unsigned s = 0; s < RTREE_TABLE_SPACES; s++) {
        struct rtree_table_space *space = space_of(table, s);
        const struct rtree_table_space *kept = heir ? space_of(heir, s) : NULL;

        for (size_t word = 0; space && word * FILLED_BITS < space->capacity; word++)
            chunks_free(tables, space, word, kept);
        space_free(tables, space);
    }
    tables_release_memory(tables, table, sizeof(*table));
}

/* ---- the queue ---- */

static struct rtree_table *table_new(struct rtree_tables *tables, uint64_t snapshot)
{
    struct rtree_table *table = tables_alloc(tables, sizeof(*table));

    if (!table)
        return NULL;
    table->owner = tables;
    table->snapshot = snapshot;
    return table;
}

static void queue_trim(struct rtree_tables *tables)
{
    while (tables->first && tables->first != tables->current && tables->first->readers == 0) {
        struct rtree_table *table = tables->first;

        tables->first = table->newer;
        if (!tables->first)
            tables->last = NULL;
        table_free(tables, table, table->newer);
    }
}

static void queue_append(struct rtree_tables *tables, struct rtree_table *table)
{
    if (tables->last)
        tables->last->newer = table;
    else
        tables->first = table;
    tables->last = table;
    tables->current = table;
    queue_trim(tables);
}

struct rtree_tables *rtree_tables_new(rtree_tables_lock *lock, void *context)
{
    struct rtree_tables *tables = calloc(1, sizeof(*tables));

    if (!tables)
        return NULL;
    tables->lock = lock;
    tables->context = context;
    return tables;
}

void rtree_tables_free(struct rtree_tables *tables)
{
    if (!tables)
        return;
    rtree_tables_forget(tables);
    assert(!tables->first);
    free(tables);
}

struct rtree_table *rtree_tables_acquire(struct rtree_tables *tables, uint64_t snapshot)
{
    struct rtree_table *table = tables->current;

    if (tables->published && tables->next->snapshot == snapshot)
        table = tables->next;
    if (!table || table->snapshot != snapshot) {
        /*
         * The first reader, or another process has written. While a write
         * transaction is open here, the queue must stay as it is.
         */
        if (tables->base || (table && table->snapshot > snapshot))
            return NULL;
        table = table_new(tables, snapshot);
        if (!table)
            return NULL;
        queue_append(tables, table);
    }
    table->readers++;
    return table;
}

void rtree_tables_release(struct rtree_tables *tables, struct rtree_table *table)
{
    if (!table)
        return;
    assert(table->readers > 0);
    table->readers--;
    queue_trim(tables);
}

/* ---- filling ---- */

/*
 * May the space grow? Asked before the mutex is taken, for where a store has more
 * documents than there is room for, this is the way of each that is not known.
 */
static bool table_has_room(const struct rtree_tables *tables, unsigned s)
{
    return s < RTREE_TABLE_FLEETING || rtree_tables_bytes(tables) <= RTREE_TABLE_BYTES_MAX / 2;
}

/* The chunk for a number, made if need be. Locked. */
static struct rtree_table_chunk *table_grow(struct rtree_table *table, unsigned s, size_t i)
{
    struct rtree_tables *tables = table->owner;
    struct rtree_table_space *space = space_of(table, s);
    struct rtree_table_chunk *chunk = chunk_of(space, i);

    if (chunk)
        return chunk;
    if (!space || i >= space->capacity) {
        struct rtree_table_space *grown = space_copy(tables, space, 2 * i + 8);

        if (!grown)
            return NULL;
        grown->outgrown = space;
        atomic_store_explicit(&table->spaces[s], grown, memory_order_release);
        space = grown;
    }
    chunk = tables_alloc(tables, sizeof(*chunk));
    if (chunk)
        space_put(space, i, chunk);
    return chunk;
}

/*
 * A table that is no longer the newest grows no more: its chunks must stand in
 * the order of the queue. Its readers are soon gone.
 */
static void table_keep(struct rtree_table *table, uint8_t s, uint32_t number, uint64_t word)
{
    struct rtree_tables *tables = table->owner;
    size_t i = number / RTREE_TABLE_CHUNK;
    struct rtree_table_chunk *chunk;

    if (s >= RTREE_TABLE_SPACES)
        return;
    chunk = chunk_of(space_of(table, s), i);
    if (!chunk && table_has_room(tables, s)) {
        tables->lock(tables->context, true);
        if (table == tables->current && !tables->published)
            chunk = table_grow(table, s, i);
        tables->lock(tables->context, false);
    }
    if (chunk)
        atomic_store_explicit(&chunk->at[number % RTREE_TABLE_CHUNK], word, memory_order_release);
}

void rtree_table_keep(struct rtree_table *table, uint8_t s, uint32_t number, const uint8_t *bytes)
{
    uint64_t address = (uintptr_t)bytes;

    if (address <= RTREE_TABLE_ADDRESS_MASK)
        table_keep(table, s, number, address);
}

void rtree_table_keep_value(struct rtree_table *table, uint8_t s, uint32_t number,
                            struct span value)
{
    uint64_t address = (uintptr_t)value.data;

    if (address <= RTREE_TABLE_ADDRESS_MASK && value.size > 0 &&
        value.size <= RTREE_TABLE_VALUE_BYTES_MAX)
        table_keep(table, s, number, address | (uint64_t)value.size << RTREE_TABLE_ADDRESS_BITS);
}

/* ---- the writer ---- */

void rtree_tables_begin(struct rtree_tables *tables, uint64_t snapshot)
{
    assert(!tables->base && !tables->next);
    if (!tables->current || tables->current->snapshot != snapshot) {
        struct rtree_table *table = table_new(tables, snapshot);

        if (!table)
            return; /* Nothing to go on from: the next reader begins anew. */
        queue_append(tables, table);
    }
    tables->base = tables->current;
}

/*
 * The table after the base, made when it is first needed. What readers add to
 * the base later stays the base's.
 */
static struct rtree_table *tables_next(struct rtree_tables *tables)
{
    if (tables->next || !tables->base)
        return tables->next;
    tables->next = table_new(tables, 0);
    for (unsigned s = 0; tables->next && s < RTREE_TABLE_FLEETING; s++) {
        const struct rtree_table_space *space = space_of(tables->base, s);

        /* Without memory for it all of the space is unknown: as good, only slower. */
        if (space)
            atomic_init(&tables->next->spaces[s], space_copy(tables, space, 0));
    }
    return tables->next;
}

void rtree_tables_note(struct rtree_tables *tables, struct span key)
{
    struct rtree_table *next;
    struct rtree_table_space *space;
    struct rtree_table_chunk *chunk, *copy;
    uint32_t number;

    if (key.size != 5 || key.data[0] >= RTREE_TABLE_FLEETING)
        return;
    number = get_u32be(key.data + 1);
    next = tables_next(tables);
    space = next ? space_of(next, key.data[0]) : NULL;
    chunk = chunk_of(space, number / RTREE_TABLE_CHUNK);
    if (!chunk)
        return;
    if (chunk == chunk_of(space_of(tables->base, key.data[0]), number / RTREE_TABLE_CHUNK)) {
        copy = tables_alloc(tables, sizeof(*copy));
        for (unsigned i = 0; copy && i < RTREE_TABLE_CHUNK; i++)
            atomic_init(&copy->at[i], atomic_load_explicit(&chunk->at[i], memory_order_acquire));
        /* Without a copy the whole chunk is unknown. */
        atomic_store_explicit(&space->chunks[number / RTREE_TABLE_CHUNK], copy,
                              memory_order_release);
        chunk = copy;
    }
    if (chunk)
        atomic_store_explicit(&chunk->at[number % RTREE_TABLE_CHUNK], 0, memory_order_release);
}

void rtree_tables_publish(struct rtree_tables *tables, uint64_t snapshot)
{
    struct rtree_table *next = tables_next(tables);

    if (!next)
        return;
    next->snapshot = snapshot;
    tables->published = true;
}

void rtree_tables_end(struct rtree_tables *tables, bool committed)
{
    struct rtree_table *base = tables->base, *next = tables->next;

    tables->base = tables->next = NULL;
    tables->published = false;
    if (next && (committed || next->readers > 0)) {
        /*
         * A failed commit that was seen by readers leaves its table to them; no
         * later snapshot may go on from it, for its number may come again.
         */
        assert(base == tables->last);
        queue_append(tables, next);
        if (!committed)
            tables->current = NULL;
    } else if (next) {
        table_free(tables, next, base);
        if (committed)
            tables->current = NULL;
    } else if (committed) {
        tables->current = NULL;
    }
    queue_trim(tables);
}

void rtree_tables_forget(struct rtree_tables *tables)
{
    assert(!tables->base && !tables->next);
    tables->current = NULL;
    queue_trim(tables);
}

uint64_t rtree_tables_bytes(const struct rtree_tables *tables)
{
    return atomic_load_explicit(&tables->bytes, memory_order_relaxed);
}

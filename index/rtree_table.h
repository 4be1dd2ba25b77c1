/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_RTREE_TABLE_H
#define TORG_INDEX_RTREE_TABLE_H

#include <stdatomic.h>

#include "protocol/bytes.h"
#include "protocol/theme.h"

/*
 * Where the nodes of the R-trees lie in the map, remembered: a walk then pays a
 * load for a node, not a search through LMDB's pages, and a node's soundness is
 * checked once, when its address is noted, not at each visit. In the same way,
 * where documents and combinations of themes lie.
 *
 * Why that is right. A node's value fills an overflow page, which LMDB never
 * moves: only a put or a delete of that very key ends it, and the page stays as
 * it is for as long as a snapshot is read in which it counts. So an address
 * found in one snapshot holds in every later one until its key is written.
 *
 * There is one table for each snapshot that is read or is the newest. Readers
 * of a snapshot share its table and fill it as they go. A write transaction
 * notes the keys that it writes; its table is the one before it without these,
 * sharing all chunks in which nothing was written. Readers never wait for the
 * writer and the writer never for them: the mutex is held for a few pointers.
 * Whatever there is no memory for, or no room within RTREE_TABLE_BYTES_MAX, is
 * not remembered, and is looked up in LMDB each time. docs/index.md.
 *
 * Small values share LMDB's pages with others and move when one of these is
 * written. Their addresses hold in the snapshot in which they were found and in
 * no other: the spaces from RTREE_TABLE_FLEETING on begin empty in each, and get
 * half of the room at most, so that nodes keep theirs.
 */
#define RTREE_TABLE_BYTES_MAX (UINT64_C(64) << 20)
#define RTREE_TABLE_CHUNK 128
#define RTREE_TABLE_SPACES 128 /* first bytes of keys; those above are records of items */
#define RTREE_TABLE_FLEETING 126
#define RTREE_TABLE_THEMES 126    /* combinations of them, by number: 32 bytes in KV_THEME */
#define RTREE_TABLE_DOCUMENTS 127 /* values in KV_DOCUMENT, by number */

/* A word: the address in the lower bits, what is told of the size above. 0: not known. */
#define RTREE_TABLE_ADDRESS_BITS 48
#define RTREE_TABLE_ADDRESS_MASK ((UINT64_C(1) << RTREE_TABLE_ADDRESS_BITS) - 1)
#define RTREE_TABLE_VALUE_BYTES_MAX 65535

struct rtree_table_chunk {
    _Atomic uint64_t at[RTREE_TABLE_CHUNK];
};

/* The chunks of one collection. */
struct rtree_table_space {
    struct rtree_table_space *outgrown; /* smaller ones that a reader may still look at */
    uint64_t *filled; /* behind the chunks, locked: a bit for each that may be there */
    size_t capacity;
    _Atomic(struct rtree_table_chunk *) chunks[];
};

struct rtree_tables; /* of a store: all its tables */

struct rtree_table {
    struct rtree_tables *owner;
    struct rtree_table *newer;
    uint64_t snapshot;
    uint32_t readers; /* under the mutex */
    _Atomic(struct rtree_table_space *) spaces[RTREE_TABLE_SPACES];
};

/* Where the word of a number stands; NULL if there is none. */
static inline const _Atomic uint64_t *rtree_table_place(const struct rtree_table *table,
                                                        uint8_t space, uint32_t number)
{
    struct rtree_table_space *chunks;
    struct rtree_table_chunk *chunk;

    if (space >= RTREE_TABLE_SPACES)
        return NULL;
    chunks = atomic_load_explicit(&table->spaces[space], memory_order_acquire);
    if (!chunks || number / RTREE_TABLE_CHUNK >= chunks->capacity)
        return NULL;
    chunk = atomic_load_explicit(&chunks->chunks[number / RTREE_TABLE_CHUNK], memory_order_acquire);
    return chunk ? &chunk->at[number % RTREE_TABLE_CHUNK] : NULL;
}

static inline uint64_t rtree_table_word(const struct rtree_table *table, uint8_t space,
                                        uint32_t number)
{
    const _Atomic uint64_t *place = rtree_table_place(table, space, number);

    return place ? atomic_load_explicit(place, memory_order_acquire) : 0;
}

/* It will be asked for soon: have it loaded meanwhile. */
static inline void rtree_table_expect(const struct rtree_table *table, uint8_t space,
                                      uint32_t number)
{
    __builtin_prefetch((const void *)(uintptr_t)rtree_table_place(table, space, number));
}

/* The address of a node that was checked, or NULL. Any reader of table's snapshot. */
static inline const uint8_t *rtree_table_find(const struct rtree_table *table, uint8_t space,
                                              uint32_t number)
{
    uint64_t word = rtree_table_word(table, space, number);

    return (const uint8_t *)(uintptr_t)(word & RTREE_TABLE_ADDRESS_MASK);
}

/* What rtree_table_keep_value was told, or nothing. Any reader of table's snapshot. */
static inline struct span rtree_table_value(const struct rtree_table *table, uint8_t space,
                                            uint32_t number)
{
    uint64_t word = rtree_table_word(table, space, number);

    return span_of((const uint8_t *)(uintptr_t)(word & RTREE_TABLE_ADDRESS_MASK),
                   (size_t)(word >> RTREE_TABLE_ADDRESS_BITS));
}

/*
 * Remember a value that table's snapshot has under this number. The caller has
 * checked it, and it fills an overflow page of its own unless the space is a
 * fleeting one. Any reader of the snapshot; without memory it is forgotten.
 */
void rtree_table_keep(struct rtree_table *table, uint8_t space, uint32_t number,
                      const uint8_t *bytes);
/* With its size. One above RTREE_TABLE_VALUE_BYTES_MAX is forgotten, an empty one too. */
void rtree_table_keep_value(struct rtree_table *table, uint8_t space, uint32_t number,
                            struct span value);

/* ---- for index/store.c ---- */

/*
 * lock is the caller's: it takes a mutex, or lets it go. The caller holds it
 * where "locked" is said here; keep takes it itself. NULL: no memory.
 */
typedef void rtree_tables_lock(void *context, bool take);
struct rtree_tables *rtree_tables_new(rtree_tables_lock *lock, void *context);
/* No table may be in use. NULL is accepted. */
void rtree_tables_free(struct rtree_tables *tables);

/* Locked. The table of a snapshot that a read transaction has begun on; NULL: none for it. */
struct rtree_table *rtree_tables_acquire(struct rtree_tables *tables, uint64_t snapshot);
/* Locked. NULL is accepted. */
void rtree_tables_release(struct rtree_tables *tables, struct rtree_table *table);

/*
 * A write transaction, from its one thread: begin on the snapshot that it
 * changes; note every key written or deleted in KV_RTREE; publish, locked, under
 * the snapshot that the commit will make, before the commit, for readers may
 * begin on it before the commit returns; end, locked, with whether it was made.
 * An aborted transaction ends without publishing.
 */
void rtree_tables_begin(struct rtree_tables *tables, uint64_t snapshot); /* locked */
void rtree_tables_note(struct rtree_tables *tables, struct span key);
void rtree_tables_publish(struct rtree_tables *tables, uint64_t snapshot); /* locked */
void rtree_tables_end(struct rtree_tables *tables, bool committed);        /* locked */

/* Locked, without readers and writer: addresses do not hold any more. */
void rtree_tables_forget(struct rtree_tables *tables);

/* Bytes of all tables now. Locked. */
uint64_t rtree_tables_bytes(const struct rtree_tables *tables);

#endif

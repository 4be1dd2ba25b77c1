/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/store_room.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#define HUGE_BYTES ((uintptr_t)2 << 20)
/*
 * glibc's malloc keeps at most 64 MiB of a thread together, and can be told to do
 * so with blocks of up to 32 MiB; larger ones are the system's again when they are freed.
 */
#define ROOM_BLOCKS 2
#define ROOM_BLOCK_BYTES ((size_t)28 << 20)
#define ROOM_BLOCK_BYTES_MAX (32 << 20)
#define ROOM_KEPT_BYTES (64 << 20)

void store_room_keep(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, ROOM_BLOCK_BYTES_MAX);
    (void)mallopt(M_TRIM_THRESHOLD, ROOM_KEPT_BYTES);
}

/* A wish: without it, it is only slower. */
static void wish_huge(void *block, size_t size)
{
    uintptr_t from = ((uintptr_t)block + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1);
    uintptr_t to = ((uintptr_t)block + size) & ~(HUGE_BYTES - 1);

    (void)madvise((void *)from, to - from, MADV_HUGEPAGE);
}

void store_room_make(void)
{
    void *blocks[ROOM_BLOCKS];

    /* Both at once, so that they lie side by side, and are one when both are free. */
    for (int i = 0; i < ROOM_BLOCKS; i++) {
        blocks[i] = malloc(ROOM_BLOCK_BYTES);
        if (blocks[i])
            wish_huge(blocks[i], ROOM_BLOCK_BYTES);
    }
    for (int i = 0; i < ROOM_BLOCKS; i++)
        free(blocks[i]);
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/store_room.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#define HUGE_BYTES ((uintptr_t)2 << 20)
/*
 * glibc gives a thread its memory in heaps of 64 MiB. It can be told to cut blocks of
 * less than 32 MiB from them instead of asking the system for each, and to keep heaps
 * that are free: it drops one only when the heap before it has less room than the top pad.
 */
#define ROOM_HEAP_BYTES ((size_t)64 << 20)
#define ROOM_HEAPS_MAX (STORE_ROOM_BYTES_MAX / ROOM_HEAP_BYTES)
#define ROOM_BLOCK_BYTES_MAX (32 << 20)
#define ROOM_BLOCK_BYTES (ROOM_BLOCK_BYTES_MAX - ((size_t)64 << 10)) /* two fill a heap */

void store_room_keep(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, ROOM_BLOCK_BYTES_MAX);
    (void)mallopt(M_TRIM_THRESHOLD, (int)ROOM_HEAP_BYTES);
    (void)mallopt(M_TOP_PAD, (int)ROOM_HEAP_BYTES);
}

/* A wish: without it, it is only slower. To the edges of the heap, which are edges of huge pages.
 */
static void wish_huge(uintptr_t from, uintptr_t to)
{
    from &= ~(HUGE_BYTES - 1);
    to = (to + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1);
    (void)madvise((void *)from, to - from, MADV_HUGEPAGE);
}

void store_room_make(size_t bytes)
{
    char *blocks[2 * ROOM_HEAPS_MAX];
    size_t count;

    if (bytes > STORE_ROOM_BYTES_MAX)
        bytes = STORE_ROOM_BYTES_MAX;
    count = 2 * ((bytes + ROOM_HEAP_BYTES - 1) / ROOM_HEAP_BYTES);
    /* All at once, so that the two of a heap lie side by side, and are one when both are free. */
    for (size_t i = 0; i < count; i++)
        blocks[i] = malloc(ROOM_BLOCK_BYTES);
    for (size_t i = 0; i < count; i += 2) {
        uintptr_t first = (uintptr_t)blocks[i], second = (uintptr_t)blocks[i + 1];

        if (first && second > first && second - first < 2 * ROOM_BLOCK_BYTES)
            wish_huge(first, second + ROOM_BLOCK_BYTES);
    }
    for (size_t i = 0; i < count; i++)
        free(blocks[i]);
}

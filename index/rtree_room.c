/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_room.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#define HUGE_BYTES ((size_t)2 << 20)
#define ROOM_LARGE (2 * HUGE_BYTES)

void *rtree_room(size_t count, size_t size)
{
    size_t bytes;
    void *room;

    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX - HUGE_BYTES)
        return NULL;
    if (bytes < ROOM_LARGE)
        return malloc(bytes ? bytes : 1);
    bytes = (bytes + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1);
    room = aligned_alloc(HUGE_BYTES, bytes);
#ifdef MADV_HUGEPAGE
    if (room)
        (void)madvise(room, bytes, MADV_HUGEPAGE); /* A wish: without it, it is only slower. */
#endif
    return room;
}

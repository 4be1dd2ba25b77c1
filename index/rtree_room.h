/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_RTREE_ROOM_H
#define TORG_INDEX_RTREE_ROOM_H

#include <stddef.h>

/*
 * Memory for the arrays of a bulk load and for what it is given, which are large,
 * written from end to end and read at random: from a few megabytes on in huge
 * pages, if the system gives any, which spares most of the page faults and of the
 * searches for addresses. Not zeroed. To be freed with free(). NULL: no memory.
 */
void *rtree_room(size_t count, size_t size);

#endif

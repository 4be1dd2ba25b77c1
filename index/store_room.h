/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_STORE_ROOM_H
#define TORG_INDEX_STORE_ROOM_H

#include <stddef.h>

/*
 * Memory for the pages that write transactions change. LMDB takes each from
 * malloc, one by one, and keeps it for the next transaction; glibc gives a
 * thread that is not the process's first its memory page by page, too, with a
 * system call and a page fault for each, which under some hypervisors take
 * longer than all that is then done to the page.
 */

/* Of the whole process, before it has threads: what is freed is kept for what comes. */
void store_room_keep(void);
/*
 * By the thread that is to write, before it does: it gets room for pages of so
 * many bytes at once, in huge ones where the system gives some. What is not used is
 * not touched, so it costs addresses only. Rounded up to 64 MiB; at most
 * STORE_ROOM_BYTES_MAX. Without store_room_keep it has no effect.
 */
#define STORE_ROOM_BYTES_MAX ((size_t)512 << 20) /* more pages LMDB writes before the commit */
void store_room_make(size_t bytes);

#endif

/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_MEMORY_H
#define TORG_DAEMON_MEMORY_H

#include <stdint.h>

/*
 * Bytes of memory that this process may have: the machine's, or what the control group that it
 * stands in, or one above that, is held to (memory.max and memory.high of control groups version
 * 2; MemoryMax= and MemoryHigh= of systemd).
 */
uint64_t memory_bytes(void);

/*
 * The smallest limit of the control group that the file membership names (/proc/self/cgroup), and
 * of those above it, below root (/sys/fs/cgroup). UINT64_MAX: none, or it cannot be read.
 */
uint64_t memory_group_limit(const char *root, const char *membership);

/*
 * How much of so many bytes is for the pages of one commit, where the configuration does not say.
 */
#define MEMORY_COMMIT_FRACTION 8
#define MEMORY_COMMIT_BYTES_MIN (UINT64_C(128) << 20)
#define MEMORY_COMMIT_BYTES_MAX (UINT64_C(512) << 20) /* with more LMDB would write pages early */
uint64_t memory_for_commits(uint64_t bytes);

#endif

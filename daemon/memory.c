/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/memory.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES_MAX 4096

/* "max", or a number of bytes. */
static uint64_t limit_read(const char *root, const char *group, const char *name)
{
    char path[PATH_BYTES_MAX];
    uint64_t limit = UINT64_MAX;
    FILE *file;
    int size = snprintf(path, sizeof(path), "%s%s/%s", root, group, name);

    if (size < 0 || (size_t)size >= sizeof(path))
        return UINT64_MAX;
    file = fopen(path, "re");
    if (!file)
        return UINT64_MAX; /* the uppermost has no such file */
    if (fscanf(file, "%" SCNu64, &limit) != 1)
        limit = UINT64_MAX;
    fclose(file);
    return limit;
}

/* The line of version 2 is "0::/system.slice/torgd.service". */
static bool group_read(const char *membership, char group[PATH_BYTES_MAX])
{
    FILE *file = fopen(membership, "re");
    bool found = false;

    if (!file)
        return false;
    while (!found && fgets(group, PATH_BYTES_MAX, file)) {
        found = strncmp(group, "0::/", 4) == 0;
        group[strcspn(group, "\n")] = 0;
    }
    fclose(file);
    if (found)
        memmove(group, group + 3, strlen(group + 3) + 1);
    return found;
}

uint64_t memory_group_limit(const char *root, const char *membership)
{
    static const char *const names[] = {"memory.max", "memory.high"};
    uint64_t smallest = UINT64_MAX;
    char group[PATH_BYTES_MAX];
    char *end;

    if (!group_read(membership, group))
        return UINT64_MAX;
    do {
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            uint64_t limit = limit_read(root, group, names[i]);

            if (limit < smallest)
                smallest = limit;
        }
        end = strrchr(group, '/');
        if (end)
            *end = 0; /* the one above; "" is the uppermost */
    } while (end);
    return smallest;
}

uint64_t memory_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    uint64_t limit = memory_group_limit("/sys/fs/cgroup", "/proc/self/cgroup");
    uint64_t machine = pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes : 0;

    return limit < machine ? limit : machine;
}

uint64_t memory_for_commits(uint64_t bytes)
{
    uint64_t part = bytes / MEMORY_COMMIT_FRACTION;

    if (part < MEMORY_COMMIT_BYTES_MIN)
        return MEMORY_COMMIT_BYTES_MIN;
    return part < MEMORY_COMMIT_BYTES_MAX ? part : MEMORY_COMMIT_BYTES_MAX;
}

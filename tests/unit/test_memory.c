/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/test.h"

#define MIB (UINT64_C(1) << 20)

/* ---- a tree of control groups: the uppermost, a slice and a service in it ---- */

struct groups {
    char root[64];
    char membership[96];
};

static const char *const group_names[] = {"", "/a.slice", "/a.slice/torgd.service"};
static const char *const limit_names[] = {"memory.max", "memory.high"};

static void groups_init(struct groups *groups)
{
    char path[160];

    snprintf(groups->root, sizeof(groups->root), "/tmp/torg-test-memory.XXXXXX");
    assert_non_null(mkdtemp(groups->root));
    snprintf(groups->membership, sizeof(groups->membership), "%s/membership", groups->root);
    for (size_t i = 1; i < ARRAY_SIZE(group_names); i++) {
        snprintf(path, sizeof(path), "%s%s", groups->root, group_names[i]);
        assert_int_equal(mkdir(path, 0700), 0);
    }
}

static void groups_done(const struct groups *groups)
{
    char path[160];

    unlink(groups->membership);
    for (size_t i = ARRAY_SIZE(group_names); i-- > 0;) {
        for (size_t j = 0; j < ARRAY_SIZE(limit_names); j++) {
            snprintf(path, sizeof(path), "%s%s/%s", groups->root, group_names[i], limit_names[j]);
            unlink(path);
        }
        snprintf(path, sizeof(path), "%s%s", groups->root, group_names[i]);
        assert_int_equal(rmdir(path), 0);
    }
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void groups_limit(const struct groups *groups, size_t group, const char *name,
                         const char *text)
{
    char path[160];

    snprintf(path, sizeof(path), "%s%s/%s", groups->root, group_names[group], name);
    write_text(path, text);
}

static uint64_t groups_ask(const struct groups *groups)
{
    return memory_group_limit(groups->root, groups->membership);
}

/* Seen too late, a limit above the service is a torgd that the system kills while it catches up. */
static void test_the_smallest_limit_counts(void **state)
{
    struct groups groups;

    (void)state;
    groups_init(&groups);
    assert_true(groups_ask(&groups) == UINT64_MAX); /* no control groups here */
    write_text(groups.membership, "12:memory:/b\n0::/a.slice/torgd.service\n");
    assert_true(groups_ask(&groups) == UINT64_MAX);
    groups_limit(&groups, 2, "memory.max", "max\n");
    assert_true(groups_ask(&groups) == UINT64_MAX);
    groups_limit(&groups, 2, "memory.max", "3000000\n");
    assert_int_equal(groups_ask(&groups), 3000000);
    groups_limit(&groups, 2, "memory.high", "2500000\n");
    assert_int_equal(groups_ask(&groups), 2500000);
    groups_limit(&groups, 1, "memory.max", "2000000\n");
    assert_int_equal(groups_ask(&groups), 2000000);
    groups_limit(&groups, 0, "memory.max", "1000000\n"); /* as in a container */
    assert_int_equal(groups_ask(&groups), 1000000);
    write_text(groups.membership, "0::/\n");
    assert_int_equal(groups_ask(&groups), 1000000);
    write_text(groups.membership, "12:memory:/a.slice\n");
    assert_true(groups_ask(&groups) == UINT64_MAX); /* version 1 */
    groups_done(&groups);
}

static void test_an_eighth_is_for_commits(void **state)
{
    (void)state;
    assert_int_equal(memory_for_commits(0), 128 * MIB);
    assert_int_equal(memory_for_commits(1024 * MIB), 128 * MIB);
    assert_int_equal(memory_for_commits(2048 * MIB), 256 * MIB);
    assert_int_equal(memory_for_commits(4096 * MIB), 512 * MIB);
    assert_int_equal(memory_for_commits(24576 * MIB), 512 * MIB);
    assert_true(memory_bytes() >= 16 * MIB);
    assert_true(memory_bytes() <= (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)getpagesize());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_smallest_limit_counts),
        cmocka_unit_test(test_an_eighth_is_for_commits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

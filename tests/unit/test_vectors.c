/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/test.h"

#define DOCUMENT TORG_SOURCE_ROOT "/docs/format-log.md"
#define VECTORS TORG_SOURCE_ROOT "/tests/vectors/format.txt"
#define VECTORS_MAX 100
#define LINE_BYTES_MAX 8192

struct vectors {
    size_t count;
    char *lines[VECTORS_MAX];
};

/* "name = hex", with nothing else on the line. */
static bool is_vector(const char *line)
{
    size_t name = strspn(line, "abcdefghijklmnopqrstuvwxyz0123456789-");
    size_t hex;

    if (name == 0 || strncmp(line + name, " = ", 3) != 0)
        return false;
    hex = strspn(line + name + 3, "0123456789abcdef");
    return hex != 0 && hex % 2 == 0 && line[name + 3 + hex] == '\0';
}

static void vectors_of(const char *path, struct vectors *ret_vectors)
{
    FILE *file = fopen(path, "r");
    char line[LINE_BYTES_MAX];

    *ret_vectors = (struct vectors){0};
    if (!file) {
        fail_msg("cannot read %s", path);
        return;
    }
    while (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (!is_vector(line))
            continue;
        assert_true(ret_vectors->count < VECTORS_MAX);
        ret_vectors->lines[ret_vectors->count] = strdup(line);
        assert_non_null(ret_vectors->lines[ret_vectors->count++]);
    }
    fclose(file);
}

static void vectors_done(struct vectors *vectors)
{
    for (size_t i = 0; i < vectors->count; i++)
        free(vectors->lines[i]);
}

static size_t times_in(const struct vectors *vectors, const char *line, size_t size)
{
    size_t times = 0;

    for (size_t i = 0; i < vectors->count; i++)
        times += strncmp(vectors->lines[i], line, size) == 0;
    return times;
}

/*
 * Others build their programs from the document. If its bytes were not the
 * ones that are tested here, they would find out from a stranger's refusal.
 */
static void test_document_and_tests_have_the_same_vectors(void **state)
{
    struct vectors documented;
    struct vectors tested;

    (void)state;
    vectors_of(DOCUMENT, &documented);
    vectors_of(VECTORS, &tested);
    assert_true(tested.count > 20);
    for (size_t i = 0; i < tested.count; i++) {
        const char *line = tested.lines[i];

        if (times_in(&documented, line, strlen(line) + 1) != 1)
            fail_msg("not in the document: %s", line);
        if (times_in(&tested, line, strcspn(line, "=")) != 1)
            fail_msg("two vectors of one name: %s", line);
    }
    for (size_t i = 0; i < documented.count; i++) {
        if (times_in(&tested, documented.lines[i], strlen(documented.lines[i]) + 1) != 1)
            fail_msg("not tested: %s", documented.lines[i]);
    }
    vectors_done(&documented);
    vectors_done(&tested);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_document_and_tests_have_the_same_vectors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/keyfile.h"

static char directory[64], path[96], message[KEYFILE_MESSAGE_BYTES_MAX];

static void put_file(const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static enum torg_err read_key(struct public_key *ret_public)
{
    struct secret_key secret;

    message[0] = 0;
    return keyfile_read(directory, KEYFILE_NODE, &secret, ret_public, message);
}

/* A key that comes back different has lost the node its identity. */
static void test_what_is_written_is_read(void **state)
{
    struct public_key want, got;
    struct secret_key secret;
    uint8_t seed[32];
    struct stat status;

    (void)state;
    memset(seed, 0xa5, sizeof(seed));
    seal_key_of_seed(seed, &secret, &want);
    assert_ok(keyfile_write(directory, KEYFILE_NODE, "node key of a test", seed, message));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_ok(read_key(&got));
    assert_memory_equal(&got, &want, sizeof(got));
    /* Never overwritten: the old key may be the only copy. */
    seed[0] = 0;
    assert_err(keyfile_write(directory, KEYFILE_NODE, "again", seed, message), TORG_E_KNOWN);
    assert_non_null(strstr(message, "node.key: is there already"));
    assert_ok(read_key(&got));
    assert_memory_equal(&got, &want, sizeof(got));
}

static void test_refused_when_others_may_read(void **state)
{
    static const mode_t modes[] = {0640, 0604, 0610, 0666, 0601};
    struct public_key public;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_err(read_key(&public), TORG_E_CONFIG);
        assert_non_null(strstr(message, "run: chmod 600"));
    }
    assert_int_equal(chmod(path, 0400), 0);
    assert_ok(read_key(&public));
    assert_int_equal(chmod(path, 0600), 0);
}

static void test_text_that_is_no_key(void **state)
{
#define HEX62 "00112233445566778899aabbccddeeff00112233445566778899aabbccddee"
    static const char *const texts[] = {
        "",           "# only a comment\n", "# comment without an end", HEX62 "\n", HEX62 "ff00\n",
        HEX62 "fg\n", HEX62 "ff\nmore\n",   "key = " HEX62 "ff\n",
    };
    struct public_key public;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        put_file(texts[i]);
        if (read_key(&public) != TORG_E_INVALID)
            fail_msg("taken for a key: %s", texts[i]);
        assert_non_null(strstr(message, "accepted:"));
    }
    put_file("# a\n# b\n\n" HEX62 "FF \r\n\n");
    assert_ok(read_key(&public));
}

static void test_missing(void **state)
{
    struct public_key public;
    struct secret_key secret;

    (void)state;
    assert_err(keyfile_read("/nonexistent", KEYFILE_NODE, &secret, &public, message),
               TORG_E_NOT_FOUND);
    assert_non_null(strstr(message, "torg init"));
    assert_err(keyfile_read("/", "tmp", &secret, &public, message), TORG_E_CONFIG);
}

static int setup(void **state)
{
    (void)state;
    snprintf(directory, sizeof(directory), "/tmp/torg-test-key.XXXXXX");
    if (!mkdtemp(directory) || seal_init())
        return -1;
    snprintf(path, sizeof(path), "%s/%s", directory, KEYFILE_NODE);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_refused_when_others_may_read),
        cmocka_unit_test(test_text_that_is_no_key),
        cmocka_unit_test(test_missing),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

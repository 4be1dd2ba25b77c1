/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/guard.h"

static char directory[64], path[96];
static const struct origin_id own = {{7}};

static struct guard_mark mark_of(uint64_t epoch, uint64_t hno)
{
    struct guard_mark mark = {.origin = own, .epoch = epoch, .hno = hno};

    memset(mark.head_hash.bytes, (int)hno, sizeof(mark.head_hash.bytes));
    return mark;
}

static void write_marks(uint64_t first, uint64_t last)
{
    struct guard guard;

    unlink(path);
    assert_ok(guard_open(directory, &own, &guard));
    assert_false(guard.has_mark);
    for (uint64_t hno = first; hno <= last; hno++) {
        struct guard_mark mark = mark_of(1, hno);

        assert_ok(guard_write(&guard, &mark));
    }
    guard_done(&guard);
}

/* What a start would read. */
static bool read_mark(struct guard_mark *ret_mark)
{
    struct guard guard;
    bool has_mark;

    assert_ok(guard_open(directory, &own, &guard));
    has_mark = guard.has_mark;
    if (has_mark)
        *ret_mark = guard.mark;
    guard_done(&guard);
    return has_mark;
}

static void flip_byte(off_t at)
{
    int fd = open(path, O_RDWR);
    uint8_t byte;

    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x40;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

/* An older mark than the last one written would let a number be signed twice. */
static void test_newest_mark_is_found(void **state)
{
    (void)state;
    for (uint64_t last = 1; last <= 5; last++) {
        struct guard_mark mark = {0}, want = mark_of(1, last);

        write_marks(1, last);
        assert_true(read_mark(&mark));
        assert_memory_equal(&mark, &want, sizeof(mark));
    }
}

static void test_a_new_epoch_is_newer_than_any_number(void **state)
{
    struct guard guard;
    struct guard_mark old = mark_of(1, 900), new = mark_of(2, 1), mark = {0};

    (void)state;
    unlink(path);
    assert_ok(guard_open(directory, &own, &guard));
    assert_ok(guard_write(&guard, &old));
    assert_ok(guard_write(&guard, &new));
    guard_done(&guard);
    assert_true(read_mark(&mark));
    assert_int_equal(mark.epoch, 2);
}

/* A power cut while a slot is written leaves the one before, whichever byte it hit. */
static void test_every_damaged_byte_of_the_newest_slot_falls_back(void **state)
{
    (void)state;
    for (off_t at = 0; at < 128; at++) {
        struct guard_mark mark = {0};

        write_marks(1, 4); /* 3 and 4 stand in slots 0 and 1 */
        flip_byte(GUARD_SLOT_DISTANCE + at);
        assert_true(read_mark(&mark));
        assert_int_equal(mark.hno, 3);
    }
}

static void test_a_torn_slot_is_overwritten_next(void **state)
{
    struct guard guard;
    struct guard_mark mark = mark_of(1, 4);

    (void)state;
    write_marks(1, 4);
    flip_byte(GUARD_SLOT_DISTANCE + 60);
    assert_ok(guard_open(directory, &own, &guard));
    assert_int_equal(guard.mark.hno, 3);
    assert_ok(guard_write(&guard, &mark));
    guard_done(&guard);
    flip_byte(60); /* now the older slot is lost */
    mark = (struct guard_mark){0};
    assert_true(read_mark(&mark));
    assert_int_equal(mark.hno, 4);
}

static void test_both_slots_damaged_or_short_is_no_mark(void **state)
{
    struct guard_mark mark;

    (void)state;
    write_marks(1, 4);
    flip_byte(100);
    flip_byte(GUARD_SLOT_DISTANCE + 100);
    assert_false(read_mark(&mark));
    write_marks(1, 1);
    assert_int_equal(truncate(path, 127), 0);
    assert_false(read_mark(&mark));
    assert_int_equal(truncate(path, 0), 0);
    assert_false(read_mark(&mark));
}

/*
 * A directory that another origin was founded in before: its numbers would win
 * for good, and each start of the new one would look like an old copy.
 */
static void test_what_another_origin_left_does_not_count(void **state)
{
    static const struct origin_id other = {{9}};
    struct guard_mark mark = mark_of(1, 900), first = mark_of(1, 1), read = {0};
    struct guard guard;

    (void)state;
    unlink(path);
    mark.origin = other;
    assert_ok(guard_open(directory, &other, &guard));
    assert_ok(guard_write(&guard, &mark));
    mark.hno++;
    assert_ok(guard_write(&guard, &mark));
    guard_done(&guard);
    assert_false(read_mark(&read));
    assert_ok(guard_open(directory, &own, &guard));
    assert_ok(guard_write(&guard, &first));
    guard_done(&guard);
    assert_true(read_mark(&read));
    assert_memory_equal(&read, &first, sizeof(read));
}

static void test_unwritable_directory_is_an_error(void **state)
{
    struct guard guard;

    (void)state;
    assert_err(guard_open("/nonexistent", &own, &guard), TORG_E_IO);
}

static int setup(void **state)
{
    (void)state;
    snprintf(directory, sizeof(directory), "/tmp/torg-test-guard.XXXXXX");
    if (!mkdtemp(directory) || seal_init())
        return -1;
    snprintf(path, sizeof(path), "%s/%s", directory, GUARD_FILE);
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
        cmocka_unit_test(test_newest_mark_is_found),
        cmocka_unit_test(test_a_new_epoch_is_newer_than_any_number),
        cmocka_unit_test(test_every_damaged_byte_of_the_newest_slot_falls_back),
        cmocka_unit_test(test_a_torn_slot_is_overwritten_next),
        cmocka_unit_test(test_both_slots_damaged_or_short_is_no_mark),
        cmocka_unit_test(test_what_another_origin_left_does_not_count),
        cmocka_unit_test(test_unwritable_directory_is_an_error),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

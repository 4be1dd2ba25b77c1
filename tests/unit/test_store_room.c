/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "index/store_room.h"

/*
 * That malloc asks the system for a writer's pages one by one breaks nothing and
 * is not seen, but it was half of the time of catching up.
 */
#define PAGES 49152
#define PAGE_BYTES 4096

struct growth {
    size_t before, after; /* what malloc has from the system */
};

/* As LMDB does it: each page by itself, all kept until the end. */
static void *take_pages(void *context)
{
    struct growth *growth = context;
    static void *pages[PAGES];

    store_room_make((size_t)PAGES * PAGE_BYTES + 1); /* rounded up to 256 MiB */
    growth->before = mallinfo2().arena;
    for (size_t i = 0; i < PAGES; i++)
        pages[i] = malloc(PAGE_BYTES);
    growth->after = mallinfo2().arena;
    for (size_t i = 0; i < PAGES; i++)
        free(pages[i]);
    return NULL;
}

static void test_pages_come_from_the_room(void **state)
{
    struct growth growth = {0};
    pthread_t thread;

    (void)state;
    if (TEST_SANITIZED) {
        printf("SKIP: a sanitizer has a malloc of its own\n");
        skip();
    }
    store_room_keep();
    assert_int_equal(pthread_create(&thread, NULL, take_pages, &growth), 0);
    pthread_join(thread, NULL);
    assert_true(growth.before >= (size_t)PAGES * PAGE_BYTES);
    assert_int_equal(growth.after, growth.before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages_come_from_the_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

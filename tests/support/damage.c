/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index/store.h"

/*
 * damage DIR TABLE WAY SEED: harm one entry of a stopped node's store, as a bad
 * disk or a mistake in the program would, for tests of torg verify.
 *   garbage   its value becomes other bytes, as many
 *   short     its value loses its second half
 *   drop      it is gone
 *   foreign   an entry that belongs to nothing stands beside it
 * TABLE is a number of enum kv_table. Exit 3: the table is empty.
 */

struct entry {
    struct buffer key, value;
};

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(*seed >> 33);
}

static size_t count_entries(const struct kv *kv, enum kv_table table)
{
    struct kv_cursor *cursor;
    struct span key, value;
    size_t count = 0;
    enum torg_err err;

    if (kv_cursor_open(kv, table, &cursor))
        exit(2);
    for (err = kv_cursor_seek(kv, cursor, span_of("", 1), &key, &value); !err;
         err = kv_cursor_next(kv, cursor, &key, &value))
        count++;
    kv_cursor_close(kv, cursor);
    return count;
}

static void copy_entry(const struct kv *kv, enum kv_table table, size_t at, struct entry *entry)
{
    struct kv_cursor *cursor;
    struct span key, value;
    enum torg_err err;

    if (kv_cursor_open(kv, table, &cursor))
        exit(2);
    err = kv_cursor_seek(kv, cursor, span_of("", 1), &key, &value);
    while (!err && at-- > 0)
        err = kv_cursor_next(kv, cursor, &key, &value);
    if (err)
        exit(2);
    buffer_put_span(&entry->key, key);
    buffer_put_span(&entry->value, value);
    kv_cursor_close(kv, cursor);
}

static enum torg_err harm(struct kv *kv, enum kv_table table, const char *way, uint64_t seed)
{
    size_t count = count_entries(kv, table);
    struct entry entry = {0};
    enum torg_err err;

    if (count == 0)
        exit(3);
    (void)next_random(&seed);
    copy_entry(kv, table, next_random(&seed) % count, &entry);
    if (strcmp(way, "drop") == 0) {
        err = kv_del(kv, table, buffer_span(&entry.key));
    } else if (strcmp(way, "foreign") == 0) {
        for (size_t i = entry.key.size > 4 ? 4 : 0; i < entry.key.size; i++)
            entry.key.data[i] ^= 0x5a;
        err = kv_put(kv, table, buffer_span(&entry.key), buffer_span(&entry.value));
    } else {
        for (size_t i = 0; i < entry.value.size; i++)
            entry.value.data[i] ^= (uint8_t)(next_random(&seed) | 1);
        if (strcmp(way, "short") == 0)
            entry.value.size /= 2;
        if (entry.value.size == 0)
            exit(3); /* Nothing there that could be other bytes. */
        err = kv_put(kv, table, buffer_span(&entry.key), buffer_span(&entry.value));
    }
    fprintf(stderr, "%zu entries; %zu bytes of value\n", count, entry.value.size);
    buffer_done(&entry.key);
    buffer_done(&entry.value);
    return err;
}

int main(int argc, char **argv)
{
    struct store_options options = store_options_default();
    struct store *store = NULL;
    struct kv kv;
    enum torg_err err;

    if (argc != 5) {
        fputs("usage: damage DIR TABLE garbage|short|drop|foreign SEED\n", stderr);
        return 2;
    }
    err = store_open(argv[1], &options, &store);
    if (!err)
        err = store_write_begin(store, &kv);
    if (!err)
        err = harm(&kv, (enum kv_table)strtoul(argv[2], NULL, 10), argv[3],
                   strtoul(argv[4], NULL, 10));
    if (!err)
        err = store_write_commit(&kv);
    store_close(store);
    if (err)
        fprintf(stderr, "%s\n", torg_err_text(err));
    return err ? 2 : 0;
}

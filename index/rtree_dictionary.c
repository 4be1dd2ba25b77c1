/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_dictionary.h"

#include <stdio.h>
#include <string.h>

#include "index/rtree_table.h"

#define SET_BYTES (RTREE_DICTIONARY_SET_KEY_BYTES - 2)
#define STEPS_MAX 16 /* so many steps of a cursor cost as much as a search: an estimate */

struct check {
    const struct kv *kv;
    rtree_report *report;
    void *context;
    unsigned next; /* the first number not given out */
    unsigned given;
};

static void say(const struct check *check, struct span key, const char *what)
{
    char hex[2 * RTREE_DICTIONARY_SET_KEY_BYTES + 1];
    char text[200];

    hex_encode(
        key.data,
        key.size < RTREE_DICTIONARY_SET_KEY_BYTES ? key.size : RTREE_DICTIONARY_SET_KEY_BYTES, hex);
    (void)snprintf(text, sizeof(text), "theme combinations: %s %s", hex, what);
    check->report(check->context, text);
}

/* A number and its themes name each other. */
static bool is_pair(const struct check *check, const uint8_t number[2], const uint8_t *set)
{
    uint8_t number_key[RTREE_DICTIONARY_NUMBER_KEY_BYTES] = {0, 'n', number[0], number[1]};
    uint8_t set_key[RTREE_DICTIONARY_SET_KEY_BYTES] = {0, 's'};
    struct span there, back;

    memcpy(set_key + 2, set, SET_BYTES);
    return kv_get(check->kv, KV_THEME, span_of(number_key, sizeof(number_key)), &there) ==
               TORG_OK &&
           span_equal(there, span_of(set, SET_BYTES)) &&
           kv_get(check->kv, KV_THEME, span_of(set_key, sizeof(set_key)), &back) == TORG_OK &&
           span_equal(back, span_of(number, 2));
}

static void check_entry(struct check *check, struct span key, struct span value)
{
    uint8_t kind = key.size >= 2 && key.data[0] == 0 ? key.data[1] : 0;

    if (kind == 'c' && key.size == RTREE_DICTIONARY_NEXT_KEY_BYTES)
        return;
    if (kind == 'n' && key.size == RTREE_DICTIONARY_NUMBER_KEY_BYTES && value.size == SET_BYTES) {
        unsigned number = get_u16be(key.data + 2);

        check->given++;
        if (number < RTREE_DICTIONARY_FIRST || number >= check->next)
            say(check, key, "is a number that was not given");
        else if (!is_pair(check, key.data + 2, value.data))
            say(check, key, "names themes that do not name it");
        return;
    }
    if (kind == 's' && key.size == RTREE_DICTIONARY_SET_KEY_BYTES && value.size == 2) {
        if (!is_pair(check, value.data, key.data + 2))
            say(check, key, "names a number that does not name it");
        return;
    }
    say(check, key, "is no entry of it");
}

static enum torg_err next_get(struct check *check)
{
    static const uint8_t key[RTREE_DICTIONARY_NEXT_KEY_BYTES] = {0, 'c'};
    enum torg_err err = rtree_dictionary_end(check->kv, &check->next);

    if (err != TORG_E_CORRUPT)
        return err;
    check->next = RTREE_DICTIONARY_FIRST;
    say(check, span_of(key, sizeof(key)), "holds no number that can be the next");
    return TORG_OK;
}

enum torg_err rtree_dictionary_check(const struct kv *kv, rtree_report *report, void *context)
{
    static const uint8_t lowest[1] = {0};
    struct check check = {.kv = kv, .report = report, .context = context};
    struct kv_cursor *cursor;
    struct span key, value;
    enum torg_err err = next_get(&check);

    if (!err)
        err = kv_cursor_open(kv, KV_THEME, &cursor);
    if (err)
        return err;
    err = kv_cursor_seek(kv, cursor, span_of(lowest, sizeof(lowest)), &key, &value);
    while (!err) {
        check_entry(&check, key, value);
        err = kv_cursor_next(kv, cursor, &key, &value);
    }
    kv_cursor_close(kv, cursor);
    if (err != TORG_E_NOT_FOUND)
        return err;
    if (check.next != RTREE_DICTIONARY_FIRST + check.given)
        report(context, "theme combinations: another count of numbers is given than is there");
    return TORG_OK;
}

/* ---- reading ---- */

enum torg_err rtree_dictionary_end(const struct kv *kv, unsigned *ret_end)
{
    static const uint8_t key[RTREE_DICTIONARY_NEXT_KEY_BYTES] = {0, 'c'};
    struct span value;
    unsigned end = RTREE_DICTIONARY_FIRST;
    enum torg_err err = kv_get(kv, KV_THEME, span_of(key, sizeof(key)), &value);

    if (err && err != TORG_E_NOT_FOUND)
        return err;
    if (!err && value.size != 2)
        return TORG_E_CORRUPT;
    if (!err)
        end = get_u16be(value.data);
    if (end < RTREE_DICTIONARY_FIRST)
        return TORG_E_CORRUPT;
    *ret_end = end;
    return TORG_OK;
}

void rtree_dictionary_open(struct rtree_dictionary_reader *reader, const struct kv *kv)
{
    *reader = (struct rtree_dictionary_reader){.kv = kv};
}

void rtree_dictionary_close(struct rtree_dictionary_reader *reader)
{
    if (reader->cursor)
        kv_cursor_close(reader->kv, reader->cursor);
    reader->cursor = NULL;
}

/* The cursor stands at a key: is it a number, and which? */
static enum torg_err reader_stands(struct rtree_dictionary_reader *reader, struct span key)
{
    if (key.size != RTREE_DICTIONARY_NUMBER_KEY_BYTES || key.data[0] != 0 || key.data[1] != 'n')
        return TORG_E_CORRUPT;
    reader->number = get_u16be(key.data + 2);
    return TORG_OK;
}

static enum torg_err reader_seek(struct rtree_dictionary_reader *reader, unsigned number)
{
    uint8_t key[RTREE_DICTIONARY_NUMBER_KEY_BYTES] = {0, 'n'};
    struct span found;
    enum torg_err err;

    put_u16be(key + 2, (uint16_t)number);
    err = kv_cursor_seek(reader->kv, reader->cursor, span_of(key, sizeof(key)), &found,
                         &reader->value);
    return err ? err : reader_stands(reader, found);
}

enum torg_err rtree_dictionary_themes(struct rtree_dictionary_reader *reader, unsigned number,
                                      struct theme_set *ret_set)
{
    const struct kv *kv = reader->kv;
    const uint8_t *known =
        kv->table ? rtree_table_find(kv->table, RTREE_TABLE_THEMES, number) : NULL;
    struct span key;
    enum torg_err err = TORG_OK;

    if (known) {
        *ret_set = rtree_node_themes(known, 0);
        return TORG_OK;
    }
    if (!reader->cursor)
        err = kv_cursor_open(kv, KV_THEME, &reader->cursor);
    if (err)
        return err;
    if (reader->number == 0 || reader->number > number || reader->number + STEPS_MAX < number)
        err = reader_seek(reader, number);
    while (!err && reader->number < number) {
        err = kv_cursor_next(reader->kv, reader->cursor, &key, &reader->value);
        if (!err)
            err = reader_stands(reader, key);
    }
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
    if (reader->number != number || reader->value.size != SET_BYTES)
        return TORG_E_CORRUPT;
    if (kv->table)
        rtree_table_keep(kv->table, RTREE_TABLE_THEMES, number, reader->value.data);
    *ret_set = rtree_node_themes(reader->value.data, 0);
    return TORG_OK;
}

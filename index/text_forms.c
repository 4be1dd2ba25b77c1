/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "index/text_internal.h"
#include "protocol/letters.h"

/* ---- which entries of KV_WORD a list has ---- */

static bool is_words(uint8_t kind)
{
    return kind == POSTINGS_NAME || kind == POSTINGS_PLACE || kind == POSTINGS_DESCRIPTION;
}

/*
 * A number is found whole and by its beginning. Nobody who asks for 345 means
 * 17345, and where names are numbered each would bring its parts into the table.
 */
static bool is_number(struct span folded)
{
    for (size_t i = 0; i < folded.size; i++) {
        if (folded.data[i] < '0' || folded.data[i] > '9')
            return false;
    }
    return true;
}

/* A stem that is too long for an entry is one of no real word. */
static enum torg_err visit_entry(struct buffer *entry, text_form_visit *visit, void *context)
{
    if (entry->err)
        return entry->err;
    return entry->size > TEXT_FORM_BYTES_MAX ? TORG_OK : visit(context, buffer_span(entry));
}

static enum torg_err stem_forms(struct text_stemmer *stemmer, uint8_t kind, struct span key,
                                const struct text_word *word, enum text_language language,
                                text_form_visit *visit, void *context)
{
    struct buffer entry = {0};
    size_t before;
    enum torg_err err;

    buffer_put_u8(&entry, TEXT_FORM_STEM);
    buffer_put_u8(&entry, kind);
    buffer_put_u8(&entry, (uint8_t)language);
    before = entry.size;
    err = text_stem(stemmer, language, word->letters, &entry);
    if (!err && entry.size > before) {
        buffer_put_u8(&entry, 0);
        buffer_put_span(&entry, key);
        err = visit_entry(&entry, visit, context);
    }
    buffer_done(&entry);
    return err;
}

/* What begins within the word; what begins it is found by its key. */
static enum torg_err part_forms(uint8_t kind, struct span key, struct span folded,
                                text_form_visit *visit, void *context)
{
    struct buffer entry = {0};
    enum torg_err err = TORG_OK;

    for (size_t at = letters_first_size(folded); at < folded.size && !err;) {
        struct span part = span_of(folded.data + at, folded.size - at);

        if (letters_count(part) < TEXT_PART_LETTERS_MIN)
            break;
        buffer_clear(&entry);
        buffer_put_u8(&entry, TEXT_FORM_PART);
        buffer_put_u8(&entry, kind);
        buffer_put_span(&entry, part);
        buffer_put_u8(&entry, 0);
        buffer_put_span(&entry, key);
        err = visit_entry(&entry, visit, context);
        at += letters_first_size(part);
    }
    buffer_done(&entry);
    return err;
}

static enum torg_err name_forms(struct span name, struct span code, text_form_visit *visit,
                                void *context)
{
    struct text_words words = {.text = name};
    struct buffer entry = {0};
    struct text_word word;
    enum torg_err err = TORG_OK;

    while (!err && text_words_next(&words, &word)) {
        buffer_clear(&entry);
        buffer_put_u8(&entry, TEXT_FORM_MUNICIPALITY);
        buffer_put_span(&entry, word.folded);
        buffer_put_u8(&entry, 0);
        buffer_put_span(&entry, word.letters);
        buffer_put_u8(&entry, 0);
        buffer_put_span(&entry, code);
        err = visit_entry(&entry, visit, context);
    }
    if (!err)
        err = words.err;
    text_words_done(&words);
    buffer_done(&entry);
    return err;
}

/* The names of a municipality that the gazetteer knows, in all languages. */
static enum torg_err municipality_forms(struct span code, text_form_visit *visit, void *context)
{
    const char *name = gazetteer_municipality(code);
    const char *other;
    enum torg_err err;

    if (!name)
        return TORG_OK;
    err = name_forms(span_of_str(name), code, visit, context);
    other = gazetteer_municipality_other_names(code);
    while (!err && *other) {
        const char *end = strchr(other, '\n');

        err = name_forms(span_of(other, (size_t)(end - other)), code, visit, context);
        other = end + 1;
    }
    return err;
}

enum torg_err text_forms(struct text_stemmer *stemmer, uint8_t kind, struct span key,
                         text_form_visit *visit, void *context)
{
    enum text_language language;
    struct text_word word;
    enum torg_err err;

    if (kind == POSTINGS_MUNICIPALITY)
        return municipality_forms(key, visit, context);
    if (!is_words(kind) || !text_key_read(key, &word, &language) || is_number(word.folded))
        return TORG_OK;
    err = stem_forms(stemmer, kind, key, &word, language, visit, context);
    if (!err && kind == POSTINGS_NAME)
        err = part_forms(kind, key, word.folded, visit, context);
    return err;
}

/* ---- their upkeep ---- */

static enum torg_err form_put(void *context, struct span entry)
{
    return kv_put(context, KV_WORD, entry, (struct span){0});
}

/* Two names of a municipality may share a word: then it is gone already. */
static enum torg_err form_del(void *context, struct span entry)
{
    enum torg_err err = kv_del(context, KV_WORD, entry);

    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

enum torg_err text_turned(void *context, struct kv *kv, uint8_t kind, struct span key, bool born)
{
    return text_forms(context, kind, key, born ? form_put : form_del, kv);
}

/* ---- their check ---- */

struct check {
    const struct kv *kv;
    postings_report *report;
    void *context;
    struct text_stemmer stemmer;
};

static void check_say(const struct check *check, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void check_say(const struct check *check, const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    check->report(check->context, text);
}

static enum torg_err check_form(void *context, struct span entry)
{
    struct check *check = context;
    char hex[2 * 48 + 1];
    struct span value;
    enum torg_err err;

    err = kv_get(check->kv, KV_WORD, entry, &value);
    if (err == TORG_E_NOT_FOUND) {
        hex_encode(entry.data, entry.size < 48 ? entry.size : 48, hex);
        check_say(check, "form of a word %s: missing", hex);
        return TORG_OK;
    }
    return err;
}

/* Is it one of the entries of the list that it names itself? */
struct match {
    struct span entry;
    bool found;
};

static enum torg_err match_form(void *context, struct span entry)
{
    struct match *match = context;

    match->found = match->found || span_equal(entry, match->entry);
    return TORG_OK;
}

/* What list an entry leads to: what stands after the zero byte that ends its form. */
static bool entry_list(struct span entry, uint8_t *ret_kind, struct span *ret_key)
{
    size_t at = entry.size ? entry.data[0] == TEXT_FORM_STEM   ? 3
                             : entry.data[0] == TEXT_FORM_PART ? 2
                                                               : 1
                           : 0;
    int zeros = entry.size && entry.data[0] == TEXT_FORM_MUNICIPALITY ? 2 : 1;

    while (at < entry.size && zeros > 0)
        zeros -= entry.data[at++] == 0;
    if (entry.size < 3 || zeros > 0 || at >= entry.size)
        return false;
    *ret_kind = entry.data[0] == TEXT_FORM_MUNICIPALITY ? POSTINGS_MUNICIPALITY : entry.data[1];
    *ret_key = span_of(entry.data + at, entry.size - at);
    return true;
}

static enum torg_err check_entry(struct check *check, struct span entry)
{
    struct match match = {.entry = entry};
    uint64_t count = 0;
    char hex[2 * 48 + 1];
    struct span key;
    uint8_t kind;
    enum torg_err err = TORG_OK;

    if (entry_list(entry, &kind, &key)) {
        err = postings_count(check->kv, kind, key, &count);
        if (!err && count > 0)
            err = text_forms(&check->stemmer, kind, key, match_form, &match);
    }
    if (err == TORG_E_CORRUPT)
        return TORG_OK; /* The list is damaged, as postings_check says. */
    if (!err && !match.found) {
        hex_encode(entry.data, entry.size < 48 ? entry.size : 48, hex);
        check_say(check, "form of a word %s: belongs to no word in use", hex);
    }
    return err;
}

static enum torg_err check_table(struct check *check, enum kv_table table)
{
    static const uint8_t lowest[1] = {0};
    struct kv_cursor *cursor;
    struct span key, value;
    enum torg_err err;

    err = kv_cursor_open(check->kv, table, &cursor);
    if (err)
        return err;
    err = kv_cursor_seek(check->kv, cursor, span_of(lowest, sizeof(lowest)), &key, &value);
    while (!err) {
        if (table == KV_WORD)
            err = check_entry(check, key);
        else if (key.size > 1)
            err = text_forms(&check->stemmer, key.data[0], span_of(key.data + 1, key.size - 1),
                             check_form, check);
        if (!err)
            err = kv_cursor_next(check->kv, cursor, &key, &value);
    }
    kv_cursor_close(check->kv, cursor);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

enum torg_err text_check(const struct kv *kv, postings_report *report, void *context)
{
    struct check check = {.kv = kv, .report = report, .context = context};
    enum torg_err err;

    err = check_table(&check, KV_TERM);
    if (!err)
        err = check_table(&check, KV_WORD);
    text_stemmer_done(&check.stemmer);
    return err;
}

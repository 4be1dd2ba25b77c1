/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/letters.h"

struct letters_range {
    uint16_t first, last;
    const uint16_t *lower;
};
struct letters_pair {
    uint16_t letter, mark, both;
};
#include "protocol/letters_data.h"

#define NOT_UTF8 UINT32_MAX

/* What is no part of a word, of what is not ASCII. Ascending. */
static const struct {
    uint32_t first, last;
} separators[] = {
    {0x0080, 0x00a9}, {0x00ab, 0x00b1}, {0x00b4, 0x00b4},   {0x00b6, 0x00b8},   {0x00bb, 0x00bf},
    {0x00d7, 0x00d7}, {0x00f7, 0x00f7}, {0x02c2, 0x02c5},   {0x02d2, 0x02df},   {0x037e, 0x037e},
    {0x0384, 0x0385}, {0x0387, 0x0387}, {0x055a, 0x055f},   {0x0589, 0x058a},   {0x05be, 0x05be},
    {0x060c, 0x060d}, {0x061b, 0x061f}, {0x066a, 0x066d},   {0x06d4, 0x06d4},   {0x0964, 0x0965},
    {0x1680, 0x1680}, {0x2000, 0x206f}, {0x207a, 0x207e},   {0x208a, 0x208e},   {0x20a0, 0x20cf},
    {0x2100, 0x2109}, {0x2116, 0x2118}, {0x2190, 0x2bff},   {0x2e00, 0x2fff},   {0x3000, 0x3004},
    {0x3008, 0x3020}, {0x3030, 0x3030}, {0x30fb, 0x30fb},   {0xe000, 0xf8ff},   {0xfd3e, 0xfd3f},
    {0xfe10, 0xfe1f}, {0xfe30, 0xfe6f}, {0xfeff, 0xff0f},   {0xff1a, 0xff20},   {0xff3b, 0xff40},
    {0xff5b, 0xff65}, {0xffe0, 0xffff}, {0x1f000, 0x1fbff}, {0xe0000, 0xe00ff}, {0xf0000, 0x10ffff},
};

/* The code point at *at, which it passes; bytes that are not UTF-8 one by one. */
static uint32_t next_code(struct span text, size_t *at)
{
    const uint8_t *p = text.data + *at;
    size_t size = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    uint32_t code;

    if (size == 1) {
        ++*at;
        return p[0];
    }
    if (size > text.size - *at || !utf8_valid(span_of(p, size))) {
        ++*at;
        return NOT_UTF8;
    }
    *at += size;
    code = p[0] & (0xffu >> (size + 1));
    for (size_t i = 1; i < size; i++)
        code = code << 6 | (p[i] & 0x3fu);
    return code;
}

static size_t put_code(uint8_t out[4], uint32_t code)
{
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (uint8_t)(0xc0 | code >> 6);
        out[1] = (uint8_t)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (uint8_t)(0xe0 | code >> 12);
        out[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | code >> 18);
    out[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (code & 0x3f));
    return 4;
}

static bool is_mark(uint32_t code)
{
    return code >= 0x0300 && code <= 0x036f;
}

/* Shows nothing by itself, and divides nothing: a soft hyphen, joiners, selectors. */
static bool is_nothing(uint32_t code)
{
    return code == 0xad || (code >= 0x200b && code <= 0x200f) || code == 0x2060 ||
           (code >= 0xfe00 && code <= 0xfe0f) || code == 0xfeff;
}

/* A letter or digit of ASCII. */
static bool is_plain(uint8_t byte)
{
    uint8_t lower = byte | 0x20;

    return (lower >= 'a' && lower <= 'z') || (byte >= '0' && byte <= '9');
}

static bool is_word(uint32_t code)
{
    size_t low = 0, high = ARRAY_SIZE(separators);

    if (code < 0x80)
        return is_plain((uint8_t)code);
    if (code == NOT_UTF8)
        return false;
    while (low < high) {
        size_t middle = (low + high) / 2;

        if (separators[middle].last < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low == ARRAY_SIZE(separators) || code < separators[low].first;
}

static uint32_t lower_of(uint32_t code)
{
    if (code < 0x80)
        return code >= 'A' && code <= 'Z' ? code | 0x20 : code;
    if (code == 0x212b)
        return 0xe5; /* the sign of angstrom is an Å */
    if (code == 0x212a)
        return 'k';
    for (size_t i = 0; i < ARRAY_SIZE(letters_ranges); i++) {
        const struct letters_range *range = &letters_ranges[i];

        if (code >= range->first && code <= range->last)
            return range->lower[code - range->first];
    }
    return code;
}

/* A letter and a mark as one letter; 0 when there is none. */
static uint32_t compose(uint32_t letter, uint32_t mark)
{
    size_t low = 0, high = ARRAY_SIZE(letters_pairs);

    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct letters_pair *pair = &letters_pairs[middle];

        if (pair->letter == letter && pair->mark == mark)
            return pair->both;
        if (pair->letter < letter || (pair->letter == letter && pair->mark < mark))
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

/* A letter that may still get a mark. */
struct word {
    struct buffer *out;
    size_t left;
    uint32_t last;
};

static void word_settle(struct word *word)
{
    uint8_t bytes[4];
    size_t size;

    if (!word->last)
        return;
    size = put_code(bytes, word->last);
    word->last = 0;
    if (size > word->left) {
        word->left = 0; /* Cut here for good, not filled up with what is shorter. */
        return;
    }
    buffer_put(word->out, bytes, size);
    word->left -= size;
}

static void word_add(struct word *word, uint32_t code)
{
    uint32_t both = is_mark(code) ? compose(word->last, code) : 0;

    if (both) {
        word->last = both;
        return;
    }
    word_settle(word);
    word->last = lower_of(code);
}

/* How many ASCII letters and digits stand at at, without one that a mark may follow. */
static size_t plain_run(struct span text, size_t at)
{
    size_t end = at;

    while (end < text.size && is_plain(text.data[end]))
        end++;
    if (end > at && end < text.size && text.data[end] >= 0x80)
        end--;
    return end - at;
}

/* The same as word_add and word_settle for each of them: most of all text is this. */
static void word_add_plain(struct word *word, const uint8_t *bytes, size_t size)
{
    word_settle(word);
    if (size > word->left)
        size = word->left;
    if (buffer_reserve(word->out, size))
        return;
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = bytes[i];

        word->out->data[word->out->size++] = byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
    }
    word->left -= size;
}

bool letters_word(struct span *text, size_t size_max, struct buffer *out)
{
    struct word word = {.out = out, .left = size_max};
    size_t before = out->size;
    size_t at = 0;

    while (at < text->size) {
        size_t plain = plain_run(*text, at);
        uint32_t code;

        if (plain) {
            word_add_plain(&word, text->data + at, plain);
            at += plain;
            continue;
        }
        code = next_code(*text, &at);
        if (is_nothing(code))
            continue;
        if (is_word(code)) {
            word_add(&word, code);
            continue;
        }
        word_settle(&word);
        if (out->size > before)
            break;
        word.left = size_max;
    }
    word_settle(&word);
    if (at > 0) /* Of no text the data may be NULL. */
        *text = span_of(text->data + at, text->size - at);
    return out->size > before;
}

size_t letters_count(struct span text)
{
    size_t count = 0;

    for (size_t i = 0; i < text.size; i++)
        count += (text.data[i] & 0xc0) != 0x80;
    return count;
}

size_t letters_first_size(struct span text)
{
    size_t size = 1;

    while (size < text.size && (text.data[size] & 0xc0) == 0x80)
        size++;
    return size;
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/fold.h"

#include <string.h>

/*
 * Two characters for each code point from U+00C0: what it folds to, padded
 * with a space; two spaces leave it as it is. Made from the compatibility
 * decompositions of the Unicode Character Database, and by hand for letters
 * that do not decompose (Nordic, Sami, African).
 */
#define LATIN_FIRST 0x00c0u
#define LATIN_LAST 0x024fu
static const char latin[] = "a a a a a a aec e e e e i i i i " /* U+00C0 */
                            "d n o o o o o   o u u u u y thss" /* U+00D0 */
                            "a a a a a a aec e e e e i i i i " /* U+00E0 */
                            "d n o o o o o   o u u u u y thy " /* U+00F0 */
                            "a a a a a a c c c c c c c c d d " /* U+0100 */
                            "d d e e e e e e e e e e g g g g " /* U+0110 */
                            "g g g g h h h h i i i i i i i i " /* U+0120 */
                            "i i ijijj j k k k l l l l l l l " /* U+0130 */
                            "l l l n n n n n n n n n o o o o " /* U+0140 */
                            "o o oeoer r r r r r s s s s s s " /* U+0150 */
                            "s s t t t t t t u u u u u u u u " /* U+0160 */
                            "u u u u w w y y y z z z z z z s " /* U+0170 */
                            "b b b b       c c d d d d   e e " /* U+0180 */
                            "e f f g       i k k l     n n o " /* U+0190 */
                            "o o     p p           t t t t u " /* U+01A0 */
                            "u   v y y z z z z z z           " /* U+01B0 */
                            "        dzdzdzljljljnjnjnja a i " /* U+01C0 */
                            "i o o u u u u u u u u u u e a a " /* U+01D0 */
                            "a a aeaeg g g g k k o o o o z z " /* U+01E0 */
                            "j dzdzdzg g     n n a a aeaeo o " /* U+01F0 */
                            "a a a a e e e e i i i i o o o o " /* U+0200 */
                            "r r r r u u u u s s t t     h h " /* U+0210 */
                            "n d     z z a a e e o o o o o o " /* U+0220 */
                            "o o y y l n t j     a c c l t s " /* U+0230 */
                            "z     b     e e j j     r r y y " /* U+0240 */;

/* One character for each code point from U+1E00; a space leaves it. */
#define LATIN_MORE_FIRST 0x1e00u
#define LATIN_MORE_LAST 0x1effu
static const char latin_more[] =
    "aabbbbbbccddddddddddeeeeeeeeeeffgghhhhhhhhhhiiiikkkkkkllllllllmm"  /* U+1E00 */
    "mmmmnnnnnnnnoooooooopppprrrrrrrrssssssssssttttttttuuuuuuuuuuvvvv"  /* U+1E40 */
    "wwwwwwwwwwxxxxyyzzzzzzhtwy s    aaaaaaaaaaaaaaaaaaaaaaaaeeeeeeee"  /* U+1E80 */
    "eeeeeeeeiiiioooooooooooooooooooooooouuuuuuuuuuuuuuyyyyyyyy      "; /* U+1EC0 */

/* Low bytes of U+03xx for each code point from U+0386: lower case without accent. */
#define GREEK_FIRST 0x0386u
#define GREEK_LAST 0x03ceu
static const uint8_t greek[] = {
    0xb1, 0x87, 0xb5, 0xb7, 0xb9, 0x8b, 0xbf, 0x8d, 0xc5, 0xc9, /* U+0386 */
    0xb9, 0xb1, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, /* U+0390 */
    0xba, 0xbb, 0xbc, 0xbd, 0xbe, 0xbf, 0xc0, 0xc1, 0xa2, 0xc3, /* U+039A */
    0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xb9, 0xc5, 0xb1, 0xb5, /* U+03A4 */
    0xb7, 0xb9, 0xc5, 0xb1, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, /* U+03AE */
    0xb8, 0xb9, 0xba, 0xbb, 0xbc, 0xbd, 0xbe, 0xbf, 0xc0, 0xc1, /* U+03B8 */
    0xc3, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xb9, 0xc5, /* U+03C2 */
    0xbf, 0xc5, 0xc9,                                           /* U+03CC */
};

/* Cyrillic letters that are another letter with a mark, lower case. */
static const struct {
    uint16_t marked;
    uint16_t plain;
} cyrillic[] = {
    {0x0439, 0x0438}, {0x0450, 0x0435}, {0x0451, 0x0435}, {0x0453, 0x0433}, {0x0457, 0x0456},
    {0x045c, 0x043a}, {0x045d, 0x0438}, {0x045e, 0x0443}, {0x04c2, 0x0436}, {0x04d1, 0x0430},
    {0x04d3, 0x0430}, {0x04d7, 0x0435}, {0x04dd, 0x0436}, {0x04df, 0x0437}, {0x04e3, 0x0438},
    {0x04e5, 0x0438}, {0x04e7, 0x043e}, {0x04ed, 0x044d}, {0x04ef, 0x0443}, {0x04f1, 0x0443},
    {0x04f3, 0x0443}, {0x04f5, 0x0447}, {0x04f9, 0x044b},
};

/* The next code point of well-formed text; bytes that are not UTF-8 give 0 and are passed. */
static uint32_t next_code_point(struct span text, size_t *at)
{
    const uint8_t *p = text.data + *at;
    size_t size = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    uint32_t code;

    if (size > text.size - *at || !utf8_valid(span_of(p, size))) {
        *at += 1;
        return 0;
    }
    *at += size;
    if (size == 1)
        return p[0];
    code = p[0] & (0xffu >> (size + 1));
    for (size_t i = 1; i < size; i++)
        code = code << 6 | (p[i] & 0x3fu);
    return code;
}

static bool is_space(uint32_t code)
{
    return code == ' ' || (code >= 0x09 && code <= 0x0d) || code == 0xa0 ||
           (code >= 0x2000 && code <= 0x200a) || code == 0x2028 || code == 0x2029 ||
           code == 0x202f || code == 0x205f || code == 0x3000;
}

/* Marks and characters that show nothing by themselves: dropped. */
static bool is_dropped(uint32_t code)
{
    return code < 0x20 || code == 0x7f || code == 0xad || (code >= 0x02b0 && code <= 0x036f) ||
           (code >= 0x200b && code <= 0x200f) || code == 0xfeff;
}

static uint32_t fold_cyrillic(uint32_t code)
{
    if (code <= 0x040f)
        code += 0x50;
    else if (code <= 0x042f)
        code += 0x20;
    else if (code == 0x04c0)
        code = 0x04cf;
    else if (code >= 0x04c1 && code <= 0x04ce)
        code += code & 1; /* Here capitals are odd. */
    else if ((code >= 0x0460 && code <= 0x0481) || code >= 0x048a)
        code |= 1;
    for (size_t i = 0; i < ARRAY_SIZE(cyrillic); i++) {
        if (cyrillic[i].marked == code)
            return cyrillic[i].plain;
    }
    return code;
}

static uint32_t fold_other(uint32_t code)
{
    if (code >= GREEK_FIRST && code <= GREEK_LAST)
        return 0x0300u | greek[code - GREEK_FIRST];
    if (code >= 0x0400 && code <= 0x052f)
        return fold_cyrillic(code);
    switch (code) {
    case 0x0259:
        return 'e'; /* schwa; its capital is in the Latin table */
    case 0x0292:
        return 'z'; /* ezh, Skolt Sami; its capital is in the Latin table */
    case 0x2018:
    case 0x2019:
        return '\'';
    case 0x2010:
    case 0x2011:
    case 0x2012:
    case 0x2013:
    case 0x2014:
        return '-';
    default:
        return code;
    }
}

static void fold_letter(struct buffer *out, uint32_t code)
{
    if (code >= 'A' && code <= 'Z') {
        buffer_put_u8(out, (uint8_t)(code | 0x20));
    } else if (code < 0x80) {
        buffer_put_u8(out, (uint8_t)code);
    } else if (code >= LATIN_FIRST && code <= LATIN_LAST &&
               latin[2 * (code - LATIN_FIRST)] != ' ') {
        const char *pair = &latin[2 * (code - LATIN_FIRST)];

        buffer_put(out, pair, pair[1] == ' ' ? 1 : 2);
    } else if (code >= LATIN_MORE_FIRST && code <= LATIN_MORE_LAST &&
               latin_more[code - LATIN_MORE_FIRST] != ' ') {
        buffer_put_u8(out, (uint8_t)latin_more[code - LATIN_MORE_FIRST]);
    } else if (code == 0x1e9e) {
        buffer_put_str(out, "ss"); /* capital sharp s */
    } else {
        buffer_put_utf8(out, fold_other(code));
    }
}

/* How many characters of ASCII that show something stand at at: they fold one by one. */
static size_t plain_run(struct span text, size_t at)
{
    size_t end = at;

    while (end < text.size && text.data[end] > 0x20 && text.data[end] < 0x7f)
        end++;
    return end - at;
}

static void fold_plain(struct buffer *out, const uint8_t *bytes, size_t size)
{
    if (buffer_reserve(out, size))
        return;
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = bytes[i];

        out->data[out->size++] = byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
    }
}

void fold_put(struct buffer *out, struct span text)
{
    size_t start = out->size;
    bool space = false;
    size_t at = 0;

    while (at < text.size) {
        size_t plain = plain_run(text, at);
        uint32_t code;

        if (plain) {
            if (space && out->size > start)
                buffer_put_u8(out, ' ');
            space = false;
            fold_plain(out, text.data + at, plain);
            at += plain;
            continue;
        }
        code = next_code_point(text, &at);

        if (is_space(code)) {
            space = true;
            continue;
        }
        if (is_dropped(code))
            continue;
        if (space && out->size > start)
            buffer_put_u8(out, ' ');
        space = false;
        fold_letter(out, code);
    }
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/collate.h"

#include "protocol/fold.h"

enum { WEIGHT_SPACE = COLLATE_WEIGHT_MIN, WEIGHT_DIGIT = 0x10, WEIGHT_LETTER = 0x20 };
/* Behind z, which is letter 25. */
enum { LETTER_AA = 26, LETTER_AE = 27, LETTER_OE = 28 };
#define WEIGHT_OTHER 0x60 /* a letter of another script: its bytes follow */
#define RING 0x030a
#define DIAERESIS 0x0308

/* The next code point; false at the end, and where the text is not UTF-8. */
static bool next(struct span *text, struct span *ret_character, uint32_t *ret_code)
{
    uint8_t c = text->size ? text->data[0] : 0;
    size_t size = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    uint32_t code = c < 0x80 ? c : c & (0x7fu >> size);

    if (size > text->size || !utf8_valid(span_of(text->data, size)))
        return false;
    for (size_t i = 1; i < size; i++)
        code = code << 6 | (text->data[i] & 0x3f);
    *ret_character = span_of(text->data, size);
    *text = span_of(text->data + size, text->size - size);
    *ret_code = code;
    return true;
}

/* Swedish letters of their own; 0: any other. */
static uint8_t own_letter(uint32_t code)
{
    switch (code) {
    case 0xc5: /* Å å */
    case 0xe5:
        return LETTER_AA;
    case 0xc4: /* Ä ä Æ æ */
    case 0xe4:
    case 0xc6:
    case 0xe6:
        return LETTER_AE;
    case 0xd6: /* Ö ö Ø ø */
    case 0xf6:
    case 0xd8:
    case 0xf8:
        return LETTER_OE;
    case 0xdc: /* Ü ü */
    case 0xfc:
        return 'y' - 'a';
    default:
        return 0;
    }
}

/* A letter with a mark behind it; 0: none of ours. */
static uint8_t composed_letter(uint32_t code, uint32_t mark)
{
    code |= 0x20;
    if (code == 'a' && mark == RING)
        return LETTER_AA;
    if (code == 'a' && mark == DIAERESIS)
        return LETTER_AE;
    return code == 'o' && mark == DIAERESIS ? LETTER_OE : 0;
}

static void put_folded(struct buffer *out, struct span character)
{
    struct buffer folded = {0};

    fold_put(&folded, character);
    for (size_t i = 0; i < folded.size; i++) {
        uint8_t c = folded.data[i];

        if (c >= 'a' && c <= 'z') {
            buffer_put_u8(out, (uint8_t)(WEIGHT_LETTER + c - 'a'));
        } else if (c >= '0' && c <= '9') {
            buffer_put_u8(out, (uint8_t)(WEIGHT_DIGIT + c - '0'));
        } else if (c >= 0x80) {
            if (i == 0)
                buffer_put_u8(out, WEIGHT_OTHER);
            buffer_put_u8(out, c);
        }
    }
    if (folded.err && !out->err)
        out->err = folded.err;
    buffer_done(&folded);
}

void collate_put(struct buffer *out, struct span text, size_t weights_max)
{
    size_t begin = out->size;
    struct span character;
    uint32_t code;

    while (!out->err && out->size - begin < weights_max && next(&text, &character, &code)) {
        struct span ahead = text, mark_character;
        uint32_t mark = 0;
        uint8_t letter = own_letter(code);

        if (!letter && next(&ahead, &mark_character, &mark))
            letter = composed_letter(code, mark);
        if (letter && mark && !own_letter(code))
            text = ahead;
        if (letter)
            buffer_put_u8(out, (uint8_t)(WEIGHT_LETTER + letter));
        else if (code == ' ')
            buffer_put_u8(out, WEIGHT_SPACE);
        else
            put_folded(out, character);
    }
    if (!out->err && out->size - begin > weights_max)
        out->size = begin + weights_max;
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/text_internal.h"

/*
 * What Snowball's Swedish stemmer leaves on: the definite endings of neuter
 * nouns in -et (kortet, torget, museet) and of those in -a (stugan, skolan).
 * Two of its own choices stand: it takes -en, -arna and the like away, and
 * never what is too short. Here, too, three letters with a vowel must stay. An
 * ending is taken away as often as it is there, so that "universitet" and
 * "universitetet" come to the same.
 */
#define LETTERS_MIN 3

/* Letters of UTF-8, and whether one is a vowel; those with two bytes here are å, ä, ö, é. */
static bool stays(struct span word)
{
    size_t letters = 0;
    bool vowel = false;

    for (size_t i = 0; i < word.size; i++) {
        uint8_t byte = word.data[i];

        letters += (byte & 0xc0) != 0x80;
        vowel = vowel || byte == 0xc3 || byte == 'a' || byte == 'e' || byte == 'i' || byte == 'o' ||
                byte == 'u' || byte == 'y';
    }
    return letters >= LETTERS_MIN && vowel;
}

static bool is_consonant(uint8_t byte)
{
    return byte >= 'b' && byte <= 'z' && byte != 'e' && byte != 'i' && byte != 'o' && byte != 'u' &&
           byte != 'y';
}

static bool ends(struct span word, char a, char b)
{
    return word.size > 2 && word.data[word.size - 2] == (uint8_t)a &&
           word.data[word.size - 1] == (uint8_t)b;
}

struct span text_swedish_stem(struct span stem)
{
    for (;;) {
        struct span shorter = span_of(stem.data, stem.size > 2 ? stem.size - 2 : 0);
        bool definite = ends(stem, 'e', 't') ||
                        (ends(stem, 'a', 'n') && is_consonant(shorter.data[shorter.size - 1]));

        if (!definite || !stays(shorter))
            break;
        stem = shorter;
    }
    /* An m or n is doubled before an ending: hem, hemmet; vän, vänner. */
    if ((ends(stem, 'm', 'm') || ends(stem, 'n', 'n')) && stays(span_of(stem.data, stem.size - 1)))
        stem.size--;
    return stem;
}

/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_LETTERS_H
#define TORG_PROTOCOL_LETTERS_H

#include "protocol/bytes.h"

/*
 * Text in words, with its letters right: lower case, marks kept and composed
 * (Å, and A with a ring after it, are both å). Where fold.h takes the marks
 * away, so that umea finds Umeå, this keeps them, so that å is not a. Lower
 * case and composition for Latin, Greek and Cyrillic, by the Unicode Character
 * Database; other letters stay as they are.
 */

/*
 * The next word of *text, appended to word as letters, at most size_max bytes
 * of it; *text then begins after it. A word is a run of letters, digits and
 * marks; bytes that are not UTF-8 end it. False when there is none left.
 */
bool letters_word(struct span *text, size_t size_max, struct buffer *word);

/* How many letters (code points) of well-formed text; marks of their own count too. */
size_t letters_count(struct span text);
/* Bytes of the first letter of well-formed text that is not empty. */
size_t letters_first_size(struct span text);

#endif

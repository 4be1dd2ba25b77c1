/* SPDX-License-Identifier: EUPL-1.2 */
#include "tools/card.h"

#include <stdio.h>
#include <string.h>

#define FIRST_LINE "torg card 1"

void card_put(const struct card *card, struct buffer *out)
{
    char key[2 * sizeof(card->node_key.bytes) + 1];
    char origin[2 * sizeof(card->origin.bytes) + 1];

    hex_encode(card->node_key.bytes, sizeof(card->node_key.bytes), key);
    hex_encode(card->origin.bytes, sizeof(card->origin.bytes), origin);
    buffer_printf(out, FIRST_LINE "\nname     %s\norigin   %s\nnode-key %s\n", card->name, origin,
                  key);
    if (*card->address)
        buffer_printf(out, "address  %s\n", card->address);
}

static enum torg_err take_text(const char *value, char *out, size_t size)
{
    if (!utf8_valid(span_of_str(value)) || strpbrk(value, "\"[]"))
        return TORG_E_INVALID;
    return snprintf(out, size, "%s", value) < (int)size ? TORG_OK : TORG_E_TOO_BIG;
}

/* One "word value" line. */
static enum torg_err take_line(struct card *card, char *line, unsigned *seen)
{
    char *value = line + strcspn(line, " \t");

    if (*value)
        *value++ = '\0';
    value += strspn(value, " \t");
    if (strcmp(line, "name") == 0) {
        *seen |= 1;
        return take_text(value, card->name, sizeof(card->name));
    }
    if (strcmp(line, "address") == 0)
        return take_text(value, card->address, sizeof(card->address));
    if (strcmp(line, "origin") == 0) {
        *seen |= 2;
        return hex_decode(value, card->origin.bytes, sizeof(card->origin.bytes));
    }
    if (strcmp(line, "node-key") == 0) {
        *seen |= 4;
        return hex_decode(value, card->node_key.bytes, sizeof(card->node_key.bytes));
    }
    return TORG_OK; /* A later version may say more. */
}

enum torg_err card_parse(struct span text, struct card *ret_card, char *message,
                         size_t message_size)
{
    struct card card = {0};
    char copy[CARD_BYTES_MAX + 1];
    unsigned seen = 0;
    char *rest = copy;
    char *line;

    if (text.size > CARD_BYTES_MAX || (text.size && memchr(text.data, 0, text.size))) {
        snprintf(message, message_size, "this is no card");
        return TORG_E_INVALID;
    }
    if (text.size)
        memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    line = strsep(&rest, "\r\n");
    if (strcmp(line, FIRST_LINE) != 0) {
        snprintf(message, message_size, "a card begins with \"" FIRST_LINE "\"");
        return TORG_E_INVALID;
    }
    while ((line = strsep(&rest, "\r\n"))) {
        if (*line && take_line(&card, line, &seen)) {
            snprintf(message, message_size, "the line \"%s\" is wrong", line);
            return TORG_E_INVALID;
        }
    }
    if (seen != 7) {
        snprintf(message, message_size, "a card has the lines name, origin and node-key");
        return TORG_E_INVALID;
    }
    *ret_card = card;
    return TORG_OK;
}

/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TOOLS_CARD_H
#define TORG_TOOLS_CARD_H

#include "protocol/ident.h"

/*
 * A card: what a neighbour must know of a node to federate with it. A few
 * lines of text that can go by letter; nothing in it is secret, but whoever
 * takes it in should have it from the right people.
 */
#define CARD_BYTES_MAX 4096

struct card {
    char name[201];
    char address[140]; /* "" when the node only dials out */
    struct public_key node_key;
    struct origin_id origin;
};

void card_put(const struct card *card, struct buffer *out);
/* message: what is wrong. */
enum torg_err card_parse(struct span text, struct card *ret_card, char *message,
                         size_t message_size);

#endif

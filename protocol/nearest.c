/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/nearest.h"

#include <limits.h>

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

unsigned nearest_distance(struct span a, struct span b)
{
    unsigned row[NEAREST_NAME_BYTES_MAX + 1];

    if (a.size > NEAREST_NAME_BYTES_MAX || b.size > NEAREST_NAME_BYTES_MAX)
        return UINT_MAX;
    for (unsigned j = 0; j <= b.size; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a.size; i++) {
        unsigned diagonal = row[0];

        row[0] = i;
        for (unsigned j = 1; j <= b.size; j++) {
            unsigned best = diagonal + (lower(a.data[i - 1]) != lower(b.data[j - 1]));

            diagonal = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
        }
    }
    return row[b.size];
}

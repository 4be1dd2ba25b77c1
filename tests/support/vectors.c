/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/vectors.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/support/test.h"

#define VECTORS_FILE TORG_SOURCE_ROOT "/tests/vectors/format.txt"
#define LINE_BYTES_MAX 8192

void vector_read(const char *name, struct buffer *ret_bytes)
{
    FILE *file = fopen(VECTORS_FILE, "r");
    char line[LINE_BYTES_MAX];
    size_t name_size = strlen(name);
    bool found = false;

    if (!file) {
        fail_msg("cannot read %s", VECTORS_FILE);
        return;
    }
    while (!found && fgets(line, sizeof(line), file)) {
        char *hex = line + name_size + 3;

        if (strncmp(line, name, name_size) || strncmp(line + name_size, " = ", 3))
            continue;
        hex[strcspn(hex, "\r\n")] = '\0';
        buffer_clear(ret_bytes);
        assert_ok(buffer_reserve(ret_bytes, strlen(hex) / 2 + 1));
        assert_ok(hex_decode(hex, ret_bytes->data, strlen(hex) / 2));
        ret_bytes->size = strlen(hex) / 2;
        found = true;
    }
    fclose(file);
    if (!found)
        fail_msg("no vector %s in %s", name, VECTORS_FILE);
}

void assert_vector(struct span bytes, const char *name)
{
    struct buffer vector = {0};
    char *hex;

    vector_read(name, &vector);
    if (!span_equal(bytes, buffer_span(&vector))) {
        hex = malloc(2 * bytes.size + 1);
        assert_non_null(hex);
        hex_encode(bytes.data, bytes.size, hex);
        fail_msg("not the vector %s: %s", name, hex);
    }
    buffer_done(&vector);
}

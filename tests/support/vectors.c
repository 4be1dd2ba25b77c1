/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/vectors.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/support/test.h"

static const char *const vector_files[] = {
    TORG_SOURCE_ROOT "/tests/vectors/format.txt",
    TORG_SOURCE_ROOT "/tests/vectors/frames.txt",
};

#define LINE_BYTES_MAX 8192

static bool vector_find(const char *path, const char *name, struct buffer *ret_bytes)
{
    FILE *file = fopen(path, "r");
    char line[LINE_BYTES_MAX];
    size_t name_size = strlen(name);
    bool found = false;

    if (!file) {
        fail_msg("cannot read %s", path);
        return false;
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
    return found;
}

void vector_read(const char *name, struct buffer *ret_bytes)
{
    for (size_t i = 0; i < ARRAY_SIZE(vector_files); i++) {
        if (vector_find(vector_files[i], name, ret_bytes))
            return;
    }
    fail_msg("no vector %s", name);
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

/* SPDX-License-Identifier: EUPL-1.2 */
#include "tools/conf_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/config.h"

#define PATH_BYTES_MAX 600

static enum torg_err write_whole(int file, struct span text)
{
    size_t at = 0;

    while (at < text.size) {
        ssize_t wrote = write(file, text.data + at, text.size - at);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return TORG_E_IO;
        at += (size_t)wrote;
    }
    return fsync(file) == 0 ? TORG_OK : TORG_E_IO;
}

/* The check names the new file; people know it by its old name. */
static enum torg_err check(const char *path, const char *new_path, char *message,
                           size_t message_size)
{
    struct config config = {0};
    char raw[512];
    enum torg_err err = config_read(new_path, &config, raw, sizeof(raw));
    size_t size = strlen(new_path);

    if (err)
        snprintf(message, message_size, "%s%s", strncmp(raw, new_path, size) ? "" : path,
                 strncmp(raw, new_path, size) ? raw : raw + size);
    config_done(&config);
    return err;
}

enum torg_err conf_file_replace(const char *path, struct span text, char *message,
                                size_t message_size)
{
    char new_path[PATH_BYTES_MAX];
    enum torg_err err = TORG_E_IO;
    int file;

    if (snprintf(new_path, sizeof(new_path), "%s.new", path) >= (int)sizeof(new_path)) {
        snprintf(message, message_size, "the path is too long");
        return TORG_E_TOO_BIG;
    }
    file = open(new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file >= 0)
        err = write_whole(file, text);
    if (file >= 0 && close(file) != 0)
        err = TORG_E_IO;
    if (err)
        snprintf(message, message_size, "%s: %s", new_path, strerror(errno));
    else
        err = check(path, new_path, message, message_size);
    if (!err && rename(new_path, path) != 0) {
        err = TORG_E_IO;
        snprintf(message, message_size, "%s: %s", path, strerror(errno));
    }
    if (err && file >= 0)
        unlink(new_path);
    return err;
}

static struct span take_line(struct span *text)
{
    const uint8_t *end = text->size ? memchr(text->data, '\n', text->size) : NULL;
    struct span line = span_of(text->data, end ? (size_t)(end - text->data) + 1 : text->size);

    *text = span_of(text->data + line.size, text->size - line.size);
    return line;
}

static struct span trimmed(struct span line)
{
    while (line.size > 0 && (line.data[0] == ' ' || line.data[0] == '\t')) {
        line.data++;
        line.size--;
    }
    while (line.size > 0 && line.data[line.size - 1] <= ' ')
        line.size--;
    return line;
}

/* Is line the header of a section, and of [name]? */
static bool is_section(struct span line, const char *name, bool *ret_named)
{
    struct span text = trimmed(line);
    size_t size = strlen(name);

    *ret_named = text.size == size + 2 && text.data[0] == '[' &&
                 memcmp(text.data + 1, name, size) == 0 && text.data[size + 1] == ']';
    return text.size > 0 && text.data[0] == '[';
}

void conf_text_without_section(struct span text, const char *name, struct buffer *out,
                               bool *ret_found)
{
    bool within = false;

    *ret_found = false;
    while (text.size > 0) {
        struct span line = take_line(&text);
        bool named;

        if (is_section(line, name, &named)) {
            within = named;
            *ret_found = *ret_found || named;
        }
        if (!within)
            buffer_put_span(out, line);
    }
}

static bool is_key(struct span line, const char *key)
{
    struct span text = trimmed(line);
    size_t size = strlen(key);

    if (text.size <= size || memcmp(text.data, key, size) != 0)
        return false;
    text = trimmed(span_of(text.data + size, text.size - size));
    return text.size > 0 && text.data[0] == '=';
}

void conf_text_without_key(struct span text, const char *section, const char *key,
                           struct buffer *out, bool *ret_found)
{
    bool within = false;

    *ret_found = false;
    while (text.size > 0) {
        struct span line = take_line(&text);
        bool named;

        if (is_section(line, section, &named))
            within = named;
        else if (within && is_key(line, key)) {
            *ret_found = true;
            continue;
        }
        buffer_put_span(out, line);
    }
}

void conf_text_with_line(struct span text, const char *section, const char *line,
                         struct buffer *out)
{
    struct span rest = text;
    size_t after = 0; /* behind the last line of the section that is not blank; 0: no section */
    bool within = false;

    while (rest.size > 0) {
        struct span next = take_line(&rest);
        bool named;

        if (is_section(next, section, &named))
            within = named;
        if (within && trimmed(next).size > 0)
            after = text.size - rest.size;
    }
    buffer_put(out, text.data, after ? after : text.size);
    if (out->size > 0 && out->data[out->size - 1] != '\n')
        buffer_put_str(out, "\n");
    if (!after)
        buffer_printf(out, "\n[%s]\n", section);
    buffer_printf(out, "%s\n", line);
    if (after)
        buffer_put(out, text.data + after, text.size - after);
}

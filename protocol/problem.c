/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "protocol/bytes.h"

void problems_add(struct problems *problems, const char *path, const char *format, ...)
{
    struct problem *problem;
    va_list args;

    problems->count++;
    if (problems->count > PROBLEMS_MAX)
        return;
    problem = &problems->items[problems->count - 1];
    snprintf(problem->path, sizeof(problem->path), "%s", path);
    va_start(args, format);
    vsnprintf(problem->text, sizeof(problem->text), format, args);
    va_end(args);
    /* Names and values of others stand in both, and an answer is UTF-8. */
    utf8_trim(problem->path);
    utf8_trim(problem->text);
}

bool problems_has(const struct problems *problems, const char *path)
{
    size_t held = problems->count < PROBLEMS_MAX ? problems->count : PROBLEMS_MAX;
    size_t size = strlen(path);

    for (size_t i = 0; i < held; i++) {
        const char *known = problems->items[i].path;

        if (strncmp(known, path, size) == 0 &&
            (known[size] == '\0' || known[size] == '.' || known[size] == '['))
            return true;
    }
    return false;
}

static void path_append(struct problem_path *path, const char *text, size_t size)
{
    size_t room = sizeof(path->text) - 1 - path->size;

    size = size < room ? size : room;
    memcpy(path->text + path->size, text, size);
    path->size += size;
    path->text[path->size] = '\0';
}

size_t problem_path_push(struct problem_path *path, const char *name, size_t name_size)
{
    size_t before = path->size;

    if (before)
        path_append(path, ".", 1);
    path_append(path, name, name_size);
    return before;
}

size_t problem_path_push_index(struct problem_path *path, size_t index)
{
    size_t before = path->size;
    char text[24];
    int size = snprintf(text, sizeof(text), "[%zu]", index);

    path_append(path, text, (size_t)size);
    return before;
}

void problem_path_pop(struct problem_path *path, size_t size)
{
    path->size = size;
    path->text[size] = '\0';
}

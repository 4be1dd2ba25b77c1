/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

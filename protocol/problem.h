/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_PROBLEM_H
#define TORG_PROTOCOL_PROBLEM_H

#include <stdbool.h>
#include <stddef.h>

/*
 * What is wrong with an input, field by field: a validator names every mistake
 * instead of stopping at the first. Texts say what is accepted. Bounded: past
 * PROBLEMS_MAX only count grows.
 */
#define PROBLEMS_MAX 64

struct problem {
    char path[96];   /* "properties.price", "geometry.coordinates" */
    char text[1600]; /* "must be between -90 and 90"; a list of all that is allowed fits */
};

struct problems {
    size_t count; /* all of them; items holds the first PROBLEMS_MAX */
    struct problem items[PROBLEMS_MAX];
};

void problems_add(struct problems *problems, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Has path, or something below it, been named already (among those held)? */
bool problems_has(const struct problems *problems, const char *path);

/*
 * Where a validator stands. A push returns what takes it back; a path that is
 * too long is cut. All zero is the top.
 */
struct problem_path {
    char text[sizeof(((struct problem *)0)->path)];
    size_t size;
};
size_t problem_path_push(struct problem_path *path, const char *name, size_t name_size);
size_t problem_path_push_index(struct problem_path *path, size_t index); /* "[3]" */
void problem_path_pop(struct problem_path *path, size_t size);

#endif

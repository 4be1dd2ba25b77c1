/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdio.h>
#include <stdlib.h>

/*
 * Runs while building: turns a file into a C array, so that the program
 * carries it. embed NAME INPUT OUTPUT writes NAME and NAME_size.
 */
static int die(const char *what)
{
    perror(what);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    FILE *in, *out;
    int byte;
    size_t size = 0;

    if (argc != 4) {
        fprintf(stderr, "usage: embed NAME INPUT OUTPUT\n");
        return EXIT_FAILURE;
    }
    in = fopen(argv[2], "rb");
    if (!in)
        return die(argv[2]);
    out = fopen(argv[3], "wb");
    if (!out) {
        fclose(in);
        return die(argv[3]);
    }
    fprintf(out, "#include <stddef.h>\n");
    fprintf(out, "extern const unsigned char %s[];\n", argv[1]);
    fprintf(out, "extern const size_t %s_size;\n", argv[1]);
    fprintf(out, "const unsigned char %s[] = {", argv[1]);
    while ((byte = getc(in)) != EOF)
        fprintf(out, "%s%d,", size++ % 24 ? "" : "\n", byte);
    /* The zero is not counted; it keeps the array from being empty. */
    fprintf(out, "\n0};\nconst size_t %s_size = %zu;\n", argv[1], size);
    if (ferror(in))
        return die(argv[2]);
    fclose(in);
    if (fclose(out))
        return die(argv[3]);
    return EXIT_SUCCESS;
}

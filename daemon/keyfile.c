/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

__attribute__((format(printf, 2, 3))) static void say(char *message, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, KEYFILE_MESSAGE_BYTES_MAX, format, arguments);
    va_end(arguments);
}

static enum torg_err path_of(const char *directory, const char *name, char path[PATH_MAX],
                             char *message)
{
    int length = snprintf(path, PATH_MAX, "%s/%s", directory, name);

    if (length >= 0 && length < PATH_MAX)
        return TORG_OK;
    say(message, "%.100s...: the path is too long; choose a shorter one", directory);
    return TORG_E_IO;
}

/* Whoever reads the key can sign for the municipality: the file must be its owner's alone. */
static enum torg_err check_mode(int fd, const char *path, char *message)
{
    struct stat status;

    if (fstat(fd, &status) < 0) {
        say(message, "%s: cannot be examined: %s", path, strerror(errno));
        return TORG_E_IO;
    }
    if (!S_ISREG(status.st_mode)) {
        say(message, "%s: is not a regular file; put the key file there", path);
        return TORG_E_CONFIG;
    }
    if (status.st_mode & 077) {
        say(message, "%s: others may read it (mode %04o); run: chmod 600 %s", path,
            (unsigned)status.st_mode & 07777, path);
        return TORG_E_CONFIG;
    }
    return TORG_OK;
}

/* Past the comment lines; the seed's 64 digits, and nothing but space after them. */
static enum torg_err seed_of_text(char *text, uint8_t ret_seed[32])
{
    char *end;

    while (*text == '#' || *text == '\n') {
        text = strchr(text, '\n');
        if (!text)
            return TORG_E_INVALID;
        text++;
    }
    end = text + strcspn(text, " \t\r\n");
    if (end[strspn(end, " \t\r\n")])
        return TORG_E_INVALID;
    *end = 0;
    return hex_decode(text, ret_seed, 32);
}

enum torg_err keyfile_read(const char *directory, const char *name, struct secret_key *ret_secret,
                           struct public_key *ret_public, char *message)
{
    char path[PATH_MAX], text[KEYFILE_BYTES_MAX + 1];
    uint8_t seed[32];
    enum torg_err err;
    ssize_t size;
    int fd;

    err = path_of(directory, name, path, message);
    if (err)
        return err;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        say(message,
            "%s: is not there; run torg init, or name the right directory as keys in "
            "[municipality]",
            path);
        return TORG_E_NOT_FOUND;
    }
    if (fd < 0) {
        say(message, "%s: cannot be read: %s", path, strerror(errno));
        return TORG_E_IO;
    }
    err = check_mode(fd, path, message);
    if (err)
        goto done;
    size = read(fd, text, KEYFILE_BYTES_MAX);
    if (size < 0) {
        say(message, "%s: cannot be read: %s", path, strerror(errno));
        err = TORG_E_IO;
        goto done;
    }
    text[size] = 0;
    err = seed_of_text(text, seed);
    if (err) {
        say(message,
            "%s: holds no key; accepted: comment lines that begin with #, then 64 hex "
            "digits. Restore it from where you keep a copy",
            path);
        goto done;
    }
    seal_key_of_seed(seed, ret_secret, ret_public);
done:
    sodium_memzero(text, sizeof(text));
    sodium_memzero(seed, sizeof(seed));
    close(fd);
    return err;
}

/* The new name must be on disk too, or a power cut takes key and all. */
static int sync_directory(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result;

    if (fd < 0)
        return -1;
    result = fsync(fd);
    close(fd);
    return result;
}

enum torg_err keyfile_write(const char *directory, const char *name, const char *comment,
                            const uint8_t seed[32], char *message)
{
    char path[PATH_MAX], text[512], hex[65];
    enum torg_err err;
    int length, fd;

    err = path_of(directory, name, path, message);
    if (err)
        return err;
    hex_encode(seed, 32, hex);
    length = snprintf(text, sizeof(text), "# %.300s\n%s\n", comment, hex);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST) {
        say(message,
            "%s: is there already and stays as it is; choose another directory, or move "
            "it away",
            path);
        err = TORG_E_KNOWN;
        goto done;
    }
    if (fd < 0 || write(fd, text, (size_t)length) != length || fsync(fd) < 0 ||
        sync_directory(directory) < 0) {
        say(message, "%s: cannot be written: %s", path, strerror(errno));
        err = TORG_E_IO;
        if (fd >= 0)
            unlink(path); /* half a key is none */
    }
done:
    if (fd >= 0)
        close(fd);
    sodium_memzero(text, sizeof(text));
    sodium_memzero(hex, sizeof(hex));
    return err;
}

/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static _Atomic int log_level_now = LOG_INFO;
static _Atomic int log_descriptor = STDERR_FILENO;

void log_set_level(enum log_level level)
{
    atomic_store(&log_level_now, (int)level);
}

void log_set_descriptor(int fd)
{
    atomic_store(&log_descriptor, fd);
}

static const char *level_name(enum log_level level)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};

    return names[level];
}

static size_t put_time(char *out, size_t size)
{
    struct timespec now;
    struct tm utc;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    return (size_t)snprintf(out, size, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900,
                            utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                            (int)(now.tv_nsec / 1000000));
}

/* snprintf says what it wanted to write; keep to what is there. */
static size_t advance(size_t at, int wanted, size_t size)
{
    if (wanted < 0)
        return at;
    return at + (size_t)wanted < size ? at + (size_t)wanted : size - 1;
}

void log_event(enum log_level level, const char *event, const char *format, ...)
{
    char line[LOG_LINE_BYTES_MAX];
    size_t room = sizeof(line) - 1; /* the newline's place */
    size_t at;
    int saved_errno = errno;
    va_list arguments;

    if ((int)level > atomic_load(&log_level_now))
        return;
    at = put_time(line, room);
    at = advance(at, snprintf(line + at, room - at, " %s %s ", level_name(level), event), room);
    va_start(arguments, format);
    at = advance(at, vsnprintf(line + at, room - at, format, arguments), room);
    va_end(arguments);
    for (size_t i = 0; i < at; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    line[at++] = '\n';
    /* A log that cannot be written must not stop what is being logged. */
    (void)!write(atomic_load(&log_descriptor), line, at);
    errno = saved_errno;
}

const char *log_value(char out[LOG_VALUE_BYTES_MAX], const char *text)
{
    size_t at = 0;

    if (*text && !strpbrk(text, " \"=\\") && strlen(text) < LOG_VALUE_BYTES_MAX) {
        memcpy(out, text, strlen(text) + 1);
        return out;
    }
    out[at++] = '"';
    for (; *text && at < LOG_VALUE_BYTES_MAX - 3; text++) {
        if (*text == '"' || *text == '\\')
            out[at++] = '\\';
        out[at++] = *text;
    }
    out[at++] = '"';
    out[at] = 0;
    return out;
}

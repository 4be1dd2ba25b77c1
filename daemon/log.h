/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_LOG_H
#define TORG_DAEMON_LOG_H

/*
 * One line for each decision, where it is made: time, level, event, then
 * key=value pairs; values with spaces are quoted. To standard error, which the
 * service manager keeps. Never a visitor's position or search text. Any thread.
 *   2026-11-21T09:00:00.123Z warn peer.refused peer=arjeplog err="not trusted"
 *
 * A line is one write(2), at most LOG_LINE_BYTES_MAX long (cut if longer), so
 * lines of two threads never mix; control characters come out as '?', so that
 * what a peer says cannot forge a line.
 */
enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

#define LOG_LINE_BYTES_MAX 1024
#define LOG_VALUE_BYTES_MAX 256

void log_set_level(enum log_level level);
/* event: words with dots. format gives the rest of the line, without a newline. */
void log_event(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * text as a value: itself, or in quotes if it is empty or has a space, quote or
 * equals sign; cut to fit. For texts that others chose:
 *   char value[LOG_VALUE_BYTES_MAX];
 *   log_event(LOG_WARN, "peer.closed", "peer=%s says=%s", name, log_value(value, text));
 */
const char *log_value(char out[LOG_VALUE_BYTES_MAX], const char *text);

/* Where lines go: standard error unless a test says otherwise. */
void log_set_descriptor(int fd);

#endif

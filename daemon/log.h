/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_LOG_H
#define TORG_DAEMON_LOG_H

/*
 * One line for each decision, where it is made: time, level, event, then
 * key=value pairs; values with spaces are quoted. To standard error, which the
 * service manager keeps. Never a visitor's position or search text. Any thread.
 *   2026-11-21T09:00:00.123Z warn peer.refused peer=arjeplog err="not trusted"
 */
enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);
/* event: words with dots. format gives the rest of the line, without a newline. */
void log_event(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif

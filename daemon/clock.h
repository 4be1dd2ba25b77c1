/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_CLOCK_H
#define TORG_DAEMON_CLOCK_H

#include <stdint.h>

/*
 * The two clocks of the machine; the layers below get what they say as a
 * number. Any thread.
 *
 * monotonic  since the machine started: for spans and deadlines
 * wall       since 1970, UTC: for what others read; it may jump
 */
int64_t clock_monotonic_ms(void);
int64_t clock_monotonic_us(void);
int64_t clock_wall_ms(void);

#endif

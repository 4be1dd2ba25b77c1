/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_CLOCK_H
#define TORG_DAEMON_CLOCK_H

#include <pthread.h>
#include <stdbool.h>
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

/*
 * A condition that threads wait for by the monotonic clock: setting the wall clock makes no wait
 * longer. The caller ends it with pthread_cond_destroy.
 */
void clock_cond_init(pthread_cond_t *cond);
/* mutex held. Like any wait it may end without a reason; false: until_ms (monotonic) has come. */
bool clock_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_ms);

#endif

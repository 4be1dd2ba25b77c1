/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_LOOP_H
#define TORG_DAEMON_LOOP_H

#include <event2/event.h>

#include "protocol/err.h"

/*
 * An event base with a bounded mailbox: how threads meet. Each thread owns one
 * loop and everything libevent on it; others only post.
 */
struct loop;

enum torg_err loop_new(size_t mailbox_max, struct loop **ret_loop);
/*
 * After its thread has ended and nobody posts any more. Functions that still
 * lie in the mailbox run here first, in the caller's thread: an answer always
 * arrives, so its context is never lost. The owner's own events on the base must
 * have been freed. NULL is accepted.
 */
void loop_free(struct loop *loop);
struct event_base *loop_base(struct loop *loop);
/*
 * Runs until loop_stop; once, in the thread that owns it. A stop that came
 * before makes it return after one turn. TORG_E_INTERNAL if libevent gives up.
 */
enum torg_err loop_run(struct loop *loop);
/* Any thread, and from a signal event. What was posted before it still runs. */
void loop_stop(struct loop *loop);

/* Run function(context) in the loop's thread, in order. TORG_E_BUSY when full. Any thread. */
typedef void loop_function(void *context);
enum torg_err loop_post(struct loop *loop, loop_function *function, void *context);
/*
 * Like loop_post, but never refused: for answers to something that the loop
 * itself asked for, whose number it bounds. TORG_E_NOMEM aborts the process.
 */
void loop_answer(struct loop *loop, loop_function *function, void *context);

#endif

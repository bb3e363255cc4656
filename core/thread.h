/* core/thread.h - starting threads, and waiting or napping for a while.
 *
 * Any thread may call these. */
#ifndef VF_CORE_THREAD_H
#define VF_CORE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

/* Starts run(arg) with all signals blocked: those are for the program's own threads.  The thread is
 * to be joined or detached.  0 with *ret, or -1. */
int vf_thread_start(pthread_t *ret, void *(*run)(void *), void *arg,
                    struct vf_error *err) VF_MUST_CHECK;

/* The same for one of many: with a stack of that many bytes, and a name (15 characters at most)
 * that debuggers show. */
int vf_thread_start_small(pthread_t *ret, const char *name, size_t stack, void *(*run)(void *),
                          void *arg, struct vf_error *err) VF_MUST_CHECK;

/* Waits for a signal to cond (one with default attributes), with lock held: ms at most (below 0:
 * 0), or until vf_clock_ms() is at_ms.  The time of day does not matter.  True: woken, or for no
 * reason; false: the time has passed.  Either way the caller looks again at what it waits for. */
bool vf_thread_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t ms);
bool vf_thread_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t at_ms);

/* Sleeps that many milliseconds (below 1: not at all); a signal cuts it short, so that the caller
 * looks again at what it waits for.  For what has no condition to wait for: a file, another
 * program, a peer. */
void vf_thread_nap(int64_t ms);

#endif

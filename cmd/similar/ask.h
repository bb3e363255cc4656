/* cmd/similar/ask.h - many nodes asked at the same time, none of them waited for longer than
 * agreed.
 *
 * Each node is a job of a worker thread.  A job gets a struct vf_cli of its own, whose stop flag is
 * raised when the user wants to stop, when another job ended everything, or when the job's time is
 * over; what connects and talks looks at that flag anyway (cmd/peer.h).
 *
 * Thread rules: vf_ask_all belongs to one thread; jobs run in others, each in one. */
#ifndef VF_CMD_SIMILAR_ASK_H
#define VF_CMD_SIMILAR_ASK_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

struct vf_cli;
struct vf_ask_job;

#define VF_ASK_PARALLEL 32u /* connections at the same time at most */
#define VF_ASK_DEADLINE 10u /* seconds, default */

/* Job number i; job is valid until return.  A node that does not answer is the job's result, not
 * its failure: -1 ends all jobs, with the first one's *err. */
typedef int vf_ask_fn(void *ctx, size_t i, struct vf_ask_job *job, struct vf_error *err);

struct vf_ask {
    const struct vf_cli *cli;
    size_t n;
    unsigned parallel; /* 0: VF_ASK_PARALLEL */
    double deadline;   /* seconds for each job from its start; 0: none */
    vf_ask_fn *fn;
    void *ctx;
};

/* Runs all jobs and waits for them.  0, or -1: what a job said, VF_ERR_CANCELLED when the user
 * stopped it, VF_ERR_NOMEM. */
int vf_ask_all(const struct vf_ask *ask, struct vf_error *err) VF_MUST_CHECK;

/* For jobs: what to talk with, in place of the caller's own. */
const struct vf_cli *vf_ask_cli(const struct vf_ask_job *job);

/* From a job: the node has answered, its deadline does not hold any more. */
void vf_ask_met(struct vf_ask_job *job);

/* From a job: the node has begun to answer, from now on it has so many seconds. */
void vf_ask_more(struct vf_ask_job *job, double seconds);

/* From a job that failed: if its time was over, *why becomes VF_ERR_TIMEOUT and says so.  0: it is
 * the node's result, and may be noted; -1 with *err: it ends all jobs (interrupted, no memory). */
int vf_ask_failed(const struct vf_ask_job *job, struct vf_error *why,
                  struct vf_error *err) VF_MUST_CHECK;

#endif

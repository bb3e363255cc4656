/* service/workers.h - threads that read files, one file each at a time.
 *
 * Thread rules: belongs to one thread; run is called by the workers. */
#ifndef VF_SERVICE_WORKERS_H
#define VF_SERVICE_WORKERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "service/keeper.h"

#define VF_WORKERS_MAX 16u

/* Reads the file and fills *ret; job is borrowed.  progress: bytes read so far. */
typedef void vf_work_fn(void *ctx, const struct vf_job *job, _Atomic uint64_t *progress,
                        struct vf_job_result *ret);

struct vf_workers;
/* At most n files at a time.  Threads are started when they are needed, at the lowest priority. */
struct vf_workers *vf_workers_new(unsigned n, vf_work_fn *run, void *ctx, struct vf_error *err);
/* Waits for all of them: the caller tells run to stop by a way of its own.  NULL is fine. */
void vf_workers_free(struct vf_workers *w);
void vf_workers_limit(struct vf_workers *w, unsigned n); /* for jobs from now on */

/* Readable when some job has ended. */
int vf_workers_fd(const struct vf_workers *w);
bool vf_workers_free_one(struct vf_workers *w); /* may another job be given? */
unsigned vf_workers_busy(struct vf_workers *w);

/* Takes the job.  0, or -1 (no thread): the job is still the caller's. */
int vf_workers_give(struct vf_workers *w, const struct vf_job *job,
                    struct vf_error *err) VF_MUST_CHECK;
/* A job that has ended: true, and *ret_job is owned. */
bool vf_workers_collect(struct vf_workers *w, struct vf_job *ret_job, struct vf_job_result *ret);

/* What worker i has in hand: false: nothing.  path is valid until the job is collected. */
bool vf_workers_at(struct vf_workers *w, unsigned i, const char **ret_path, bool *ret_moving,
                   uint64_t *ret_bytes);

#endif

/* cmd/indexd/indexd.h - what the parts of the service's verb share.
 *
 * Thread rules: all of it belongs to the main thread; vf_indexd_work runs in workers and uses only
 * what is said to be theirs as well. */
#ifndef VF_CMD_INDEXD_INDEXD_H
#define VF_CMD_INDEXD_INDEXD_H

#include <pthread.h>
#include <stdatomic.h>

#include "cmd/cmd.h"
#include "cmd/storedir.h"
#include "hypervisor/view.h"
#include "index/index.h"
#include "service/daemon.h"
#include "service/pace.h"

#define VF_INDEXD_SOCKET "indexd.sock" /* in STORE/run */

struct vf_indexd {
    const struct vf_cli *cli;
    struct vf_storedir *store; /* main thread only */
    char *root;                /* of the store, without links; workers read it */
    struct vf_index *index;    /* workers, too */
    struct vf_pace *pace;      /* workers, too */
    int store_fd;              /* workers, too */
    int run_fd, lock_fd;
    bool journal;
    volatile int stop;                    /* workers, too */
    char *group;                          /* of new images; workers read it between take and done */
    bool read_guests, checkpoints;        /* and the next: what vf_readguest_opts says */
    struct vf_view_opts views;            /* with texts of its own */
    pthread_mutex_t lock;                 /* guards the four above */
    struct vf_daemon *daemon;             /* while it runs */
    _Atomic uint64_t indexed, read_bytes; /* workers, too */
    double start;
    int64_t start_wall;
    char *avoid[3];
    char *dirs[VF_INDEXD_WORDS + 1]; /* borrowed texts */
    char metrics_why[240];           /* reported already */
};

/* ---- indexd_work.c: what the keeper and the workers ask for; ctx is the struct vf_indexd ---- */

extern const struct vf_keeper_ops vf_indexd_keeper_ops;
void vf_indexd_work(void *ctx, const struct vf_job *job, _Atomic uint64_t *progress,
                    struct vf_job_result *ret);
void vf_indexd_log(void *ctx, enum vf_log_level level, const char *text);

/* ---- indexd_report.c ---- */

/* The status as JSON (owned), NULL when memory is out. */
json_t *vf_indexd_status(struct vf_indexd *x);
char *vf_indexd_answer(void *ctx, const char *question, const char **ret_type);
/* Metrics file and systemd's status line. */
void vf_indexd_tick(void *ctx);

#endif

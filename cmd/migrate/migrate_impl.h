/* cmd/migrate/migrate_impl.h - what the files of `migrate` share; nobody else includes it.
 *
 * Thread rules: belongs to the main thread. */
#ifndef VF_CMD_MIGRATE_MIGRATE_IMPL_H
#define VF_CMD_MIGRATE_MIGRATE_IMPL_H

#include <stdbool.h>
#include <stdint.h>

#include "cmd/cmd.h"
#include "cmd/opts.h"
#include "cmd/origin.h"
#include "cmd/peer.h"
#include "cmd/similar/aside.h"
#include "cmd/similar/plan.h"
#include "cmd/storedir.h"
#include "cmd/vm/vm.h"
#include "core/engine/engine.h"

/* What was asked for. */
struct vf_migrate_opts {
    struct vf_origin_opts origin;
    struct vf_reach reach;
    struct vf_vm_opts vm;
    const char *to, *as, *to_format, *group, *compress, *streams, *limit_file;
    struct vf_opt_list nodes;
    uint64_t limit_rate; /* bytes per second, 0: none */
    uint64_t memory;     /* bytes, 0: as the settings say */
    uint64_t deadline;   /* seconds, 0: default */
    bool dry_run, replace;
};

/* One run of the command. */
struct vf_migrate {
    struct vf_cli *cli;
    const struct vf_migrate_opts *opts;
    struct vf_storedir *store;
    struct vf_index *index;
    struct vf_origin image;
    char *name;         /* at the destination; owned */
    const char *format; /* at the destination */
    const char *group;
    int level;
    unsigned streams;      /* 0: auto */
    struct vf_plan plan;   /* with --to auto and --dry-run */
    struct vf_aside aside; /* the map of a dry run */
    const char *label;     /* of the node that it goes to */
    const struct vf_target *target;
    struct vf_target named; /* without --to auto */
    double start;
    /* results */
    uint64_t data_blocks; /* that were offered */
    struct vf_send_result result;
    struct vf_stream_stats wire;
    double seconds;
};

/* ---- migrate_prepare.c: what goes where ---- */

/* Opens the store and its index. */
int vf_migrate_open(struct vf_migrate *m, struct vf_error *err) VF_MUST_CHECK;

/* The node that --to names, which is not "auto". */
int vf_migrate_resolve(struct vf_migrate *m, struct vf_error *err) VF_MUST_CHECK;

/* Opens store, node and image, chooses the name there, and with --to auto or --dry-run makes the
 * plan. */
int vf_migrate_prepare(struct vf_migrate *m, const char *operand,
                       struct vf_error *err) VF_MUST_CHECK;

/* Seconds for the answer of a node that is asked. */
double vf_migrate_deadline(const struct vf_migrate *m);

/* Bytes of this side at most. */
uint64_t vf_migrate_memory(const struct vf_migrate *m);

/* ---- migrate_send.c: one migration ---- */

/* Connects, sends, and reports; after vf_migrate_prepare. */
int vf_migrate_send(struct vf_migrate *m, struct vf_error *err) VF_MUST_CHECK;

/* ---- migrate_report.c: what is said in the end ---- */

/* Of a migration that is done. */
int vf_migrate_report(struct vf_migrate *m, struct vf_error *err) VF_MUST_CHECK;

/* What a migration would do, in the words of its report. */
int vf_migrate_dry_run(struct vf_migrate *m, struct vf_error *err) VF_MUST_CHECK;

#endif

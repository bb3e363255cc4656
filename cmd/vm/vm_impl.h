/* cmd/vm/vm_impl.h - what the files of `migrate --vm` share; nobody else includes it. */
#ifndef VF_CMD_VM_VM_IMPL_H
#define VF_CMD_VM_VM_IMPL_H

#include "cmd/cmd.h"
#include "cmd/guest/ahead.h"
#include "cmd/guest/guest_dir.h"
#include "cmd/guest/guest_far.h"
#include "cmd/marker.h"
#include "cmd/vm/vm.h"
#include "cmd/vm/vm_choose.h"
#include "cmd/vm/vm_tries.h"
#include "core/engine/engine.h"

/* What became of one disk; summed up over bulk and rounds. */
struct vf_vm_disk {
    struct vf_map_info info; /* of the bulk */
    struct vf_msg_result peer;
    uint64_t literal_sent;
};

struct vf_vm {
    const struct vf_vm_request *req; /* as asked; then own, with the target that was chosen */
    struct vf_vm_request own;
    struct vf_vm_choice choice;
    struct vf_cli *cli;
    struct vf_cli steady; /* as cli, but nothing that the user does stops what runs with it */
    struct vf_guest_dir dir;
    json_t *job; /* move.json */
    struct vf_guest *guest;
    struct vf_guest_info info;
    struct vf_vm_disk *disk; /* as many as info has */
    struct vf_guest_far *far;
    struct vf_target there; /* of the job, see vf_vm_go_there */
    struct vf_ahead *ahead; /* the connection for the first disk */
    char *ahead_group;
    struct vf_ratelimit *limit;
    struct vf_ratefile *follow;
    struct vf_marker marker; /* the sign for those who work in the background */
    struct vf_hand_off_result result;
    struct vf_progress *progress;
    struct vf_vm_counts count;
    double start, follow_seconds, seconds;
    bool rejoined; /* an earlier try had let the guest go: its memory was brought over, and that is
                      all */
    int64_t left;  /* of the guest here, as vf_guest_ops.finish says; -1 */
    const char *running_at; /* "source", "destination", "unknown" */
};

/* ---- cmd/vm/vm_open.c ---- */

/* Zeroes it, and fills in what follows from the request. */
void vf_vm_set_up(struct vf_vm *vm, const struct vf_vm_request *req);

/* Opens the guest's directory and takes its lock; *ret_job (may be NULL): what an earlier try
 * noted. */
int vf_vm_open_dir(struct vf_vm *vm, bool lock, json_t **ret_job,
                   struct vf_error *err) VF_MUST_CHECK;
int vf_vm_open_guest(struct vf_vm *vm, const json_t *job, struct vf_error *err) VF_MUST_CHECK;

/* Closes and frees all of it; outcome: NULL when all went well. */
void vf_vm_close(struct vf_vm *vm, const struct vf_error *outcome);

/* ---- cmd/vm/vm_question.c ---- */

/* Is memory to follow the guest? */
bool vf_vm_wants_postcopy(const struct vf_vm *vm);

/* What the far half is asked with "check" (cmd/guest/guest_serve.c); new reference, NULL on error.
 */
json_t *vf_vm_question(const struct vf_vm *vm, bool dry_run, struct vf_error *err);

/* ---- cmd/vm/vm_disks.c ---- */

/* What becomes of each disk, and what it is called there. */
int vf_vm_choose_disks(struct vf_vm *vm, struct vf_error *err) VF_MUST_CHECK;

/* Bytes that a disk may need at the far store, as far as that can be told without reading it; 0:
 * not known, or none. */
uint64_t vf_vm_disk_bytes(const struct vf_vm *vm, size_t i);

/* Sends what a freeze made stand still. */
int vf_vm_send_frozen(struct vf_vm *vm, const struct vf_frozen *frozen,
                      struct vf_error *err) VF_MUST_CHECK;

/* Opens the connection for the first disk in the background. */
void vf_vm_connect_ahead(struct vf_vm *vm);

/* Directory for the overlays; NULL: beside the disks. */
const char *vf_vm_overlay_dir(const struct vf_vm *vm);

/* The disks at the source when the guest is gone: indexed, or removed. */
void vf_vm_settle_disks(struct vf_vm *vm);

/* ---- cmd/vm/vm_delta.c ---- */

/* Sends what an overlay holds, and has it written on the far image. */
int vf_vm_send_delta(struct vf_vm *vm, size_t i, const struct vf_frozen *frozen,
                     struct vf_error *err) VF_MUST_CHECK;

/* ---- cmd/vm/vm_job.c ---- */

/* move.json: notes the phase ("disks", "memory", "commit", "postcopy", "finish") durably. */
int vf_vm_note(struct vf_vm *vm, const char *phase, struct vf_error *err) VF_MUST_CHECK;

/* ---- cmd/vm/vm_there.c ---- */

/* Asks the far end whether it runs the guest whose commit point was passed, until it answers or
 * the time is over.  1: it runs there; 0: it does not and never will; -1: not known. */
int vf_vm_resolve(struct vf_vm *vm, int seconds, struct vf_error *err) VF_MUST_CHECK;

/* Connects to where the job went: vm->far, until vf_vm_leave_there. */
int vf_vm_go_there(struct vf_vm *vm, const json_t *job, struct vf_error *err) VF_MUST_CHECK;
void vf_vm_leave_there(struct vf_vm *vm);

/* An earlier try had passed its commit point and did not learn what came of it: does the guest run
 * there? */
int vf_vm_ask_there(struct vf_vm *vm, const json_t *job, bool *ret_finished,
                    struct vf_error *err) VF_MUST_CHECK;

/* The guest did not go: the far end need not keep it any more.  If it cannot be told, the next try
 * does. */
void vf_vm_drop_there(struct vf_vm *vm, const json_t *job);

/* The QEMU here has ended: had all of the memory come there by then? */
int vf_vm_whole_there(struct vf_vm *vm, const json_t *job, bool *ret,
                      struct vf_error *err) VF_MUST_CHECK;

/* ---- cmd/vm/vm_follow.c ---- */

/* The guest runs there, and the rest of its memory follows: waits for that, over new connections
 * when the line breaks.  again: this process has not handed it off, or its tunnels have ended.  -1:
 * the message says what to do. */
int vf_vm_follow(struct vf_vm *vm, bool again, struct vf_error *err) VF_MUST_CHECK;

/* The same for what an earlier try has left; vm->job is that. */
int vf_vm_rejoin(struct vf_vm *vm, struct vf_error *err) VF_MUST_CHECK;

/* ---- cmd/vm/vm_left.c ---- */

/* Folds the overlays of the disks that the job names, whose QEMU has ended. */
int vf_vm_fold_left(const json_t *job, struct vf_error *err) VF_MUST_CHECK;

/* What an earlier try has left is undone, or finished (*ret_finished). */
int vf_vm_clear(struct vf_vm *vm, const json_t *job, bool *ret_finished,
                struct vf_error *err) VF_MUST_CHECK;

/* What the guest has left here is ended, after its commit point; says what cannot be. */
int vf_vm_end_here(struct vf_vm *vm, struct vf_error *err) VF_MUST_CHECK;

/* The guest runs there, as its job says, and has no memory here any more: what is left is cleaned.
 */
int vf_vm_clean_finished(struct vf_vm *vm, const json_t *job, struct vf_error *err) VF_MUST_CHECK;

/* ---- cmd/vm/vm_hooks.c ---- */

/* Runs the programs in the hooks directory, in the order of their names, with the arguments EVENT
 * and the guest's name.  "before": one that fails stops the move. */
int vf_vm_hooks(struct vf_vm *vm, const char *event, struct vf_error *err);

/* ---- cmd/vm/vm_report.c ---- */

int vf_vm_report(struct vf_vm *vm, struct vf_error *err) VF_MUST_CHECK;

/* The number of a process here that should have ended, 0 when that is not known; null as a rule. */
json_t *vf_vm_left_json(const struct vf_vm *vm);

/* Of a run that has only brought over the memory that an earlier one had left. */
int vf_vm_report_rejoined(struct vf_vm *vm, struct vf_error *err) VF_MUST_CHECK;

#endif

/* cmd/vm/vm.h - `migrate --vm`: moves a guest with its disks.
 *
 * Thread rules: belongs to the main thread. */
#ifndef VF_CMD_VM_VM_H
#define VF_CMD_VM_VM_H

#include "cmd/opts.h"
#include "cmd/origin.h"
#include "cmd/peer.h"
#include "cmd/storedir.h"

struct vf_cli;

/* Options that only `migrate --vm` has. */
struct vf_vm_opts {
    const char *vm, *qmp, *connect, *hooks;
    struct vf_opt_list leave;
    uint64_t max_downtime, rounds; /* ms; freezes at most */
    bool offline, auto_converge, postcopy, remove_source, status, abort;
};

#define VF_VM_OPTS(type, field)                                                                    \
    {"vm",        0,                                                                               \
     VF_OPT_TEXT, offsetof(type, field.vm),                                                        \
     "NAME",      "move this running guest with all its disks",                                    \
     0,           0,                                                                               \
     NULL},                                                                                        \
        {"qmp",       0,                                                                           \
         VF_OPT_TEXT, offsetof(type, field.qmp),                                                   \
         "SOCKET",    "with --vm: the QMP socket of its QEMU; without it a domain of libvirt",     \
         0,           0,                                                                           \
         NULL},                                                                                    \
        {"connect",   0,                                                                           \
         VF_OPT_TEXT, offsetof(type, field.connect),                                               \
         "URI",       "with --vm: libvirt's, default qemu:///system",                              \
         0,           0,                                                                           \
         NULL},                                                                                    \
        {"offline",   0,                                                                           \
         VF_OPT_FLAG, offsetof(type, field.offline),                                               \
         NULL,        "with --vm: the guest is shut off; move its disks and definition",           \
         0,           0,                                                                           \
         NULL},                                                                                    \
        {"leave",     0,                                                                           \
         VF_OPT_LIST, offsetof(type, field.leave),                                                 \
         "DISK",      "with --vm: do not move this disk, it is shared",                            \
         0,           0,                                                                           \
         NULL},                                                                                    \
        {"rounds",                                                                                 \
         0,                                                                                        \
         VF_OPT_NUMBER,                                                                            \
         offsetof(type, field.rounds),                                                             \
         "N",                                                                                      \
         "with --vm: send what changed meanwhile so often at most",                                \
         1,                                                                                        \
         60,                                                                                       \
         NULL},                                                                                    \
        {"max-downtime",                                                                           \
         0,                                                                                        \
         VF_OPT_NUMBER,                                                                            \
         offsetof(type, field.max_downtime),                                                       \
         "MS",                                                                                     \
         "with --vm: let the guest stand still for about so long",                                 \
         1,                                                                                        \
         600000,                                                                                   \
         NULL},                                                                                    \
        {"auto-converge",                                                                          \
         0,                                                                                        \
         VF_OPT_FLAG,                                                                              \
         offsetof(type, field.auto_converge),                                                      \
         NULL,                                                                                     \
         "with --vm: slow a guest down that writes memory too fast",                               \
         0,                                                                                        \
         0,                                                                                        \
         NULL},                                                                                    \
        {"postcopy",  0,                                                                           \
         VF_OPT_FLAG, offsetof(type, field.postcopy),                                              \
         NULL,        "with --vm: let it run there before all memory is",                          \
         0,           0,                                                                           \
         NULL},                                                                                    \
        {"remove-source",                                                                          \
         0,                                                                                        \
         VF_OPT_FLAG,                                                                              \
         offsetof(type, field.remove_source),                                                      \
         NULL,                                                                                     \
         "with --vm: do not keep the disks here",                                                  \
         0,                                                                                        \
         0,                                                                                        \
         NULL},                                                                                    \
        {"hooks",     0,                                                                           \
         VF_OPT_TEXT, offsetof(type, field.hooks),                                                 \
         "DIR",       "with --vm: programs to run before and after; default /etc/vmferry/hooks",   \
         0,           0,                                                                           \
         NULL},                                                                                    \
        {"status",    0,                                                                           \
         VF_OPT_FLAG, offsetof(type, field.status),                                                \
         NULL,        "with --vm: say how far its move is",                                        \
         0,           0,                                                                           \
         NULL},                                                                                    \
    {                                                                                              \
        "abort", 0, VF_OPT_FLAG, offsetof(type, field.abort), NULL,                                \
            "with --vm: undo its move, also one that was killed", 0, 0, NULL                       \
    }

/* What is asked for; all borrowed. */
struct vf_vm_request {
    struct vf_cli *cli;
    const struct vf_vm_opts *opts;
    const struct vf_reach *reach;
    const struct vf_origin_opts *origin;
    struct vf_storedir *store;
    struct vf_index *index;
    const struct vf_target *target; /* NULL with --status and --abort, and when it is chosen */
    const char *label;              /* of the target */
    bool choose;                    /* the best of nodes; none: of the inventory */
    struct vf_opt_list nodes;
    double deadline;               /* seconds */
    const char *group, *to_format; /* may be NULL */
    uint64_t limit_rate;
    const char *limit_file; /* --limit-rate-file, may be NULL */
    unsigned streams;       /* 0: auto */
    int level;              /* as struct vf_send_opts, and so memory */
    uint64_t memory;
    bool replace, dry_run;
};

/* Moves the guest, and sets the report.  0, or -1: the message says where the guest runs if there
 * can be any doubt. */
int vf_vm_migrate(const struct vf_vm_request *req, struct vf_error *err) VF_MUST_CHECK;

/* --status and --abort. */
int vf_vm_status(const struct vf_vm_request *req, struct vf_error *err) VF_MUST_CHECK;
int vf_vm_abort(const struct vf_vm_request *req, struct vf_error *err) VF_MUST_CHECK;

#endif

/* cmd/sandbox.h - what `serve` gives up before it reads the first byte of a peer.
 *
 *   resource limits  no core file (it could hold other tenants' blocks), enough descriptors
 *   no new rights    programs started from here gain nothing from set-user-id bits
 *   Landlock         writes only below the directories named here; reading stays possible, because
 *                    resident images may lie anywhere
 *   seccomp          no sockets but local ones, no ptrace, mounts, modules, BPF, namespaces, clocks
 *
 * Each part is inherited by the programs that serve starts (qemu-img, qemu-nbd), and is left out
 * where the kernel does not offer it.
 *
 * Thread rules: from the main thread, before any other thread exists. */
#ifndef VF_CMD_SANDBOX_H
#define VF_CMD_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

/* What is in force. */
struct vf_sandbox {
    bool limits, no_new_privs, landlock, seccomp;
};

/* dirs: absolute paths of the n directories that may be written below.  0, or -1 when something
 * that the kernel offers could not be set up. */
int vf_sandbox_enter(const char *const dirs[], size_t n, struct vf_sandbox *ret,
                     struct vf_error *err) VF_MUST_CHECK;

#endif

/* cmd/guest/guest_dir.h - STORE/run/vm-NAME: what a store keeps of a guest that moves in or out.
 *
 *   lock        held by whoever moves the guest in or out
 *   guest.json  of a guest that came or is coming: who it is, its disks, whether it has arrived
 *   move.json   of a guest that is leaving: how far that is
 *   qmp, log    of a QEMU that was started here
 *
 * Thread rules: belongs to one thread. */
#ifndef VF_CMD_GUEST_GUEST_DIR_H
#define VF_CMD_GUEST_GUEST_DIR_H

#include <jansson.h>

#include "cmd/storedir.h"

struct vf_guest_dir {
    char *path; /* absolute */
    int fd, lock_fd;
};

/* Makes the directory (0700) and opens it; name was checked.  0, or -1. */
int vf_guest_dir_open(const struct vf_storedir *store, const char *name, struct vf_guest_dir *ret,
                      struct vf_error *err) VF_MUST_CHECK;

/* Takes the lock.  VF_ERR_BUSY: somebody else moves it. */
int vf_guest_dir_lock(struct vf_guest_dir *d, struct vf_error *err) VF_MUST_CHECK;

/* file: "guest.json" or "move.json".  A new reference; NULL: VF_ERR_NOTFOUND, or damaged. */
json_t *vf_guest_dir_load(const struct vf_guest_dir *d, const char *file, struct vf_error *err);

/* Durably, at once. */
int vf_guest_dir_save(const struct vf_guest_dir *d, const char *file, const json_t *obj,
                      struct vf_error *err) VF_MUST_CHECK;
void vf_guest_dir_remove(const struct vf_guest_dir *d, const char *file);

/* Closes; the holder of the lock removes sockets (*.out) unless a move is noted (move.json), and
 * the directory when nothing but the lock is in it.  A zeroed one is fine after VF_GUEST_DIR_INIT.
 */
void vf_guest_dir_close(struct vf_guest_dir *d);
#define VF_GUEST_DIR_INIT                                                                          \
    {                                                                                              \
        NULL, -1, -1                                                                               \
    }

#endif

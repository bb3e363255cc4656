/* cmd/guest/guest_left.h - what a move has left here that was to bring a guest, and whose far end
 * was killed or ended with its machine: guest.json, its disks under their names, perhaps a QEMU.
 *
 * Thread rules: belongs to one thread. */
#ifndef VF_CMD_GUEST_GUEST_LEFT_H
#define VF_CMD_GUEST_GUEST_LEFT_H

#include <jansson.h>

#include "cmd/guest/guest_dir.h"
#include "cmd/guest/guest_serve.h"

/* Before the next move of that guest, under its directory's lock: dropped.  ret_spare not NULL:
 * only looked at, and the names of the images are appended that would make way.  0, or -1:
 * VF_ERR_EXISTS, a guest of that name is here; VF_ERR_DENIED, its group is not granted. */
int vf_guest_left_clear(const struct vf_guest_serve *s, const struct vf_guest_dir *dir,
                        json_t *ret_spare, struct vf_error *err) VF_MUST_CHECK;

/* The same when somebody at this node asks for it; doc: guest.json.  0, or -1: VF_ERR_NOTFOUND, the
 * guest has come here; VF_ERR_BUSY, it may be the only one. */
int vf_guest_left_drop(const struct vf_guest_serve *s, json_t *doc,
                       struct vf_error *err) VF_MUST_CHECK;

#endif

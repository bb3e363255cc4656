/* hypervisor/room.h - is there memory for a guest that is to come?
 *
 * Any thread. */
#ifndef VF_HYPERVISOR_ROOM_H
#define VF_HYPERVISOR_ROOM_H

#include <stdint.h>

#include "core/error.h"

/* need: bytes.  0: it can be had without swapping, or that is not known; -1: VF_ERR_SPACE. */
int vf_room_check(uint64_t need, struct vf_error *err) VF_MUST_CHECK;

#endif

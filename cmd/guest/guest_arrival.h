/* cmd/guest/guest_arrival.h - guest.json of the far end: a guest that is coming or has come.
 *
 * Thread rules: belongs to one thread. */
#ifndef VF_CMD_GUEST_GUEST_ARRIVAL_H
#define VF_CMD_GUEST_GUEST_ARRIVAL_H

#include <stdbool.h>

#include "cmd/guest/guest_dir.h"
#include "cmd/guest/guest_serve.h"

struct vf_guest_arrival {
    const struct vf_guest_serve *s;
    struct vf_guest_dir dir;
    json_t *doc; /* guest.json: what check was asked with, and "group", "token", "promised",
                    "committed", "made", "replaced" */
    struct vf_arrival_settings settings;
    struct vf_arrival_info info;
    struct vf_arrival_disk *disk;
    struct vf_arrival *arrival;
};

/* From doc (a reference is taken): a question's object, or a stored one.  Checks all of it.
 * VF_ERR_DENIED: its group is not granted here. */
int vf_guest_arrival_open(struct vf_guest_arrival *a, const struct vf_guest_serve *s, json_t *doc,
                          bool lock, struct vf_error *err) VF_MUST_CHECK;
void vf_guest_arrival_close(struct vf_guest_arrival *a); /* a zeroed one is fine */

/* It may soon be the only one: what has come of it is kept when the source is lost. */
bool vf_guest_arrival_promised(const struct vf_guest_arrival *a);
int vf_guest_arrival_promise(struct vf_guest_arrival *a, struct vf_error *err) VF_MUST_CHECK;

bool vf_guest_arrival_committed(const struct vf_guest_arrival *a);
int vf_guest_arrival_save(struct vf_guest_arrival *a, struct vf_error *err) VF_MUST_CHECK;

/* The name of a copied disk's image, in the directory of images. */
const char *vf_guest_arrival_name(const struct vf_arrival_disk *d);

/* Has this move put the image of disk i there, which is copied?  Until then the guest must not get
 * it, nor a delta be written on it: VF_ERR_DENIED. */
int vf_guest_arrival_has(const struct vf_guest_arrival *a, size_t i,
                         struct vf_error *err) VF_MUST_CHECK;

/* Removes the delta of a disk (guest_apply.h), whole or not. */
void vf_guest_arrival_forget_delta(const struct vf_guest_arrival *a, const char *disk);

/* May it be the only one?  Then it is kept when it is left: by a promise, or because libvirt ends
 * the guest at the source by itself as soon as it is here.  The source says what is to become of it
 * when it comes back, or asks again. */
bool vf_guest_arrival_kept(const struct vf_guest_arrival *a);

/* Appends the names of the images that drop would make parts of. */
void vf_guest_arrival_spare(const struct vf_guest_arrival *a, json_t *list);

/* The guest does not come: drops it, turns its images into parts of a next try, forgets it. */
void vf_guest_arrival_drop(struct vf_guest_arrival *a);

#endif

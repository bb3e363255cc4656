/* hypervisor/view_impl.h - what the two kinds of views share; nobody else includes it. */
#ifndef VF_HYPERVISOR_VIEW_IMPL_H
#define VF_HYPERVISOR_VIEW_IMPL_H

#include "hypervisor/view.h"

/* What the sockets, exports and scratch files of views begin with. */
#define VF_VIEW_NAME VF_VIEW_MARK "view-"

/* First member of each kind's own struct. */
struct vf_view {
    bool (*costly)(const struct vf_view *);
    void (*end)(struct vf_view *); /* frees all but the two below */
    int lock;                      /* of the guest */
    char *socket;                  /* owned */
};

/* Makes room for n more; the caller counts them. */
int vf_view_list_grow(struct vf_view_list *l, size_t n, struct vf_error *err) VF_MUST_CHECK;

/* The lock of a guest's view: its descriptor, or -1: BUSY when somebody holds it. */
int vf_view_lock(const char *uuid, struct vf_error *err) VF_MUST_CHECK;

/* libvirt_view.c */
int vf_lv_view_list(const struct vf_view_opts *o, struct vf_view_list *l,
                    struct vf_error *err) VF_MUST_CHECK;
struct vf_view *vf_lv_view_begin(const struct vf_view_opts *o, const struct vf_view_disk *disk,
                                 const struct vf_view_track *track, int lock, struct vf_error *err);
int vf_lv_views_clean(const struct vf_view_opts *o, unsigned *ret_ended,
                      struct vf_error *err) VF_MUST_CHECK;

/* qmp_view.c */
int vf_qmp_view_list(const struct vf_view_opts *o, struct vf_view_list *l,
                     struct vf_error *err) VF_MUST_CHECK;
struct vf_view *vf_qmp_view_begin(const struct vf_view_disk *disk, int lock, struct vf_error *err);
void vf_qmp_views_clean(const struct vf_view_opts *o, unsigned *ret_ended);

#endif

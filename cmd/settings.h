/* cmd/settings.h - the settings file of a store, STORE/vmferry.conf (cmd/man/vmferry.conf.5).
 *
 * Thread rules: read-only after loading. */
#ifndef VF_CMD_SETTINGS_H
#define VF_CMD_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/indexd/indexd_settings.h"
#include "core/error.h"

#define VF_SETTINGS_GROUPS 64u /* names in `groups` at most */
#define VF_SETTINGS_BYTES  65536u

struct vf_settings {
    char *images;                    /* [store] images; NULL: the store's own directory "images" */
    bool allow_replace;              /* [serve] allow-replace; default yes */
    bool accept;                     /* [serve] accept; no: only reports, nothing is received */
    char *group[VF_SETTINGS_GROUPS]; /* [serve] groups; none: every group is granted */
    size_t ngroups;
    bool narrowed; /* only those in group, even if there are none */
    uint64_t
        max_image_size; /* [serve] max-image-size, bytes of content; 0: no limit but the disk's */
    uint64_t memory;    /* [transfer] memory, bytes; 0: default */
    struct vf_indexd_settings indexd;
    char *qmp_start;     /* [qmp] start: the command that takes a guest; NULL: none are taken */
    bool libvirt_accept; /* [libvirt] accept: domains are taken */
    char *libvirt_uri;   /* [libvirt] uri; NULL: qemu:///system */
    bool libvirt_read;   /* [libvirt] read-guests: disks of running guests are read; default yes */
    bool libvirt_checkpoints; /* [libvirt] checkpoints: of them, only what changed; default no */
    char *libvirt_scratch;    /* [libvirt] scratch: directory; NULL: that of the image */
};

/* What holds when there is no file. */
void vf_settings_init(struct vf_settings *set);
void vf_settings_free(struct vf_settings *set);

/* Reads text (the whole file) into *set, which was initialised.  name is for messages.  A section
 * or name that is not known, or a bad value, is VF_ERR_USAGE with the line's place; so is a
 * `groups` without a group, as none given means all. */
int vf_settings_parse(struct vf_settings *set, const char *text, const char *name,
                      struct vf_error *err) VF_MUST_CHECK;

/* May a peer use this sharing group? */
bool vf_settings_grants(const struct vf_settings *set, const char *group);

/* Only those of `groups` ("a, b"; "default" is the group without a name) are granted from now on,
 * and of these only those that were.  An empty list, and a bad name, is VF_ERR_USAGE. */
int vf_settings_narrow(struct vf_settings *set, const char *groups,
                       struct vf_error *err) VF_MUST_CHECK;

#endif

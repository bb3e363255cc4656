/* hypervisor/info.c - releases what describe and freeze have filled. */
#include <stdlib.h>
#include <string.h>

#include "hypervisor/hypervisor.h"

void vf_guest_info_free(struct vf_guest_info *i)
{
    for (size_t d = 0; d < i->ndisks; d++) {
        free(i->disk[d].id);
        free(i->disk[d].path);
        free(i->disk[d].format);
        free(i->disk[d].name);
    }
    for (size_t f = 0; f < i->nfiles; f++) {
        free(i->file[f].role);
        free(i->file[f].path);
    }
    free(i->disk);
    free(i->file);
    free(i->name);
    free(i->uuid);
    free(i->machine);
    free(i->version);
    json_decref(i->definition);
    memset(i, 0, sizeof *i);
}

void vf_frozen_free(struct vf_frozen *f, size_t n)
{
    for (size_t i = 0; f && i < n; i++) {
        free(f[i].path);
        free(f[i].format);
    }
    free(f);
}

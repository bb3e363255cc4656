/* transport/diag.h - the last lines that a far end or an ssh program wrote to its standard error.
 *
 * What comes in is foreign text and ends up on terminals and in reports: it is cleaned on the way
 * out (control characters, escape sequences and broken UTF-8 become '?').
 *
 * Thread rules: any thread, also at the same time. */
#ifndef VF_TRANSPORT_DIAG_H
#define VF_TRANSPORT_DIAG_H

#include <pthread.h>
#include <stddef.h>

#include "core/error.h"

#define VF_DIAG_KEEP 4096u /* bytes kept: the newest */

struct vf_diag {
    pthread_mutex_t lock; /* guards the rest */
    size_t total;         /* bytes ever added */
    char ring[VF_DIAG_KEEP];
};

void vf_diag_init(struct vf_diag *d);
void vf_diag_destroy(struct vf_diag *d);

/* Adds len bytes; the oldest fall out. */
void vf_diag_add(struct vf_diag *d, const void *data, size_t len);

/* What is kept, cleaned, lines separated by '\n', blank lines and the end's newline left out; a
 * first line of which the beginning fell out is left out too.  Owned (free); NULL when out of
 * memory. */
char *vf_diag_text(struct vf_diag *d, struct vf_error *err);

/* The last line of such a text (borrows): "" for "". */
const char *vf_diag_last_line(const char *text);

#endif

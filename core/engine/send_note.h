/* core/engine/send_note.h - known content that later literals may quote, and when it is noted.
 *
 * To note content means to read it, about a second for a gigabyte.  Where much of an image is known
 * and the first literals lie behind it, the line would stand still for as long.  So at the
 * beginning runs only queue up; they are noted when the thread would wait anyway.  Once the line
 * has work, content is noted at once: the literals behind it are the likeliest to quote it.
 *
 * Thread rules: one thread at a time. */
#ifndef VF_CORE_SEND_NOTE_H
#define VF_CORE_SEND_NOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/image.h"
#include "core/literals/quote.h"

#define VF_NOTES_RUNS 65536u /* that wait at most; what is too much is noted at once */

struct vf_notes {
    struct vf_image *image;   /* borrowed */
    struct vf_quoter *quoter; /* borrowed; NULL: nothing is noted */
    uint8_t *data;            /* VF_SEG_MAX blocks */
    struct vf_run *run;       /* a ring, oldest first */
    size_t at, n;
    bool at_once;    /* the line has work */
    uint64_t passed; /* literal blocks that were handed on */
};

/* 0, or -1 with nothing to free. */
int vf_notes_init(struct vf_notes *t, struct vf_image *image, struct vf_quoter *quoter,
                  struct vf_error *err) VF_MUST_CHECK;
void vf_notes_free(struct vf_notes *t);

/* The receiver has n blocks (at most VF_SEG_MAX) at `first`, and the quoter wants them. */
int vf_notes_add(struct vf_notes *t, uint64_t first, size_t n, struct vf_error *err) VF_MUST_CHECK;

/* Notes some of what waits, at most VF_SEG_MAX blocks. */
int vf_notes_some(struct vf_notes *t, struct vf_error *err) VF_MUST_CHECK;

/* n more literal blocks were handed on. */
void vf_notes_passed(struct vf_notes *t, size_t n);

#endif

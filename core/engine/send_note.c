/* The source's half: noting known content for quotes, when there is time for it. */
#include "core/engine/send_note.h"

#include <stdlib.h>

#include "core/checked.h"
#include "core/map.h"

#define ENOUGH (1u << 15) /* literal blocks with which the line has work for sure: 16 MiB */

int vf_notes_init(struct vf_notes *t, struct vf_image *image, struct vf_quoter *quoter,
                  struct vf_error *err)
{
    *t = (struct vf_notes){.image = image, .quoter = quoter};
    if (!quoter)
        return 0;
    t->data = vf_calloc(VF_SEG_MAX, VF_BLOCK, err);
    t->run = vf_calloc(VF_NOTES_RUNS, sizeof *t->run, err);
    if (t->data && t->run)
        return 0;
    vf_notes_free(t);
    return -1;
}

void vf_notes_free(struct vf_notes *t)
{
    free(t->data);
    free(t->run);
    *t = (struct vf_notes){.n = 0};
}

static int note(struct vf_notes *t, uint64_t first, size_t n, struct vf_error *err)
{
    if (vf_image_read_blocks(t->image, t->data, first, n, err) < 0)
        return -1;
    vf_quoter_note(t->quoter, first, n, t->data);
    return 0;
}

int vf_notes_add(struct vf_notes *t, uint64_t first, size_t n, struct vf_error *err)
{
    struct vf_run *last = t->n ? &t->run[(t->at + t->n - 1) % VF_NOTES_RUNS] : NULL;

    if (t->at_once)
        return note(t, first, n, err);
    if (last && last->first + last->n == first)
        last->n += n;
    else if (t->n < VF_NOTES_RUNS)
        t->run[(t->at + t->n++) % VF_NOTES_RUNS] = (struct vf_run){first, n};
    else
        return note(t, first, n, err);
    return 0;
}

int vf_notes_some(struct vf_notes *t, struct vf_error *err)
{
    struct vf_run *r = &t->run[t->at];
    uint64_t first = r->first;
    size_t n = r->n < VF_SEG_MAX ? (size_t)r->n : VF_SEG_MAX;

    r->first += n;
    r->n -= n;
    if (r->n == 0) {
        t->at = (t->at + 1) % VF_NOTES_RUNS;
        t->n--;
    }
    return note(t, first, n, err);
}

void vf_notes_passed(struct vf_notes *t, size_t n)
{
    t->passed += n;
    t->at_once = t->passed >= ENOUGH;
}

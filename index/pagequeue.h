/* index/pagequeue.h - inside the index: finished pages on their way into the database.
 *
 * They are written in transactions of at most so many bytes, by a thread of the queue's own
 * ("vf-index"), which exists from the second transaction on: whoever makes pages need not wait for
 * the disk.  At most two transactions are in memory, one being filled and one being written.
 *
 * Thread rules: one thread at a time. */
#ifndef VF_INDEX_PAGEQUEUE_H
#define VF_INDEX_PAGEQUEUE_H

#include "index/catalog.h"

struct vf_pagequeue;

/* ix is borrowed until free. */
struct vf_pagequeue *vf_pagequeue_new(struct vf_index *ix, struct vf_error *err);

/* Takes the value, and leaves an empty one there, with memory for the next page.  -1: this page, or
 * one before it, cannot be written. */
int vf_pagequeue_put(struct vf_pagequeue *q, const struct vf_key *key, struct vf_buf *value,
                     struct vf_error *err) VF_MUST_CHECK;

/* Waits until all pages are durably in the database.  0, or -1 as above. */
int vf_pagequeue_finish(struct vf_pagequeue *q, struct vf_error *err) VF_MUST_CHECK;

/* What is not written is dropped; a transaction that has begun ends first.  NULL is fine. */
void vf_pagequeue_free(struct vf_pagequeue *q);

#endif

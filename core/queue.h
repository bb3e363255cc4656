/* core/queue.h - a queue of pointers between threads, bounded by count and by bytes.
 *
 * Any number of threads push, any number pop; items come out in the order in which they went in.
 * The bytes of an item are what its sender says that it occupies, from push to pop.
 *
 * It ends in one of two ways.  close: nothing more will be pushed; what is in it is still handed
 * out, then pop says END.  cancel: everybody returns at once, now and later; what is in it stays
 * for vf_queue_free.
 *
 * Thread rules: all calls but vf_queue_free from any thread; free when no other call runs or will.
 */
#ifndef VF_CORE_QUEUE_H
#define VF_CORE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

struct vf_queue;

enum vf_popped { VF_POP_ITEM, VF_POP_END, VF_POP_CANCELLED };

/* Both limits at least 1.  NULL with *err set when memory is out. */
struct vf_queue *vf_queue_new(size_t max_items, size_t max_bytes, struct vf_error *err);

/* Gives what is still in it to drop (NULL: to nobody) and frees it.  q may be NULL. */
void vf_queue_free(struct vf_queue *q, void (*drop)(void *item));

/* Waits until there is room, and appends.  An item that is larger than the whole queue goes in
 * alone, when the queue is empty.  true: the queue takes item; false: cancelled or closed, it is
 * still the caller's. */
bool vf_queue_push(struct vf_queue *q, void *item, size_t bytes) VF_MUST_CHECK;

/* Waits for an item, which then is the caller's.  *ret is written with VF_POP_ITEM only. */
enum vf_popped vf_queue_pop(struct vf_queue *q, void **ret) VF_MUST_CHECK;

void vf_queue_close(struct vf_queue *q);
void vf_queue_cancel(struct vf_queue *q);

#endif

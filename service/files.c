/* service/files.c - a hash table and two heaps. */
#include "service/files.h"

#include <stdlib.h>
#include <string.h>

#include "core/checked.h"

#define BUCKETS_MIN 256u

struct heap {
    struct vf_file **item;
    size_t n, cap;
};

struct vf_files {
    struct vf_file **bucket;
    size_t buckets, n; /* buckets: a power of two */
    struct heap heap[VF_QUEUES];
};

bool vf_ident_renamed(const struct vf_ident *a, const struct vf_ident *b)
{
    return a->ino == b->ino && a->size == b->size && a->mtime_ns == b->mtime_ns;
}

bool vf_ident_same(const struct vf_ident *a, const struct vf_ident *b)
{
    return vf_ident_renamed(a, b) && a->ctime_ns == b->ctime_ns;
}

const char *vf_file_state_name(enum vf_file_state state)
{
    static const char *const name[VF_FILE_STATES] = {"new",     "fresh",   "moving", "waiting",
                                                     "reading", "skipped", "failed", "missing"};

    return name[state];
}

/* ---- the table ---- */

/* FNV-1a */
static size_t hash(const char *path)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (; *path; path++)
        h = (h ^ (unsigned char)*path) * UINT64_C(0x100000001b3);
    return (size_t)(h ^ h >> 32);
}

static struct vf_file **place(const struct vf_files *t, const char *path)
{
    struct vf_file **at = &t->bucket[hash(path) & (t->buckets - 1)];

    while (*at && strcmp((*at)->path, path) != 0)
        at = &(*at)->next;
    return at;
}

struct vf_files *vf_files_new(struct vf_error *err)
{
    struct vf_files *t = vf_calloc(1, sizeof *t, err);

    if (!t)
        return NULL;
    t->buckets = BUCKETS_MIN;
    t->bucket = vf_calloc(t->buckets, sizeof *t->bucket, err);
    if (!t->bucket) {
        free(t);
        return NULL;
    }
    return t;
}

static void file_free(struct vf_file *f)
{
    free(f->path);
    free(f->why);
    free(f);
}

void vf_files_free(struct vf_files *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->buckets; i++) {
        for (struct vf_file *f = t->bucket[i], *next; f; f = next) {
            next = f->next;
            file_free(f);
        }
    }
    for (size_t q = 0; q < VF_QUEUES; q++)
        free(t->heap[q].item);
    free(t->bucket);
    free(t);
}

/* Twice as many buckets; without memory for them the lists just get longer. */
static void grow(struct vf_files *t)
{
    struct vf_files more = {.buckets = t->buckets * 2};

    more.bucket = vf_calloc(more.buckets, sizeof *more.bucket, NULL);
    if (!more.bucket)
        return;
    for (size_t i = 0; i < t->buckets; i++) {
        for (struct vf_file *f = t->bucket[i], *next; f; f = next) {
            size_t to = hash(f->path) & (more.buckets - 1);

            next = f->next;
            f->next = more.bucket[to];
            more.bucket[to] = f;
        }
    }
    free(t->bucket);
    t->bucket = more.bucket;
    t->buckets = more.buckets;
}

struct vf_file *vf_files_find(struct vf_files *t, const char *path) { return *place(t, path); }

struct vf_file *vf_files_add(struct vf_files *t, const char *path, struct vf_error *err)
{
    struct vf_file **at = place(t, path), *f = *at;

    if (f)
        return f;
    f = vf_calloc(1, sizeof *f, err);
    if (f)
        f->path = vf_strdup(path, err);
    if (!f || !f->path) {
        free(f);
        return NULL;
    }
    *at = f;
    if (++t->n > t->buckets)
        grow(t);
    return f;
}

void vf_files_remove(struct vf_files *t, struct vf_file *f)
{
    struct vf_file **at = place(t, f->path);

    vf_files_dequeue(t, f);
    *at = f->next;
    t->n--;
    file_free(f);
}

struct vf_file *vf_files_next(struct vf_files *t, struct vf_file *after)
{
    size_t i = after ? (hash(after->path) & (t->buckets - 1)) + 1 : 0;

    if (after && after->next)
        return after->next;
    while (i < t->buckets && !t->bucket[i])
        i++;
    return i < t->buckets ? t->bucket[i] : NULL;
}

size_t vf_files_count(const struct vf_files *t) { return t->n; }

/* ---- the queues ---- */

static void put(struct heap *h, size_t at, struct vf_file *f)
{
    h->item[at] = f;
    f->at = at;
}

/* Moves f, which belongs at or near `at`, to where the order is right. */
static void sift(struct heap *h, size_t at, struct vf_file *f)
{
    while (at && h->item[(at - 1) / 2]->due_ms > f->due_ms) {
        put(h, at, h->item[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        size_t kid = 2 * at + 1;

        if (kid + 1 < h->n && h->item[kid + 1]->due_ms < h->item[kid]->due_ms)
            kid++;
        if (kid >= h->n || h->item[kid]->due_ms >= f->due_ms)
            break;
        put(h, at, h->item[kid]);
        at = kid;
    }
    put(h, at, f);
}

void vf_files_dequeue(struct vf_files *t, struct vf_file *f)
{
    struct heap *h = &t->heap[f->queue];
    struct vf_file *last;

    if (f->queue == VF_QUEUE_NONE)
        return;
    f->queue = VF_QUEUE_NONE;
    last = h->item[--h->n];
    if (last != f)
        sift(h, f->at, last);
}

int vf_files_enqueue(struct vf_files *t, struct vf_file *f, enum vf_files_queue queue,
                     int64_t due_ms, struct vf_error *err)
{
    struct heap *h = &t->heap[queue];

    vf_files_dequeue(t, f);
    if (queue == VF_QUEUE_NONE)
        return 0;
    if (h->n == h->cap) {
        size_t cap = h->cap ? h->cap * 2 : 64;
        struct vf_file **more = realloc(h->item, cap * sizeof(struct vf_file *));

        if (!more)
            return vf_error_nomem(err);
        h->item = more;
        h->cap = cap;
    }
    f->queue = queue;
    f->due_ms = due_ms;
    h->n++;
    sift(h, h->n - 1, f);
    return 0;
}

struct vf_file *vf_files_first(const struct vf_files *t, enum vf_files_queue queue)
{
    return t->heap[queue].n ? t->heap[queue].item[0] : NULL;
}

size_t vf_files_queued(const struct vf_files *t, enum vf_files_queue queue)
{
    return t->heap[queue].n;
}

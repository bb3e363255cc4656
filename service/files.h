/* service/files.h - the files that the service looks after: a table by path, and two queues by
 * time, one of files to be read and one of files that have gone.
 *
 * Times are milliseconds of a clock that does not go back and runs through suspend
 * (service/clock.h).
 *
 * Thread rules: belongs to one thread. */
#ifndef VF_SERVICE_FILES_H
#define VF_SERVICE_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

/* Which file, and which state of it, as far as stat(2) tells. */
struct vf_ident {
    uint64_t dev, ino, size;
    int64_t mtime_ns, ctime_ns;
};

/* The device number is left out: it may change over reboots. */
bool vf_ident_same(const struct vf_ident *a, const struct vf_ident *b);
/* The same but for the change time: what a rename leaves. */
bool vf_ident_renamed(const struct vf_ident *a, const struct vf_ident *b);

enum vf_file_state {
    VF_FILE_NEW,     /* just met, not looked at yet */
    VF_FILE_FRESH,   /* its map is that of the file */
    VF_FILE_MOVING,  /* a guest writes it; its map is of some time ago */
    VF_FILE_WAITING, /* is to be read when its time has come */
    VF_FILE_READING, /* a worker has it */
    VF_FILE_SKIPPED, /* cannot be indexed as it is; `why` says it */
    VF_FILE_FAILED,  /* was tried in vain; tried again later */
    VF_FILE_MISSING, /* has a map, but the file is not there */
    VF_FILE_STATES   /* number of states */
};

/* Lower-case word for people and programs; static. */
const char *vf_file_state_name(enum vf_file_state state);

enum vf_files_queue { VF_QUEUE_NONE, VF_QUEUE_READ, VF_QUEUE_GONE, VF_QUEUES };

struct vf_file {
    char *path; /* absolute */
    enum vf_file_state state;
    bool present;
    struct vf_ident now;    /* when present: as last seen */
    struct vf_ident judged; /* as it was when it was queued, skipped or failed */
    bool recorded, rec_moving;
    struct vf_ident rec;  /* recorded: the file that the map was made of */
    int64_t rec_ms;       /* rec_moving: when it was made */
    int64_t busy_ms;      /* since when some process has it open for writing; 0: not */
    char *why;            /* SKIPPED, FAILED: one phrase */
    unsigned tries;       /* in vain, one after the other */
    uint64_t seen;        /* number of the scan that met it last */
    int64_t due_ms;       /* in a queue: when */
    struct vf_file *next; /* of the same hash */
    enum vf_files_queue queue;
    size_t at; /* place in the queue */
};

struct vf_files;
struct vf_files *vf_files_new(struct vf_error *err);
void vf_files_free(struct vf_files *t); /* NULL is fine */

struct vf_file *vf_files_find(struct vf_files *t, const char *path); /* NULL: not there */
/* Finds or adds; NULL when memory is out. */
struct vf_file *vf_files_add(struct vf_files *t, const char *path, struct vf_error *err);
void vf_files_remove(struct vf_files *t, struct vf_file *f);

/* All files, in no order: NULL begins and ends.  The one that was given last may be removed after
 * the next was asked for. */
struct vf_file *vf_files_next(struct vf_files *t, struct vf_file *after);
size_t vf_files_count(const struct vf_files *t);

/* Puts the file into a queue, or takes it out of all (VF_QUEUE_NONE).  0, or -1 (memory). */
int vf_files_enqueue(struct vf_files *t, struct vf_file *f, enum vf_files_queue queue,
                     int64_t due_ms, struct vf_error *err) VF_MUST_CHECK;
void vf_files_dequeue(struct vf_files *t, struct vf_file *f);
/* The file whose time comes first; NULL: none. */
struct vf_file *vf_files_first(const struct vf_files *t, enum vf_files_queue queue);
size_t vf_files_queued(const struct vf_files *t, enum vf_files_queue queue);

#endif

/* index/store.h - the LMDB environment: keys and values, transactions, growth of the map.
 *
 * The only file that knows LMDB.  Keys are at most VF_KEY_MAX bytes.  Values point into the
 * database and are valid until the transaction ends; they are hostile bytes.
 *
 * The map of a process may be moved only while it has no transaction.  So every transaction holds
 * map_lock for reading and growing holds it for writing; a thread must never begin a second
 * transaction while it has one.
 *
 * Resident memory: pages of the database that a scan has touched count as ours until they are given
 * back.  Who reads values reports them (vf_txn_touched).  From time to time the store asks the
 * kernel how much has come together (a touch may map 64 KiB or a whole large folio) and gives it
 * back.
 *
 * Thread rules: a struct vf_store may be used by several threads; a transaction and its cursors
 * belong to the thread that began it.  Lock order: map_lock, then touched_lock. */
#ifndef VF_INDEX_STORE_H
#define VF_INDEX_STORE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

struct MDB_env;
struct MDB_txn;
struct MDB_cursor;

#define VF_KEY_MAX          511u
#define VF_STORE_MAP_SIZE   ((uint64_t)64 << 30) /* address space at first; the file is sparse */
#define VF_STORE_MEMORY     (32u << 20)          /* resident bytes of the database that may stay */
#define VF_STORE_TOUCH_STEP (1u << 20)           /* bytes touched between two looks at the memory */

struct vf_bytes {
    const uint8_t *p;
    size_t len;
};

struct vf_store {
    char *dir; /* for messages */
    struct MDB_env *env;
    unsigned dbi;
    bool readonly;
    pthread_rwlock_t map_lock;
    pthread_mutex_t touched_lock; /* all below */
    size_t touched;               /* bytes since the last look */
    int statm_fd;                 /* what the kernel says of our memory, or -1 */
    uint64_t statm_base;          /* file pages resident when the map was empty */
    uintptr_t map, map_end;       /* where the map lies; 0 if not known */
    bool map_sought;
};

struct vf_txn {
    struct vf_store *st;
    struct MDB_txn *txn;
    bool writes, full; /* full: the map was too small for a write */
};

/* Opens the environment in dir, which exists.  flags: of vf_index_open.  map_size: bytes of address
 * space to begin with.  The structure of an existing database has been checked then. */
int vf_store_open(struct vf_store *st, const char *dir, unsigned flags, uint64_t map_size,
                  struct vf_error *err) VF_MUST_CHECK;
void vf_store_close(struct vf_store *st); /* a zeroed one is fine */

/* "the index in DIR is damaged (phrase of *err): ..." with the way to rebuild it, when *err is
 * VF_ERR_FORMAT; otherwise *err stays as it is.  Returns -1. */
int vf_store_damaged(const struct vf_store *st, struct vf_error *err);

/* ---- transactions ---- */

int vf_store_read(struct vf_store *st, struct vf_txn *ret, struct vf_error *err) VF_MUST_CHECK;
void vf_txn_end(struct vf_txn *t); /* of reading; one that was never begun (zeroed) is fine */

/* Runs work inside a write transaction and commits when it returned 0.  work runs again from its
 * start after the map had to grow: it must not keep results of an earlier run.  0, or -1 with
 * nothing changed. */
typedef int vf_store_work(struct vf_txn *t, void *ctx, struct vf_error *err);
int vf_store_write(struct vf_store *st, vf_store_work *work, void *ctx,
                   struct vf_error *err) VF_MUST_CHECK;

/* VF_FOUND (1), VF_ABSENT (0) or -1. */
int vf_txn_get(struct vf_txn *t, struct vf_bytes key, struct vf_bytes *ret,
               struct vf_error *err) VF_MUST_CHECK;
int vf_txn_put(struct vf_txn *t, struct vf_bytes key, struct vf_bytes value,
               struct vf_error *err) VF_MUST_CHECK;
/* VF_FOUND, VF_ABSENT or -1. */
int vf_txn_del(struct vf_txn *t, struct vf_bytes key, struct vf_error *err) VF_MUST_CHECK;

/* About `bytes` bytes of the value were brought into memory: 64 KiB around each place, for kernels
 * map at least so much at once.  The value stays valid. */
void vf_txn_touched(struct vf_txn *t, struct vf_bytes value, size_t bytes);

/* ---- cursors ---- */

struct vf_cursor {
    struct vf_txn *t;
    struct MDB_cursor *mc;
    struct vf_bytes key, value; /* of the entry it stands on */
    bool behind;                /* it stands behind the last one */
};
/* Ends before its transaction does.  A write in its transaction leaves it nowhere: seek again. */
int vf_cursor_open(struct vf_cursor *c, struct vf_txn *t, struct vf_error *err) VF_MUST_CHECK;
void vf_cursor_close(struct vf_cursor *c); /* a zeroed one is fine */
/* To the first entry whose key is not below `key`; to the next, or the previous one (from behind
 * the end: the last).  VF_FOUND, VF_ABSENT (no such entry) or -1. */
int vf_cursor_seek(struct vf_cursor *c, struct vf_bytes key, struct vf_error *err) VF_MUST_CHECK;
int vf_cursor_next(struct vf_cursor *c, struct vf_error *err) VF_MUST_CHECK;
int vf_cursor_prev(struct vf_cursor *c, struct vf_error *err) VF_MUST_CHECK;

#endif

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
 * back.  Who reads values of some size reports them (vf_txn_touched), and the store drops them from
 * time to time.
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

#define VF_KEY_MAX 511u
#define VF_STORE_MAP_SIZE                                                                          \
    ((uint64_t)64 << 30)               /* address space taken at first; the file is sparse */
#define VF_STORE_TOUCH_MAX (16u << 20) /* bytes touched before they are given back */
#define VF_STORE_TOUCHES   256u

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
    pthread_mutex_t touched_lock; /* the three below */
    struct vf_bytes touched[VF_STORE_TOUCHES];
    unsigned touched_n;
    size_t touched_bytes;
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

/* `bytes` bytes of the value were read, here and there; only they count.  The value stays valid. */
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

/* index/txn.c - transactions and cursors, and the memory that reading takes. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fdio.h"
#include "index/guard.h"
#include "index/index.h"
#include "index/store_impl.h"

static int begin(struct vf_store *st, unsigned flags, struct vf_txn *ret, struct vf_error *err)
{
    bool checked = false;

    for (;;) {
        MDB_txn *txn;
        int rc, dead;

        pthread_rwlock_rdlock(&st->map_lock);
        rc = mdb_txn_begin(st->env, NULL, flags, &txn);
        if (rc == 0) {
            *ret = (struct vf_txn){.st = st, .txn = txn, .writes = !(flags & MDB_RDONLY)};
            return 0;
        }
        pthread_rwlock_unlock(&st->map_lock);
        if (rc == MDB_MAP_RESIZED) {
            if (vf_store_remap(st, 0, err) < 0)
                return -1;
        } else if (rc == MDB_READERS_FULL && !checked) {
            checked = true;
            (void)mdb_reader_check(st->env, &dead); /* the second try tells */
        } else {
            return vf_store_fail(st, rc, flags & MDB_RDONLY ? "read the index" : "write the index",
                                 err);
        }
    }
}

static void end(struct vf_txn *t)
{
    struct vf_store *st = t->st;

    t->txn = NULL;
    t->st = NULL;
    pthread_rwlock_unlock(&st->map_lock);
}

int vf_store_read(struct vf_store *st, struct vf_txn *ret, struct vf_error *err)
{
    return begin(st, MDB_RDONLY, ret, err);
}

void vf_txn_end(struct vf_txn *t)
{
    if (!t->txn)
        return;
    mdb_txn_abort(t->txn);
    end(t);
}

/* Would more data find room beside the index?  0, or why not. */
static int probe_room(const struct vf_store *st)
{
    static const uint8_t zeros[65536];
    struct vf_error err = VF_ERROR_INIT;
    struct rlimit lim;
    mdb_filehandle_t data;
    struct stat sb;
    int fd, rc = 0;

    if (mdb_env_get_fd(st->env, &data) == 0 && fstat(data, &sb) == 0 &&
        getrlimit(RLIMIT_FSIZE, &lim) == 0 && (rlim_t)sb.st_size + sizeof zeros > lim.rlim_cur)
        return EFBIG;
    fd = vf_tmpfile(st->dir, &err);
    for (unsigned i = 0; fd >= 0 && rc == 0 && i < 16; i++)
        rc = vf_write_full(fd, zeros, sizeof zeros, &err);
    if (fd >= 0 && rc == 0 && fsync(fd) < 0) /* only now is the room taken on some file systems */
        err.sys = errno;
    vf_close_fd(&fd);
    return err.sys;
}

/* LMDB makes EIO out of a write that came out short, as it does on a full disk. */
static int commit_failed(const struct vf_store *st, int rc, struct vf_error *err)
{
    int why = rc == EIO ? probe_room(st) : 0;

    return vf_store_fail(st, why ? why : rc, "write the index", err);
}

int vf_store_write(struct vf_store *st, vf_store_work *work, void *ctx, struct vf_error *err)
{
    if (st->readonly)
        return vf_error_set(err, VF_ERR_DENIED, 0, "the index in '%s' was opened for reading only",
                            st->dir);
    for (;;) {
        MDB_envinfo info = {0};
        struct vf_txn t;
        bool full;
        int rc;

        if (begin(st, 0, &t, err) < 0)
            return -1;
        rc = mdb_env_info(st->env, &info);
        if (rc != 0) {
            mdb_txn_abort(t.txn);
            end(&t);
            return vf_store_fail(st, rc, "write the index", err);
        }
        if (work(&t, ctx, err) == 0) {
            rc = mdb_txn_commit(t.txn);
            full = rc == MDB_MAP_FULL;
            end(&t);
            if (rc == 0)
                return 0;
            if (!full)
                return commit_failed(st, rc, err);
        } else {
            mdb_txn_abort(t.txn);
            full = t.full;
            end(&t);
            if (!full)
                return -1;
        }
        if (vf_store_grow(st, info.me_mapsize, err) < 0)
            return -1;
    }
}

static MDB_val to_val(struct vf_bytes b)
{
    /* LMDB takes a plain pointer for what it only reads. */
    union {
        const uint8_t *in;
        void *out;
    } u = {.in = b.p};

    return (MDB_val){b.len, u.out};
}

static struct vf_bytes to_bytes(MDB_val v) { return (struct vf_bytes){v.mv_data, v.mv_size}; }

int vf_txn_get(struct vf_txn *t, struct vf_bytes key, struct vf_bytes *ret, struct vf_error *err)
{
    MDB_val k = to_val(key), v;
    int rc = mdb_get(t->txn, t->st->dbi, &k, &v);

    if (rc == MDB_NOTFOUND)
        return VF_ABSENT;
    if (rc != 0)
        return vf_store_fail(t->st, rc, "read the index", err);
    *ret = to_bytes(v);
    return VF_FOUND;
}

int vf_txn_put(struct vf_txn *t, struct vf_bytes key, struct vf_bytes value, struct vf_error *err)
{
    MDB_val k = to_val(key), v = to_val(value);
    int rc = mdb_put(t->txn, t->st->dbi, &k, &v, 0);

    if (rc == 0)
        return 0;
    if (rc == MDB_MAP_FULL)
        t->full = true;
    return vf_store_fail(t->st, rc, "write the index", err);
}

int vf_txn_del(struct vf_txn *t, struct vf_bytes key, struct vf_error *err)
{
    MDB_val k = to_val(key), v;
    MDB_stat stat;
    int rc = mdb_get(t->txn, t->st->dbi, &k, &v);

    if (rc == 0)
        rc = mdb_env_stat(t->st->env, &stat);
    if (rc == 0 && vf_guard_value(v.mv_data, v.mv_size, stat.ms_psize, err) < 0)
        return vf_store_damaged(t->st, err);
    if (rc == 0)
        rc = mdb_del(t->txn, t->st->dbi, &k, NULL);
    if (rc == MDB_NOTFOUND)
        return VF_ABSENT;
    if (rc == MDB_MAP_FULL)
        t->full = true;
    return rc == 0 ? VF_FOUND : vf_store_fail(t->st, rc, "delete from the index", err);
}

/* ---- resident memory ---- */

bool vf_store_file_pages(const struct vf_store *st, uint64_t *ret)
{
    char text[128];
    ssize_t n = st->statm_fd < 0 ? -1 : pread(st->statm_fd, text, sizeof text - 1, 0);

    if (n <= 0)
        return false;
    text[n] = 0;
    return sscanf(text, "%*u %*u %" SCNu64, ret) == 1;
}

/* Looks for the mapping that holds the address.  Without /proc nothing is ever given back, which is
 * no more than memory that the kernel can take by itself. */
static void seek_map(struct vf_store *st, const void *inside)
{
    FILE *f = fopen("/proc/self/maps", "re");
    char *line = NULL;
    size_t cap = 0;

    st->map = st->map_end = 0;
    st->map_sought = true;
    while (f && getline(&line, &cap, f) > 0) {
        uintptr_t lo, hi;

        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &lo, &hi) == 2 && lo <= (uintptr_t)inside &&
            (uintptr_t)inside < hi) {
            st->map = lo;
            st->map_end = hi;
            break;
        }
    }
    free(line);
    if (f)
        (void)fclose(f); /* was only read */
}

void vf_txn_touched(struct vf_txn *t, struct vf_bytes value, size_t bytes)
{
    struct vf_store *st = t->st;
    uint64_t pages;

    /* What a write transaction shows may lie on the heap. */
    if (t->writes)
        return;
    pthread_mutex_lock(&st->touched_lock);
    st->touched += bytes;
    if (st->touched >= VF_STORE_TOUCH_STEP && vf_store_file_pages(st, &pages)) {
        st->touched = 0;
        if (!st->map_sought)
            seek_map(st, value.p);
        if (st->map && pages > st->statm_base &&
            (pages - st->statm_base) * (uint64_t)sysconf(_SC_PAGESIZE) >= VF_STORE_MEMORY) {
            /* Pages that a file backs come again when they are read again: nothing can be lost. */
            (void)madvise((void *)st->map, st->map_end - st->map, MADV_DONTNEED);
            (void)vf_store_file_pages(st, &st->statm_base); /* the old number does if this fails */
        }
    }
    pthread_mutex_unlock(&st->touched_lock);
}

/* ---- cursors ---- */

int vf_cursor_open(struct vf_cursor *c, struct vf_txn *t, struct vf_error *err)
{
    MDB_cursor *mc;
    int rc = mdb_cursor_open(t->txn, t->st->dbi, &mc);

    if (rc != 0)
        return vf_store_fail(t->st, rc, "read the index", err);
    *c = (struct vf_cursor){.t = t, .mc = mc};
    return 0;
}

void vf_cursor_close(struct vf_cursor *c)
{
    if (c->mc)
        mdb_cursor_close(c->mc);
    c->mc = NULL;
}

static int move(struct vf_cursor *c, MDB_val k, MDB_cursor_op op, struct vf_error *err)
{
    MDB_val v;
    int rc = mdb_cursor_get(c->mc, &k, &v, op);

    if (rc == MDB_NOTFOUND)
        return VF_ABSENT;
    if (rc != 0)
        return vf_store_fail(c->t->st, rc, "read the index", err);
    c->key = to_bytes(k);
    c->value = to_bytes(v);
    return VF_FOUND;
}

int vf_cursor_seek(struct vf_cursor *c, struct vf_bytes key, struct vf_error *err)
{
    int rc = move(c, to_val(key), MDB_SET_RANGE, err);

    c->behind = rc == VF_ABSENT;
    return rc;
}

int vf_cursor_next(struct vf_cursor *c, struct vf_error *err)
{
    int rc;

    if (c->behind)
        return VF_ABSENT;
    rc = move(c, (MDB_val){0, NULL}, MDB_NEXT, err);
    c->behind = rc == VF_ABSENT;
    return rc;
}

int vf_cursor_prev(struct vf_cursor *c, struct vf_error *err)
{
    int rc = move(c, (MDB_val){0, NULL}, c->behind ? MDB_LAST : MDB_PREV, err);

    c->behind = false;
    return rc;
}

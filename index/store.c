/* index/store.c - the LMDB environment. */
#include "index/store.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/fdio.h"
#include "index/guard.h"
#include "index/index.h"

#define READERS_MAX 1024u
#define MAP_MIN     ((uint64_t)64 << 20)  /* below this, give up when address space is short */
#define MAP_MAX     ((uint64_t)128 << 40) /* and what a process can address at all */
#define GUARD_TRIES 10

/* ---- errors ---- */

int vf_store_damaged(const struct vf_store *st, struct vf_error *err)
{
    char why[sizeof err->msg];

    if (!err || err->code != VF_ERR_FORMAT || strstr(err->msg, "index add"))
        return -1;
    memcpy(why, err->msg, sizeof why);
    /* The advice comes first: a long path must not push it out of the message. */
    return vf_error_set(err, VF_ERR_FORMAT, 0,
                        "the index is unusable (%.100s): remove %s and run 'vmferry index add' "
                        "for its images again",
                        why, st->dir);
}

static int fail(const struct vf_store *st, int rc, const char *what, struct vf_error *err)
{
    switch (rc) {
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
    case MDB_CURSOR_FULL:
    case MDB_PAGE_FULL:
        return vf_error_set(err, VF_ERR_SPACE, 0, "%s: the index has no room left", what);
    case MDB_READERS_FULL:
        return vf_error_set(err, VF_ERR_BUSY, 0, "%s: too many processes read the index", what);
    case MDB_PAGE_NOTFOUND:
    case MDB_CORRUPTED:
    case MDB_VERSION_MISMATCH:
    case MDB_INVALID:
    case MDB_INCOMPATIBLE:
    case MDB_BAD_VALSIZE:
    case MDB_BAD_DBI:
        (void)vf_error_set(err, VF_ERR_FORMAT, 0, "%s: %s", what, mdb_strerror(rc));
        return vf_store_damaged(st, err);
    default:
        if (rc > 0)
            return vf_error_sys(err, rc, "%s in '%s'", what, st->dir);
        return vf_error_set(err, VF_ERR_IO, 0, "%s in '%s': %s", what, st->dir, mdb_strerror(rc));
    }
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

    return fail(st, why ? why : rc, "write the index", err);
}

/* ---- opening ---- */

static int init_locks(struct vf_store *st, struct vf_error *err)
{
    pthread_rwlockattr_t attr;
    int rc;

    /* Readers come all the time; growing must get its turn. */
    rc = pthread_rwlockattr_init(&attr);
    if (rc == 0) {
        rc = pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
        if (rc == 0)
            rc = pthread_rwlock_init(&st->map_lock, &attr);
        pthread_rwlockattr_destroy(&attr);
    }
    if (rc != 0)
        return vf_error_sys(err, rc, "make a lock");
    rc = pthread_mutex_init(&st->touched_lock, NULL);
    if (rc != 0) {
        pthread_rwlock_destroy(&st->map_lock);
        return vf_error_sys(err, rc, "make a lock");
    }
    return 0;
}

/* Looks at the file before LMDB does.  A missing or empty one is for LMDB to make. */
static int check_head(struct vf_store *st, bool create, struct vf_error *err)
{
    char *path = vf_strf(err, "%s/data.mdb", st->dir);
    struct stat sb;
    int fd, rc = -1;

    if (!path)
        return -1;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        rc = errno == ENOENT && create ? 0 : vf_error_sys(err, errno, "open '%s'", path);
        goto out;
    }
    if (fstat(fd, &sb) < 0)
        rc = vf_error_sys(err, errno, "look at '%s'", path);
    else if (sb.st_size == 0)
        rc = create ? 0 : vf_error_set(err, VF_ERR_NOTFOUND, 0, "'%s' is empty", path);
    else
        rc = vf_guard_head(fd, err);
out:
    vf_close_fd(&fd);
    free(path);
    return rc < 0 ? vf_store_damaged(st, err) : 0;
}

static int open_env(struct vf_store *st, uint64_t size, struct vf_error *err)
{
    const unsigned flags = MDB_NOTLS | (st->readonly ? MDB_RDONLY : 0);
    int rc;

    /* Where address space is rationed, a smaller map does as well: it grows when it must. */
    for (;; size /= 4) {
        MDB_env *env;

        rc = mdb_env_create(&env);
        if (rc != 0)
            return fail(st, rc, "open the index", err);
        rc = mdb_env_set_mapsize(env, size);
        if (rc == 0)
            rc = mdb_env_set_maxreaders(env, READERS_MAX);
        if (rc == 0)
            rc = mdb_env_open(env, st->dir, flags, 0600);
        if (rc == 0) {
            st->env = env;
            return 0;
        }
        mdb_env_close(env);
        if (rc != ENOMEM || size / 4 < MAP_MIN)
            return fail(st, rc, "open the index", err);
    }
}

static int check_trees(struct vf_store *st, struct vf_error *err)
{
    mdb_filehandle_t fd;
    int rc = mdb_env_get_fd(st->env, &fd);

    if (rc != 0)
        return fail(st, rc, "open the index", err);
    for (int i = 0; i < GUARD_TRIES; i++) {
        struct vf_txn t;

        if (vf_store_read(st, &t, err) < 0)
            return -1;
        rc = vf_guard_trees(fd, mdb_txn_id(t.txn), err);
        vf_txn_end(&t);
        if (rc == 0)
            return 0;
        /* A head page that was being written while it was read looks damaged for that moment. */
        if (rc < 0 && i >= 2)
            return vf_store_damaged(st, err);
    }
    return vf_error_set(err, VF_ERR_BUSY, 0, "the index in '%s' is being written too fast",
                        st->dir);
}

static int open_table(struct vf_store *st, struct vf_error *err)
{
    struct vf_txn t;
    int rc;

    if (vf_store_read(st, &t, err) < 0)
        return -1;
    rc = mdb_dbi_open(t.txn, NULL, 0, &st->dbi);
    vf_txn_end(&t);
    return rc == 0 ? 0 : fail(st, rc, "open the index", err);
}

int vf_store_open(struct vf_store *st, const char *dir, unsigned flags, uint64_t map_size,
                  struct vf_error *err)
{
    const bool create = (flags & VF_INDEX_CREATE) && !(flags & VF_INDEX_READONLY);
    int dead;

    memset(st, 0, sizeof *st);
    st->readonly = flags & VF_INDEX_READONLY;
    st->dir = vf_strdup(dir, err);
    if (!st->dir)
        return -1;
    if (init_locks(st, err) < 0) {
        free(st->dir);
        st->dir = NULL;
        return -1;
    }
    if (check_head(st, create, err) < 0 || open_env(st, map_size, err) < 0 ||
        check_trees(st, err) < 0 || open_table(st, err) < 0) {
        vf_store_close(st);
        return -1;
    }
    /* Readers that died would keep old pages from being used again. */
    (void)mdb_reader_check(st->env, &dead); /* housekeeping: no harm if it fails */
    return 0;
}

void vf_store_close(struct vf_store *st)
{
    if (!st->dir)
        return;
    if (st->env)
        mdb_env_close(st->env);
    pthread_rwlock_destroy(&st->map_lock);
    pthread_mutex_destroy(&st->touched_lock);
    free(st->dir);
    memset(st, 0, sizeof *st);
}

/* ---- the size of the map ---- */

/* size 0: what another process has set. */
static int remap(struct vf_store *st, uint64_t size, struct vf_error *err)
{
    int rc;

    pthread_rwlock_wrlock(&st->map_lock);
    st->touched_n = 0; /* their addresses are void now */
    st->touched_bytes = 0;
    rc = mdb_env_set_mapsize(st->env, size);
    pthread_rwlock_unlock(&st->map_lock);
    return rc == 0 ? 0 : fail(st, rc, "enlarge the index", err);
}

static int grow(struct vf_store *st, uint64_t was, struct vf_error *err)
{
    MDB_envinfo info;
    int rc;

    pthread_rwlock_rdlock(&st->map_lock);
    rc = mdb_env_info(st->env, &info);
    pthread_rwlock_unlock(&st->map_lock);
    if (rc != 0)
        return fail(st, rc, "enlarge the index", err);
    if (info.me_mapsize > was)
        return 0; /* another thread did it */
    if (info.me_mapsize >= MAP_MAX / 2)
        return vf_error_set(err, VF_ERR_SPACE, 0, "the index in '%s' cannot grow any more",
                            st->dir);
    return remap(st, info.me_mapsize * 2, err);
}

/* ---- transactions ---- */

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
            if (remap(st, 0, err) < 0)
                return -1;
        } else if (rc == MDB_READERS_FULL && !checked) {
            checked = true;
            (void)mdb_reader_check(st->env, &dead); /* the second try tells */
        } else {
            return fail(st, rc, flags & MDB_RDONLY ? "read the index" : "write the index", err);
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
            return fail(st, rc, "write the index", err);
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
        if (grow(st, info.me_mapsize, err) < 0)
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
        return fail(t->st, rc, "read the index", err);
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
    return fail(t->st, rc, "write the index", err);
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
    return rc == 0 ? VF_FOUND : fail(t->st, rc, "delete from the index", err);
}

/* ---- resident memory ---- */

/* Pages that a file backs come again when they are read again; nothing can be lost.  touched_lock
 * is held. */
static void drop_touched(struct vf_store *st)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

    for (unsigned i = 0; i < st->touched_n; i++) {
        /* The map consists of whole pages, so these are its own even at the ends of the value. */
        uintptr_t lo = (uintptr_t)st->touched[i].p & ~(page - 1);
        uintptr_t hi = (uintptr_t)st->touched[i].p + st->touched[i].len;

        (void)madvise((void *)lo, hi - lo, MADV_DONTNEED); /* only memory is at stake */
    }
    st->touched_n = 0;
    st->touched_bytes = 0;
}

void vf_txn_touched(struct vf_txn *t, struct vf_bytes value, size_t bytes)
{
    struct vf_store *st = t->st;

    /* What a write transaction shows may lie on the heap, where this would destroy it. */
    if (t->writes)
        return;
    pthread_mutex_lock(&st->touched_lock);
    st->touched_bytes += bytes;
    if (st->touched_n && st->touched[st->touched_n - 1].p == value.p) {
        if (value.len > st->touched[st->touched_n - 1].len)
            st->touched[st->touched_n - 1].len = value.len;
    } else {
        st->touched[st->touched_n++] = value;
    }
    if (st->touched_n == VF_STORE_TOUCHES || st->touched_bytes >= VF_STORE_TOUCH_MAX)
        drop_touched(st);
    pthread_mutex_unlock(&st->touched_lock);
}

/* ---- cursors ---- */

int vf_cursor_open(struct vf_cursor *c, struct vf_txn *t, struct vf_error *err)
{
    MDB_cursor *mc;
    int rc = mdb_cursor_open(t->txn, t->st->dbi, &mc);

    if (rc != 0)
        return fail(t->st, rc, "read the index", err);
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
        return fail(c->t->st, rc, "read the index", err);
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

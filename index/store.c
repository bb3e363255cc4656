/* index/store.c - the LMDB environment. */
#include "index/store.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/fdio.h"
#include "index/guard.h"
#include "index/index.h"
#include "index/store_impl.h"

#define READERS_MAX 1024u
#define MAP_MIN     ((uint64_t)64 << 20)  /* below this, give up when address space is short */
#define MAP_MAX     ((uint64_t)128 << 40) /* and what a process can address at all */
#define GUARD_TRIES 10
#define LOCK_ROOM   ((off_t)128 << 10) /* more than LMDB's table of READERS_MAX readers needs */

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

int vf_store_fail(const struct vf_store *st, int rc, const char *what, struct vf_error *err)
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

/* LMDB lets the data file be inherited by programs that we start. */
static int keep_private(struct vf_store *st, struct vf_error *err)
{
    mdb_filehandle_t fd;
    int rc = mdb_env_get_fd(st->env, &fd);

    if (rc != 0)
        return vf_store_fail(st, rc, "open the index", err);
    return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? vf_error_sys(err, errno, "open the index") : 0;
}

/* LMDB maps its lock file and writes to it there.  Where the disk is full a hole in it would be the
 * end of the process (SIGBUS), so it gets its room before.  What cannot be opened here, or keeps no
 * room, is for LMDB to deal with.  Closing a file ends the locks that a process has on it, but LMDB
 * has none yet: it does not allow a second environment on the same file in one process. */
static int reserve_lock(struct vf_store *st, struct vf_error *err)
{
    char *path = vf_strf(err, "%s/lock.mdb", st->dir);
    struct stat sb;
    int fd, rc = 0;

    if (!path)
        return -1;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW, 0600);
    free(path);
    /* All that is written before the first reader lies in the first page. */
    if (fd >= 0 && fstat(fd, &sb) == 0 && sb.st_blocks == 0 &&
        fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, LOCK_ROOM) < 0 &&
        (errno == ENOSPC || errno == EDQUOT))
        rc = vf_error_sys(err, errno, "open the index in '%s'", st->dir);
    vf_close_fd(&fd);
    return rc;
}

static int open_env(struct vf_store *st, uint64_t size, struct vf_error *err)
{
    const unsigned flags = MDB_NOTLS | (st->readonly ? MDB_RDONLY : 0);
    int rc;

    /* Where address space is rationed (valgrind says EINVAL), a smaller map does as well: it grows
     * when it must. */
    for (;; size /= 4) {
        MDB_env *env;

        rc = mdb_env_create(&env);
        if (rc != 0)
            return vf_store_fail(st, rc, "open the index", err);
        rc = mdb_env_set_mapsize(env, size);
        if (rc == 0)
            rc = mdb_env_set_maxreaders(env, READERS_MAX);
        if (rc == 0)
            rc = mdb_env_open(env, st->dir, flags, 0600);
        if (rc == 0) {
            st->env = env;
            return keep_private(st, err);
        }
        mdb_env_close(env);
        if ((rc != ENOMEM && rc != EINVAL) || size / 4 < MAP_MIN)
            return vf_store_fail(st, rc, "open the index", err);
    }
}

static int check_trees(struct vf_store *st, struct vf_error *err)
{
    mdb_filehandle_t fd;
    int rc = mdb_env_get_fd(st->env, &fd);

    if (rc != 0)
        return vf_store_fail(st, rc, "open the index", err);
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
    return rc == 0 ? 0 : vf_store_fail(st, rc, "open the index", err);
}

int vf_store_open(struct vf_store *st, const char *dir, unsigned flags, uint64_t map_size,
                  struct vf_error *err)
{
    const bool create = (flags & VF_INDEX_CREATE) && !(flags & VF_INDEX_READONLY);
    int dead;

    memset(st, 0, sizeof *st);
    st->statm_fd = -1;
    st->readonly = flags & VF_INDEX_READONLY;
    st->dir = vf_strdup(dir, err);
    if (!st->dir)
        return -1;
    if (init_locks(st, err) < 0) {
        free(st->dir);
        st->dir = NULL;
        return -1;
    }
    if (check_head(st, create, err) < 0 || reserve_lock(st, err) < 0 ||
        open_env(st, map_size, err) < 0 || check_trees(st, err) < 0 || open_table(st, err) < 0) {
        vf_store_close(st);
        return -1;
    }
    st->statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    (void)vf_store_file_pages(st, &st->statm_base); /* 0 if it cannot be had */
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
    vf_close_fd(&st->statm_fd);
    free(st->dir);
    memset(st, 0, sizeof *st);
}

/* ---- the size of the map ---- */

int vf_store_remap(struct vf_store *st, uint64_t size, struct vf_error *err)
{
    int rc;

    pthread_rwlock_wrlock(&st->map_lock);
    st->map = st->map_end = 0; /* it moves */
    st->map_sought = false;
    rc = mdb_env_set_mapsize(st->env, size);
    pthread_rwlock_unlock(&st->map_lock);
    return rc == 0 ? 0 : vf_store_fail(st, rc, "enlarge the index", err);
}

int vf_store_grow(struct vf_store *st, uint64_t was, struct vf_error *err)
{
    MDB_envinfo info;
    int rc;

    pthread_rwlock_rdlock(&st->map_lock);
    rc = mdb_env_info(st->env, &info);
    pthread_rwlock_unlock(&st->map_lock);
    if (rc != 0)
        return vf_store_fail(st, rc, "enlarge the index", err);
    if (info.me_mapsize > was)
        return 0; /* another thread did it */
    if (info.me_mapsize >= MAP_MAX / 2)
        return vf_error_set(err, VF_ERR_SPACE, 0, "the index in '%s' cannot grow any more",
                            st->dir);
    return vf_store_remap(st, info.me_mapsize * 2, err);
}

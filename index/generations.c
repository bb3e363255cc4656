/* index/generations.c - the life of a generation: building, live, doomed, gone. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/fdio.h"
#include "index/catalog.h"
#include "index/le.h"

#define SWEEP_LIST  64u         /* generations looked at in one go */
#define DOOM_BYTES  (16u << 20) /* deleted in a transaction: its list of free pages stays small */
#define DOOM_VALUES 1024u

/* ---- the lock of a builder: byte number GENERATION of the file "builders" ---- */

static int open_builders(const struct vf_index *ix, struct vf_error *err)
{
    int fd =
        openat(ix->store_fd, "index/builders", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    return fd < 0 ? vf_error_sys(err, errno, "open '%s/builders'", ix->store.dir) : fd;
}

static struct flock byte_lock(uint64_t gen, short type)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)gen, .l_len = 1};
}

/* Locks of an open file description, not of a process: they work between threads too, and go when
 * the last descriptor is closed, however the process ends. */
static bool builder_alive(int fd, uint64_t gen)
{
    struct flock fl = byte_lock(gen, F_WRLCK);

    /* When in doubt it lives: nothing is deleted then. */
    return fcntl(fd, F_OFD_GETLK, &fl) < 0 || fl.l_type != F_UNLCK;
}

/* ---- making one ---- */

struct making {
    int lock;
    uint64_t gen;
};

static int do_new(struct vf_txn *t, void *ctx, struct vf_error *err)
{
    struct making *m = ctx;
    const struct vf_key key = vf_key_version();
    struct flock all = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    struct vf_version_record rec;
    struct vf_buf b = VF_BUF_INIT;
    struct vf_bytes value;
    struct flock fl;
    int rc = vf_txn_get(t, vf_key_bytes(&key), &value, err);

    if (rc == VF_ABSENT)
        rc = vf_error_set(err, VF_ERR_FORMAT, 0, "it has no version record");
    if (rc < 0 || vf_version_decode(value.p, value.len, &rec, err) < 0)
        return vf_store_damaged(t->st, err);
    (void)fcntl(m->lock, F_OFD_SETLK, &all); /* of an earlier run of this function; cannot fail */
    /* The lock comes before anyone can see the generation.  A number whose lock is taken belongs to
     * a process that is just giving up on it. */
    do {
        m->gen = rec.next_generation++;
        fl = byte_lock(m->gen, F_WRLCK);
        rc = fcntl(m->lock, F_OFD_SETLK, &fl);
    } while (rc < 0 && (errno == EAGAIN || errno == EACCES) && rec.next_generation < INT64_MAX);
    if (rc < 0)
        return vf_error_sys(err, errno, "lock '%s/builders'", t->st->dir);
    rc = vf_generation_set(t, m->gen, VF_GEN_BUILDING, err);
    if (rc == 0)
        rc = vf_version_encode(&b, &rec, err);
    if (rc == 0)
        rc = vf_txn_put(t, vf_key_bytes(&key), (struct vf_bytes){b.data, b.len}, err);
    vf_buf_free(&b);
    return rc;
}

int vf_generation_new(struct vf_index *ix, uint64_t *ret_gen, int *ret_lock, struct vf_error *err)
{
    struct making m = {-1, 0};

    if (!ix->store.readonly) {
        m.lock = open_builders(ix, err);
        if (m.lock < 0)
            return -1;
    }
    if (vf_store_write(&ix->store, do_new, &m, err) < 0) {
        vf_close_fd(&m.lock);
        return -1;
    }
    *ret_gen = m.gen;
    *ret_lock = m.lock;
    return 0;
}

/* ---- its state ---- */

int vf_generation_get(struct vf_txn *t, uint64_t gen, enum vf_generation_state *ret,
                      struct vf_error *err)
{
    const struct vf_key key = vf_key_generation(gen);
    struct vf_bytes value;
    int rc = vf_txn_get(t, vf_key_bytes(&key), &value, err);

    if (rc == VF_FOUND && vf_generation_decode(value.p, value.len, ret, err) < 0)
        return vf_store_damaged(t->st, err);
    return rc;
}

int vf_generation_set(struct vf_txn *t, uint64_t gen, enum vf_generation_state state,
                      struct vf_error *err)
{
    const struct vf_key key = vf_key_generation(gen);
    struct vf_buf b = VF_BUF_INIT;
    int rc = vf_generation_encode(&b, state, err);

    if (rc == 0)
        rc = vf_txn_put(t, vf_key_bytes(&key), (struct vf_bytes){b.data, b.len}, err);
    vf_buf_free(&b);
    return rc;
}

int vf_generation_live(struct vf_txn *t, uint64_t gen, struct vf_error *err)
{
    enum vf_generation_state state;
    int rc = vf_generation_get(t, gen, &state, err);

    if (rc < 0)
        return -1;
    if (rc == VF_ABSENT || state != VF_GEN_LIVE)
        return vf_error_set(err, VF_ERR_NOTFOUND, 0,
                            "this map of the image has been replaced or removed");
    return 0;
}

/* ---- deleting ---- */

struct doom {
    uint64_t gen;
    bool only_dead; /* it was BUILDING when we looked */
    bool done;      /* result of a step */
};

/* One step.  Done also when the generation is not ours to delete after all. */
static int do_delete(struct vf_txn *t, void *ctx, struct vf_error *err)
{
    struct doom *d = ctx;
    const struct vf_key prefix = vf_key_pages(d->gen), record = vf_key_generation(d->gen);
    enum vf_generation_state state;
    struct vf_cursor c;
    size_t bytes = 0;
    unsigned values = 0;
    int rc = vf_generation_get(t, d->gen, &state, err);

    d->done = rc == VF_ABSENT ||
              (rc == VF_FOUND && state != (d->only_dead ? VF_GEN_BUILDING : VF_GEN_DOOMED));
    if (rc < 0 || d->done)
        return rc < 0 ? -1 : 0;
    if (vf_cursor_open(&c, t, err) < 0)
        return -1;
    while ((rc = vf_cursor_seek(&c, vf_key_bytes(&prefix), err)) == VF_FOUND &&
           vf_key_begins(c.key, &prefix, prefix.len)) {
        uint8_t key[VF_KEY_MAX];
        struct vf_bytes k = {key, c.key.len};

        if (bytes >= DOOM_BYTES || values >= DOOM_VALUES)
            break;
        bytes += c.value.len;
        values++;
        memcpy(key, c.key.p, c.key.len);
        rc = vf_txn_del(t, k, err);
        if (rc < 0)
            break;
    }
    d->done = rc == VF_ABSENT || (rc == VF_FOUND && !vf_key_begins(c.key, &prefix, prefix.len));
    vf_cursor_close(&c);
    if (rc < 0)
        return -1;
    if (d->done)
        return vf_txn_del(t, vf_key_bytes(&record), err) < 0 ? -1 : 0;
    return d->only_dead ? vf_generation_set(t, d->gen, VF_GEN_DOOMED, err) : 0;
}

static int delete_all(struct vf_index *ix, uint64_t gen, bool only_dead, struct vf_error *err)
{
    struct doom d = {gen, only_dead, false};

    while (!d.done) {
        if (vf_store_write(&ix->store, do_delete, &d, err) < 0)
            return -1;
        d.only_dead = false; /* the first step has made it DOOMED */
    }
    return 0;
}

/* Generations behind `from` that can be deleted: up to SWEEP_LIST of them.  -1 on error. */
static long list_doomed(struct vf_index *ix, int builders, uint64_t from, struct doom *ret,
                        struct vf_error *err)
{
    const struct vf_key start = vf_key_generation(from);
    struct vf_cursor c = {0};
    struct vf_txn t;
    long n = 0;
    int rc;

    if (vf_store_read(&ix->store, &t, err) < 0)
        return -1;
    rc = vf_cursor_open(&c, &t, err);
    if (rc == 0)
        rc = vf_cursor_seek(&c, vf_key_bytes(&start), err);
    for (; rc == VF_FOUND && n < (long)SWEEP_LIST && c.key.p[0] == 'G';
         rc = vf_cursor_next(&c, err)) {
        enum vf_generation_state state;
        uint64_t gen;

        if (c.key.len != 1 + VF_GENERATION_LEN) {
            (void)vf_error_set(err, VF_ERR_FORMAT, 0, "a generation has a wrong key");
            rc = -1;
            break;
        }
        gen = vf_be_get(c.key.p + 1, VF_GENERATION_LEN);
        if (vf_generation_decode(c.value.p, c.value.len, &state, err) < 0) {
            rc = -1;
            break;
        }
        if (state == VF_GEN_DOOMED || (state == VF_GEN_BUILDING && !builder_alive(builders, gen)))
            ret[n++] = (struct doom){gen, state == VF_GEN_BUILDING, false};
    }
    vf_cursor_close(&c);
    vf_txn_end(&t);
    return rc < 0 ? vf_store_damaged(&ix->store, err) : n;
}

int vf_generations_sweep(struct vf_index *ix, struct vf_error *err)
{
    struct doom list[SWEEP_LIST];
    int builders = open_builders(ix, err), rc = 0;
    uint64_t from = 0;
    long n;

    if (builders < 0)
        return -1;
    do {
        n = list_doomed(ix, builders, from, list, err);
        if (n < 0)
            rc = -1;
        for (long i = 0; rc == 0 && i < n; i++) {
            rc = delete_all(ix, list[i].gen, list[i].only_dead, err);
            from = list[i].gen + 1;
        }
    } while (rc == 0 && n == SWEEP_LIST);
    vf_close_fd(&builders);
    return rc;
}

void vf_generations_tidy(struct vf_index *ix)
{
    int ignored = vf_generations_sweep(ix, NULL);

    (void)ignored;
}

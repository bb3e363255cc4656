/* core/similar/summary_cache.c - the last summary of each node: STORE/cache/summaries/, a file for
 * each. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/fdio.h"
#include "core/hash/digest.h"
#include "core/similar/summary_impl.h"

/* A file is: length of the key (4), key, summary. */
#define KEY_MAX  65536u
#define NAME_LEN 16u /* bytes of the hash in a name */

struct entry {
    int dir;
    char name[2 * NAME_LEN + 1];
};

/* make: the directory is made if it is not there.  1, 0 when there is none, -1. */
static int open_dir(int store_fd, bool make, int *ret, struct vf_error *err)
{
    static const char *const parts[] = {"cache", "summaries"};
    int at = store_fd;

    for (unsigned i = 0; i < 2; i++) {
        int below = -1;

        if (!make || mkdirat(at, parts[i], 0700) == 0 || errno == EEXIST)
            below = openat(at, parts[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below < 0 && !(errno == ENOENT && !make)) {
            (void)vf_error_sys(err, errno, "directory '%s' of the store", parts[i]);
            if (at != store_fd)
                vf_close_fd(&at);
            return -1;
        }
        if (at != store_fd)
            vf_close_fd(&at);
        if (below < 0)
            return 0;
        at = below;
    }
    *ret = at;
    return 1;
}

static int entry_open(int store_fd, const char *key, bool make, struct entry *ret,
                      struct vf_error *err)
{
    struct vf_sha *sha = vf_sha_new(err);
    uint8_t hash[VF_SHA_LEN];
    int rc = sha ? vf_sha_of(sha, key, strlen(key), hash, err) : -1;

    vf_sha_free(sha);
    if (rc < 0)
        return -1;
    vf_hex(hash, NAME_LEN, ret->name);
    if (strlen(key) > KEY_MAX)
        return vf_error_set(err, VF_ERR_RANGE, 0, "the name of a node is too long");
    return open_dir(store_fd, make, &ret->dir, err);
}

/* Is it what was saved under the key?  Moves the summary to the front of *b. */
static bool unwrap(struct vf_buf *b, const char *key)
{
    struct vf_reader r = vf_reader_over(b->data, b->len);
    struct vf_summary_head head;
    const uint8_t *stored;
    uint32_t len;

    if (!vf_reader_u32(&r, &len) || len != strlen(key) || !vf_reader_bytes(&r, len, &stored) ||
        memcmp(stored, key, len) != 0 || vf_summary_head(r.p, vf_reader_left(&r), &head, NULL) < 0)
        return false;
    b->len = vf_reader_left(&r);
    memmove(b->data, r.p, b->len);
    return true;
}

int vf_summary_cache_load(int store_fd, const char *key, struct vf_buf *ret, struct vf_error *err)
{
    struct vf_error own = VF_ERROR_INIT;
    struct vf_buf b = VF_BUF_INIT;
    struct entry e;
    int rc = entry_open(store_fd, key, false, &e, err);

    if (rc != 1)
        return rc;
    b.data = (uint8_t *)vf_read_small_file(
        e.dir, e.name, VF_SUMMARY_BYTES_MAX + KEY_MAX + sizeof(uint32_t), &b.len, &own);
    b.cap = b.len;
    if (b.data && unwrap(&b, key)) {
        *ret = b;
    } else if (b.data || own.code == VF_ERR_RANGE) {
        /* Whatever it was: without it all is asked for again. */
        rc = unlinkat(e.dir, e.name, 0) < 0 && errno != ENOENT
                 ? vf_error_sys(err, errno, "a damaged summary in the cache")
                 : 0;
        vf_buf_free(&b);
    } else if (own.code == VF_ERR_NOTFOUND) {
        rc = 0;
    } else {
        rc = vf_error_pass(err, &own);
    }
    vf_close_fd(&e.dir);
    return rc;
}

int vf_summary_cache_save(int store_fd, const char *key, const void *data, size_t len,
                          struct vf_error *err)
{
    struct vf_summary_head head;
    struct vf_buf b = VF_BUF_INIT;
    struct entry e = {.dir = -1};
    int rc = vf_summary_head(data, len, &head, err);

    if (rc == 0 && entry_open(store_fd, key, true, &e, err) < 0)
        rc = -1;
    if (rc == 0 &&
        (vf_buf_u32(&b, (uint32_t)strlen(key), err) < 0 ||
         vf_buf_add(&b, key, strlen(key), err) < 0 || vf_buf_add(&b, data, len, err) < 0))
        rc = -1;
    if (rc == 0)
        rc = vf_replace_file(e.dir, e.name, b.data, b.len, 0600, err);
    vf_buf_free(&b);
    vf_close_fd(&e.dir);
    return rc;
}

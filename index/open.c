/* index/open.c - opening and closing an index. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/fdio.h"
#include "index/catalog.h"

static int put_version(struct vf_txn *t, void *ctx, struct vf_error *err)
{
    const struct vf_version_record rec = {VF_INDEX_VERSION, 1};
    const struct vf_key key = vf_key_version();
    struct vf_buf b = VF_BUF_INIT;
    struct vf_bytes old;
    int rc;

    (void)ctx;
    rc = vf_txn_get(t, vf_key_bytes(&key), &old, err);
    if (rc == VF_FOUND)
        return 0; /* another process was quicker */
    if (rc == VF_ABSENT && vf_version_encode(&b, &rec, err) == 0)
        rc = vf_txn_put(t, vf_key_bytes(&key), (struct vf_bytes){b.data, b.len}, err);
    else
        rc = -1;
    vf_buf_free(&b);
    return rc;
}

/* VF_ABSENT: there is nothing in the database at all. */
static int check_version(struct vf_index *ix, struct vf_error *err)
{
    const struct vf_key key = vf_key_version();
    struct vf_version_record rec;
    struct vf_cursor c = {0};
    struct vf_bytes value;
    struct vf_txn t;
    int rc;

    if (vf_store_read(&ix->store, &t, err) < 0)
        return -1;
    rc = vf_txn_get(&t, vf_key_bytes(&key), &value, err);
    if (rc == VF_FOUND && vf_version_decode(value.p, value.len, &rec, err) < 0)
        rc = vf_store_damaged(&ix->store, err);
    if (rc == VF_ABSENT)
        rc = vf_cursor_open(&c, &t, err);
    if (rc == 0 && (rc = vf_cursor_seek(&c, (struct vf_bytes){key.b, 1}, err)) == VF_ABSENT)
        rc = vf_cursor_prev(&c, err);
    if (rc == VF_FOUND && c.mc) {
        (void)vf_error_set(err, VF_ERR_FORMAT, 0, "it has no version record");
        rc = vf_store_damaged(&ix->store, err);
    }
    vf_cursor_close(&c);
    vf_txn_end(&t);
    return rc;
}

static int open_parts(struct vf_index *ix, const char *store_dir, unsigned flags,
                      const struct vf_index_limits *limits, struct vf_error *err)
{
    char *dir = vf_strf(err, "%s/index", store_dir);
    int rc = -1;

    ix->store_dir = vf_strdup(store_dir, err);
    if (!dir || !ix->store_dir)
        goto out;
    if ((flags & VF_INDEX_CREATE) && !(flags & VF_INDEX_READONLY) && vf_mkdir_p(dir, 0700, err) < 0)
        goto out;
    ix->real_dir = realpath(store_dir, NULL);
    ix->store_fd = open(store_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!ix->real_dir || ix->store_fd < 0) {
        rc = vf_error_sys(err, errno, "open the store '%s'", store_dir);
        goto out;
    }
    rc = vf_store_open(&ix->store, dir, flags, limits->map_size, err);
out:
    free(dir);
    return rc;
}

struct vf_index *vf_index_open_with(const char *store_dir, unsigned flags,
                                    const struct vf_index_limits *limits, struct vf_error *err)
{
    const bool readonly = flags & VF_INDEX_READONLY;
    struct vf_error sweep = VF_ERROR_INIT;
    struct vf_index *ix = vf_calloc(1, sizeof *ix, err);
    int rc;

    if (!ix)
        return NULL;
    ix->store_fd = -1;
    ix->limits = *limits;
    if (open_parts(ix, store_dir, flags, limits, err) < 0)
        goto failed;
    rc = check_version(ix, err);
    if (rc == VF_ABSENT)
        rc = readonly ? vf_error_set(err, VF_ERR_NOTFOUND, 0, "the index in '%s' is empty",
                                     ix->store.dir)
                      : vf_store_write(&ix->store, put_version, NULL, err);
    if (rc < 0)
        goto failed;
    /* Leftovers can wait when there is no room to delete them in. */
    if (!readonly && vf_generations_sweep(ix, &sweep) < 0 && sweep.code == VF_ERR_FORMAT) {
        (void)vf_error_pass(err, &sweep); /* NULL says it */
        goto failed;
    }
    return ix;
failed:
    vf_index_close(ix);
    return NULL;
}

struct vf_index *vf_index_open(const char *store_dir, unsigned flags, struct vf_error *err)
{
    const struct vf_index_limits limits = VF_INDEX_LIMITS;

    return vf_index_open_with(store_dir, flags, &limits, err);
}

void vf_index_close(struct vf_index *ix)
{
    if (!ix)
        return;
    vf_store_close(&ix->store);
    vf_close_fd(&ix->store_fd);
    free(ix->store_dir);
    free(ix->real_dir);
    free(ix);
}

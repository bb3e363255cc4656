/* index/catalog.c - images and their records. */
#include "index/catalog.h"

#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "index/le.h"

#define EACH_BATCH 64u /* records read in one transaction */

/* ---- names and their keys ---- */

/* What path is below dir, NULL: it is not, or not in a plain way ("..", "."). */
static const char *below(const char *dir, const char *path)
{
    size_t n = strlen(dir);

    while (n > 1 && dir[n - 1] == '/')
        n--;
    if (dir[0] != '/' || strncmp(path, dir, n) != 0 || path[n] != '/')
        return NULL;
    path += n + strspn(path + n, "/");
    return vf_record_check_path(path, NULL) == 0 ? path : NULL;
}

char *vf_image_name(const struct vf_index *ix, const char *path, struct vf_error *err)
{
    const char *name = path;

    if (path && path[0] == '/' && !(name = below(ix->store_dir, path)) &&
        !(name = below(ix->real_dir, path)))
        name = path;
    return vf_record_check_path(name, err) < 0 ? NULL : vf_strdup(name, err);
}

/* 'I' and the path.  Of a path that is too long for a key, the first bytes, a zero byte, and a
 * number (4) that tells those apart that begin alike. */
#define PATH_IN_KEY 480u

struct path_key {
    uint8_t b[VF_KEY_MAX];
    size_t len;
};

static struct vf_bytes path_bytes(const struct path_key *k)
{
    return (struct vf_bytes){k->b, k->len};
}

static void path_key_init(struct path_key *k, const char *name)
{
    const size_t len = strlen(name), n = len < PATH_IN_KEY ? len : PATH_IN_KEY;

    k->b[0] = 'I';
    memcpy(k->b + 1, name, n);
    k->len = 1 + n;
    if (len > n)
        k->b[k->len++] = 0;
}

/* Decodes the record of a key that begins right. */
static int decode(struct vf_txn *t, struct vf_bytes value, struct vf_image_record *ret,
                  struct vf_error *err)
{
    if (vf_image_record_decode(value.p, value.len, ret, err) == 0)
        return 0;
    return vf_store_damaged(t->st, err);
}

/* A path that is longer than its key: looks at all that begin like it. */
static int find_long(struct vf_txn *t, const char *name, struct path_key *key,
                     struct vf_image_record *ret, struct vf_error *err)
{
    const size_t prefix = key->len;
    struct vf_cursor c;
    uint64_t slot = 0;
    int rc;

    if (vf_cursor_open(&c, t, err) < 0)
        return -1;
    for (rc = vf_cursor_seek(&c, path_bytes(key), err); rc == VF_FOUND;
         rc = vf_cursor_next(&c, err)) {
        struct vf_image_record rec;
        uint64_t number;

        if (c.key.len != prefix + 4 || memcmp(c.key.p, key->b, prefix) != 0) {
            rc = VF_ABSENT;
            break;
        }
        number = vf_be_get(c.key.p + prefix, 4);
        if (number == slot)
            slot++; /* the first free one, when all before it are taken */
        if (decode(t, c.value, &rec, err) < 0) {
            rc = -1;
            break;
        }
        if (strcmp(rec.path, name) == 0) {
            *ret = rec;
            slot = number;
            break;
        }
        vf_image_record_clear(&rec);
    }
    vf_cursor_close(&c);
    vf_be_put(key->b + prefix, 4, slot);
    key->len = prefix + 4;
    return rc;
}

/* VF_FOUND with the record; VF_ABSENT: *key is where it would go; -1. */
static int find(struct vf_txn *t, const char *name, struct path_key *key,
                struct vf_image_record *ret, struct vf_error *err)
{
    struct vf_bytes value;
    int rc;

    path_key_init(key, name);
    if (key->b[key->len - 1] == 0)
        return find_long(t, name, key, ret, err);
    rc = vf_txn_get(t, path_bytes(key), &value, err);
    if (rc != VF_FOUND)
        return rc;
    if (decode(t, value, ret, err) < 0)
        return -1;
    if (strcmp(ret->path, name) == 0)
        return VF_FOUND;
    vf_image_record_clear(ret);
    (void)vf_error_set(err, VF_ERR_FORMAT, 0, "a record lies under another image's name");
    return vf_store_damaged(t->st, err);
}

/* ---- images ---- */

int vf_image_find(struct vf_txn *t, const char *name, struct vf_image_record *ret,
                  struct vf_error *err)
{
    struct path_key key;

    return find(t, name, &key, ret, err);
}

int vf_image_put(struct vf_txn *t, const struct vf_image_record *rec, struct vf_error *err)
{
    struct vf_image_record old = {0};
    struct vf_buf b = VF_BUF_INIT;
    struct path_key key;
    int rc = find(t, rec->path, &key, &old, err);

    if (rc == VF_FOUND && old.generation != rec->generation)
        rc = vf_generation_set(t, old.generation, VF_GEN_DOOMED, err);
    if (rc >= 0)
        rc = vf_image_record_encode(&b, rec, err);
    if (rc == 0)
        rc = vf_txn_put(t, path_bytes(&key), (struct vf_bytes){b.data, b.len}, err);
    vf_image_record_clear(&old);
    vf_buf_free(&b);
    return rc;
}

int vf_index_get(struct vf_index *ix, const char *path, struct vf_image_record *ret,
                 struct vf_error *err)
{
    char *name = vf_image_name(ix, path, err);
    struct vf_txn t;
    int rc = -1;

    if (name && vf_store_read(&ix->store, &t, err) == 0) {
        rc = vf_image_find(&t, name, ret, err);
        vf_txn_end(&t);
    }
    free(name);
    return rc;
}

/* Up to EACH_BATCH records behind *key, which moves on.  Their number, or -1. */
static long each_batch(struct vf_index *ix, struct path_key *key, struct vf_image_record *ret,
                       struct vf_error *err)
{
    struct vf_cursor c = {0};
    struct vf_txn t;
    long n = 0;
    int rc;

    if (vf_store_read(&ix->store, &t, err) < 0)
        return -1;
    rc = vf_cursor_open(&c, &t, err);
    if (rc == 0)
        rc = vf_cursor_seek(&c, path_bytes(key), err);
    if (rc == VF_FOUND && c.key.len == key->len && memcmp(c.key.p, key->b, key->len) == 0)
        rc = vf_cursor_next(&c, err); /* seen before */
    while (rc == VF_FOUND && n < (long)EACH_BATCH && c.key.p[0] == 'I') {
        if (c.key.len > sizeof key->b || decode(&t, c.value, &ret[n], err) < 0) {
            rc = -1;
            break;
        }
        memcpy(key->b, c.key.p, c.key.len);
        key->len = c.key.len;
        n++;
        rc = vf_cursor_next(&c, err);
    }
    vf_cursor_close(&c);
    vf_txn_end(&t);
    if (rc >= 0)
        return n;
    while (n > 0)
        vf_image_record_clear(&ret[--n]);
    return -1;
}

int vf_index_each(struct vf_index *ix, vf_index_each_fn *fn, void *ctx, struct vf_error *err)
{
    struct vf_image_record *recs = vf_calloc(EACH_BATCH, sizeof *recs, err);
    struct path_key key = {.b = {'I'}, .len = 1};
    int rc = 0;
    long n;

    if (!recs)
        return -1;
    do {
        n = each_batch(ix, &key, recs, err);
        if (n < 0)
            rc = -1;
        for (long i = 0; i < n; i++) {
            if (rc == 0)
                rc = fn(ctx, &recs[i], err);
            vf_image_record_clear(&recs[i]);
        }
    } while (rc == 0 && n == EACH_BATCH);
    free(recs);
    return rc;
}

struct change {
    const char *name;
    const struct vf_image_record *rec; /* update: path is a stored name */
    bool found;
};

static int do_remove(struct vf_txn *t, void *ctx, struct vf_error *err)
{
    struct change *ch = ctx;
    struct vf_image_record old;
    struct path_key key;
    int rc = find(t, ch->name, &key, &old, err);

    ch->found = rc == VF_FOUND;
    if (rc != VF_FOUND)
        return rc;
    rc = vf_generation_set(t, old.generation, VF_GEN_DOOMED, err);
    if (rc == 0)
        rc = vf_txn_del(t, path_bytes(&key), err) < 0 ? -1 : 0;
    vf_image_record_clear(&old);
    return rc;
}

int vf_index_remove(struct vf_index *ix, const char *path, struct vf_error *err)
{
    struct change ch = {.name = NULL};
    char *name = vf_image_name(ix, path, err);
    int rc = -1;

    ch.name = name;
    if (name)
        rc = vf_store_write(&ix->store, do_remove, &ch, err);
    free(name);
    if (rc < 0)
        return -1;
    vf_generations_tidy(ix);
    return ch.found ? VF_FOUND : VF_ABSENT;
}

static int do_update(struct vf_txn *t, void *ctx, struct vf_error *err)
{
    struct change *ch = ctx;
    struct vf_image_record old, rec = *ch->rec;
    struct path_key key;
    int rc = find(t, ch->name, &key, &old, err);

    if (rc < 0)
        return -1;
    if (rc == VF_ABSENT)
        return vf_error_set(err, VF_ERR_NOTFOUND, 0, "'%s' is not in the index", ch->name);
    rec.info = old.info;
    if (old.generation != rec.generation)
        rc =
            vf_error_set(err, VF_ERR_CHANGED, 0, "'%s' has been indexed again meanwhile", ch->name);
    else if (strcmp(ch->name, rec.path) != 0 && vf_txn_del(t, path_bytes(&key), err) < 0)
        rc = -1;
    else
        rc = vf_image_put(t, &rec, err);
    vf_image_record_clear(&old);
    return rc;
}

int vf_index_update(struct vf_index *ix, const char *path, const struct vf_image_record *rec,
                    struct vf_error *err)
{
    struct vf_image_record changed = *rec;
    struct change ch = {.rec = &changed};
    char *name = vf_image_name(ix, path, err);
    int rc = -1;

    changed.path = name ? vf_image_name(ix, rec->path, err) : NULL;
    ch.name = name;
    if (changed.path)
        rc = vf_store_write(&ix->store, do_update, &ch, err);
    free(changed.path);
    free(name);
    if (rc == 0)
        vf_generations_tidy(ix);
    return rc;
}

/* service/keeper_scan.c - directories: which there are, and everything in them, from time to time.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "core/checked.h"
#include "core/clock.h"
#include "service/keeper_impl.h"

#define DEPTH_MAX 16u /* of directories in directories */
#define DIRS_MAX  65536u

void vf_keeper_scan_soon(struct vf_keeper *k, int64_t wait_ms)
{
    if (k->next_scan_ms > k->now_ms + wait_ms)
        k->next_scan_ms = k->now_ms + wait_ms;
}

/* ---- the list of directories ---- */

static struct dir *find_dir(struct vf_keeper *k, const char *path, size_t len)
{
    for (size_t i = 0; i < k->ndirs; i++)
        if (strncmp(k->dir[i].path, path, len) == 0 && !k->dir[i].path[len])
            return &k->dir[i];
    return NULL;
}

struct dir *vf_keeper_dir_of(struct vf_keeper *k, const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? find_dir(k, path, (size_t)(slash - path)) : NULL;
}

bool vf_keeper_covers(struct vf_keeper *k, const char *path)
{
    if (vf_keeper_dir_of(k, path))
        return true;
    for (size_t i = 0; k->opts.recursive && i < k->ndirs; i++) {
        size_t len = strlen(k->dir[i].path);

        if (k->dir[i].named && strncmp(k->dir[i].path, path, len) == 0 &&
            (path[len] == '/' || len == 1))
            return true;
    }
    return false;
}

static void drop(struct vf_keeper *k, size_t i)
{
    if (k->watch && k->dir[i].number >= 0)
        vf_watch_remove(k->watch, k->dir[i].number);
    free(k->dir[i].path);
    k->dir[i] = k->dir[--k->ndirs];
}

void vf_keeper_dirs_free(struct vf_keeper *k)
{
    while (k->ndirs)
        drop(k, k->ndirs - 1);
    free(k->dir);
}

static bool avoided(const struct vf_keeper *k, const char *path)
{
    for (size_t i = 0; i < k->opts.navoid; i++)
        if (strcmp(k->opts.avoid[i], path) == 0)
            return true;
    return false;
}

/* Notes that the directory is to be looked after. */
static int add_dir(struct vf_keeper *k, const char *path, bool named, unsigned depth,
                   struct vf_error *err)
{
    char *real = realpath(path, NULL);
    const char *name = real ? real : path;
    struct dir *d = find_dir(k, name, strlen(name)), *more;
    int rc = 0;

    if (d || avoided(k, name) || k->ndirs >= DIRS_MAX)
        goto out;
    if (k->ndirs == k->dirs_cap) {
        size_t cap = k->dirs_cap ? k->dirs_cap * 2 : 8;

        more = realloc(k->dir, cap * sizeof *more);
        if (!more) {
            rc = vf_error_nomem(err);
            goto out;
        }
        k->dir = more;
        k->dirs_cap = cap;
    }
    d = &k->dir[k->ndirs];
    *d = (struct dir){.path = vf_strdup(name, err), .number = -1, .depth = depth};
    rc = d->path ? 0 : -1;
    k->ndirs += d->path != NULL;
out:
    if (rc == 0 && d) {
        d->named |= named;
        d->seen = k->scan;
    }
    free(real);
    return rc;
}

static int add_pool(void *ctx, const char *dir, struct vf_error *err)
{
    return add_dir(ctx, dir, true, 0, err);
}

static int add_named(struct vf_keeper *k, struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;

    for (size_t i = 0; i < k->opts.ndirs; i++)
        if (add_dir(k, k->opts.dir[i], true, 0, err) < 0)
            return -1;
    if (k->ops->pools && k->ops->pools(k->ctx, add_pool, k, &why) < 0) {
        if (strcmp(k->pools_why, why.msg) != 0)
            vf_keeper_log(k, VF_LOG_WARNING, "storage pools: %s", why.msg);
        (void)snprintf(k->pools_why, sizeof k->pools_why, "%s", why.msg); /* cut is fine */
        for (size_t i = 0; i < k->ndirs; i++)                             /* as they were */
            if (k->dir[i].named)
                k->dir[i].seen = k->scan;
    }
    return 0;
}

/* Do other machines write there, without events here? */
static bool is_remote(const char *path)
{
    static const uint32_t magic[] = {0x6969,     0xff534d42, 0xfe534d42, 0x00c36400, 0x65735546,
                                     0x01161970, 0x7461636f, 0x0bd00bd0}; /* NFS, CIFS, SMB2, Ceph,
                                                                             FUSE, GFS2, OCFS2,
                                                                             Lustre */
    struct statfs fs;

    if (statfs(path, &fs) < 0)
        return false;
    for (size_t i = 0; i < sizeof magic / sizeof *magic; i++)
        if ((uint32_t)fs.f_type == magic[i])
            return true;
    return false;
}

static void set_dir_why(struct vf_keeper *k, struct dir *d, const char *why)
{
    char old[sizeof d->why];

    memcpy(old, d->why, sizeof old);
    (void)snprintf(d->why, sizeof d->why, "%s", why); /* cut is fine */
    if (*why && strcmp(old, d->why) != 0)
        vf_keeper_log(k, VF_LOG_WARNING, "%s: %s", d->path, why);
    else if (!*why && *old)
        vf_keeper_log(k, VF_LOG_INFO, "%s: is watched", d->path);
}

/* What is to be known of a directory that could be listed.  why: of no watch. */
static void judge_watch(struct vf_keeper *k, struct dir *d, const struct vf_error *why)
{
    if (d->number < 0)
        set_dir_why(k, d, k->watch ? why->msg : "no events; looked at from time to time");
    else
        set_dir_why(k, d,
                    is_remote(d->path) ? "may be changed by other machines, which makes no "
                                         "events; looked at from time to time"
                                       : "");
}

/* ---- everything in them ---- */

static int look_in(struct vf_keeper *k, size_t i, const char *name, bool *ret_image,
                   struct vf_error *err)
{
    char *path = vf_strf(err, "%s/%s", strcmp(k->dir[i].path, "/") ? k->dir[i].path : "", name);
    struct stat st;
    int rc = path ? 0 : -1;

    *ret_image = false;
    if (rc == 0 && k->opts.recursive && name[0] != '.' && k->dir[i].depth < DEPTH_MAX &&
        lstat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        rc = add_dir(k, path, false, k->dir[i].depth + 1, err);
    } else if (rc == 0 && vf_keeper_candidate(k, name)) {
        rc = vf_keeper_look(k, path, HOW_SCAN, err);
        *ret_image = true;
    }
    free(path);
    return rc;
}

/* k->dir may move while this runs. */
static int list(struct vf_keeper *k, size_t i, struct vf_error *err)
{
    DIR *d;
    struct dirent *e;
    struct vf_error no_watch = VF_ERROR_INIT;
    size_t any = 0, files = 0;
    int rc = 0;

    /* Before it is listed, so that nothing falls between. */
    k->dir[i].number = k->watch ? vf_watch_add(k->watch, k->dir[i].path, &no_watch) : -1;
    d = opendir(k->dir[i].path);
    if (!d) {
        char why[160];

        (void)snprintf(why, sizeof why, "cannot be listed: %s", strerrordesc_np(errno));
        k->dir[i].there = false;
        k->dir[i].files = 0;
        set_dir_why(k, &k->dir[i], why);
        return 0;
    }
    judge_watch(k, &k->dir[i], &no_watch);
    while (rc == 0 && (e = readdir(d)) != NULL) {
        bool image;

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        any++;
        rc = look_in(k, i, e->d_name, &image, err);
        files += image;
    }
    (void)closedir(d); /* only read */
    /* The empty directory of a disk that is not mounted must not cost its maps. */
    k->dir[i].had_any |= any > 0;
    k->dir[i].there = true;
    k->dir[i].files = files;
    return rc;
}

/* ---- what the index knows ---- */

static int note_record(void *ctx, const struct vf_keeper_record *rec, struct vf_error *err)
{
    struct vf_keeper *k = ctx;
    struct vf_file *f = vf_files_find(k->files, rec->path);
    const char *slash = strrchr(rec->path, '/');

    /* What was indexed by hand elsewhere is nobody's business here. */
    if (!f && (!vf_keeper_covers(k, rec->path) || !vf_keeper_candidate(k, slash + 1)))
        return 0;
    if (!f)
        f = vf_files_add(k->files, rec->path, err);
    if (!f)
        return -1;
    f->recorded = true;
    f->rec = rec->id;
    f->rec_moving = rec->moving;
    f->rec_ms = k->now_ms - rec->age_ms;
    return 0;
}

static int note_records(struct vf_keeper *k, struct vf_error *err)
{
    for (struct vf_file *f = vf_files_next(k->files, NULL); f; f = vf_files_next(k->files, f))
        f->recorded = false;
    return k->ops->records(k->ctx, note_record, k, err);
}

/* Files that no directory listing has met: gone, or reached through a link. */
static int look_at_rest(struct vf_keeper *k, struct vf_error *err)
{
    int rc = 0;

    for (struct vf_file *f = vf_files_next(k->files, NULL), *next; f && rc == 0; f = next) {
        next = vf_files_next(k->files, f);
        if (f->state != VF_FILE_READING && !k->opts.follow_links && !vf_keeper_covers(k, f->path))
            vf_files_remove(k->files, f); /* of a directory that is not asked for any more */
        else if (f->seen != k->scan)
            rc = vf_keeper_look_at(k, f, HOW_SCAN, err);
    }
    return rc;
}

static bool waits(const struct vf_file *f) { return f->state == VF_FILE_WAITING && f->present; }

/* Those of the table; *ret is owned. */
static int gather(struct vf_keeper *k, bool (*wanted)(const struct vf_file *),
                  struct vf_file ***ret, size_t *ret_n, struct vf_error *err)
{
    size_t n = 0;

    *ret_n = 0;
    for (struct vf_file *f = vf_files_next(k->files, NULL); f; f = vf_files_next(k->files, f))
        n += wanted(f);
    *ret = vf_calloc(n, sizeof **ret, err);
    if (!*ret)
        return -1;
    for (struct vf_file *f = vf_files_next(k->files, NULL); f; f = vf_files_next(k->files, f))
        if (wanted(f))
            (*ret)[(*ret_n)++] = f;
    return 0;
}

/* Only now is it known which files have gone, and whose map may be that of a new one.  A file that
 * an adoption takes out of the table is not there, so it does not wait. */
static int adopt_all(struct vf_keeper *k, struct vf_error *err)
{
    struct vf_file **gone = NULL, **fresh = NULL;
    size_t ngone = 0, nfresh = 0;
    int rc = gather(k, vf_keeper_displaced, &gone, &ngone, err);

    if (rc == 0 && ngone)
        rc = gather(k, waits, &fresh, &nfresh, err);
    for (size_t i = 0; i < nfresh && rc >= 0; i++) {
        for (size_t j = 0; j < ngone && waits(fresh[i]) && rc >= 0; j++) {
            rc = vf_keeper_adopt(k, fresh[i], gone[j], err);
            if (rc > 0)
                gone[j--] = gone[--ngone];
        }
    }
    free(gone);
    free(fresh);
    return rc < 0 ? -1 : 0;
}

/* ---- a scan ---- */

static int scan(struct vf_keeper *k, struct vf_error *err)
{
    bool poll = false;

    k->scan++;
    if (add_named(k, err) < 0 || note_records(k, err) < 0)
        return -1;
    for (size_t i = 0; i < k->ndirs; i++) { /* the list grows */
        if (k->dir[i].seen == k->scan && list(k, i, err) < 0)
            return -1;
    }
    for (size_t i = k->ndirs; i-- > 0;) {
        if (k->dir[i].seen != k->scan) /* nobody asks for it any more */
            drop(k, i);
        else
            poll |= k->dir[i].number < 0 || !k->dir[i].there || *k->dir[i].why;
    }
    if (look_at_rest(k, err) < 0 || adopt_all(k, err) < 0)
        return -1;
    k->next_scan_ms =
        k->now_ms + (poll && k->opts.poll_ms < k->opts.scan_ms ? k->opts.poll_ms : k->opts.scan_ms);
    return 0;
}

int vf_keeper_scan(struct vf_keeper *k, struct vf_error *err)
{
    uint64_t cpu = vf_clock_cpu_ns();
    double wall = vf_clock_now();
    int rc;

    k->scan_ms = k->now_ms;
    k->next_scan_ms = k->now_ms + k->opts.poll_ms; /* if it fails */
    rc = scan(k, err);
    k->scan_cpu_seconds = (double)(vf_clock_cpu_ns() - cpu) / 1e9;
    k->scan_seconds = vf_clock_now() - wall;
    return rc;
}

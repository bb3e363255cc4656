/* cmd/storedir.c - finds, makes and opens a store. */
#include "cmd/storedir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/nowhere.h"
#include "core/checked.h"
#include "core/fdio.h"

/* A path that stays right when the working directory changes; returns owned. */
static char *absolute(const char *path, struct vf_error *err)
{
    char *cwd, *ret;

    if (path[0] == '/')
        return vf_strdup(path, err);
    cwd = getcwd(NULL, 0);
    if (!cwd) {
        (void)vf_error_sys(err, errno, "working directory"); /* the NULL says it */
        return NULL;
    }
    ret = vf_strf(err, "%s/%s", cwd, path);
    free(cwd);
    return ret;
}

char *vf_storedir_path(const char *option, struct vf_error *err)
{
    const char *env = getenv("VMFERRY_STORE"), *data = getenv("XDG_DATA_HOME"),
               *home = getenv("HOME");

    if (option)
        return absolute(option, err);
    if (env && *env)
        return absolute(env, err);
    if (geteuid() == 0)
        return vf_strdup("/var/lib/vmferry", err);
    if (data && data[0] == '/')
        return vf_strf(err, "%s/vmferry", data);
    if (home && home[0] == '/')
        return vf_strf(err, "%s/.local/share/vmferry", home);
    (void)vf_error_set(err, VF_ERR_USAGE, 0, "no store: give --store DIR, or set HOME");
    return NULL;
}

static int read_settings(struct vf_storedir *st, const char *config, struct vf_error *err)
{
    struct vf_error own = VF_ERROR_INIT;
    char *path = config ? vf_strdup(config, err) : vf_strf(err, "%s/vmferry.conf", st->path);
    char *text = path ? vf_read_small_file(AT_FDCWD, path, VF_SETTINGS_BYTES, NULL, &own) : NULL;
    int rc = path ? 0 : -1;

    if (text) {
        rc = vf_settings_parse(&st->set, text, path, err);
    } else if (path && (own.code != VF_ERR_NOTFOUND || config)) {
        (void)vf_error_pass(err, &own); /* -1 below */
        rc = vf_error_prefix(err, "settings");
    }
    free(text);
    free(path);
    return rc;
}

/* The directory of received images: the store's own is made, another must be there already, so that
 * a disk that is not mounted does not fill the one below it. */
static int find_images(struct vf_storedir *st, struct vf_error *err)
{
    struct stat sb;

    if (!st->set.images) {
        st->images_dir = vf_strf(err, "%s/images", st->path);
        if (!st->images_dir || !st->looked_at)
            return st->images_dir ? vf_mkdir_p(st->images_dir, 0700, err) : -1;
        if (stat(st->images_dir, &sb) == 0 || errno != ENOENT)
            return 0; /* whoever opens it sees what is wrong */
        st->room_fd = vf_nowhere_above(st->images_dir, err);
        return st->room_fd < 0 ? -1 : 0;
    }
    st->images_dir = st->set.images[0] == '/' ? vf_strdup(st->set.images, err)
                                              : vf_strf(err, "%s/%s", st->path, st->set.images);
    if (!st->images_dir)
        return -1;
    if (stat(st->images_dir, &sb) < 0)
        return vf_error_sys(err, errno, "image directory '%s'", st->images_dir);
    if (!S_ISDIR(sb.st_mode))
        return vf_error_set(err, VF_ERR_USAGE, 0, "image directory '%s' is not a directory",
                            st->images_dir);
    return 0;
}

static int fill(struct vf_storedir *st, const struct vf_cli *cli, struct vf_error *err)
{
    st->path = vf_storedir_path(cli->store, err);
    if (!st->path || (!st->looked_at && vf_mkdir_p(st->path, 0700, err) < 0))
        return -1;
    st->fd = open(st->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (st->fd < 0 && (!st->looked_at || errno != ENOENT))
        return vf_error_sys(err, errno, "store '%s'", st->path);
    if (st->fd < 0 && (st->fd = vf_nowhere_dir(err)) < 0)
        return -1;
    st->tmp_dir = vf_strf(err, "%s/tmp", st->path);
    if (!st->tmp_dir || (!st->looked_at && vf_mkdir_p(st->tmp_dir, 0700, err) < 0))
        return -1;
    if (read_settings(st, cli->config, err) < 0)
        return -1;
    return find_images(st, err);
}

static struct vf_storedir *open_it(const struct vf_cli *cli, bool look, struct vf_error *err)
{
    struct vf_storedir *st = vf_calloc(1, sizeof *st, err);

    if (!st)
        return NULL;
    st->fd = st->room_fd = -1;
    st->looked_at = look;
    vf_settings_init(&st->set);
    if (fill(st, cli, err) < 0) {
        vf_storedir_close(st);
        return NULL;
    }
    return st;
}

struct vf_storedir *vf_storedir_open(const struct vf_cli *cli, struct vf_error *err)
{
    return open_it(cli, false, err);
}

struct vf_storedir *vf_storedir_look(const struct vf_cli *cli, struct vf_error *err)
{
    return open_it(cli, true, err);
}

struct vf_index *vf_storedir_index(const struct vf_storedir *st, struct vf_error *err)
{
    struct stat sb;

    if (st->looked_at && fstatat(st->fd, "index/data.mdb", &sb, 0) < 0 && errno == ENOENT)
        return vf_nowhere_index(err);
    return vf_index_open(st->path, VF_INDEX_CREATE, err);
}

int vf_storedir_images(const struct vf_storedir *st, struct vf_error *err)
{
    int fd;

    if (st->room_fd >= 0)
        return vf_nowhere_dir(err);
    fd = open(st->images_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? vf_error_sys(err, errno, "image directory '%s'", st->images_dir) : fd;
}

void vf_storedir_close(struct vf_storedir *st)
{
    if (!st)
        return;
    vf_close_fd(&st->fd);
    vf_close_fd(&st->room_fd);
    vf_settings_free(&st->set);
    free(st->path);
    free(st->tmp_dir);
    free(st->images_dir);
    free(st);
}

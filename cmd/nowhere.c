#include "cmd/nowhere.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/fdio.h"

/* Path of a new directory (0700); returns owned. */
static char *make_temporary(struct vf_error *err)
{
    const char *tmp = getenv("TMPDIR");
    char *path = vf_strf(err, "%s/vmferry-XXXXXX", tmp && *tmp ? tmp : "/tmp");

    if (path && !mkdtemp(path)) {
        (void)vf_error_sys(err, errno, "temporary directory '%s'", path); /* the NULL says it */
        free(path);
        return NULL;
    }
    return path;
}

static int remove_entry(const char *path, const struct stat *sb, int type, struct FTW *ftw)
{
    (void)sb;
    (void)type;
    (void)ftw;
    return remove(path);
}

void vf_nowhere_remove(const char *dir)
{
    (void)nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS); /* litter is ugly, not wrong */
}

int vf_nowhere_dir(struct vf_error *err)
{
    char *path = make_temporary(err);
    int fd;

    if (!path)
        return -1;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        (void)vf_error_sys(err, errno, "temporary directory '%s'", path); /* the -1 says it */
    vf_nowhere_remove(path);
    free(path);
    return fd;
}

/* Nothing of an index is opened by its path once it is open. */
struct vf_index *vf_nowhere_index(struct vf_error *err)
{
    char *path = make_temporary(err);
    struct vf_index *index;

    if (!path)
        return NULL;
    index = vf_index_open(path, VF_INDEX_CREATE, err);
    vf_nowhere_remove(path);
    free(path);
    return index;
}

int vf_nowhere_above(const char *path, struct vf_error *err)
{
    char *above = vf_strdup(path, err), *slash;
    int fd = -1;

    while (above && fd < 0 && (slash = strrchr(above, '/'))) {
        slash[slash == above] = '\0'; /* "/" stays */
        fd = open(above, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 && (errno != ENOENT || !above[1])) {
            (void)vf_error_sys(err, errno, "'%s'", above); /* the -1 says it */
            break;
        }
    }
    free(above);
    return fd;
}

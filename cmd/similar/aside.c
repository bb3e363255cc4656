/* cmd/similar/aside.c - maps that are not kept. */
#include "cmd/similar/aside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/nowhere.h"
#include "cmd/progress.h"
#include "core/checked.h"
#include "core/engine/engine.h"

static int make_map(const struct vf_cli *cli, struct vf_origin *image, struct vf_aside *a,
                    struct vf_error *err)
{
    struct vf_progress *progress = vf_progress_new(cli, image->path);
    struct vf_send_opts opts = {.progress = progress ? vf_progress_tick : NULL,
                                .progress_ctx = progress,
                                .stop = cli->stop};
    struct vf_map_sink *sink = vf_index_begin(a->index, &image->rec, err);
    int rc = sink ? vf_index_image(image->image, sink, &opts, NULL, err) : -1;

    vf_progress_end(progress);
    if (rc < 0)
        return -1;
    a->map = vf_index_map(a->index, image->rec.path, err);
    return a->map ? 0 : -1;
}

int vf_aside_open(const struct vf_cli *cli, const struct vf_storedir *store,
                  struct vf_origin *image, struct vf_aside *ret, struct vf_error *err)
{
    struct vf_aside a = {0};
    int rc = -1;

    a.dir = vf_strf(err, "%s/similar-XXXXXX", store->tmp_dir);
    if (!a.dir)
        return -1;
    if (!mkdtemp(a.dir)) {
        rc = vf_error_sys(err, errno, "temporary directory in '%s'", store->tmp_dir);
        free(a.dir);
        return rc;
    }
    a.index = vf_index_open(a.dir, VF_INDEX_CREATE, err);
    if (a.index)
        rc = make_map(cli, image, &a, err);
    if (rc == 0)
        *ret = a;
    else
        vf_aside_close(&a);
    return rc;
}

void vf_aside_close(struct vf_aside *a)
{
    if (a->map)
        a->map->ops->close(a->map);
    vf_index_close(a->index);
    if (a->dir)
        vf_nowhere_remove(a->dir);
    free(a->dir);
    memset(a, 0, sizeof *a);
}

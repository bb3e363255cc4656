/* cmd/storedir.h - a node's store: its directory, settings and index.
 *
 *   STORE/index/         LMDB (index/)
 *   STORE/images/        received images, unless vmferry.conf names another directory
 *   STORE/tmp/           unnamed temporary files
 *   STORE/run/           sockets of running migrations, for their further connections
 *   STORE/nodes.json     the inventory (cmd/inventory.h)
 *   STORE/vmferry.conf   settings, written by people only
 *
 * Thread rules: opened and closed by the main thread; read-only in between. */
#ifndef VF_CMD_STOREDIR_H
#define VF_CMD_STOREDIR_H

#include <stdbool.h>

#include "cmd/settings.h"
#include "core/error.h"
#include "index/index.h"

struct vf_cli;

struct vf_storedir {
    char *path, *tmp_dir, *images_dir; /* absolute */
    int fd;                            /* of path */
    int room_fd;    /* images_dir is not there, but this above it (vf_nowhere_above); else -1 */
    bool looked_at; /* by vf_storedir_look */
    struct vf_settings set;
};

/* Opens the store that the command line, the environment and the user imply, makes its directories
 * (0700) if they are missing, and reads its settings.  Returns owned, NULL on error. */
struct vf_storedir *vf_storedir_open(const struct vf_cli *cli, struct vf_error *err);

/* The same without making anything: what is not there has something empty without a name in its
 * place, tmp_dir is a name only. */
struct vf_storedir *vf_storedir_look(const struct vf_cli *cli, struct vf_error *err);
void vf_storedir_close(struct vf_storedir *st); /* NULL is fine */

/* Its index, made if it is not there and the store is not just looked at.  Returns owned, NULL on
 * error. */
struct vf_index *vf_storedir_index(const struct vf_storedir *st, struct vf_error *err);

/* Opens images_dir; descriptor, or -1. */
int vf_storedir_images(const struct vf_storedir *st, struct vf_error *err) VF_MUST_CHECK;

/* The path that vf_storedir_open would use; returns owned. */
char *vf_storedir_path(const char *option, struct vf_error *err);

#endif

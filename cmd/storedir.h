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

#include "cmd/settings.h"
#include "core/error.h"

struct vf_cli;

struct vf_storedir {
    char *path, *tmp_dir, *images_dir; /* absolute */
    int fd;                            /* of path */
    struct vf_settings set;
};

/* Opens the store that the command line, the environment and the user imply, makes its directories
 * (0700) if they are missing, and reads its settings.  Returns owned, NULL on error. */
struct vf_storedir *vf_storedir_open(const struct vf_cli *cli, struct vf_error *err);
void vf_storedir_close(struct vf_storedir *st); /* NULL is fine */

/* The path that vf_storedir_open would use; returns owned. */
char *vf_storedir_path(const char *option, struct vf_error *err);

#endif

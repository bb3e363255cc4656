/* cmd/inventory.h - the inventory of nodes, STORE/nodes.json.
 *
 *     {"nodes": [{"name": "paris", "node": "ssh://vm@paris.example.org/srv/vm"}]}
 *
 * Thread rules: belongs to the main thread. */
#ifndef VF_CMD_INVENTORY_H
#define VF_CMD_INVENTORY_H

#include <stddef.h>

#include "core/error.h"
#include "transport/target.h"

#define VF_INVENTORY_MAX 4096u /* in one inventory */
#define VF_NODE_NAME_MAX 64u   /* bytes */

struct vf_node_entry {
    char *name, *node; /* node: as vf_target_text writes it */
};

struct vf_inventory {
    struct vf_node_entry *entry; /* in order of names */
    size_t n;
};

/* Keeps others from changing the inventory of the store whose directory is fd, until it is closed:
 * who is to save waits for it before he loads.  CANCELLED when a signal came meanwhile. */
int vf_inventory_lock(int fd, struct vf_error *err) VF_MUST_CHECK;

/* Reads the inventory of the store in that directory; a missing file is an empty inventory.
 * 0 with *ret to be released by vf_inventory_free, or -1 (VF_ERR_FORMAT: the file is damaged). */
int vf_inventory_load(const char *store, struct vf_inventory *ret,
                      struct vf_error *err) VF_MUST_CHECK;
void vf_inventory_free(struct vf_inventory *nodes);

/* Writes it back, durably and at once. */
int vf_inventory_save(const char *store, const struct vf_inventory *nodes,
                      struct vf_error *err) VF_MUST_CHECK;

/* NULL if there is none of that name. */
const struct vf_node_entry *vf_inventory_find(const struct vf_inventory *nodes, const char *name);

/* Adds a node; VF_ERR_EXISTS if the name is taken, VF_ERR_USAGE for a bad name or node. */
int vf_inventory_add(struct vf_inventory *nodes, const char *name, const char *node,
                     struct vf_error *err) VF_MUST_CHECK;

/* VF_ERR_NOTFOUND if there is none of that name. */
int vf_inventory_remove(struct vf_inventory *nodes, const char *name,
                        struct vf_error *err) VF_MUST_CHECK;

/* What a NODE operand means: a name from the inventory, "ssh://...", or an absolute path.
 * 0 with *ret to be released by vf_target_free; VF_ERR_USAGE otherwise. */
int vf_inventory_resolve(const struct vf_inventory *nodes, const char *text, struct vf_target *ret,
                         struct vf_error *err) VF_MUST_CHECK;

#endif

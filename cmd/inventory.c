/* cmd/inventory.c - the inventory of nodes, through libjansson. */
#include "cmd/inventory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include <jansson.h>

#include "cmd/report.h"
#include "core/checked.h"
#include "core/fdio.h"

#define FILE_NAME "nodes.json"
#define FILE_MAX  (16u << 20)

void vf_inventory_free(struct vf_inventory *nodes)
{
    for (size_t i = 0; i < nodes->n; i++) {
        free(nodes->entry[i].name);
        free(nodes->entry[i].node);
    }
    free(nodes->entry);
    *nodes = (struct vf_inventory){NULL, 0};
}

/* A name must not look like a path, a URL or an option. */
static int check_name(const char *name, struct vf_error *err)
{
    size_t len = strlen(name);

    if (!len || len > VF_NODE_NAME_MAX)
        return vf_error_set(err, VF_ERR_USAGE, 0, "a node's name has 1 to %u bytes",
                            VF_NODE_NAME_MAX);
    for (size_t i = 0; i < len; i++) {
        char c = name[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              (i > 0 && strchr("._-", c))))
            return vf_error_set(err, VF_ERR_USAGE, 0,
                                "a node's name begins with a letter or digit and goes on with "
                                "letters, digits, '.', '_' and '-'");
    }
    if (strcmp(name, "auto") == 0)
        return vf_error_set(err, VF_ERR_USAGE, 0,
                            "'auto' cannot name a node: --to auto chooses one");
    return 0;
}

/* The file is JSON, which has no other text; paths may be of any bytes. */
static int check_utf8(const char *node, struct vf_error *err)
{
    if (vf_is_utf8(node))
        return 0;
    return vf_error_set(err, VF_ERR_USAGE, 0,
                        "the node '%.128s' is not written in UTF-8, and cannot get a name", node);
}

const struct vf_node_entry *vf_inventory_find(const struct vf_inventory *nodes, const char *name)
{
    for (size_t i = 0; i < nodes->n; i++)
        if (strcmp(nodes->entry[i].name, name) == 0)
            return &nodes->entry[i];
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    const struct vf_node_entry *x = a, *y = b;

    return strcmp(x->name, y->name);
}

int vf_inventory_add(struct vf_inventory *nodes, const char *name, const char *node,
                     struct vf_error *err)
{
    struct vf_target target = VF_TARGET_INIT;
    struct vf_node_entry *more, new = {NULL, NULL};
    int rc = -1;

    if (check_name(name, err) < 0 || vf_target_parse(node, &target, err) < 0)
        goto out;
    if (vf_inventory_find(nodes, name)) {
        (void)vf_error_set(err, VF_ERR_EXISTS, 0, "there is a node '%s' already", name);
        goto out;
    }
    if (nodes->n >= VF_INVENTORY_MAX) {
        (void)vf_error_set(err, VF_ERR_SPACE, 0, "the inventory holds %u nodes at most",
                           VF_INVENTORY_MAX);
        goto out;
    }
    new = (struct vf_node_entry){vf_strdup(name, err), vf_target_text(&target, err)};
    more = reallocarray(nodes->entry, nodes->n + 1, sizeof *more);
    if (more)
        nodes->entry = more;
    if (!new.name || !new.node || !more) {
        (void)vf_error_nomem(err);
        goto out;
    }
    if (check_utf8(new.node, err) < 0)
        goto out;
    nodes->entry[nodes->n++] = new;
    new = (struct vf_node_entry){NULL, NULL};
    qsort(nodes->entry, nodes->n, sizeof *nodes->entry, by_name);
    rc = 0;
out:
    free(new.name);
    free(new.node);
    vf_target_free(&target);
    return rc;
}

int vf_inventory_remove(struct vf_inventory *nodes, const char *name, struct vf_error *err)
{
    for (size_t i = 0; i < nodes->n; i++) {
        if (strcmp(nodes->entry[i].name, name) != 0)
            continue;
        free(nodes->entry[i].name);
        free(nodes->entry[i].node);
        nodes->n--;
        memmove(nodes->entry + i, nodes->entry + i + 1, (nodes->n - i) * sizeof *nodes->entry);
        return 0;
    }
    return vf_error_set(err, VF_ERR_NOTFOUND, 0, "there is no node '%s'", name);
}

int vf_inventory_lock(int fd, struct vf_error *err)
{
    if (flock(fd, LOCK_EX) == 0)
        return 0;
    if (errno == EINTR)
        return vf_error_set(err, VF_ERR_CANCELLED, 0, "interrupted");
    return vf_error_sys(err, errno, "lock the store");
}

/* path: of the file, which the message names, and which somebody has to mend. */
static int damaged(const char *path, const char *why, struct vf_error *err)
{
    return vf_error_set(
        err, VF_ERR_FORMAT, 0,
        "'%.100s' is damaged: %.80s (mend it, or remove it and add the nodes again)", path, why);
}

static int parse(const char *path, const char *text, size_t len, struct vf_inventory *nodes,
                 struct vf_error *err)
{
    struct vf_error own = VF_ERROR_INIT;
    json_error_t why;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why), *item;
    int rc = 0;
    size_t i;

    if (!root)
        (void)vf_error_set(&own, VF_ERR_FORMAT, 0, "line %d: %s", why.line, why.text);
    else if (!json_is_array(json_object_get(root, "nodes")))
        (void)vf_error_set(&own, VF_ERR_FORMAT, 0, "no array 'nodes'");
    if (own.code != VF_ERR_NONE) {
        json_decref(root);
        return damaged(path, own.msg, err);
    }
    json_array_foreach(json_object_get(root, "nodes"), i, item)
    {
        const char *name = json_string_value(json_object_get(item, "name"));
        const char *node = json_string_value(json_object_get(item, "node"));

        rc = vf_inventory_add(nodes, name ? name : "", node ? node : "", &own);
        if (rc < 0)
            break;
    }
    json_decref(root);
    if (rc < 0 && own.code == VF_ERR_NOMEM)
        return vf_error_pass(err, &own);
    if (rc < 0 && vf_error_prefix(&own, "entry %zu", i + 1) < 0)
        return damaged(path, own.msg, err);
    return 0;
}

int vf_inventory_load(const char *store, struct vf_inventory *ret, struct vf_error *err)
{
    struct vf_inventory nodes = {NULL, 0};
    struct vf_error own = VF_ERROR_INIT;
    char *path = vf_strf(err, "%s/" FILE_NAME, store);
    size_t len;
    char *text = path ? vf_read_small_file(AT_FDCWD, path, FILE_MAX, &len, &own) : NULL;
    int rc = path ? 0 : -1;

    if (text)
        rc = parse(path, text, len, &nodes, err);
    else if (path && own.code != VF_ERR_NOTFOUND)
        rc = vf_error_pass(err, &own);
    if (rc < 0)
        vf_inventory_free(&nodes);
    else
        *ret = nodes;
    free(text);
    free(path);
    return rc;
}

int vf_inventory_save(const char *store, const struct vf_inventory *nodes, struct vf_error *err)
{
    json_t *root = json_object(), *list = json_array();
    char *text = NULL, *path = vf_strf(err, "%s/" FILE_NAME, store);
    int rc = -1, bad;

    bad = !list || json_object_set_new(root, "nodes", list) < 0;
    for (size_t i = 0; i < nodes->n && !bad; i++)
        bad = json_array_append_new(list, json_pack("{s:s, s:s}", "name", nodes->entry[i].name,
                                                    "node", nodes->entry[i].node)) < 0;
    if (!bad)
        text = json_dumps(root, JSON_INDENT(2));
    if (!text)
        (void)vf_error_nomem(err);
    else if (path)
        rc = vf_replace_file(AT_FDCWD, path, text, strlen(text), 0600, err);
    free(path);
    free(text);
    json_decref(root);
    return rc;
}

int vf_inventory_resolve(const struct vf_inventory *nodes, const char *text, struct vf_target *ret,
                         struct vf_error *err)
{
    const struct vf_node_entry *known = vf_inventory_find(nodes, text);

    if (known)
        return vf_target_parse(known->node, ret, err);
    if (text[0] != '/' && !strstr(text, "://"))
        return vf_error_set(err, VF_ERR_USAGE, 0,
                            "'%s' is no node: neither a name that `vmferry node ls` shows, nor "
                            "ssh://host, nor an absolute path",
                            text);
    return vf_target_parse(text, ret, err);
}

/* cmd/cmd_index.c - `index add`, `ls`, `show` and `rm`; `check` is in cmd_index_check.c. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/cmd.h"
#include "cmd/describe.h"
#include "cmd/eachname.h"
#include "cmd/group.h"
#include "cmd/origin.h"
#include "cmd/progress.h"
#include "cmd/report.h"
#include "cmd/storedir.h"
#include "core/clock.h"
#include "core/engine/engine.h"

/* ---- index add ---- */

struct add_opts {
    struct vf_origin_opts origin;
    const char *group;
    bool force;
};

static const struct vf_opt add_table[] = {
    VF_ORIGIN_OPTS(struct add_opts, origin),
    {"group", 0, VF_OPT_TEXT, offsetof(struct add_opts, group), "GROUP",
     "the sharing group it belongs to", 0, 0, NULL},
    {"force", 0, VF_OPT_FLAG, offsetof(struct add_opts, force), NULL,
     "read it even if its map is fresh", 0, 0, NULL},
    {NULL, 0, VF_OPT_FLAG, 0, NULL, NULL, 0, 0, NULL},
};

struct adding {
    struct vf_cli *cli;
    const struct add_opts *opts;
    struct vf_index *index;
    json_t *list;
};

/* The record of an image that was in the index a moment ago. */
static int read_back(struct vf_index *index, const char *path, struct vf_image_record *ret,
                     struct vf_error *err)
{
    int found = vf_index_get(index, path, ret, err);

    if (found == VF_ABSENT)
        return vf_error_set(err, VF_ERR_CHANGED, 0,
                            "'%s' has been taken out of the index meanwhile", path);
    return found < 0 ? -1 : 0;
}

/* Only the group of an image with a fresh map changes. */
static int regroup(struct vf_index *index, const struct vf_origin *o, const char *group,
                   struct vf_error *err)
{
    struct vf_image_record rec = {0};
    char *old;
    int rc;

    if (read_back(index, o->path, &rec, err) < 0)
        return -1;
    old = rec.group;
    rec.group = strdup(group);
    rc = rec.group ? vf_index_update(index, rec.path, &rec, err) : vf_error_nomem(err);
    free(old);
    vf_image_record_clear(&rec);
    return rc;
}

static int scan(struct vf_cli *cli, struct vf_index *index, struct vf_origin *o,
                struct vf_error *err)
{
    struct vf_progress *progress = vf_progress_new(cli, o->path);
    struct vf_send_opts opts = {.progress = progress ? vf_progress_tick : NULL,
                                .progress_ctx = progress,
                                .stop = cli->stop};
    int rc = vf_origin_scan(index, o, &opts, err);

    vf_progress_end(progress);
    return rc;
}

/* One image into the index, and its description to list. */
static int add_image(struct vf_cli *cli, struct vf_index *index, const char *name,
                     const struct add_opts *opts, json_t *list, struct vf_error *err)
{
    struct vf_origin o = {0};
    struct vf_image_record rec = {0};
    double start = vf_clock_now();
    bool fresh, same_group;
    json_t *obj;
    int rc = -1;

    if (vf_origin_open(index, name, &opts->origin, &o, err) < 0)
        goto out;
    same_group = !opts->group || strcmp(o.rec.group, opts->group) == 0;
    if (!same_group) {
        free(o.rec.group);
        o.rec.group = strdup(opts->group);
        if (!o.rec.group) {
            (void)vf_error_nomem(err);
            goto out;
        }
    }
    fresh = o.map && !opts->force;
    if (!fresh ? scan(cli, index, &o, err) < 0
               : !same_group && regroup(index, &o, opts->group, err) < 0)
        goto out;
    if (read_back(index, o.path, &rec, err) < 0)
        goto out;
    vf_say(cli, "%s: %s, %" PRIu64 " blocks, %" PRIu64 " of them zero", o.path,
           fresh ? "was fresh" : "indexed", rec.info.blocks, rec.info.zero_blocks);
    if (o.desc.files > 1)
        vf_say(cli,
               "%s: depends on other files: no blocks are taken from it, and its map is made anew "
               "when it is needed",
               o.path);
    obj = vf_describe_json(index, &rec);
    if (!obj || json_object_set_new(obj, "unchanged", json_boolean(fresh)) ||
        json_object_set_new(obj, "seconds", json_real(vf_clock_now() - start)) ||
        json_array_append(list, obj))
        (void)vf_error_nomem(err);
    else
        rc = 0;
    json_decref(obj);
out:
    vf_image_record_clear(&rec);
    vf_origin_close(&o);
    return rc;
}

static int add_one(void *ctx, const char *name, struct vf_error *err)
{
    const struct adding *a = ctx;

    return add_image(a->cli, a->index, name, a->opts, a->list, err);
}

static int run_add(struct vf_cli *cli, const void *opts, char *const args[], struct vf_error *err)
{
    struct adding a = {.cli = cli, .opts = opts, .list = json_array()};
    json_t *failed = json_array();
    struct vf_storedir *store = NULL;
    int rc = -1;

    if (vf_report_set(cli, json_pack("{s:O, s:O}", "images", a.list, "failed", failed), err) < 0 ||
        (a.opts->group && vf_group_check(a.opts->group, err) < 0))
        goto out;
    store = vf_storedir_open(cli, err);
    a.index = store ? vf_storedir_index(store, err) : NULL;
    if (a.index)
        rc = vf_each_name(args, add_one, &a, "image", failed, err);
out:
    json_decref(a.list);
    json_decref(failed);
    vf_index_close(a.index);
    vf_storedir_close(store);
    return rc;
}

const struct vf_cmd vf_cmd_index_add = {
    .name = "index add",
    .args = "IMAGE...",
    .summary = "build or refresh the block map of each image",
    .about = "Reads each image and keeps the digests of its blocks, so that migrations to this\n"
             "node can take those blocks from it, and migrations from it need not read it twice.\n"
             "An image whose map is fresh is not read again.  The image itself is not touched.\n"
             "Images that cannot be read are named, and the others indexed all the same.",
    .examples = "  vmferry index add /var/lib/libvirt/images/web1.qcow2\n"
                "  vmferry index add --format raw --group tenant7 /dev/vg0/db1\n",
    .opts = add_table,
    .opts_size = sizeof(struct add_opts),
    .min_args = 1,
    .max_args = SIZE_MAX,
    .run = run_add,
};

/* ---- index ls ---- */

struct none {
    char unused;
};

struct listing {
    struct vf_index *index;
    struct vf_table *table;
    json_t *list;
};

static int list_one(void *ctx, const struct vf_image_record *rec, struct vf_error *err)
{
    struct listing *l = ctx;
    char size[VF_BYTES_TEXT], zero[VF_BYTES_TEXT];

    if (json_array_append_new(l->list, vf_describe_json(l->index, rec)) < 0)
        return vf_error_nomem(err);
    vf_bytes_text(rec->info.size, size);
    vf_share_text(rec->info.zero_blocks, rec->info.blocks, zero);
    if (vf_table_add(l->table, err, "%s", rec->path) < 0 ||
        vf_table_add(l->table, err, "%s", rec->format) < 0 ||
        vf_table_add(l->table, err, "%s", size) < 0 ||
        vf_table_add(l->table, err, "%s", zero) < 0 ||
        vf_table_add(l->table, err, "%" PRIu64, rec->info.distinct_blocks) < 0 ||
        vf_table_add(l->table, err, "%s", *rec->group ? rec->group : "-") < 0 ||
        vf_table_add(l->table, err, "%s", vf_describe_state(l->index, rec)) < 0)
        return -1;
    return 0;
}

static int run_ls(struct vf_cli *cli, const void *opts, char *const args[], struct vf_error *err)
{
    static const char *const head[] = {"IMAGE",           "FORMAT", "SIZE", "ZERO",
                                       "DISTINCT BLOCKS", "GROUP",  "STATE"};
    struct vf_storedir *store = vf_storedir_open(cli, err);
    struct listing l = {0};
    int rc = -1;

    (void)opts;
    (void)args;
    if (!store)
        return -1;
    l.index = vf_storedir_index(store, err);
    l.table = l.index ? vf_table_new("llrrrll", err) : NULL;
    if (!l.table)
        goto out;
    l.list = json_array();
    if (vf_report_set(cli, json_pack("{s:O}", "images", l.list), err) < 0)
        goto out;
    for (size_t i = 0; i < sizeof head / sizeof *head; i++)
        if (vf_table_add(l.table, err, "%s", head[i]) < 0)
            goto out;
    rc = vf_index_each(l.index, list_one, &l, err);
    if (rc == 0 && !cli->json)
        vf_table_print(l.table, stdout);
out:
    json_decref(l.list);
    vf_table_free(l.table);
    vf_index_close(l.index);
    vf_storedir_close(store);
    return rc;
}

const struct vf_cmd vf_cmd_index_ls = {
    .name = "index ls",
    .args = "",
    .summary = "list the images of the index",
    .about =
        "Lists what this node has indexed.  An image that is listed as changed is not what was\n"
        "indexed any more: blocks are not taken from it until `index add`.",
    .examples = "  vmferry index ls\n"
                "  vmferry index ls --json | jq -r '.images[] | select(.fresh | not) | .image'\n",
    .opts_size = sizeof(struct none),
    .run = run_ls,
};

/* ---- index show ---- */

static void print_show(const struct vf_image_record *rec, const char *state, json_t *obj)
{
    char size[VF_BYTES_TEXT], when[64] = "?";
    time_t at = (time_t)rec->indexed_at;
    struct tm tm;

    vf_bytes_text(rec->info.size, size);
    if (gmtime_r(&at, &tm))
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S UTC", &tm);
    fputs("image            ", stdout);
    vf_put_clean(stdout, rec->path);
    fputs("\nformat           ", stdout);
    vf_put_clean(stdout, rec->format);
    printf("\nvirtual size     %" PRIu64 " (%s)\n", rec->info.size, size);
    printf("blocks           %" PRIu64 "\n", rec->info.blocks);
    printf("zero blocks      %" PRIu64 "\n", rec->info.zero_blocks);
    printf("distinct blocks  %" PRIu64 "\n", rec->info.distinct_blocks);
    printf("segments         %" PRIu64 "\n", rec->info.top ? rec->info.nodes[1] : 0);
    printf("digest           %s\n", json_string_value(json_object_get(obj, "digest")));
    printf("group            %s\n", *rec->group ? rec->group : "-");
    printf("indexed          %s\n", when);
    printf("state            %s\n", state);
}

static int run_show(struct vf_cli *cli, const void *opts, char *const args[], struct vf_error *err)
{
    struct vf_storedir *store = vf_storedir_open(cli, err);
    struct vf_index *index = store ? vf_storedir_index(store, err) : NULL;
    struct vf_image_record rec = {0};
    int rc = -1, found = index ? vf_origin_find(index, args[0], &rec, err) : -1;

    (void)opts;
    if (found == VF_ABSENT)
        (void)vf_error_set(err, VF_ERR_NOTFOUND, 0, "'%s' is not in the index", args[0]);
    if (found != VF_FOUND)
        goto out;
    rc = vf_report_set(cli, vf_describe_json(index, &rec), err);
    if (rc == 0 && !cli->json)
        print_show(&rec, vf_describe_state(index, &rec), cli->report);
out:
    vf_image_record_clear(&rec);
    vf_index_close(index);
    vf_storedir_close(store);
    return rc;
}

const struct vf_cmd vf_cmd_index_show = {
    .name = "index show",
    .args = "IMAGE",
    .summary = "describe one image of the index",
    .about = "Shows what the index knows of an image: a path, or a path inside the store as\n"
             "`index ls` prints it.",
    .examples = "  vmferry index show images/web1.qcow2\n"
                "  vmferry index show --json web1.qcow2 | jq -r .digest\n",
    .opts_size = sizeof(struct none),
    .min_args = 1,
    .max_args = 1,
    .run = run_show,
};

/* ---- index rm ---- */

struct removing {
    struct vf_cli *cli;
    struct vf_index *index;
    json_t *list;
};

static int remove_one(void *ctx, const char *name, struct vf_error *err)
{
    struct removing *r = ctx;
    struct vf_image_record rec = {0};
    int found = vf_origin_find(r->index, name, &rec, err);

    if (found == VF_FOUND)
        found = vf_index_remove(r->index, rec.path, err);
    if (found == VF_ABSENT)
        (void)vf_error_set(err, VF_ERR_NOTFOUND, 0, "'%s' is not in the index", name);
    if (found == VF_FOUND) {
        vf_say_more(r->cli, "%s: forgotten", rec.path);
        if (json_array_append_new(r->list, vf_json_text(rec.path)) < 0)
            found = vf_error_nomem(err);
    }
    vf_image_record_clear(&rec);
    return found == VF_FOUND ? 0 : -1;
}

static int run_rm(struct vf_cli *cli, const void *opts, char *const args[], struct vf_error *err)
{
    struct vf_storedir *store = vf_storedir_open(cli, err);
    struct removing r = {.cli = cli, .list = json_array()};
    json_t *failed = json_array();
    int rc = -1;

    (void)opts;
    r.index = store ? vf_storedir_index(store, err) : NULL;
    if (r.index &&
        vf_report_set(cli, json_pack("{s:O, s:O}", "removed", r.list, "failed", failed), err) == 0)
        rc = vf_each_name(args, remove_one, &r, "image", failed, err);
    json_decref(r.list);
    json_decref(failed);
    vf_index_close(r.index);
    vf_storedir_close(store);
    return rc;
}

const struct vf_cmd vf_cmd_index_rm = {
    .name = "index rm",
    .args = "IMAGE...",
    .summary = "forget images; their files stay",
    .about = "Removes images from the index.  Their files are not touched; blocks are not taken\n"
             "from them any more.  Those that are not in the index are named, and the others\n"
             "forgotten all the same.",
    .examples = "  vmferry index rm /var/lib/libvirt/images/old.qcow2\n",
    .opts_size = sizeof(struct none),
    .min_args = 1,
    .max_args = SIZE_MAX,
    .run = run_rm,
};

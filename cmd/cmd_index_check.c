/* cmd/cmd_index_check.c - `index check`: proves that index and images agree. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/compare.h"
#include "cmd/describe.h"
#include "cmd/eachname.h"
#include "cmd/origin.h"
#include "cmd/progress.h"
#include "cmd/report.h"
#include "cmd/storedir.h"
#include "core/checked.h"
#include "core/engine/engine.h"

struct check_opts {
    struct vf_opt_list allow_backing;
};

static const struct vf_opt check_table[] = {
    {"allow-backing", 0, VF_OPT_LIST, offsetof(struct check_opts, allow_backing), "PATH",
     "a file or directory that the image may depend on", 0, 0, NULL},
    {NULL, 0, VF_OPT_FLAG, 0, NULL, NULL, 0, 0, NULL},
};

struct check {
    struct vf_cli *cli;
    struct vf_storedir *store;
    struct vf_index *index;
    const struct check_opts *opts;
    json_t *list, *failed;
    size_t checked, bad;
};

/* Reads the image and holds it against its map.  0: they agree. */
static int compare(struct check *c, const struct vf_image_record *rec, struct vf_error *err)
{
    struct vf_open_opts open_opts = {.trusted_format = rec->format,
                                     .allow_backing = c->opts->allow_backing.item,
                                     .n_allow_backing = c->opts->allow_backing.n};
    struct vf_progress *progress = vf_progress_new(c->cli, rec->path);
    struct vf_send_opts opts = {.progress = progress ? vf_progress_tick : NULL,
                                .progress_ctx = progress,
                                .stop = c->cli->stop};
    struct vf_image *image = vf_format_open(c->store->fd, rec->path, &open_opts, NULL, err);
    struct vf_map *map = image ? vf_index_map(c->index, rec->path, err) : NULL;
    struct vf_map_sink *sink = map ? vf_compare_new(map, err) : NULL;
    int rc = -1;

    /* Another size needs no reading, and would only confuse the comparison. */
    if (sink && image->size != rec->info.size) {
        (void)vf_error_set(err, VF_ERR_MISMATCH, 0, "the size is not what was indexed");
        sink->ops->abort(sink);
    } else if (sink) {
        rc = vf_index_image(image, sink, &opts, NULL, err);
    }
    if (map)
        map->ops->close(map);
    vf_image_close(image);
    vf_progress_end(progress);
    return rc;
}

/* One image; -1 only for what ends the whole check. */
static int check_one(void *ctx, const struct vf_image_record *rec, struct vf_error *err)
{
    struct check *c = ctx;
    struct vf_error why = VF_ERROR_INIT;
    json_t *obj = vf_describe_json(c->index, rec);
    int rc;

    if (rec->state == VF_IMAGE_PARTIAL) { /* a transfer may be writing it right now */
        json_decref(obj);
        return 0;
    }
    rc = vf_index_verify(c->index, rec->path, &why);
    /* What a guest writes is not what was indexed, and nobody says so. */
    if (rc == 0 && rec->state != VF_IMAGE_MOVING)
        rc = compare(c, rec, &why);
    if (rc < 0 && (why.code == VF_ERR_CANCELLED || why.code == VF_ERR_NOMEM)) {
        json_decref(obj);
        return vf_error_pass(err, &why);
    }
    c->checked++;
    c->bad += rc < 0;
    if (rc < 0)
        vf_say(c->cli, "%s: %s", rec->path, why.msg);
    else
        vf_say_more(c->cli, "%s: agrees", rec->path);
    if (!obj || json_object_set_new(obj, "ok", json_boolean(rc == 0)) ||
        (rc < 0 && json_object_set_new(obj, "problem", vf_json_text(why.msg))) ||
        json_array_append(c->list, obj))
        rc = vf_error_nomem(err);
    else
        rc = 0;
    json_decref(obj);
    return rc;
}

static int check_named(void *ctx, const char *name, struct vf_error *err)
{
    struct check *c = ctx;
    struct vf_image_record rec = {0};
    int rc = vf_origin_find(c->index, name, &rec, err);

    if (rc == VF_ABSENT)
        rc = vf_error_set(err, VF_ERR_NOTFOUND, 0, "'%s' is not in the index", name);
    else if (rc == VF_FOUND)
        rc = check_one(c, &rec, err);
    vf_image_record_clear(&rec);
    return rc;
}

/* What was found, as the report and the exit code. */
static int conclude(struct check *c, struct vf_error *err)
{
    struct vf_error difference;
    json_t *obj = json_pack("{s:O, s:O, s:I, s:I}", "images", c->list, "failed", c->failed,
                            "checked", (json_int_t)c->checked, "bad", (json_int_t)c->bad);

    if (obj && c->bad) {
        (void)vf_error_set(&difference, VF_ERR_MISMATCH, 0,
                           "%zu of %zu images differ from the index", c->bad, c->checked);
        obj = vf_report_error(obj, &difference);
    }
    if (vf_report_set(c->cli, obj, err) < 0)
        return -1;
    c->cli->found_difference = c->bad > 0;
    if (!c->cli->json)
        printf("%zu images checked, %zu differ\n", c->checked, c->bad);
    return 0;
}

static int run_check(struct vf_cli *cli, const void *opts, char *const args[], struct vf_error *err)
{
    struct check c = {.cli = cli, .opts = opts, .list = json_array(), .failed = json_array()};
    struct vf_error why = VF_ERROR_INIT;
    int rc = -1;

    if (!c.list || !c.failed) {
        (void)vf_error_nomem(err);
        goto out;
    }
    c.store = vf_storedir_open(cli, err);
    c.index = c.store ? vf_storedir_index(c.store, err) : NULL;
    if (!c.index)
        goto out;
    rc = args[0] ? vf_each_name(args, check_named, &c, "image", c.failed, &why)
                 : vf_index_each(c.index, check_one, &c, &why);
    /* Names that are not known take nothing from what was found of the others. */
    if ((rc == 0 || json_array_size(c.failed) > 0) && conclude(&c, err) < 0)
        rc = -1;
    else if (rc < 0)
        (void)vf_error_pass(err, &why); /* rc says it */
out:
    json_decref(c.list);
    json_decref(c.failed);
    vf_index_close(c.index);
    vf_storedir_close(c.store);
    return rc;
}

const struct vf_cmd vf_cmd_index_check = {
    .name = "index check",
    .args = "[IMAGE...]",
    .summary = "prove that index and images agree",
    .about = "Reads every image of the index (or those named) and compares each block with its\n"
             "map, and the map with itself.  Of an image that a guest was writing (moving), only\n"
             "the map is checked.  Exit status 1, and a list, when something differs.",
    .examples = "  vmferry index check\n"
                "  vmferry index check --json | jq -r '.images[] | select(.ok | not) | .image'\n",
    .opts = check_table,
    .opts_size = sizeof(struct check_opts),
    .max_args = SIZE_MAX,
    .run = run_check,
};

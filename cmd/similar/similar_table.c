/* cmd/similar/similar_table.c - the report of `similar` for people at a terminal. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/member.h"
#include "cmd/report.h"
#include "cmd/similar/similar.h"
#include "core/checked.h"

#define NEAREST 10u /* images of a node that are shown; --json has all */

/* "~" before what is estimated. */
static const char *mark(const json_t *o)
{
    return json_is_true(json_object_get(o, "exact")) ? "" : "~";
}

static int add_share(struct vf_table *t, const json_t *o, uint64_t part, uint64_t whole,
                     struct vf_error *err)
{
    char share[VF_BYTES_TEXT];

    vf_share_text(part, whole, share);
    return vf_table_add(t, err, "%s%s", mark(o), share);
}

static int add_bytes(struct vf_table *t, const char *before, uint64_t bytes, struct vf_error *err)
{
    char some[VF_BYTES_TEXT];

    vf_bytes_text(bytes, some);
    return vf_table_add(t, err, "%s%s", before, some);
}

/* One row of an image, or of what is said of several. */
static int add_image(struct vf_table *t, const json_t *im, uint64_t blocks, struct vf_error *err)
{
    if (vf_table_add(t, err, "  %s", vf_member_text(im, "image")) < 0 ||
        add_share(t, im, vf_member_number(im, "shared_blocks"), blocks, err) < 0 ||
        add_share(t, im, vf_member_number(im, "shared_distinct_blocks"), blocks, err) < 0)
        return -1;
    for (unsigned k = 0; k < 5; k++)
        if (vf_table_add(t, err, "%s",
                         k == 4 && !json_is_true(json_object_get(im, "fresh")) ? "not fresh" : "") <
            0)
            return -1;
    return 0;
}

/* The rest of them, from the first on that is not shown. */
static int add_others(struct vf_table *t, const json_t *const *im, size_t n, uint64_t blocks,
                      struct vf_error *err)
{
    char most[2][VF_BYTES_TEXT];
    uint64_t shared = 0, distinct = vf_member_number(im[0], "shared_distinct_blocks");

    for (size_t i = 0; i < n; i++)
        if (vf_member_number(im[i], "shared_blocks") > shared)
            shared = vf_member_number(im[i], "shared_blocks");
    vf_share_text(shared, blocks, most[0]);
    vf_share_text(distinct, blocks, most[1]);
    if (vf_table_add(t, err, "  %zu others, at most", n) < 0 ||
        vf_table_add(t, err, "%s%s", mark(im[0]), most[0]) < 0 ||
        vf_table_add(t, err, "%s%s", mark(im[0]), most[1]) < 0)
        return -1;
    for (unsigned k = 0; k < 5; k++)
        if (vf_table_add(t, err, "%s", "") < 0)
            return -1;
    return 0;
}

/* What alike images have in common beyond zeros comes first. */
static int by_nearness(const void *a, const void *b)
{
    static const char *const key[] = {"shared_distinct_blocks", "shared_blocks"};
    const json_t *x = *(const json_t *const *)a, *y = *(const json_t *const *)b;

    for (size_t k = 0; k < sizeof key / sizeof *key; k++) {
        uint64_t in_x = vf_member_number(x, key[k]), in_y = vf_member_number(y, key[k]);

        if (in_x != in_y)
            return in_x > in_y ? -1 : 1;
    }
    return strcmp(vf_member_text(x, "image"), vf_member_text(y, "image"));
}

static int add_images(struct vf_table *t, const json_t *images, uint64_t blocks,
                      struct vf_error *err)
{
    size_t n = json_array_size(images), shown = n <= NEAREST + 1 ? n : NEAREST;
    const json_t **im = vf_calloc(n, sizeof *im, err);
    int rc = im ? 0 : -1;

    for (size_t i = 0; i < n && rc == 0; i++)
        im[i] = json_array_get(images, i);
    if (rc == 0)
        qsort(im, n, sizeof *im, by_nearness);
    for (size_t i = 0; i < shown && rc == 0; i++)
        rc = add_image(t, im[i], blocks, err);
    if (rc == 0 && shown < n)
        rc = add_others(t, im + shown, n - shown, blocks, err);
    free(im);
    return rc;
}

static int add_node(struct vf_table *t, const json_t *report, const json_t *n, struct vf_error *err)
{
    uint64_t blocks = vf_member_number(report, "blocks");
    const json_t *seconds = json_object_get(n, "seconds_estimate");
    char time[VF_BYTES_TEXT] = "-";
    bool chosen = strcmp(vf_member_text(n, "node"), vf_member_text(report, "choice")) == 0;

    if (json_is_number(seconds))
        vf_seconds_text(json_number_value(seconds), time);
    if (vf_table_add(t, err, "%s", vf_member_text(n, "node")) < 0 ||
        add_share(t, n, vf_member_number(n, "shared_blocks"), blocks, err) < 0 ||
        add_share(t, n, vf_member_number(n, "shared_distinct_blocks"), blocks, err) < 0 ||
        add_bytes(t, mark(n), vf_member_number(n, "duplicate_blocks") * VF_BLOCK, err) < 0 ||
        add_bytes(t, mark(n), vf_member_number(n, "literal_blocks") * VF_BLOCK, err) < 0 ||
        add_bytes(t, "about ", vf_member_number(n, "wire_bytes_estimate"), err) < 0 ||
        vf_table_add(t, err, "%s", time) < 0 ||
        vf_table_add(t, err, "%s", chosen ? "the choice" : vf_member_text(n, "reason_text")) < 0)
        return -1;
    return add_images(t, json_object_get(n, "images"), blocks, err);
}

static void print_head(const json_t *report, FILE *out)
{
    uint64_t blocks = vf_member_number(report, "blocks");
    char size[VF_BYTES_TEXT], zero[VF_BYTES_TEXT], again[VF_BYTES_TEXT];

    vf_bytes_text(vf_member_number(report, "virtual_size"), size);
    vf_share_text(vf_member_number(report, "zero_blocks"), blocks, zero);
    vf_share_text(vf_member_number(report, "duplicate_blocks"), blocks, again);
    vf_put_clean(out, vf_member_text(report, "image"));
    fprintf(out, ": %s, %" PRIu64 " blocks, %s of them zero, %s repeat others of the image\n\n",
            size, blocks, zero, again);
}

void vf_similar_print_bad(const json_t *report, FILE *out)
{
    const json_t *n;
    size_t i;

    json_array_foreach(json_object_get(report, "unreachable"), i, n)
    {
        fputs(i == 0 ? "\nCould not be asked:\n  " : "  ", out);
        vf_put_clean(out, vf_member_text(n, "node"));
        fputs(": ", out);
        vf_put_clean(out, vf_member_text(json_object_get(n, "error"), "message"));
        fputc('\n', out);
    }
}

int vf_similar_print(const json_t *report, FILE *out, struct vf_error *err)
{
    static const char *const head[] = {"NODE",    "SHARED",      "DISTINCT", "REPEATED",
                                       "MISSING", "ON THE WIRE", "TIME",     ""};
    struct vf_table *t = vf_table_new("lrrrrrrl", err);
    bool estimated = false;
    const json_t *n;
    int rc = t ? 0 : -1;
    size_t k;

    for (size_t i = 0; i < sizeof head / sizeof *head && rc == 0; i++)
        rc = vf_table_add(t, err, "%s", head[i]);
    json_array_foreach(json_object_get(report, "nodes"), k, n)
    {
        if (rc == 0)
            rc = add_node(t, report, n, err);
        estimated = estimated || *mark(n);
    }
    if (rc == 0) {
        print_head(report, out);
        vf_table_print(t, out);
        if (estimated)
            fputs("\n~ estimated from samples; --json has the bounds, --exact N counts more\n",
                  out);
        vf_similar_print_bad(report, out);
    }
    vf_table_free(t);
    return rc;
}

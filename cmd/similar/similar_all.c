/* cmd/similar/similar_all.c - every image of every node against every other. */
#include <math.h>
#include <string.h>

#include "cmd/member.h"
#include "cmd/report.h"
#include "cmd/similar/similar.h"
#include "core/checked.h"

#define IMAGES_MAX 400u /* the matrix grows by the square */

struct one {
    const struct vf_candidate *node;
    const struct vf_summary_image *image;
    struct vf_sketch_set set;
};

static json_t *share(uint64_t part, uint64_t whole)
{
    return json_real(round(vf_share(part, whole) * 1e6) / 1e6);
}

static json_t *range(struct vf_bounded b, uint64_t whole)
{
    return json_pack("[o, o]", share(b.low, whole), share(b.high, whole));
}

/* The images of the group that have sketches; *ret is owned. */
static int collect(const struct vf_similar_all *a, struct one **ret, size_t *ret_n,
                   struct vf_error *err)
{
    struct one *list = vf_calloc(IMAGES_MAX, sizeof *list, err);
    size_t n = 0;

    if (!list)
        return -1;
    for (size_t k = 0; k < a->nodes->n; k++) {
        const struct vf_candidate *node = &a->nodes->node[k];

        for (size_t i = 0; node->told && i < node->summary.images; i++) {
            const struct vf_summary_image *im = &node->summary.image[i];

            if (!im->sketched || strcmp(im->group, a->group) != 0)
                continue;
            if (n == IMAGES_MAX) {
                free(list);
                return vf_error_set(err, VF_ERR_RANGE, 0,
                                    "more than %u images: choose nodes with --node", IMAGES_MAX);
            }
            list[n++] = (struct one){node, im, vf_sketch_as_set(&im->sketch)};
        }
    }
    *ret = list;
    *ret_n = n;
    return 0;
}

static json_t *image_json(const struct one *x)
{
    return json_pack("{s:o, s:o, s:I, s:I, s:I, s:b}", "node", vf_json_text(x->node->label),
                     "image", vf_json_text(x->image->name), "blocks", (json_int_t)x->image->blocks,
                     "zero_blocks", (json_int_t)x->image->zero_blocks, "distinct_blocks",
                     (json_int_t)x->image->distinct_blocks, "fresh", (int)x->image->fresh);
}

struct matrix {
    json_t *with, *distinct, *with_range, *distinct_range;
};

/* One row: how much of an image each of the n holds. */
static bool add_row(const struct one *target, const struct one *list, size_t n, struct matrix *m)
{
    uint64_t zero = target->image->zero_blocks, all = target->image->blocks;
    json_t *row[4];
    bool ok = true;

    for (unsigned k = 0; k < 4; k++)
        row[k] = json_array();
    for (size_t i = 0; i < n && ok; i++) {
        struct vf_bounded with, distinct;
        struct vf_likeness l;

        if (memcmp(list[i].image->root, target->image->root, VF_SHA_LEN) == 0)
            vf_likeness_same(&target->image->sketch, &l);
        else
            vf_sketch_compare(&target->image->sketch, &list[i].set, &l);
        with = vf_likeness_blocks(&l, zero);
        distinct = vf_likeness_distinct(&l, zero);
        ok = json_array_append_new(row[0], share(with.value, all)) == 0 &&
             json_array_append_new(row[1], share(distinct.value, all)) == 0 &&
             json_array_append_new(row[2], range(with, all)) == 0 &&
             json_array_append_new(row[3], range(distinct, all)) == 0;
    }
    ok = json_array_append_new(m->with, row[0]) == 0 && ok;
    ok = json_array_append_new(m->distinct, row[1]) == 0 && ok;
    ok = json_array_append_new(m->with_range, row[2]) == 0 && ok;
    return json_array_append_new(m->distinct_range, row[3]) == 0 && ok;
}

static json_t *bad_json(const struct vf_candidates *nodes)
{
    json_t *bad = json_array();

    for (size_t i = 0; bad && i < nodes->n; i++)
        if (!nodes->node[i].told &&
            json_array_append_new(
                bad, vf_report_error(json_pack("{s:o}", "node", vf_json_text(nodes->node[i].label)),
                                     &nodes->node[i].why))) {
            json_decref(bad);
            bad = NULL;
        }
    return bad;
}

json_t *vf_similar_all_json(const struct vf_similar_all *a, struct vf_error *err)
{
    struct matrix m = {json_array(), json_array(), json_array(), json_array()};
    json_t *images = json_array(), *o;
    struct one *list = NULL;
    bool ok = true;
    size_t n = 0;

    if (collect(a, &list, &n, err) < 0) {
        json_decref(images);
        json_decref(m.with);
        json_decref(m.distinct);
        json_decref(m.with_range);
        json_decref(m.distinct_range);
        return NULL;
    }
    for (size_t i = 0; i < n && ok; i++)
        ok = json_array_append_new(images, image_json(&list[i])) == 0 &&
             add_row(&list[i], list, n, &m);
    o = json_pack("{s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o}", "group", vf_json_text(a->group),
                  "images", images, "estimate", 1, "similarity", m.with, "similarity_distinct",
                  m.distinct, "similarity_bounds", m.with_range, "similarity_distinct_bounds",
                  m.distinct_range, "unreachable", bad_json(a->nodes));
    free(list);
    if (o && ok)
        return o;
    json_decref(o);
    (void)vf_error_nomem(err); /* the NULL says it */
    return NULL;
}

/* ---- for people ---- */

#define WIDE 15u /* columns that a terminal has room for */

/* Columns have the numbers of the rows. */
static int print_matrix(const json_t *report, const char *key, FILE *out)
{
    const json_t *images = json_object_get(report, "images"), *im,
                 *rows = json_object_get(report, key);
    size_t n = json_array_size(images), i;

    json_array_foreach(images, i, im)
    {
        const json_t *row = json_array_get(rows, i);

        fprintf(out, "%3zu  ", i + 1);
        vf_put_clean(out, vf_member_text(im, "node"));
        fputs("  ", out);
        vf_put_clean(out, vf_member_text(im, "image"));
        for (size_t k = 0; k < n; k++)
            fprintf(out, "%s %6.2f", k % WIDE == 0 ? "\n    " : "",
                    100 * json_number_value(json_array_get(row, k)));
        fputc('\n', out);
    }
    return ferror(out) ? -1 : 0;
}

int vf_similar_all_print(const json_t *report, FILE *out, struct vf_error *err)
{
    if (!json_array_size(json_object_get(report, "images"))) {
        fputs("There are no indexed images to compare.\n", out);
        vf_similar_print_bad(report, out);
        return 0;
    }
    fputs("Blocks of the image that the image of each column holds, in %, every occurrence counted "
          "(estimated):\n\n",
          out);
    if (print_matrix(report, "similarity", out) < 0)
        return vf_error_set(err, VF_ERR_IO, 0, "standard output does not take the report");
    fputs("\nThe same with duplicates removed:\n\n", out);
    if (print_matrix(report, "similarity_distinct", out) < 0)
        return vf_error_set(err, VF_ERR_IO, 0, "standard output does not take the report");
    vf_similar_print_bad(report, out);
    return 0;
}

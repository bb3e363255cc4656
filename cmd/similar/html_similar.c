/* cmd/similar/html_similar.c - the report of `similar` as a page. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/member.h"
#include "cmd/report.h"
#include "cmd/similar/html.h"
#include "cmd/similar/similar.h"
#include "core/checked.h"

static bool yes(const json_t *o, const char *key) { return json_is_true(json_object_get(o, key)); }

static const char *mark(const json_t *o) { return yes(o, "exact") ? "" : "~"; }

static void put_bytes(FILE *out, uint64_t bytes)
{
    char some[VF_BYTES_TEXT];

    vf_bytes_text(bytes, some);
    fputs(some, out);
}

static void put_share(FILE *out, uint64_t part, uint64_t whole)
{
    char share[VF_BYTES_TEXT];

    vf_share_text(part, whole, share);
    fputs(share, out);
}

/* ---- what the image is ---- */

static void put_fact(FILE *out, const char *name, uint64_t part, uint64_t whole)
{
    fprintf(out, "<div><dt>%s</dt><dd>", name);
    put_bytes(out, part * VF_BLOCK);
    if (whole) {
        fputs(" (", out);
        put_share(out, part, whole);
        fputc(')', out);
    }
    fputs("</dd></div>\n", out);
}

static void put_facts(FILE *out, const json_t *r)
{
    uint64_t blocks = vf_member_number(r, "blocks");

    fputs("<dl>\n", out);
    put_fact(out, "Size", blocks, 0);
    put_fact(out, "Zero", vf_member_number(r, "zero_blocks"), blocks);
    put_fact(out, "Repeats within", vf_member_number(r, "duplicate_blocks"), blocks);
    put_fact(out, "Distinct", vf_member_number(r, "distinct_blocks"), blocks);
    fputs("</dl>\n", out);
}

/* ---- the choice and why ---- */

/* The node at that place of the ranking, NULL if it could not be asked or there is none. */
static const json_t *at_place(const json_t *r, uint64_t place)
{
    const json_t *n;
    size_t i;

    json_array_foreach(json_object_get(r, "nodes"), i,
                       n) if (vf_member_number(n, "place") == place) return n;
    return NULL;
}

static void put_reason(FILE *out, const json_t *best, const json_t *next)
{
    fputs("<p>It needs the least: ", out);
    fputs(mark(best), out);
    put_bytes(out, vf_member_number(best, "literal_blocks") * VF_BLOCK);
    fputs(" are missing there, about ", out);
    put_bytes(out, vf_member_number(best, "wire_bytes_estimate"));
    fputs(" on the wire.", out);
    if (next && yes(next, "eligible")) {
        fputs(" The next best, ", out);
        vf_html_member(out, next, "node");
        fputs(", would take about ", out);
        put_bytes(out, vf_member_number(next, "wire_bytes_estimate"));
        fputc('.', out);
    }
    fputs("</p>\n", out);
}

static void put_choice(FILE *out, const json_t *r)
{
    const json_t *best = at_place(r, 1), *n;
    bool first = true;
    size_t i;

    fputs("<section class=\"choice\" aria-label=\"The choice\">\n", out);
    if (best && yes(best, "eligible")) {
        fputs("<p><strong>The choice is ", out);
        vf_html_member(out, best, "node");
        fputs("</strong></p>\n", out);
        put_reason(out, best, at_place(r, 2));
    } else {
        fputs("<p><strong>No node can take the image</strong></p>\n", out);
    }
    fputs("</section>\n", out);
    json_array_foreach(json_object_get(r, "nodes"), i, n)
    {
        if (yes(n, "eligible"))
            continue;
        fputs(first ? "<h2>Not considered, and why</h2>\n<ul>\n<li>" : "<li>", out);
        first = false;
        vf_html_member(out, n, "node");
        fputs(": ", out);
        vf_html_member(out, n, "reason_text");
        fputs("</li>\n", out);
    }
    json_array_foreach(json_object_get(r, "unreachable"), i, n)
    {
        fputs(first ? "<h2>Not considered, and why</h2>\n<ul>\n<li>" : "<li>", out);
        first = false;
        vf_html_member(out, n, "node");
        fputs(": could not be asked: ", out);
        vf_html_member(out, json_object_get(n, "error"), "message");
        fputs("</li>\n", out);
    }
    if (!first)
        fputs("</ul>\n", out);
}

/* ---- the ranking ---- */

static void put_node(FILE *out, const json_t *r, const json_t *n)
{
    const json_t *seconds = json_object_get(n, "seconds_estimate");
    uint64_t blocks = vf_member_number(r, "blocks");
    char time[VF_BYTES_TEXT] = "unknown";

    if (json_is_number(seconds))
        vf_seconds_text(json_number_value(seconds), time);
    fprintf(out, "<tr%s><th scope=\"row\">",
            !yes(n, "eligible")                 ? " class=\"out\""
            : vf_member_number(n, "place") == 1 ? " class=\"best\""
                                                : "");
    vf_html_member(out, n, "node");
    fprintf(out, "</th><td>%" PRIu64 "</td><td>%s", vf_member_number(n, "place"), mark(n));
    put_share(out, vf_member_number(n, "shared_blocks"), blocks);
    fprintf(out, "</td><td>%s", mark(n));
    put_share(out, vf_member_number(n, "shared_distinct_blocks"), blocks);
    fprintf(out, "</td><td>%s", mark(n));
    put_bytes(out, vf_member_number(n, "duplicate_blocks") * VF_BLOCK);
    fprintf(out, "</td><td>%s", mark(n));
    put_bytes(out, vf_member_number(n, "literal_blocks") * VF_BLOCK);
    fputs("</td><td>", out);
    put_bytes(out, vf_member_number(n, "wire_bytes_estimate"));
    fprintf(out, "</td><td>%s</td><td>", time);
    put_bytes(out, vf_member_number(n, "free_bytes"));
    fputs("</td></tr>\n", out);
}

static int by_place(const void *a, const void *b)
{
    uint64_t x = vf_member_number(*(const json_t *const *)a, "place"),
             y = vf_member_number(*(const json_t *const *)b, "place");

    return x < y ? -1 : x > y;
}

/* The nodes in the order of the ranking; owned, NULL when memory is out. */
static const json_t **ranked(const json_t *r, size_t *ret_n)
{
    const json_t *nodes = json_object_get(r, "nodes"), **list;

    *ret_n = json_array_size(nodes);
    list = vf_calloc(*ret_n, sizeof *list, NULL);
    for (size_t i = 0; list && i < *ret_n; i++)
        list[i] = json_array_get(nodes, i);
    if (list)
        qsort(list, *ret_n, sizeof *list, by_place);
    return list;
}

static void put_ranking(FILE *out, const json_t *r, const json_t *const *node, size_t n)
{
    fputs("<h2>The ranking</h2>\n", out);
    vf_html_scroll_begin(out, "The ranking of the nodes");
    fputs("<table>\n<thead><tr><th class=\"l\" scope=\"col\">Node</th><th scope=\"col\">Place</th>"
          "<th scope=\"col\">Shared</th><th scope=\"col\">Shared, distinct</th>"
          "<th scope=\"col\">Repeated</th><th scope=\"col\">Missing</th>"
          "<th scope=\"col\">On the wire</th><th scope=\"col\">Time</th>"
          "<th scope=\"col\">Free there</th></tr></thead>\n<tbody>\n",
          out);
    for (size_t i = 0; i < n; i++)
        put_node(out, r, node[i]);
    fputs("</tbody>\n</table>\n", out);
    vf_html_scroll_end(out);
    fputs(
        "<p class=\"soft\">Shared: blocks whose content is there already, in % of all blocks, "
        "every "
        "occurrence and zero blocks counted. Distinct: each content once. Repeated: repeats others "
        "that travel. Missing: has to travel. ~ marks estimates from samples.</p>\n",
        out);
}

/* ---- where on the disk ---- */

static const char *const kind_class[] = {"zero", "shared", "duplicate", "literal"};
static const char *const kind_name[] = {"zero", "shared", "repeated", "missing"};

static long part(const json_t *cells, size_t i, size_t kind)
{
    return (long)json_integer_value(json_array_get(json_array_get(cells, i), kind));
}

/* Stacks from the bottom: shared, repeated, missing; what is left at the top is zero. */
static void put_svg(FILE *out, const json_t *cells)
{
    size_t n = json_array_size(cells);

    fprintf(out,
            "<svg class=\"strip\" viewBox=\"0 0 %zu 1000\" preserveAspectRatio=\"none\" "
            "shape-rendering=\"crispEdges\" role=\"img\" aria-label=\"The disk from its begin to "
            "its end; the table below says the "
            "same in numbers\"><rect class=\"zero\" width=\"%zu\" height=\"1000\"/>",
            n, n);
    for (size_t kind = 3; kind >= 1; kind--)
        for (size_t i = 0; i < n; i++) {
            long under = 0, own = part(cells, i, kind);

            for (size_t k = 1; k < kind; k++)
                under += part(cells, i, k);
            if (own)
                fprintf(out, "<path class=\"%s\" d=\"M%zu %ldh1.02v%ldh-1.02z\"/>",
                        kind_class[kind], i, 1000 - under - own, own);
        }
    fputs("</svg>\n", out);
}

static void put_tenths(FILE *out, const json_t *cells)
{
    size_t n = json_array_size(cells);

    fputs("<details><summary>The same in numbers</summary>\n", out);
    vf_html_scroll_begin(out, "Parts of the disk and what they are made of");
    fputs("<table>\n<thead><tr><th class=\"l\" scope=\"col\">Part of the disk</th>", out);
    for (size_t k = 0; k < 4; k++)
        fprintf(out, "<th scope=\"col\">%s</th>", kind_name[k]);
    fputs("</tr></thead>\n<tbody>\n", out);
    for (size_t t = 0; t < 10 && n; t++) {
        size_t from = t * n / 10, to = (t + 1) * n / 10;

        if (from == to)
            continue;
        fprintf(out, "<tr><th scope=\"row\">%zu to %zu %%</th>", t * 10, t * 10 + 10);
        for (size_t k = 0; k < 4; k++) {
            long sum = 0;

            for (size_t i = from; i < to; i++)
                sum += part(cells, i, k);
            fprintf(out, "<td>%.1f %%</td>", (double)sum / 10 / (double)(to - from));
        }
        fputs("</tr>\n", out);
    }
    fputs("</tbody>\n</table>\n", out);
    vf_html_scroll_end(out);
    fputs("</details>\n", out);
}

static void put_strip(FILE *out, const json_t *r)
{
    const json_t *strip = json_object_get(r, "strip"), *cells = json_object_get(strip, "cells");

    if (!json_array_size(cells))
        return;
    fputs("<h2>Where on the disk, for ", out);
    vf_html_member(out, strip, "node");
    fputs("</h2>\n", out);
    put_svg(out, cells);
    fputs("<div class=\"ends\"><span>begin</span><span>", out);
    put_bytes(out, vf_member_number(r, "virtual_size"));
    fputs("</span></div>\n<ul class=\"key\">", out);
    for (size_t k = 0; k < 4; k++)
        fprintf(out, "<li><span class=\"%s\"></span>%s</li>", kind_class[k], kind_name[k]);
    fprintf(out,
            "</ul>\n<p class=\"soft\">Zero blocks are counted, the others sampled (%" PRIu64
            " samples).</p>\n",
            vf_member_number(strip, "samples"));
    put_tenths(out, cells);
}

/* ---- images against nodes ---- */

#define NEAREST 100u /* images that get a row */

struct row {
    const char *name;
    double best;
};

static int by_best(const void *a, const void *b)
{
    const struct row *x = a, *y = b;

    if (x->best != y->best)
        return x->best > y->best ? -1 : 1;
    return strcmp(x->name, y->name);
}

static double similarity(const json_t *o)
{
    return json_number_value(json_object_get(o, "similarity"));
}

static const json_t *image_of(const json_t *node, const char *name)
{
    const json_t *im;
    size_t i;

    json_array_foreach(json_object_get(node, "images"), i,
                       im) if (strcmp(vf_member_text(im, "image"), name) == 0) return im;
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct row *)a)->name, ((const struct row *)b)->name);
}

/* The names of all images, each once, the best first; owned. */
static struct row *rows_of(const json_t *const *node, size_t n, size_t *ret_rows)
{
    struct row *row;
    size_t all = 0, rows = 0;

    for (size_t k = 0; k < n; k++)
        all += json_array_size(json_object_get(node[k], "images"));
    row = vf_calloc(all, sizeof *row, NULL);
    if (!row)
        return NULL;
    all = 0;
    for (size_t k = 0; k < n; k++) {
        const json_t *im;
        size_t i;

        json_array_foreach(json_object_get(node[k], "images"), i, im) row[all++] =
            (struct row){vf_member_text(im, "image"), similarity(im)};
    }
    qsort(row, all, sizeof *row, by_name);
    for (size_t i = 0; i < all; i++) {
        if (rows == 0 || strcmp(row[rows - 1].name, row[i].name) != 0)
            row[rows++] = row[i];
        else if (row[i].best > row[rows - 1].best)
            row[rows - 1].best = row[i].best;
    }
    qsort(row, rows, sizeof *row, by_best);
    *ret_rows = rows;
    return row;
}

static void put_heat(FILE *out, const json_t *const *node, size_t n, const struct row *row,
                     size_t rows)
{
    size_t shown = rows <= NEAREST + 1 ? rows : NEAREST;

    fputs("<h2>Images against nodes</h2>\n<p class=\"soft\">How much of the image each of theirs "
          "holds, in % of all blocks, every occurrence counted.</p>\n",
          out);
    vf_html_scroll_begin(out, "Heat map of images against nodes");
    fputs("<table class=\"heat\">\n<thead><tr><th class=\"l\" scope=\"col\">Image</th>", out);
    for (size_t k = 0; k < n; k++) {
        fputs("<th scope=\"col\">", out);
        vf_html_member(out, node[k], "node");
        fputs("</th>", out);
    }
    fputs("</tr></thead>\n<tbody>\n<tr class=\"best\"><th scope=\"row\">all together</th>", out);
    for (size_t k = 0; k < n; k++)
        vf_html_heat(out, similarity(node[k]));
    fputs("</tr>\n", out);
    for (size_t i = 0; i < shown; i++) {
        fputs("<tr><th scope=\"row\">", out);
        vf_html_text(out, row[i].name);
        fputs("</th>", out);
        for (size_t k = 0; k < n; k++) {
            const json_t *im = image_of(node[k], row[i].name);

            if (im)
                vf_html_heat(out, similarity(im));
            else
                fputs("<td>", out);
        }
        fputs("</tr>\n", out);
    }
    fputs("</tbody>\n</table>\n", out);
    vf_html_scroll_end(out);
    if (shown < rows)
        fprintf(
            out,
            "<p class=\"soft\">And %zu other images, of which none holds more than %.1f %%.</p>\n",
            rows - shown, row[shown].best * 100);
}

int vf_similar_page(const json_t *report, FILE *out, struct vf_error *err)
{
    const char *path = vf_member_text(report, "image"), *slash = strrchr(path, '/');
    size_t n = 0, rows = 0;
    const json_t **node = ranked(report, &n);
    struct row *row = node ? rows_of(node, n, &rows) : NULL;
    char *title = vf_strf(err, "Where %s should go", slash && slash[1] ? slash + 1 : path);
    int rc = row && title ? 0 : vf_error_nomem(err);

    if (rc == 0) {
        vf_html_begin(out, title, path);
        put_choice(out, report);
        put_facts(out, report);
        put_ranking(out, report, node, n);
        put_strip(out, report);
        put_heat(out, node, n, row, rows);
        rc = vf_html_end(out, report) < 0 ? vf_error_nomem(err) : 0;
    }
    free(title);
    free(row);
    free(node);
    return rc;
}

/* ---- all images with one another ---- */

static void put_matrix(FILE *out, const json_t *report, const char *key, const char *title)
{
    const json_t *images = json_object_get(report, "images"), *im;
    size_t n = json_array_size(images), i;

    fprintf(out, "<h2>%s</h2>\n", title);
    vf_html_scroll_begin(out, title);
    fputs("<table class=\"heat\">\n<thead><tr><th class=\"l\" scope=\"col\">Image</th>", out);
    for (size_t k = 0; k < n; k++)
        fprintf(out, "<th scope=\"col\">%zu</th>", k + 1);
    fputs("</tr></thead>\n<tbody>\n", out);
    json_array_foreach(images, i, im)
    {
        fprintf(out, "<tr><th scope=\"row\">%zu ", i + 1);
        vf_html_member(out, im, "image");
        fputs("</th>", out);
        for (size_t k = 0; k < n; k++)
            vf_html_heat(out, json_number_value(json_array_get(
                                  json_array_get(json_object_get(report, key), i), k)));
        fputs("</tr>\n", out);
    }
    fputs("</tbody>\n</table>\n", out);
    vf_html_scroll_end(out);
}

static void put_list(FILE *out, const json_t *report)
{
    const json_t *im;
    size_t i;

    fputs("<h2>The images</h2>\n", out);
    vf_html_scroll_begin(out, "The images");
    fputs("<table>\n<thead><tr><th class=\"l\" scope=\"col\">Image</th><th scope=\"col\">Node</th>"
          "<th scope=\"col\">Size</th><th scope=\"col\">Zero</th></tr></thead>\n<tbody>\n",
          out);
    json_array_foreach(json_object_get(report, "images"), i, im)
    {
        fprintf(out, "<tr><th scope=\"row\">%zu ", i + 1);
        vf_html_member(out, im, "image");
        fputs("</th><td>", out);
        vf_html_member(out, im, "node");
        fputs("</td><td>", out);
        put_bytes(out, vf_member_number(im, "blocks") * VF_BLOCK);
        fputs("</td><td>", out);
        put_share(out, vf_member_number(im, "zero_blocks"), vf_member_number(im, "blocks"));
        fputs("</td></tr>\n", out);
    }
    fputs("</tbody>\n</table>\n", out);
    vf_html_scroll_end(out);
}

int vf_similar_all_page(const json_t *report, FILE *out, struct vf_error *err)
{
    json_t *numbers = json_copy((json_t *)(uintptr_t)report); /* shallow: only members go */
    const json_t *n;
    size_t i;
    int rc;

    if (!numbers)
        return vf_error_nomem(err);
    json_object_del(numbers, "similarity_bounds"); /* they would be two thirds of the page */
    json_object_del(numbers, "similarity_distinct_bounds");
    vf_html_begin(out, "How alike the images are",
                  "Each row: how much of that image the image of each column holds, in % of its "
                  "blocks. Estimated from samples.");
    json_array_foreach(json_object_get(report, "unreachable"), i, n)
    {
        fputs("<p>", out);
        vf_html_member(out, n, "node");
        fputs(" could not be asked: ", out);
        vf_html_member(out, json_object_get(n, "error"), "message");
        fputs("</p>\n", out);
    }
    put_list(out, report);
    put_matrix(out, report, "similarity", "Every occurrence counted");
    put_matrix(out, report, "similarity_distinct", "Duplicates removed");
    rc = vf_html_end(out, numbers) < 0 ? vf_error_nomem(err) : 0;
    json_decref(numbers);
    return rc;
}

/* Many nodes: makes summaries of nodes whose overlap with an image is known, and ranks them.
 *
 *   bench_fleet [NODES [IMAGES [DIR]]]      default: 300 nodes with 100 images each, below /tmp
 *
 * A node holds a known part of the image's contents, spread over its images, and other contents of
 * its own, as much as its images have room for.  Its samples follow from that without making the
 * contents up, so that ten thousand nodes are made in a minute.  The summaries are files, as they
 * are in the cache of a source; ranking reads all of them, compares each with the image, and sorts.
 * The files are removed at the end. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/sample.h"
#include "core/similar/rank.h"
#include "core/similar/summary.h"

#define TARGET   UINT64_C(2800000) /* contents of the image */
#define PER      UINT64_C(1000000) /* contents of an image of a node */
#define SCALE    12u               /* of the samples made */
#define ROUNDS   3u
#define FILE_MAX (16u << 20)

struct fleet {
    const char *dir;
    unsigned nodes, images;
    uint64_t x;
    struct vf_sketch target;
    uint64_t *content; /* of each sample of the target: its number */
    uint64_t *held;    /* of each node: contents of the image that it holds, exactly */
    struct vf_rank_node *rank;
    char (*label)[16];
    uint64_t bytes; /* of all summaries */
};

static uint64_t below(uint64_t *x, uint64_t n) { return (sample_next(x) >> 16) % n; }

static uint64_t fp_of(uint64_t content)
{
    uint64_t x = content + UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* ---- the image ---- */

struct content {
    uint64_t fp, number;
};

static int by_fp(const void *x, const void *y)
{
    const struct content *a = x, *b = y;

    return a->fp < b->fp ? -1 : a->fp > b->fp;
}

static int make_target(struct fleet *f, struct vf_error *err)
{
    struct content *c = calloc(TARGET, sizeof *c);
    struct vf_sketch_builder *b = vf_sketch_builder_new(err);
    int rc = c && b ? 0 : -1;
    size_t k = 0;

    for (uint64_t i = 0; rc == 0 && i < TARGET; i++)
        c[i] = (struct content){fp_of(i), i};
    if (rc == 0)
        qsort(c, TARGET, sizeof *c, by_fp);
    for (uint64_t i = 0; rc == 0 && i < TARGET; i++)
        rc = vf_sketch_builder_add(b, c[i].fp, 1, err);
    if (rc == 0)
        rc = vf_sketch_builder_finish(b, 1000000, &f->target, err);
    if (rc == 0 && !(f->content = calloc(f->target.n, sizeof *f->content)))
        rc = -1;
    for (uint64_t i = 0; rc == 0 && k < f->target.n; i++)
        if (c[i].fp >> VF_SKETCH_SHIFT == f->target.fp[k])
            f->content[k++] = c[i].number;
    vf_sketch_builder_free(b);
    free(c);
    return rc;
}

/* ---- a node ---- */

/* Samples of an image that holds the target's contents [from, to) and others, n of them in all. */
static size_t image_samples(struct fleet *f, uint64_t from, uint64_t to, size_t n, uint64_t *fp)
{
    const uint64_t end = UINT64_C(1) << (64 - VF_SKETCH_SHIFT - SCALE);
    const uint64_t step = end / (n + 1);
    uint64_t at = 0;
    size_t made = 0, k = 0;

    for (;;) { /* both ascend: merge them */
        at += 1 + below(&f->x, 2 * step - 1);
        for (; k < f->target.n && f->target.fp[k] < end && f->target.fp[k] <= at; k++)
            if (f->content[k] >= from && f->content[k] < to && made < 2 * n)
                fp[made++] = f->target.fp[k];
        if (at >= end || made >= 2 * n)
            return made;
        if (made == 0 || fp[made - 1] < at)
            fp[made++] = at;
    }
}

/* The part [0, held) of the image's contents lies on the node's images, in overlapping pieces. */
static int make_node(struct fleet *f, unsigned node, struct vf_buf *ret, struct vf_error *err)
{
    static const char *const groups[] = {""};
    const size_t each = PER >> SCALE;
    const uint64_t held = f->held[node], piece = held / f->images + 1;
    uint8_t id[VF_STORE_ID_LEN] = {(uint8_t)node, (uint8_t)(node >> 8)};
    struct vf_summary_builder *b =
        vf_summary_builder_new(VF_SUMMARY_BRIEF, groups, 1, f->images, err);
    uint64_t *fp = calloc(2 * each + 1, sizeof *fp);
    uint32_t *count = calloc(2 * each + 1, sizeof *count);
    char name[64], none[] = "";
    int rc = b && fp && count ? 0 : -1;

    for (unsigned i = 0; rc == 0 && i < f->images; i++) {
        const uint64_t from = i * piece, to = from + piece + piece / 2;
        struct vf_summary_image im = {.name = name, .group = none, .fresh = true, .sketched = true};

        snprintf(name, sizeof name, "images/guest-%u-%u.qcow2", node, i);
        for (unsigned k = 0; k < sizeof im.root; k += 8)
            memcpy(im.root + k, &(uint64_t){sample_next(&f->x)}, 8);
        im.sketch.scale = SCALE;
        im.sketch.fp = fp;
        im.sketch.count = count;
        im.sketch.n = image_samples(f, from, to < held ? to : held, each, fp);
        im.sketch.stratum[0] = (struct vf_stratum){PER, PER};
        im.distinct_blocks = PER;
        im.blocks = PER;
        im.size = PER * VF_BLOCK;
        rc = vf_summary_builder_add(b, &im, err);
    }
    if (rc == 0)
        rc = vf_summary_builder_finish(b, id, sample_next(&f->x), ret, err);
    vf_summary_builder_free(b);
    free(fp);
    free(count);
    return rc;
}

static void path_of(const struct fleet *f, unsigned node, char ret[4096])
{
    snprintf(ret, 4096, "%s/n%05u", f->dir, node);
}

static int make_nodes(struct fleet *f, struct vf_error *err)
{
    char path[4096];

    for (unsigned i = 0; i < f->nodes; i++) {
        struct vf_buf b = VF_BUF_INIT;
        int fd, rc;

        /* Most hold little of it, some a part, one in a hundred nearly all. */
        f->held[i] = i % 100 == 7  ? TARGET * 9 / 10 + below(&f->x, TARGET / 12)
                     : i % 10 == 3 ? below(&f->x, TARGET * 9 / 10)
                                   : below(&f->x, TARGET / 5);
        if (make_node(f, i, &b, err) < 0)
            return -1;
        path_of(f, i, path);
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        rc = fd < 0 ? vf_error_sys(err, errno, "%s", path) : vf_write_full(fd, b.data, b.len, err);
        vf_close_fd(&fd);
        f->bytes += b.len;
        vf_buf_free(&b);
        if (rc < 0)
            return -1;
    }
    return 0;
}

/* ---- ranking ---- */

static long read_node(const struct fleet *f, unsigned node, uint8_t *data, struct vf_error *err)
{
    char path[4096];
    size_t len = 0;
    long n = 1;
    int fd;

    path_of(f, node, path);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return vf_error_sys(err, errno, "%s", path);
    while (n > 0 && (n = vf_read_some(fd, data + len, FILE_MAX - len, err)) > 0)
        len += (size_t)n;
    vf_close_fd(&fd);
    return n < 0 ? -1 : (long)len;
}

static int rank(struct fleet *f, size_t *ret_can, struct vf_error *err)
{
    const struct vf_wire_model model = {.info = {.size = (TARGET + 1000000) * VF_BLOCK,
                                                 .blocks = TARGET + 1000000,
                                                 .zero_blocks = 1000000,
                                                 .top = 2,
                                                 .nodes = {TARGET, TARGET / 64, TARGET / 4096}},
                                        .ratio = 0.45,
                                        .rate_bps = 12e6};
    uint8_t *data = malloc(FILE_MAX);

    if (!data)
        return vf_error_nomem(err);
    for (unsigned i = 0; i < f->nodes; i++) {
        struct vf_rank_node *n = &f->rank[i];
        long len = read_node(f, i, data, err);

        snprintf(f->label[i], sizeof f->label[i], "n%05u", i);
        *n = (struct vf_rank_node){.label = f->label[i],
                                   .free_bytes = (uint64_t)(i % 50 ? 500 : 1) << 30,
                                   .resident = true,
                                   .ctx = &f->held[i]};
        if (len < 0 || vf_summary_compare(data, (size_t)len, "", &f->target, NULL, &n->likeness,
                                          err) != VF_SUMMARY_COMPARED) {
            free(data);
            return -1;
        }
    }
    *ret_can = vf_rank(&model, f->rank, f->nodes);
    free(data);
    return 0;
}

/* ---- how good it is ---- */

static int descending(const void *x, const void *y)
{
    const uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

    return a > b ? -1 : a < b;
}

static void report(const struct fleet *f, size_t can)
{
    uint64_t best = UINT64_MAX, chosen;
    size_t in = 0, top = 0, contenders, best_at = 0;
    uint64_t *sorted = calloc(can + 1, sizeof *sorted);
    double off = 0;

    for (size_t i = 0; i < f->nodes; i++) {
        const uint64_t *held = f->rank[i].ctx, literals = TARGET - *held;
        const struct vf_bounded *b = &f->rank[i].likeness.literals;

        in += b->low <= literals && literals <= b->high;
        off += ((double)b->value - (double)literals) * ((double)b->value - (double)literals);
        if (i < can && literals < best) {
            best = literals;
            best_at = i;
        }
    }
    chosen = can ? TARGET - *(const uint64_t *)f->rank[0].ctx : best;
    contenders = vf_rank_contenders(f->rank, can, can);
    printf("estimates in their bounds       %8.2f %%\n", 100.0 * (double)in / f->nodes);
    printf("rms error, of the image         %8.2f %%\n",
           100 * sqrt(off / f->nodes) / (double)TARGET);
    printf("the chosen one lacks            %8.3f %% more of the image than the best\n",
           100 * (double)(chosen - best) / (double)TARGET);
    printf("the best one is at place        %8zu, worth an exact count: %zu\n", best_at,
           contenders);
    if (can >= 20 && sorted) {
        for (size_t i = 0; i < can; i++)
            sorted[i] = *(const uint64_t *)f->rank[i].ctx;
        qsort(sorted, can, sizeof *sorted, descending);
        for (size_t i = 0; i < 20; i++)
            top += *(const uint64_t *)f->rank[i].ctx >= sorted[9];
        printf("of the ten best, in the first twenty places: %zu\n", top);
    }
    free(sorted);
}

static int run(struct fleet *f, struct vf_error *err)
{
    struct rusage use;
    double t = wall();
    size_t can = 0;

    if (make_target(f, err) < 0 || make_nodes(f, err) < 0)
        return -1;
    printf("%u nodes with %u images: made in %.1f s; %.1f KB a summary, %.0f MB in all\n", f->nodes,
           f->images, wall() - t, (double)f->bytes / f->nodes / 1e3, (double)f->bytes / 1e6);
    for (unsigned i = 0; i < ROUNDS; i++) {
        double c = cpu();

        t = wall();
        if (rank(f, &can, err) < 0)
            return -1;
        printf("read, compared and ranked       %8.3f s, %.3f s of processor time\n", wall() - t,
               cpu() - c);
    }
    getrusage(RUSAGE_SELF, &use);
    printf("peak memory of all this         %8.1f MB\n", (double)use.ru_maxrss / 1e3);
    report(f, can);
    return 0;
}

int main(int argc, char **argv)
{
    char dir[] = "/tmp/vf-fleet-XXXXXX", path[4096];
    struct fleet f = {.nodes = argc > 1 ? (unsigned)atoi(argv[1]) : 300,
                      .images = argc > 2 ? (unsigned)atoi(argv[2]) : 100,
                      .x = 88172645463325252u};
    struct vf_error err = VF_ERROR_INIT;
    int rc;

    f.dir = argc > 3 ? argv[3] : mkdtemp(dir);
    if (!f.dir || !f.nodes || !f.images || (argc > 3 && mkdir(f.dir, 0700) < 0)) {
        fprintf(stderr, "bench_fleet: wrong numbers, or a directory that cannot be made\n");
        return 1;
    }
    f.held = calloc(f.nodes, sizeof *f.held);
    f.rank = calloc(f.nodes, sizeof *f.rank);
    f.label = calloc(f.nodes, sizeof *f.label);
    rc = f.held && f.rank && f.label ? run(&f, &err) : -1;
    for (unsigned i = 0; i < f.nodes; i++) {
        path_of(&f, i, path);
        (void)unlink(path); /* it may not have come so far */
    }
    (void)rmdir(f.dir);
    if (rc < 0)
        fprintf(stderr, "bench_fleet: %s\n", err.msg);
    free(f.held);
    free(f.rank);
    free(f.label);
    free(f.content);
    vf_sketch_free(&f.target);
    return rc < 0;
}

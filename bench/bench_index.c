/* How fast block maps are stored and asked, and how much room they take:
 *   bench_index [-d DIR] [-n IMAGES] [-b BLOCKS] [-s BLOCKS_IN_SEGMENT] [IMAGE...]
 * Given images (raw) are read and hashed first, outside of all measurements; else IMAGES are made
 * up, with digests that are as good as random and a third of their content in common.  DIR (default
 * /tmp) gets a store that is removed at the end.  Everything comes from the page cache if it fits.
 *
 * Printed: digests stored a second, bytes of the database for each non-zero block, time of a call
 * for digests, ids looked up a second, fingerprints compared a second; and how far resident memory
 * rose above what it was before each step. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/fdio.h"
#include "core/map/build.h"
#include "core/map/scan.h"
#include "formats/raw.h"
#include "index/index.h"

struct content {
    uint64_t size, data;
    struct vf_node *seg;
    size_t segs, segs_cap, md5_cap;
    uint8_t (*md5)[VF_MD5_LEN];
};

struct bench {
    const char *dir;
    struct vf_index *ix;
    unsigned images;
    uint64_t blocks, in_segment;
    char **files;
    uint64_t data, nodes; /* sums over all images */
};

struct mark {
    double wall, cpu;
    long rss; /* KiB */
};

static int die(const char *what, const struct vf_error *err)
{
    fprintf(stderr, "bench_index: %s: %s\n", what, err ? err->msg : strerror(errno));
    exit(1);
}

/* A line "name: N kB" of /proc/self/status. */
static long status_kib(const char *name)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    long kib = -1;

    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, name, strlen(name)) == 0)
            kib = strtol(line + strlen(name), NULL, 10);
    if (f)
        fclose(f);
    return kib;
}

static struct mark now(void)
{
    struct timespec t;
    struct rusage r;

    clock_gettime(CLOCK_MONOTONIC, &t);
    getrusage(RUSAGE_SELF, &r);
    return (struct mark){(double)t.tv_sec + (double)t.tv_nsec / 1e9,
                         (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
                             (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6,
                         status_kib("VmRSS:")};
}

/* Begins a step: forgets the peak of resident memory. */
static struct mark begin(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "w");

    if (f) {
        fputs("5", f);
        fclose(f);
    }
    return now();
}

static void report(const char *what, const struct mark *from, double n, const char *unit)
{
    struct mark to = now();
    long peak = status_kib("VmHWM:") - from->rss;

    printf("%-34s %10.2f M%s/s   wall %7.2f s  cpu %7.2f s  memory +%ld MiB\n", what,
           n / (to.wall - from->wall) / 1e6, unit, to.wall - from->wall, to.cpu - from->cpu,
           (peak < 0 ? 0 : peak) / 1024);
    fflush(stdout);
}

static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static void bytes_of(uint64_t seed, uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i += 8) {
        uint64_t v = mix(seed * 31 + i);

        memcpy(p + i, &v, 8);
    }
}

static void *grown(void *p, size_t *cap, size_t need, size_t size)
{
    if (need <= *cap)
        return p;
    *cap = need * 2;
    p = realloc(p, *cap * size);
    if (!p)
        die("memory", NULL);
    return p;
}

static void add(struct content *c, uint64_t first, uint64_t n)
{
    c->seg = grown(c->seg, &c->segs_cap, c->segs + 1, sizeof *c->seg);
    c->md5 = grown(c->md5, &c->md5_cap, (size_t)(c->data + n), sizeof *c->md5);
    c->seg[c->segs++] = (struct vf_node){.first = first, .span = n, .data = n};
    c->data += n;
}

/* Every third segment is one that all images have, in another order. */
static void make_up(const struct bench *b, unsigned image, struct content *c)
{
    uint64_t at = 0;

    c->segs = 0;
    c->data = 0;
    for (uint64_t i = 0; c->data < b->blocks; i++) {
        uint64_t seed = i % 3 ? mix((image + UINT64_C(1)) * 1000000007 + i)
                              : mix((i * 7919 + image) % (b->blocks / b->in_segment + 1));
        uint64_t n = 1 + seed % (2 * b->in_segment - 1);

        add(c, at, n);
        bytes_of(seed, c->seg[c->segs - 1].sha, VF_SHA_LEN);
        for (uint64_t k = 0; k < n; k++)
            bytes_of(seed + k, c->md5[c->data - n + k], VF_MD5_LEN);
        at += n + seed % 4;
    }
    c->size = at * VF_BLOCK;
}

static int take(void *ctx, const struct vf_node *segs, size_t n, const uint8_t (*md5)[VF_MD5_LEN],
                uint64_t upto, struct vf_error *err)
{
    struct content *c = ctx;

    (void)upto;
    (void)err;
    for (size_t i = 0; i < n; i++) {
        add(c, segs[i].first, segs[i].span);
        memcpy(c->seg[c->segs - 1].sha, segs[i].sha, VF_SHA_LEN);
        memcpy(c->md5[c->data - segs[i].span], md5, (size_t)segs[i].span * VF_MD5_LEN);
        md5 += segs[i].span;
    }
    return 0;
}

static void read_image(const char *path, struct content *c)
{
    struct vf_error err;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct vf_image *im = fd < 0 ? NULL : vf_raw_new(fd, false, &err);

    if (fd < 0)
        die(path, NULL);
    c->segs = 0;
    c->data = 0;
    if (!im || vf_scan(im, (struct vf_run){0, vf_blocks_of(im->size)}, 0, take, c, NULL, &err) < 0)
        die(path, &err);
    c->size = im->size;
    vf_image_close(im);
}

static void image_path(const struct bench *b, unsigned image, char ret[300])
{
    snprintf(ret, 300, "%s/i%u", b->dir, image);
}

static void store(struct bench *b, unsigned image, const struct content *c)
{
    char path[300], raw[] = "raw", group[] = "";
    struct vf_image_record rec = {.path = path, .format = raw, .group = group};
    struct vf_map_info info;
    struct vf_error err;
    struct vf_map_sink *sink;
    struct vf_build *build;
    size_t at = 0;

    image_path(b, image, path);
    if (vf_replace_file(AT_FDCWD, path, "", 0, 0600, &err) < 0 ||
        vf_index_stat(b->ix, path, &rec.st, &err) < 0)
        die(path, &err);
    sink = vf_index_begin(b->ix, &rec, &err);
    build = sink ? vf_build_new(c->size, sink, NULL, NULL, &err) : NULL;
    if (!build)
        die("begin", &err);
    for (size_t i = 0; i < c->segs;) {
        size_t n = c->segs - i < 16 ? c->segs - i : 16, blocks = 0;

        for (size_t k = 0; k < n; k++)
            blocks += (size_t)c->seg[i + k].span;
        if (vf_build_add(build, c->seg + i, n, (const void *)c->md5[at], &err) < 0)
            die("store", &err);
        at += blocks;
        i += n;
    }
    if (vf_build_finish(build, &info, &err) < 0 || sink->ops->commit(sink, &info, &err) < 0)
        die("commit", &err);
    vf_build_free(build);
    b->data += info.nodes[0];
    b->nodes += info.nodes[1];
}

static void load(struct bench *b)
{
    struct content c = {0};
    struct mark total = {0}, from;
    char data[300];
    struct stat st;

    for (unsigned i = 0; i < b->images; i++) {
        if (b->files)
            read_image(b->files[i], &c);
        else
            make_up(b, i, &c);
        from = begin();
        store(b, i, &c);
        if (b->images <= 20)
            report("store", &from, (double)c.data, "blocks");
        total.wall += now().wall - from.wall;
        total.cpu += now().cpu - from.cpu;
    }
    snprintf(data, sizeof data, "%s/index/data.mdb", b->dir);
    if (stat(data, &st) < 0)
        die(data, NULL);
    printf("%u images, %" PRIu64 " non-zero blocks, %" PRIu64 " segments: %.1f M blocks/s, "
           "%.2f CPU s; %.2f bytes a block\n",
           b->images, b->data, b->nodes, (double)b->data / total.wall / 1e6, total.cpu,
           (double)st.st_size / (double)b->data);
    free(c.seg);
    free(c.md5);
}

static void ask_digests(struct bench *b, struct vf_residents *r)
{
    static uint8_t md5[256][VF_MD5_LEN];
    const unsigned calls = 20000;
    struct vf_map_info info;
    struct vf_error err;
    struct mark from = begin();
    const char *name;
    bool fresh;

    for (unsigned i = 0; i < calls; i++) {
        uint32_t image = (uint32_t)(mix(i) % b->images);

        if (r->ops->describe(r, image, &name, &info, &fresh, &err) < 0 ||
            r->ops->digests(r, image, (int64_t)(mix(i + 1) % info.blocks), 256, md5, &err) < 0)
            die("digests", &err);
    }
    report("digests of 256 blocks anywhere", &from, calls, "calls");
}

static void ask_ids(struct bench *b, struct vf_residents *r, size_t batch, size_t total)
{
    uint8_t(*ids)[VF_ID_LEN] = calloc(batch, sizeof *ids);
    struct vf_place(*place)[VF_PLACES] = calloc(batch, sizeof *place);
    struct vf_map_info info;
    struct vf_node node;
    struct vf_error err;
    struct mark from, t;
    char what[80], path[300];
    size_t found = 0;
    double wall = 0, cpu = 0;

    if (!ids || !place)
        die("memory", NULL);
    from = begin();
    for (size_t done = 0; done < total; done += batch) {
        for (size_t i = 0; i < batch; i++) { /* half of them are somewhere */
            struct vf_map *map;

            bytes_of(done + i + 77, (uint8_t *)&info, 8);
            memcpy(ids[i], &info, VF_ID_LEN);
            if (i % 2)
                continue;
            image_path(b, (unsigned)(mix(done + i) % b->images), path);
            map = vf_index_map(b->ix, path, &err);
            if (!map || map->ops->info(map, &info, &err) < 0 ||
                map->ops->nodes(map, 1, mix(done + i + 1) % info.nodes[1], 1, &node, &err) < 0)
                die("nodes", &err);
            map->ops->close(map);
            memcpy(ids[i], node.sha, VF_ID_LEN);
        }
        t = now();
        if (r->ops->find(r, 1, (const void *)ids, batch, place, &err) < 0)
            die("find", &err);
        wall += now().wall - t.wall;
        cpu += now().cpu - t.cpu;
        for (size_t i = 0; i < batch; i++)
            found += place[i][0].span > 0;
    }
    from.wall = now().wall - wall;
    from.cpu = now().cpu - cpu;
    snprintf(what, sizeof what, "find, %zu at a time, %zu%% there", batch, found * 100 / total);
    report(what, &from, (double)total, "ids");
    free(ids);
    free(place);
}

static void compare(struct bench *b, struct vf_residents *r)
{
    struct vf_shared all, *each = calloc(b->images, sizeof *each);
    char path[300], what[80];
    struct vf_index_prints *p;
    struct vf_map_info info;
    struct vf_map *map;
    struct vf_error err;
    struct mark from;
    const char *name;
    uint64_t records = 0;
    bool fresh;

    image_path(b, 0, path);
    map = vf_index_map(b->ix, path, &err);
    p = map ? vf_index_prints_new(map, &err) : NULL;
    if (!each || !p)
        die(path, &err);
    for (uint32_t i = 0; i < r->ops->count(r); i++) {
        if (r->ops->describe(r, i, &name, &info, &fresh, &err) < 0)
            die("describe", &err);
        records += info.distinct_blocks;
    }
    from = begin();
    if (r->ops->shared(r, vf_index_prints_next, p, each, &all, &err) < 0)
        die("shared", &err);
    if (map->ops->info(map, &info, &err) < 0)
        die("info", &err);
    snprintf(what, sizeof what, "shared, 1 image against %u: %.1f%%", r->ops->count(r),
             100.0 * (double)all.blocks / (double)info.nodes[0]);
    report(what, &from, (double)records, "records");
    vf_index_prints_free(p);
    map->ops->close(map);
    free(each);
}

static void check(struct bench *b)
{
    char path[300];
    struct vf_error err;
    struct mark from = begin();

    image_path(b, 0, path);
    if (vf_index_verify(b->ix, path, &err) < 0)
        die("verify", &err);
    report("verify one image", &from, (double)b->data / b->images, "blocks");
}

static void clean(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    char path[600];

    while (d && (e = readdir(d))) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (unlink(path) < 0 && errno == EISDIR)
            clean(path);
    }
    if (d)
        closedir(d);
    (void)rmdir(dir); /* what is left is seen by whoever looks */
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t v = strtoull(text, &end, 10);

    if (*end || v == 0)
        die("not a number", NULL);
    return v;
}

static void run(struct bench *b)
{
    char path[300];
    struct vf_residents *r;
    struct vf_error err;
    struct mark from;

    b->ix = vf_index_open(b->dir, VF_INDEX_CREATE, &err);
    if (!b->ix)
        die(b->dir, &err);
    load(b);
    vf_index_close(b->ix);
    from = begin();
    b->ix = vf_index_open(b->dir, 0, &err);
    if (!b->ix)
        die(b->dir, &err);
    report("open", &from, 1, "times");
    from = begin();
    r = vf_index_residents(b->ix, "", NULL, NULL, NULL, &err);
    if (!r)
        die("residents", &err);
    report("residents", &from, b->images, "images");
    ask_digests(b, r);
    ask_ids(b, r, 1000, b->images > 100 ? 20000 : 100000);
    ask_ids(b, r, 16384, 16384 * 8);
    r->ops->close(r);
    image_path(b, 0, path);
    r = vf_index_residents(b->ix, "", path, NULL, NULL, &err);
    if (!r)
        die("residents", &err);
    compare(b, r);
    r->ops->close(r);
    check(b);
    vf_index_close(b->ix);
}

int main(int argc, char **argv)
{
    struct bench b = {.images = 8, .blocks = 1000000, .in_segment = 30};
    const char *base = "/tmp";
    char dir[200];
    int opt;

    while ((opt = getopt(argc, argv, "d:n:b:s:")) != -1)
        if (opt == 'd')
            base = optarg;
        else if (opt == 'n')
            b.images = (unsigned)number(optarg);
        else if (opt == 'b')
            b.blocks = number(optarg);
        else if (opt == 's' && number(optarg) <= 128)
            b.in_segment = number(optarg);
        else
            die("wrong option", NULL);
    if (optind < argc) {
        b.files = argv + optind;
        b.images = (unsigned)(argc - optind);
    }
    snprintf(dir, sizeof dir, "%s/bench-index-XXXXXX", base);
    if (!mkdtemp(dir))
        die(dir, NULL);
    b.dir = dir;
    run(&b);
    clean(dir);
    return 0;
}

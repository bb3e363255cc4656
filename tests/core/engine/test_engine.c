/* core/send*.c and core/receive*.c: whole migrations between two threads over a real session, with
 * images and resident sets in memory, so that residents can be made to lie.  tests/e2e runs the
 * same engine over real files, indexes and sshd. */
#include "core/engine/budget.h"
#include "core/engine/engine.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/hash/digest.h"
#include "core/map/scan.h"
#include "core/map/tree.h"
#include "tests/lib/check.h"
#include "tests/lib/mem_image.h"
#include "transport/session.h"

#define MAX_DONORS 4u

/* ---- a map in memory ---- */
struct mem_map {
    struct vf_map base;
    struct vf_map_sink sink;
    uint8_t (*md5)[VF_MD5_LEN]; /* of every block */
    uint64_t blocks;
    struct vf_node *node[3]; /* levels 1 and 2 */
    uint64_t n[3];
    struct vf_map_info info;
    bool completed, committed;
};

static struct mem_map *map_of_sink(struct vf_map_sink *s)
{
    return (struct mem_map *)(void *)((char *)s - offsetof(struct mem_map, sink));
}
static int sink_digests(struct vf_map_sink *s, uint64_t first, size_t n,
                        const uint8_t (*md5)[VF_MD5_LEN], struct vf_error *err)
{
    struct mem_map *m = map_of_sink(s);

    (void)err;
    CHECK(first + n <= m->blocks);
    memcpy(m->md5[first], md5, n * VF_MD5_LEN);
    return 0;
}
static int sink_nodes(struct vf_map_sink *s, unsigned level, const struct vf_node *nodes, size_t n,
                      struct vf_error *err)
{
    struct mem_map *m = map_of_sink(s);

    (void)err;
    if (level > 2)
        return 0;
    m->node[level] = realloc(m->node[level], (m->n[level] + n) * sizeof *nodes);
    CHECK(m->node[level]);
    memcpy(m->node[level] + m->n[level], nodes, n * sizeof *nodes);
    m->n[level] += n;
    return 0;
}
static int sink_complete(struct vf_map_sink *s, struct vf_map_info *info, struct vf_error *err)
{
    struct mem_map *m = map_of_sink(s);

    (void)err;
    CHECK(!m->completed && !m->committed);
    m->completed = true;
    info->distinct_blocks = 77; /* what is found now has to get to commit */
    return 0;
}
static int sink_commit(struct vf_map_sink *s, struct vf_map_info *info, struct vf_error *err)
{
    struct mem_map *m = map_of_sink(s);

    (void)err;
    m->info = *info;
    m->committed = true;
    return 0;
}
static void sink_abort(struct vf_map_sink *s) { (void)s; }

static int map_info(struct vf_map *map, struct vf_map_info *ret, struct vf_error *err)
{
    (void)err;
    *ret = ((struct mem_map *)map)->info;
    return 0;
}
static int map_nodes(struct vf_map *map, unsigned level, uint64_t from, size_t n,
                     struct vf_node *ret, struct vf_error *err)
{
    struct mem_map *m = (struct mem_map *)map;

    (void)err;
    CHECK(level <= 2 && from + n <= m->n[level]);
    memcpy(ret, m->node[level] + from, n * sizeof *ret);
    return 0;
}
static int map_digests(struct vf_map *map, uint64_t first, size_t n, uint8_t (*ret)[VF_MD5_LEN],
                       struct vf_error *err)
{
    struct mem_map *m = (struct mem_map *)map;

    (void)err;
    CHECK(first + n <= m->blocks);
    memcpy(ret, m->md5[first], n * VF_MD5_LEN);
    return 0;
}

static struct mem_map *new_map(uint64_t size)
{
    static const struct vf_map_ops ops = {map_info, map_nodes, map_digests, NULL};
    static const struct vf_map_sink_ops sink_ops = {sink_digests, sink_nodes, sink_complete,
                                                    sink_commit, sink_abort};
    struct mem_map *m = calloc(1, sizeof *m);

    CHECK(m);
    m->base.ops = &ops;
    m->sink.ops = &sink_ops;
    m->blocks = vf_blocks_of(size);
    m->md5 = calloc(m->blocks + 1, VF_MD5_LEN);
    CHECK(m->md5);
    for (uint64_t i = 0; i < m->blocks; i++)
        memcpy(m->md5[i], vf_zero_md5, VF_MD5_LEN);
    return m;
}
static void free_map(struct mem_map *m)
{
    free(m->md5);
    free(m->node[1]);
    free(m->node[2]);
    free(m);
}

/* ---- residents in memory, and what can go wrong with them ---- */
struct donors {
    struct vf_residents base;
    unsigned n;
    struct vf_image *image[MAX_DONORS];
    uint8_t *data[MAX_DONORS];
    struct mem_map *map[MAX_DONORS];
    bool cannot_open;
    bool slow;           /* images open only when digests are asked for */
    atomic_bool digests; /* they were */
};

static unsigned donors_count(struct vf_residents *r) { return ((struct donors *)r)->n; }
static int donors_find(struct vf_residents *r, unsigned level, const uint8_t (*ids)[VF_ID_LEN],
                       size_t n, struct vf_place (*ret)[VF_PLACES], struct vf_error *err)
{
    struct donors *d = (struct donors *)r;

    (void)err;
    memset(ret, 0, n * sizeof *ret);
    for (size_t i = 0; i < n; i++)
        for (unsigned k = 0, at = 0; k < d->n; k++)
            for (uint64_t j = 0; at < VF_PLACES && j < d->map[k]->n[level]; j++) {
                const struct vf_node *g = &d->map[k]->node[level][j];

                if (memcmp(g->sha, ids[i], VF_ID_LEN) == 0)
                    ret[i][at++] = (struct vf_place){k, j, g->first, g->span};
            }
    return 0;
}
static long donors_segments(struct vf_residents *r, uint32_t image, unsigned level, uint64_t node,
                            size_t skip, struct vf_node *ret, size_t max, struct vf_error *err)
{
    const struct mem_map *m = ((struct donors *)r)->map[image];
    const struct vf_node *g = &m->node[level][node];

    (void)err;
    CHECK(level == 2 && skip == 0 && max >= g->kids);
    memcpy(ret, m->node[1] + g->kid, g->kids * sizeof *ret);
    return g->kids;
}
static int donors_digests(struct vf_residents *r, uint32_t image, int64_t first, size_t n,
                          uint8_t (*ret)[VF_MD5_LEN], struct vf_error *err)
{
    struct donors *d = (struct donors *)r;
    const struct mem_map *m = d->map[image];

    (void)err;
    atomic_store(&d->digests, true);
    if (d->slow) /* time to do what must not be done meanwhile */
        (void)usleep(200 * 1000);
    for (size_t i = 0; i < n; i++) {
        int64_t b = first + (int64_t)i;

        memcpy(ret[i], b < 0 || b >= (int64_t)m->blocks ? vf_zero_md5 : m->md5[b], VF_MD5_LEN);
    }
    return 0;
}
static struct vf_image *donors_open(struct vf_residents *r, uint32_t image, struct vf_error *err)
{
    struct donors *d = (struct donors *)r;
    struct vf_image *im;
    uint8_t *data;

    while (d->slow && !atomic_load(&d->digests))
        (void)usleep(1000);
    if (d->cannot_open) {
        (void)vf_error_set(err, VF_ERR_NOTFOUND, 0, "gone");
        return NULL;
    }
    im = vf_mem_image(d->image[image]->size, &data);
    memcpy(data, d->data[image], (size_t)d->image[image]->size);
    return im;
}
static int by_fp(const void *a, const void *b) { return memcmp(a, b, 8); }

static int donors_shared(struct vf_residents *r, vf_print_next *next, void *ctx,
                         struct vf_shared *each, struct vf_shared *all, struct vf_error *err)
{
    struct donors *d = (struct donors *)r;
    struct vf_print p;

    memset(each, 0, d->n * sizeof *each);
    memset(all, 0, sizeof *all);
    while (next(ctx, &p, 1, err) == 1) {
        bool any = false;

        for (unsigned k = 0; k < d->n; k++) {
            uint8_t key[8];
            bool hit = false;

            for (int i = 0; i < 8; i++)
                key[i] = (uint8_t)(p.fp >> (56 - 8 * i));
            for (uint64_t b = 0; !hit && b < d->map[k]->blocks; b++)
                hit = by_fp(key, d->map[k]->md5[b]) == 0;
            each[k].blocks += hit ? p.count : 0;
            each[k].distinct += hit;
            any = any || hit;
        }
        all->blocks += any ? p.count : 0;
        all->distinct += any;
    }
    return 0;
}
static int donors_describe(struct vf_residents *r, uint32_t image, const char **name,
                           struct vf_map_info *info, bool *fresh, struct vf_error *err)
{
    (void)err;
    *name = "donor";
    *info = ((struct donors *)r)->map[image]->info;
    *fresh = true;
    return 0;
}

static const struct vf_residents_ops donors_ops = {donors_count,    donors_find, donors_segments,
                                                   donors_digests,  donors_open, donors_shared,
                                                   donors_describe, NULL};

/* ---- a receiver in a thread ---- */
struct far_end {
    struct vf_dest base;
    int fd;
    struct mem_map *keep; /* the source's map of its image; NULL: it keeps none */
    enum vf_purpose purpose;
    struct donors donors;
    uint64_t size;
    struct vf_image *part; /* kept over tries when `leftover` */
    uint8_t *part_data;
    int64_t leftover;
    struct mem_map *map;
    bool published;
    int rc;
    struct vf_error err;
};

static int dest_open(struct vf_dest *dest, const struct vf_msg_offer *offer, bool count_only,
                     struct vf_image **part, struct vf_residents **residents,
                     struct vf_map_sink **sink, int64_t *leftover, struct vf_msg_accept *accept,
                     struct vf_error *err)
{
    struct far_end *f = (struct far_end *)dest;

    (void)err;
    f->donors.base.ops = &donors_ops;
    *residents = &f->donors.base;
    accept->path = strdup("/somewhere");
    if (count_only)
        return 0;
    if (!f->part)
        f->part = vf_mem_image(offer->size, &f->part_data);
    f->map = new_map(offer->size);
    *part = f->part;
    *sink = &f->map->sink;
    *leftover = f->leftover;
    return 0;
}
static int dest_publish(struct vf_dest *dest, struct vf_map_sink *sink, struct vf_map_info *info,
                        struct vf_error *err)
{
    struct far_end *f = (struct far_end *)dest;
    uint8_t(*md5)[VF_MD5_LEN] = calloc(f->map->blocks + 1, VF_MD5_LEN);

    CHECK(md5);
    memcpy(md5, f->map->md5, f->map->blocks * VF_MD5_LEN);
    qsort(md5, f->map->blocks, VF_MD5_LEN, by_fp);
    for (uint64_t i = 0; i < f->map->blocks; i++)
        info->distinct_blocks += i == 0 || by_fp(md5[i - 1], md5[i]) != 0;
    free(md5);
    f->published = true;
    return sink->ops->commit(sink, info, err);
}
static int dest_count(struct vf_dest *dest, struct vf_shared *ret, struct vf_error *err)
{
    (void)dest, (void)err;
    *ret = (struct vf_shared){0, 0};
    return 0;
}
static const char *dest_tmpdir(struct vf_dest *dest)
{
    (void)dest;
    return vf_test_tmpdir();
}

static void *far_end(void *arg)
{
    static const struct vf_dest_ops ops = {dest_open, dest_publish, dest_count, dest_tmpdir};
    struct far_end *f = arg;
    struct vf_session_opts o = {.watchdog_ms = 10000};
    struct vf_msg_hello hello;
    struct vf_msg_welcome w = {.window_log = 27,
                               .writable = true,
                               .program = (char[]){"test"},
                               .node = (char[]){"far"},
                               .group = (char[]){""},
                               .dir = (char[]){"/"}};
    struct vf_stream *st = vf_session_receiver(f->fd, f->fd, &o, &hello, &f->err);

    f->base.ops = &ops;
    f->rc = -1;
    if (!st)
        return NULL;
    if (vf_session_welcome(st, &w, &f->err) == 0)
        f->rc = vf_receive(st, (enum vf_purpose)hello.purpose, 27, &f->base, &f->err);
    vf_hello_free(&hello);
    st->ops->close(st);
    close(f->fd);
    return NULL;
}

/* One migration or count.  map NULL: live. */
static int migrate(struct vf_image *image, struct mem_map *map, struct far_end *f, bool count,
                   struct vf_send_result *ret, struct vf_error *err)
{
    struct vf_send_opts opts = {.name = "x",
                                .format = "raw",
                                .level = 1,
                                .count_only = count,
                                .workers = 2,
                                .memory = VF_MEMORY_LEAST};
    struct vf_session_opts o = {
        .watchdog_ms = 10000, .program = "test", .purpose = count ? VF_FOR_COUNT : VF_FOR_MIGRATE};
    struct vf_msg_welcome w;
    struct vf_stream *st;
    pthread_t t;
    int fd[2], rc = -1;

    signal(SIGPIPE, SIG_IGN);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
    f->fd = fd[1];
    f->published = false;
    CHECK(pthread_create(&t, NULL, far_end, f) == 0);
    st = vf_session_source(fd[0], fd[0], &o, &w, err);
    if (st) {
        opts.ahead = f->leftover < 0 ? vf_send_ahead(image, map ? &map->base : NULL, 0) : NULL;
        rc = vf_send(st, &w, image, map ? &map->base : NULL, f->keep ? &f->keep->sink : NULL, &opts,
                     ret, err);
        st->ops->close(st);
        vf_welcome_free(&w);
    }
    close(fd[0]);
    pthread_join(t, NULL);
    return rc;
}

static struct mem_map *index_of(struct vf_image *im)
{
    struct mem_map *m = new_map(im->size);
    struct vf_send_opts o = {.workers = 1};
    struct vf_error err;

    CHECK_OK(vf_index_image(im, &m->sink, &o, NULL, &err), &err);
    return m;
}

static void add_donor(struct far_end *f, uint64_t size, const uint8_t *data)
{
    struct donors *d = &f->donors;

    d->image[d->n] = vf_mem_image(size, &d->data[d->n]);
    memcpy(d->data[d->n], data, (size_t)size);
    d->map[d->n] = index_of(d->image[d->n]);
    d->n++;
}

static void clean(struct far_end *f)
{
    for (unsigned i = 0; i < f->donors.n; i++) {
        vf_image_close(f->donors.image[i]);
        free_map(f->donors.map[i]);
    }
    vf_image_close(f->part);
    if (f->map)
        free_map(f->map);
}

/* The image arrived as it is, under both ways of having its map. */
static uint64_t arrives(struct vf_image *im, const uint8_t *data, struct far_end *f, bool stored)
{
    struct mem_map *m = index_of(im);
    struct vf_send_result r;
    struct vf_error err;
    uint64_t sent;

    CHECK_OK(migrate(im, stored ? m : NULL, f, false, &r, &err), &err);
    CHECK(f->published && f->rc == 0 && r.peer.verified);
    CHECK_MEM(f->part_data, data, (size_t)im->size);
    CHECK_MEM(r.info.root, m->info.root, VF_SHA_LEN);
    sent = r.literal_sent;
    vf_send_result_free(&r);
    free_map(m);
    return sent;
}

/* 12 MiB: random with holes; the same seed gives the same data. */
#define SIZE (12u << 20)
static struct vf_image *sample(uint64_t seed, uint8_t **data)
{
    struct vf_image *im = vf_mem_image(SIZE, data);

    vf_test_random(seed, *data, SIZE);
    memset(*data + 100000, 0, 300000);
    memset(*data + (5u << 20), 0, 1u << 20);
    memcpy(*data + (8u << 20), *data + (2u << 20), 1u << 20); /* repeats inside */
    return im;
}

TEST(to_an_empty_node)
{
    for (int stored = 0; stored < 2; stored++) {
        struct far_end f = {.leftover = -1};
        uint8_t *data;
        struct vf_image *im = sample(1, &data);
        uint64_t sent = arrives(im, data, &f, stored);

        CHECK(sent < SIZE / 512 - 2048 - 2500); /* neither zeros nor repeats */
        clean(&f);
        vf_image_close(im);
    }
}

/* The map that is made on the way is completed before the migration ends, then committed. */
TEST(source_keeps_its_map)
{
    uint8_t *data;
    struct vf_image *im = sample(4, &data);
    struct far_end f = {.leftover = -1, .keep = new_map(SIZE)};

    (void)arrives(im, data, &f, false);
    CHECK(f.keep->completed && f.keep->committed);
    CHECK_EQ_U64(f.keep->info.distinct_blocks, 77);
    free_map(f.keep);
    clean(&f);
    vf_image_close(im);
}

TEST(sizes)
{
    static const uint64_t sizes[] = {0, 1, 512, 513, 4096, 100001};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int stored = 0; stored < 2; stored++) {
            struct far_end f = {.leftover = -1};
            uint8_t *data;
            struct vf_image *im = vf_mem_image(sizes[i], &data);

            vf_test_random(i, data, (size_t)sizes[i]);
            (void)arrives(im, data, &f, stored);
            clean(&f);
            vf_image_close(im);
        }
}

/* A copy of itself, moved by 77 blocks and changed in places, is at the other end. */
TEST(to_a_node_with_a_relative)
{
    for (int stored = 0; stored < 2; stored++) {
        struct far_end f = {.leftover = -1};
        uint8_t *data, *other = calloc(1, SIZE);
        struct vf_image *im = sample(1, &data);
        uint64_t sent;

        CHECK(other);
        memcpy(other + 77 * 512, data, SIZE - 77 * 512);
        for (size_t at = 3000; at < SIZE; at += 1u << 20)
            vf_test_random(at, other + at, 700);
        add_donor(&f, SIZE, other);
        sent = arrives(im, data, &f, stored);
        CHECK(sent < 12 * 4 + 100 + 77);
        clean(&f);
        vf_image_close(im);
        free(other);
    }
}

/* Residents that changed after they were indexed, shrank, or vanished cost bytes, never a byte of
 * content. */
TEST(wrong_residents)
{
    for (int way = 0; way < 3; way++) {
        struct far_end f = {.leftover = -1};
        uint8_t *data;
        struct vf_image *im = sample(2, &data);

        add_donor(&f, SIZE, data);
        if (way == 0)
            for (size_t at = 12345; at < SIZE; at += 900000)
                f.donors.data[0][at] ^= 1;
        if (way == 1)
            f.donors.image[0]->size = SIZE / 2;
        if (way == 2)
            f.donors.cannot_open = true;
        (void)arrives(im, data, &f, true);
        clean(&f);
        vf_image_close(im);
    }
}

/* Ids that match though the content differs: what an attacker can build, or chance. */
TEST(false_ids)
{
    struct far_end f = {.leftover = -1};
    uint8_t *data, *other = calloc(1, SIZE);
    struct vf_image *im = sample(3, &data);
    struct mem_map *m = index_of(im);

    CHECK(other);
    vf_test_random(99, other, SIZE);
    memcpy(other, data, 65536);
    add_donor(&f, SIZE, other);
    for (uint64_t i = 0; i < f.donors.map[0]->n[1] && i < m->n[1]; i += 3) {
        f.donors.map[0]->node[1][i].span = m->node[1][m->n[1] / 2].span;
        memcpy(f.donors.map[0]->node[1][i].sha, m->node[1][m->n[1] / 2].sha, VF_ID_LEN);
    }
    (void)arrives(im, data, &f, true);
    clean(&f);
    free_map(m);
    vf_image_close(im);
    free(other);
}

/* Two different blocks of the image that the source takes for the same (an MD5 collision): the map
 * says so here. */
TEST(collision_inside)
{
    struct far_end f = {.leftover = -1};
    uint8_t *data;
    struct vf_image *im = sample(4, &data);
    struct vf_send_result r;
    struct vf_error err;
    int rc;

    /* 64-byte blocks with one MD5 (M. Stevens, single-block collision, 2012), each followed by the
     * same 448 bytes */
    static const char a[] = "4dc968ff0ee35c209572d4777b721587d36fa7b21bdc56b74a3dc0783e7b9518"
                            "afbfa200a8284bf36e8e4b55b35f427593d849676da0d1555d8360fb5f07fea2";
    static const char b[] = "4dc968ff0ee35c209572d4777b721587d36fa7b21bdc56b74a3dc0783e7b9518"
                            "afbfa202a8284bf36e8e4b55b35f427593d849676da0d1d55d8360fb5f07fea2";
    for (size_t i = 0; i < 64; i++) {
        unsigned x, y;

        CHECK(sscanf(a + 2 * i, "%2x", &x) == 1 && sscanf(b + 2 * i, "%2x", &y) == 1);
        data[1000 * 512 + i] = (uint8_t)x;
        data[5000 * 512 + i] = (uint8_t)y;
    }
    memcpy(data + 5000 * 512 + 64, data + 1000 * 512 + 64, 448);
    CHECK(memcmp(data + 1000 * 512, data + 5000 * 512, 512) != 0);
    rc = migrate(im, NULL, &f, false, &r, &err);
    CHECK_OK(rc, &err);
    CHECK(f.published);
    CHECK_MEM(f.part_data, data, SIZE);
    CHECK(r.peer.repaired_blocks > 0);
    vf_send_result_free(&r);
    clean(&f);
    vf_image_close(im);
}

/* An earlier try left a part of the image, and other things where the image is zero. */
TEST(leftover)
{
    struct far_end f = {.leftover = 0};
    uint8_t *data;
    struct vf_image *im = sample(5, &data);
    uint64_t sent;

    f.part = vf_mem_image(SIZE, &f.part_data);
    memcpy(f.part_data, data, 7u << 20);
    vf_test_random(8, f.part_data + 100000, 200000);
    add_donor(&f, SIZE, f.part_data);
    sent = arrives(im, data, &f, true);
    CHECK(sent < (5u << 20) / 512);
    clean(&f);
    vf_image_close(im);
}

/* The image changes between indexing and sending. */
TEST(changing_source)
{
    struct far_end f = {.leftover = -1};
    uint8_t *data;
    struct vf_image *im = sample(6, &data);
    struct mem_map *m = index_of(im);
    struct vf_send_result r;
    struct vf_error err;

    data[6u << 20 | 77] ^= 1;
    data[(7u << 20) + 99] ^= 1;
    CHECK_FAIL(migrate(im, m, &f, false, &r, &err), &err, VF_ERR_CHANGED);
    CHECK(!f.published);
    clean(&f);
    free_map(m);
    vf_image_close(im);
}

/* The worked example of the paper: 0 1 2 1 0 4 4 4 3 5 against a node that holds 1, 2, 3, 4; here
 * with block 0 as zeros and without: see tests/e2e for the report. */
TEST(paper_example)
{
    static const int blocks[] = {10, 1, 2, 1, 10, 4, 4, 4, 3, 5}, held[] = {1, 2, 3, 4};
    struct far_end f = {.leftover = -1};
    uint8_t *data, donor[4 * 512];
    struct vf_image *im = vf_mem_image(10 * 512, &data);
    struct mem_map *m;
    struct vf_send_result r;
    struct vf_error err;

    for (size_t i = 0; i < 10; i++)
        memset(data + i * 512, blocks[i], 512);
    for (size_t i = 0; i < 4; i++)
        memset(donor + i * 512, held[i], 512);
    add_donor(&f, sizeof donor, donor);
    m = index_of(im);
    CHECK_OK(migrate(im, m, &f, true, &r, &err), &err);
    CHECK_EQ_U64(r.counts.all.blocks, 7);
    CHECK_EQ_U64(r.counts.all.distinct, 4);
    CHECK_EQ_U64(r.counts.distinct, 6);
    CHECK_EQ_U64(r.counts.n, 1);
    CHECK_EQ_U64(r.counts.image[0].shared.blocks, 7);
    CHECK(!r.counts.has_zero);
    vf_send_result_free(&r);
    free_map(m);
    clean(&f);
    vf_image_close(im);
}

/* A source that plays its own game: what it says and hears. */
static void say(struct vf_stream *st, struct vf_msg *m)
{
    struct vf_error err;

    CHECK_OK(st->ops->send(st, m, &err), &err);
}
static enum vf_msg_type hear(struct vf_stream *st)
{
    struct vf_error err;
    struct vf_msg m;
    enum vf_msg_type type;

    if (st->ops->recv(st, &m, &err) < 0)
        return VF_MSG_FAIL;
    type = m.type;
    vf_msg_free(&m);
    return type;
}

/* Batch 0 is the whole image: the known segment, and zeros, of which some are probed.  Its seal
 * comes before the probes do. */
static void seal_before_probes(struct vf_stream *st, const struct vf_node *known)
{
    struct vf_run range = {0, SIZE / VF_BLOCK};
    struct vf_run runs[2] = {{0, known->span}, {known->span, 64}};
    uint8_t ids[2][VF_ID_LEN] = {{0}}, seal[3 + VF_SHA_LEN] = {0, 2, 0}; /* plain: SEAL of 0 */
    uint8_t probes[64 * VF_PROBE_WIDTH] = {0};
    struct vf_msg offer = {.type = VF_MSG_OFFER},
                  batch = {.type = VF_MSG_BATCH, .batch = {0, range}};
    struct vf_msg nodes = {.type = VF_MSG_NODES, .nodes = {0, 1, 2, runs, ids}};
    struct vf_msg probe = {.type = VF_MSG_PROBES, .probes = {0, VF_PROBE_WIDTH, 64, probes}};
    struct vf_msg data = {.type = VF_MSG_DATA, .data = {sizeof seal, seal}};
    struct vf_error err;
    struct vf_sha *sha = vf_sha_new(&err);

    CHECK(sha);
    CHECK_OK(vf_batch_digest(sha, range, known, 1, seal + 3, &err), &err);
    vf_sha_free(sha);
    memcpy(ids[0], known->sha, VF_ID_LEN);
    offer.offer.size = SIZE;
    offer.offer.name = (char[]){"x"};
    offer.offer.format = (char[]){"raw"};
    say(st, &offer);
    CHECK(hear(st) == VF_MSG_ACCEPT);
    say(st, &batch);
    say(st, &nodes);
    CHECK(hear(st) == VF_MSG_HAVE);
    say(st, &data);
    say(st, &probe);
}

/* A batch is not over while the receiver still looks into it, whatever the source has sealed. */
TEST(sealed_too_early)
{
    struct far_end f = {.leftover = -1};
    struct vf_session_opts o = {.watchdog_ms = 10000, .program = "test", .purpose = VF_FOR_MIGRATE};
    uint8_t *data;
    struct vf_image *im = sample(5, &data);
    struct vf_msg_welcome w;
    struct vf_stream *st;
    struct vf_error err;
    pthread_t t;
    int fd[2];

    signal(SIGPIPE, SIG_IGN);
    add_donor(&f, SIZE, data);
    f.donors.slow = true;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
    f.fd = fd[1];
    CHECK(pthread_create(&t, NULL, far_end, &f) == 0);
    st = vf_session_source(fd[0], fd[0], &o, &w, &err);
    CHECK(st);
    seal_before_probes(st, f.donors.map[0]->node[1]);
    CHECK(hear(st) == VF_MSG_HAVE);
    CHECK(hear(st) == VF_MSG_DONE);
    st->ops->close(st);
    vf_welcome_free(&w);
    close(fd[0]);
    pthread_join(t, NULL);
    clean(&f);
    vf_image_close(im);
}

TESTS(to_an_empty_node, source_keeps_its_map, sizes, to_a_node_with_a_relative, wrong_residents,
      false_ids, collision_inside, leftover, changing_source, paper_example, sealed_too_early)

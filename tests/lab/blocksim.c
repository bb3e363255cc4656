/*
 * blocksim - counts block sharing between raw disk images by brute force.
 *
 *   blocksim pairs BS IMAGE...             all ordered pairs, as a table with tabs
 *   blocksim counts BS TARGET [OTHER...]   one JSON object: what of TARGET the others hold together
 *   blocksim missing BS TARGET [OTHER...]  writes the blocks that a migration must send: not zero,
 * in no other image, each once, in order of first occurrence blocksim cdc AVG TARGET [OTHER...]
 * writes the same for content-defined chunks
 *
 * It is the referee of the tests and the lower bound of the benchmarks, so it shares no code with
 * the program: it keeps the MD5 of every block of BS bytes in memory, sorts and searches. A short
 * last block is padded with zeros. The words are those of the program: shared_blocks counts every
 * occurrence, and zero blocks as ordinary content; zero, shared_nonzero, duplicate and literal
 * blocks add up to all blocks. Counts that come with written blocks go to standard error.
 */
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct digest {
    uint64_t a, b;
};

/* Digests; sorted and without repeats once set_close was called. */
struct set {
    struct digest *d;
    size_t count, room;
};

struct image {
    const char *name;
    uint8_t *data;
    size_t size, blocks, zeros;
    struct digest *map; /* of each block, in order */
    struct set set;
};

/* What the digests are made with: the block size and the digest of a zero block. */
struct measure {
    EVP_MD *md5;
    size_t bs;
    struct digest zero;
};

static void *must(void *p, const char *what)
{
    if (!p) {
        perror(what);
        exit(1);
    }
    return p;
}

static int compare(const void *x, const void *y)
{
    const struct digest *p = x, *q = y;

    if (p->a != q->a)
        return p->a < q->a ? -1 : 1;
    return p->b == q->b ? 0 : p->b < q->b ? -1 : 1;
}

static bool same(struct digest x, struct digest y) { return x.a == y.a && x.b == y.b; }

static bool all_zero(const uint8_t *p, size_t len)
{
    return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

static struct digest md5(const struct measure *m, const void *data, size_t len)
{
    struct digest d;

    if (EVP_Digest(data, len, (unsigned char *)&d, NULL, m->md5, NULL) != 1) {
        fprintf(stderr, "blocksim: MD5 does not work here\n");
        exit(1);
    }
    return d;
}

/* ---- sets ---------------------------------------------------------------------------------- */

static void set_add(struct set *s, struct digest d)
{
    if (s->count == s->room) {
        s->room = s->room ? s->room * 2 : 1024;
        s->d = must(realloc(s->d, s->room * sizeof *s->d), "memory");
    }
    s->d[s->count++] = d;
}

static void set_close(struct set *s)
{
    size_t kept = 0;

    if (s->count)
        qsort(s->d, s->count, sizeof *s->d, compare);
    for (size_t i = 0; i < s->count; i++)
        if (kept == 0 || !same(s->d[kept - 1], s->d[i]))
            s->d[kept++] = s->d[i];
    s->count = kept;
}

/* Where d is in a closed set, or SIZE_MAX. */
static size_t set_find(const struct set *s, struct digest d)
{
    const struct digest *at = s->count ? bsearch(&d, s->d, s->count, sizeof *s->d, compare) : NULL;

    return at ? (size_t)(at - s->d) : SIZE_MAX;
}

static bool set_has(const struct set *s, struct digest d) { return set_find(s, d) != SIZE_MAX; }

static size_t set_common(const struct set *x, const struct set *y)
{
    size_t i = 0, j = 0, common = 0;

    while (i < x->count && j < y->count) {
        int order = compare(&x->d[i], &y->d[j]);

        common += order == 0;
        i += order <= 0;
        j += order >= 0;
    }
    return common;
}

/* ---- images -------------------------------------------------------------------------------- */

static void image_map(struct image *im, const char *path)
{
    const char *slash = strrchr(path, '/');
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) < 0) {
        perror(path);
        exit(1);
    }
    *im = (struct image){.name = slash ? slash + 1 : path, .size = (size_t)st.st_size};
    if (im->size) {
        im->data = mmap(NULL, im->size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (im->data == MAP_FAILED) {
            perror(path);
            exit(1);
        }
        (void)madvise(im->data, im->size, MADV_SEQUENTIAL); /* only a hint */
    }
    (void)close(fd); /* the mapping stays */
}

static void image_free(struct image *im)
{
    if (im->data)
        (void)munmap(im->data, im->size); /* ours, as mapped: cannot fail */
    free(im->map);
    free(im->set.d);
}

static void image_digest(struct image *im, const struct measure *m)
{
    uint8_t *padded = must(malloc(m->bs), "memory");

    im->blocks = (im->size + m->bs - 1) / m->bs;
    im->map = must(malloc((im->blocks + 1) * sizeof *im->map), "memory");
    for (size_t i = 0; i < im->blocks; i++) {
        const uint8_t *block = im->data + i * m->bs;
        size_t len = im->size - i * m->bs < m->bs ? im->size - i * m->bs : m->bs;

        if (all_zero(block, len)) {
            im->map[i] = m->zero;
            im->zeros++;
            continue;
        }
        if (len < m->bs) {
            memset(padded, 0, m->bs);
            memcpy(padded, block, len);
            block = padded;
        }
        im->map[i] = md5(m, block, m->bs);
        set_add(&im->set, im->map[i]);
    }
    if (im->zeros)
        set_add(&im->set, m->zero);
    set_close(&im->set);
    free(padded);
}

static void image_load(struct image *im, const char *path, const struct measure *m)
{
    image_map(im, path);
    image_digest(im, m);
}

/* What the images hold together. */
static struct set union_of(char **paths, int count, const struct measure *m)
{
    struct set all = {0};

    for (int i = 0; i < count; i++) {
        struct image im;

        image_load(&im, paths[i], m);
        for (size_t k = 0; k < im.set.count; k++)
            set_add(&all, im.set.d[k]);
        image_free(&im);
    }
    set_close(&all);
    return all;
}

/* ---- counting ------------------------------------------------------------------------------ */

struct counts {
    size_t shared, shared_nonzero, shared_distinct, duplicate, literal;
    size_t literal_runs; /* literals side by side are one run */
};

/* Count the blocks of t against a closed set; write the literals to out unless it is NULL. */
static struct counts count_blocks(const struct image *t, const struct set *others,
                                  const struct measure *m, FILE *out)
{
    bool *sent = must(calloc(t->set.count + 1, sizeof *sent), "memory");
    struct counts c = {.shared_distinct = set_common(&t->set, others)};
    bool have_zero = set_has(others, m->zero), before = false;

    for (size_t i = 0; i < t->blocks; i++) {
        bool literal = false;

        if (same(t->map[i], m->zero)) {
            c.shared += have_zero;
        } else if (set_has(others, t->map[i])) {
            c.shared++;
            c.shared_nonzero++;
        } else if (sent[set_find(&t->set, t->map[i])]) {
            c.duplicate++;
        } else {
            size_t len = t->size - i * m->bs < m->bs ? t->size - i * m->bs : m->bs;

            sent[set_find(&t->set, t->map[i])] = literal = true;
            c.literal++;
            c.literal_runs += !before;
            if (out && fwrite(t->data + i * m->bs, 1, len, out) != len) {
                perror("output");
                exit(1);
            }
        }
        before = literal;
    }
    free(sent);
    return c;
}

static double share(size_t part, size_t all) { return all ? (double)part / (double)all : 0; }

static int pairs(const struct measure *m, char **paths, int count)
{
    struct image *im = must(calloc((size_t)count + 1, sizeof *im), "memory");

    for (int i = 0; i < count; i++)
        image_load(&im[i], paths[i], m);
    printf("block_size\ttarget\tcandidate\tblocks\tzero\tdistinct\tshared\tsimilarity\t"
           "shared_nonzero\tshared_distinct\tsimilarity_distinct\n");
    for (int t = 0; t < count; t++)
        for (int o = 0; o < count; o++) {
            struct counts c;

            if (t == o)
                continue;
            c = count_blocks(&im[t], &im[o].set, m, NULL);
            printf("%zu\t%s\t%s\t%zu\t%zu\t%zu\t%zu\t%.4f\t%zu\t%zu\t%.4f\n", m->bs, im[t].name,
                   im[o].name, im[t].blocks, im[t].zeros, im[t].set.count, c.shared,
                   share(c.shared, im[t].blocks), c.shared_nonzero, c.shared_distinct,
                   share(c.shared_distinct, im[t].blocks));
        }
    for (int i = 0; i < count; i++)
        image_free(&im[i]);
    free(im);
    return 0;
}

static int counts(const struct measure *m, char **paths, int count, FILE *literals)
{
    struct set others = union_of(paths + 1, count - 1, m);
    struct image t;
    struct counts c;

    image_load(&t, paths[0], m);
    c = count_blocks(&t, &others, m, literals);
    fprintf(literals ? stderr : stdout,
            "{\"block_size\":%zu,\"blocks\":%zu,\"zero_blocks\":%zu,\"distinct_blocks\":%zu,"
            "\"shared_blocks\":%zu,\"shared_nonzero_blocks\":%zu,\"shared_distinct_blocks\":%zu,"
            "\"duplicate_blocks\":%zu,\"literal_blocks\":%zu,\"literal_runs\":%zu,"
            "\"similarity\":%.6f,\"similarity_distinct\":%.6f}\n",
            m->bs, t.blocks, t.zeros, t.set.count, c.shared, c.shared_nonzero, c.shared_distinct,
            c.duplicate, c.literal, c.literal_runs, share(c.shared, t.blocks),
            share(c.shared_distinct, t.blocks));
    image_free(&t);
    free(others.d);
    return 0;
}

/* ---- content-defined chunks ---------------------------------------------------------------- */

struct chunker {
    size_t avg; /* chunks have avg / 4 to avg * 4 bytes */
    uint64_t mask, gear[256];
};

static void chunker_init(struct chunker *c, size_t avg)
{
    uint64_t x = 0x9e3779b97f4a7c15u;

    *c = (struct chunker){.avg = avg};
    for (size_t a = avg; a > 1; a >>= 1)
        c->mask = c->mask >> 1 | (uint64_t)1 << 63;
    for (int i = 0; i < 256; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        c->gear[i] = x;
    }
}

/* Length of the chunk that begins at p, of len bytes that are left. */
static size_t chunk_length(const struct chunker *c, const uint8_t *p, size_t len)
{
    uint64_t h = 0;

    if (len > c->avg * 4)
        len = c->avg * 4;
    for (size_t i = c->avg / 4; i < len; i++) {
        h = (h << 1) + c->gear[p[i]];
        if (!(h & c->mask))
            return i + 1;
    }
    return len;
}

/* Add the digest of each chunk of an image that is not all zero. */
static void add_chunks(const struct chunker *c, const struct measure *m, const struct image *im,
                       struct set *ret)
{
    for (size_t off = 0, len; off < im->size; off += len) {
        len = chunk_length(c, im->data + off, im->size - off);
        if (!all_zero(im->data + off, len))
            set_add(ret, md5(m, im->data + off, len));
    }
}

static int cdc(const struct measure *m, char **paths, int count)
{
    struct set others = {0}, mine = {0};
    size_t chunks, missing = 0, bytes = 0;
    struct chunker c;
    struct image im;
    bool *sent;

    chunker_init(&c, m->bs);
    for (int i = 1; i < count; i++) {
        image_map(&im, paths[i]);
        add_chunks(&c, m, &im, &others);
        image_free(&im);
    }
    set_close(&others);
    image_map(&im, paths[0]);
    add_chunks(&c, m, &im, &mine);
    chunks = mine.count;
    set_close(&mine);
    sent = must(calloc(mine.count + 1, sizeof *sent), "memory");
    for (size_t off = 0, len; off < im.size; off += len) {
        struct digest d;

        len = chunk_length(&c, im.data + off, im.size - off);
        if (all_zero(im.data + off, len))
            continue;
        d = md5(m, im.data + off, len);
        if (set_has(&others, d) || sent[set_find(&mine, d)])
            continue;
        sent[set_find(&mine, d)] = true;
        missing++;
        bytes += len;
        if (fwrite(im.data + off, 1, len, stdout) != len) {
            perror("output");
            return 1;
        }
    }
    fprintf(stderr, "{\"average\":%zu,\"chunks\":%zu,\"missing\":%zu,\"missing_bytes\":%zu}\n",
            c.avg, chunks, missing, bytes);
    image_free(&im);
    free(sent);
    free(others.d);
    free(mine.d);
    return 0;
}

int main(int argc, char **argv)
{
    struct measure m = {0};
    char *end = NULL;
    uint8_t *zero;
    int rc = 2;

    if (argc >= 4)
        m.bs = strtoul(argv[2], &end, 10);
    if (!end || *end || m.bs < 16 || m.bs > (size_t)64 << 20) {
        fprintf(stderr, "usage: blocksim pairs|counts|missing|cdc BYTES IMAGE...\n");
        return 2;
    }
    m.md5 = must(EVP_MD_fetch(NULL, "MD5", NULL), "MD5");
    zero = must(calloc(1, m.bs), "memory");
    m.zero = md5(&m, zero, m.bs);
    if (strcmp(argv[1], "pairs") == 0)
        rc = pairs(&m, argv + 3, argc - 3);
    else if (strcmp(argv[1], "counts") == 0)
        rc = counts(&m, argv + 3, argc - 3, NULL);
    else if (strcmp(argv[1], "missing") == 0)
        rc = counts(&m, argv + 3, argc - 3, stdout);
    else if (strcmp(argv[1], "cdc") == 0)
        rc = cdc(&m, argv + 3, argc - 3);
    free(zero);
    EVP_MD_free(m.md5);
    if (fflush(stdout) != 0) {
        perror("output");
        return 1;
    }
    return rc;
}

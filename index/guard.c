/* index/guard.c - checks the structure of an LMDB 0.9 file.
 *
 * Layout, from LMDB's documentation of its data structures, for 64-bit machines in native byte
 * order:
 *   every page   number (8), pad (2), flags (2), then lower and upper end of the free space in the
 *                page (2 each), or for an overflow page its count of pages (4); 16 bytes in all
 *   tree pages   an array of offsets (2 each) up to `lower`; nodes from `upper` to the end
 *   node         size of value low, high (2 each), flags (2), length of key (2), key, then value
 *                or, with the flag BIG, the number (8) of the overflow page that holds it; in a
 *                branch page the first three fields are the child's page number, and there is no
 *                value
 *   head pages   0 and 1: magic, version (4 each), address, map size (8 each), the tables of the
 *                free list and of the data, last page, transaction (8 each); the newer transaction
 *                counts
 *   table        page size or 0 (4), flags, depth (2 each), branch, leaf and overflow pages,
 *                entries, root page (8 each) */
#include "index/guard.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/checked.h"
#include "core/fdio.h"

#define HEAD        16u
#define MAGIC       0xBEEFC0DEu
#define VERSION     1u
#define BRANCH      0x01u
#define LEAF        0x02u
#define OVERFLOW    0x04u
#define META        0x08u
#define BIG         0x01u
#define DEPTH_MAX   32u
#define KEY_MAX     511u
#define PAGE_MIN    512u
#define PAGE_MAX    65536u
#define NO_PAGE     UINT64_MAX
#define META_LEN    152u /* with the page's head */
#define NODE_HEAD   8u
#define FREE_FLAGS  0x08u /* integer keys: what the free list's table always has */
#define FLAGS_KNOWN 0x0008u

struct table {
    uint16_t flags, depth;
    uint64_t branch, leaf, overflow, entries, root;
};

struct meta {
    uint32_t page_size;
    uint64_t last_page, txnid;
    struct table free, data;
};

struct key {
    uint8_t b[KEY_MAX];
    size_t len;
    bool set;
};

/* A walk over one tree. */
struct guard {
    int fd;
    const struct meta *meta;
    const struct table *table;
    bool is_free; /* the free list: 8-byte integer keys, lists of pages as values */
    uint64_t file_pages;
    uint8_t *page[DEPTH_MAX]; /* one buffer per level */
    struct table seen;        /* counted */
    struct key last, floor;   /* the latest leaf key; the next one must not be below floor */
};

static uint16_t u16(const uint8_t *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof v);
    return v;
}
static uint32_t u32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof v);
    return v;
}
static uint64_t u64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

static int bad(struct vf_error *err, const char *what, uint64_t page)
{
    return vf_error_set(err, VF_ERR_FORMAT, 0, "%s, page %llu", what, (unsigned long long)page);
}

/* ---- head pages ---- */

static struct table table_at(const uint8_t *p)
{
    return (struct table){u16(p + 4),  u16(p + 6),  u64(p + 8), u64(p + 16),
                          u64(p + 24), u64(p + 32), u64(p + 40)};
}

static int read_meta(int fd, uint64_t at, struct meta *ret, struct vf_error *err)
{
    uint8_t b[META_LEN];

    if (vf_pread_full(fd, b, sizeof b, at, err) < 0) {
        if (err && err->code == VF_ERR_RANGE)
            return vf_error_set(err, VF_ERR_FORMAT, 0, "its file is cut short");
        return -1;
    }
    if (u16(b + 10) != META || u32(b + HEAD) != MAGIC)
        return vf_error_set(err, VF_ERR_FORMAT, 0, "its file is not a database");
    if (u32(b + HEAD + 4) != VERSION)
        return vf_error_set(err, VF_ERR_FORMAT, 0, "its file is of another version of LMDB");
    *ret = (struct meta){
        .page_size = u32(b + HEAD + 24),
        .free = table_at(b + HEAD + 24),
        .data = table_at(b + HEAD + 72),
        .last_page = u64(b + HEAD + 120),
        .txnid = u64(b + HEAD + 128),
    };
    if (ret->page_size < PAGE_MIN || ret->page_size > PAGE_MAX ||
        (ret->page_size & (ret->page_size - 1)) || ret->last_page < 1 ||
        ret->last_page >= INT64_MAX / PAGE_MAX)
        return vf_error_set(err, VF_ERR_FORMAT, 0, "the head of its file is damaged");
    return 0;
}

static int read_metas(int fd, struct meta ret[2], struct vf_error *err)
{
    if (read_meta(fd, 0, &ret[0], err) < 0 || read_meta(fd, ret[0].page_size, &ret[1], err) < 0)
        return -1;
    if (ret[0].page_size != ret[1].page_size)
        return vf_error_set(err, VF_ERR_FORMAT, 0, "the heads of its file do not agree");
    return 0;
}

int vf_guard_head(int fd, struct vf_error *err)
{
    struct meta metas[2];

    return read_metas(fd, metas, err);
}

/* ---- trees ---- */

static int file_pages(int fd, size_t page_size, uint64_t *ret, struct vf_error *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return vf_error_sys(err, errno, "look at the index file");
    *ret = (uint64_t)st.st_size / page_size;
    return 0;
}

/* Overflow pages that a value of len bytes takes. */
static uint64_t pages_of(const struct guard *g, uint64_t len)
{
    return (HEAD + len + g->meta->page_size - 1) / g->meta->page_size;
}

static int check_overflow(struct guard *g, uint64_t page, uint64_t len, struct vf_error *err)
{
    const uint64_t n = pages_of(g, len);

    if (page < 2 || page > g->meta->last_page || n - 1 > g->meta->last_page - page)
        return bad(err, "a value lies outside the file", page);
    if (page + n > g->file_pages &&
        (file_pages(g->fd, g->meta->page_size, &g->file_pages, err) < 0 ||
         page + n > g->file_pages))
        return bad(err, "the file is cut short", page);
    g->seen.overflow += n;
    return 0;
}

/* A value of the free list: a count and so many page numbers, descending. */
static int check_free(struct guard *g, const uint8_t *value, uint64_t len, uint64_t page,
                      struct vf_error *err)
{
    const uint64_t n = len >= 8 ? u64(value) : 0;

    if (len < 8 || len % 8 || n > len / 8 - 1)
        return bad(err, "a free list is malformed", page);
    for (uint64_t i = 1, last = NO_PAGE; i <= n; i++) {
        uint64_t p = u64(value + 8 * i);

        if (p < 2 || p > g->meta->last_page || p >= last)
            return bad(err, "a free list is malformed", page);
        last = p;
    }
    return 0;
}

static int check_free_big(struct guard *g, uint64_t page, uint64_t len, struct vf_error *err)
{
    uint8_t *value;
    int rc = -1;

    /* A list cannot be longer than the file has pages. */
    if (len / 8 > g->meta->last_page + 1)
        return bad(err, "a free list is too long", page);
    value = vf_calloc(1, (size_t)len, err);
    if (!value)
        return -1;
    if (vf_pread_full(g->fd, value, (size_t)len, page * g->meta->page_size + HEAD, err) == 0)
        rc = check_free(g, value, len, page, err);
    free(value);
    return rc;
}

static int compare(const struct guard *g, const uint8_t *a, size_t a_len, const struct key *b)
{
    const size_t n = a_len < b->len ? a_len : b->len;
    int d;

    if (g->is_free) {
        uint64_t x = u64(a), y = u64(b->b);
        return x < y ? -1 : x > y;
    }
    d = memcmp(a, b->b, n);
    return d ? d : a_len < b->len ? -1 : a_len > b->len;
}

static void keep(struct key *k, const uint8_t *p, size_t len)
{
    memcpy(k->b, p, len);
    k->len = len;
    k->set = true;
}

/* The offsets and sizes of a tree page.  0, or -1. */
static int check_layout(const struct guard *g, const uint8_t *p, uint64_t page, bool leaf,
                        struct vf_error *err)
{
    const size_t size = g->meta->page_size, lower = u16(p + 12), upper = u16(p + 14);
    const size_t n = (lower - HEAD) / 2;
    size_t total = 0;

    if (u64(p) != page || u16(p + 10) != (leaf ? LEAF : BRANCH))
        return bad(err, "a tree page is not what it should be", page);
    if (lower < HEAD || lower % 2 || lower > upper || upper > size || n < 1 ||
        (!leaf && !g->is_free && n < 2))
        return bad(err, "the head of a tree page is damaged", page);
    for (size_t i = 0; i < n; i++) {
        size_t at = u16(p + HEAD + 2 * i), len, key;
        const uint8_t *nd = p + at;

        if (at < upper || at % 2 || at > size - NODE_HEAD)
            return bad(err, "a tree page points outside itself", page);
        key = u16(nd + 6);
        len = NODE_HEAD + key;
        if (leaf && u16(nd + 4) > BIG)
            return bad(err, "a tree page has entries of an unknown kind", page);
        if (leaf)
            len += u16(nd + 4) == BIG ? 8 : u32(nd);
        if (key > KEY_MAX || len > size - at || (g->is_free && (leaf || i > 0) && key != 8) ||
            (!g->is_free && leaf && key == 0))
            return bad(err, "an entry of a tree page is damaged", page);
        total += (len + 1) & ~(size_t)1;
    }
    if (total != size - upper)
        return bad(err, "the entries of a tree page overlap", page);
    return 0;
}

static int check_leaf(struct guard *g, const uint8_t *p, uint64_t page, struct vf_error *err)
{
    const size_t n = (size_t)(u16(p + 12) - HEAD) / 2;

    for (size_t i = 0; i < n; i++) {
        const uint8_t *nd = p + u16(p + HEAD + 2 * i), *key = nd + NODE_HEAD;
        const size_t key_len = u16(nd + 6);
        const uint8_t *value = key + key_len;
        const uint64_t len = u32(nd);

        if ((g->last.set && compare(g, key, key_len, &g->last) <= 0) ||
            (g->floor.set && compare(g, key, key_len, &g->floor) < 0))
            return bad(err, "keys are out of order", page);
        keep(&g->last, key, key_len);
        g->floor.set = false;
        g->seen.entries++;
        if (g->is_free && u64(key) > g->meta->txnid)
            return bad(err, "a free list is from the future", page);
        if (u16(nd + 4) == BIG) {
            if (check_overflow(g, u64(value), len, err) < 0 ||
                (g->is_free && check_free_big(g, u64(value), len, err) < 0))
                return -1;
        } else if (g->is_free && check_free(g, value, len, page, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* up: levels above the leaves.  The counts in the table bound the walk, also when pages point in a
 * circle. */
static int walk(struct guard *g, uint64_t page, unsigned up, struct vf_error *err)
{
    uint8_t *p = g->page[up];

    if (page < 2 || page > g->meta->last_page)
        return bad(err, "the tree points outside the file", page);
    if (g->seen.branch + (up > 0) > g->table->branch || g->seen.leaf + (up == 0) > g->table->leaf)
        return bad(err, "the tree has more pages than it should", page);
    if (vf_pread_full(g->fd, p, g->meta->page_size, page * g->meta->page_size, err) < 0)
        return err && err->code == VF_ERR_RANGE ? bad(err, "the file is cut short", page) : -1;
    if (check_layout(g, p, page, up == 0, err) < 0)
        return -1;
    if (up == 0) {
        g->seen.leaf++;
        return check_leaf(g, p, page, err);
    }
    g->seen.branch++;
    for (size_t i = 0, n = (size_t)(u16(p + 12) - HEAD) / 2; i < n; i++) {
        const uint8_t *nd = p + u16(p + HEAD + 2 * i), *key = nd + NODE_HEAD;
        const uint64_t child = u32(nd) | (uint64_t)u16(nd + 4) << 32;

        if (i > 0) {
            if (g->last.set && compare(g, key, u16(nd + 6), &g->last) <= 0)
                return bad(err, "keys are out of order", page);
            keep(&g->floor, key, u16(nd + 6));
        }
        if (walk(g, child, up - 1, err) < 0)
            return -1;
    }
    return 0;
}

static int check_tree(int fd, const struct meta *meta, bool is_free, struct vf_error *err)
{
    const struct table *t = is_free ? &meta->free : &meta->data;
    struct guard g = {.fd = fd, .meta = meta, .table = t, .is_free = is_free};
    int rc = -1;

    if (t->root == NO_PAGE) {
        if (t->depth || t->entries || t->branch || t->leaf || t->overflow)
            return bad(err, "an empty tree has pages", 0);
        return 0;
    }
    if (t->depth < 1 || t->depth > DEPTH_MAX || (t->flags & ~FLAGS_KNOWN) ||
        (t->flags & FREE_FLAGS) != (is_free ? FREE_FLAGS : 0))
        return bad(err, "the head of a tree is damaged", t->root);
    for (unsigned i = 0; i < t->depth; i++)
        if (!(g.page[i] = vf_calloc(1, meta->page_size, err)))
            goto out;
    if (file_pages(fd, meta->page_size, &g.file_pages, err) < 0)
        goto out;
    rc = walk(&g, t->root, t->depth - 1u, err);
    if (rc == 0 && (g.seen.branch != t->branch || g.seen.leaf != t->leaf ||
                    g.seen.overflow != t->overflow || g.seen.entries != t->entries))
        rc = bad(err, "a tree has lost entries", t->root);
out:
    for (unsigned i = 0; i < t->depth; i++)
        free(g.page[i]);
    return rc;
}

int vf_guard_trees(int fd, uint64_t txnid, struct vf_error *err)
{
    struct meta metas[2];
    const struct meta *m;

    if (read_metas(fd, metas, err) < 0)
        return -1;
    m = metas[0].txnid == txnid ? &metas[0] : &metas[1];
    if (m->txnid != txnid)
        return 1;
    return check_tree(fd, m, true, err) < 0 || check_tree(fd, m, false, err) < 0 ? -1 : 0;
}

int vf_guard_value(const void *value, size_t len, size_t page_size, struct vf_error *err)
{
    const uint8_t *head = (const uint8_t *)value - HEAD;

    /* Below half a page it lies in a tree page, which was checked. */
    if (len < page_size / 2)
        return 0;
    if (u16(head + 10) != OVERFLOW ||
        u32(head + 12) != (HEAD + (uint64_t)len + page_size - 1) / page_size)
        return bad(err, "a value has lost its head", u64(head));
    return 0;
}

/* formats/qcow2_layout.c - the L1 and L2 tables of a qcow2 file as a list of extents. */
#include "formats/qcow2_layout.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/be.h"
#include "core/checked.h"
#include "core/fdio.h"

#define OFFSET_MASK     UINT64_C(0x00fffffffffffe00) /* bits 9..55 of an L1 or L2 entry */
#define FLAG_COMPRESSED (UINT64_C(1) << 62)
#define FLAG_ZERO       UINT64_C(1)

/* Tables are read in slices of at most SLICE_BYTES, of which the SLICES last used stay.  One slice
 * covers 512 MiB of content with clusters of 64 KiB. */
#define SLICE_BYTES 65536u
#define SLICES      8u

/* Table entries that one vf_qcow2_layout_next looks at, at most: bounds the time under the lock. */
#define ENTRIES_PER_CALL 65536u

struct slice {
    uint64_t off; /* in the file; 0: unused */
    uint32_t entries;
    uint64_t used; /* when, by l->clock */
    uint8_t *data;
};

struct vf_qcow2_layout {
    int fd;
    uint64_t file_size, size;
    uint32_t version, cluster_bits;
    uint64_t l1_off;
    uint32_t l1_entries;
    pthread_mutex_t lock; /* slices, clock */
    struct slice slices[SLICES];
    uint64_t clock;
};

/* What one entry says about its cluster. */
struct entry {
    enum vf_qcow2_kind kind;
    uint64_t host; /* PLAIN: file offset of the cluster */
};

struct vf_qcow2_layout *vf_qcow2_layout_new(int fd, uint64_t file_size,
                                            const struct vf_qcow2_header *h, struct vf_error *err)
{
    struct vf_qcow2_layout *l = vf_calloc(1, sizeof *l, err);

    if (!l)
        return NULL;
    l->fd = fd;
    l->file_size = file_size;
    l->size = h->size;
    l->version = h->version;
    l->cluster_bits = h->cluster_bits;
    l->l1_off = h->l1_off;
    l->l1_entries = h->l1_entries;
    (void)pthread_mutex_init(&l->lock, NULL); /* cannot fail with default attributes */
    return l;
}

void vf_qcow2_layout_free(struct vf_qcow2_layout *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < SLICES; i++)
        free(l->slices[i].data);
    (void)pthread_mutex_destroy(&l->lock); /* nobody holds it */
    free(l);
}

/* The slot that was not used for longest. */
static struct slice *oldest(struct vf_qcow2_layout *l)
{
    struct slice *s = &l->slices[0];

    for (size_t i = 1; i < SLICES; i++)
        if (l->slices[i].used < s->used)
            s = &l->slices[i];
    return s;
}

/* The slice of the table of n entries at table_off (checked by the caller to lie inside the file)
 * that holds entry index; *ret_first is the number of its first entry.  Borrowed until the next
 * call. */
static const struct slice *get_slice(struct vf_qcow2_layout *l, uint64_t table_off, uint32_t n,
                                     uint32_t idx, uint32_t *ret_first, struct vf_error *err)
{
    uint32_t first = idx - idx % (SLICE_BYTES / 8), count = n - first;
    uint64_t off = table_off + (uint64_t)first * 8;
    struct slice *s;

    if (count > SLICE_BYTES / 8)
        count = SLICE_BYTES / 8;
    *ret_first = first;
    l->clock++;
    for (size_t i = 0; i < SLICES; i++) {
        s = &l->slices[i];
        /* A hostile file can use one place as two tables of different lengths. */
        if (s->off == off && s->entries == count) {
            s->used = l->clock;
            return s;
        }
    }
    s = oldest(l);
    if (!s->data)
        s->data = vf_calloc(SLICE_BYTES, 1, err);
    if (!s->data)
        return NULL;
    s->off = 0; /* until it was read */
    if (vf_pread_full(l->fd, s->data, (size_t)count * 8, off, err) < 0) {
        (void)vf_error_prefix(err, "read a cluster table"); /* the NULL says it */
        return NULL;
    }
    s->off = off;
    s->entries = count;
    s->used = l->clock;
    return s;
}

static uint64_t entry_of(const struct slice *s, uint32_t first, uint32_t idx)
{
    return vf_be64(s->data + (size_t)(idx - first) * 8);
}

/* Is [off, off + len) inside the file? */
static bool inside(const struct vf_qcow2_layout *l, uint64_t off, uint64_t len)
{
    return off <= l->file_size && len <= l->file_size - off;
}

/* need: bytes of the cluster that belong to the content; all but the last cluster's are a whole
 * cluster. */
static int decode(const struct vf_qcow2_layout *l, uint64_t raw, uint64_t need, struct entry *ret,
                  struct vf_error *err)
{
    uint64_t cluster = UINT64_C(1) << l->cluster_bits, host = raw & OFFSET_MASK;

    *ret = (struct entry){VF_QCOW2_ZERO, 0};
    if (raw & FLAG_COMPRESSED) {
        uint32_t bits = 62 - (l->cluster_bits - 8);

        /* Where the compressed bytes end is not known exactly; that they begin inside the file can
         * be asked. */
        host = raw & ((UINT64_C(1) << bits) - 1);
        if (host == 0 || host >= l->file_size)
            return vf_error_set(err, VF_ERR_FORMAT, 0,
                                "compressed data at %" PRIu64 " of a file of %" PRIu64 " bytes",
                                host, l->file_size);
        ret->kind = VF_QCOW2_COMPRESSED;
        return 0;
    }
    if (raw & FLAG_ZERO) {
        if (l->version < 3)
            return vf_error_set(err, VF_ERR_FORMAT, 0, "zero cluster in a version %" PRIu32 " file",
                                l->version);
        return 0;
    }
    if (host == 0)
        return 0;
    if (host & (cluster - 1))
        return vf_error_set(err, VF_ERR_FORMAT, 0, "unaligned data cluster at %" PRIu64, host);
    if (!inside(l, host, need))
        return vf_error_set(err, VF_ERR_FORMAT, 0,
                            "data cluster at %" PRIu64 " of a file of %" PRIu64 " bytes", host,
                            l->file_size);
    ret->kind = VF_QCOW2_PLAIN;
    ret->host = host;
    return 0;
}

/* The L2 table for content byte off: *ret is its offset, 0 if there is none. */
static int find_l2(struct vf_qcow2_layout *l, uint32_t l1_idx, uint64_t *ret, struct vf_error *err)
{
    uint64_t cluster = UINT64_C(1) << l->cluster_bits, off;
    const struct slice *s;
    uint32_t first;

    if (l1_idx >= l->l1_entries)
        return vf_error_set(err, VF_ERR_FORMAT, 0, "the L1 table is too short");
    s = get_slice(l, l->l1_off, l->l1_entries, l1_idx, &first, err);
    if (!s)
        return -1;
    off = entry_of(s, first, l1_idx) & OFFSET_MASK;
    if (off & (cluster - 1) || (off && !inside(l, off, cluster)))
        return vf_error_set(err, VF_ERR_FORMAT, 0,
                            "cluster table at %" PRIu64 " of a file of %" PRIu64 " bytes", off,
                            l->file_size);
    *ret = off;
    return 0;
}

/* Does e, whose cluster begins at content byte at, continue ret? */
static bool continues(const struct vf_qcow2_extent *ret, const struct entry *e, uint64_t at)
{
    if (ret->len == 0)
        return true;
    return e->kind == ret->kind &&
           (e->kind != VF_QCOW2_PLAIN || e->host == ret->host + (at - ret->off));
}

/* Appends e, which holds content from at up to end. */
static void append(struct vf_qcow2_extent *ret, const struct entry *e, uint64_t at, uint64_t end,
                   uint64_t cluster)
{
    if (ret->len == 0) {
        ret->kind = e->kind;
        ret->host = e->kind == VF_QCOW2_PLAIN ? e->host + at % cluster : 0;
    }
    ret->len = end - ret->off;
}

/* Goes through the L2 table at l2_off from content byte *at on, up to stop or the table's end.  1:
 * go on behind it; 0: the extent is complete; -1. */
static int walk_l2(struct vf_qcow2_layout *l, uint64_t l2_off, uint64_t *at, uint64_t stop,
                   uint32_t *budget, struct vf_qcow2_extent *ret, struct vf_error *err)
{
    uint32_t n = 1u << (l->cluster_bits - 3), idx = (uint32_t)(*at >> l->cluster_bits) & (n - 1);
    uint64_t cluster = UINT64_C(1) << l->cluster_bits;
    uint32_t first = 0;
    const struct slice *s = NULL;

    for (; idx < n && *at < stop; idx++) {
        uint64_t base = *at & ~(cluster - 1);
        uint64_t end = l->size - base < cluster ? l->size : base + cluster;
        struct entry e;

        if (!s || idx - first >= s->entries)
            s = get_slice(l, l2_off, n, idx, &first, err);
        if (!s || decode(l, entry_of(s, first, idx), end - base, &e, err) < 0)
            return -1;
        if (!continues(ret, &e, base))
            return 0;
        append(ret, &e, *at, end, cluster);
        *at = end;
        if (--*budget == 0)
            return 0;
    }
    return 1;
}

/* A whole L2 table's worth of content that has none. */
static bool skip_l2(struct vf_qcow2_layout *l, uint64_t *at, struct vf_qcow2_extent *ret)
{
    const struct entry none = {VF_QCOW2_ZERO, 0};
    uint32_t bits = 2 * l->cluster_bits - 3;
    uint64_t base = (*at >> bits) << bits;
    uint64_t end = (l->size - base) >> bits ? base + (UINT64_C(1) << bits) : l->size;

    if (!continues(ret, &none, *at))
        return false;
    append(ret, &none, *at, end, UINT64_C(1) << l->cluster_bits);
    *at = end;
    return true;
}

static int next_locked(struct vf_qcow2_layout *l, uint64_t off, uint64_t stop,
                       struct vf_qcow2_extent *ret, struct vf_error *err)
{
    uint32_t budget = ENTRIES_PER_CALL;
    uint64_t at = off;

    while (at < stop && budget) {
        uint64_t l2_off = 0;
        int more;

        if (find_l2(l, (uint32_t)(at >> (2 * l->cluster_bits - 3)), &l2_off, err) < 0)
            return -1;
        if (l2_off == 0) {
            if (!skip_l2(l, &at, ret))
                return 0;
            budget--;
            continue;
        }
        more = walk_l2(l, l2_off, &at, stop, &budget, ret, err);
        if (more <= 0)
            return more;
    }
    return 0;
}

int vf_qcow2_layout_next(struct vf_qcow2_layout *l, uint64_t off, uint64_t max,
                         struct vf_qcow2_extent *ret, struct vf_error *err)
{
    struct vf_qcow2_extent e = {.off = off};
    int rc;

    if (off >= l->size || max == 0)
        return vf_error_set(err, VF_ERR_RANGE, 0, "no content at %" PRIu64, off);
    if (max > l->size - off)
        max = l->size - off;
    (void)pthread_mutex_lock(&l->lock); /* cannot fail on a plain mutex */
    rc = next_locked(l, off, off + max, &e, err);
    (void)pthread_mutex_unlock(&l->lock); /* as above */
    if (rc < 0)
        return vf_error_prefix(err, "content at %" PRIu64, off);
    if (e.len > max)
        e.len = max;
    *ret = e;
    return 0;
}

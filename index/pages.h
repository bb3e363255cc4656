/* index/pages.h - the packed values that a map is stored in (FORMAT.md, "Pages").
 *
 * Each kind has a builder, which packs a page, and readers, which take bytes from the database as
 * hostile: no call reads outside the value, whatever is in it; what cannot be is VF_ERR_FORMAT.
 *
 * Thread rules: pure functions; a builder belongs to one thread. */
#ifndef VF_INDEX_PAGES_H
#define VF_INDEX_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/map.h"
#include "core/similar/sketch.h"

/* Part of the keys; never change a number. */
enum vf_page_kind {
    VF_PAGE_DIGESTS = 1, /* MD5s of non-zero blocks in order, and where they lie */
    VF_PAGE_NODES = 2,   /* nodes of one level in order */
    VF_PAGE_IDS = 3,     /* (start of a node's SHA-256, node number), sorted */
    VF_PAGE_PRINTS = 4,  /* distinct fingerprints, sorted */
    VF_PAGE_COUNTS = 5,  /* how often those of a prints page occur */
    VF_PAGE_SKETCH = 6   /* core/similar/sketch.h */
};

/* Entries in a full page.  LMDB puts 16 bytes before a value and rounds up to 4096: the numbers are
 * chosen so that little is lost (16,384 digests leave 4 KiB for their runs), and no value is larger
 * than it must be, because LMDB has to find that many free pages in a row. */
#define VF_DIGESTS_PER_PAGE 16384u
#define VF_NODES_PER_PAGE   4096u
#define VF_IDS_PER_PAGE     65536u
#define VF_PRINTS_PER_PAGE  32760u

#define VF_PAGE_HEAD      16u       /* bytes before the content */
#define VF_NODE1_LEN      38u       /* a node of level 1 */
#define VF_NODE_LEN       54u       /* and of those above */
#define VF_NUMBER_MAX     5u        /* bytes of a node number at most (VF_MAX_BLOCKS) */
#define VF_IDS_SAME       VF_PLACES /* equal ids that are kept of one level and map at most */
#define VF_GENERATION_LEN 8u

/* A page whose head and length are consistent. */
struct vf_page {
    const uint8_t *body;   /* behind the head and the filter; borrows */
    size_t len;            /* of the body */
    const uint8_t *filter; /* ids: which might be there; else NULL */
    enum vf_page_kind kind;
    unsigned level; /* of nodes and ids, else 0 */
    unsigned width; /* bytes of a number (ids), of a node, else 0 */
    uint32_t n;     /* entries, at least 1 */
    uint32_t extra; /* digests: runs; counts: blocks that occur more than once; else 0 */
};

/* Checks head and length, not the checksum.  0 or -1. */
int vf_page_open(const void *data, size_t len, enum vf_page_kind kind, unsigned level,
                 struct vf_page *ret, struct vf_error *err) VF_MUST_CHECK;

/* Has the value the checksum that it says? */
bool vf_page_sound(const void *data, size_t len);

/* ---- digests ---- */

struct vf_digest_builder {
    struct vf_buf md5, runs; /* md5: with the head */
    uint32_t n, runs_n;
    struct vf_run run;   /* the last one, not yet in runs */
    uint64_t first, end; /* first block of the page; one behind the last */
};
void vf_digest_builder_free(struct vf_digest_builder *b);
/* Takes up to n digests of blocks from `first` on; returns how many it took, fewer when the page is
 * full (0: finish it first), -1 on error. */
long vf_digest_builder_add(struct vf_digest_builder *b, uint64_t first, const uint8_t (*md5)[16],
                           size_t n, struct vf_error *err);
/* Moves the finished page to *ret (owned) and empties the builder; b->md5 may be given the memory
 * of an empty page then. */
int vf_digest_builder_finish(struct vf_digest_builder *b, struct vf_buf *ret,
                             struct vf_error *err) VF_MUST_CHECK;

/* Walks the runs of a digests page that begins at block `first`. */
struct vf_run_iter {
    struct vf_reader r;
    uint32_t left, n, at; /* runs to come; digests of the page; digests seen */
    uint64_t end;
    bool started;
};
struct vf_run_iter vf_page_runs(const struct vf_page *page, uint64_t first);
/* 1 with *ret and the number of its first digest in the page; 0 at the end; -1. */
int vf_run_iter_next(struct vf_run_iter *it, struct vf_run *ret, uint32_t *ret_at,
                     struct vf_error *err) VF_MUST_CHECK;

/* Copies the digests of blocks [want.first, want.first + want.n) that this page, which begins at
 * block `first`, has to ret[block - want.first].  *ret_end: one behind the last block of the page,
 * or of want when that comes earlier.  0 or -1. */
int vf_page_digests(const struct vf_page *page, uint64_t first, struct vf_run want,
                    uint8_t (*ret)[VF_MD5_LEN], uint64_t *ret_end,
                    struct vf_error *err) VF_MUST_CHECK;

/* ---- nodes ---- */

/* Appends a node to a page in the making (empty: begins one).  VF_ERR_RANGE for one that cannot be.
 */
int vf_nodes_add(struct vf_buf *page, unsigned level, const struct vf_node *node,
                 struct vf_error *err) VF_MUST_CHECK;
/* Nodes in the page so far. */
uint32_t vf_nodes_count(const struct vf_buf *page, unsigned level);
/* Completes the page in place. */
void vf_nodes_finish(struct vf_buf *page, unsigned level);
/* Node i (below page->n). */
int vf_page_node(const struct vf_page *page, uint32_t i, struct vf_node *ret,
                 struct vf_error *err) VF_MUST_CHECK;

/* ---- ids ---- */

struct vf_ids_builder {
    struct vf_buf ids, numbers;
    unsigned width; /* bytes of a node number */
    uint32_t n;
    uint64_t first, last; /* ids */
};
void vf_ids_builder_free(struct vf_ids_builder *b);
/* Ids come in ascending order, at most VF_IDS_SAME equal ones. */
int vf_ids_builder_add(struct vf_ids_builder *b, uint64_t id, uint64_t number,
                       struct vf_error *err) VF_MUST_CHECK;
/* Must it be finished before this id is added?  Equal ids are never parted. */
bool vf_ids_builder_full(const struct vf_ids_builder *b, uint64_t id);
int vf_ids_builder_finish(struct vf_ids_builder *b, unsigned level, struct vf_buf *ret,
                          struct vf_error *err) VF_MUST_CHECK;

/* The 48-bit number that an id is sorted by. */
static inline uint64_t vf_id_of(const uint8_t *sha)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < VF_ID_LEN; i++)
        v = v << 8 | sha[i];
    return v;
}
/* The filter of an ids page: a bitmap in blocks of 32 bytes, one for 16 ids.  An id sets five bits
 * of one block; of ids that are not in the page, about one in four hundred finds its bits set.
 * Lists of many images are asked for ids that few of them have: this answers most of it with one
 * access to memory. */
#define VF_FILTER_BLOCK 32u
#define VF_FILTER_IDS   16u
#define VF_FILTER_BITS  5u
static inline size_t vf_filter_blocks(uint32_t n)
{
    return (n + VF_FILTER_IDS - 1) / VF_FILTER_IDS;
}
static inline uint64_t vf_filter_hash(uint64_t id) { return id * UINT64_C(0x9e3779b97f4a7c15); }
static inline size_t vf_filter_block(uint64_t hash, size_t blocks)
{
    return (size_t)((hash >> 40) * blocks >> 24);
}
/* Byte and mask of bit k (below VF_FILTER_BITS) in the block. */
static inline unsigned vf_filter_byte(uint64_t hash, unsigned k)
{
    return (unsigned)(hash >> (8 * k + 3)) & 31;
}
static inline unsigned vf_filter_mask(uint64_t hash, unsigned k)
{
    return 1u << (hash >> (8 * k) & 7);
}

uint64_t vf_page_id(const struct vf_page *page, uint32_t i);
uint64_t vf_page_number(const struct vf_page *page, uint32_t i);
/* Is the filter what the ids make it?  0, or -1 (VF_ERR_FORMAT, VF_ERR_NOMEM). */
int vf_page_check_filter(const struct vf_page *page, struct vf_error *err) VF_MUST_CHECK;

/* ---- prints and counts ---- */

/* Builds the two pages side by side. */
struct vf_prints_builder {
    struct vf_buf prints, counts; /* with their heads */
    uint32_t n, more, more_at;    /* more: that occur more than once */
    uint64_t first;               /* fingerprint */
};
void vf_prints_builder_free(struct vf_prints_builder *b);
/* Fingerprints come in ascending order, each once; counts >= 1.  How many of the n found room, -1.
 */
long vf_prints_builder_add(struct vf_prints_builder *b, const uint64_t *fp, const uint64_t *count,
                           size_t n, struct vf_error *err);
static inline bool vf_prints_builder_full(const struct vf_prints_builder *b)
{
    return b->n == VF_PRINTS_PER_PAGE;
}
/* As vf_digest_builder_finish; b->prints and b->counts are what may be given memory. */
void vf_prints_builder_finish(struct vf_prints_builder *b, struct vf_buf *ret_prints,
                              struct vf_buf *ret_counts);

uint64_t vf_page_print(const struct vf_page *page, uint32_t i);

/* Walks a counts page. */
struct vf_count_iter {
    const struct vf_page *page;
    struct vf_reader r;
    uint32_t i, left, next; /* entry to come; exceptions to come; entry of the next one */
    uint64_t count;         /* of the next exception */
};
int vf_count_iter_init(struct vf_count_iter *it, const struct vf_page *page,
                       struct vf_error *err) VF_MUST_CHECK;
/* How often the next entry occurs.  Not beyond page->n. */
int vf_count_iter_next(struct vf_count_iter *it, uint64_t *ret, struct vf_error *err) VF_MUST_CHECK;

#endif

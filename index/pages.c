/* index/pages.c - packed pages: head, digests, nodes. */
#include "index/pages.h"

#include "core/checked.h"
#include "index/pages_impl.h"
#include "index/record.h"

/* Head: checksum of all behind it (4), kind, level, width, zero (1 each), n (4), extra (4). */

int vf_page_begin(struct vf_buf *b, size_t expect, struct vf_error *err)
{
    static const uint8_t head[VF_PAGE_HEAD];

    if (vf_buf_reserve(b, VF_PAGE_HEAD + expect, err) < 0)
        return -1;
    return vf_buf_add(b, head, sizeof head, err);
}

void vf_page_seal(struct vf_buf *b, const struct vf_page *page)
{
    uint8_t *p = b->data;

    p[4] = (uint8_t)page->kind;
    p[5] = (uint8_t)page->level;
    p[6] = (uint8_t)page->width;
    p[7] = 0;
    vf_stn(p + 8, 4, page->n);
    vf_stn(p + 12, 4, page->extra);
    vf_stn(p, 4, vf_index_checksum(p + 4, b->len - 4));
}

bool vf_page_sound(const void *data, size_t len)
{
    const uint8_t *p = data;

    return len >= VF_PAGE_HEAD && vf_ldn(p, 4) == vf_index_checksum(p + 4, len - 4);
}

/* Do the numbers of the head and the length of the body agree? */
static bool plausible(const struct vf_page *pg)
{
    const size_t n = pg->n;

    switch (pg->kind) {
    case VF_PAGE_DIGESTS:
        return n <= VF_DIGESTS_PER_PAGE && pg->width == 0 && pg->extra >= 1 && pg->extra <= n &&
               pg->len > n * VF_MD5_LEN;
    case VF_PAGE_NODES:
        return n <= VF_NODES_PER_PAGE && pg->extra == 0 &&
               pg->width == (pg->level == 1 ? VF_NODE1_LEN : VF_NODE_LEN) &&
               pg->len == n * pg->width;
    case VF_PAGE_IDS:
        return n <= VF_IDS_PER_PAGE && pg->extra == 0 && pg->width >= 1 &&
               pg->width <= VF_NUMBER_MAX &&
               pg->len == n * (VF_ID_LEN + pg->width) + vf_filter_blocks(pg->n) * VF_FILTER_BLOCK;
    case VF_PAGE_PRINTS:
        return n <= VF_PRINTS_PER_PAGE && pg->width == 0 && pg->extra == 0 && pg->len == n * 8;
    case VF_PAGE_COUNTS:
        return n <= VF_PRINTS_PER_PAGE && pg->width == 0 && pg->extra <= n;
    case VF_PAGE_SKETCH:
        return n == 1 && pg->width == 0 && pg->extra == 0 && pg->len <= VF_SKETCH_BYTES_MAX;
    }
    return false;
}

int vf_page_open(const void *data, size_t len, enum vf_page_kind kind, unsigned level,
                 struct vf_page *ret, struct vf_error *err)
{
    const uint8_t *p = data;
    struct vf_page pg;

    if (len < VF_PAGE_HEAD)
        return vf_error_set(err, VF_ERR_FORMAT, 0, "a page of kind %d is cut short", (int)kind);
    pg = (struct vf_page){
        .body = p + VF_PAGE_HEAD,
        .len = len - VF_PAGE_HEAD,
        .kind = kind,
        .level = p[5],
        .width = p[6],
        .n = (uint32_t)vf_ldn(p + 8, 4),
        .extra = (uint32_t)vf_ldn(p + 12, 4),
    };
    if (p[4] != kind || p[5] != level || p[7] != 0 || pg.n == 0 || !plausible(&pg))
        return vf_error_set(err, VF_ERR_FORMAT, 0, "a page of kind %d is malformed", (int)kind);
    if (kind == VF_PAGE_IDS) {
        const size_t filter = vf_filter_blocks(pg.n) * VF_FILTER_BLOCK;

        pg.filter = pg.body;
        pg.body += filter;
        pg.len -= filter;
    }
    *ret = pg;
    return 0;
}

/* ---- digests ---- */

void vf_digest_builder_free(struct vf_digest_builder *b)
{
    vf_buf_free(&b->md5);
    vf_buf_free(&b->runs);
    memset(b, 0, sizeof *b);
}

/* Writes the run that is open.  The first one of a page has no gap: the key says where it begins.
 */
static int close_run(struct vf_digest_builder *b, uint64_t next_first, struct vf_error *err)
{
    if (vf_buf_varint(&b->runs, b->run.n, err) < 0)
        return -1;
    b->runs_n++;
    if (next_first == UINT64_MAX)
        return 0;
    return vf_buf_varint(&b->runs, next_first - b->end, err);
}

long vf_digest_builder_add(struct vf_digest_builder *b, uint64_t first, const uint8_t (*md5)[16],
                           size_t n, struct vf_error *err)
{
    size_t room = VF_DIGESTS_PER_PAGE - b->n;

    if (n > room)
        n = room;
    if (n == 0)
        return 0;
    if (b->n == 0) {
        vf_buf_clear(&b->md5);
        vf_buf_clear(&b->runs);
        if (vf_page_begin(&b->md5, VF_DIGESTS_PER_PAGE * VF_MD5_LEN + 4096, err) < 0)
            return -1;
        b->runs_n = 0;
        b->first = first;
        b->run = (struct vf_run){first, 0};
    } else if (first != b->end) {
        if (close_run(b, first, err) < 0)
            return -1;
        b->run = (struct vf_run){first, 0};
    }
    if (vf_buf_add(&b->md5, md5, n * VF_MD5_LEN, err) < 0)
        return -1;
    b->run.n += n;
    b->n += (uint32_t)n;
    b->end = first + n;
    return (long)n;
}

int vf_digest_builder_finish(struct vf_digest_builder *b, struct vf_buf *ret, struct vf_error *err)
{
    const struct vf_page head = {.kind = VF_PAGE_DIGESTS, .n = b->n, .extra = b->runs_n + 1};

    if (close_run(b, UINT64_MAX, err) < 0 ||
        vf_buf_add(&b->md5, b->runs.data, b->runs.len, err) < 0)
        return -1;
    vf_page_seal(&b->md5, &head);
    *ret = b->md5;
    b->md5 = (struct vf_buf)VF_BUF_INIT;
    b->n = 0;
    return 0;
}

struct vf_run_iter vf_page_runs(const struct vf_page *page, uint64_t first)
{
    const size_t skip = (size_t)page->n * VF_MD5_LEN;

    return (struct vf_run_iter){.r = vf_reader_over(page->body + skip, page->len - skip),
                                .left = page->extra,
                                .n = page->n,
                                .end = first};
}

/* Nearly all are of one byte. */
static inline bool varint(struct vf_reader *r, uint64_t *ret)
{
    if (r->p < r->end && *r->p < 0x80) {
        *ret = *r->p++;
        return true;
    }
    return vf_reader_varint(r, ret);
}

static int bad_runs(struct vf_error *err)
{
    return vf_error_set(err, VF_ERR_FORMAT, 0, "the runs of a digests page are malformed");
}

int vf_run_iter_next(struct vf_run_iter *it, struct vf_run *ret, uint32_t *ret_at,
                     struct vf_error *err)
{
    uint64_t gap = 0, n;

    if (it->left == 0)
        return it->at == it->n && vf_reader_left(&it->r) == 0 ? 0 : bad_runs(err);
    if (it->started && (!varint(&it->r, &gap) || gap == 0))
        return bad_runs(err);
    if (!varint(&it->r, &n) || n == 0 || n > it->n - it->at || it->end > VF_MAX_BLOCKS ||
        gap > VF_MAX_BLOCKS - it->end || n > VF_MAX_BLOCKS - it->end - gap)
        return bad_runs(err);
    *ret = (struct vf_run){it->end + gap, n};
    *ret_at = it->at;
    it->started = true;
    it->left--;
    it->at += (uint32_t)n;
    it->end = ret->first + n;
    return 1;
}

int vf_page_digests(const struct vf_page *page, uint64_t first, struct vf_run want,
                    uint8_t (*ret)[VF_MD5_LEN], uint64_t *ret_end, struct vf_error *err)
{
    const uint64_t want_end = want.first + want.n;
    struct vf_run_iter it = vf_page_runs(page, first);
    struct vf_run run;
    uint32_t at;
    int rc;

    while ((rc = vf_run_iter_next(&it, &run, &at, err)) > 0) {
        uint64_t lo = run.first > want.first ? run.first : want.first;
        uint64_t hi = run.first + run.n < want_end ? run.first + run.n : want_end;

        if (run.first >= want_end) {
            *ret_end = want_end;
            return 0;
        }
        if (lo < hi)
            memcpy(ret[lo - want.first],
                   page->body + ((size_t)at + (size_t)(lo - run.first)) * VF_MD5_LEN,
                   (size_t)(hi - lo) * VF_MD5_LEN);
    }
    if (rc < 0)
        return -1;
    *ret_end = it.end < want_end ? it.end : want_end;
    return 0;
}

/* ---- nodes ---- */

/* Level 1: first (5), span - 1 (1), sha.  Above: first, span - 1, data - 1, kid (5 each), kids (2),
 * sha.  Less one, because 2^40 blocks are possible. */

static size_t node_len(unsigned level) { return level == 1 ? VF_NODE1_LEN : VF_NODE_LEN; }

static bool node_ok(unsigned level, const struct vf_node *nd)
{
    if (nd->span == 0 || nd->span > VF_MAX_BLOCKS || nd->first > VF_MAX_BLOCKS - nd->span)
        return false;
    if (level == 1)
        return nd->span <= VF_SEG_MAX && nd->data == nd->span && nd->kid == 0 && nd->kids == 0;
    return nd->data >= 1 && nd->data <= nd->span && nd->kids >= 1 && nd->kids <= VF_KIDS_MAX &&
           nd->kid <= VF_MAX_BLOCKS - nd->kids;
}

int vf_nodes_add(struct vf_buf *page, unsigned level, const struct vf_node *nd,
                 struct vf_error *err)
{
    uint8_t b[VF_NODE_LEN];
    uint8_t *sha = b + node_len(level) - VF_SHA_LEN;

    if (!node_ok(level, nd))
        return vf_error_set(err, VF_ERR_RANGE, 0, "a node of level %u is out of range", level);
    if (page->len == 0 && vf_page_begin(page, node_len(level) * 64, err) < 0)
        return -1;
    vf_stn(b, 5, nd->first);
    if (level == 1) {
        b[5] = (uint8_t)(nd->span - 1);
    } else {
        vf_stn(b + 5, 5, nd->span - 1);
        vf_stn(b + 10, 5, nd->data - 1);
        vf_stn(b + 15, 5, nd->kid);
        vf_stn(b + 20, 2, nd->kids);
    }
    memcpy(sha, nd->sha, VF_SHA_LEN);
    return vf_buf_add(page, b, node_len(level), err);
}

uint32_t vf_nodes_count(const struct vf_buf *page, unsigned level)
{
    return page->len ? (uint32_t)((page->len - VF_PAGE_HEAD) / node_len(level)) : 0;
}

void vf_nodes_finish(struct vf_buf *page, unsigned level)
{
    const struct vf_page head = {.kind = VF_PAGE_NODES,
                                 .level = level,
                                 .width = (unsigned)node_len(level),
                                 .n = vf_nodes_count(page, level)};

    vf_page_seal(page, &head);
}

int vf_page_node(const struct vf_page *page, uint32_t i, struct vf_node *ret, struct vf_error *err)
{
    const uint8_t *b = page->body + (size_t)i * page->width;
    struct vf_node nd = {.first = vf_ld40(b)};

    if (page->level == 1) {
        nd.span = nd.data = (uint64_t)b[5] + 1;
    } else {
        nd.span = vf_ld40(b + 5) + 1;
        nd.data = vf_ld40(b + 10) + 1;
        nd.kid = vf_ld40(b + 15);
        nd.kids = (uint32_t)vf_ldn(b + 20, 2);
    }
    memcpy(nd.sha, b + page->width - VF_SHA_LEN, VF_SHA_LEN);
    if (!node_ok(page->level, &nd))
        return vf_error_set(err, VF_ERR_FORMAT, 0, "a stored node of level %u is malformed",
                            page->level);
    *ret = nd;
    return 0;
}

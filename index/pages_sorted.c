/* index/pages_sorted.c - packed pages: the sorted lists, ids and fingerprints. */
#include "core/be.h"
#include "core/checked.h"
#include "index/pages_impl.h"

/* ---- ids: the filter, then n times an id (6, little-endian number), then n times a node number
 * (width) ---- */

void vf_ids_builder_free(struct vf_ids_builder *b)
{
    vf_buf_free(&b->ids);
    vf_buf_free(&b->numbers);
    memset(b, 0, sizeof *b);
}

bool vf_ids_builder_full(const struct vf_ids_builder *b, uint64_t id)
{
    /* Room for a whole group of equal ids must be left when one begins. */
    return b->n && id != b->last && b->n > VF_IDS_PER_PAGE - VF_IDS_SAME;
}

int vf_ids_builder_add(struct vf_ids_builder *b, uint64_t id, uint64_t number, struct vf_error *err)
{
    uint8_t le[8];

    if (b->n == 0) {
        vf_buf_clear(&b->ids);
        vf_buf_clear(&b->numbers);
        b->first = id;
    }
    vf_st64(le, id);
    if (vf_buf_add(&b->ids, le, VF_ID_LEN, err) < 0)
        return -1;
    vf_st64(le, number);
    if (vf_buf_add(&b->numbers, le, b->width, err) < 0)
        return -1;
    b->last = id;
    b->n++;
    return 0;
}

/* Sets the bits of n ids in an empty filter. */
static void fill_filter(uint8_t *filter, const uint8_t *ids, uint32_t n)
{
    const size_t blocks = vf_filter_blocks(n);

    for (uint32_t i = 0; i < n; i++) {
        const uint64_t h = vf_filter_hash(vf_ldn(ids + (size_t)i * VF_ID_LEN, VF_ID_LEN));
        uint8_t *block = filter + vf_filter_block(h, blocks) * VF_FILTER_BLOCK;

        for (unsigned k = 0; k < VF_FILTER_BITS; k++)
            block[vf_filter_byte(h, k)] |= (uint8_t)vf_filter_mask(h, k);
    }
}

int vf_page_check_filter(const struct vf_page *page, struct vf_error *err)
{
    const size_t len = vf_filter_blocks(page->n) * VF_FILTER_BLOCK;
    uint8_t *want = vf_calloc(1, len, err);
    int rc = 0;

    if (!want)
        return -1;
    fill_filter(want, page->body, page->n);
    if (memcmp(want, page->filter, len) != 0)
        rc = vf_error_set(err, VF_ERR_FORMAT, 0, "the filter of an ids page is wrong");
    free(want);
    return rc;
}

int vf_ids_builder_finish(struct vf_ids_builder *b, unsigned level, struct vf_buf *ret,
                          struct vf_error *err)
{
    const size_t filter = vf_filter_blocks(b->n) * VF_FILTER_BLOCK;
    const struct vf_page head = {.kind = VF_PAGE_IDS, .level = level, .width = b->width, .n = b->n};
    struct vf_buf out = VF_BUF_INIT;

    if (vf_page_begin(&out, filter + b->ids.len + b->numbers.len, err) < 0)
        return -1;
    memset(out.data + out.len, 0, filter);
    fill_filter(out.data + out.len, b->ids.data, b->n);
    out.len += filter;
    if (vf_buf_add(&out, b->ids.data, b->ids.len, err) < 0 ||
        vf_buf_add(&out, b->numbers.data, b->numbers.len, err) < 0) {
        vf_buf_free(&out);
        return -1;
    }
    vf_page_seal(&out, &head);
    *ret = out;
    b->n = 0;
    return 0;
}

uint64_t vf_page_id(const struct vf_page *page, uint32_t i)
{
    return vf_ldn(page->body + (size_t)i * VF_ID_LEN, VF_ID_LEN);
}

uint64_t vf_page_number(const struct vf_page *page, uint32_t i)
{
    return vf_ldn(page->body + (size_t)page->n * VF_ID_LEN + (size_t)i * page->width, page->width);
}

/* ---- prints: n times 8 bytes; counts: varint pairs, in order, for the entries of the prints page
 * that occur more than once: entries since the one before, count - 2 ---- */

void vf_prints_builder_free(struct vf_prints_builder *b)
{
    vf_buf_free(&b->prints);
    vf_buf_free(&b->counts);
    memset(b, 0, sizeof *b);
}

static int begin_prints(struct vf_prints_builder *b, uint64_t first, struct vf_error *err)
{
    vf_buf_clear(&b->prints);
    vf_buf_clear(&b->counts);
    b->more = b->more_at = 0;
    b->first = first;
    return vf_page_begin(&b->prints, 8 * VF_PRINTS_PER_PAGE, err) < 0 ||
                   vf_page_begin(&b->counts, 1024, err) < 0
               ? -1
               : 0;
}

long vf_prints_builder_add(struct vf_prints_builder *b, const uint64_t *fp, const uint64_t *count,
                           size_t n, struct vf_error *err)
{
    const size_t room = VF_PRINTS_PER_PAGE - b->n;

    n = n < room ? n : room;
    if (n == 0)
        return 0;
    if ((b->n == 0 && begin_prints(b, fp[0], err) < 0) ||
        vf_buf_reserve(&b->prints, 8 * n, err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        vf_st64(b->prints.data + b->prints.len + 8 * i, fp[i]);
    b->prints.len += 8 * n;
    for (size_t i = 0; i < n; i++, b->n++) {
        if (count[i] == 1)
            continue;
        if (vf_buf_varint(&b->counts, b->n - b->more_at, err) < 0 ||
            vf_buf_varint(&b->counts, count[i] - 2, err) < 0)
            return -1;
        b->more_at = b->n;
        b->more++;
    }
    return (long)n;
}

void vf_prints_builder_finish(struct vf_prints_builder *b, struct vf_buf *ret_prints,
                              struct vf_buf *ret_counts)
{
    const struct vf_page prints = {.kind = VF_PAGE_PRINTS, .n = b->n};
    const struct vf_page counts = {.kind = VF_PAGE_COUNTS, .n = b->n, .extra = b->more};

    vf_page_seal(&b->prints, &prints);
    vf_page_seal(&b->counts, &counts);
    *ret_prints = b->prints;
    *ret_counts = b->counts;
    b->prints = b->counts = (struct vf_buf)VF_BUF_INIT;
    b->n = 0;
}

uint64_t vf_page_print(const struct vf_page *page, uint32_t i)
{
    return vf_le64(page->body + (size_t)i * 8);
}

static int bad_counts(struct vf_error *err)
{
    return vf_error_set(err, VF_ERR_FORMAT, 0, "a counts page is malformed");
}

/* Reads the next exception; there is one. */
static int next_more(struct vf_count_iter *it, struct vf_error *err)
{
    uint64_t skip, extra;

    if (!vf_reader_varint(&it->r, &skip) || !vf_reader_varint(&it->r, &extra) ||
        skip >= it->page->n - it->next || extra > VF_MAX_BLOCKS - 2)
        return bad_counts(err);
    it->left--;
    it->next += (uint32_t)skip;
    if (it->next < it->i)
        return bad_counts(err);
    it->count = extra + 2;
    return 0;
}

int vf_count_iter_init(struct vf_count_iter *it, const struct vf_page *page, struct vf_error *err)
{
    *it = (struct vf_count_iter){
        .page = page,
        .r = vf_reader_over(page->body, page->len),
        .left = page->extra,
    };
    return it->left ? next_more(it, err) : 0;
}

int vf_count_iter_next(struct vf_count_iter *it, uint64_t *ret, struct vf_error *err)
{
    *ret = 1;
    if (it->count && it->next == it->i) {
        *ret = it->count;
        it->count = 0;
        it->i++;
        if (it->left)
            return next_more(it, err);
    } else {
        it->i++;
    }
    if (it->i == it->page->n && (it->left || it->count || vf_reader_left(&it->r)))
        return bad_counts(err);
    return 0;
}

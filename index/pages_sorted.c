/* index/pages_sorted.c - packed pages: the sorted lists, ids and fingerprints. */
#include "core/checked.h"
#include "index/pages_impl.h"

/* ---- ids: n times an id (6, little-endian number), then n times a node number (width) ---- */

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
        if (vf_page_begin(&b->ids, VF_ID_LEN * 1024, err) < 0)
            return -1;
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

int vf_ids_builder_finish(struct vf_ids_builder *b, unsigned level, struct vf_buf *ret,
                          struct vf_error *err)
{
    const struct vf_page head = {.kind = VF_PAGE_IDS, .level = level, .width = b->width, .n = b->n};

    if (vf_buf_add(&b->ids, b->numbers.data, b->numbers.len, err) < 0)
        return -1;
    vf_page_seal(&b->ids, &head);
    *ret = b->ids;
    b->ids = (struct vf_buf)VF_BUF_INIT;
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

/* ---- prints: n times 8 bytes; counts: n times a block (width), then varint pairs, in the order of
 * the entries that occur more than once: entries since the one before, count - 2 ---- */

void vf_prints_builder_free(struct vf_prints_builder *b)
{
    vf_buf_free(&b->prints);
    vf_buf_free(&b->counts);
    vf_buf_free(&b->more);
    memset(b, 0, sizeof *b);
}

int vf_prints_builder_add(struct vf_prints_builder *b, uint64_t fp, uint64_t block, uint64_t count,
                          struct vf_error *err)
{
    uint8_t le[8];

    if (b->n == 0) {
        vf_buf_clear(&b->prints);
        vf_buf_clear(&b->counts);
        vf_buf_clear(&b->more);
        b->more_n = b->more_at = 0;
        b->first = fp;
        if (vf_page_begin(&b->prints, 8 * 1024, err) < 0 ||
            vf_page_begin(&b->counts, 4 * 1024, err) < 0)
            return -1;
    }
    vf_st64(le, fp);
    if (vf_buf_add(&b->prints, le, 8, err) < 0)
        return -1;
    vf_st64(le, block);
    if (vf_buf_add(&b->counts, le, b->width, err) < 0)
        return -1;
    if (count > 1) {
        if (vf_buf_varint(&b->more, b->n - b->more_at, err) < 0 ||
            vf_buf_varint(&b->more, count - 2, err) < 0)
            return -1;
        b->more_at = b->n;
        b->more_n++;
    }
    b->n++;
    return 0;
}

int vf_prints_builder_finish(struct vf_prints_builder *b, struct vf_buf *ret_prints,
                             struct vf_buf *ret_counts, struct vf_error *err)
{
    const struct vf_page prints = {.kind = VF_PAGE_PRINTS, .n = b->n};
    const struct vf_page counts = {
        .kind = VF_PAGE_COUNTS, .width = b->width, .n = b->n, .extra = b->more_n};

    if (vf_buf_add(&b->counts, b->more.data, b->more.len, err) < 0)
        return -1;
    vf_page_seal(&b->prints, &prints);
    vf_page_seal(&b->counts, &counts);
    *ret_prints = b->prints;
    *ret_counts = b->counts;
    b->prints = b->counts = (struct vf_buf)VF_BUF_INIT;
    b->n = 0;
    return 0;
}

uint64_t vf_page_print(const struct vf_page *page, uint32_t i)
{
    return vf_ld64(page->body + (size_t)i * 8);
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
        skip >= it->page->n - it->next || extra > VF_MAX_BLOCKS)
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
    const size_t skip = (size_t)page->n * page->width;

    *it = (struct vf_count_iter){
        .page = page,
        .r = vf_reader_over(page->body + skip, page->len - skip),
        .left = page->extra,
    };
    return it->left ? next_more(it, err) : 0;
}

int vf_count_iter_next(struct vf_count_iter *it, uint64_t *ret_block, uint64_t *ret_count,
                       struct vf_error *err)
{
    const unsigned width = it->page->width;

    *ret_block = vf_ldn(it->page->body + (size_t)it->i * width, width);
    *ret_count = 1;
    if (*ret_block >= VF_MAX_BLOCKS)
        return bad_counts(err);
    if (it->count && it->next == it->i) {
        *ret_count = it->count;
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

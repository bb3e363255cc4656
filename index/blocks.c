/* index/blocks.c - where single blocks lie, by the beginning of their MD5. */
#include <string.h>

#include "index/lookup.h"
#include "index/residents.h"

#define AT_ONCE 256u /* questions put to a page in one go */
#define SHIFT                                                                                      \
    (64u - VF_PRINT_BITS) /* from a truncated fingerprint to the first full one of its kind */

struct asking {
    struct vf_residents *base;
    const uint64_t *print; /* truncated, ascending */
    size_t n;
    struct vf_place *ret;
};

/* The blocks that belong to the entries of a prints page. */
static int open_counts(struct vf_txn *t, const struct vf_gen *g, uint64_t first,
                       struct vf_cursor *c, struct vf_page *ret, struct vf_error *err)
{
    const struct vf_key key = vf_key_prints(g->number, VF_PAGE_COUNTS, first);
    uint64_t at;
    int rc;

    if (vf_cursor_open(c, t, err) < 0)
        return -1;
    rc = vf_gen_page_near(c, &key, key.len - 8, VF_PAGE_COUNTS, 0, ret, &at, err);
    if (rc == VF_FOUND && at == first)
        return 0;
    if (rc >= 0) {
        (void)vf_error_set(err, VF_ERR_FORMAT, 0, "fingerprints without blocks"); /* below */
        (void)vf_store_damaged(t->st, err);
    }
    vf_cursor_close(c);
    return -1;
}

/* Questions [from, to) against a prints page and its blocks. */
static int ask_page(const struct asking *a, const struct vf_gen *g, uint32_t image,
                    const struct vf_page *page, const struct vf_page *blocks, size_t from,
                    size_t to)
{
    uint64_t full[AT_ONCE];
    uint32_t pos[AT_ONCE];

    while (from < to) {
        const size_t n = to - from < AT_ONCE ? to - from : AT_ONCE;

        for (size_t i = 0; i < n; i++)
            full[i] = a->print[from + i] << SHIFT;
        vf_lookup_lower(page, full, n, pos);
        for (size_t i = 0; i < n; i++) {
            struct vf_place *p = &a->ret[from + i];
            uint64_t block;

            if (p->span || pos[i] >= page->n || pos[i] >= blocks->n ||
                vf_page_print(page, pos[i]) >> SHIFT != a->print[from + i])
                continue;
            block = vf_page_block(blocks, pos[i]);
            if (block < g->info.blocks)
                *p = (struct vf_place){.image = image, .first = block, .span = 1};
        }
        from += n;
    }
    return 0;
}

/* The first question from `from` on that is above the page's last entry. */
static size_t above(const struct asking *a, size_t from, uint64_t last)
{
    while (from < a->n && a->print[from] << SHIFT <= last)
        from++;
    return from;
}

static int ask_image(const struct asking *a, struct vf_txn *t, uint32_t image, struct vf_error *err)
{
    const struct vf_gen *g = &vf_resident_set(a->base)->image[image].gen;
    struct vf_cursor c, d;
    size_t i = 0;
    int rc = 0;

    if (vf_cursor_open(&c, t, err) < 0)
        return -1;
    while (rc == 0 && i < a->n) {
        const struct vf_key key = vf_key_prints(g->number, VF_PAGE_PRINTS, a->print[i] << SHIFT);
        struct vf_page page, blocks;
        uint64_t first;
        size_t to;

        rc = vf_gen_page_near(&c, &key, key.len - 8, VF_PAGE_PRINTS, 0, &page, &first, err);
        if (rc != VF_FOUND)
            break;
        rc = open_counts(t, g, first, &d, &blocks, err);
        if (rc < 0)
            break;
        to = above(a, i, vf_page_print(&page, page.n - 1));
        rc = ask_page(a, g, image, &page, &blocks, i, to);
        vf_txn_touched(t, c.value, vf_gen_touch(&c, to - i));
        vf_txn_touched(t, d.value, vf_gen_touch(&d, to - i));
        vf_cursor_close(&d);
        i = to > i ? to : i + 1; /* one between two pages: nowhere */
    }
    vf_cursor_close(&c);
    return rc < 0 ? -1 : 0;
}

int vf_residents_find_blocks(struct vf_residents *base, const uint64_t *prints, size_t n,
                             struct vf_place *ret, struct vf_error *err)
{
    const struct vf_resident_set *set = vf_resident_set(base);
    const struct asking a = {base, prints, n, ret};

    if (n)
        memset(ret, 0, n * sizeof *ret);
    for (uint32_t i = 0; i < set->n; i++) {
        struct vf_error e = VF_ERROR_INIT;
        struct vf_txn t;
        int rc;

        if (!set->image[i].fresh)
            continue;
        if (vf_gen_read(set->ix, &set->image[i].gen, &t, &e) < 0) {
            if (e.code == VF_ERR_NOTFOUND)
                continue; /* a donor less */
            if (err)
                *err = e;
            return -1;
        }
        rc = ask_image(&a, &t, i, err);
        vf_txn_end(&t);
        if (rc < 0)
            return -1;
    }
    return 0;
}

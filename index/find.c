/* index/find.c - which resident images hold which nodes. */
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "index/lookup.h"
#include "index/residents.h"

#define AT_ONCE 256u /* questions put to a page in one go */

struct question {
    uint64_t id;
    uint32_t who;    /* its place in the caller's arrays */
    uint32_t images; /* that have answered it */
};

struct finding {
    struct vf_residents *base;
    unsigned level;
    struct question *q; /* ascending by id */
    size_t n;           /* still open */
    struct vf_place (*ret)[VF_PLACES];
};

static int by_id(const void *a, const void *b)
{
    const struct question *x = a, *y = b;

    return x->id < y->id ? -1 : x->id > y->id;
}

/* Adds a place.  When all are taken, an image that is new to the list takes the last place of one
 * that has several: a donor that fails must not be the only one. */
static void add_place(struct vf_place list[VF_PLACES], const struct vf_place *p,
                      bool first_of_image)
{
    unsigned n = 0;

    while (n < VF_PLACES && list[n].span)
        n++;
    if (n < VF_PLACES) {
        list[n] = *p;
        return;
    }
    if (!first_of_image)
        return;
    for (n = VF_PLACES - 1; n > 0; n--)
        for (unsigned k = 0; k < n; k++)
            if (list[k].image == list[n].image) {
                list[n] = *p;
                return;
            }
}

static bool has_room(const struct vf_place list[VF_PLACES], bool first_of_image)
{
    return !list[VF_PLACES - 1].span || first_of_image;
}

/* The entries of the page from i on that have the id of the question. */
static int answer(struct finding *f, struct vf_txn *t, uint32_t image, const struct vf_page *page,
                  uint32_t i, struct question *q, struct vf_error *err)
{
    const struct vf_gen *g = &vf_resident_set(f->base)->image[image].gen;
    struct vf_place *list = f->ret[q->who];
    bool first = true;

    for (; i < page->n && vf_page_id(page, i) == q->id && has_room(list, first); i++) {
        const uint64_t number = vf_page_number(page, i);
        struct vf_place p = {.image = image, .node = number};
        struct vf_node node;

        if (number < g->info.nodes[f->level]) {
            if (vf_gen_nodes(t, g, f->level, number, 1, &node, err) < 0)
                return -1;
        }
        if (number >= g->info.nodes[f->level] || vf_id_of(node.sha) != q->id) {
            (void)vf_error_set(err, VF_ERR_FORMAT, 0, "an id points at another node");
            return vf_store_damaged(t->st, err);
        }
        p.first = node.first;
        p.span = node.span;
        add_place(list, &p, first);
        q->images += first;
        first = false;
    }
    return 0;
}

/* Questions [from, to) lie within the page.  The number of those that the filter let through is
 * added to *ret_searches. */
static int ask_page(struct finding *f, struct vf_txn *t, uint32_t image, const struct vf_page *page,
                    size_t from, size_t to, size_t *ret_searches, struct vf_error *err)
{
    uint64_t ids[AT_ONCE];
    uint32_t maybe[AT_ONCE], pos[AT_ONCE];

    while (from < to) {
        const size_t some = to - from < AT_ONCE ? to - from : AT_ONCE;
        size_t n;

        for (size_t i = 0; i < some; i++)
            ids[i] = f->q[from + i].id;
        n = vf_lookup_filter(page, ids, some, maybe);
        for (size_t i = 0; i < n; i++)
            ids[i] = ids[maybe[i]];
        vf_lookup_ids(page, ids, n, pos);
        for (size_t i = 0; i < n; i++)
            if (pos[i] < page->n && vf_page_id(page, pos[i]) == ids[i] &&
                answer(f, t, image, page, pos[i], &f->q[from + maybe[i]], err) < 0)
                return -1;
        *ret_searches += n;
        from += some;
    }
    return 0;
}

/* The first question from `from` on whose id is above id. */
static size_t above(const struct finding *f, size_t from, uint64_t id)
{
    size_t to = f->n;

    while (from < to) {
        size_t mid = from + (to - from) / 2;

        if (f->q[mid].id <= id)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

static int ask_pages(struct finding *f, struct vf_txn *t, uint32_t image, struct vf_error *err)
{
    const struct vf_gen *g = &vf_resident_set(f->base)->image[image].gen;
    struct vf_cursor c;
    size_t i = 0;
    int rc = 0;

    if (vf_cursor_open(&c, t, err) < 0)
        return -1;
    while (rc == 0 && i < f->n) {
        const struct vf_key key = vf_key_ids(g->number, f->level, f->q[i].id);
        struct vf_page page;
        uint64_t first;
        size_t to, searches = 1; /* the filter */

        rc = vf_gen_page_near(&c, &key, key.len - VF_ID_LEN, VF_PAGE_IDS, f->level, &page, &first,
                              err);
        if (rc != VF_FOUND)
            break;
        to = above(f, i, vf_page_id(&page, page.n - 1));
        rc = ask_page(f, t, image, &page, i, to, &searches, err);
        vf_txn_touched(t, c.value, vf_gen_touch(&c, searches));
        /* One that falls between two pages has its answer: nowhere. */
        i = to > i ? to : i + 1;
    }
    vf_cursor_close(&c);
    return rc < 0 ? -1 : 0;
}

/* Drops the questions that as many images have answered as fit. */
static void close_questions(struct finding *f)
{
    size_t n = 0;

    for (size_t i = 0; i < f->n; i++)
        if (f->q[i].images < VF_PLACES)
            f->q[n++] = f->q[i];
    f->n = n;
}

static int ask_image(struct finding *f, uint32_t image, struct vf_error *err)
{
    struct vf_resident_set *set = vf_resident_set(f->base);
    const struct vf_resident *r = &set->image[image];
    struct vf_error e = VF_ERROR_INIT;
    struct vf_txn t;
    int rc;

    if (!r->usable || f->level > r->gen.info.top)
        return 0;
    if (vf_gen_read(set->ix, &r->gen, &t, &e) < 0) {
        if (e.code == VF_ERR_NOTFOUND)
            return 0; /* a donor less */
        return vf_error_pass(err, &e);
    }
    rc = ask_pages(f, &t, image, err);
    vf_txn_end(&t);
    return rc;
}

int vf_residents_find(struct vf_residents *base, unsigned level, const uint8_t (*ids)[VF_ID_LEN],
                      size_t n, struct vf_place (*ret)[VF_PLACES], struct vf_error *err)
{
    struct finding f = {.base = base, .level = level, .n = n, .ret = ret};
    int rc = 0;

    if (level < 1 || level >= VF_LEVELS || n > UINT32_MAX)
        return vf_error_set(err, VF_ERR_RANGE, 0, "ids of level %u cannot be found", level);
    f.q = vf_calloc(n, sizeof *f.q, err);
    if (!f.q)
        return -1;
    if (n)
        memset(ret, 0, n * sizeof *ret);
    for (size_t i = 0; i < n; i++)
        f.q[i] = (struct question){.id = vf_id_of(ids[i]), .who = (uint32_t)i};
    if (n)
        qsort(f.q, n, sizeof *f.q, by_id);
    for (uint32_t image = 0; rc == 0 && f.n && image < vf_resident_set(base)->n; image++) {
        rc = ask_image(&f, image, err);
        close_questions(&f);
    }
    free(f.q);
    return rc;
}

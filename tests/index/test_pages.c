/* Packed pages: what goes in comes out, and what cannot be is refused. */
#include <stdlib.h>
#include <string.h>

#include "index/le.h"
#include "index/pages.h"
#include "tests/lib/check.h"

static struct vf_page open_page(const struct vf_buf *b, enum vf_page_kind kind, unsigned level)
{
    struct vf_error err;
    struct vf_page page;

    CHECK(vf_page_sound(b->data, b->len));
    CHECK_OK(vf_page_open(b->data, b->len, kind, level, &page, &err), &err);
    return page;
}

/* Each shorter value, and each changed byte of the head, is refused or at least not sound. */
static void check_damage(struct vf_buf *b, enum vf_page_kind kind, unsigned level)
{
    struct vf_error err;
    struct vf_page page;

    for (size_t len = 0; len < 16; len++)
        CHECK_FAIL(vf_page_open(b->data, len, kind, level, &page, &err), &err, VF_ERR_FORMAT);
    for (size_t i = 0; i < 16; i++) {
        b->data[i] ^= 0x41;
        CHECK(!vf_page_sound(b->data, b->len));
        b->data[i] ^= 0x41;
    }
    CHECK(vf_page_open(b->data, b->len, kind == 1 ? 2 : 1, level, &page, NULL) < 0);
    CHECK(vf_page_open(b->data, b->len, kind, level + 1, &page, NULL) < 0);
}

TEST(digests)
{
    struct vf_digest_builder b = {.n = 0};
    struct vf_buf out = VF_BUF_INIT;
    struct vf_error err;
    uint8_t(*md5)[VF_MD5_LEN] = malloc(VF_DIGESTS_PER_PAGE * sizeof *md5);
    uint8_t(*got)[VF_MD5_LEN] = malloc(70000 * sizeof *got);
    const uint64_t base = UINT64_C(0xff00000000);
    uint64_t first = base, end;
    struct vf_page page;
    struct vf_run_iter it;
    struct vf_run run;
    uint32_t at, n = 0, runs = 0;

    CHECK(md5 && got);
    vf_test_random(1, md5, VF_DIGESTS_PER_PAGE * sizeof *md5);
    while (n < VF_DIGESTS_PER_PAGE) {
        uint32_t len = 1 + (n * 7) % 50;
        long took = vf_digest_builder_add(&b, first, (const void *)md5[n], len, &err);

        CHECK(took > 0);
        n += (uint32_t)took;
        runs++;
        first += (uint64_t)took + 1 + n % 140;
    }
    CHECK_EQ_I64(vf_digest_builder_add(&b, first, (const void *)md5[0], 1, &err), 0);
    CHECK_OK(vf_digest_builder_finish(&b, &out, &err), &err);
    page = open_page(&out, VF_PAGE_DIGESTS, 0);
    CHECK_EQ_U64(page.n, VF_DIGESTS_PER_PAGE);
    CHECK_EQ_U64(page.extra, runs);

    /* All of it, in pieces. */
    it = vf_page_runs(&page, base);
    for (n = 0; vf_run_iter_next(&it, &run, &at, &err) > 0; n += (uint32_t)run.n) {
        CHECK_EQ_U64(at, n);
        for (uint64_t from = run.first > 5 ? run.first - 5 : 0; from < run.first + run.n;
             from += 3) {
            struct vf_run want = {from, 4};

            memset(got, 0xee, 4 * VF_MD5_LEN);
            CHECK_OK(vf_page_digests(&page, base, want, got, &end, &err), &err);
            for (uint64_t k = 0; k < 4; k++)
                if (from + k >= run.first && from + k < run.first + run.n)
                    CHECK_MEM(got[k], md5[n + from + k - run.first], VF_MD5_LEN);
        }
    }
    CHECK_EQ_U64(n, VF_DIGESTS_PER_PAGE);
    check_damage(&out, VF_PAGE_DIGESTS, 0);

    /* Runs that do not fit the count. */
    out.data[out.len - 1]++;
    CHECK_OK(vf_page_open(out.data, out.len, VF_PAGE_DIGESTS, 0, &page, &err), &err);
    CHECK_FAIL(vf_page_digests(&page, base, (struct vf_run){base, 70000}, got, &end, &err), &err,
               VF_ERR_FORMAT);
    /* A page that would reach behind the largest image. */
    out.data[out.len - 1]--;
    CHECK_FAIL(vf_page_digests(&page, VF_MAX_BLOCKS - 5, (struct vf_run){VF_MAX_BLOCKS - 5, 5}, got,
                               &end, &err),
               &err, VF_ERR_FORMAT);
    vf_buf_free(&out);
    vf_digest_builder_free(&b);
    free(md5);
    free(got);
}

TEST(nodes)
{
    const uint64_t max = VF_MAX_BLOCKS;
    struct vf_error err;
    struct vf_node seg[3] = {{.first = 0, .span = 1, .data = 1},
                             {.first = 1, .span = 256, .data = 256},
                             {.first = max - 1, .span = 1, .data = 1}};
    struct vf_node up[3] = {{.first = 0, .span = max, .data = 1, .kid = 0, .kids = 1},
                            {.first = 5, .span = 700, .data = 600, .kid = max - 256, .kids = 256},
                            {.first = 0, .span = max, .data = max, .kid = 0, .kids = 2}};
    const struct vf_node wrong1[] = {
        {.first = 0, .span = 0, .data = 0},          {.first = 0, .span = 257, .data = 257},
        {.first = 0, .span = 3, .data = 2},          {.first = max, .span = 1, .data = 1},
        {.first = UINT64_MAX, .span = 2, .data = 2}, {.first = 0, .span = 1, .data = 1, .kids = 1}};
    const struct vf_node wrong2[] = {{.first = 0, .span = 9, .data = 10, .kids = 1},
                                     {.first = 0, .span = 9, .data = 0, .kids = 1},
                                     {.first = 0, .span = 9, .data = 9, .kids = 0},
                                     {.first = 0, .span = 9, .data = 9, .kids = 257},
                                     {.first = 0, .span = 9, .data = 9, .kids = 2, .kid = max - 1},
                                     {.first = 1, .span = max, .data = 9, .kids = 1}};

    for (unsigned level = 1; level <= 2; level++) {
        const struct vf_node *in = level == 1 ? seg : up, *bad = level == 1 ? wrong1 : wrong2;
        struct vf_buf b = VF_BUF_INIT;
        struct vf_page page;
        struct vf_node got;

        vf_test_random(level, level == 1 ? seg[1].sha : up[1].sha, VF_SHA_LEN);
        for (size_t i = 0; i < 3; i++)
            CHECK_OK(vf_nodes_add(&b, level, &in[i], &err), &err);
        for (size_t i = 0; i < 6; i++)
            CHECK_FAIL(vf_nodes_add(&b, level, &bad[i], &err), &err, VF_ERR_RANGE);
        CHECK_EQ_U64(vf_nodes_count(&b, level), 3);
        vf_nodes_finish(&b, level);
        page = open_page(&b, VF_PAGE_NODES, level);
        for (uint32_t i = 0; i < 3; i++) {
            CHECK_OK(vf_page_node(&page, i, &got, &err), &err);
            CHECK_EQ_U64(got.first, in[i].first);
            CHECK_EQ_U64(got.span, in[i].span);
            CHECK_EQ_U64(got.data, in[i].data);
            CHECK_EQ_U64(got.kid, in[i].kid);
            CHECK_EQ_U64(got.kids, in[i].kids);
            CHECK_MEM(got.sha, in[i].sha, VF_SHA_LEN);
        }
        check_damage(&b, VF_PAGE_NODES, level);
        memset(b.data + VF_PAGE_HEAD, 0xff, VF_PAGE_HEAD); /* the first one: out of range */
        CHECK_OK(vf_page_open(b.data, b.len, VF_PAGE_NODES, level, &page, &err), &err);
        CHECK_FAIL(vf_page_node(&page, 0, &got, &err), &err, VF_ERR_FORMAT);
        vf_buf_free(&b);
    }
}

TEST(ids)
{
    for (unsigned width = 1; width <= 5; width++) {
        struct vf_ids_builder b = {.width = width};
        const uint64_t top = (UINT64_C(1) << (8 * width)) - 1;
        struct vf_buf out = VF_BUF_INIT;
        struct vf_error err;
        struct vf_page page;
        uint32_t n = 0;

        /* Groups of four equal ids, which must not be parted. */
        while (!vf_ids_builder_full(&b, n / 4 * 1000)) {
            CHECK_OK(vf_ids_builder_add(&b, n / 4 * 1000, (n * UINT64_C(7919)) & top, &err), &err);
            n++;
        }
        CHECK_EQ_U64(n, VF_IDS_PER_PAGE);
        CHECK_OK(vf_ids_builder_finish(&b, 3, &out, &err), &err);
        page = open_page(&out, VF_PAGE_IDS, 3);
        CHECK_EQ_U64(page.n, n);
        for (uint32_t i = 0; i < n; i++) {
            CHECK_EQ_U64(vf_page_id(&page, i), i / 4 * 1000);
            CHECK_EQ_U64(vf_page_number(&page, i), (i * UINT64_C(7919)) & top);
        }
        CHECK(page.filter != NULL);
        check_damage(&out, VF_PAGE_IDS, 3);
        vf_buf_free(&out);
        vf_ids_builder_free(&b);
    }
}

TEST(prints)
{
    static uint64_t fps[VF_PRINTS_PER_PAGE + 7000], times_of[VF_PRINTS_PER_PAGE + 7000];
    struct vf_prints_builder b = {.n = 0};
    struct vf_buf prints = VF_BUF_INIT, counts = VF_BUF_INIT;
    struct vf_count_iter it;
    struct vf_error err;
    struct vf_page p, c;
    uint64_t count;
    uint32_t n = 0;

    while (n < VF_PRINTS_PER_PAGE) {
        uint64_t times = n % 5 == 2 ? n : n == VF_PRINTS_PER_PAGE - 1 ? VF_MAX_BLOCKS : 1;

        fps[n] = UINT64_C(1) << 63 | n;
        times_of[n++] = times;
    }
    for (uint32_t at = 0;
         at < n;) { /* a few at a time; the last time more than there is room for */
        long took =
            vf_prints_builder_add(&b, fps + at, times_of + at, n - at < 7000 ? 7000 : 1000, &err);

        CHECK_GE0(took, &err);
        at += (uint32_t)took;
    }
    CHECK(vf_prints_builder_full(&b));
    CHECK(vf_prints_builder_add(&b, fps, times_of, 10, &err) == 0);
    vf_prints_builder_finish(&b, &prints, &counts);
    p = open_page(&prints, VF_PAGE_PRINTS, 0);
    c = open_page(&counts, VF_PAGE_COUNTS, 0);
    CHECK_EQ_U64(p.n, n);
    CHECK_OK(vf_count_iter_init(&it, &c, &err), &err);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t times = i % 5 == 2 ? i : i == VF_PRINTS_PER_PAGE - 1 ? VF_MAX_BLOCKS : 1;

        CHECK_EQ_U64(vf_page_print(&p, i), UINT64_C(1) << 63 | i);
        CHECK_OK(vf_count_iter_next(&it, &count, &err), &err);
        CHECK_EQ_U64(count, times);
    }
    check_damage(&prints, VF_PAGE_PRINTS, 0);
    check_damage(&counts, VF_PAGE_COUNTS, 0);

    /* Exceptions that point behind the end. */
    counts.data[counts.len - 7] = 0x7f;
    CHECK_OK(vf_page_open(counts.data, counts.len, VF_PAGE_COUNTS, 0, &c, &err), &err);
    CHECK_OK(vf_count_iter_init(&it, &c, &err), &err);
    for (n = 0; n < c.n && vf_count_iter_next(&it, &count, &err) == 0;)
        n++;
    CHECK(n < c.n);
    vf_buf_free(&prints);
    vf_buf_free(&counts);
    vf_prints_builder_free(&b);
}

TEST(numbers)
{
    uint8_t b[9];

    for (unsigned n = 1; n <= 8; n++) {
        const uint64_t v =
            UINT64_C(0x8877665544332211) & (n == 8 ? UINT64_MAX : (UINT64_C(1) << (8 * n)) - 1);

        b[n] = 0xaa;
        vf_stn(b, n, v);
        CHECK_EQ_U64(vf_ldn(b, n), v);
        CHECK_EQ_U64(b[0], 0x11);
        CHECK_EQ_U64(b[n], 0xaa);
        vf_be_put(b, n, v);
        CHECK_EQ_U64(vf_be_get(b, n), v);
        CHECK_EQ_U64(b[n - 1], 0x11);
        CHECK_EQ_U64(vf_width_of(v), n);
    }
    CHECK_EQ_U64(vf_width_of(0), 1);
    CHECK_EQ_U64(vf_width_of(255), 1);
    CHECK_EQ_U64(vf_width_of(256), 2);
}

TESTS(digests, nodes, ids, prints, numbers)

/* Searching the sorted lists, against plain loops: even lists, skewed ones, full of repeats. */
#include "index/lookup.h"
#include "tests/index/synth.h"

enum shape { EVEN, SKEWED, REPEATS, NARROW, SHAPES };

/* n ascending values of up to `bits` bits. */
static uint64_t *values(enum shape shape, size_t n, unsigned bits, uint64_t seed)
{
    uint64_t *v = malloc((n ? n : 1) * sizeof *v);
    struct synth_rng rng = {seed};

    CHECK(v != NULL);
    for (size_t i = 0; i < n; i++) {
        uint64_t x = synth_next(&rng) >> (64 - bits);

        v[i] = shape == EVEN      ? x
               : shape == SKEWED  ? x >> synth_below(&rng, bits)
               : shape == REPEATS ? x >> (bits - 6)
                                  : (UINT64_C(1) << (bits - 1)) + x % 1000;
    }
    qsort(v, n, sizeof *v, synth_compare_u64);
    return v;
}

static void check_ids(enum shape shape, size_t n, size_t m, uint64_t seed)
{
    struct vf_ids_builder b = {.width = 1 + (unsigned)(seed % 5)};
    uint64_t *v = values(shape, n, 48, seed), *q = values(shape, m, 48, seed + 1);
    uint32_t *got = malloc((m ? m : 1) * sizeof *got);
    struct vf_buf out = VF_BUF_INIT;
    struct vf_error err;
    struct vf_page page;
    size_t maybe, strangers = 0, slipped = 0;

    CHECK(got != NULL);
    for (size_t i = 0; i < m; i++)
        if (i % 3 == 0)
            q[i] = v[synth_mix(i) % n];
    qsort(q, m, sizeof *q, synth_compare_u64);
    for (size_t i = 0; i < n; i++)
        CHECK_OK(vf_ids_builder_add(&b, v[i], i & 0xff, &err), &err);
    CHECK_OK(vf_ids_builder_finish(&b, 1, &out, &err), &err);
    CHECK_OK(vf_page_open(out.data, out.len, VF_PAGE_IDS, 1, &page, &err), &err);
    vf_lookup_ids(&page, q, m, got);
    for (size_t i = 0, k = 0; i < m; i++) {
        while (k < n && v[k] < q[i])
            k++;
        CHECK_EQ_U64(got[i], k);
    }
    /* The filter lets through all that is there, and little else. */
    maybe = vf_lookup_filter(&page, q, m, got);
    for (size_t i = 0, k = 0, j = 0; i < m; i++) {
        bool there;

        while (k < n && v[k] < q[i])
            k++;
        there = k < n && v[k] == q[i];
        CHECK(!there || (j < maybe && got[j] == i));
        strangers += !there;
        slipped += !there && j < maybe && got[j] == i;
        j += j < maybe && got[j] == i;
    }
    CHECK(shape != EVEN || strangers < 500 || slipped * 140 < strangers + 700);
    vf_ids_builder_free(&b);
    vf_buf_free(&out);
    free(got);
    free(v);
    free(q);
}

TEST(ids)
{
    const size_t sizes[] = {1, 2, 3, 13, 1000, 16384};

    for (int shape = 0; shape < SHAPES; shape++)
        for (size_t i = 0; i < 6; i++)
            for (size_t k = 0; k < 6; k++)
                check_ids((enum shape)shape, sizes[i], sizes[k], i * 10 + k);
}

static size_t distinct(uint64_t *v, size_t n)
{
    size_t k = 0;

    for (size_t i = 0; i < n; i++)
        if (i == 0 || v[i] != v[k - 1])
            v[k++] = v[i];
    return k;
}

static void check_prints(enum shape shape, size_t n, size_t m, unsigned bits, uint64_t seed)
{
    struct vf_prints_builder b = {.n = 0};
    uint64_t *v = values(shape, n, bits, seed), *q = values(shape, m, bits, seed + 1);
    uint32_t *count = malloc(m * sizeof *count);
    uint8_t *hit = calloc(m, 1);
    struct vf_buf prints = VF_BUF_INIT, counts = VF_BUF_INIT;
    struct vf_shared got = {0, 0}, want = {0, 0};
    const uint64_t once = 1;
    struct vf_questions qs;
    struct vf_error err;
    struct vf_page page;
    size_t beyond;

    CHECK(count && hit);
    for (size_t i = 0; i < m; i++)
        if (i % 3 == 0)
            q[i] = v[synth_mix(i) % n];
    qsort(q, m, sizeof *q, synth_compare_u64);
    n = distinct(v, n);
    m = distinct(q, m);
    for (size_t i = 0; i < m; i++)
        count[i] = 1 + (uint32_t)(i % 9 == 0 ? UINT32_MAX - 1 : i % 7);
    for (size_t i = 0; i < n; i++)
        CHECK(vf_prints_builder_add(&b, &v[i], &once, 1, &err) == 1);
    vf_prints_builder_finish(&b, &prints, &counts);
    CHECK_OK(vf_page_open(prints.data, prints.len, VF_PAGE_PRINTS, 0, &page, &err), &err);
    qs = (struct vf_questions){q, count, hit, m};
    beyond = vf_lookup_prints(&page, &qs, 0, &got);
    for (size_t i = 0, k = 0; i < m; i++) {
        while (k < n && v[k] < q[i])
            k++;
        CHECK_EQ_U64(hit[i], k < n && v[k] == q[i]);
        want.distinct += hit[i];
        want.blocks += hit[i] ? count[i] : 0;
        CHECK((i < beyond) == (q[i] <= v[n - 1]));
    }
    CHECK_EQ_U64(got.distinct, want.distinct);
    CHECK_EQ_U64(got.blocks, want.blocks);
    vf_prints_builder_free(&b);
    vf_buf_free(&prints);
    vf_buf_free(&counts);
    free(count);
    free(hit);
    free(v);
    free(q);
}

TEST(prints)
{
    const size_t sizes[] = {1, 2, 30, 1000, 32760};

    for (int shape = 0; shape < SHAPES; shape++)
        for (size_t i = 0; i < 5; i++)
            for (size_t k = 0; k < 5; k++)
                for (unsigned bits = 20; bits <= 64; bits += 22)
                    check_prints((enum shape)shape, sizes[i], sizes[k], bits, i * 10 + k);
}

/* A list that is not sorted: any answer, but no read outside (the sanitizers watch). */
TEST(damaged)
{
    uint8_t *bytes = malloc(16 + 4096 * 8);
    struct vf_page page = {.body = bytes + 16, .len = 4096 * 8, .width = 2, .n = 4096};
    uint32_t count[600] = {0}, pos[600];
    uint8_t hit[600];
    uint64_t q[600];

    CHECK(bytes != NULL);
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct vf_questions qs = {q, count, hit, 1 + seed * 10};
        struct vf_shared got = {0, 0};
        struct synth_rng rng = {seed};

        vf_test_random(seed, bytes, 16 + 4096 * 8);
        for (size_t i = 0; i < 600; i++)
            q[i] = synth_next(&rng) >> (seed % 20);
        qsort(q, 600, sizeof *q, synth_compare_u64);
        page.kind = VF_PAGE_PRINTS;
        CHECK(vf_lookup_prints(&page, &qs, 0, &got) <= qs.n);
        page.kind = VF_PAGE_IDS;
        for (size_t i = 0; i < 600; i++)
            q[i] >>= 16;
        page.filter = bytes;
        CHECK(vf_lookup_filter(&page, q, qs.n, pos) <= qs.n);
        vf_lookup_ids(&page, q, qs.n, pos);
        for (size_t i = 0; i < qs.n; i++)
            CHECK(pos[i] <= page.n);
    }
    free(bytes);
}

TESTS(ids, prints, damaged)

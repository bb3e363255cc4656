/* Sketches against counts: what is exact is exact, what is estimated lies in its bounds. */
#include <string.h>

#include "tests/core/similar/sketches.h"

/* One content in 8 occurs more than once; a few occur very often. */
static uint32_t repeats(uint64_t content)
{
    const uint64_t x = fp_of(content ^ UINT64_C(0x5555));

    if (x % 10007 == 0)
        return 5000 + (uint32_t)(x % 900);
    if (x % 1009 == 0)
        return 40 + (uint32_t)(x % 60);
    return x % 8 == 0 ? 2 + (uint32_t)(x >> 8) % 6 : 1;
}

static bool inside(uint64_t v, const struct vf_bounded *b)
{
    return b->low <= v && v <= b->high && b->low <= b->value && b->value <= b->high;
}

TEST(few_contents_are_kept_whole)
{
    struct vf_sketch s = sketch_of(0, 5000, repeats, 7);
    uint64_t blocks = 0;

    for (uint64_t i = 0; i < 5000; i++)
        blocks += repeats(i);
    CHECK_EQ_U64(s.scale, 0);
    CHECK_EQ_U64(s.n, 5000);
    CHECK_EQ_U64(s.zero_blocks, 7);
    CHECK_EQ_U64(vf_sketch_distinct(&s), 5000);
    CHECK_EQ_U64(vf_sketch_blocks(&s), blocks);
    for (size_t i = 1; i < s.n; i++)
        CHECK(s.fp[i] > s.fp[i - 1]);
    for (size_t i = 0; i < s.heavy_n; i++)
        CHECK(s.heavy_count[i] >= VF_SKETCH_HEAVY_COUNT);
    CHECK(s.heavy_n > 3);
    vf_sketch_free(&s);
    s = sketch_of(0, 0, NULL, 12);
    CHECK_EQ_U64(s.n, 0);
    CHECK_EQ_U64(vf_sketch_distinct(&s), 0);
    vf_sketch_free(&s);
}

TEST(many_are_sampled)
{
    struct vf_sketch s = sketch_of(0, 300000, repeats, 0);
    uint32_t least = UINT32_MAX;
    size_t above = 0;

    CHECK_EQ_U64(s.scale, 5);
    CHECK(s.n > VF_SKETCH_SAMPLES / 2 && s.n <= VF_SKETCH_SAMPLES);
    CHECK_EQ_U64(vf_sketch_distinct(&s), 300000);
    CHECK_EQ_U64(s.heavy_n, VF_SKETCH_HEAVY);
    CHECK(s.fp[s.n - 1] < UINT64_C(1) << (48 - 5));
    /* The heavy ones are the heaviest: as many contents as are named, and ties, weigh so much. */
    for (size_t i = 0; i < s.heavy_n; i++)
        least = s.heavy_count[i] < least ? s.heavy_count[i] : least;
    for (uint64_t i = 0; i < 300000; i++)
        above += repeats(i) > least;
    CHECK(above < VF_SKETCH_HEAVY);
    vf_sketch_free(&s);
}

TEST(order_is_checked)
{
    struct vf_sketch_builder *b;
    struct vf_error err;

    CHECK_OK((b = vf_sketch_builder_new(&err)), &err);
    CHECK_OK(vf_sketch_builder_add(b, 5, 1, &err), &err);
    CHECK_FAIL(vf_sketch_builder_add(b, 5, 1, &err), &err, VF_ERR_RANGE);
    CHECK_FAIL(vf_sketch_builder_add(b, 4, 1, &err), &err, VF_ERR_RANGE);
    CHECK_FAIL(vf_sketch_builder_add(b, 6, 0, &err), &err, VF_ERR_RANGE);
    vf_sketch_builder_free(b);
    vf_sketch_builder_free(NULL);
}

static bool same(const struct vf_sketch *a, const struct vf_sketch *b)
{
    return a->scale == b->scale && a->n == b->n && a->heavy_n == b->heavy_n &&
           a->zero_blocks == b->zero_blocks && memcmp(a->fp, b->fp, a->n * 8) == 0 &&
           memcmp(a->count, b->count, a->n * 4) == 0 &&
           memcmp(a->heavy_fp, b->heavy_fp, a->heavy_n * 8) == 0 &&
           memcmp(a->heavy_count, b->heavy_count, a->heavy_n * 4) == 0 &&
           memcmp(a->stratum, b->stratum, sizeof a->stratum) == 0;
}

TEST(bytes_and_back)
{
    static const uint64_t sizes[] = {0, 1, 700, 40000, 300000};

    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct vf_sketch s = sketch_of(9, 9 + sizes[i], repeats, i), back;
        struct vf_buf b = VF_BUF_INIT;
        struct vf_error err;
        uint8_t *cut;

        CHECK_OK(vf_sketch_encode(&s, &b, &err), &err);
        CHECK_OK(vf_sketch_decode(b.data, b.len, &back, &err), &err);
        CHECK(same(&s, &back));
        vf_sketch_free(&back);
        for (size_t len = 0; len < b.len; len += 1 + b.len / 50) {
            CHECK_OK((cut = malloc(len ? len : 1)), &err);
            memcpy(cut, b.data, len);
            CHECK_FAIL(vf_sketch_decode(cut, len, &back, &err), &err, VF_ERR_FORMAT);
            free(cut);
        }
        CHECK_OK(vf_buf_u8(&b, 0, &err), &err);
        CHECK_FAIL(vf_sketch_decode(b.data, b.len, &back, &err), &err, VF_ERR_FORMAT);
        vf_buf_free(&b);
        vf_sketch_free(&s);
    }
}

/* A 6.5 million block image costs about 51 KB. */
TEST(size)
{
    struct vf_sketch_builder *b;
    struct vf_sketch s;
    struct vf_buf bytes = VF_BUF_INIT;
    struct vf_error err;

    CHECK_OK((b = vf_sketch_builder_new(&err)), &err);
    for (uint64_t i = 0; i < 6500000; i++)
        CHECK_OK(vf_sketch_builder_add(b, i * (UINT64_MAX / 6500000) + fp_of(i) % 1000000, 1, &err),
                 &err);
    CHECK_OK(vf_sketch_builder_finish(b, 0, &s, &err), &err);
    CHECK_EQ_U64(s.scale, 9);
    CHECK_OK(vf_sketch_encode(&s, &bytes, &err), &err);
    CHECK(bytes.len > 40000 && bytes.len < 56000);
    vf_sketch_builder_free(b);
    vf_sketch_free(&s);
    vf_buf_free(&bytes);
}

TEST(whole_sketches_count_exactly)
{
    struct vf_sketch t = sketch_of(0, 3000, repeats, 5), s = sketch_of(1000, 4000, NULL, 0);
    struct vf_sketch_set set = vf_sketch_as_set(&s);
    struct vf_likeness l;
    uint64_t blocks = 0;

    for (uint64_t i = 1000; i < 3000; i++)
        blocks += repeats(i);
    vf_sketch_compare(&t, &set, &l);
    CHECK_EQ_U64(l.shared_distinct.value, 2000);
    CHECK_EQ_U64(l.shared_distinct.low, 2000);
    CHECK_EQ_U64(l.shared_distinct.high, 2000);
    CHECK_EQ_U64(l.literals.low, 1000);
    CHECK_EQ_U64(l.literals.high, 1000);
    CHECK_EQ_U64(l.shared.value, blocks);
    CHECK_EQ_U64(l.shared.low, blocks);
    CHECK_EQ_U64(l.shared.high, blocks);
    CHECK(!l.has_zero);
    CHECK_EQ_U64(vf_likeness_blocks(&l, 5).value, blocks);
    l.has_zero = true;
    CHECK_EQ_U64(vf_likeness_blocks(&l, 5).low, blocks + 5);
    CHECK_EQ_U64(vf_likeness_distinct(&l, 5).high, 2001);
    vf_sketch_free(&t);
    vf_sketch_free(&s);
}

/* Random overlaps of images of different sizes: the truth lies in the bounds in 95 of 100. */
TEST(estimates_lie_in_their_bounds)
{
    unsigned trials = 0, shared_out = 0, distinct_out = 0;

    for (unsigned i = 0; i < 60; i++) {
        const uint64_t base = (uint64_t)i << 32, n = 20000 + fp_of(i) % 200000,
                       skip = fp_of(i + 1000) % n, more = fp_of(i + 2000) % 300000;
        struct vf_sketch t = sketch_of(base, base + n, repeats, 0),
                         s = sketch_of(base + skip, base + n + more, repeats, 1);
        struct vf_sketch_set set = vf_sketch_as_set(&s);
        uint64_t blocks = 0;
        struct vf_likeness l;

        for (uint64_t c = base + skip; c < base + n; c++)
            blocks += repeats(c);
        vf_sketch_compare(&t, &set, &l);
        CHECK_EQ_U64(l.shared_distinct.value + l.literals.value, n);
        CHECK_EQ_U64(l.shared_distinct.low + l.literals.high, n);
        shared_out += !inside(blocks, &l.shared);
        distinct_out += !inside(n - skip, &l.shared_distinct);
        trials++;
        vf_sketch_free(&t);
        vf_sketch_free(&s);
    }
    CHECK(distinct_out * 20 <= trials + 20); /* of 60 trials 3 are expected, 4 allowed */
    CHECK(shared_out * 20 <= trials + 20);
}

/* Nothing in common: the upper bound is small, and not zero. */
TEST(no_hit)
{
    struct vf_sketch t = sketch_of(0, 200000, NULL, 0), s = sketch_of(1000000, 1200000, NULL, 0);
    struct vf_sketch_set set = vf_sketch_as_set(&s), none = VF_SKETCH_SET_INIT;
    struct vf_likeness l;

    vf_sketch_compare(&t, &set, &l);
    CHECK_EQ_U64(l.hits, 0);
    CHECK_EQ_U64(l.shared_distinct.low, 0);
    CHECK(l.shared_distinct.high > 0 && l.shared_distinct.high < 200);
    CHECK(l.shared.high >= l.shared_distinct.high / 2 && l.shared.high < 400);
    vf_sketch_compare(&t, &none, &l); /* nothing held: nothing shared, for certain */
    CHECK_EQ_U64(l.shared.high, 0);
    CHECK_EQ_U64(l.shared_distinct.high, 0);
    CHECK_EQ_U64(l.literals.low, 200000);
    vf_likeness_same(&t, &l);
    CHECK_EQ_U64(l.literals.high, 0);
    CHECK_EQ_U64(l.shared.low, 200000);
    vf_sketch_free(&t);
    vf_sketch_free(&s);
}

/* One content makes half of the image, and is not a sample: what both name is known. */
static uint32_t one_heavy(uint64_t content) { return content == 77 ? 200000 : 1; }
static uint32_t rather_heavy(uint64_t content) { return content == 77 ? 50 : 1; }

TEST(heavy_contents)
{
    struct vf_sketch t = sketch_of(0, 200000, one_heavy, 0),
                     with = sketch_of(0, 100000, rather_heavy, 0),
                     light = sketch_of(0, 100000, NULL, 0);
    struct vf_sketch_set set = vf_sketch_as_set(&with);
    struct vf_likeness l;

    CHECK(fp_of(77) >> 48 > 0x1000); /* it is not among the samples */
    vf_sketch_compare(&t, &set, &l);
    CHECK(inside(299999, &l.shared));
    CHECK(l.shared.high - l.shared.low < 6000);
    set = vf_sketch_as_set(&light); /* held, but not named: anything may be */
    vf_sketch_compare(&t, &set, &l);
    CHECK(inside(299999, &l.shared));
    CHECK(inside(100000, &l.shared));
    vf_sketch_free(&t);
    vf_sketch_free(&with);
    vf_sketch_free(&light);
}

TEST(unions)
{
    struct vf_sketch s[3] = {sketch_of(0, 60000, NULL, 0), sketch_of(50000, 90000, repeats, 3),
                             sketch_of(85000, 400000, NULL, 0)},
                     t = sketch_of(20000, 420000, NULL, 0), whole = sketch_of(0, 400000, NULL, 0);
    struct vf_sketch_set each[3], all, coarse;
    struct vf_likeness l;
    struct vf_error err;
    size_t n = 0;

    for (unsigned i = 0; i < 3; i++)
        each[i] = vf_sketch_as_set(&s[i]);
    CHECK_OK(vf_sketch_union(each, 3, 0, 0, &all, &err), &err);
    CHECK_EQ_U64(all.scale, s[2].scale);
    CHECK_EQ_U64(all.images, 3);
    CHECK_EQ_U64(all.resident, 60000 + 40000 + 315000);
    CHECK(all.has_zero);
    /* The same samples as of one image with all these contents. */
    CHECK_EQ_U64(all.scale, whole.scale);
    CHECK_EQ_U64(all.n, whole.n);
    CHECK_MEM(all.fp, whole.fp, all.n * sizeof *all.fp);
    vf_sketch_compare(&t, &all, &l);
    CHECK(inside(380000, &l.shared_distinct));
    CHECK_OK(vf_sketch_union(each, 3, 1000, 12, &coarse, &err), &err);
    CHECK(coarse.n <= 1000 && coarse.n > 400 && coarse.scale > all.scale);
    while (n < all.n && all.fp[n] < UINT64_C(1) << (48 - coarse.scale))
        n++;
    CHECK_EQ_U64(coarse.n, n);
    vf_sketch_compare(&t, &coarse, &l);
    CHECK(inside(380000, &l.shared_distinct));
    vf_sketch_set_free(&all);
    vf_sketch_set_free(&coarse);
    CHECK_OK(vf_sketch_union(NULL, 0, 0, 0, &all, &err), &err);
    CHECK_EQ_U64(all.n, 0);
    vf_sketch_set_free(&all);
    for (unsigned i = 0; i < 3; i++)
        vf_sketch_free(&s[i]);
    vf_sketch_free(&t);
    vf_sketch_free(&whole);
}

TEST(reduced)
{
    struct vf_sketch s = sketch_of(0, 300000, repeats, 4), small;
    struct vf_error err;

    CHECK_OK(vf_sketch_reduce(&s, 1000, &small, &err), &err);
    CHECK(small.n <= 1000 && small.n > 400);
    CHECK_EQ_U64(small.heavy_n, 31);
    CHECK_EQ_U64(small.zero_blocks, 4);
    CHECK_EQ_U64(vf_sketch_distinct(&small), 300000);
    CHECK_MEM(small.fp, s.fp, small.n * sizeof *s.fp);
    vf_sketch_free(&small);
    CHECK_OK(vf_sketch_reduce(&s, 1u << 20, &small, &err), &err);
    CHECK(same(&s, &small));
    vf_sketch_free(&small);
    vf_sketch_free(&s);
}

TEST(intervals)
{
    double low, high;

    vf_share_interval(0, 0, &low, &high);
    CHECK(low == 0 && high == 1);
    vf_share_interval(0, 100, &low, &high);
    CHECK(low == 0 && high > 0.036 && high < 0.05); /* exact: 0.0362 */
    vf_share_interval(100, 100, &low, &high);
    CHECK(high == 1 && low < 0.964 && low > 0.95);
    /* Newcombe's example: 81 of 263, 0.2535 to 0.3682. */
    vf_share_interval(81, 263, &low, &high);
    CHECK(low > 0.2534 && low < 0.2536 && high > 0.3681 && high < 0.3683);
}

TESTS(few_contents_are_kept_whole, many_are_sampled, order_is_checked, bytes_and_back, size,
      whole_sketches_count_exactly, estimates_lie_in_their_bounds, no_hit, heavy_contents, unions,
      reduced, intervals)

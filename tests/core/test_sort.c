/* core/sort.c: against qsort, in memory and through temporary files. */
#include "core/sort.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/check.h"

static size_t g_key; /* qsort has no context */

static int compare(const void *a, const void *b) { return memcmp(a, b, g_key); }

/* What the keys look like: random; of three different values; with the same bytes in front, as big
 * numbers that count have. */
enum shape { RANDOM, FEW, ALIKE };

/* n records, numbered behind the key so that order shows. */
static void check(size_t record, size_t key, size_t n, uint64_t limit, enum shape shape)
{
    uint8_t *want = calloc(n + 1, record), *got = calloc(n + 1, record);
    struct vf_error err;
    struct vf_sorter *s = vf_sorter_new(record, key, limit, vf_test_tmpdir(), &err);
    size_t at = 0;
    const void *p;
    long k;

    CHECK(want && got);
    CHECK_OK(s, &err);
    vf_test_random(n, want, n * record);
    for (size_t i = 0; i < n; i++) {
        if (shape == FEW)
            memset(want + i * record, want[i * record] % 3, key);
        if (shape == ALIKE) {
            memset(want + i * record, 7, key - 1);
            want[i * record + key / 2] &= 1;
        }
        for (size_t b = 0; b < 4 && key + b < record; b++)
            want[i * record + key + b] = (uint8_t)(i >> (24 - 8 * b));
    }
    for (size_t i = 0; i < n; i += 1000)
        CHECK_OK(vf_sorter_add(s, want + i * record, n - i < 1000 ? n - i : 1000, &err), &err);
    CHECK_OK(vf_sorter_finish(s, &err), &err);
    while ((k = vf_sorter_next(s, &p, &err)) > 0) {
        CHECK(at + (size_t)k <= n);
        memcpy(got + at * record, p, (size_t)k * record);
        at += (size_t)k;
    }
    CHECK_GE0(k, &err);
    CHECK_EQ_U64(at, n);
    g_key = key + 4 <= record ? key + 4 : key; /* stable: the number decides between equal keys */
    qsort(want, n, record, compare);
    CHECK_MEM(got, want, n * record);
    vf_sorter_free(s);
    free(want);
    free(got);
}

TEST(in_memory)
{
    check(8, 8, 100000, 64u << 20, RANDOM);
    check(8, 8, 300000, 64u << 20, FEW);
    check(8, 8, 300000, 64u << 20, ALIKE);
    check(12, 8, 100000, 64u << 20, RANDOM);
    check(16, 8, 100000, 64u << 20, FEW);
    check(13, 5, 50000, 64u << 20, FEW);
    check(64, 3, 5000, 64u << 20, FEW);
    check(1, 1, 1000, 64u << 20, RANDOM);
}

TEST(few_records)
{
    for (size_t n = 0; n < 100; n += 7)
        check(12, 8, n, 1u << 20, n % 2 ? FEW : RANDOM);
}

TEST(keys_that_are_alike)
{
    check(13, 13, 50000, 64u << 20, ALIKE);
    check(12, 8, 50000, 64u << 20, ALIKE);
    check(24, 20, 30, 64u << 20, ALIKE); /* few records, which differ late */
    check(24, 20, 20000, 64u << 20, ALIKE);
    check(7, 3, 20000, 64u << 20, ALIKE);
    check(64, 64, 5000, 64u << 20, ALIKE);
    check(64, 64, 5000, 64u << 20, FEW);
}

/* Every size of record and key, with few and with many records. */
TEST(all_sizes)
{
    for (size_t record = 1; record <= VF_SORT_RECORD_MAX; record += record < 20 ? 1 : 11)
        for (size_t key = 1; key <= record; key += key < 17 ? 1 : 7) {
            check(record, key, 25, 1u << 20, RANDOM);
            check(record, key, 25, 1u << 20, ALIKE);
            check(record, key, 700, 1u << 20, RANDOM);
        }
}

TEST(spilled)
{
    check(8, 8, 100000, 0, RANDOM);
    check(8, 8, 100000, 0, FEW);
    check(8, 8, 9 * 4096, 0, ALIKE);
    check(12, 8, 200000, 0, RANDOM);
    check(12, 8, 200000, 300000, FEW);
    check(16, 8, 32768 / 16 * 9, 0, RANDOM); /* full to the last record */
}

TESTS(in_memory, few_records, keys_that_are_alike, all_sizes, spilled)

/* core/sort_words.c: against qsort. */
#include "core/sort_words.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/check.h"

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* n numbers of which only the bits of mask differ, sorted in a larger array whose ends must stay.
 */
static void check(size_t n, uint64_t mask)
{
    uint64_t *a = calloc(n + 2, sizeof *a), *want = calloc(n + 2, sizeof *a);
    uint64_t *scratch = calloc(n + 1, sizeof *a);

    CHECK(a && want && scratch);
    vf_test_random(n, a, (n + 2) * sizeof *a);
    for (size_t i = 1; i <= n; i++)
        a[i] &= mask;
    scratch[n] = 4711;
    memcpy(want, a, (n + 2) * sizeof *a);
    qsort(want + 1, n, sizeof *a, compare);
    vf_sort_words(a + 1, scratch, n);
    CHECK_MEM(a, want, (n + 2) * sizeof *a);
    CHECK_EQ_U64(scratch[n], 4711);
    free(a);
    free(want);
    free(scratch);
}

TEST(sizes)
{
    for (size_t n = 0; n < 3000; n += n < 100 ? 1 : 97)
        check(n, UINT64_MAX);
    check(300000, UINT64_MAX); /* more than fit into a cache */
}

TEST(bits)
{
    for (unsigned i = 0; i < 64; i += 3) {
        check(1000, UINT64_C(1) << i);
        check(1000, UINT64_MAX << i);
        check(1000, UINT64_MAX >> i);
    }
    check(100000, 7); /* many equal ones */
    check(100000, UINT64_C(0xff00000000000001));
    check(100000, 0);
}

TESTS(sizes, bits)

/* core/literals/places.c: every way finds the same places as a loop over all positions, and reads
 * no more than it says. */
#include "core/literals/places.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/lib/check.h"

#define N 20000u

static uint32_t found[N];
static uint8_t *data; /* N + VF_PLACE_LEN - 1 bytes, then a page that nobody may touch */

static void map(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), body = (N + VF_PLACE_LEN + page) / page * page;
    uint8_t *p =
        mmap(NULL, body + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(p != MAP_FAILED);
    CHECK(mprotect(p + body, page, PROT_NONE) == 0);
    data = p + body - N - VF_PLACE_LEN + 1;
}

/* Is it one?  Asked for the position alone, which no vector sees. */
static bool one(const uint8_t *p, bool few)
{
    uint32_t ret;

    return vf_places_find(VF_SIMD_PORTABLE, p, 1, few, &ret) == 1;
}

/* All ways on the last n positions.  Returns how many places there are. */
static size_t compare(size_t n, bool few)
{
    const uint8_t *p = data + N - n;
    size_t most = 0;

    for (unsigned way = 0; way < VF_SIMD_WAYS; way++) {
        size_t got, k = 0;

        if (!vf_simd_ok((enum vf_simd)way))
            continue;
        got = vf_places_find((enum vf_simd)way, p, n, few, found);
        for (size_t i = 0; i < n; i++)
            if (one(p + i, few)) {
                CHECK(k < got && found[k] == i);
                k++;
            }
        CHECK_EQ_U64(k, got);
        most = got;
    }
    return most;
}

TEST(all_ways_agree)
{
    size_t n;

    map();
    vf_test_random(3, data, N + VF_PLACE_LEN - 1);
    n = compare(N, false);
    CHECK(n > N / 64 * 7 / 10 && n < N / 64 * 13 / 10);
    n = compare(N, true);
    CHECK(n > N / 256 * 6 / 10 && n < N / 256 * 14 / 10);
    for (size_t k = 0; k < 300; k++)
        (void)compare(k, k % 2);
    for (size_t i = 0; i < N + VF_PLACE_LEN - 1; i++)
        data[i] = (uint8_t)((uint8_t) "disk image "[i % 11] + i / 1000);
    (void)compare(N, false);
    (void)compare(N, true);
}

/* Few are some of the others. */
TEST(few)
{
    uint32_t other[N];
    size_t n, m, k = 0;

    map();
    vf_test_random(5, data, N + VF_PLACE_LEN - 1);
    n = vf_places_find(vf_simd_best(), data, N, false, found);
    m = vf_places_find(vf_simd_best(), data, N, true, other);
    CHECK(m > 0 && m < n);
    for (size_t i = 0; i < n && k < m; i++)
        k += found[i] == other[k];
    CHECK_EQ_U64(k, m);
}

/* Shifted content has the same places; zeros have none. */
TEST(by_content)
{
    uint32_t other[N];
    size_t n, m;

    map();
    vf_test_random(4, data, N + VF_PLACE_LEN - 1);
    n = vf_places_find(vf_simd_best(), data, 10000, false, found);
    memmove(data + 4321, data, 10000 + VF_PLACE_LEN - 1);
    m = vf_places_find(vf_simd_best(), data + 4321, 10000, false, other);
    CHECK_EQ_U64(n, m);
    CHECK_MEM(found, other, n * sizeof *other);
    memset(data, 0, N + VF_PLACE_LEN - 1);
    CHECK_EQ_U64(compare(N, false), 0);
}

/* The worst content chooses every position: there is room for that. */
TEST(everywhere)
{
    map();
    for (unsigned b = 1; b < 256; b++) {
        memset(data, (int)b, N + VF_PLACE_LEN - 1);
        CHECK(compare(500, false) == 0 || compare(500, false) == 500);
    }
}

TESTS(all_ways_agree, few, by_content, everywhere)

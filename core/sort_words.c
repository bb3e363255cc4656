#include "core/sort_words.h"

#include <stdbool.h>
#include <string.h>

#define SMALL    24u /* numbers up to which an insertion sort is faster */
#define MOST     10u /* bits looked at in one pass */
#define FIRST    8u  /* the same where the numbers do not fit into a cache */
#define FIRST_IF (UINT64_C(1) << 16)

/* Sorts a into to, which may be a. */
static inline void insertion_sort(const uint64_t *a, uint64_t *to, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint64_t v = a[i];
        size_t k = i;

        for (; k && to[k - 1] > v; k--)
            to[k] = to[k - 1];
        to[k] = v;
    }
}

/* How many of the n numbers have each value of these bits, then where each begins: start[v] to
 * start[v + 1].  True if all have the same value. */
static bool count(const uint64_t *a, size_t n, unsigned shift, unsigned bits, size_t *start)
{
    const size_t values = (size_t)1 << bits, mask = values - 1;

    memset(start, 0, (values + 1) * sizeof *start);
    for (size_t i = 0; i < n; i++)
        start[(a[i] >> shift & mask) + 1]++;
    if (start[(a[0] >> shift & mask) + 1] == n)
        return true;
    for (size_t v = 0; v < values; v++)
        start[v + 1] += start[v];
    return false;
}

/* About one number for each value when they are spread evenly. */
static unsigned bits_for(size_t n, unsigned left)
{
    unsigned bits = 63 - (unsigned)__builtin_clzll(n);

    bits = n >= FIRST_IF ? FIRST : bits < MOST ? bits : MOST;
    return bits < left ? bits : left;
}

/* Sorts n numbers of which all bits but the low `left` ones are the same.  They are in a, and end
 * there or in b. */
static void sort_part(uint64_t *a, uint64_t *b, size_t n, unsigned left, bool to_b)
{
    size_t start[(1u << MOST) + 1], next[1u << MOST];
    unsigned bits;

    do {
        if (left == 0 || n <= SMALL) {
            if (left)
                insertion_sort(a, to_b ? b : a, n);
            else if (to_b)
                memcpy(b, a, n * sizeof *a);
            return;
        }
        bits = bits_for(n, left);
        left -= bits;
    } while (count(a, n, left, bits, start));
    memcpy(next, start, sizeof *next << bits);
    for (size_t i = 0; i < n; i++)
        b[next[a[i] >> left & (((size_t)1 << bits) - 1)]++] = a[i];
    for (size_t v = 0; v < (size_t)1 << bits; v++) {
        const size_t at = start[v], some = start[v + 1] - at;

        if (some > SMALL)
            sort_part(b + at, a + at, some, left, !to_b);
        else
            insertion_sort(b + at, to_b ? b + at : a + at, some);
    }
}

void vf_sort_words(uint64_t *a, uint64_t *scratch, size_t n)
{
    if (n > 1)
        sort_part(a, scratch, n, 64, false);
}

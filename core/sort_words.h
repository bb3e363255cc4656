/* core/sort_words.h - sorts numbers of 64 bits in memory; the part of core/numbers.c that has
 * to be fast: an index sorts one of them for each block of an image.
 *
 * Thread rules: a pure function. */
#ifndef VF_CORE_SORT_WORDS_H
#define VF_CORE_SORT_WORDS_H

#include <stddef.h>
#include <stdint.h>

/* Sorts a[0..n), ascending.  scratch: room for n numbers too; what is in it then is undefined.
 * Fastest where the numbers are spread evenly, never much slower than a merge sort. */
void vf_sort_words(uint64_t *a, uint64_t *scratch, size_t n);

#endif

/* core/literals/places.h - which places of some content are worth remembering: chosen by the
 * content itself, so that the same bytes are chosen wherever they lie.
 *
 * A place is a byte where a short product over it and the VF_PLACE_LEN - 1 bytes behind it is
 * large: about one in 64.  No place has zeros only.  Every position stands for itself, so that as
 * many are looked at together as a register holds; a rolling hash would go byte by byte.
 *
 * Thread rules: pure functions, any thread. */
#ifndef VF_CORE_PLACES_H
#define VF_CORE_PLACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/simd.h"

#define VF_PLACE_LEN 8u /* bytes that decide */

/* The places among the n bytes at data, ascending, to ret, which has room for n; returns how many.
 * few: one in 256, else in 64.  way must be ok.  Reads n + VF_PLACE_LEN - 1 bytes and nothing else.
 */
size_t vf_places_find(enum vf_simd way, const uint8_t *data, size_t n, bool few, uint32_t *ret);

#endif

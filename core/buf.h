/* core/buf.h - a growable byte buffer, and a bounded reader over bytes from outside.
 *
 * Integers are little-endian.  "varint" is LEB128: seven bits a byte, least significant first,
 * the top bit set on all but the last; at most ten bytes, and the shortest form only.
 *
 * Thread rules: an object belongs to one thread at a time. */
#ifndef VF_CORE_BUF_H
#define VF_CORE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

/* Invariant: len <= cap; data is NULL only while cap is 0.  Read fields freely, change them through
 * calls. */
struct vf_buf {
    uint8_t *data;
    size_t len, cap;
};
#define VF_BUF_INIT                                                                                \
    {                                                                                              \
        NULL, 0, 0                                                                                 \
    }

void vf_buf_free(struct vf_buf *b); /* releases and re-initialises; b may be empty */
static inline void vf_buf_clear(struct vf_buf *b) { b->len = 0; } /* keeps the memory */

/* Room for n more bytes behind len.  0, or -1 (NOMEM). */
int vf_buf_reserve(struct vf_buf *b, size_t n, struct vf_error *err) VF_MUST_CHECK;

/* Append.  0, or -1 (NOMEM) with the buffer unchanged. */
int vf_buf_add(struct vf_buf *b, const void *p, size_t n, struct vf_error *err) VF_MUST_CHECK;
int vf_buf_u8(struct vf_buf *b, uint8_t v, struct vf_error *err) VF_MUST_CHECK;
int vf_buf_u16(struct vf_buf *b, uint16_t v, struct vf_error *err) VF_MUST_CHECK;
int vf_buf_u32(struct vf_buf *b, uint32_t v, struct vf_error *err) VF_MUST_CHECK;
int vf_buf_u64(struct vf_buf *b, uint64_t v, struct vf_error *err) VF_MUST_CHECK;
int vf_buf_varint(struct vf_buf *b, uint64_t v, struct vf_error *err) VF_MUST_CHECK;
/* varint length and the bytes, no terminating zero */
int vf_buf_str(struct vf_buf *b, const char *s, struct vf_error *err) VF_MUST_CHECK;

/* What is in it as a text: with a zero at the end, the caller's to free.  *b is empty then, also
 * when there is no memory (NULL). */
char *vf_buf_text(struct vf_buf *b, struct vf_error *err) VF_MUST_CHECK;

/* A cursor over len bytes that somebody else keeps alive. */
struct vf_reader {
    const uint8_t *p, *end;
};
static inline struct vf_reader vf_reader_over(const void *p, size_t len)
{
    return (struct vf_reader){p, len ? (const uint8_t *)p + len : p};
}
static inline size_t vf_reader_left(const struct vf_reader *r) { return (size_t)(r->end - r->p); }

/* Each takes its bytes off the front.  true on success; false when too few bytes are left (or the
 * varint is malformed), *ret and the cursor then unchanged. */
bool vf_reader_u8(struct vf_reader *r, uint8_t *ret);
bool vf_reader_u16(struct vf_reader *r, uint16_t *ret);
bool vf_reader_u32(struct vf_reader *r, uint32_t *ret);
bool vf_reader_u64(struct vf_reader *r, uint64_t *ret);
bool vf_reader_varint(struct vf_reader *r, uint64_t *ret);
bool vf_reader_copy(struct vf_reader *r, void *ret, size_t n);
bool vf_reader_bytes(struct vf_reader *r, size_t n, const uint8_t **ret); /* *ret borrows */
/* varint length (at most max) and bytes without NUL; *ret borrows, and no NUL follows. */
bool vf_reader_str(struct vf_reader *r, size_t max, const char **ret, size_t *ret_len);

#endif

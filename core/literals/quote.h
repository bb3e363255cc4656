/* core/literals/quote.h - finds literals that repeat earlier content of the same image, byte by
 * byte.
 *
 * zstd sees as far back as its window, and never what the receiver had already.  A quote sees
 * further: it names bytes of the image that lie before, sent or found there, and the receiver reads
 * them from its own copy.  The memory for that is a table of places, not a window: about one place
 * (core/literals/places.h) for 64 bytes of content is remembered, the newest displacing the oldest.
 * So quotes reach back about eight times the size of the table, and what they point at is still in
 * the page cache of both sides.
 *
 * What a place costs is the way to memory and back, and a short quote costs both sides a read.  In
 * a hurry, one place for 256 bytes is looked at, and short quotes are left to the compressor.
 *
 * Every match is compared with the image before it is used.
 *
 * Thread rules: one thread at a time. */
#ifndef VF_CORE_QUOTE_H
#define VF_CORE_QUOTE_H

#include "core/block.h"
#include "core/buf.h"
#include "core/image.h"

#define VF_QUOTE_LEAST 64u   /* bytes; shorter ones cost more than they save */
#define VF_QUOTES_MAX  4096u /* in one record */

struct vf_quote {
    uint64_t at;   /* first byte, counted in the literal bytes of the record */
    uint64_t len;  /* bytes */
    uint64_t from; /* byte of the image where the same bytes are */
};

struct vf_quoter;

/* The image is borrowed until free.  table_bytes: at most so much for the table (a power of two is
 * used, at least 1 MiB); other memory is below 1 MiB. */
struct vf_quoter *vf_quoter_new(struct vf_image *image, uint64_t table_bytes, struct vf_error *err);
void vf_quoter_free(struct vf_quoter *q);

/* As vf_table_touch. */
void vf_quoter_touch(struct vf_quoter *q);

/* Is time short from here on?  Not, at first. */
void vf_quoter_hurry(struct vf_quoter *q, bool hurry);

/* Content that the receiver has: n blocks at `first`.  Later literals may quote it. */
void vf_quoter_note(struct vf_quoter *q, uint64_t first, size_t n, const uint8_t *data);

/* Looks through n literal blocks at `first`, which lie `at` bytes into a record whose first block
 * is `record`; what they quote ends before that block.  Adds struct vf_quote to *ret, which has
 * VF_QUOTES_MAX at most, ascending.  Later records may quote these blocks. */
int vf_quoter_find(struct vf_quoter *q, uint64_t record, uint64_t first, size_t n,
                   const uint8_t *data, uint64_t at, struct vf_buf *ret,
                   struct vf_error *err) VF_MUST_CHECK;

/* Is it worth the time to read and note n more blocks of what the receiver has?  A sample is noted
 * always, more only as long as it gets quoted, and less of it in a hurry. */
bool vf_quoter_wants(struct vf_quoter *q, size_t n);

#endif

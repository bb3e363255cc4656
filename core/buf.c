/* core/buf.c - growable bytes and the bounded reader. */
#include "core/buf.h"

#include <stdlib.h>
#include <string.h>

#include "core/checked.h"

#define VARINT_MAX 10 /* bytes of the longest varint */

void vf_buf_free(struct vf_buf *b)
{
    free(b->data);
    *b = (struct vf_buf)VF_BUF_INIT;
}

int vf_buf_reserve(struct vf_buf *b, size_t n, struct vf_error *err)
{
    size_t need, cap = b->cap < 64 ? 64 : b->cap;
    uint8_t *data;

    if (!vf_add_ok(b->len, n, &need) || need > PTRDIFF_MAX)
        return vf_error_nomem(err);
    if (need <= b->cap && b->data)
        return 0;
    while (cap < need)
        cap = cap > PTRDIFF_MAX / 2 ? need : cap * 2;
    data = realloc(b->data, cap);
    if (!data)
        return vf_error_nomem(err);
    b->data = data;
    b->cap = cap;
    return 0;
}

int vf_buf_add(struct vf_buf *b, const void *p, size_t n, struct vf_error *err)
{
    if (vf_buf_reserve(b, n, err) < 0)
        return -1;
    if (n)
        memcpy(b->data + b->len, p, n);
    b->len += n;
    return 0;
}

/* The low n bytes of v, least significant first. */
static int add_le(struct vf_buf *b, uint64_t v, size_t n, struct vf_error *err)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(v >> (8 * i));
    return vf_buf_add(b, bytes, n, err);
}

int vf_buf_u8(struct vf_buf *b, uint8_t v, struct vf_error *err) { return add_le(b, v, 1, err); }
int vf_buf_u16(struct vf_buf *b, uint16_t v, struct vf_error *err) { return add_le(b, v, 2, err); }
int vf_buf_u32(struct vf_buf *b, uint32_t v, struct vf_error *err) { return add_le(b, v, 4, err); }
int vf_buf_u64(struct vf_buf *b, uint64_t v, struct vf_error *err) { return add_le(b, v, 8, err); }

int vf_buf_varint(struct vf_buf *b, uint64_t v, struct vf_error *err)
{
    uint8_t bytes[VARINT_MAX];
    size_t n = 0;

    for (; v >= 0x80; v >>= 7)
        bytes[n++] = (uint8_t)(v | 0x80);
    bytes[n++] = (uint8_t)v;
    return vf_buf_add(b, bytes, n, err);
}

int vf_buf_str(struct vf_buf *b, const char *s, struct vf_error *err)
{
    size_t len = strlen(s), need;

    /* Room for both parts first: a failure must leave the buffer as it was. */
    if (!vf_add_ok(len, (size_t)VARINT_MAX, &need))
        return vf_error_nomem(err);
    if (vf_buf_reserve(b, need, err) < 0 || vf_buf_varint(b, len, err) < 0)
        return -1;
    return vf_buf_add(b, s, len, err);
}

char *vf_buf_text(struct vf_buf *b, struct vf_error *err)
{
    char *text = NULL;

    if (vf_buf_u8(b, 0, err) == 0) {
        text = (char *)b->data;
        b->data = NULL;
    }
    vf_buf_free(b);
    return text;
}

bool vf_reader_bytes(struct vf_reader *r, size_t n, const uint8_t **ret)
{
    if (vf_reader_left(r) < n)
        return false;
    *ret = r->p;
    if (n)
        r->p += n;
    return true;
}

bool vf_reader_copy(struct vf_reader *r, void *ret, size_t n)
{
    const uint8_t *p;

    if (!vf_reader_bytes(r, n, &p))
        return false;
    if (n)
        memcpy(ret, p, n);
    return true;
}

/* n bytes, least significant first. */
static bool take_le(struct vf_reader *r, size_t n, uint64_t *ret)
{
    const uint8_t *p;
    uint64_t v = 0;

    if (!vf_reader_bytes(r, n, &p))
        return false;
    for (size_t i = 0; i < n; i++)
        v |= (uint64_t)p[i] << (8 * i);
    *ret = v;
    return true;
}

bool vf_reader_u8(struct vf_reader *r, uint8_t *ret)
{
    uint64_t v;

    if (!take_le(r, 1, &v))
        return false;
    *ret = (uint8_t)v;
    return true;
}

bool vf_reader_u16(struct vf_reader *r, uint16_t *ret)
{
    uint64_t v;

    if (!take_le(r, 2, &v))
        return false;
    *ret = (uint16_t)v;
    return true;
}

bool vf_reader_u32(struct vf_reader *r, uint32_t *ret)
{
    uint64_t v;

    if (!take_le(r, 4, &v))
        return false;
    *ret = (uint32_t)v;
    return true;
}

bool vf_reader_u64(struct vf_reader *r, uint64_t *ret) { return take_le(r, 8, ret); }

bool vf_reader_varint(struct vf_reader *r, uint64_t *ret)
{
    size_t left = vf_reader_left(r);
    uint64_t v = 0;

    for (size_t i = 0; i < left && i < VARINT_MAX; i++) {
        uint8_t c = r->p[i];

        if (i == VARINT_MAX - 1 && c > 1)
            return false; /* more than 64 bits */
        v |= (uint64_t)(c & 0x7f) << (7 * i);
        if (c & 0x80)
            continue;
        if (c == 0 && i > 0)
            return false; /* a shorter form exists */
        *ret = v;
        r->p += i + 1;
        return true;
    }
    return false;
}

bool vf_reader_str(struct vf_reader *r, size_t max, const char **ret, size_t *ret_len)
{
    struct vf_reader at = *r;
    const uint8_t *p;
    uint64_t len;

    if (!vf_reader_varint(&at, &len) || len > max || len > vf_reader_left(&at) ||
        !vf_reader_bytes(&at, (size_t)len, &p))
        return false;
    if (len && memchr(p, 0, (size_t)len))
        return false;
    *ret = (const char *)p;
    *ret_len = (size_t)len;
    *r = at;
    return true;
}

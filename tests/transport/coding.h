/* tests/transport/coding.h - encoding and decoding with checks. */
#ifndef VF_TESTS_TRANSPORT_CODING_H
#define VF_TESTS_TRANSPORT_CODING_H

#include <stdlib.h>
#include <string.h>

#include "tests/lib/check.h"
#include "tests/transport/samples.h"
#include "transport/frame.h"
#include "transport/message.h"

static inline struct vf_buf encoded(const struct vf_msg *m)
{
    struct vf_buf b = VF_BUF_INIT;
    struct vf_error err;

    CHECK_OK(vf_msg_encode(m, &b, &err), &err);
    return b;
}

/* Decodes from a block of exactly that length, so that a sanitizer sees each byte too far. */
static inline int decode(unsigned type, const uint8_t *p, size_t len, struct vf_msg *ret,
                         struct vf_error *err)
{
    uint8_t *exact = malloc(len ? len : 1);
    int rc;

    CHECK(exact != NULL);
    if (len)
        memcpy(exact, p, len);
    rc = vf_msg_decode((uint8_t)type, len ? exact : NULL, len, ret, err);
    free(exact);
    return rc;
}

static inline void there_and_back(const struct vf_msg *m)
{
    struct vf_buf a = encoded(m), b;
    struct vf_error err;
    struct vf_msg back;

    CHECK(a.len <= vf_frame_ceiling((uint8_t)m->type));
    CHECK_OK(decode(m->type, a.data, a.len, &back, &err), &err);
    check_same_msg(m, &back);
    b = encoded(&back);
    CHECK_EQ_U64(a.len, b.len);
    CHECK_MEM(a.data, b.data, a.len);
    vf_msg_free(&back);
    vf_buf_free(&a);
    vf_buf_free(&b);
}

#endif

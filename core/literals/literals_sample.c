/* How well the literal stream would compress, from pieces of what would be in it. */
#include <stdlib.h>
#include <zstd.h>

#include "core/checked.h"
#include "core/literals/literals.h"
#include "core/literals/literals_impl.h"

#define LEVEL       3  /* VF_LEVEL_FIRST, which most migrations stay at */
#define NEAR_WINDOW 22 /* 2^n bytes */
#define FAR_WINDOW  26 /* all pieces that anybody takes */
#define OUT_LEN     (128u * 1024)

struct vf_sampler {
    ZSTD_CCtx *near, *far;
    uint8_t out[OUT_LEN]; /* looked at by nobody */
};

static ZSTD_CCtx *coder(int window_log, int far, struct vf_error *err)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();

    if (!c) {
        (void)vf_error_nomem(err); /* the NULL says it */
        return NULL;
    }
    /* They are within the limits of these parameters, and no frame has begun: it cannot fail. */
    (void)ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, LEVEL);
    (void)ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, window_log);
    (void)ZSTD_CCtx_setParameter(c, ZSTD_c_enableLongDistanceMatching, far);
    return c;
}

struct vf_sampler *vf_sampler_new(struct vf_error *err)
{
    struct vf_sampler *s = vf_calloc(1, sizeof *s, err);

    if (!s)
        return NULL;
    s->near = coder(NEAR_WINDOW, 0, err);
    s->far = s->near ? coder(FAR_WINDOW, 1, err) : NULL;
    if (!s->far) {
        vf_sampler_free(s);
        return NULL;
    }
    return s;
}

void vf_sampler_free(struct vf_sampler *s)
{
    if (!s)
        return;
    ZSTD_freeCCtx(s->near);
    ZSTD_freeCCtx(s->far);
    free(s);
}

static int add(struct vf_sampler *s, ZSTD_CCtx *c, const uint8_t *data, size_t len, size_t *ret,
               struct vf_error *err)
{
    ZSTD_inBuffer in = {data, len, 0};
    size_t left, n = 0;

    do {
        ZSTD_outBuffer out = {s->out, OUT_LEN, 0};

        left = ZSTD_compressStream2(c, &out, &in, ZSTD_e_flush);
        if (ZSTD_isError(left))
            return vf_zstd_failed(left, err);
        n += out.pos;
    } while (left);
    *ret = n;
    return 0;
}

int vf_sampler_add(struct vf_sampler *s, const uint8_t *data, size_t len, size_t *ret_near,
                   size_t *ret_far, struct vf_error *err)
{
    if (add(s, s->near, data, len, ret_near, err) < 0)
        return -1;
    return add(s, s->far, data, len, ret_far, err);
}

#include "core/map/scanned.h"

#include "core/map/scan.h"

static int take(void *ctx, const struct vf_node *nodes, size_t n, const uint8_t (*md5)[VF_MD5_LEN],
                uint64_t upto, struct vf_error *err)
{
    struct vf_scanned *s = ctx;
    size_t blocks = 0;

    (void)upto;
    for (size_t i = 0; i < n; i++)
        blocks += (size_t)nodes[i].span;
    if (vf_buf_add(&s->nodes, nodes, n * sizeof *nodes, err) < 0)
        return -1;
    return vf_buf_add(&s->md5s, md5, blocks * VF_MD5_LEN, err);
}

int vf_scanned_read(struct vf_scanned *s, struct vf_image *image, struct vf_run range,
                    const volatile int *stop, struct vf_error *err)
{
    vf_buf_clear(&s->nodes);
    vf_buf_clear(&s->md5s);
    if (!s->scanner)
        s->scanner = vf_scanner_new(s->workers, err);
    return s->scanner ? vf_scanner_run(s->scanner, image, range, take, s, stop, err) : -1;
}

const struct vf_node *vf_scanned_nodes(const struct vf_scanned *s, size_t *ret_n)
{
    *ret_n = s->nodes.len / sizeof(struct vf_node);
    return (const struct vf_node *)(const void *)s->nodes.data;
}

const uint8_t (*vf_scanned_md5s(const struct vf_scanned *s))[VF_MD5_LEN]
{
    uint8_t(*p)[VF_MD5_LEN] = (void *)s->md5s.data;

    return (const uint8_t(*)[VF_MD5_LEN])p;
}

void vf_scanned_free(struct vf_scanned *s)
{
    vf_buf_free(&s->nodes);
    vf_buf_free(&s->md5s);
    vf_scanner_free(s->scanner);
    s->scanner = NULL;
}

#include "core/pages.h"

#include <string.h>

#include "core/checked.h"

#define PAGE  65536u
#define SLOTS 128u
#define AHEAD 4096u /* bytes of a plain file that are read at least */

struct vf_pages {
    struct vf_image *image;
    uint64_t slot[SLOTS]; /* page number + 1; 0: empty */
    uint8_t *data;        /* NULL: a plain file */
    uint64_t ahead_at;    /* of that, what was read last */
    size_t ahead_len;
    uint8_t ahead[AHEAD];
};

struct vf_pages *vf_pages_new(struct vf_image *image, struct vf_error *err)
{
    struct vf_pages *p = vf_calloc(1, sizeof *p, err);

    if (!p)
        return NULL;
    p->image = image;
    if (vf_image_plain_fd(image) >= 0)
        return p;
    p->data = vf_calloc(SLOTS, PAGE, err);
    if (!p->data) {
        free(p);
        return NULL;
    }
    return p;
}

void vf_pages_free(struct vf_pages *p)
{
    if (!p)
        return;
    free(p->data);
    free(p);
}

/* From a plain file.  The next read is often right behind. */
static int read_plain(struct vf_pages *p, uint8_t *to, size_t len, uint64_t off, uint64_t settled,
                      struct vf_error *err)
{
    uint64_t end = settled < p->image->size ? settled : p->image->size;

    if (len > AHEAD || end < AHEAD || off > end - AHEAD)
        return vf_image_read(p->image, to, len, off, err);
    if (off < p->ahead_at || off + len > p->ahead_at + p->ahead_len) {
        p->ahead_len = 0;
        if (vf_image_read(p->image, p->ahead, AHEAD, off, err) < 0)
            return -1;
        p->ahead_at = off;
        p->ahead_len = AHEAD;
    }
    memcpy(to, p->ahead + (off - p->ahead_at), len);
    return 0;
}

int vf_pages_read(struct vf_pages *p, void *buf, size_t len, uint64_t off, uint64_t settled,
                  struct vf_error *err)
{
    uint8_t *to = buf;

    if (!p->data)
        return read_plain(p, to, len, off, settled, err);
    while (len) {
        uint64_t page = off / PAGE;
        size_t in = off % PAGE, n = PAGE - in < len ? PAGE - in : len;
        uint8_t *data = p->data + page % SLOTS * PAGE;

        if ((page + 1) * PAGE > settled || (page + 1) * PAGE > p->image->size)
            break; /* and what follows as well */
        if (p->slot[page % SLOTS] != page + 1) {
            p->slot[page % SLOTS] = 0;
            if (vf_image_read(p->image, data, PAGE, page * PAGE, err) < 0)
                return -1;
            p->slot[page % SLOTS] = page + 1;
        }
        memcpy(to, data + in, n);
        to += n;
        off += n;
        len -= n;
    }
    return len ? vf_image_read(p->image, to, len, off, err) : 0;
}

void vf_pages_drop(struct vf_pages *p)
{
    memset(p->slot, 0, sizeof p->slot);
    p->ahead_len = 0;
}

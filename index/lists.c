/* index/lists.c - the sorted lists of a map in the making. */
#include "index/lists.h"

#include <string.h>

#include "core/checked.h"
#include "core/sort.h"
#include "index/le.h"
#include "index/pages.h"

#define AT_ONCE 512u

/* Records of the sorters; big-endian, the whole record is the key. */
#define PRINT_LEN 8u  /* fingerprint */
#define ID_LEN    12u /* level (1), id (6), number (5) */

/* Records that a sorter has handed out. */
struct taking {
    const uint8_t *p;
    size_t left, len; /* records; bytes of each */
};

struct vf_lists {
    struct vf_sorter *prints, *ids;
    struct taking print, id;
    uint64_t last_id; /* with its level; how often it came */
    unsigned same;
};

struct vf_lists *vf_lists_new(const char *tmpdir, struct vf_error *err)
{
    struct vf_lists *l = vf_calloc(1, sizeof *l, err);

    if (!l)
        return NULL;
    l->print.len = PRINT_LEN;
    l->id.len = ID_LEN;
    l->last_id = UINT64_MAX;
    l->prints = vf_sorter_new(PRINT_LEN, PRINT_LEN, VF_LISTS_MEMORY / 4 * 3, tmpdir, err);
    if (l->prints)
        l->ids = vf_sorter_new(ID_LEN, ID_LEN, VF_LISTS_MEMORY / 4, tmpdir, err);
    if (!l->ids) {
        vf_lists_free(l);
        return NULL;
    }
    return l;
}

void vf_lists_free(struct vf_lists *l)
{
    if (!l)
        return;
    vf_sorter_free(l->prints);
    vf_sorter_free(l->ids);
    free(l);
}

int vf_lists_digests(struct vf_lists *l, const uint8_t (*md5)[VF_MD5_LEN], size_t n,
                     struct vf_error *err)
{
    uint8_t rec[AT_ONCE * PRINT_LEN];

    while (n) {
        const size_t some = n < AT_ONCE ? n : AT_ONCE;

        for (size_t i = 0; i < some; i++)
            memcpy(rec + i * PRINT_LEN, md5[i], PRINT_LEN);
        if (vf_sorter_add(l->prints, rec, some, err) < 0)
            return -1;
        md5 += some;
        n -= some;
    }
    return 0;
}

int vf_lists_nodes(struct vf_lists *l, unsigned level, uint64_t number, const struct vf_node *nodes,
                   size_t n, struct vf_error *err)
{
    uint8_t rec[AT_ONCE * ID_LEN];

    while (n) {
        const size_t some = n < AT_ONCE ? n : AT_ONCE;

        for (size_t i = 0; i < some; i++) {
            rec[i * ID_LEN] = (uint8_t)level;
            memcpy(rec + i * ID_LEN + 1, nodes[i].sha, VF_ID_LEN);
            vf_be_put(rec + i * ID_LEN + 7, 5, number + i);
        }
        if (vf_sorter_add(l->ids, rec, some, err) < 0)
            return -1;
        number += some;
        nodes += some;
        n -= some;
    }
    return 0;
}

int vf_lists_finish(struct vf_lists *l, struct vf_error *err)
{
    return vf_sorter_finish(l->prints, err) < 0 || vf_sorter_finish(l->ids, err) < 0 ? -1 : 0;
}

/* The record that comes next, without taking it: 1, 0 at the end, -1. */
static int peek(struct vf_sorter **s, struct taking *t, struct vf_error *err)
{
    const void *p;
    long n;

    if (t->left)
        return 1;
    if (!*s)
        return 0;
    n = vf_sorter_next(*s, &p, err);
    if (n < 0)
        return -1;
    if (n == 0) {
        vf_sorter_free(*s);
        *s = NULL;
        return 0;
    }
    t->p = p;
    t->left = (size_t)n;
    return 1;
}

static void take(struct taking *t)
{
    t->p += t->len;
    t->left--;
}

int vf_lists_next_print(struct vf_lists *l, uint64_t *ret_fp, uint64_t *ret_count,
                        struct vf_error *err)
{
    struct taking *t = &l->print;
    uint64_t fp = 0, count = 0;
    int rc;

    while ((rc = peek(&l->prints, t, err)) > 0) {
        if (count == 0)
            fp = vf_be64(t->p);
        for (; t->left && vf_be64(t->p) == fp; count++)
            take(t);
        if (t->left)
            break;
    }
    *ret_fp = fp;
    *ret_count = count;
    return rc < 0 ? -1 : count > 0;
}

int vf_lists_next_id(struct vf_lists *l, unsigned *ret_level, uint64_t *ret_id,
                     uint64_t *ret_number, struct vf_error *err)
{
    int rc;

    while ((rc = peek(&l->ids, &l->id, err)) > 0) {
        const uint64_t id = vf_be_get(l->id.p, 1 + VF_ID_LEN);
        const uint64_t number = vf_be_get(l->id.p + 1 + VF_ID_LEN, 5);

        take(&l->id);
        l->same = id == l->last_id ? l->same + 1 : 1;
        l->last_id = id;
        if (l->same > VF_IDS_SAME)
            continue;
        *ret_level = (unsigned)(id >> (8 * VF_ID_LEN));
        *ret_id = id & ((UINT64_C(1) << (8 * VF_ID_LEN)) - 1);
        *ret_number = number;
        return 1;
    }
    return rc;
}

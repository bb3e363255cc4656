/* index/lists.c - the sorted lists of a map in the making. */
#include "index/lists.h"

#include <string.h>

#include "core/be.h"
#include "core/checked.h"
#include "core/numbers.h"
#include "core/sort.h"
#include "index/le.h"
#include "index/pages.h"

#define AT_ONCE 512u
#define FOLD    8192u /* fingerprints counted at once */

/* Records of the sorter of ids; big-endian, the whole record is the key. */
#define ID_LEN 12u /* level (1), id (6), number (5) */

struct vf_lists {
    struct vf_numbers *prints; /* as big-endian numbers, which compare as the digests do */
    const uint64_t *sorted;    /* that the sorter has handed out */
    size_t nsorted;
    uint64_t fp, same_fp;           /* the last one, and how often it came: others may follow */
    uint64_t *fold_fp, *fold_count; /* FOLD each: those that are complete */

    struct vf_sorter *ids;
    const uint8_t *id; /* that the sorter has handed out */
    size_t nid;
    uint64_t last_id; /* with its level; how often it came */
    unsigned same;
};

struct vf_lists *vf_lists_new(const char *tmpdir, struct vf_error *err)
{
    struct vf_lists *l = vf_calloc(1, sizeof *l, err);

    if (!l)
        return NULL;
    l->last_id = UINT64_MAX;
    l->prints = vf_numbers_new(VF_LISTS_MEMORY / 4 * 3, tmpdir, err);
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
    vf_numbers_free(l->prints);
    vf_sorter_free(l->ids);
    free(l->fold_fp);
    free(l->fold_count);
    free(l);
}

int vf_lists_digests(struct vf_lists *l, const uint8_t (*md5)[VF_MD5_LEN], size_t n,
                     struct vf_error *err)
{
    uint64_t fp[AT_ONCE];

    while (n) {
        const size_t some = n < AT_ONCE ? n : AT_ONCE;

        for (size_t i = 0; i < some; i++)
            fp[i] = vf_be64(md5[i]);
        if (vf_numbers_add(l->prints, fp, some, err) < 0)
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
    l->fold_fp = vf_calloc(FOLD, sizeof *l->fold_fp, err);
    l->fold_count = vf_calloc(FOLD, sizeof *l->fold_count, err);
    if (!l->fold_fp || !l->fold_count)
        return -1;
    return vf_numbers_finish(l->prints, err) < 0 || vf_sorter_finish(l->ids, err) < 0 ? -1 : 0;
}

/* Counts the next sorted fingerprints.  How many distinct ones are complete: behind the last one
 * others of its kind may come.  No branch depends on where one ends: that cannot be foreseen. */
static size_t fold(struct vf_lists *l)
{
    const size_t n = l->nsorted < FOLD ? l->nsorted : FOLD;
    uint64_t fp = l->fp, same = l->same_fp;
    size_t m = 0;

    if (same == 0 && n)
        fp = l->sorted[0];
    for (size_t i = 0; i < n; i++) {
        const bool other = l->sorted[i] != fp;

        l->fold_fp[m] = fp;
        l->fold_count[m] = same;
        m += other;
        same = other ? 1 : same + 1;
        fp = l->sorted[i];
    }
    l->sorted += n;
    l->nsorted -= n;
    l->fp = fp;
    l->same_fp = same;
    return m;
}

int vf_lists_next_prints(struct vf_lists *l, struct vf_lists_prints *ret, struct vf_error *err)
{
    size_t m = 0;
    long n = 1;

    while (m == 0 && l->prints && n > 0) {
        if (l->nsorted == 0) {
            n = vf_numbers_next(l->prints, &l->sorted, err);
            if (n < 0)
                return -1;
            l->nsorted = (size_t)n;
        }
        m = fold(l);
    }
    if (n == 0) { /* the last one is complete as well */
        vf_numbers_free(l->prints);
        l->prints = NULL;
        l->fold_fp[0] = l->fp;
        l->fold_count[0] = l->same_fp;
        m = l->same_fp != 0;
    }
    *ret = (struct vf_lists_prints){l->fold_fp, l->fold_count, m};
    return m != 0;
}

/* Makes sure that l->id is the record that comes next: 1, 0 at the end, -1. */
static int peek_id(struct vf_lists *l, struct vf_error *err)
{
    const void *p;
    long n;

    if (l->nid)
        return 1;
    if (!l->ids)
        return 0;
    n = vf_sorter_next(l->ids, &p, err);
    if (n < 0)
        return -1;
    if (n == 0) {
        vf_sorter_free(l->ids);
        l->ids = NULL;
        return 0;
    }
    l->id = p;
    l->nid = (size_t)n;
    return 1;
}

int vf_lists_next_id(struct vf_lists *l, unsigned *ret_level, uint64_t *ret_id,
                     uint64_t *ret_number, struct vf_error *err)
{
    int rc;

    while ((rc = peek_id(l, err)) > 0) {
        const uint64_t id = vf_be_get(l->id, 1 + VF_ID_LEN);
        const uint64_t number = vf_be_get(l->id + 1 + VF_ID_LEN, 5);

        l->id += ID_LEN;
        l->nid--;
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

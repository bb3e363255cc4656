/* core/map/tree.c: levels, roots and what they depend on. */
#include "core/map/tree.h"

#include <stdlib.h>
#include <string.h>

#include "core/hash/digest.h"
#include "core/map/cut.h"
#include "tests/lib/check.h"

#define N 40000u

static void make_segs(struct vf_node *s, size_t n, uint64_t first, uint64_t gap)
{
    for (size_t i = 0; i < n; i++) {
        s[i] = (struct vf_node){.first = first, .span = 1 + i % 200, .data = 1 + i % 200};
        vf_test_random(i, s[i].sha, VF_SHA_LEN);
        first += s[i].span + (i % 3 ? 0 : gap);
    }
}

struct levels {
    struct vf_node *node[VF_LEVELS];
    uint64_t n[VF_LEVELS];
};

static int take(void *ctx, unsigned level, const struct vf_node *nodes, size_t n,
                struct vf_error *err)
{
    struct levels *l = ctx;

    (void)err;
    CHECK(level < VF_LEVELS && l->n[level] + n <= N);
    if (!l->node[level])
        l->node[level] = calloc(N, sizeof(struct vf_node));
    CHECK(l->node[level]);
    memcpy(l->node[level] + l->n[level], nodes, n * sizeof *nodes);
    l->n[level] += n;
    return 0;
}

static void build(const struct vf_node *s, size_t n, uint64_t size, struct levels *l,
                  struct vf_map_info *info)
{
    struct vf_error err;
    struct vf_tree *t = vf_tree_new(size, l ? take : NULL, l, &err);

    CHECK_OK(t, &err);
    for (size_t i = 0; i < n; i += 777)
        CHECK_OK(vf_tree_add(t, s + i, n - i < 777 ? n - i : 777, &err), &err);
    CHECK_OK(vf_tree_finish(t, info, &err), &err);
    vf_tree_free(t);
}

static void levels_free(struct levels *l)
{
    for (unsigned k = 0; k < VF_LEVELS; k++)
        free(l->node[k]);
}

/* Every node covers exactly its children, and its digest is what core/map/tree.h says. */
TEST(nodes_follow_from_children)
{
    struct vf_node *s = calloc(N, sizeof *s);
    struct levels l = {0};
    struct vf_map_info info;
    struct vf_error err;
    struct vf_sha *sha = vf_sha_new(&err);
    uint8_t want[VF_SHA_LEN];

    CHECK(s && sha);
    make_segs(s, N, 17, 1000);
    build(s, N, UINT64_C(1) << 40, &l, &info);
    CHECK(info.top >= 3);
    CHECK_EQ_U64(info.nodes[1], N);
    CHECK_EQ_U64(l.n[info.top], 1);
    for (unsigned k = 2; k <= info.top; k++) {
        uint64_t kid = 0;

        CHECK_EQ_U64(info.nodes[k], l.n[k]);
        for (uint64_t i = 0; i < l.n[k]; i++) {
            const struct vf_node *p = &l.node[k][i], *c = &l.node[k - 1][kid];
            uint64_t data = 0;

            CHECK_EQ_U64(p->kid, kid);
            CHECK(p->kids >= 1 && p->kids <= VF_CUT_MAX &&
                  (p->kids >= VF_CUT_MIN || i + 1 == l.n[k]));
            CHECK_EQ_U64(p->first, c->first);
            CHECK_OK(vf_sha_begin(sha, &err), &err);
            CHECK_OK(vf_sha_add_u64(sha, k, &err), &err);
            for (uint32_t j = 0; j < p->kids; j++) {
                CHECK_OK(vf_sha_add_u64(sha, c[j].first - p->first, &err), &err);
                CHECK_OK(vf_sha_add_u64(sha, c[j].span, &err), &err);
                CHECK_OK(vf_sha_add(sha, c[j].sha, VF_SHA_LEN, &err), &err);
                data += c[j].data;
            }
            CHECK_OK(vf_sha_end(sha, want, &err), &err);
            CHECK_MEM(p->sha, want, VF_SHA_LEN);
            CHECK_EQ_U64(p->data, data);
            CHECK_EQ_U64(p->first + p->span, c[p->kids - 1].first + c[p->kids - 1].span);
            kid += p->kids;
        }
        CHECK_EQ_U64(kid, l.n[k - 1]);
    }
    vf_sha_free(sha);
    levels_free(&l);
    free(s);
}

/* The same segments elsewhere: other root, same nodes. */
TEST(moved)
{
    struct vf_node *a = calloc(N, sizeof *a), *b = calloc(N, sizeof *b);
    struct levels x = {0}, y = {0};
    struct vf_map_info p, q;

    CHECK(a && b);
    make_segs(a, N, 0, 9);
    make_segs(b, N, 123456, 9);
    build(a, N, UINT64_C(1) << 40, &x, &p);
    build(b, N, UINT64_C(1) << 40, &y, &q);
    CHECK(memcmp(p.root, q.root, VF_SHA_LEN) != 0);
    CHECK_EQ_U64(p.nodes[2], q.nodes[2]);
    for (uint64_t i = 0; i < p.nodes[2]; i++)
        CHECK_MEM(x.node[2][i].sha, y.node[2][i].sha, VF_SHA_LEN);
    levels_free(&x);
    levels_free(&y);
    free(a);
    free(b);
}

TEST(small_images)
{
    struct vf_node s[9];
    struct vf_map_info none, other, one, nine;

    make_segs(s, 9, 3, 0);
    build(s, 0, 4096, NULL, &none);
    build(s, 0, 8192, NULL, &other);
    build(s, 1, 4096, NULL, &one);
    build(s, 9, 65536, NULL, &nine);
    CHECK_EQ_U64(none.top, 0);
    CHECK_EQ_U64(none.zero_blocks, 8);
    CHECK(memcmp(none.root, other.root, VF_SHA_LEN) != 0); /* the size counts */
    CHECK_EQ_U64(one.top, 1);
    CHECK_EQ_U64(one.zero_blocks, 7);
    CHECK(nine.top >= 2);
    CHECK_EQ_U64(nine.nodes[nine.top], 1);
}

/* How the segments are handed over does not matter. */
TEST(pieces)
{
    struct vf_node *s = calloc(N, sizeof *s);
    struct vf_map_info p, q;
    struct vf_error err;
    struct vf_tree *t = vf_tree_new(UINT64_C(1) << 40, NULL, NULL, &err);

    CHECK(s && t);
    make_segs(s, N, 0, 2);
    build(s, N, UINT64_C(1) << 40, NULL, &p);
    for (size_t i = 0; i < N; i++)
        CHECK_OK(vf_tree_add(t, s + i, 1, &err), &err);
    CHECK_OK(vf_tree_finish(t, &q, &err), &err);
    CHECK_MEM(p.root, q.root, VF_SHA_LEN);
    vf_tree_free(t);
    free(s);
}

TESTS(nodes_follow_from_children, moved, small_images, pieces)

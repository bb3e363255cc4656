/* Pages on their way into the database. */
#include <string.h>

#include "index/catalog.h"
#include "index/pagequeue.h"
#include "tests/lib/check.h"

#define PAGES 300u

static struct vf_error err;

static struct vf_index *open_small(const char *name, unsigned flags)
{
    const struct vf_index_limits limits = {1u << 20, 10000};
    struct vf_index *ix = vf_index_open_with(vf_test_path(name), flags, &limits, &err);

    CHECK_OK(ix, &err);
    return ix;
}

static int put(struct vf_pagequeue *q, uint64_t i, size_t len)
{
    const struct vf_key key = vf_key_digests(7, i);
    struct vf_buf b = VF_BUF_INIT;
    uint8_t byte = (uint8_t)i;
    int rc = 0;

    while (rc == 0 && b.len < len)
        rc = vf_buf_add(&b, &byte, 1, &err);
    if (rc == 0)
        rc = vf_pagequeue_put(q, &key, &b, &err);
    vf_buf_free(&b);
    return rc;
}

static unsigned count(struct vf_index *ix)
{
    struct vf_txn t;
    unsigned n = 0;

    CHECK_OK(vf_store_read(&ix->store, &t, &err), &err);
    for (uint64_t i = 0; i < PAGES; i++) {
        const struct vf_key key = vf_key_digests(7, i);
        struct vf_bytes v;

        if (vf_txn_get(&t, vf_key_bytes(&key), &v, &err) != VF_FOUND)
            continue;
        CHECK(v.len == 100 + i && v.p[0] == (uint8_t)i && v.p[v.len - 1] == (uint8_t)i);
        n++;
    }
    vf_txn_end(&t);
    return n;
}

TEST(all_are_written)
{
    struct vf_index *ix = open_small("all", VF_INDEX_CREATE);
    struct vf_pagequeue *q = vf_pagequeue_new(ix, &err);

    CHECK_OK(q, &err);
    for (uint64_t i = 0; i < PAGES; i++)
        CHECK_OK(put(q, i, 100 + i), &err);
    CHECK_OK(vf_pagequeue_finish(q, &err), &err);
    CHECK_EQ_U64(count(ix), PAGES);
    CHECK_OK(vf_pagequeue_finish(q, &err), &err);
    vf_pagequeue_free(q);
    vf_index_close(ix);
}

/* A sink that is given up: what was being written is there whole, nothing comes later. */
TEST(given_up)
{
    struct vf_index *ix = open_small("given-up", VF_INDEX_CREATE);
    unsigned n;

    for (unsigned upto = 1; upto < PAGES; upto += 37) {
        struct vf_pagequeue *q = vf_pagequeue_new(ix, &err);

        CHECK_OK(q, &err);
        for (uint64_t i = 0; i < upto; i++)
            CHECK_OK(put(q, i, 100 + i), &err);
        vf_pagequeue_free(q);
        n = count(ix);
        CHECK(n <= upto);
    }
    vf_pagequeue_free(NULL);
    vf_index_close(ix);
}

/* An error of the thread comes out at the next call, and stays. */
TEST(cannot_be_written)
{
    struct vf_index *ix;
    struct vf_pagequeue *q;
    uint64_t i = 0;

    vf_index_close(open_small("denied", VF_INDEX_CREATE));
    ix = open_small("denied", VF_INDEX_READONLY);
    q = vf_pagequeue_new(ix, &err);
    CHECK_OK(q, &err);
    while (i < PAGES && put(q, i, 100 + i) == 0)
        i++;
    CHECK(i < PAGES && err.code == VF_ERR_DENIED);
    CHECK_FAIL(vf_pagequeue_finish(q, &err), &err, VF_ERR_DENIED);
    vf_pagequeue_free(q);
    vf_index_close(ix);
}

TESTS(all_are_written, given_up, cannot_be_written)

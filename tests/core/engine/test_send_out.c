/* core/engine/send_out.c: what is packed goes in order, and does not run too far ahead. */
#include "core/engine/send_out.h"

#include <stdlib.h>
#include <string.h>

#include "core/thread.h"
#include "tests/lib/check.h"

#define PIECES 200u

/* A link that takes as many messages as it is let. */
struct link {
    struct vf_stream base;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    unsigned allowed, taken;
    bool breaks; /* then */
    uint8_t got[PIECES];
};

static int take(struct vf_stream *st, const struct vf_msg *m, struct vf_error *err)
{
    struct link *l = (struct link *)st;
    int rc = 0;

    pthread_mutex_lock(&l->lock);
    while (l->taken == l->allowed && !l->breaks)
        pthread_cond_wait(&l->moved, &l->lock);
    if (l->taken == l->allowed)
        rc = vf_error_set(err, VF_ERR_UNREACHABLE, 0, "the link broke");
    else if (m->type == VF_MSG_DATA && m->data.len == 1u + l->taken % 7)
        l->got[l->taken++] = m->data.bytes[0];
    pthread_cond_broadcast(&l->moved);
    pthread_mutex_unlock(&l->lock);
    return rc;
}

static const struct vf_stream_ops ops = {.send = take};

static void allow(struct link *l, unsigned n, bool breaks)
{
    pthread_mutex_lock(&l->lock);
    l->allowed += n;
    l->breaks = breaks;
    pthread_cond_broadcast(&l->moved);
    pthread_mutex_unlock(&l->lock);
}

static void wait_taken(struct link *l, unsigned n)
{
    pthread_mutex_lock(&l->lock);
    while (l->taken < n)
        pthread_cond_wait(&l->moved, &l->lock);
    pthread_mutex_unlock(&l->lock);
}

/* Both threads. */
struct run {
    struct link link;
    struct vf_send_out out;
    pthread_t packer, sender;
    unsigned n;
    int packed, sent; /* what they returned */
    struct vf_error pack_err, send_err;
};

static void *pack_thread(void *arg)
{
    struct run *r = arg;
    uint8_t *buffer = calloc(1, VF_PACK_OUT);

    for (unsigned i = 0; i < r->n && r->packed == 0; i++) {
        buffer[0] = (uint8_t)i;
        r->packed = vf_send_out_take(&r->out, &buffer, 1 + i % 7, &r->pack_err);
    }
    free(buffer);
    if (r->packed == 0)
        vf_send_out_end(&r->out);
    return NULL;
}

static void *send_thread(void *arg)
{
    struct run *r = arg;

    r->sent = vf_send_out_run(&r->out, &r->send_err);
    return NULL;
}

static struct run *begin(unsigned most, unsigned n, bool strong)
{
    struct run *r = calloc(1, sizeof *r);
    struct vf_error err;

    r->link.base.ops = &ops;
    pthread_mutex_init(&r->link.lock, NULL);
    pthread_cond_init(&r->link.moved, NULL);
    r->n = n;
    vf_send_out_init(&r->out, &r->link.base, most);
    vf_send_out_room(&r->out, strong);
    CHECK_OK(vf_thread_start(&r->packer, pack_thread, r, &err), &err);
    CHECK_OK(vf_thread_start(&r->sender, send_thread, r, &err), &err);
    return r;
}

static void end(struct run *r)
{
    pthread_join(r->packer, NULL);
    pthread_join(r->sender, NULL);
}

static void drop(struct run *r)
{
    vf_send_out_free(&r->out);
    free(r);
}

/* Waits until so much waits, and sees that it does not become more. */
static void expect_held(struct run *r, unsigned n)
{
    while (vf_send_out_stock(&r->out).held < n)
        vf_thread_nap(1);
    vf_thread_nap(20);
    CHECK_EQ_U64(vf_send_out_stock(&r->out).held, n);
}

TEST(all_in_order)
{
    struct run *r = begin(VF_SEND_OUT, PIECES, false);
    uint64_t bytes = 0;

    allow(&r->link, PIECES, false);
    end(r);
    CHECK_EQ_I64(r->packed, 0);
    CHECK_EQ_I64(r->sent, 0);
    CHECK_EQ_U64(r->link.taken, PIECES);
    for (unsigned i = 0; i < PIECES; i++) {
        CHECK_EQ_U64(r->link.got[i], i);
        bytes += 1 + i % 7;
    }
    CHECK_EQ_U64(vf_send_out_stock(&r->out).sent, bytes);
    drop(r);
}

TEST(a_weak_packer_stays_near)
{
    struct run *r = begin(VF_SEND_OUT, PIECES, false);

    expect_held(r, VF_SEND_OUT_WEAK);
    CHECK_EQ_U64(vf_send_out_stock(&r->out).room, VF_SEND_OUT_WEAK);
    allow(&r->link, 3, false);
    wait_taken(&r->link, 3);
    expect_held(r, VF_SEND_OUT_WEAK);
    allow(&r->link, PIECES - 3, false);
    end(r);
    CHECK_EQ_U64(r->link.taken, PIECES);
    drop(r);
}

TEST(a_strong_packer_runs_ahead)
{
    struct run *r = begin(16, PIECES, true);

    expect_held(r, 16);
    vf_send_out_room(&r->out, false); /* what is there stays */
    allow(&r->link, 10, false);
    wait_taken(&r->link, 10);
    expect_held(r, 6);
    allow(&r->link, PIECES - 10, false);
    end(r);
    CHECK_EQ_U64(r->link.taken, PIECES);
    for (unsigned i = 0; i < PIECES; i++)
        CHECK_EQ_U64(r->link.got[i], i);
    drop(r);
}

/* What was packed when the end is said still goes. */
TEST(the_end_waits_for_the_link)
{
    struct run *r = begin(VF_SEND_OUT, 30, true);

    pthread_join(r->packer, NULL);
    CHECK_EQ_U64(vf_send_out_stock(&r->out).held, 30);
    allow(&r->link, 30, false);
    pthread_join(r->sender, NULL);
    CHECK_EQ_I64(r->sent, 0);
    CHECK_EQ_U64(r->link.taken, 30);
    drop(r);
}

TEST(broken_links_and_giving_up)
{
    struct run *r = begin(VF_SEND_OUT, PIECES, false);

    allow(&r->link, 5, true);
    pthread_join(r->sender, NULL);
    CHECK_FAIL(r->sent, &r->send_err, VF_ERR_UNREACHABLE);
    expect_held(r, VF_SEND_OUT_WEAK);
    vf_send_out_stop(&r->out); /* as the sender does then */
    pthread_join(r->packer, NULL);
    CHECK_FAIL(r->packed, &r->pack_err, VF_ERR_CANCELLED);
    drop(r);
}

/* Stopped while there is nothing to send: nobody waits for ever. */
TEST(stopped_while_idle)
{
    struct run *r = begin(VF_SEND_OUT, 0, false);

    vf_send_out_stop(&r->out);
    end(r);
    CHECK_EQ_I64(r->sent, 0);
    drop(r);
}

TESTS(all_in_order, a_weak_packer_stays_near, a_strong_packer_runs_ahead,
      the_end_waits_for_the_link, broken_links_and_giving_up, stopped_while_idle)

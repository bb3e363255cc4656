/* The bounded queue, alone and between threads. */
#include "core/queue.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "tests/lib/check.h"

static struct vf_queue *make(size_t items, size_t bytes)
{
    struct vf_error err;
    struct vf_queue *q = vf_queue_new(items, bytes, &err);

    CHECK_OK(q, &err);
    return q;
}

static void *number(size_t n) { return (void *)n; }

/* What is not free()d shows as a leak. */
static void push_owned(struct vf_queue *q, size_t bytes)
{
    void *p = malloc(1);

    CHECK(p && vf_queue_push(q, p, bytes));
}

TEST(keeps_the_order)
{
    struct vf_queue *q = make(3, 100);
    void *p;

    for (size_t i = 0; i < 20; i++) {
        CHECK(vf_queue_push(q, number(2 * i), 1));
        CHECK(vf_queue_push(q, number(2 * i + 1), 1));
        CHECK(vf_queue_pop(q, &p) == VF_POP_ITEM && p == number(2 * i));
        CHECK(vf_queue_pop(q, &p) == VF_POP_ITEM && p == number(2 * i + 1));
    }
    vf_queue_free(q, NULL);
}

TEST(close_drains_first)
{
    struct vf_queue *q = make(3, 100);
    void *p = NULL;

    CHECK(vf_queue_push(q, number(1), 1));
    CHECK(vf_queue_push(q, number(2), 1));
    vf_queue_close(q);
    CHECK(!vf_queue_push(q, number(3), 1));
    CHECK(vf_queue_pop(q, &p) == VF_POP_ITEM && p == number(1));
    CHECK(vf_queue_pop(q, &p) == VF_POP_ITEM && p == number(2));
    CHECK(vf_queue_pop(q, &p) == VF_POP_END && p == number(2));
    CHECK(vf_queue_pop(q, &p) == VF_POP_END);
    vf_queue_free(q, NULL);
}

TEST(cancel_drops_the_rest)
{
    struct vf_queue *q = make(3, 100);
    void *p;

    push_owned(q, 1);
    push_owned(q, 1);
    vf_queue_cancel(q);
    vf_queue_close(q);
    CHECK(!vf_queue_push(q, number(3), 1));
    CHECK(vf_queue_pop(q, &p) == VF_POP_CANCELLED);
    vf_queue_free(q, free);
    vf_queue_free(NULL, free);
}

TEST(absurd_sizes_are_refused)
{
    struct vf_error err;

    CHECK_FAIL(vf_queue_new(SIZE_MAX / 4, 1, &err), &err, VF_ERR_NOMEM);
}

/* ---- with threads ---- */

struct shared {
    struct vf_queue *q;
    size_t bytes;            /* of each item */
    atomic_size_t in, out;   /* pushed, popped so far */
    atomic_size_t sum;       /* of all popped */
    atomic_size_t cancelled; /* calls that said so */
    atomic_size_t ended;
};

static void *producer(void *arg)
{
    struct shared *s = arg;

    for (size_t i = 1; i <= 20000; i++) {
        if (!vf_queue_push(s->q, number(i), s->bytes)) {
            atomic_fetch_add(&s->cancelled, 1);
            return NULL;
        }
        atomic_fetch_add(&s->in, 1);
    }
    return NULL;
}

static void *consumer(void *arg)
{
    struct shared *s = arg;
    enum vf_popped got;
    void *p;

    while ((got = vf_queue_pop(s->q, &p)) == VF_POP_ITEM) {
        atomic_fetch_add(&s->out, 1);
        atomic_fetch_add(&s->sum, (size_t)p);
    }
    atomic_fetch_add(got == VF_POP_END ? &s->ended : &s->cancelled, 1);
    return NULL;
}

static void run(size_t items, size_t max_bytes, size_t bytes)
{
    struct shared s = {.q = make(items, max_bytes), .bytes = bytes};
    pthread_t in[3], out[3];

    for (int i = 0; i < 3; i++) {
        CHECK(pthread_create(&in[i], NULL, producer, &s) == 0);
        CHECK(pthread_create(&out[i], NULL, consumer, &s) == 0);
    }
    for (int i = 0; i < 3; i++)
        CHECK(pthread_join(in[i], NULL) == 0);
    vf_queue_close(s.q);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_join(out[i], NULL) == 0);
    CHECK_EQ_U64(s.in, 60000);
    CHECK_EQ_U64(s.out, 60000);
    CHECK_EQ_U64(s.sum, (size_t)3 * 20000 * 20001 / 2);
    CHECK_EQ_U64(s.ended, 3);
    CHECK_EQ_U64(s.cancelled, 0);
    vf_queue_free(s.q, NULL);
}

TEST(many_producers_and_consumers)
{
    run(1, SIZE_MAX, 1);
    run(16, SIZE_MAX, SIZE_MAX); /* sums would overflow */
    run(1000, 10, 3);            /* bytes are the limit */
    run(4, 10, 100);             /* each item is larger than the queue */
}

static void wait_until(atomic_size_t *n, size_t value)
{
    while (atomic_load(n) < value)
        CHECK(sched_yield() == 0);
}

TEST(push_waits_for_room)
{
    struct shared s = {.q = make(100, 50), .bytes = 9};
    pthread_t t;

    CHECK(pthread_create(&t, NULL, producer, &s) == 0);
    for (size_t popped = 0; popped < 1000; popped++) {
        void *p;

        wait_until(&s.in, popped + 5); /* 5 * 9 <= 50: so many go in ... */
        for (int i = 0; i < 10; i++) {
            CHECK_EQ_U64(s.in, popped + 5); /* ... and no more */
            CHECK(sched_yield() == 0);
        }
        CHECK(vf_queue_pop(s.q, &p) == VF_POP_ITEM && p == number(popped + 1));
    }
    vf_queue_cancel(s.q);
    CHECK(pthread_join(t, NULL) == 0);
    CHECK_EQ_U64(s.cancelled, 1);
    vf_queue_free(s.q, NULL);
}

TEST(cancel_wakes_both_sides)
{
    struct shared full = {.q = make(2, 100), .bytes = 1}, empty = {.q = make(2, 100)};
    pthread_t t[4];

    for (int i = 0; i < 2; i++) {
        CHECK(pthread_create(&t[i], NULL, producer, &full) == 0);
        CHECK(pthread_create(&t[2 + i], NULL, consumer, &empty) == 0);
    }
    wait_until(&full.in, 2);
    vf_queue_cancel(full.q);
    vf_queue_cancel(empty.q);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(t[i], NULL) == 0);
    CHECK_EQ_U64(full.in, 2);
    CHECK_EQ_U64(full.cancelled, 2);
    CHECK_EQ_U64(empty.cancelled, 2);
    vf_queue_free(full.q, NULL);
    vf_queue_free(empty.q, NULL);
}

TESTS(keeps_the_order, close_drains_first, cancel_drops_the_rest, absurd_sizes_are_refused,
      many_producers_and_consumers, push_waits_for_room, cancel_wakes_both_sides)

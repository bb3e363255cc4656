/* The pump under load: random bytes in both directions at once, through a real sshd.
 *
 * VF_TEST_LOAD_MB sets how many million bytes go each way in the large test (64). */
#include "transport/ssh_pump.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/check.h"
#include "tests/lib/sshd.h"
#include "transport/wait.h"

/* ---- a stream of bytes that nobody can guess, made as it goes ---- */

struct stream {
    uint64_t state;
    uint64_t left; /* bytes to come */
};

static void fill(struct stream *s, uint8_t *buf, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (s->left % 8 == 0 || i == 0) {
            s->state ^= s->state << 13;
            s->state ^= s->state >> 7;
            s->state ^= s->state << 17;
        }
        buf[i] = (uint8_t)(s->state >> (s->left % 8) * 8);
        s->left--;
    }
}

/* ---- both directions of one connection ---- */

struct talk {
    struct vf_conn *c;
    uint64_t bytes, seed;
    size_t chunk;    /* bytes in one write, at most 65536 */
    int pause_every; /* the reader rests 1 ms after so many reads; 0: never */
    pthread_t writer, reader;
};

static void *write_all(void *arg)
{
    struct talk *t = arg;
    struct stream s = {t->seed, t->bytes};
    struct vf_error err = VF_ERROR_INIT;
    uint8_t buf[65536];

    while (s.left) {
        size_t n = s.left < t->chunk ? (size_t)s.left : t->chunk;

        fill(&s, buf, n);
        CHECK_OK(vf_write_full(t->c->wfd, buf, n, &err), &err);
    }
    vf_conn_end_writing(t->c);
    return NULL;
}

/* fill gives the same bytes only for the same pieces: the reader puts them together again. */
static void *read_all(void *arg)
{
    struct talk *t = arg;
    struct stream s = {t->seed, t->bytes};
    struct vf_error err = VF_ERROR_INIT;
    uint8_t got[65536], want[65536];
    int reads = 0;

    while (s.left) {
        size_t n = s.left < t->chunk ? (size_t)s.left : t->chunk, have = 0;

        fill(&s, want, n);
        while (have < n) {
            long k = vf_read_some(t->c->rfd, got + have, n - have, &err);

            CHECK(k > 0);
            have += (size_t)k;
            if (t->pause_every && ++reads % t->pause_every == 0)
                (void)poll(NULL, 0, 1);
        }
        CHECK_MEM(got, want, n);
    }
    CHECK_EQ_I64(vf_read_some(t->c->rfd, got, 1, &err), 0);
    return NULL;
}

static struct vf_conn *connect_to(const struct vf_sshd *server, const char *const *args)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn_opts opts = vf_sshd_opts(server, args);
    struct vf_target t = vf_sshd_target(server);
    struct vf_conn *c;

    opts.connect_timeout_ms = 60000;
    CHECK_OK(vf_transport_init(&err), &err);
    c = vf_connect(&t, &opts, &err);
    CHECK_OK(c, &err);
    CHECK_STR(vf_conn_backend(c), "libssh2");
    return c;
}

static void begin(struct talk *t, const struct vf_sshd *server)
{
    static const char *const echo[] = {"echo", NULL};

    t->c = connect_to(server, echo);
    CHECK(pthread_create(&t->writer, NULL, write_all, t) == 0);
    CHECK(pthread_create(&t->reader, NULL, read_all, t) == 0);
}

static void finish(struct talk *t)
{
    struct vf_error err = VF_ERROR_INIT;
    int status = -1;

    CHECK(pthread_join(t->writer, NULL) == 0);
    CHECK(pthread_join(t->reader, NULL) == 0);
    CHECK_OK(vf_conn_close(t->c, 20000, &status, &err), &err);
    CHECK_EQ_I64(status, 0);
}

static uint64_t load_bytes(void)
{
    const char *mb = getenv("VF_TEST_LOAD_MB");

    return (mb ? strtoull(mb, NULL, 10) : 64) * 1000000;
}

TEST(both_ways_at_once)
{
    struct talk t = {.bytes = load_bytes(), .seed = 1, .chunk = 65536};

    begin(&t, vf_sshd());
    finish(&t);
}

TEST(small_writes)
{
    struct talk t = {.bytes = 2000000, .seed = 2, .chunk = 37};

    begin(&t, vf_sshd());
    finish(&t);
}

TEST(slow_reader)
{
    struct talk t = {.bytes = 40000000, .seed = 3, .chunk = 50000, .pause_every = 8};

    begin(&t, vf_sshd());
    finish(&t);
}

TEST(four_connections)
{
    struct talk t[4];

    for (unsigned i = 0; i < 4; i++) {
        t[i] = (struct talk){.bytes = load_bytes() / 4, .seed = 10 + i, .chunk = 30000 + i};
        begin(&t[i], vf_sshd());
    }
    for (unsigned i = 0; i < 4; i++)
        finish(&t[i]);
}

/* The server asks for new keys all the time, in the middle of everything. */
TEST(new_keys_all_the_time)
{
    struct talk t = {.bytes = 12000000, .seed = 5, .chunk = 65536};
    struct talk small = {.bytes = 300000, .seed = 6, .chunk = 100};
    struct vf_sshd server = {.port = 0};

    vf_sshd_start(&server, "rekey", "RekeyLimit 256K\n");
    begin(&t, &server);
    begin(&small, &server);
    finish(&t);
    finish(&small);
    free(vf_sshd_run("kill", server.dir));
}

TEST(one_way_down)
{
    const char *const args[] = {"flood", "200000000", NULL};
    struct vf_conn *c = connect_to(vf_sshd(), args);
    struct vf_error err = VF_ERROR_INIT;
    uint64_t got = 0;
    char buf[65536];
    long n;

    while ((n = vf_read_some(c->rfd, buf, sizeof buf, &err)) > 0)
        got += (uint64_t)n;
    CHECK_EQ_U64(got, 200000000);
    CHECK_OK(vf_conn_close(c, 10000, NULL, &err), &err);
}

TEST(one_way_up)
{
    const char *const args[] = {"count", NULL};
    struct vf_conn *c = connect_to(vf_sshd(), args);
    struct vf_error err = VF_ERROR_INIT;
    char buf[65536] = "", got[32] = "";

    for (int i = 0; i < 1000; i++)
        CHECK_OK(vf_write_full(c->wfd, buf, sizeof buf, &err), &err);
    vf_conn_end_writing(c);
    CHECK(vf_read_some(c->rfd, got, sizeof got - 1, &err) > 0);
    CHECK_STR(got, "65536000\n");
    CHECK_OK(vf_conn_close(c, 10000, NULL, &err), &err);
}

/* Many connections come and go, some of them in the middle of a flood. */
TEST(coming_and_going)
{
    const char *const args[] = {"flood", "50000000", NULL};
    struct vf_error err = VF_ERROR_INIT;
    char buf[4096];

    for (int i = 0; i < 10; i++) {
        struct vf_conn *c = connect_to(vf_sshd(), args);

        CHECK(vf_read_some(c->rfd, buf, sizeof buf, &err) > 0);
        vf_conn_abort(c);
    }
}

/* CPU time of this process during ms milliseconds of doing nothing, in milliseconds. */
static int64_t cpu_ms_of_rest(int ms)
{
    struct timespec a, b;

    CHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a) == 0);
    (void)poll(NULL, 0, ms);
    CHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b) == 0);
    return (int64_t)(b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
}

/* A pump that spins would never have a quiet half second, however busy the machine is; one that
 * still has bytes to move soon has. */
static void rests(void)
{
    int tries = 0;

    while (cpu_ms_of_rest(500) > 50)
        CHECK(++tries < 80);
}

/* No state may spin: idle, a reader that does not read, a far end that does not read, one end
 * closed. */
TEST(rest_costs_nothing)
{
    const char *const echo[] = {"echo", NULL}, *const hold[] = {"hold", NULL};
    const char *const flood[] = {"flood", "100000000", NULL}, *const deaf[] = {"deaf", NULL};
    struct vf_conn *c = connect_to(vf_sshd(), echo);
    char buf[65536] = "";

    rests();
    vf_conn_abort(c);
    c = connect_to(vf_sshd(), flood);
    rests();
    vf_conn_abort(c);
    c = connect_to(vf_sshd(), hold);
    CHECK(fcntl(c->wfd, F_SETFL, O_NONBLOCK) == 0);
    for (struct pollfd p = {c->wfd, POLLOUT, 0}; poll(&p, 1, 300) == 1;)
        CHECK(write(c->wfd, buf, sizeof buf) > 0);
    rests();
    vf_conn_end_writing(c);
    rests();
    vf_conn_abort(c);
    c = connect_to(vf_sshd(), deaf);
    rests();
    vf_conn_abort(c);
    c = connect_to(vf_sshd(), hold);
    vf_conn_end_writing(c);
    vf_close_fd(&c->rfd);
    rests();
    vf_conn_abort(c);
}

TESTS(both_ways_at_once, small_writes, slow_reader, four_connections, new_keys_all_the_time,
      one_way_down, one_way_up, coming_and_going, rest_costs_nothing)

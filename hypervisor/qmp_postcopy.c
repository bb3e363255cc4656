/* hypervisor/qmp_postcopy.c - memory that follows its guest.
 *
 * The guest runs at the far end, and some of its memory is still here.  Neither QEMU may end before
 * all has come, and nobody can go back. */
#include "hypervisor/qmp_postcopy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/clock.h"
#include "core/thread.h"
#include "hypervisor/hold.h"
#include "hypervisor/qmp_guest.h"

#define LOOK_MS    100
#define ASK_MS     3000  /* between two questions to the far half: is all there? */
#define HEAR_MS    3000  /* for the far QEMU to answer, if it does not wait for a page */
#define RECOVER_MS 20000 /* for QEMU to take a new connection */
#define SHARE      0.8   /* of the line, for what is not asked for */
#define RATE_MIN   1e6   /* bytes per second */

/* ---- what QEMU says ---- */

int vf_qmp_memory(struct vf_qmp *q, enum vf_qmp_memory *ret, uint64_t *ret_left,
                  struct vf_error *err)
{
    static const struct {
        const char *status;
        enum vf_qmp_memory memory;
    } known[] = {
        {"setup", VF_QMP_MEMORY_TRAVELS},
        {"active", VF_QMP_MEMORY_TRAVELS},
        {"pre-switchover", VF_QMP_MEMORY_TRAVELS},
        {"device", VF_QMP_MEMORY_TRAVELS},
        {"postcopy-active", VF_QMP_MEMORY_FOLLOWS},
        {"postcopy-paused", VF_QMP_MEMORY_BROKEN},
        {"postcopy-recover-setup", VF_QMP_MEMORY_MENDS},
        {"postcopy-recover", VF_QMP_MEMORY_MENDS},
        {"completed", VF_QMP_MEMORY_WHOLE},
    };
    json_t *m = NULL;

    if (vf_qmp_call(q, "query-migrate", NULL, &m, err) < 0)
        return -1;
    *ret = VF_QMP_MEMORY_NONE;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(vf_qmp_text(m, "status"), known[i].status) == 0)
            *ret = known[i].memory;
    if (ret_left)
        *ret_left = vf_qmp_number(json_object_get(m, "ram"), "remaining");
    json_decref(m);
    return 0;
}

static bool follows(enum vf_qmp_memory m)
{
    return m == VF_QMP_MEMORY_FOLLOWS || m == VF_QMP_MEMORY_BROKEN || m == VF_QMP_MEMORY_MENDS;
}

bool vf_qmp_memory_follows(struct vf_qmp *q)
{
    enum vf_qmp_memory m;

    return vf_qmp_memory(q, &m, NULL, NULL) == 0 && follows(m);
}

int vf_qmp_let_go(struct vf_guest *guest, bool *ret, struct vf_error *err)
{
    enum vf_qmp_memory m;

    if (vf_qmp_memory(((struct vf_qmp_guest *)guest)->q, &m, NULL, err) < 0)
        return -1;
    *ret = follows(m) || m == VF_QMP_MEMORY_WHOLE;
    return 0;
}

/* ---- the source half ---- */

int vf_qmp_postcopy_rate(struct vf_qmp *q, double line_rate, uint64_t limit, struct vf_error *err)
{
    double rate = SHARE * (limit && (double)limit < line_rate ? (double)limit : line_rate);

    return vf_qmp_callf(q, NULL, err, "migrate-set-parameters", "{s:I}", "max-postcopy-bandwidth",
                        (json_int_t)(rate > RATE_MIN ? rate : RATE_MIN));
}

static int make_line(struct vf_far *far, struct vf_error *err)
{
    char *path = vf_qmp_out(far, VF_QMP_LINE, err);
    int rc = path ? far->tunnel(far, VF_QMP_LINE, path, NULL, err) : -1;

    free(path);
    return rc;
}

static int make_holder(const struct vf_far *far, struct vf_error *err)
{
    char *mem = vf_qmp_out(far, "mem", err);
    char *line = vf_qmp_out(far, VF_QMP_LINE, err);
    char *hold = vf_qmp_out(far, VF_QMP_HOLD, err);
    struct vf_hold_opts o = {.local = mem, .local_listen = true, .line = line, .control = hold};
    int rc = mem && line && hold ? vf_hold_start(&o, err) : -1;

    free(hold);
    free(line);
    free(mem);
    return rc;
}

static int end_holder(const struct vf_far *far, struct vf_error *err)
{
    char *hold = vf_qmp_out(far, VF_QMP_HOLD, err);
    int rc = hold ? vf_hold_end(hold, err) : -1;

    free(hold);
    return rc;
}

int vf_qmp_postcopy_way(struct vf_far *far, struct vf_error *err)
{
    return make_line(far, err) < 0 ? -1 : make_holder(far, err);
}

/* The far half could not do it.  Is its QEMU gone, or has given up?  Then it never will. */
static int not_there(const struct vf_far *far, const struct vf_error *why, struct vf_error *err)
{
    if (far->refused && (why->code == VF_ERR_UNREACHABLE || why->code == VF_ERR_IO))
        return vf_error_set(err, VF_ERR_NOTFOUND, 0,
                            "its QEMU there has ended (%.80s): it has to be started anew",
                            why->msg);
    return vf_error_pass(err, why);
}

/* A holder is gone, and QEMU's connection with it: QEMU has a way of its own to go on.  1: there is
 * no need, all has come there; 0; -1. */
static int take_new_connection(struct vf_qmp *q, struct vf_far *far, struct vf_error *err)
{
    enum vf_qmp_memory m = VF_QMP_MEMORY_BROKEN;
    struct vf_error why = VF_ERROR_INIT;
    json_t *answer = NULL;
    char *mem = NULL, *uri = NULL;
    int rc = end_holder(far, err);

    if (rc == 0 && far->ask(far, "recover", NULL, &answer, &why) < 0)
        rc = not_there(far, &why, err);
    if (rc == 0)
        rc = json_is_true(json_object_get(answer, "whole"));
    json_decref(answer);
    if (rc == 0)
        rc = make_holder(far, err);
    if (rc == 0 && (mem = vf_qmp_out(far, "mem", err)))
        uri = vf_strf(err, "unix:%s", mem);
    if (rc == 0)
        rc =
            uri ? vf_qmp_callf(q, NULL, err, "migrate", "{s:s, s:b}", "uri", uri, "resume", 1) : -1;
    free(uri);
    free(mem);
    for (int ms = 0; rc == 0 && m == VF_QMP_MEMORY_BROKEN && ms < RECOVER_MS; ms += LOOK_MS) {
        vf_thread_nap(LOOK_MS);
        rc = vf_qmp_memory(q, &m, NULL, err);
    }
    if (rc == 0 && m == VF_QMP_MEMORY_BROKEN)
        rc = vf_error_set(err, VF_ERR_TIMEOUT, 0, "QEMU's migration does not go on");
    return rc;
}

/* What the far half says of its QEMU; known: it could say it. */
struct there {
    bool known, whole, broken;
};

/* Has the far QEMU all?  The word of that may have been lost on its way to the one here. */
static int ask_there(struct vf_far *far, struct there *ret, struct vf_error *err)
{
    json_t *answer = NULL;

    *ret = (struct there){false, false, false};
    if (far->ask(far, "whole", NULL, &answer, err) < 0)
        return far->refused ? 0 : -1;
    ret->known = true;
    ret->whole = json_is_true(json_object_get(answer, "whole"));
    ret->broken = json_is_true(json_object_get(answer, "broken"));
    json_decref(answer);
    return 0;
}

/* This QEMU has no more to give. */
static int ended(struct vf_far *far, struct vf_error *err)
{
    struct there t;

    if (ask_there(far, &t, err) < 0)
        return -1;
    if (t.whole)
        return 1;
    return vf_error_set(err, VF_ERR_NOTFOUND, 0,
                        "the QEMU that had the rest of the guest's memory has ended or given it "
                        "up: the guest cannot go on, and has to be started anew");
}

struct follow {
    struct vf_qmp *q;
    struct vf_far *far;
    const struct vf_hand_off_events *events;
    const volatile int *stop;
    uint64_t most; /* that was left at any time */
    int64_t asked; /* or: since when nothing is left */
    bool mended;
    bool alone; /* at the last look there was no holder here */
};

/* QEMU 7.2 has given all away, waits for the far one's word that it came, and for nothing else. */
static int lost(struct vf_error *err)
{
    return vf_error_set(err, VF_ERR_NOTFOUND, 0,
                        "the last of its memory was lost with a process vf-holder, and QEMU does "
                        "not send it again: the guest cannot go on, and has to be started anew");
}

/* The holder there was killed, and the one here was not: the far QEMU has lost its connection, and
 * takes a new one only from a QEMU that has, too. */
static int lose_connection(struct follow *f, struct vf_error *err)
{
    enum vf_qmp_memory m = VF_QMP_MEMORY_FOLLOWS;
    uint64_t left = 0;
    int rc = end_holder(f->far, err);

    for (int ms = 0; rc == 0 && m == VF_QMP_MEMORY_FOLLOWS && ms < RECOVER_MS; ms += LOOK_MS) {
        vf_thread_nap(LOOK_MS);
        rc = vf_qmp_memory(f->q, &m, &left, err);
    }
    if (rc < 0 || m != VF_QMP_MEMORY_FOLLOWS)
        return rc;
    return left ? vf_error_set(err, VF_ERR_TIMEOUT, 0, "QEMU does not let its connection go")
                : lost(err);
}

/* Looks at the other side, too, after this one, whose state is here with so much left.  1: all is
 * there, 0: not yet, -1. */
static int compare(struct follow *f, enum vf_qmp_memory here, uint64_t left, struct vf_error *err)
{
    struct there t;
    char *hold;
    bool alone;

    if (ask_there(f->far, &t, err) < 0)
        return -1;
    if (t.whole || !t.known || here != VF_QMP_MEMORY_FOLLOWS)
        return t.whole;
    if (t.broken)
        return lose_connection(f, err);
    hold = vf_qmp_out(f->far, VF_QMP_HOLD, err);
    if (!hold)
        return -1;
    alone = !left && !vf_hold_there(hold);
    free(hold);
    if (alone && f->alone) /* once may mean that all came just now */
        return lost(err);
    f->alone = alone;
    return 0;
}

/* QEMU's connection is gone: once in a call it gets a new one.  The conversation stays, if it can:
 * it may be what the far QEMU hears (hold.h). */
static int mend(struct follow *f, struct vf_error *err)
{
    if (f->mended)
        return vf_error_set(err, VF_ERR_IO, 0, "QEMU has lost its connection again");
    f->mended = true;
    if (f->far->broken(f->far, err) != 0) {
        f->far->end_tunnels(f->far);
        if (make_line(f->far, err) < 0)
            return -1;
    }
    return take_new_connection(f->q, f->far, err);
}

/* No bytes get to the holder there: because of the line, or because it is gone?  0: the latter, and
 * QEMU knows now, -1: the line, as why says. */
static int no_line(struct follow *f, enum vf_qmp_memory here, const struct vf_error *why,
                   struct vf_error *err)
{
    struct vf_error nobody = VF_ERROR_INIT;
    struct there t;

    if (here != VF_QMP_MEMORY_FOLLOWS || ask_there(f->far, &t, &nobody) < 0 || !t.broken)
        return vf_error_pass(err, why);
    return lose_connection(f, err);
}

/* 1: all is there, 0: not yet, -1. */
static int look(struct follow *f, struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;
    enum vf_qmp_memory m = VF_QMP_MEMORY_NONE;
    uint64_t left = 0;

    if (f->q && vf_qmp_memory(f->q, &m, &left, &why) < 0 && why.code != VF_ERR_UNREACHABLE)
        return vf_error_pass(err, &why);
    if (m == VF_QMP_MEMORY_WHOLE)
        return 1;
    if (m == VF_QMP_MEMORY_NONE)
        return ended(f->far, err);
    if (m == VF_QMP_MEMORY_BROKEN)
        return mend(f, err);
    if (f->far->broken(f->far, &why) != 0)
        return no_line(f, m, &why, err);
    if (left > f->most)
        f->most = left;
    if (f->events->progress)
        f->events->progress(f->events->ctx, VF_GUEST_MEMORY, f->most - left, f->most);
    if (left)
        f->asked = vf_clock_ms();
    if (vf_clock_ms() - f->asked < ASK_MS)
        return 0;
    f->asked = vf_clock_ms();
    return compare(f, m, left, err);
}

/* The word to run, if that was missed. */
static int let_run(struct vf_far *far, struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;

    return far->ask(far, "commit", NULL, NULL, &why) == 0 ? 0 : not_there(far, &why, err);
}

/* A new conversation: how are things on both sides?  The line first, and a connection for QEMU: the
 * far one may not answer while it waits for a page.  1: all is there, 0: not yet, -1. */
static int look_again(struct follow *f, struct vf_error *err)
{
    enum vf_qmp_memory m = VF_QMP_MEMORY_NONE;
    uint64_t left = 0;
    int rc = make_line(f->far, err);

    if (rc == 0 && f->q && vf_qmp_memory(f->q, &m, &left, NULL) == 0) { /* else look() says why */
        if (m == VF_QMP_MEMORY_FOLLOWS)
            rc = compare(f, m, left, err);
        else if (m == VF_QMP_MEMORY_BROKEN)
            rc = mend(f, err);
    }
    return rc < 0 || let_run(f->far, err) < 0 ? -1 : rc;
}

int vf_qmp_follow(struct vf_guest *guest, struct vf_far *far, bool again,
                  const struct vf_hand_off_events *events, const volatile int *stop,
                  struct vf_error *err)
{
    struct vf_qmp_guest *g = (struct vf_qmp_guest *)guest;
    struct follow f = {g->q, far, events, stop, 0, vf_clock_ms(), false, false};
    int rc;

    if (g->q)
        vf_qmp_mind_stop(g->q, false);
    rc = again ? look_again(&f, err) : 0;
    while (rc == 0) {
        rc = look(&f, err);
        if (rc == 0 && f.stop && *f.stop)
            rc = vf_error_set(err, VF_ERR_CANCELLED, 0, "interrupted");
        if (rc == 0)
            vf_thread_nap(LOOK_MS);
    }
    if (g->q)
        vf_qmp_mind_stop(g->q, true);
    g->whole = rc > 0;
    return rc > 0 ? 0 : -1;
}

/* ---- the far half ---- */

int vf_qmp_arrived(struct vf_qmp *q, int ms, struct vf_error *err)
{
    int64_t end = vf_clock_ms() + ms;

    do {
        enum vf_qmp_memory m;
        json_t *status = NULL;
        bool still;

        if (vf_qmp_memory(q, &m, NULL, err) < 0 ||
            vf_qmp_call(q, "query-status", NULL, &status, err) < 0)
            return -1;
        still = strcmp(vf_qmp_text(status, "status"), "inmigrate") == 0;
        json_decref(status);
        if (!still && (follows(m) || m == VF_QMP_MEMORY_WHOLE))
            return 0;
        if (m == VF_QMP_MEMORY_NONE)
            return vf_error_set(err, VF_ERR_IO, 0, "the guest did not arrive");
        vf_thread_nap(LOOK_MS);
    } while (vf_clock_ms() < end);
    return vf_error_set(err, VF_ERR_TIMEOUT, 0, "the guest has not arrived yet");
}

int vf_qmp_arrival_way(const struct vf_qmp *q, const struct vf_qmp_way *w, struct vf_error *err)
{
    struct vf_hold_opts o = {.local = w->mem,
                             .line = w->line,
                             .line_listen = true,
                             .control = w->hold,
                             .keep = vf_qmp_fd(q)};

    return vf_hold_start(&o, err);
}

int vf_qmp_arrival_whole(struct vf_qmp *q, const struct vf_qmp_way *w, bool *ret, bool *ret_broken,
                         struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;
    enum vf_qmp_memory m = VF_QMP_MEMORY_FOLLOWS;
    /* Before QEMU is asked: a holder ends when all is there, too. */
    bool holder = vf_hold_there(w->hold);

    vf_qmp_patience(q, HEAR_MS);
    if (vf_qmp_memory(q, &m, NULL, &why) < 0) {
        if (why.code != VF_ERR_TIMEOUT || holder)
            return vf_error_pass(err, &why);
        m = VF_QMP_MEMORY_FOLLOWS; /* it waits for a page */
    }
    *ret = m == VF_QMP_MEMORY_WHOLE;
    *ret_broken = m == VF_QMP_MEMORY_BROKEN || (m == VF_QMP_MEMORY_FOLLOWS && !holder);
    return 0;
}

/* QEMU takes a new connection when a thread of its own has noticed that the old one is gone; which
 * of the two comes first does not matter, as a refusal changes nothing.  Its main thread may wait
 * for a page meanwhile, and then does not say how things are. */
static int expect_connection(struct vf_qmp *q, const char *uri, bool *ret_whole,
                             struct vf_error *err)
{
    int64_t end = vf_clock_ms() + RECOVER_MS;
    enum vf_qmp_memory m = VF_QMP_MEMORY_FOLLOWS;
    struct vf_error why = VF_ERROR_INIT;
    bool hears = true;

    for (;;) {
        json_t *args = json_pack("{s:s}", "uri", uri);

        if (!args)
            return vf_error_nomem(err);
        if (vf_qmp_call_oob(q, "migrate-recover", args, NULL, &why) == 0)
            return 0;
        if (why.code != VF_ERR_IO) /* it was not a refusal */
            return vf_error_pass(err, &why);
        if (hears && vf_qmp_memory(q, &m, NULL, &why) < 0) {
            if (why.code != VF_ERR_TIMEOUT)
                return vf_error_pass(err, &why);
            hears = false;
        }
        *ret_whole = m == VF_QMP_MEMORY_WHOLE;
        if (*ret_whole)
            return 0;
        if (m == VF_QMP_MEMORY_NONE || vf_clock_ms() > end)
            return vf_error_set(err, VF_ERR_BUSY, 0,
                                "QEMU takes no new connection for memory here");
        vf_thread_nap(LOOK_MS);
    }
}

int vf_qmp_arrival_recover(struct vf_qmp *q, const struct vf_qmp_way *w, bool *ret_whole,
                           struct vf_error *err)
{
    char *uri = vf_strf(err, "unix:%s", w->mem);
    /* The holder here may have outlived the one at the source: nothing comes to it any more. */
    int rc = uri ? vf_hold_end(w->hold, err) : -1;

    *ret_whole = false;
    vf_qmp_patience(q, HEAR_MS);
    if (rc == 0)
        rc = expect_connection(q, uri, ret_whole, err);
    if (rc == 0 && !*ret_whole)
        rc = vf_qmp_arrival_way(q, w, err);
    free(uri);
    return rc;
}

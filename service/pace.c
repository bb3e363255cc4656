/* service/pace.c - the rate limit and the pauses. */
#include "service/pace.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/checked.h"
#include "core/ratelimit.h"
#include "core/thread.h"
#include "service/clock.h"
#include "service/pressure.h"

#define NAP_MS    20  /* shorter debts are gathered */
#define WORK_MS   200 /* of reading without a rest */
#define REST_MS   20
#define LOOK_MS   40    /* of rest, before pressure is judged: others wait half a second at most */
#define PAUSE_MS  200   /* between looks while pausing */
#define PAUSE_MAX 20000 /* then a little is read all the same: a tenth of the time at most */
#define GRANT_MS  2000
#define ASK_MS    500 /* between questions whether something else goes on */

struct vf_pace {
    const volatile int *stop;
    struct vf_ratelimit *limit;
    pthread_mutex_t lock; /* all below */
    struct vf_pace_opts opts;
    unsigned active;   /* reads going on */
    uint64_t entries;  /* how many there have been */
    int64_t rested_ms; /* end of the last rest */
    int64_t left_ms;   /* end of the last read */
    int64_t asked_ms, pause_ms, grant_ms;
    uint64_t rest_us, io_us, cpu_us; /* gathered over rests */
    struct vf_pace_state now;
    const char *occupied;
    bool pressed;
    int64_t rate_ms; /* beginning of the window that the rate is counted in */
    uint64_t rate_bytes;
};

struct vf_pace *vf_pace_new(const struct vf_pace_opts *opts, const volatile int *stop,
                            struct vf_error *err)
{
    struct vf_pace *p = vf_calloc(1, sizeof *p, err);

    if (!p)
        return NULL;
    p->limit = vf_ratelimit_new(opts->rate, err);
    if (!p->limit) {
        free(p);
        return NULL;
    }
    pthread_mutex_init(&p->lock, NULL);
    p->stop = stop;
    p->opts = *opts;
    p->now.paused = "";
    p->rested_ms = p->rate_ms = vf_boot_ms();
    return p;
}

void vf_pace_free(struct vf_pace *p)
{
    if (!p)
        return;
    vf_ratelimit_free(p->limit);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

void vf_pace_configure(struct vf_pace *p, const struct vf_pace_opts *opts)
{
    vf_ratelimit_set(p->limit, opts->rate);
    pthread_mutex_lock(&p->lock);
    p->opts = *opts;
    p->pressed = false;
    p->asked_ms = 0;
    p->rest_us = p->io_us = p->cpu_us = 0;
    pthread_mutex_unlock(&p->lock);
}

/* ---- judging; with the lock held ---- */

/* Out of a pause only when it is clearly better. */
static bool over(unsigned percent, unsigned limit, bool pressed)
{
    return limit && percent > (pressed ? limit * 2 / 3 : limit);
}

static void judge_pressure(struct vf_pace *p)
{
    double load = 0;

    if (p->rest_us) {
        p->now.io_percent = vf_pressure_percent(0, p->io_us, p->rest_us);
        p->now.cpu_percent = vf_pressure_percent(0, p->cpu_us, p->rest_us);
    }
    p->rest_us = p->io_us = p->cpu_us = 0;
    p->pressed = over(p->now.io_percent, p->opts.io_percent, p->pressed) ||
                 over(p->now.cpu_percent, p->opts.cpu_percent, p->pressed) ||
                 (p->opts.max_load > 0 && getloadavg(&load, 1) == 1 && load > p->opts.max_load);
}

static void ask(struct vf_pace *p, int64_t now)
{
    if (now - p->asked_ms < ASK_MS)
        return;
    p->asked_ms = now;
    p->occupied = p->opts.occupied ? p->opts.occupied(p->opts.ctx) : NULL;
}

static const char *reason(const struct vf_pace *p)
{
    if (p->occupied)
        return p->occupied;
    if (!p->pressed)
        return "";
    if (over(p->now.io_percent, p->opts.io_percent, true))
        return "others wait for the disk";
    if (over(p->now.cpu_percent, p->opts.cpu_percent, true))
        return "others wait for a processor";
    return "the load is high";
}

/* Sleeps without the lock; what others suffered meanwhile counts only if nobody read. */
static void rest(struct vf_pace *p, int64_t ms)
{
    const char *dir = p->opts.pressure_dir ? p->opts.pressure_dir : "/proc/pressure";
    bool look = p->opts.io_percent || p->opts.cpu_percent;
    uint64_t entries = p->entries;
    bool alone = !p->active;
    struct vf_pressure before = {0}, after = {0};
    int64_t start = vf_boot_ms(), took;

    pthread_mutex_unlock(&p->lock);
    if (look && alone)
        vf_pressure_look(dir, &before);
    vf_thread_nap(ms);
    if (look && alone)
        vf_pressure_look(dir, &after);
    pthread_mutex_lock(&p->lock);
    p->rested_ms = vf_boot_ms();
    took = p->rested_ms - start;
    if (alone && entries == p->entries && before.known && after.known && took > 0) {
        p->rest_us += (uint64_t)took * 1000;
        p->io_us += after.io_us > before.io_us ? after.io_us - before.io_us : 0;
        p->cpu_us += after.cpu_us > before.cpu_us ? after.cpu_us - before.cpu_us : 0;
    }
    if (p->rest_us >= LOOK_MS * 1000 || (!look && p->opts.max_load > 0))
        judge_pressure(p);
}

/* Waits as long as there is a reason to.  With the lock held. */
static void pause_while(struct vf_pace *p)
{
    int64_t begun = vf_boot_ms(), now = begun;

    while (!*p->stop) {
        ask(p, now);
        p->now.paused = reason(p);
        if (!*p->now.paused || now < p->grant_ms)
            break;
        if (!p->occupied && now - begun > PAUSE_MAX) {
            p->grant_ms = now + GRANT_MS;
            break;
        }
        rest(p, PAUSE_MS);
        now = vf_boot_ms();
    }
    p->now.paused_seconds += (double)(now - begun) / 1000;
    if (*p->now.paused && now < p->grant_ms)
        p->now.paused = "";
}

static void count(struct vf_pace *p, uint64_t n)
{
    int64_t now = vf_boot_ms(), gone = now - p->rate_ms;

    p->now.bytes += n;
    p->rate_bytes += n;
    if (gone >= 5000) {
        p->now.rate = (double)p->rate_bytes * 1000 / (double)gone;
        p->rate_ms = now;
        p->rate_bytes = 0;
    }
}

int vf_pace_enter(struct vf_pace *p, uint64_t n, struct vf_error *err)
{
    int64_t wait = (int64_t)(vf_ratelimit_take(p->limit, n) / 1000000);

    pthread_mutex_lock(&p->lock);
    if (wait < NAP_MS && vf_boot_ms() - p->rested_ms >= WORK_MS &&
        (p->opts.io_percent || p->opts.cpu_percent || p->opts.max_load > 0))
        wait = REST_MS;
    while (wait >= NAP_MS && !*p->stop) {
        int64_t some = wait < PAUSE_MS ? wait : PAUSE_MS;

        rest(p, some);
        wait -= some;
    }
    if (!p->active && vf_boot_ms() - p->left_ms >= NAP_MS)
        p->asked_ms = 0; /* a short file must not slip through between two questions */
    pause_while(p);
    if (!*p->stop) {
        p->active++;
        p->entries++;
        count(p, n);
    }
    pthread_mutex_unlock(&p->lock);
    return *p->stop ? vf_error_set(err, VF_ERR_CANCELLED, 0, "interrupted") : 0;
}

void vf_pace_leave(struct vf_pace *p)
{
    pthread_mutex_lock(&p->lock);
    p->active--;
    p->left_ms = vf_boot_ms();
    pthread_mutex_unlock(&p->lock);
}

void vf_pace_state(struct vf_pace *p, struct vf_pace_state *ret)
{
    int64_t gone;

    pthread_mutex_lock(&p->lock);
    gone = vf_boot_ms() - p->rate_ms;
    *ret = p->now;
    if (gone > 10000) /* nobody reads any more */
        ret->rate = (double)p->rate_bytes * 1000 / (double)gone;
    pthread_mutex_unlock(&p->lock);
}

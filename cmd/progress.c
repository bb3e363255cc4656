/* cmd/progress.c - draws progress. */
#include "cmd/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/report.h"
#include "core/block.h"
#include "core/clock.h"

enum mode { NONE, BAR, PLAIN, JSON };

#define PLAIN_EVERY 5.0 /* seconds */
#define JSON_EVERY  0.5
#define LINE_ROOM   512
#define BAR_LEN     20

struct vf_progress {
    enum mode mode;
    const char *title;
    struct vf_stream *stream;
    double start, last;   /* seconds of the monotonic clock */
    double rate, rate_at; /* bytes per second, smoothed; when it was taken */
    uint64_t rate_done;   /* bytes done at that time */
    bool drawn;
};

/* What one drawing shows. */
struct state {
    const char *phase;
    uint64_t done, total, saved, sent; /* bytes */
    double seconds, rate, left;        /* left < 0: unknown */
};

static enum mode choose(const struct vf_cli *cli)
{
    const char *m = cli->progress ? cli->progress : "auto", *term;

    if (strcmp(m, "bar") == 0)
        return BAR;
    if (strcmp(m, "plain") == 0)
        return PLAIN;
    if (strcmp(m, "json") == 0)
        return JSON;
    if (strcmp(m, "none") == 0 || cli->quiet)
        return NONE;
    term = getenv("TERM");
    return isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0 ? BAR : PLAIN;
}

struct vf_progress *vf_progress_new(const struct vf_cli *cli, const char *title)
{
    struct vf_progress *p = calloc(1, sizeof *p);
    const char *slash = strrchr(title, '/');

    if (!p)
        return NULL;
    p->mode = choose(cli);
    p->title = slash && slash[1] ? slash + 1 : title;
    p->start = p->last = p->rate_at = vf_clock_now();
    return p;
}

void vf_progress_over(struct vf_progress *p, struct vf_stream *st)
{
    if (p)
        p->stream = st;
}

/* Rate over the last seconds, so that a slow stretch shows and noise does not. */
static void update_rate(struct vf_progress *p, double at, uint64_t done)
{
    double dt = at - p->rate_at, now;

    if (dt < 0.25 || done < p->rate_done)
        return;
    now = (double)(done - p->rate_done) / dt;
    p->rate = p->rate > 0 ? p->rate + (now - p->rate) * (dt > 4 ? 1 : dt / 4) : now;
    p->rate_at = at;
    p->rate_done = done;
}

/* Numbers as people read them. */
struct texts {
    char done[VF_BYTES_TEXT], total[VF_BYTES_TEXT], rate[VF_BYTES_TEXT], left[VF_BYTES_TEXT],
        saved[VF_BYTES_TEXT], sent[VF_BYTES_TEXT];
};

static struct texts texts_of(const struct state *s)
{
    struct texts t = {.left = "?"};

    vf_bytes_text(s->done, t.done);
    vf_bytes_text(s->total, t.total);
    vf_bytes_text((uint64_t)s->rate, t.rate);
    vf_bytes_text(s->saved, t.saved);
    vf_bytes_text(s->sent, t.sent);
    if (s->left >= 0)
        vf_seconds_text(s->left, t.left);
    return t;
}

static void put_bar(const struct vf_progress *p, const struct state *s)
{
    const struct texts t = texts_of(s);
    char bar[BAR_LEN + 1], line[LINE_ROOM];
    unsigned fill = s->total ? (unsigned)((double)s->done / (double)s->total * BAR_LEN) : 0;
    struct winsize ws = {0};
    size_t columns = 80;

    for (unsigned i = 0; i < BAR_LEN; i++)
        bar[i] = i < fill ? '#' : '-';
    bar[BAR_LEN] = '\0';
    snprintf(line, sizeof line, "[%s] %3.0f %% %s of %s, %s/s, %s left%s%s%s%s  %.60s (%s)", bar,
             100 * vf_share(s->done, s->total), t.done, t.total, t.rate, t.left,
             p->stream ? ", sent " : "", p->stream ? t.sent : "", p->stream ? ", saved " : "",
             p->stream ? t.saved : "", p->title, s->phase);
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 1)
        columns = ws.ws_col;
    if (columns <= sizeof line)
        line[columns - 1] = '\0'; /* a longer line would wrap and scroll */
    fputc('\r', stderr);
    vf_put_clean(stderr, line);
    fputs("\x1b[K", stderr);
    fflush(stderr);
}

static void put_plain(const struct vf_progress *p, const struct state *s)
{
    const struct texts t = texts_of(s);

    vf_put_clean(stderr, p->title);
    fprintf(stderr, ": %s: %s of %s (%.0f %%), %s/s, %s left", s->phase, t.done, t.total,
            100 * vf_share(s->done, s->total), t.rate, t.left);
    if (p->stream)
        fprintf(stderr, ", sent %s, saved %s", t.sent, t.saved);
    fputc('\n', stderr);
}

static void put_json(const struct state *s)
{
    json_t *left = s->left < 0 ? json_null() : json_real(s->left);
    json_t *o =
        json_pack("{s:{s:s, s:I, s:I, s:I, s:I, s:f, s:f, s:o}}", "progress", "phase", s->phase,
                  "bytes_done", (json_int_t)s->done, "bytes_total", (json_int_t)s->total,
                  "bytes_saved", (json_int_t)s->saved, "wire_bytes_sent", (json_int_t)s->sent,
                  "seconds", s->seconds, "rate", s->rate, "seconds_left", left);
    char *text = o ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;

    if (text)
        fprintf(stderr, "%s\n", text);
    free(text);
    json_decref(o);
}

/* Seconds, by the average of all: what is known goes fast, and comes in long stretches.  Zeros take
 * next to no time and are most of many images, as a rule behind the rest, so they do not count.
 * Negative: unknown. */
static double time_left(const struct vf_progress_now *now, double seconds)
{
    uint64_t left = now->blocks - now->blocks_done, done = now->blocks_done, data_left;

    if (now->data_blocks) {
        done -= now->zero_blocks < done ? now->zero_blocks : done;
        data_left = now->data_blocks > done ? now->data_blocks - done : 0;
        left = data_left < left ? data_left : left;
    }
    return done ? seconds * (double)left / (double)done : -1;
}

void vf_progress_tick(void *ctx, const struct vf_progress_now *now)
{
    struct vf_progress *p = ctx;
    double at = vf_clock_now();
    struct vf_stream_stats stats = {0, 0, 0};
    struct state s;

    if (!p || p->mode == NONE)
        return;
    s.phase = now->phase ? now->phase : "working";
    s.done = now->blocks_done * VF_BLOCK;
    s.total = now->blocks * VF_BLOCK;
    update_rate(p, at, s.done);
    if (p->mode != BAR && at - p->last < (p->mode == PLAIN ? PLAIN_EVERY : JSON_EVERY))
        return;
    p->last = at;
    if (p->stream)
        p->stream->ops->stats(p->stream, &stats);
    s.sent = stats.sent;
    s.saved = s.done > s.sent ? s.done - s.sent : 0;
    s.seconds = at - p->start;
    s.rate = p->rate;
    s.left = time_left(now, s.seconds);
    p->drawn = true;
    if (p->mode == BAR)
        put_bar(p, &s);
    else if (p->mode == PLAIN)
        put_plain(p, &s);
    else
        put_json(&s);
}

void vf_progress_end(struct vf_progress *p)
{
    if (p && p->mode == BAR && p->drawn)
        fputs("\r\x1b[K", stderr);
    free(p);
}

/* hypervisor/libvirt_eye.c - see the header. */
#include "hypervisor/libvirt_eye.h"

#include <string.h>

#include "core/clock.h"
#include "core/thread.h"

static int on_out(void *ctx, const uint8_t *bytes, size_t len, struct vf_error *err)
{
    struct vf_lv_eye *e = ctx;
    int rc;

    if (vf_lv_rpc_feed(&e->out, bytes, len) != VF_LV_RPC_FINISH)
        return 0;
    (void)pthread_mutex_lock(&e->lock);
    rc = e->judge ? e->judge(e->ctx, err)
                  : vf_error_set(err, VF_ERR_CANCELLED, 0, "the move was given up");
    e->refused = rc < 0;
    (void)pthread_mutex_unlock(&e->lock);
    return rc;
}

static void on_in(void *ctx, const uint8_t *bytes, size_t len)
{
    struct vf_lv_eye *e = ctx;

    if (vf_lv_rpc_feed(&e->in, bytes, len) != VF_LV_RPC_YES)
        return;
    (void)pthread_mutex_lock(&e->lock);
    e->yes = true;
    (void)pthread_cond_signal(&e->news);
    (void)pthread_mutex_unlock(&e->lock);
}

void vf_lv_eye_init(struct vf_lv_eye *e)
{
    memset(e, 0, sizeof *e);
    e->look = (struct vf_far_look){.ctx = e, .out = on_out, .in = on_in};
    (void)pthread_mutex_init(&e->lock, NULL); /* default ones cannot fail on Linux */
    (void)pthread_cond_init(&e->news, NULL);
}

void vf_lv_eye_destroy(struct vf_lv_eye *e)
{
    (void)pthread_cond_destroy(&e->news);
    (void)pthread_mutex_destroy(&e->lock);
}

void vf_lv_eye_begin(struct vf_lv_eye *e, int (*judge)(void *ctx, struct vf_error *err), void *ctx)
{
    (void)pthread_mutex_lock(&e->lock);
    e->over = e->refused = e->yes = false;
    e->judge = judge;
    e->ctx = ctx;
    (void)pthread_mutex_unlock(&e->lock);
}

void vf_lv_eye_end(struct vf_lv_eye *e)
{
    (void)pthread_mutex_lock(&e->lock);
    e->judge = NULL;
    (void)pthread_mutex_unlock(&e->lock);
}

void vf_lv_eye_over(struct vf_lv_eye *e)
{
    (void)pthread_mutex_lock(&e->lock);
    e->over = true;
    (void)pthread_cond_signal(&e->news);
    (void)pthread_mutex_unlock(&e->lock);
}

bool vf_lv_eye_wait(struct vf_lv_eye *e, int ms)
{
    int64_t end = vf_clock_ms() + ms;
    bool ret, early = true;

    (void)pthread_mutex_lock(&e->lock);
    while (!e->over && !e->yes && early)
        early = vf_thread_wait_until(&e->news, &e->lock, end);
    ret = e->over || e->yes;
    (void)pthread_mutex_unlock(&e->lock);
    return ret;
}

static bool look(struct vf_lv_eye *e, const bool *what)
{
    bool ret;

    (void)pthread_mutex_lock(&e->lock);
    ret = *what;
    (void)pthread_mutex_unlock(&e->lock);
    return ret;
}

bool vf_lv_eye_yes(struct vf_lv_eye *e) { return look(e, &e->yes); }

bool vf_lv_eye_refused(struct vf_lv_eye *e) { return look(e, &e->refused); }

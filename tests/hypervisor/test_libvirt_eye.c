#include "hypervisor/libvirt_eye.h"

#include <string.h>

#include "tests/lib/check.h"

/* An empty call or answer of that procedure, cancelled or not. */
static void message(uint8_t p[32], uint8_t proc_high, uint8_t proc_low, uint8_t type)
{
    static const uint8_t head[] = {0, 0, 0, 32, 0x20, 0, 0x80, 0x86, 0, 0, 0, 1};

    memset(p, 0, 32);
    memcpy(p, head, sizeof head);
    p[14] = proc_high;
    p[15] = proc_low;
    p[19] = type;
}

static int allow(void *ctx, struct vf_error *err)
{
    (void)err;
    ++*(unsigned *)ctx;
    return 0;
}

static int refuse(void *ctx, struct vf_error *err)
{
    ++*(unsigned *)ctx;
    return vf_error_set(err, VF_ERR_BUSY, 0, "no");
}

TEST(judges_before_the_end_only)
{
    struct vf_lv_eye e;
    struct vf_error err = VF_ERROR_INIT;
    uint8_t finish[32], other[32];
    unsigned asked = 0;

    message(finish, 1, 50, 0);
    message(other, 1, 48, 0);
    vf_lv_eye_init(&e);
    vf_lv_eye_begin(&e, allow, &asked);
    CHECK_OK(e.look.out(e.look.ctx, other, sizeof other, &err), &err);
    CHECK_EQ_U64(asked, 0);
    CHECK_OK(e.look.out(e.look.ctx, finish, sizeof finish, &err), &err);
    CHECK_EQ_U64(asked, 1);
    CHECK(!vf_lv_eye_refused(&e));

    vf_lv_eye_begin(&e, refuse, &asked);
    CHECK_FAIL(e.look.out(e.look.ctx, finish, sizeof finish, &err), &err, VF_ERR_BUSY);
    CHECK(vf_lv_eye_refused(&e));
    vf_lv_eye_destroy(&e);
}

TEST(refuses_when_nobody_waits_any_more)
{
    struct vf_lv_eye e;
    struct vf_error err = VF_ERROR_INIT;
    uint8_t finish[32];
    unsigned asked = 0;

    message(finish, 1, 50, 0);
    vf_lv_eye_init(&e);
    vf_lv_eye_begin(&e, allow, &asked);
    vf_lv_eye_end(&e);
    CHECK_FAIL(e.look.out(e.look.ctx, finish, sizeof finish, &err), &err, VF_ERR_CANCELLED);
    CHECK_EQ_U64(asked, 0);
    vf_lv_eye_destroy(&e);
}

TEST(waits_for_yes_or_the_end)
{
    struct vf_lv_eye e;
    uint8_t yes[32];
    unsigned asked = 0;

    message(yes, 1, 50, 1);
    vf_lv_eye_init(&e);
    vf_lv_eye_begin(&e, allow, &asked);
    CHECK(!vf_lv_eye_wait(&e, 1));
    e.look.in(e.look.ctx, yes, sizeof yes - 1);
    CHECK(!vf_lv_eye_yes(&e));
    e.look.in(e.look.ctx, yes + sizeof yes - 1, 1);
    CHECK(vf_lv_eye_yes(&e));
    CHECK(vf_lv_eye_wait(&e, 60000));

    vf_lv_eye_begin(&e, allow, &asked);
    CHECK(!vf_lv_eye_yes(&e));
    vf_lv_eye_over(&e);
    CHECK(vf_lv_eye_wait(&e, 60000));
    CHECK(!vf_lv_eye_yes(&e));
    vf_lv_eye_destroy(&e);
}

TESTS(judges_before_the_end_only, refuses_when_nobody_waits_any_more, waits_for_yes_or_the_end)

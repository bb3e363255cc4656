/* formats/qemu.c - running QEMU's tools. */
#include "formats/qemu.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/clock.h"
#include "core/fdio.h"

#define FINISH_MS 60000 /* a server may have much to write at its end */

static const char socket_name[] = "/nbd";

static int start(struct vf_proc *p, const char *const argv[], struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;

    if (vf_proc_start(p, argv, VF_PROC_ERR, &why) == 0)
        return 0;
    if (why.code == VF_ERR_NOTFOUND)
        return vf_error_set(err, VF_ERR_UNSUPPORTED, 0,
                            "%s is needed for this image format and not installed (Debian package "
                            "qemu-utils)",
                            argv[0]);
    return vf_error_pass(err, &why);
}

/* Takes what the child has said; the first of it is kept in said.  1: it may say more; 0: it closed
 * its end, which is when it ends.  Waits for it up to ms, -1 for ever. */
static int listen_once(struct vf_proc *p, int ms, char *said, size_t size, size_t *len)
{
    struct pollfd w = {p->err, POLLIN, 0};
    char waste[512];
    bool room = *len + 1 < size;
    long n;

    if (poll(&w, 1, ms) <= 0 || !w.revents)
        return 1;
    n = vf_read_some(p->err, room ? said + *len : waste, room ? size - 1 - *len : sizeof waste,
                     NULL);
    if (n <= 0)
        return 0;
    *len += room ? (size_t)n : 0;
    said[*len] = 0;
    return 1;
}

/* The first line is the reason; what follows are hints.  The block graph that QEMU repeats in it
 * says nothing to anybody. */
static void report(struct vf_error *err, const char *program, int status, char *said)
{
    char *text = said, *at;
    enum vf_err code = VF_ERR_IO;

    text[strcspn(text, "\r\n")] = 0;
    at = strstr(text, "}': ");
    for (char *next = at; next; next = strstr(next + 1, "}': "))
        at = next;
    if (at)
        text = at + 4;
    if (strncmp(text, program, strlen(program)) == 0 &&
        strncmp(text + strlen(program), ": ", 2) == 0)
        text += strlen(program) + 2;
    if (strstr(text, "Failed to get") && strstr(text, "lock"))
        code = VF_ERR_BUSY;
    else if (strstr(text, "No space left"))
        code = VF_ERR_SPACE;
    (void)vf_error_set(err, code, 0, "%s failed with status %d%s%s", program, status,
                       *text ? ": " : "", text); /* callers have their own results */
}

/* ---- qemu-img ---- */

int vf_qemu_img(const char *const argv[], int *ret_status, struct vf_error *err)
{
    struct vf_proc p = VF_PROC_INIT;
    char said[2048] = "";
    size_t len = 0;
    int status;

    if (start(&p, argv, err) < 0)
        return -1;
    while (listen_once(&p, -1, said, sizeof said, &len))
        continue;
    if (vf_proc_finish(&p, FINISH_MS, &status, err) < 0)
        return -1;
    if (status)
        report(err, argv[0], status, said);
    *ret_status = status;
    return 0;
}

/* ---- qemu-nbd ---- */

/* A new directory that only we can enter, for a socket whose name must stay short. */
static char *private_dir(struct vf_error *err)
{
    const size_t max = sizeof((struct sockaddr_un *)0)->sun_path;
    const char *base = getenv("TMPDIR");
    char *dir;

    if (!base || base[0] != '/' ||
        strlen(base) + sizeof "/vmferry-XXXXXX" + sizeof socket_name > max)
        base = "/tmp";
    dir = vf_strf(err, "%s/vmferry-XXXXXX", base);
    if (!dir || mkdtemp(dir)) /* mode 0700 */
        return dir;
    (void)vf_error_sys(err, errno, "make a directory in '%s'", base); /* the NULL says it */
    free(dir);
    return NULL;
}

int vf_qemu_serve(struct vf_qemu_server *s, const char *image, bool writable, unsigned conns,
                  struct vf_error *err)
{
    char shared[32];
    const char *argv[12] = {"qemu-nbd", "--shared", shared, "--socket"};
    size_t n = 5;

    s->dir = private_dir(err);
    s->socket = s->dir ? vf_strf(err, "%s%s", s->dir, socket_name) : NULL;
    if (!s->socket)
        goto fail;
    (void)snprintf(shared, sizeof shared, "%u", conns); /* always fits */
    argv[4] = s->socket;
    if (writable) {
        argv[n++] = "--cache=writeback"; /* with flushes when we ask for them */
        argv[n++] = "--discard=unmap";
        argv[n++] = "--detect-zeroes=off"; /* whoever writes has looked already */
    } else {
        argv[n++] = "--read-only";
    }
    argv[n++] = "--";
    argv[n++] = image;
    argv[n] = NULL;
    if (start(&s->proc, argv, err) < 0)
        goto fail;
    return 0;
fail:
    vf_qemu_hide(s);
    return -1;
}

/* After its end.  0, or -1 when it did not end well. */
static int finish(struct vf_qemu_server *s, struct vf_error *err)
{
    int status;

    vf_qemu_hide(s);
    if (vf_proc_finish(&s->proc, FINISH_MS, &status, err) < 0)
        return -1;
    if (status == 0)
        return 0;
    report(err, "qemu-nbd", status, s->said);
    return -1;
}

/* Waits up to ms for the child to close its end. */
static bool silent_within(struct vf_qemu_server *s, int ms)
{
    int64_t start = vf_clock_ms();
    int passed = 0;

    do {
        if (!listen_once(&s->proc, ms - passed, s->said, sizeof s->said, &s->said_len))
            return true;
        passed = (int)(vf_clock_ms() - start);
    } while (passed < ms);
    return false;
}

bool vf_qemu_ended(struct vf_qemu_server *s, int ms, struct vf_error *err)
{
    if (!silent_within(s, ms))
        return false;
    if (finish(s, err) == 0)
        (void)vf_error_set(err, VF_ERR_IO, 0, "qemu-nbd ended before it served anything");
    return true;
}

int vf_qemu_wait(struct vf_qemu_server *s, int ms, struct vf_error *err)
{
    if (access(s->socket, F_OK) == 0)
        return 1;
    return vf_qemu_ended(s, ms, err) ? -1 : 0;
}

void vf_qemu_hide(struct vf_qemu_server *s)
{
    if (s->socket)
        (void)unlink(s->socket); /* may never have been made */
    if (s->dir)
        (void)rmdir(s->dir); /* nothing to do about it */
    free(s->socket);
    free(s->dir);
    s->socket = s->dir = NULL;
}

int vf_qemu_finish(struct vf_qemu_server *s, struct vf_error *err)
{
    (void)silent_within(s, FINISH_MS); /* if not, finish ends it */
    return finish(s, err);
}

void vf_qemu_kill(struct vf_qemu_server *s)
{
    vf_proc_kill(&s->proc);
    vf_qemu_hide(s);
}

/* hypervisor/qmp.c - lines of JSON to and from a QEMU. */
#include "hypervisor/qmp.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/checked.h"
#include "core/clock.h"
#include "core/fdio.h"
#include "core/thread.h"
#include "core/unixsock.h"

#define LOOK_MS    100
#define READ_BYTES 65536u
#define DEPTH_MAX  64 /* of nested objects and arrays; QEMU's own have less than 20 */

struct vf_qmp {
    int fd;
    const volatile int *stop;
    bool mind_stop;
    struct vf_buf in;
    size_t seen;    /* bytes of in that were searched for a newline */
    json_t *events; /* array of whole event objects */
    uint64_t next_id;
    uint64_t owed; /* number of a command that was given up, and not answered yet; 0: none */
    int call_ms;
    bool oob;  /* QEMU takes commands out of band */
    bool torn; /* the first line may be the end of one that another process has begun to read */
};

/* ---- lines ---- */

/* jansson's recursion is bounded by its own limit (2048); this one is ours. */
static bool too_deep(const char *line, size_t len)
{
    int depth = 0;
    bool text = false;

    for (size_t i = 0; i < len; i++) {
        char c = line[i];

        if (text) {
            if (c == '\\')
                i++;
            else if (c == '"')
                text = false;
        } else if (c == '"') {
            text = true;
        } else if ((c == '{' || c == '[') && ++depth > DEPTH_MAX) {
            return true;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return false;
}

int vf_qmp_parse(const char *line, size_t len, enum vf_qmp_kind *ret_kind, json_t **ret,
                 struct vf_error *err)
{
    static const struct {
        const char *key;
        json_type type;
        enum vf_qmp_kind kind;
    } kinds[] = {{"event", JSON_STRING, VF_QMP_EVENT},
                 {"error", JSON_OBJECT, VF_QMP_ERROR},
                 {"QMP", JSON_OBJECT, VF_QMP_GREETING}};
    json_error_t why;
    json_t *obj;

    if (len > VF_QMP_LINE_MAX || too_deep(line, len))
        return vf_error_set(err, VF_ERR_PROTOCOL, 0, "QEMU sent a line beyond all limits");
    obj = json_loadb(line, len, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(obj)) {
        json_decref(obj);
        return vf_error_set(err, VF_ERR_PROTOCOL, 0, "QEMU sent what is no JSON object");
    }
    *ret_kind = VF_QMP_RETURN;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        json_t *v = json_object_get(obj, kinds[i].key);

        if (v && json_typeof(v) == kinds[i].type) {
            *ret_kind = kinds[i].kind;
            *ret = obj;
            return 0;
        }
    }
    if (json_object_get(obj, "return")) {
        *ret = obj;
        return 0;
    }
    json_decref(obj);
    return vf_error_set(err, VF_ERR_PROTOCOL, 0, "QEMU sent an object of no known kind");
}

const char *vf_qmp_text(const json_t *obj, const char *key)
{
    const char *s = json_string_value(json_object_get(obj, key));

    return s ? s : "";
}

uint64_t vf_qmp_number(const json_t *obj, const char *key)
{
    const json_t *v = json_object_get(obj, key);
    json_int_t n = json_is_integer(v) ? json_integer_value(v) : 0;

    return n > 0 ? (uint64_t)n : 0;
}

/* ---- the connection ---- */

static bool stopped(const struct vf_qmp *q) { return q->mind_stop && q->stop && *q->stop; }

/* Names of sockets have 107 bytes at most; a longer one is reached through its directory. */
static int connect_far(const char *path, struct vf_error *err)
{
    const char *slash = strrchr(path, '/');
    char *parent = slash ? vf_strf(err, "%.*s/", (int)(slash - path), path) : NULL;
    int fd = -1, dir = parent ? open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;

    if (dir >= 0)
        fd = vf_unixsock_connect(dir, slash + 1, SOCK_STREAM, err);
    else if (parent)
        (void)vf_error_sys(err, errno, "directory '%s'", parent); /* the -1 says it */
    vf_close_fd(&dir);
    free(parent);
    return fd;
}

static int connect_to(const char *path, struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;
    int fd = vf_unixsock_connect(AT_FDCWD, path, SOCK_STREAM, &why);

    if (fd < 0 && why.code == VF_ERR_UNSUPPORTED)
        fd = connect_far(path, &why);
    if (fd < 0 && why.code == VF_ERR_UNSUPPORTED)
        (void)vf_error_set(err, VF_ERR_USAGE, 0, "the name of socket '%s' is too long", path);
    else if (fd < 0)
        (void)vf_error_set(err, VF_ERR_UNREACHABLE, why.sys, "no QEMU answers at '%s'", path);
    return fd;
}

/* One whole line of q->in: its length without the newline; 0: none yet (QEMU sends no empty ones).
 */
static size_t line_in(struct vf_qmp *q)
{
    const uint8_t *nl =
        q->in.len > q->seen ? memchr(q->in.data + q->seen, '\n', q->in.len - q->seen) : NULL;

    if (!nl) {
        q->seen = q->in.len;
        return 0;
    }
    return (size_t)(nl - q->in.data) + 1;
}

static void take_line(struct vf_qmp *q, size_t len)
{
    memmove(q->in.data, q->in.data + len, q->in.len - len);
    q->in.len -= len;
    q->seen = 0;
}

/* Takes some bytes, waiting up to ms for them.  1: some came, 0: none, -1. */
static int fill(struct vf_qmp *q, int ms, struct vf_error *err)
{
    struct pollfd p = {q->fd, POLLIN, 0};
    ssize_t n;

    if (poll(&p, 1, ms) <= 0)
        return 0;
    if (q->in.len > VF_QMP_LINE_MAX)
        return vf_error_set(err, VF_ERR_PROTOCOL, 0, "QEMU sent a line beyond all limits");
    if (vf_buf_reserve(&q->in, READ_BYTES, err) < 0)
        return -1;
    n = recv(q->fd, q->in.data + q->in.len, READ_BYTES, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR
                   ? 0
                   : vf_error_set(err, VF_ERR_UNREACHABLE, errno, "QEMU is gone");
    if (n == 0)
        return vf_error_set(err, VF_ERR_UNREACHABLE, 0, "QEMU is gone");
    q->in.len += (size_t)n;
    return 1;
}

/* The next object, waiting until the clock shows end_ms.  1, 0: none came, -1. */
static int next(struct vf_qmp *q, int64_t end_ms, enum vf_qmp_kind *ret_kind, json_t **ret,
                struct vf_error *err)
{
    for (;;) {
        size_t len = line_in(q);
        int64_t left;
        int rc;

        if (len) {
            bool torn = q->torn;

            rc = vf_qmp_parse((const char *)q->in.data, len - 1, ret_kind, ret, err);
            take_line(q, len);
            q->torn = false;
            if (rc < 0 && torn)
                continue;
            return rc < 0 ? -1 : 1;
        }
        if (stopped(q))
            return vf_error_set(err, VF_ERR_CANCELLED, 0, "interrupted");
        left = end_ms - vf_clock_ms();
        if (left < 0)
            left = 0;
        rc = fill(q, (int)(left < LOOK_MS ? left : LOOK_MS), err);
        if (rc < 0)
            return -1;
        if (rc == 0 && left == 0)
            return 0;
    }
}

static int keep_event(struct vf_qmp *q, json_t *event, struct vf_error *err)
{
    if (json_array_size(q->events) >= VF_QMP_EVENTS_MAX)
        (void)json_array_remove(q->events, 0); /* it is there */
    return json_array_append_new(q->events, event) == 0 ? 0 : vf_error_nomem(err);
}

static int send_line(struct vf_qmp *q, json_t *obj, struct vf_error *err)
{
    char *text = json_dumps(obj, JSON_COMPACT);
    char *line = text ? vf_strf(err, "%s\n", text) : NULL;
    size_t len = line ? strlen(line) : 0, at = 0;
    int rc = line ? 0 : vf_error_nomem(err);

    while (rc == 0 && at < len) {
        ssize_t n = send(q->fd, line + at, len - at, MSG_NOSIGNAL);

        if (n < 0 && errno != EINTR)
            rc = vf_error_set(err, VF_ERR_UNREACHABLE, errno, "QEMU is gone");
        else if (n > 0)
            at += (size_t)n;
    }
    free(line);
    free(text);
    return rc;
}

static int refused(const char *command, json_t *obj, struct vf_error *err)
{
    return vf_error_set(err, VF_ERR_IO, 0, "QEMU: %s: %s", command,
                        vf_qmp_text(json_object_get(obj, "error"), "desc"));
}

/* The answer to the command with that id; others belong to commands that were given up. */
static int await(struct vf_qmp *q, const char *command, uint64_t id, json_t **ret,
                 struct vf_error *err)
{
    int64_t end = vf_clock_ms() + q->call_ms;

    for (;;) {
        enum vf_qmp_kind kind;
        json_t *obj = NULL;
        int rc = next(q, end, &kind, &obj, err);

        if (rc < 0)
            return -1;
        if (rc == 0)
            return vf_error_set(err, VF_ERR_TIMEOUT, 0, "QEMU does not answer to %s", command);
        if (kind == VF_QMP_EVENT) {
            if (keep_event(q, obj, err) < 0)
                return -1;
            continue;
        }
        if (q->owed && vf_qmp_number(obj, "id") == q->owed)
            q->owed = 0;
        /* An error without an id is about a line that QEMU did not understand: ours. */
        if (kind == VF_QMP_GREETING ||
            (vf_qmp_number(obj, "id") != id && json_object_get(obj, "id"))) {
            json_decref(obj);
            continue;
        }
        rc = kind == VF_QMP_ERROR ? refused(command, obj, err) : 0;
        if (rc == 0 && ret)
            *ret = json_incref(json_object_get(obj, "return"));
        json_decref(obj);
        return rc;
    }
}

static int call(struct vf_qmp *q, const char *how, const char *command, json_t *args, json_t **ret,
                struct vf_error *err)
{
    bool in_turn = strcmp(how, "execute") == 0;
    uint64_t id = q->next_id++;
    json_t *obj = json_pack("{s:s, s:I}", how, command, "id", (json_int_t)id);
    struct vf_error why = VF_ERROR_INIT;
    int rc = -1;

    if (!obj || (args && json_object_set(obj, "arguments", args) < 0))
        (void)vf_error_nomem(&why); /* the -1 says it */
    else if (send_line(q, obj, &why) == 0)
        rc = await(q, command, id, ret, &why);
    if (rc < 0 && in_turn && (why.code == VF_ERR_TIMEOUT || why.code == VF_ERR_CANCELLED))
        q->owed = id;
    json_decref(obj);
    json_decref(args);
    return rc < 0 ? vf_error_pass(err, &why) : 0;
}

/* What was given up is answered, perhaps with an error. */
static int settle(struct vf_qmp *q, const char *command, struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;

    if (!q->owed || await(q, command, q->owed, NULL, &why) == 0 || !q->owed)
        return 0;
    return vf_error_pass(err, &why);
}

int vf_qmp_call(struct vf_qmp *q, const char *command, json_t *args, json_t **ret,
                struct vf_error *err)
{
    if (settle(q, command, err) == 0)
        return call(q, "execute", command, args, ret, err);
    json_decref(args);
    return -1;
}

int vf_qmp_call_oob(struct vf_qmp *q, const char *command, json_t *args, json_t **ret,
                    struct vf_error *err)
{
    return q->oob ? call(q, "exec-oob", command, args, ret, err)
                  : vf_qmp_call(q, command, args, ret, err);
}

int vf_qmp_say(struct vf_qmp *q, const char *command, struct vf_error *err)
{
    json_t *obj = json_pack("{s:s, s:I}", "execute", command, "id", (json_int_t)q->next_id++);
    int rc = obj ? send_line(q, obj, err) : vf_error_nomem(err);

    json_decref(obj);
    return rc;
}

int vf_qmp_callf(struct vf_qmp *q, json_t **ret, struct vf_error *err, const char *command,
                 const char *fmt, ...)
{
    json_error_t why;
    json_t *args;
    va_list ap;

    va_start(ap, fmt);
    args = json_vpack_ex(&why, 0, fmt, ap);
    va_end(ap);
    if (!args)
        return vf_error_set(err, VF_ERR_NOMEM, 0, "%s: %s", command, why.text);
    return vf_qmp_call(q, command, args, ret, err);
}

/* ---- events ---- */

static bool fits(const json_t *event, const char *name, bool (*match)(const json_t *, const void *),
                 const void *arg)
{
    return (!name || strcmp(vf_qmp_text(event, "event"), name) == 0) &&
           (!match || match(event, arg));
}

/* Hands out an event (takes it). */
static int hand_out(json_t *event, json_t **ret)
{
    if (ret)
        *ret = event;
    else
        json_decref(event);
    return 1;
}

int vf_qmp_event(struct vf_qmp *q, const char *name,
                 bool (*match)(const json_t *event, const void *arg), const void *arg,
                 int timeout_ms, json_t **ret, struct vf_error *err)
{
    int64_t end = vf_clock_ms() + timeout_ms;
    size_t i;
    json_t *event;

    json_array_foreach(q->events, i, event)
    {
        if (fits(event, name, match, arg)) {
            json_incref(event);
            (void)json_array_remove(q->events, i); /* it is there */
            return hand_out(event, ret);
        }
    }
    for (;;) {
        enum vf_qmp_kind kind;
        int rc = next(q, end, &kind, &event, err);

        if (rc <= 0)
            return rc;
        if (kind != VF_QMP_EVENT) /* an answer that nobody waits for any more */
            json_decref(event);
        else if (fits(event, name, match, arg))
            return hand_out(event, ret);
        else if (keep_event(q, event, err) < 0)
            return -1;
    }
}

void vf_qmp_forget(struct vf_qmp *q, const char *name)
{
    size_t i = 0;

    while (i < json_array_size(q->events)) {
        if (!name || strcmp(vf_qmp_text(json_array_get(q->events, i), "event"), name) == 0)
            (void)json_array_remove(q->events, i); /* it is there */
        else
            i++;
    }
}

/* ---- beginning and end ---- */

/* Does the greeting offer commands out of band? */
static bool offers_oob(const json_t *greeting)
{
    const json_t *v;
    size_t i;

    json_array_foreach(json_object_get(json_object_get(greeting, "QMP"), "capabilities"), i, v)
    {
        if (json_is_string(v) && strcmp(json_string_value(v), "oob") == 0)
            return true;
    }
    return false;
}

static int greet(struct vf_qmp *q, int64_t end, struct vf_error *err)
{
    enum vf_qmp_kind kind;
    json_t *obj = NULL;
    int rc = next(q, end, &kind, &obj, err);

    if (rc < 0)
        return -1;
    if (rc == 0)
        return vf_error_set(err, VF_ERR_BUSY, 0,
                            "QEMU does not greet: another client has its QMP socket");
    q->oob = offers_oob(obj);
    json_decref(obj);
    if (kind != VF_QMP_GREETING)
        return vf_error_set(err, VF_ERR_PROTOCOL, 0, "this socket does not speak QMP");
    if (q->oob)
        return vf_qmp_callf(q, NULL, err, "qmp_capabilities", "{s:[s]}", "enable", "oob");
    return vf_qmp_call(q, "qmp_capabilities", NULL, NULL, err);
}

/* fd: owned, may be -1. */
static struct vf_qmp *make(int fd, const volatile int *stop, struct vf_error *err)
{
    struct vf_qmp *q = vf_calloc(1, sizeof *q, err);

    if (!q) {
        vf_close_fd(&fd);
        return NULL;
    }
    q->fd = fd;
    q->stop = stop;
    q->mind_stop = true;
    q->call_ms = VF_QMP_CALL_MS;
    /* No number of an earlier process: an answer to that may still come. */
    q->next_id = (uint64_t)vf_clock_ms() << 16;
    q->events = json_array();
    if (q->events)
        return q;
    (void)vf_error_nomem(err); /* the NULL says it */
    vf_qmp_close(q);
    return NULL;
}

struct vf_qmp *vf_qmp_open(const char *path, int timeout_ms, const volatile int *stop,
                           struct vf_error *err)
{
    struct vf_qmp *q = make(-1, stop, err);
    int64_t end = vf_clock_ms() + timeout_ms;

    if (!q)
        return NULL;
    while ((q->fd = connect_to(path, err)) < 0 && vf_clock_ms() < end && !stopped(q))
        vf_thread_nap(20);
    if (q->fd >= 0 && greet(q, end + 1000, err) == 0)
        return q;
    vf_qmp_close(q);
    return NULL;
}

struct vf_qmp *vf_qmp_adopt(int fd, const volatile int *stop, struct vf_error *err)
{
    struct vf_qmp *q = make(fd, stop, err);

    if (q)
        q->oob = q->torn = true;
    return q;
}

int vf_qmp_fd(const struct vf_qmp *q) { return q->fd; }

void vf_qmp_patience(struct vf_qmp *q, int ms) { q->call_ms = ms; }

void vf_qmp_mind_stop(struct vf_qmp *q, bool mind) { q->mind_stop = mind; }

void vf_qmp_close(struct vf_qmp *q)
{
    if (!q)
        return;
    vf_close_fd(&q->fd);
    vf_buf_free(&q->in);
    json_decref(q->events);
    free(q);
}

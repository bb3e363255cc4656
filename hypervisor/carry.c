/* hypervisor/carry.c - see the header. */
#include "hypervisor/carry.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/be.h"
#include "core/checked.h"
#include "core/fdio.h"

#define HEAD    9u /* bytes of a letter and a number */
#define WAITING (2u * VF_CARRY_PIECE)
#define TURNS   16u /* before the socket is looked at again */

struct carry_out {
    uint8_t *ring;  /* byte n lies at n % VF_CARRY_RING */
    uint64_t kept;  /* bytes below are at the other end */
    uint64_t sent;  /* bytes below are on the line */
    uint64_t taken; /* bytes below have come from the socket */
    bool ended;     /* the socket has: there will be no more */
    uint8_t head[HEAD];
    size_t head_at; /* HEAD: none is under way */
    uint64_t left;  /* of a 'D' */
};

struct carry_in {
    uint8_t *buf;       /* from the line, for the socket */
    size_t at, len;     /* of it */
    uint64_t received;  /* with one more for the end */
    uint64_t told;      /* by the last 'A' */
    bool ended, passed; /* the other socket has; and ours was told */
    uint8_t head[HEAD];
    size_t head_at;
    uint64_t left; /* of a 'D' */
};

struct vf_carry {
    int local, line;
    bool deaf;  /* the socket takes no more: what comes for it is dropped */
    bool hung;  /* nobody writes to the socket any more: what it still holds is the last */
    bool hello; /* the other end has said how much it has */
    struct carry_out out;
    struct carry_in in;
};

static void set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags >= 0)
        (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK); /* cannot fail for a socket */
}

struct vf_carry *vf_carry_new(struct vf_error *err)
{
    struct vf_carry *c = vf_calloc(1, sizeof *c, err);

    if (!c)
        return NULL;
    c->local = c->line = -1;
    c->out.head_at = HEAD;
    c->out.ring = vf_calloc(1, VF_CARRY_RING, err);
    c->in.buf = vf_calloc(1, VF_CARRY_PIECE, err);
    if (!c->out.ring || !c->in.buf) {
        vf_carry_free(c);
        return NULL;
    }
    return c;
}

void vf_carry_socket(struct vf_carry *c, int fd)
{
    set_nonblocking(fd);
    c->local = fd;
}

void vf_carry_free(struct vf_carry *c)
{
    if (!c)
        return;
    vf_close_fd(&c->local);
    vf_close_fd(&c->line);
    free(c->out.ring);
    free(c->in.buf);
    free(c);
}

bool vf_carry_has_line(const struct vf_carry *c) { return c->line >= 0; }
bool vf_carry_ended(const struct vf_carry *c) { return c->hung || c->out.ended; }

/* Everything that the socket gave, and its end. */
static uint64_t all(const struct carry_out *o) { return o->taken + (o->ended ? 1 : 0); }

bool vf_carry_done(const struct vf_carry *c)
{
    return c->out.ended && c->out.kept == all(&c->out) && c->in.passed &&
           c->in.told == c->in.received && c->out.head_at == HEAD;
}

/* ---- out ---- */

static void put_head(struct carry_out *o, char what, uint64_t n)
{
    o->head[0] = (uint8_t)what;
    for (unsigned i = 0; i < 8; i++)
        o->head[1 + i] = (uint8_t)(n >> (56 - 8 * i));
    o->head_at = 0;
}

void vf_carry_line(struct vf_carry *c, int fd)
{
    vf_close_fd(&c->line);
    set_nonblocking(fd);
    c->line = fd;
    c->hello = false;
    c->out.left = 0;
    c->in.left = 0;
    c->in.head_at = 0;
    put_head(&c->out, 'H', c->in.received);
    c->in.told = c->in.received;
}

/* What to say next; false: there is nothing. */
static bool next_head(struct vf_carry *c)
{
    struct carry_out *o = &c->out;

    if (!c->hello)
        return false;
    if (c->in.told != c->in.received) {
        put_head(o, 'A', c->in.received);
        c->in.told = c->in.received;
    } else if (o->sent < o->taken) {
        o->left = o->taken - o->sent < VF_CARRY_PIECE ? o->taken - o->sent : VF_CARRY_PIECE;
        put_head(o, 'D', o->left);
    } else if (o->ended && o->sent == o->taken) {
        put_head(o, 'E', o->taken);
        o->sent++;
    } else {
        return false;
    }
    return true;
}

static bool wants_out(const struct vf_carry *c)
{
    const struct carry_out *o = &c->out;

    return o->head_at < HEAD || o->left ||
           (c->hello && (c->in.told != c->in.received || o->sent < all(o)));
}

/* 1: something went, 0: nothing can, -1: the line is broken. */
static int send_some(struct vf_carry *c)
{
    struct carry_out *o = &c->out;
    uint64_t at = o->sent % VF_CARRY_RING, n;
    ssize_t sent;

    if (o->head_at == HEAD && !o->left && !next_head(c))
        return 0;
    if (o->head_at < HEAD) {
        sent = send(c->line, o->head + o->head_at, HEAD - o->head_at, MSG_NOSIGNAL);
    } else {
        n = o->left < VF_CARRY_RING - at ? o->left : VF_CARRY_RING - at;
        sent = send(c->line, o->ring + at, (size_t)n, MSG_NOSIGNAL);
    }
    if (sent < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    if (o->head_at < HEAD) {
        o->head_at += (size_t)sent;
    } else {
        o->left -= (uint64_t)sent;
        o->sent += (uint64_t)sent;
    }
    return 1;
}

/* How much may be taken from the socket.  No more than a little waits for the line: pages that are
 * asked for have to queue behind that.  Without a line it is the same: QEMU cannot go on from a
 * broken connection once it has given all away, so it had better keep what cannot be sent. */
static uint64_t room_for(const struct vf_carry *c)
{
    const struct carry_out *o = &c->out;
    uint64_t waiting = o->sent < o->taken ? o->taken - o->sent : 0;

    if (o->ended || (!c->hung && waiting >= WAITING))
        return 0;
    return VF_CARRY_RING - (o->taken - o->kept);
}

/* From the socket into the ring. */
static bool take_some(struct vf_carry *c)
{
    struct carry_out *o = &c->out;
    uint64_t at = o->taken % VF_CARRY_RING, room = room_for(c);
    ssize_t n;

    if (room > VF_CARRY_RING - at)
        room = VF_CARRY_RING - at;
    if (room > VF_CARRY_PIECE)
        room = VF_CARRY_PIECE;
    if (!room)
        return false;
    n = recv(c->local, o->ring + at, (size_t)room, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n > 0)
        o->taken += (uint64_t)n;
    else
        o->ended = true; /* an error is an end, too */
    return true;
}

/* ---- in ---- */

/* The other end has so many bytes.  false: it cannot have. */
static bool has_come(struct carry_out *o, uint64_t n)
{
    if (n < o->kept || n > o->sent)
        return false;
    o->kept = n;
    return true;
}

/* One letter and its number.  false: nonsense. */
static bool understand(struct vf_carry *c)
{
    struct carry_in *in = &c->in;
    const uint64_t n = vf_be64(in->head + 1);

    in->head_at = 0;
    if ((in->head[0] == 'H') == c->hello) /* first, and never again */
        return false;
    switch (in->head[0]) {
    case 'H':
        if (!has_come(&c->out, n))
            return false;
        c->out.sent = n;
        c->hello = true;
        return true;
    case 'A':
        return has_come(&c->out, n);
    case 'D':
        in->left = n;
        return n > 0 && n <= VF_CARRY_PIECE && !in->ended;
    case 'E':
        if (in->ended || n != in->received)
            return false;
        in->ended = true;
        in->received++;
        return true;
    default:
        return false;
    }
}

/* As send_some. */
static int receive_some(struct vf_carry *c)
{
    struct carry_in *in = &c->in;
    ssize_t n;

    if (in->left && in->len)
        return 0; /* the socket comes first */
    if (in->left)
        n = recv(c->line, in->buf, in->left, 0);
    else
        n = recv(c->line, in->head + in->head_at, HEAD - in->head_at, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    if (n == 0)
        return -1;
    if (!in->left) {
        in->head_at += (size_t)n;
        return in->head_at < HEAD || understand(c) ? 1 : -1;
    }
    in->left -= (uint64_t)n;
    in->received += (uint64_t)n;
    in->at = 0;
    in->len = (size_t)n;
    return 1;
}

/* To the socket. */
static bool pass_some(struct vf_carry *c)
{
    struct carry_in *in = &c->in;
    ssize_t n = 0;

    if (in->len) {
        n = c->deaf ? (ssize_t)in->len : send(c->local, in->buf + in->at, in->len, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return false;
        if (n < 0) {
            c->deaf = true;
            n = (ssize_t)in->len;
        }
        in->at += (size_t)n;
        in->len -= (size_t)n;
    }
    if (in->ended && !in->len && !in->passed) {
        (void)shutdown(c->local, SHUT_WR); /* it may be gone */
        in->passed = true;
        return true;
    }
    return n > 0;
}

/* ---- both ---- */

/* In turn, so that neither direction has to wait for the other. */
static bool work_line(struct vf_carry *c)
{
    bool moved = false;

    for (unsigned n = 0; n < TURNS && c->line >= 0; n++) {
        int came = receive_some(c);
        bool passed = pass_some(c);
        int went = came < 0 ? 0 : send_some(c);

        if (came < 0 || went < 0)
            vf_close_fd(&c->line);
        if (came <= 0 && went <= 0 && !passed)
            break;
        moved = true;
    }
    return moved;
}

void vf_carry_step(struct vf_carry *c, int ms, struct pollfd *extra, unsigned n, bool *ret_moved)
{
    struct pollfd p[2 + VF_CARRY_EXTRA] = {{-1, 0, 0}, {c->line, POLLIN, 0}};
    int ready;

    if (room_for(c))
        p[0].events |= POLLIN;
    if (c->in.len)
        p[0].events |= POLLOUT;
    if (!c->hung)
        p[0].events |= POLLRDHUP;
    if (p[0].events)
        p[0].fd = c->local;
    if (c->in.len && c->in.left)
        p[1].events = 0;
    if (wants_out(c))
        p[1].events |= POLLOUT;
    if (!p[1].events)
        p[1].fd = -1;
    *ret_moved = false;
    assert(n <= VF_CARRY_EXTRA);
    for (unsigned i = 0; i < n; i++)
        p[2 + i] = extra[i];
    ready = poll(p, 2 + n, ms);
    for (unsigned i = 0; i < n; i++)
        extra[i].revents = ready > 0 ? p[2 + i].revents : 0;
    if (ready <= 0)
        return;
    c->hung |= (p[0].revents & (POLLRDHUP | POLLHUP)) != 0;
    *ret_moved |= take_some(c);
    *ret_moved |= pass_some(c);
    *ret_moved |= work_line(c);
}

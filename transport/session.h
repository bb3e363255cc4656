/* transport/session.h - a conversation with a peer over a pair of descriptors: greeting, order,
 * watchdog, keepalive.
 *
 * A session is the struct vf_stream (core/stream.h) that the engine uses.  It checks everything
 * that the peer sends: form and limits (message.h), and whether it may come at this point
 * (order.h); it refuses in the same way to send what the peer would have to refuse.
 *
 * The watchdog: both sides send PING when they have sent nothing for a third of watchdog_ms, from a
 * thread of the session's own.  A recv that hears nothing for watchdog_ms fails with
 * VF_ERR_TIMEOUT.  So does a send that moves no byte for watchdog_ms while nothing is heard either;
 * a peer that is heard but takes nothing (its disk is slower than the link) is given
 * VF_LINK_PATIENCE times that.
 *
 * The descriptors may be pipe ends or a socket (then both may be the same one).  They are borrowed
 * until close, which does not close them; the session makes them non-blocking and undoes that at
 * the end.  For pipes the program must ignore SIGPIPE.
 *
 * Thread rules: core/stream.h. */
#ifndef VF_TRANSPORT_SESSION_H
#define VF_TRANSPORT_SESSION_H

#include <stdbool.h>

#include "core/error.h"
#include "core/stream.h"

struct vf_join;
struct vf_ratelimit;

#define VF_WATCHDOG_MS 30000u

struct vf_session_opts {
    struct vf_ratelimit *ratelimit; /* for all bytes sent, or NULL; borrowed until close */
    unsigned watchdog_ms;           /* 0: VF_WATCHDOG_MS */
    uint16_t version_min,
        version_max; /* protocol versions to speak; 0: all that this program can */
    /* The rest is for the source's HELLO; borrowed until return. */
    enum vf_purpose purpose;
    const char *program;              /* "vmferry 0.1.0" */
    const char *group;                /* sharing group to ask for; NULL or "": the default one */
    const struct vf_msg_offer *offer; /* is said right behind HELLO, which saves a round trip; NULL:
                                         the caller sends it later, if ever */
    /* Called when that is said, before WELCOME is waited for: the caller may want to be able to
     * give up meanwhile.  0, or -1 with *err.  NULL: nothing to do. */
    int (*await)(void *ctx, struct vf_error *err);
    void *await_ctx;
    /* The receiver's: also take a source that says LINK instead of HELLO.  Zeroed before; its token
     * is then not NULL and owned by the caller.  NULL: refuse it. */
    struct vf_msg_link *ret_link;
};

/* The source's side: says HELLO and waits for WELCOME.  Returns owned (close it through its ops),
 * and *ret_welcome with texts owned by the caller (vf_welcome_free).  NULL: VF_ERR_PROTOCOL when
 * the far end is not vmferry or no version is common to both, what the far end says in FAIL,
 * VF_ERR_UNREACHABLE, VF_ERR_TIMEOUT. */
struct vf_stream *vf_session_source(int rfd, int wfd, const struct vf_session_opts *opts,
                                    struct vf_msg_welcome *ret_welcome, struct vf_error *err);

/* The receiver's side: waits for HELLO.  Returns owned, and *ret_hello with texts owned by the
 * caller (vf_hello_free).  The caller looks at it and answers with vf_session_welcome or
 * vf_stream_fail.  NULL as above; when no version is common, the source was told.
 *
 * With a LINK (opts->ret_link) the stream is good for two things only: to be closed, so that the
 * descriptors can be handed to the process that has the migration (transport/join.h), or to refuse
 * with vf_stream_fail before. */
struct vf_stream *vf_session_receiver(int rfd, int wfd, const struct vf_session_opts *opts,
                                      struct vf_msg_hello *ret_hello, struct vf_error *err);

/* Answers HELLO.  w borrows; its version is filled in here (the highest common one).  st must come
 * from vf_session_receiver. */
int vf_session_welcome(struct vf_stream *st, const struct vf_msg_welcome *w,
                       struct vf_error *err) VF_MUST_CHECK;

/* Before vf_session_welcome: further connections will be taken from j (takes it), and *w says so;
 * its token lives as long as the session.  -1: j was not taken. */
int vf_session_take_links(struct vf_stream *st, struct vf_join *j, struct vf_msg_welcome *w,
                          struct vf_error *err) VF_MUST_CHECK;

#define VF_LINKS_MAX  64u /* connections of one migration, the first included */
#define VF_LINKS_AUTO 8u  /* as many of them the program opens by itself */

/* How a source gets further connections. */
struct vf_links_opts {
    unsigned links; /* connections in all, opened at once; 0: as many as make it faster */
    void *ctx;      /* for the calls below, which come from threads of the session */
    /* Opens one to the same far end.  Descriptors and *ret_conn (anything but NULL) belong to the
     * session until close.  stopped(arg): should it give up?  0, or -1. */
    int (*open)(void *ctx, bool (*stopped)(void *arg), void *arg, int *ret_rfd, int *ret_wfd,
                void **ret_conn, struct vf_error *err);
    void (*close)(void *ctx, void *conn);     /* at once, without waiting for the network */
    void (*say)(void *ctx, const char *text); /* news for the curious; may be NULL */
};

/* The source, after WELCOME: spreads DATA over several connections.  Does nothing where w
 * (borrowed) takes none.  All of it happens in the background; a connection that cannot be had, or
 * breaks, is done without.  recv must be called all the time, as ACKs come there.  opts is copied,
 * its ctx kept until close. */
int vf_session_spread(struct vf_stream *st, const struct vf_msg_welcome *w,
                      const struct vf_links_opts *opts, struct vf_error *err) VF_MUST_CHECK;

/* Release the texts and zero the struct. */
void vf_hello_free(struct vf_msg_hello *h);
void vf_welcome_free(struct vf_msg_welcome *w);

#endif

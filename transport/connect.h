/* transport/connect.h - a byte stream to `vmferry serve`, wherever it runs.
 *
 * Three back ends give the same thing, two plain descriptors that carry what the far end reads and
 * writes:
 *
 *   local     our own program as a child, for a store on this machine
 *   libssh2   the built-in SSH client (the default for ssh:// targets): a thread of its own moves
 *             the bytes between the SSH channel and the descriptors
 *   ssh       the system's ssh program as a child, where libssh2 cannot serve or the caller wants
 *             it
 *
 * The descriptors are blocking, close-on-exec, may be polled and may be set non-blocking; a
 * deadline is kept by polling them.  Reading gives 0 when the far end has ended its output *and*
 * when the connection was lost: the layer above knows which messages must have come, and asks
 * vf_conn_why when they have not.  Writing gives EPIPE when the far end is gone (SIGPIPE is ignored
 * once vf_transport_init has run).
 *
 * Thread rules: one thread may read rfd while another writes wfd.  The calls below belong to one
 * thread at a time, except vf_conn_diagnosis, vf_conn_backend and vf_conn_peer, which any thread
 * may call while the connection lives. */
#ifndef VF_TRANSPORT_CONNECT_H
#define VF_TRANSPORT_CONNECT_H

#include <stdbool.h>

#include "core/error.h"
#include "transport/target.h"

#define VF_CONNECT_TIMEOUT_MS 20000 /* default for connecting, key exchange and login together */
#define VF_REMOTE_PROGRAM     "vmferry"

/* All strings are borrowed until vf_connect returns.  A zeroed struct means the defaults. */
struct vf_conn_opts {
    const char *identity;       /* private key file; NULL: agent, then the usual files in ~/.ssh */
    const char *known_hosts;    /* only this file; NULL: the user's and the system's */
    const char *remote_program; /* what to run at the far end; NULL: VF_REMOTE_PROGRAM */
    const char *ssh_command;    /* use this client (words, no shell); NULL: libssh2, or "ssh" where
                                   that cannot serve */
    const char *ssh_config;     /* the ssh program's configuration file; NULL: the usual ones */
    const char *self_program;   /* what to run for a local store; NULL: the running program */
    const char *home;           /* where .ssh is; NULL: the password database says */
    const char *const *serve_args; /* NULL-terminated, follow "serve"; NULL: none */
    int connect_timeout_ms;        /* 0: VF_CONNECT_TIMEOUT_MS */
    bool (*stopped)(void *arg); /* asked about ten times a second while connecting: give up?  NULL:
                                   never */
    void *stopped_arg;
};

struct vf_conn_ops; /* private */

struct vf_conn {
    int rfd, wfd; /* borrow: closed by the calls below, wfd is -1 after vf_conn_end_writing */
    const struct vf_conn_ops *ops; /* private, as is what stands behind this struct */
};

/* Once, from main, before any thread and any use of OpenSSL: prepares libssh2 (which is not
 * thread-safe about that), lets a process end while connections still run, and ignores SIGPIPE. */
int vf_transport_init(struct vf_error *err) VF_MUST_CHECK;

/* Gives back what vf_transport_init took; when no connection and no thread is left. */
void vf_transport_exit(void);

/* Connects and starts `PROGRAM [--store STORE] serve [ARGS]`.  The connection is owned by the
 * caller (vf_conn_close or vf_conn_abort).  NULL with *err: VF_ERR_AUTH (host key or user key),
 * VF_ERR_UNREACHABLE, VF_ERR_BUSY (it hung up before its greeting, as an sshd does with logins
 * beyond its MaxStartups: it may help to try again), VF_ERR_TIMEOUT, VF_ERR_CANCELLED,
 * VF_ERR_UNSUPPORTED (the ssh program is needed but not there), VF_ERR_USAGE (ssh_command), and
 * those of files and memory.
 *
 * With the ssh and local back ends this returns as soon as the child runs; that login failed shows
 * as an end of rfd, explained by vf_conn_why.  The same holds in all back ends for a program that
 * is not there. */
struct vf_conn *vf_connect(const struct vf_target *target, const struct vf_conn_opts *opts,
                           struct vf_error *err);

/* "local", "libssh2" or "ssh". */
const char *vf_conn_backend(const struct vf_conn *c);

/* Why the ssh program was chosen by itself, one phrase; "" when it was not.  Lives as long as c. */
const char *vf_conn_backend_reason(const struct vf_conn *c);

/* The far end for messages: "host", "[host]:port", or the local store.  Lives as long as c. */
const char *vf_conn_peer(const struct vf_conn *c);

/* The last lines that the far end or the ssh program wrote to stderr, cleaned of control
 * characters;
 * "" if nothing.  Owned (free); NULL when out of memory. */
char *vf_conn_diagnosis(struct vf_conn *c);

/* Closes wfd: the far end reads the end of its input once all bytes have arrived, and what it still
 * writes can be read.  Does nothing the second time. */
void vf_conn_end_writing(struct vf_conn *c);

/* To be asked when rfd ended early or wfd broke.  Waits up to timeout_ms for the end of the far end
 * and puts the best explanation into *err: VF_ERR_AUTH, VF_ERR_UNREACHABLE (also: the program is
 * not there, or ended by itself), VF_ERR_BUSY as above, VF_ERR_TIMEOUT when it is still running.
 * Always returns -1. */
int vf_conn_why(struct vf_conn *c, int timeout_ms, struct vf_error *err);

/* The orderly end: closes wfd, throws away what still comes, waits up to timeout_ms for the far end
 * to end.  0 with its exit status (128 + signal) in *ret_exit_status (may be NULL); -1 when the
 * connection was lost (VF_ERR_UNREACHABLE, VF_ERR_AUTH) or the time ran out (VF_ERR_TIMEOUT; it is
 * then killed or cut off).  c is freed in every case; NULL does nothing and returns 0. */
int vf_conn_close(struct vf_conn *c, int timeout_ms, int *ret_exit_status, struct vf_error *err);

/* Cuts the connection at once, kills a child, and frees c.  Does not wait for the network.  NULL
 * does nothing. */
void vf_conn_abort(struct vf_conn *c);

#endif

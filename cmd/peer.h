/* cmd/peer.h - a node with which HELLO and WELCOME have been exchanged.
 *
 * Thread rules: belongs to the main thread; the stream as core/stream.h says. */
#ifndef VF_CMD_PEER_H
#define VF_CMD_PEER_H

#include "cmd/opts.h"
#include "core/stream.h"
#include "transport/connect.h"

struct vf_cli;
struct vf_stopper;
struct vf_ratelimit;

/* The options of all verbs that reach nodes. */
struct vf_reach {
    const char *identity, *known_hosts, *remote_program, *ssh_command;
    uint64_t connect_timeout; /* seconds, 0: default */
};

/* Their names, for rules (cmd/opts.h). */
#define VF_REACH_NAMES "identity|known-hosts|remote-program|ssh-command|connect-timeout"

#define VF_REACH_OPTS(type, field)                                                                 \
    {"identity",  0,                                                                               \
     VF_OPT_TEXT, offsetof(type, field.identity),                                                  \
     "FILE",      "the private key to log in with",                                                \
     0,           0,                                                                               \
     NULL},                                                                                        \
        {"known-hosts",                                                                            \
         0,                                                                                        \
         VF_OPT_TEXT,                                                                              \
         offsetof(type, field.known_hosts),                                                        \
         "FILE",                                                                                   \
         "believe only the host keys in this file",                                                \
         0,                                                                                        \
         0,                                                                                        \
         NULL},                                                                                    \
        {"remote-program",                                                                         \
         0,                                                                                        \
         VF_OPT_TEXT,                                                                              \
         offsetof(type, field.remote_program),                                                     \
         "PATH",                                                                                   \
         "the far end's vmferry",                                                                  \
         0,                                                                                        \
         0,                                                                                        \
         NULL},                                                                                    \
        {"ssh-command",                                                                            \
         0,                                                                                        \
         VF_OPT_TEXT,                                                                              \
         offsetof(type, field.ssh_command),                                                        \
         "CMD",                                                                                    \
         "use this client instead of the built-in one",                                            \
         0,                                                                                        \
         0,                                                                                        \
         NULL},                                                                                    \
    {                                                                                              \
        "connect-timeout", 0, VF_OPT_NUMBER, offsetof(type, field.connect_timeout), "SECONDS",     \
            "give up connecting after this time", 1, 3600, NULL                                    \
    }

struct vf_peer {
    struct vf_conn *conn;
    struct vf_stream *stream;
    struct vf_stopper *stopper;
    struct vf_msg_welcome welcome;
    /* For further connections; borrowed until close. */
    const struct vf_cli *cli;
    const struct vf_target *target;
    const struct vf_reach *reach;
};

/* Connects, starts the far end and greets it.  group: "" the default one; limit may be NULL.
 * 0 with *ret to be released by vf_peer_close, or -1.  target and reach are borrowed until then. */
int vf_peer_open(const struct vf_cli *cli, const struct vf_target *target,
                 const struct vf_reach *reach, enum vf_purpose purpose, const char *group,
                 struct vf_ratelimit *limit, struct vf_peer *ret,
                 struct vf_error *err) VF_MUST_CHECK;

/* The same for a migration, whose OFFER (borrowed; NULL: none yet) is said together with the
 * greeting: vf_send must be told. */
int vf_peer_offer(const struct vf_cli *cli, const struct vf_target *target,
                  const struct vf_reach *reach, enum vf_purpose purpose, const char *group,
                  const struct vf_msg_offer *offer, struct vf_ratelimit *limit, struct vf_peer *ret,
                  struct vf_error *err) VF_MUST_CHECK;

/* Sends over that many connections, 0: as many as make it faster.  The others are opened in the
 * background with p, which has to stay where it is; one that cannot be had is done without.  A
 * store on this machine always has one. */
void vf_peer_spread(struct vf_peer *p, unsigned streams);

/* After an error on the stream: puts a better explanation into *err where the connection has one.
 */
void vf_peer_why(struct vf_peer *p, struct vf_error *err);

/* The end; a zeroed peer is fine.  outcome: NULL or what failed.  Where the far end can still hear
 * it gets time to put its things in order; where it cannot, the connection is cut. */
void vf_peer_close(struct vf_peer *p, const struct vf_error *outcome);

/* The end of a migration that went well: the far end has said its last word when all was done, so
 * this does not wait for it over a network.  A client that the user has named gets time to end by
 * itself. */
void vf_peer_leave(struct vf_peer *p);

#endif

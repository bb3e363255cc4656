/* hypervisor/hypervisor.h - what moving a running guest needs of a hypervisor.
 *
 * There are two halves.  The *source half* (struct vf_guest) works in the process of `migrate
 * --vm`, beside the running guest.  The *far half* (struct vf_arrival) works in the `serve` process
 * at the destination.  Each implementation (QMP, libvirt) provides both.  The halves talk in
 * questions and answers, JSON objects that cmd/ carries over the guest's conversation (struct
 * vf_far); how the content of disks travels is not their business.
 *
 * A move, as cmd/vm_*.c drives it ("far: x" is a question x to the far half):
 *
 *   recover     source: whatever an earlier try left is undone, or found to be finished
 *   describe    source: what is the guest, which are its disks
 *   far: check  may it come?  With QMP its machine is started there once, on empty files, and
 *               compared.  Nothing is changed anywhere up to here
 *   freeze      source: each disk that travels gets an overlay; the file below stands still
 *   (bulk)      cmd/ sends the frozen images through the engine; they are written to
 *               IMAGES/NAME of the far store in their final format, without any overlay
 *   (rounds)    changed() says what the overlays hold.  While that is much: freeze again, the
 *               former overlay stands still, cmd/ sends what it holds, the far store's image gets
 *               it written on top.  So the far images follow the guest at a distance
 *   hand_off    source: it asks far: prepare, the far half makes ready to take the guest on those
 *               images; what the top overlay holds and the memory travel through tunnels, the guest
 *               stands still, the *commit point* is passed, the guest runs at the far end
 *   finish      source: overlays are folded into the old disks, which stay behind as images; the
 *               guest's process or definition is removed
 *   follow      source, after a hand-off with postcopy: the guest runs at the far end, and the rest
 *               of its memory follows; before that is there, nothing here may end
 *
 * Until the commit point every failure ends in roll_back (source) and far: drop.  After it the
 * guest is never resumed at the source, whatever happens; what is left to do is finish().
 *
 * The files of a copy belong to cmd/: the source half neither reads nor removes IMAGES/NAME there.
 *
 * Thread rules: a guest or an arrival belongs to one thread.  Calls may take long; those that wait
 * look at *stop about ten times a second and end with VF_ERR_CANCELLED.
 */
#ifndef VF_HYPERVISOR_HYPERVISOR_H
#define VF_HYPERVISOR_HYPERVISOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "core/error.h"

/* What becomes of a disk. */
enum vf_disk_way {
    VF_DISK_COPY,  /* its content travels */
    VF_DISK_LEAVE, /* it stays attached as it is: shared or remote storage that the far end sees too
                    */
    VF_DISK_EMPTY  /* a drive without a medium */
};

/* One disk of a guest.  All texts are owned by the struct vf_guest_info. */
struct vf_guest_disk {
    char *id;      /* the hypervisor's name of it, stable for the life of the guest: "vda", "vd0" */
    char *path;    /* absolute, of the file or device with the disk's own content, the one that is
                      frozen by the first freeze; "" when it has none */
    char *format;  /* of that: "raw", "qcow2" */
    uint64_t size; /* bytes that the guest sees */
    bool read_only; /* the guest cannot write it; copied without an overlay, or left, as asked */
    bool cdrom;
    bool backed;          /* path itself depends on a backing file: its content is flattened */
    enum vf_disk_way way; /* what describe proposes; cmd/ changes it as the user asked, before far:
                             check and freeze, and never later */
    char *name;           /* of its image at the far store, without directory; set by cmd/ */
};

/* A small file that belongs to the guest and travels along while the guest stands still or after
 * hand-off began: UEFI variables, TPM state. */
struct vf_guest_file {
    char *role; /* "nvram", "tpm" */
    char *path;
};

/* What describe() finds. */
struct vf_guest_info {
    char *name;
    char *uuid;         /* text form; "" when unknown */
    bool running;       /* false: shut off (--offline), its disks stand still by themselves */
    bool paused;        /* running, but stopped by its user: it is moved and stays so */
    bool once;          /* its memory may be sent once only, see once.h */
    uint64_t memory;    /* bytes */
    char *machine;      /* "pc-q35-7.2"; "" when unknown */
    char *version;      /* of the hypervisor, for people and for the far half's check */
    json_t *definition; /* for the far half only: all that it needs to judge and to make the guest
                           (libvirt: {"xml": "..."}; QMP: machine, CPU, devices); at most 512 KiB as
                           text */
    struct vf_guest_disk *disk;
    size_t ndisks;
    struct vf_guest_file *file;
    size_t nfiles;
    const char *overlay_dir; /* where freeze was told to put overlays (NULL: beside the disks); set
                                by cmd/ before finish and roll_back, borrowed */
};
void vf_guest_info_free(struct vf_guest_info *i); /* zeroes it */

/* What stands still after a freeze, for each disk with way VF_DISK_COPY (others: path NULL; one
 * that the guest cannot write, too, after the first freeze: there is nothing new of it). */
struct vf_frozen {
    char *path;   /* the file to read: after the first freeze the disk's own, then an overlay */
    char *format; /* of that file */
    bool delta;   /* only what this file itself holds counts (an overlay of an earlier freeze) */
};
void vf_frozen_free(struct vf_frozen *f, size_t n); /* frees the array too */

/* Looks at what passes through a tunnel.  They are called by threads of the tunnel's, not at the
 * same time for one direction; each may be NULL. */
struct vf_far_look {
    void *ctx;
    /* Before these bytes are sent to the far end; on failure they are not, and this connection is
     * at an end on both sides. */
    int (*out)(void *ctx, const uint8_t *bytes, size_t len, struct vf_error *err);
    /* When these bytes of the far end's have been given to who is connected here. */
    void (*in)(void *ctx, const uint8_t *bytes, size_t len);
    /* Do these bytes only say that the end comes now?  Where there is this, they are not sent, and
     * the end of this side is told to the far end when that has ended its own. */
    bool (*goodbye)(const uint8_t *bytes, size_t len);
};

/* The way to the far half and to its sockets; made by cmd/. */
struct vf_far {
    /* Asks the far half.  args (may be NULL) is borrowed, *ret_answer (may be NULL) is a new
     * reference.  An error of the far half comes with its code and "far end: " before its text, and
     * sets refused; any other error (connection lost, time over) says nothing about what the far
     * half did.  "prepare" and "commit" go to the operations of these names, all else to ask. */
    int (*ask)(struct vf_far *, const char *question, json_t *args, json_t **ret_answer,
               struct vf_error *err);
    /* Listens on the Unix socket local_path (made here, 0600; removed at the end of the move); each
     * connection there is carried, over a connection of its own to the far end, to the far half's
     * socket of that name (vf_arrival_ops.socket), which has to be there by then.  At the return
     * the listening has begun and one connection to the far end stands ready.  look: NULL, or kept
     * until the tunnels are at an end, which is before the guest is closed. */
    int (*tunnel)(struct vf_far *, const char *name, const char *local_path,
                  const struct vf_far_look *look, struct vf_error *err);
    /* Non-zero with *err when a tunnel has broken since it was made. */
    int (*broken)(struct vf_far *, struct vf_error *err);
    /* Ends all tunnels; the conversation goes on. */
    void (*end_tunnels)(struct vf_far *);
    /* Sockets that tunnels need belong here: a directory of mode 0700 (0711 for libvirt), on this
     * side and on the far side; equal texts when same_run_dir was asked for at open. */
    const char *run_dir, *far_run_dir;
    bool refused; /* the last ask failed because the far half said no */
};

enum vf_guest_phase {
    VF_GUEST_MEMORY,  /* memory travels, the guest runs */
    VF_GUEST_STOPPED, /* the guest stands still: last disk pass and rest of memory */
    VF_GUEST_COMMIT   /* about to tell the far half to run it */
};

/* Told by hand_off as things happen, from its own thread. */
struct vf_hand_off_events {
    void *ctx;
    /* done and total are bytes of memory and disk together in that phase; total 0: not known. */
    void (*progress)(void *ctx, enum vf_guest_phase phase, uint64_t done, uint64_t total);
    /* The next thing hand_off does lets the guest run at the far end.  Must make that decision
     * durable; on failure hand_off gives up and the guest stays at the source. */
    int (*commit)(void *ctx, struct vf_error *err);
};

struct vf_hand_off_opts {
    uint64_t max_downtime_ms; /* 0: 300 */
    uint64_t limit_rate;      /* bytes per second for the hypervisor's own estimate; 0: none.  The
                                 tunnels keep the limit in any case */
    bool auto_converge, postcopy;
    struct vf_hand_off_events events;
    const volatile int *stop;
};

struct vf_hand_off_result {
    bool committed; /* also meaningful on failure: true = the guest must not run here any more */
    bool running_there; /* the far half has confirmed it */
    bool forward; /* QEMU was told to let it go before its memory: nobody can go back, see follow */
    bool postcopy; /* and that is what happened */
    bool again;    /* on failure: it was by chance, and is worth another try */
    double memory_seconds, downtime_seconds; /* downtime: from the stop here to the confirmation */
    uint64_t memory_bytes, disk_bytes;       /* as the hypervisor counts them; on failure, like
                                                memory_seconds, as far as it had come */
};

struct vf_guest;
struct vf_guest_ops {
    const char *kind; /* "qmp", "libvirt": names the far half too */
    /* Fills *ret (owned by the caller). */
    int (*describe)(struct vf_guest *, struct vf_guest_info *ret, struct vf_error *err);
    /* Looks for what an earlier try has left in the hypervisor (overlays, jobs, bitmaps, nodes,
     * tunnels, a guest that was stopped for a hand-off) and undoes it.  resume: the guest may be
     * let run again if a hand-off had stopped it (cmd/ knows that its commit point was not passed).
     * Harmless when there is nothing.  *ret_found (may be NULL): there was something. */
    int (*recover)(struct vf_guest *, bool resume, bool *ret_found, struct vf_error *err);
    /* Freezes all disks of info with way COPY, at one instant.  The first call makes the disks'
     * own files stand still; each further one the overlays of the call before.  *ret_frozen has
     * info->ndisks entries.  Overlays lie beside the disk's file, or in dir when not NULL, and
     * their names begin with that file's name and ".vmferry". */
    int (*freeze)(struct vf_guest *, const struct vf_guest_info *info, const char *dir,
                  struct vf_frozen **ret_frozen, struct vf_error *err);
    /* Bytes in the top overlays, all disks together: about what hand_off would have to send. */
    int (*changed)(struct vf_guest *, const struct vf_guest_info *info, uint64_t *ret_bytes,
                   struct vf_error *err);
    /* Memory and the top overlays (frozen: how many freezes there were; the far images hold
     * everything below the top overlays).  See struct vf_hand_off_result for what a failure means.
     */
    int (*hand_off)(struct vf_guest *, const struct vf_guest_info *info, struct vf_far *far,
                    const struct vf_hand_off_opts *opts, struct vf_hand_off_result *ret,
                    struct vf_error *err);
    /* May be NULL: no postcopy.  Waits until all of the memory of a guest is there that was handed
     * off without it.  again: in a process that did not hand it off, or after the tunnels were
     * ended; far: with a conversation about that guest.  -1, VF_ERR_NOTFOUND: the rest is not to be
     * had any more, the guest is lost; anything else: it can be called again, with new connections.
     */
    int (*follow)(struct vf_guest *, struct vf_far *far, bool again,
                  const struct vf_hand_off_events *events, const volatile int *stop,
                  struct vf_error *err);
    /* Before the commit point: the guest runs (or is paused, as it was) on its original disk chain,
     * nothing of ours is left.  May be called at any time, also twice. */
    int (*roll_back)(struct vf_guest *, const struct vf_guest_info *info, struct vf_error *err);
    /* After the commit point.  The guest's disks at the source get their last state (overlays
     * folded in), the guest's process is ended, its definition removed.  keep: the disks stay;
     * removing them otherwise is cmd/'s work.  *ret_left, also on failure: -1, or the process that
     * was told to end and is still there (0: not known which); it has the guest stand still. */
    int (*finish)(struct vf_guest *, const struct vf_guest_info *info, int64_t *ret_left,
                  struct vf_error *err);
    /* May be NULL, as end_view.  Shows the disks that travel, as they are from moment to moment, on
     * the Unix socket (NBD, read only, exports "disk0" and so on), until end_view.  To be ended
     * before anything else is asked for. */
    int (*view)(struct vf_guest *, const struct vf_guest_info *info, const char *socket,
                struct vf_error *err);
    void (*end_view)(struct vf_guest *);
    /* NULL where follow is.  Has the guest been let go here before its memory, so that it can only
     * go on at the far end?  Also true when all has gone there. */
    int (*let_go)(struct vf_guest *, bool *ret, struct vf_error *err);
    /* For --status: "running", "paused", "postmigrate", ... static text. */
    int (*state)(struct vf_guest *, const char **ret_state, struct vf_error *err);
    void (*close)(struct vf_guest *); /* frees; changes nothing at the guest */
};
struct vf_guest {
    const struct vf_guest_ops *ops;
    bool same_run_dir; /* sockets need the same path on both sides (libvirt) */
};

/* A guest whose QEMU has its QMP socket at path; name is what it is to be called.  stop may be NULL
 * and is kept.  NULL: VF_ERR_UNREACHABLE when nobody answers there, VF_ERR_BUSY when another client
 * has the socket. */
struct vf_guest *vf_qmp_guest_open(const char *name, const char *path, const volatile int *stop,
                                   struct vf_error *err);

/* A domain of libvirt; uri NULL: qemu:///system.  VF_ERR_NOTFOUND: there is no such domain.
 * VF_ERR_UNSUPPORTED when this program was built without libvirt. */
struct vf_guest *vf_libvirt_guest_open(const char *name, const char *uri, const volatile int *stop,
                                       struct vf_error *err);

/* ---- the far half ---- */

/* A disk as the far half sees it. */
struct vf_arrival_disk {
    char *id;
    char *path; /* absolute, of the image in this store; left disks: as at the source */
    char *format;
    uint64_t size;
    enum vf_disk_way way;
    bool read_only;
};

/* Starts programs outside of the far end's sandbox: a process of its own, made by cmd/ before any
 * byte of a peer was read, that only ever runs the store's own setting. */
struct vf_starter {
    /* {"name", "dir", "qmp", "disks": [{"id", "path", "format"}]}: what fills the setting's blanks;
     * checked again by the starter: disks are in the store, or stand in for them in dir.  Returns
     * when the program runs. */
    int (*start)(struct vf_starter *, json_t *request, struct vf_error *err);
    /* Has it ended with a failure?  Then -1, and why. */
    int (*look)(struct vf_starter *, struct vf_error *err);
    /* From now on the program is not ended with the starter. */
    int (*keep)(struct vf_starter *, struct vf_error *err);
    void (*kill)(struct vf_starter *);
};

/* The words of a start command with its blanks filled in from a request (see above): {name}, {dir},
 * {qmp}, {disk0}, {format0}, ...; the word {incoming} becomes "-incoming defer -S".  A
 * NULL-terminated vector, owned: the array and each word.  NULL: VF_ERR_USAGE for an unknown blank.
 */
char **vf_qmp_start_words(const char *start, json_t *request, struct vf_error *err);
void vf_qmp_start_words_free(char **words);

/* What cmd/ tells of the guest that is to come; all borrowed, as long as the arrival lives. */
struct vf_arrival_info {
    const char *name, *uuid;
    json_t *definition; /* from the peer: to be checked like everything from there */
    const struct vf_arrival_disk *disk;
    size_t ndisks;
    const char *run_dir;   /* exists, absolute, for sockets; short enough for them */
    const char *state_dir; /* STORE/guests/NAME: files of the guest that stay (nvram, logs, pid) */
    const struct vf_arrival_settings *settings;
    struct vf_starter *starter; /* NULL: nothing can be started */
    bool paused;                /* it is to stay stopped */
    bool postcopy;              /* its memory may follow it */
    const volatile int *stop;
    /* Called by commit before the guest may run: makes durable that it does.  ctx is its first
     * argument. */
    int (*committing)(void *ctx, struct vf_error *err);
    void *ctx;
};

/* From the store's settings (vmferry.conf), never from the peer. */
struct vf_arrival_settings {
    const char *qmp_start;   /* [qmp] start: words, see vf_qmp_arrival_open; NULL: QMP guests are
                                not taken */
    const char *libvirt_uri; /* [libvirt] uri; NULL: qemu:///system */
    bool libvirt;            /* [libvirt] accept; default no */
};

struct vf_arrival;
struct vf_arrival_ops {
    const char *kind;
    /* Could this guest run here?  Changes nothing.  VF_ERR_EXISTS (name or UUID taken),
     * VF_ERR_UNSUPPORTED (version, machine, CPU, device), VF_ERR_DENIED, VF_ERR_SPACE (memory). */
    int (*check)(struct vf_arrival *, struct vf_error *err);
    /* May be NULL.  Starts what prepare would start, with other files in place of the disks, sees
     * whether that is the machine that is to come, and ends it: so a command that starts something
     * else is found out before anything has changed.  stand_in: a path for each disk, NULL where
     * there is none; formats and sizes are the disks'. */
    int (*rehearse)(struct vf_arrival *, const char *const *stand_in, struct vf_error *err);
    /* Ready to take memory and last disk passes through the sockets.  *ret_answer (new reference):
     * whatever the source half needs to know. */
    int (*prepare)(struct vf_arrival *, json_t *args, json_t **ret_answer, struct vf_error *err);
    /* A question of the source half's own; those of QMP are in qmp_arrival.c. */
    int (*ask)(struct vf_arrival *, const char *question, json_t *args, json_t **ret_answer,
               struct vf_error *err);
    /* May be NULL.  The source is about to let the guest go before its memory; its disks are
     * written.  From here on an end of the source's connections must not be the end of the guest
     * here. */
    int (*promise)(struct vf_arrival *, struct vf_error *err);
    /* The path of a socket for vf_far.tunnel, one of a fixed set of names; borrowed from the
     * arrival.  NULL: there is none. */
    const char *(*socket)(struct vf_arrival *, const char *name);
    /* The commit point has been passed at the source: waits until all has arrived, calls
     * committing, lets the guest run.  May come again, also in another process than prepare.  On
     * failure before committing was called the guest does not run and is dropped by cmd/. */
    int (*commit)(struct vf_arrival *, struct vf_error *err);
    /* "none" (it is not here), "incoming", "running", "paused" ...: of the guest as it is now. */
    const char *(*state)(struct vf_arrival *);
    /* Removes the guest unless commit was called; never touches the disks' files. */
    void (*drop)(struct vf_arrival *);
    void (*close)(struct vf_arrival *); /* frees; drops first unless committed */
};
struct vf_arrival {
    const struct vf_arrival_ops *ops;
};

/* start: the words of settings->qmp_start, with {name}, {qmp}, {incoming}, {dir}, {disk0},
 * {format0}, ... replaced. */
struct vf_arrival *vf_qmp_arrival_open(const struct vf_arrival_info *info, struct vf_error *err);
struct vf_arrival *vf_libvirt_arrival_open(const struct vf_arrival_info *info,
                                           struct vf_error *err);

#endif

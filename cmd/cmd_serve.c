/* cmd/cmd_serve.c - the far end: speaks the protocol on standard input and output. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/dest.h"
#include "cmd/group.h"
#include "cmd/guest/guest_serve.h"
#include "cmd/guest/guest_starter.h"
#include "cmd/marker.h"
#include "cmd/readguest.h"
#include "cmd/report.h"
#include "cmd/sandbox.h"
#include "cmd/similar/tell.h"
#include "cmd/stopper.h"
#include "cmd/storedir.h"
#include "core/checked.h"
#include "core/engine/budget.h"
#include "core/engine/engine.h"
#include "core/fdio.h"
#include "core/rundir.h"
#include "transport/join.h"
#include "transport/session.h"

#define HOST_MAX     256
#define SHORT_TMPDIR 48 /* QEMU's servers have sockets there, of which a path has 107 at most */

struct serve_opts {
    const char *groups;
    bool look;
};

static const struct vf_opt serve_table[] = {
    {"groups", 0, VF_OPT_TEXT, offsetof(struct serve_opts, groups), "GROUP,...",
     "grant these sharing groups only; for a forced command", 0, 0, NULL},
    {"look", 0, VF_OPT_FLAG, offsetof(struct serve_opts, look), NULL,
     "only tell: a store that is not there counts as empty, and is not made", 0, 0, NULL},
    {NULL, 0, VF_OPT_FLAG, 0, NULL, NULL, 0, 0, NULL},
};

struct server {
    struct vf_cli *cli;
    struct vf_storedir *store;
    struct vf_index *index;
    struct vf_view_opts views;
    struct vf_readable readable; /* which images can be read that a guest has open */
    int in, out, images_fd, tmp_fd;
    struct vf_stream *stream;
    struct vf_stopper *stopper;
    struct vf_starter *starter; /* NULL: this store starts no guests */
    struct vf_msg_hello hello;
    struct vf_msg_link link; /* token set: a further connection of another process's migration */
};

/* Takes the protocol's descriptors away from stdio, so that nothing else can be written among it.
 */
static int take_stdio(struct server *s, struct vf_error *err)
{
    int null;

    if (isatty(STDIN_FILENO) || isatty(STDOUT_FILENO))
        return vf_error_set(err, VF_ERR_USAGE, 0,
                            "serve speaks with another vmferry, not with a terminal");
    s->in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    s->out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (s->in < 0 || s->out < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0 ||
        dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
        (void)vf_error_sys(err, errno, "standard input and output");
        vf_close_fd(&null);
        return -1;
    }
    vf_close_fd(&null);
    return 0;
}

static bool is_live(void *ctx, const struct vf_image_record *rec, const char *file)
{
    struct server *s = ctx;

    (void)rec;
    return vf_readable_is(&s->readable, file);
}

static int open_all(struct server *s, bool look, struct vf_error *err)
{
    s->store = look ? vf_storedir_look(s->cli, err) : vf_storedir_open(s->cli, err);
    s->images_fd = s->store ? vf_storedir_images(s->store, err) : -1;
    s->index = s->images_fd < 0 ? NULL : vf_storedir_index(s->store, err);
    if (!s->index)
        return -1;
    if (vf_readguest_opts(&s->store->set, &s->views))
        s->readable.opts = &s->views;
    vf_index_set_live(s->index, is_live, s);
    return 0;
}

/* Where QEMU's servers find room for their sockets: a short name for STORE/tmp. */
static int set_tmpdir(struct server *s, struct vf_error *err)
{
    const char *dir = s->store->tmp_dir;
    char *text;
    int rc;

    s->tmp_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (s->tmp_fd < 0 && errno == ENOENT && s->store->looked_at)
        return 0; /* nor are there images that QEMU would have to read */
    if (s->tmp_fd < 0)
        return vf_error_sys(err, errno, "'%s'", dir);
    text = strlen(dir) <= SHORT_TMPDIR ? vf_strdup(dir, err)
                                       : vf_strf(err, "/proc/%ld/fd/%d", (long)getpid(), s->tmp_fd);
    if (!text)
        return -1;
    rc = setenv("TMPDIR", text, 1) < 0 ? vf_error_nomem(err) : 0;
    free(text);
    return rc;
}

/* From here on only the store, the image directory and the locks of this machine can be written. */
static int confine(struct server *s, struct vf_error *err)
{
    const char *dirs[3];
    struct vf_sandbox box;
    char *shared = vf_rundir_path(NULL);
    int fd = vf_rundir_open(NULL), rc; /* made now; there may be none */
    size_t n = 0;

    if (fd >= 0)
        dirs[n++] = shared;
    vf_close_fd(&fd);
    if (s->store->room_fd < 0)
        dirs[n++] = s->store->images_dir;
    if (!s->store->looked_at || access(s->store->path, F_OK) == 0)
        dirs[n++] = s->store->path;
    rc = set_tmpdir(s, err);
    if (rc == 0)
        rc = vf_sandbox_enter(dirs, n, &box, err);
    free(shared);
    if (rc < 0)
        return -1;
    vf_say_more(s->cli, "sandbox: landlock %s, seccomp %s", box.landlock ? "on" : "off",
                box.seccomp ? "on" : "off");
    return 0;
}

struct tally {
    const char *group;
    uint64_t images, blocks;
};

static int tally_one(void *ctx, const struct vf_image_record *rec, struct vf_error *err)
{
    struct tally *t = ctx;

    (void)err;
    if (strcmp(rec->group, t->group) == 0) {
        t->images++;
        t->blocks += rec->info.blocks - rec->info.zero_blocks;
    }
    return 0;
}

/* Further connections make it faster; without them it works as well. */
static void offer_links(struct server *s, struct vf_msg_welcome *w)
{
    struct vf_error err;
    struct vf_join *join = vf_join_listen(s->store->fd, &err);

    if (join && vf_session_take_links(s->stream, join, w, &err) == 0)
        return;
    vf_say_more(s->cli, "one connection only: %s", err.msg);
    vf_join_close(join);
}

/* A further connection: belongs to the process that has the migration. */
static int join_other(struct server *s, struct vf_error *err)
{
    int rc, sock = vf_join_connect(s->store->fd, s->link.token, err);

    if (sock < 0) {
        vf_stream_fail(s->stream, err);
        return -1;
    }
    /* From here on the other process decides how the descriptors behave. */
    s->stream->ops->close(s->stream);
    s->stream = NULL;
    vf_index_close(s->index);
    s->index = NULL;
    rc = vf_join_hand_over(sock, s->link.number, s->in, s->out, s->cli->stop, err);
    vf_close_fd(&sock);
    return rc;
}

/* Answers HELLO, or refuses. */
static int welcome(struct server *s, struct vf_error *err)
{
    char host[HOST_MAX] = "", program[] = "vmferry " VF_VERSION;
    const int room_fd = s->store->room_fd < 0 ? s->images_fd : s->store->room_fd;
    const bool to_take = s->hello.purpose == VF_FOR_MIGRATE || s->hello.purpose == VF_FOR_GUEST;
    struct tally t = {s->hello.group, 0, 0};
    struct vf_msg_welcome w = {.window_log = (uint8_t)vf_budget_receiver(s->store->set.memory),
                               .free_bytes = vf_dest_free_bytes(room_fd),
                               .program = program,
                               .node = host,
                               .group = s->hello.group,
                               .dir = s->store->images_dir};

    if (vf_group_check(s->hello.group, err) < 0)
        return -1;
    if (!vf_settings_grants(&s->store->set, s->hello.group))
        return vf_error_set(err, VF_ERR_DENIED, 0, "the sharing group '%s' is not granted here",
                            s->hello.group);
    w.writable = s->store->set.accept && faccessat(room_fd, ".", W_OK, AT_EACCESS) == 0;
    if (to_take && !w.writable)
        return vf_error_set(err, VF_ERR_DENIED, 0, "this store takes no images");
    if (vf_index_each(s->index, tally_one, &t, err) < 0)
        return -1;
    w.resident_images = t.images;
    w.resident_blocks = t.blocks;
    if (gethostname(host, sizeof host - 1) < 0)
        host[0] = '\0';
    if (s->hello.purpose == VF_FOR_MIGRATE)
        offer_links(s, &w);
    return vf_session_welcome(s->stream, &w, err);
}

static int receive(struct server *s, struct vf_error *err)
{
    struct vf_dest *dest = vf_dest_new(s->store, s->index, s->images_fd, s->hello.group, err);
    struct vf_marker marker = VF_MARKER_INIT;
    int rc;

    if (!dest)
        return -1;
    if (s->hello.purpose == VF_FOR_SUMMARY) {
        rc = vf_tell_answer(s->stream, s->index, dest, s->hello.group, err);
    } else {
        /* A store that is not in use needs no sign. */
        if (!s->store->looked_at || faccessat(s->store->fd, "run", F_OK, 0) == 0)
            vf_marker_set(&marker, s->store->fd);
        rc = vf_receive(s->stream, s->hello.purpose, vf_budget_receiver(s->store->set.memory), dest,
                        err);
        vf_marker_clear(&marker);
    }
    vf_dest_free(dest, rc < 0 ? err : NULL);
    return rc;
}

/* A running guest, or bytes for one. */
static int serve_guest(struct server *s, struct vf_error *err)
{
    struct vf_guest_serve g = {.store = s->store,
                               .index = s->index,
                               .images_fd = s->images_fd,
                               .group = s->hello.group,
                               .starter = s->starter,
                               .stream = s->stream,
                               .stop = s->cli->stop};

    struct vf_marker marker;
    int rc;

    vf_marker_set(&marker, s->store->fd);
    rc =
        s->hello.purpose == VF_FOR_GUEST ? vf_guest_serve(&g, err) : vf_guest_serve_tunnel(&g, err);
    vf_marker_clear(&marker);
    return rc;
}

/* A guest cannot live in the sandbox, so what starts it is there before. */
static int make_starter(struct server *s, struct vf_error *err)
{
    const int fds[] = {s->in, s->out};

    if (!s->store->set.qmp_start)
        return 0;
    s->starter = vf_guest_starter_fork(s->store, fds, 2, err);
    return s->starter ? 0 : -1;
}

/* One that was started only to tell takes nothing. */
static int check_purpose(const struct server *s, struct vf_error *err)
{
    if (!s->store->looked_at ||
        (!s->link.token && (s->hello.purpose == VF_FOR_CHECK || s->hello.purpose == VF_FOR_COUNT ||
                            s->hello.purpose == VF_FOR_SUMMARY)))
        return 0;
    return vf_error_set(err, VF_ERR_DENIED, 0, "this far end was started only to tell (--look)");
}

/* The conversation.  ready: what became of opening the store; the peer is told when that failed. */
static int converse(struct server *s, int ready, struct vf_error *err)
{
    struct vf_session_opts opts = {.ret_link = &s->link};
    struct vf_error own = VF_ERROR_INIT;

    s->stream = vf_session_receiver(s->in, s->out, &opts, &s->hello, ready < 0 ? &own : err);
    if (!s->stream)
        return -1;
    if (ready == 0)
        ready = check_purpose(s, err);
    if (ready == 0 && s->link.token)
        return join_other(s, err);
    if (ready == 0) {
        s->stopper = vf_stopper_start(s->cli->stop, s->stream, err);
        ready = s->stopper ? welcome(s, err) : -1;
    }
    if (ready < 0) {
        vf_stream_fail(s->stream, err);
        return -1;
    }
    if (s->hello.purpose == VF_FOR_GUEST || s->hello.purpose == VF_FOR_TUNNEL)
        return serve_guest(s, err);
    return s->hello.purpose == VF_FOR_CHECK ? 0 : receive(s, err);
}

static int run_serve(struct vf_cli *cli, const void *opts, char *const args[], struct vf_error *err)
{
    const struct serve_opts *o = opts;
    struct server s = {.cli = cli, .in = -1, .out = -1, .images_fd = -1, .tmp_fd = -1};
    int rc;

    (void)args;
    if (take_stdio(&s, err) < 0)
        return -1;
    umask(077);
    rc = open_all(&s, o->look, err);
    if (rc == 0 && o->groups)
        rc = vf_settings_narrow(&s.store->set, o->groups, err);
    if (rc == 0 && !o->look)
        rc = make_starter(&s, err);
    if (rc == 0)
        rc = confine(&s, err);
    rc = converse(&s, rc, err);
    vf_stopper_end(s.stopper);
    if (s.stream)
        s.stream->ops->close(s.stream);
    vf_hello_free(&s.hello);
    free(s.link.token);
    vf_index_close(s.index);
    vf_readable_free(&s.readable);
    vf_guest_starter_end(s.starter);
    vf_storedir_close(s.store);
    vf_close_fd(&s.images_fd);
    vf_close_fd(&s.tmp_fd);
    vf_close_fd(&s.in);
    vf_close_fd(&s.out);
    return rc;
}

const struct vf_cmd vf_cmd_serve = {
    .name = "serve",
    .args = "",
    .summary = "the far end of similar and migrate; SSH starts it",
    .about = "Speaks vmferry's protocol on standard input and output.  Not called by people: the\n"
             "other side starts it through SSH, or as a child for a store on the same machine.\n"
             "It is fit for a forced command, and looks at nothing but its own command line.",
    .examples = "  In ~/.ssh/authorized_keys, for a key that can do nothing else:\n"
                "  restrict,command=\"vmferry --store /srv/vm serve\" ssh-ed25519 AAAA... alice\n"
                "  The same for a tenant, whose images share nothing with those of others:\n"
                "  restrict,command=\"vmferry serve --groups tenant7\" ssh-ed25519 AAAA... bob\n",
    .opts = serve_table,
    .opts_size = sizeof(struct serve_opts),
    .run = run_serve,
};

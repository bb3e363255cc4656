/* A whole migration inside one process, over a socket pair: what is left of the time when there is
 * no SSH, no second process and no link:
 *   bench_pipeline [-d DIR] [-l LEVEL] [-n RUNS] [IMAGE [RESIDENT...]]
 * The residents are indexed before.  The image is scanned while it is sent (reading, MD5, tree),
 * looked up, its literals are compressed at LEVEL (default 1; 0: stored), unpacked, written,
 * verified and indexed.  DIR (default /var/tmp) gets a store that is removed at the end.  Without
 * arguments a made-up image goes to an empty store, and once more, when all of it is there.
 *
 * Prints for each run wall and processor seconds, bytes of non-zero data a second, bytes sent. */
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/sample.h"
#include "cmd/cmd.h"
#include "cmd/dest.h"
#include "core/engine/engine.h"
#include "core/fdio.h"
#include "formats/format.h"
#include "index/index.h"
#include "transport/session.h"

struct receiver {
    struct vf_storedir *store;
    struct vf_index *index;
    int fd, images_fd;
    struct vf_error err;
    int rc;
};

static void die(const char *what, const struct vf_error *err)
{
    fprintf(stderr, "bench_pipeline: %s: %s\n", what, err->msg);
    exit(1);
}

/* What `serve` does, without its sandbox. */
static int serve(struct receiver *r)
{
    char here[] = "here", empty[] = "";
    struct vf_msg_welcome w = {.window_log = 27,
                               .free_bytes = UINT64_MAX,
                               .writable = true,
                               .program = here,
                               .node = here,
                               .group = empty,
                               .dir = r->store->images_dir};
    struct vf_session_opts opts = {0};
    struct vf_msg_hello hello;
    struct vf_stream *st = vf_session_receiver(r->fd, r->fd, &opts, &hello, &r->err);
    struct vf_dest *dest;
    int rc = -1;

    if (!st)
        return -1;
    vf_hello_free(&hello);
    dest = vf_dest_new(r->store, r->index, r->images_fd, "", &r->err);
    if (dest && vf_session_welcome(st, &w, &r->err) == 0)
        rc = vf_receive(st, VF_FOR_MIGRATE, w.window_log, dest, &r->err);
    vf_dest_free(dest, rc < 0 ? &r->err : NULL);
    st->ops->close(st);
    return rc;
}

static void *run_receiver(void *arg)
{
    struct receiver *r = arg;

    r->rc = serve(r);
    return NULL;
}

static struct vf_image *open_image(const char *path, const char *format)
{
    struct vf_error err;
    struct vf_image *im =
        vf_format_open(AT_FDCWD, path, &(struct vf_open_opts){.format = format}, NULL, &err);

    if (!im)
        die(path, &err);
    return im;
}

static void add_resident(struct receiver *r, const char *path)
{
    struct vf_image *im = open_image(path, "raw");
    char real[4096], raw[] = "raw", group[] = "";
    struct vf_image_record rec = {.path = realpath(path, real), .format = raw, .group = group};
    struct vf_map_sink *sink;

    if (!rec.path || vf_index_stat(r->index, real, &rec.st, &r->err) < 0 ||
        !(sink = vf_index_begin(r->index, &rec, &r->err)) ||
        vf_index_image(im, sink, &(struct vf_send_opts){0}, NULL, &r->err) < 0)
        die(path, &r->err);
    vf_image_close(im);
}

static void migrate(struct receiver *r, const char *path, int level, const char *name)
{
    struct vf_image *im = open_image(path, "raw");
    struct vf_send_opts opts = {.name = name, .format = "raw", .level = level, .replace = true};
    struct vf_session_opts session = {.purpose = VF_FOR_MIGRATE, .program = "bench"};
    struct vf_send_result result;
    struct vf_stream_stats wire;
    struct vf_msg_welcome w;
    struct vf_stream *st;
    struct vf_error err;
    double wall0 = wall(), cpu0 = cpu(), data;
    pthread_t thread;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        exit(1);
    r->fd = pair[1];
    if (pthread_create(&thread, NULL, run_receiver, r) != 0)
        exit(1);
    st = vf_session_source(pair[0], pair[0], &session, &w, &err);
    if (!st || vf_send(st, &w, im, NULL, NULL, &opts, &result, &err) < 0)
        die(name, &err);
    st->ops->stats(st, &wire);
    st->ops->close(st);
    vf_close_fd(&pair[0]); /* the end for the receiver */
    pthread_join(thread, NULL);
    if (r->rc < 0)
        die("receiver", &r->err);
    data = (double)(result.info.blocks - result.info.zero_blocks) * VF_BLOCK / 1e9;
    printf("%s: %.2f GB of data in %.2f s, %.2f GB/s, %.2f s of processor per GB, sent %.1f MB\n",
           name, data, wall() - wall0, data / (wall() - wall0), (cpu() - cpu0) / data,
           (double)wire.sent / 1e6);
    vf_send_result_free(&result);
    vf_welcome_free(&w);
    vf_image_close(im);
    vf_close_fd(&pair[1]);
}

/* So that the next run begins like this one. */
static void forget(struct receiver *r, const char *name)
{
    char path[4400];

    snprintf(path, sizeof path, "%s/%s", r->store->images_dir, name);
    if (vf_index_remove(r->index, path, &r->err) < 0 || unlink(path) < 0)
        die(name, &r->err);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static void open_store(struct receiver *r, const char *dir)
{
    struct vf_cli cli = {.store = dir, .quiet = true};

    r->store = vf_storedir_open(&cli, &r->err);
    r->index = r->store ? vf_index_open(r->store->path, VF_INDEX_CREATE, &r->err) : NULL;
    if (!r->index)
        die(dir, &r->err);
    r->images_fd = open(r->store->images_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int main(int argc, char **argv)
{
    struct receiver r = {.err = VF_ERROR_INIT};
    const char *base = "/var/tmp";
    char dir[200], made_up[64], *path = made_up;
    int opt, level = 1, runs = 3, fd = -1;

    while ((opt = getopt(argc, argv, "d:l:n:")) != -1)
        if (opt == 'd')
            base = optarg;
        else if (opt == 'l')
            level = atoi(optarg);
        else if (opt == 'n')
            runs = atoi(optarg);
        else
            return 2;
    snprintf(dir, sizeof dir, "%s/bench-pipeline-XXXXXX", base);
    if (!mkdtemp(dir))
        return 1;
    open_store(&r, dir);
    if (optind < argc) {
        path = argv[optind];
    } else {
        fd = sample_file(&r.err);
        snprintf(made_up, sizeof made_up, "/proc/self/fd/%d", fd);
        migrate(&r, path, level, "first");
    }
    for (int i = optind + 1; i < argc; i++)
        add_resident(&r, argv[i]);
    for (int i = 0; i < runs; i++) {
        migrate(&r, path, level, "copy");
        forget(&r, "copy");
    }
    vf_index_close(r.index);
    vf_storedir_close(r.store);
    vf_close_fd(&r.images_fd);
    vf_close_fd(&fd);
    return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) < 0;
}

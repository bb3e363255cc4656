/* cmd/ratefile.c - follows a file that holds a rate limit. */
#include "cmd/ratefile.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd/cmd.h"
#include "cmd/report.h"
#include "core/checked.h"
#include "core/fdio.h"
#include "core/thread.h"

#define LOOK_MS  500
#define TEXT_MAX 64

struct vf_ratefile {
    const struct vf_cli *cli;
    const char *path;
    uint64_t base, rate;
    struct vf_ratelimit *limit;
    bool complained;
    pthread_t thread;
    pthread_mutex_t lock; /* guards ending */
    pthread_cond_t end;
    bool ending;
};

int vf_ratefile_read(const char *path, uint64_t *ret_rate, struct vf_error *err)
{
    struct stat st;
    char *text, *word;
    int rc = 1;

    if (stat(path, &st) < 0)
        return errno == ENOENT ? 0 : vf_error_sys(err, errno, "look at '%s'", path);
    if (!S_ISREG(st.st_mode)) /* a pipe would hold us up */
        return vf_error_set(err, VF_ERR_USAGE, 0, "'%s' is not a regular file", path);
    text = vf_read_small_file(AT_FDCWD, path, TEXT_MAX, NULL, err);
    if (!text)
        return -1;
    word = text + strspn(text, " \t\r\n");
    word[strcspn(word, " \t\r\n")] = 0;
    if (!*word)
        rc = 0;
    else if (strcmp(word, "none") == 0)
        *ret_rate = 0;
    else if (vf_parse_size(word, "the rate in it", VF_RATE_MIN, VF_RATE_MAX, ret_rate, err) < 0)
        rc = vf_error_prefix(err, "'%s'", path);
    free(text);
    return rc;
}

static void say_rate(const struct vf_ratefile *r)
{
    char text[VF_BYTES_TEXT];

    if (!r->rate) {
        vf_say(r->cli, "no limit of the rate any more");
        return;
    }
    vf_bytes_text(r->rate, text);
    vf_say(r->cli, "the rate is now limited to %s/s", text);
}

/* Looks once; what is wrong is said once. */
static void look(struct vf_ratefile *r)
{
    struct vf_error err;
    struct stat st;
    uint64_t rate = r->base;
    int rc = vf_ratefile_read(r->path, &rate, &err);

    if (rc < 0) {
        if (!r->complained)
            vf_say(r->cli, "the rate limit stays as it is: %s", err.msg);
        r->complained = true;
        return;
    }
    r->complained = false;
    if (rc == 0 && stat(r->path, &st) == 0)
        return; /* empty */
    if (rate == r->rate)
        return;
    r->rate = rate;
    vf_ratelimit_set(r->limit, rate);
    say_rate(r);
}

static void *watch(void *arg)
{
    struct vf_ratefile *r = arg;

    pthread_mutex_lock(&r->lock);
    while (!r->ending) {
        (void)vf_thread_wait(&r->end, &r->lock, LOOK_MS); /* the loop looks again anyway */
        if (!r->ending)
            look(r);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

static void discard(struct vf_ratefile *r)
{
    pthread_cond_destroy(&r->end);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

struct vf_ratefile *vf_ratefile_start(const struct vf_cli *cli, const char *path, uint64_t base,
                                      struct vf_ratelimit *limit, struct vf_error *err)
{
    struct vf_ratefile *r = vf_calloc(1, sizeof *r, err);

    if (!r)
        return NULL;
    r->cli = cli;
    r->path = path;
    r->base = r->rate = base;
    r->limit = limit;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->end, NULL);
    if (vf_ratefile_read(path, &r->rate, err) < 0) {
        discard(r);
        return NULL;
    }
    vf_ratelimit_set(limit, r->rate);
    if (vf_thread_start(&r->thread, watch, r, err) < 0) {
        discard(r);
        return NULL;
    }
    return r;
}

void vf_ratefile_end(struct vf_ratefile *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->ending = true;
    pthread_cond_signal(&r->end);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    discard(r);
}

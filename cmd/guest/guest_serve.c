/* cmd/guest/guest_serve.c - the far end's answers about a guest. */
#include "cmd/guest/guest_serve.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/dest.h"
#include "cmd/guest/guest_apply.h"
#include "cmd/guest/guest_arrival.h"
#include "cmd/guest/guest_left.h"
#include "cmd/guest/guest_rehearse.h"
#include "cmd/guest/guest_talk.h"
#include "cmd/guest/tunnel.h"
#include "cmd/member.h"
#include "core/checked.h"
#include "core/fdio.h"
#include "core/unixsock.h"

#define TOKEN_BYTES 16u
#define DISK_SLACK  (UINT64_C(4) << 20) /* bytes for tables and index, for each disk */

struct serving {
    const struct vf_guest_serve *s;
    struct vf_guest_arrival a; /* a.arrival NULL: no guest yet */
    json_t *spare; /* of a dry run: images that are there, and that the move itself would find to be
                      parts; else empty */
};

/* ---- check ---- */

static json_t *new_token(struct vf_error *err)
{
    uint8_t raw[TOKEN_BYTES];
    char text[2 * TOKEN_BYTES + 1];
    json_t *ret;

    if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw) {
        (void)vf_error_sys(err, errno, "random numbers"); /* the NULL says it */
        return NULL;
    }
    for (size_t i = 0; i < sizeof raw; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", raw[i]); /* fits */
    ret = json_string(text);
    if (!ret)
        (void)vf_error_nomem(err); /* the NULL says it */
    return ret;
}

/* Bytes that a file there takes, 0: there is none. */
static uint64_t taken_by(int dir_fd, const char *name)
{
    struct stat sb;

    return name && fstatat(dir_fd, name, &sb, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(sb.st_mode)
               ? (uint64_t)sb.st_blocks * 512
               : 0;
}

static bool is_spare(const struct serving *v, const char *name)
{
    const json_t *one;
    size_t i;

    json_array_foreach(v->spare, i, one)
    {
        if (strcmp(json_string_value(one), name) == 0)
            return true;
    }
    return false;
}

/* Space for all disks together, one after the other: what a disk replaces is free for the next. */
static int check_space(const struct serving *v, struct vf_error *err)
{
    uint64_t used = 0, freed = 0, peak = 0, have = vf_dest_free_bytes(v->s->images_fd);
    const json_t *in;
    size_t i;

    json_array_foreach(json_object_get(v->a.doc, "disks"), i, in)
    {
        const char *name = vf_member_text(in, "name");
        uint64_t need = vf_member_number(in, "bytes"), part;
        bool spare = is_spare(v, name);
        char *part_name;

        if (v->a.disk[i].way != VF_DISK_COPY || !need)
            continue;
        part_name = vf_strf(NULL, "%s%s", name, spare ? "" : ".part");
        part = taken_by(v->s->images_fd, part_name); /* an earlier try has written so much */
        free(part_name);
        need = need > part ? need - part : 0;
        if (!vf_add_ok(used, need, &used) || !vf_add_ok(used, DISK_SLACK, &used))
            used = UINT64_MAX;
        if (used > freed && used - freed > peak)
            peak = used - freed;
        freed += spare ? 0 : taken_by(v->s->images_fd, name);
    }
    if (!have || peak <= have)
        return 0;
    return vf_error_set(err, VF_ERR_SPACE, ENOSPC,
                        "'%s' has %" PRIu64
                        " bytes free, and the guest's disks need up to %" PRIu64,
                        v->s->store->images_dir, have, peak);
}

/* What a transfer of the disk's image would be told. */
static int would_take(const struct serving *v, const struct vf_arrival_disk *d, const char *name,
                      struct vf_error *err)
{
    bool spare = is_spare(v, name);
    bool replace = !spare && json_is_true(json_object_get(v->a.doc, "replace"));
    struct vf_msg_offer offer = {.size = d->size,
                                 .flags = replace ? VF_OFFER_REPLACE : 0,
                                 .name = vf_strdup(name, err),
                                 .format = vf_strdup(d->format, err)};
    struct vf_error why = VF_ERROR_INIT;
    struct vf_dest *dest = NULL;
    int rc = -1;

    if (offer.name && offer.format)
        dest = vf_dest_new(v->s->store, v->s->index, v->s->images_fd, v->s->group, err);
    if (dest &&
        (vf_dest_would_take(dest, &offer, &why) == 0 || (spare && why.code == VF_ERR_EXISTS)))
        rc = 0;
    else if (dest && why.code == VF_ERR_EXISTS)
        (void)vf_error_set(err, why.code, 0, "%.200s (--replace replaces it)", why.msg); /* rc */
    else if (dest)
        (void)vf_error_pass(err, &why); /* rc says it */
    vf_dest_free(dest, NULL);
    free(offer.name);
    free(offer.format);
    return rc;
}

/* Names that are taken, and space.  made: those that this move will make; replaced: the others,
 * each with the number of the file that has it now. */
static int check_disks(struct serving *v, json_t *made, json_t *replaced, struct vf_error *err)
{
    const json_t *in;
    size_t i;

    if (check_space(v, err) < 0)
        return -1;
    json_array_foreach(json_object_get(v->a.doc, "disks"), i, in)
    {
        const char *name = vf_member_text(in, "name");
        struct stat sb;

        if (v->a.disk[i].way != VF_DISK_COPY)
            continue;
        if (would_take(v, &v->a.disk[i], name, err) < 0)
            return -1;
        if (fstatat(v->s->images_fd, name, &sb, AT_SYMLINK_NOFOLLOW) != 0
                ? json_array_append_new(made, json_string(name)) < 0
                : json_object_set_new(replaced, name, json_integer((json_int_t)sb.st_ino)) < 0)
            return vf_error_nomem(err);
    }
    return 0;
}

static int do_check(struct serving *v, json_t *with, json_t **ret, struct vf_error *err)
{
    json_t *made = json_array(), *replaced = json_object(), *token = NULL, *doc = NULL;
    bool dry = json_is_true(json_object_get(with, "dry_run"));
    int rc = -1;

    if (v->a.arrival)
        (void)vf_error_set(err, VF_ERR_PROTOCOL, 0, "a guest was named already");
    else if (!json_is_object(with) || !json_is_object(json_object_get(with, "definition")))
        (void)vf_error_set(err, VF_ERR_PROTOCOL, 0, "a guest without a definition");
    else
        rc = 0;
    doc = rc == 0 ? json_deep_copy(with) : NULL;
    token = doc ? new_token(err) : NULL;
    if (!made || !replaced || !token || json_object_set(doc, "token", token) < 0 ||
        json_object_set_new(doc, "group", json_string(v->s->group)) < 0 ||
        json_object_set_new(doc, "promised", json_false()) < 0 ||
        json_object_set_new(doc, "committed", json_false()) < 0 ||
        json_object_set(doc, "made", made) < 0 || json_object_set(doc, "replaced", replaced) < 0) {
        rc = rc < 0 ? -1 : vf_error_nomem(err);
        goto out;
    }
    rc = vf_guest_arrival_open(&v->a, v->s, doc, true, err);
    if (rc == 0)
        rc = vf_guest_left_clear(v->s, &v->a.dir, dry ? v->spare : NULL, err);
    if (rc == 0)
        rc = check_disks(v, made, replaced, err);
    if (rc == 0)
        rc = v->a.arrival->ops->check(v->a.arrival, err);
    if (rc == 0 && !dry)
        rc = vf_guest_rehearse(&v->a, err);
    if (rc == 0 && !dry)
        rc = vf_guest_arrival_save(&v->a, err);
    if (rc == 0) {
        *ret = json_pack("{s:s, s:O}", "run_dir", v->a.dir.path, "token", token);
        rc = *ret ? 0 : vf_error_nomem(err);
    }
    if (rc < 0 || dry)
        vf_guest_arrival_close(&v->a); /* nothing of it is ours */
out:
    json_decref(doc);
    json_decref(token);
    json_decref(made);
    json_decref(replaced);
    return rc;
}

/* ---- the other questions ---- */

/* The token: a new process at the source needs it for tunnels, as the one had that was answered
 * "check". */
static int do_attach(struct serving *v, json_t *with, json_t **ret, struct vf_error *err)
{
    struct vf_guest_dir dir;
    struct vf_error why = VF_ERROR_INIT;
    const char *name = vf_member_text(with, "name");
    json_t *doc;
    int rc;

    if (v->a.arrival)
        return vf_error_set(err, VF_ERR_PROTOCOL, 0, "a guest was named already");
    if (vf_guest_name_check(name, err) < 0 || vf_guest_dir_open(v->s->store, name, &dir, err) < 0)
        return -1;
    doc = vf_guest_dir_load(&dir, "guest.json", &why);
    vf_guest_dir_close(&dir);
    if (!doc)
        return vf_error_set(err, why.code, 0, "no guest '%s' is here, or on its way here", name);
    rc = vf_guest_arrival_open(&v->a, v->s, doc, true, err);
    if (rc == 0) {
        *ret = json_pack("{s:s, s:s}", "run_dir", v->a.dir.path, "token",
                         vf_member_text(doc, "token"));
        rc = *ret ? 0 : vf_error_nomem(err);
    }
    if (rc < 0)
        vf_guest_arrival_close(&v->a);
    json_decref(doc);
    return rc;
}

static int do_state(struct serving *v, json_t **ret, struct vf_error *err)
{
    *ret = json_pack("{s:s, s:b}", "state", v->a.arrival->ops->state(v->a.arrival), "committed",
                     (int)vf_guest_arrival_committed(&v->a));
    return *ret ? 0 : vf_error_nomem(err);
}

/* All disks are there as the guest needs them? */
static int do_prepare(struct serving *v, json_t *with, json_t **ret, struct vf_error *err)
{
    for (size_t i = 0; i < v->a.info.ndisks; i++) {
        const struct vf_arrival_disk *d = &v->a.disk[i];

        if (d->way != VF_DISK_COPY)
            continue;
        if (access(d->path, R_OK | W_OK) < 0)
            return vf_error_sys(err, errno, "disk '%s'", d->path);
        if (vf_guest_arrival_has(&v->a, i, err) < 0)
            return -1;
    }
    return v->a.arrival->ops->prepare(v->a.arrival, with, ret, err);
}

static int do_commit(struct serving *v, json_t **ret, struct vf_error *err)
{
    if (v->a.arrival->ops->commit(v->a.arrival, err) < 0) {
        if (!vf_guest_arrival_committed(&v->a) && !vf_guest_arrival_kept(&v->a)) {
            vf_guest_arrival_drop(&v->a);
            vf_guest_arrival_close(&v->a);
        }
        return -1;
    }
    return do_state(v, ret, err);
}

static int answer(struct serving *v, const char *ask, json_t *with, json_t **ret,
                  struct vf_error *err)
{
    if (strcmp(ask, "check") == 0)
        return do_check(v, with, ret, err);
    if (strcmp(ask, "attach") == 0)
        return do_attach(v, with, ret, err);
    if (!v->a.arrival)
        return vf_error_set(err, VF_ERR_PROTOCOL, 0, "no guest was named");
    if (strcmp(ask, "state") == 0)
        return do_state(v, ret, err);
    if (strcmp(ask, "prepare") == 0)
        return do_prepare(v, with, ret, err);
    if (strcmp(ask, "apply") == 0)
        return vf_guest_apply(&v->a, with, err);
    if (strcmp(ask, "promise") == 0)
        return vf_guest_arrival_promise(&v->a, err);
    if (strcmp(ask, "commit") == 0)
        return do_commit(v, ret, err);
    if (strcmp(ask, "drop") == 0) {
        vf_guest_arrival_drop(&v->a);
        vf_guest_arrival_close(&v->a);
        return 0;
    }
    return v->a.arrival->ops->ask(v->a.arrival, ask, with, ret, err);
}

int vf_guest_serve(const struct vf_guest_serve *s, struct vf_error *err)
{
    struct serving v = {.s = s, .spare = json_array()};
    int rc = v.spare ? 0 : vf_error_nomem(err);

    v.a.dir = (struct vf_guest_dir)VF_GUEST_DIR_INIT;
    while (rc == 0) {
        json_t *question, *with, *reply = NULL;
        struct vf_error why = VF_ERROR_INIT;
        const char *ask;

        if (vf_talk_next(s->stream, &question, &ask, &with, err) < 0) {
            rc = -1;
            break;
        }
        if (answer(&v, ask, with, &reply, &why) == 0)
            rc = vf_talk_answer(s->stream, reply, err);
        else
            rc = vf_talk_refuse(s->stream, &why, err);
        json_decref(question);
    }
    if (v.a.arrival && !vf_guest_arrival_kept(&v.a))
        vf_guest_arrival_drop(&v.a);
    vf_guest_arrival_close(&v.a);
    json_decref(v.spare);
    /* The end between two questions is how the source ends it. */
    return rc < 0 && err->code == VF_ERR_UNREACHABLE ? 0 : rc;
}

/* ---- tunnels ---- */

static int find_socket(const struct vf_guest_serve *s, json_t *with, int *ret_fd,
                       struct vf_error *err)
{
    struct vf_guest_arrival a;
    struct vf_guest_dir dir;
    const char *name = vf_member_text(with, "name"), *path = NULL;
    json_t *doc;
    int rc;

    if (vf_guest_name_check(name, err) < 0 || vf_guest_dir_open(s->store, name, &dir, err) < 0)
        return -1;
    doc = vf_guest_dir_load(&dir, "guest.json", err);
    vf_guest_dir_close(&dir);
    if (!doc)
        return -1;
    rc = vf_guest_arrival_open(&a, s, doc, false, err);
    if (rc == 0 && strcmp(vf_member_text(doc, "token"), vf_member_text(with, "token")) != 0)
        rc = vf_error_set(err, VF_ERR_DENIED, 0, "this is not the move that goes on here");
    if (rc == 0)
        path = a.arrival->ops->socket(a.arrival, vf_member_text(with, "socket"));
    if (rc == 0 && !path)
        rc = vf_error_set(err, VF_ERR_DENIED, 0, "there is no socket '%.32s'",
                          vf_member_text(with, "socket"));
    if (rc == 0) {
        *ret_fd = vf_unixsock_connect(AT_FDCWD, path, SOCK_STREAM, err);
        rc = *ret_fd < 0 ? -1 : 0;
    }
    vf_guest_arrival_close(&a);
    json_decref(doc);
    return rc;
}

int vf_guest_serve_tunnel(const struct vf_guest_serve *s, struct vf_error *err)
{
    json_t *question, *with;
    const char *ask;
    int rc, fd = -1;

    if (vf_talk_next(s->stream, &question, &ask, &with, err) < 0)
        return -1;
    if (strcmp(ask, "tunnel") != 0)
        rc = vf_error_set(err, VF_ERR_PROTOCOL, 0, "a tunnel's first question is another one");
    else
        rc = find_socket(s, with, &fd, err);
    json_decref(question);
    if (rc < 0) {
        struct vf_error late;

        if (vf_talk_refuse(s->stream, err, &late) < 0)
            return -1;
        return -1;
    }
    rc = vf_talk_answer(s->stream, NULL, err);
    if (rc == 0)
        rc = vf_tunnel_pump(s->stream, fd, NULL, err);
    vf_close_fd(&fd);
    return rc;
}

/* cmd/guest/guest_arrival.c - what the far end knows of a guest that is coming. */
#include "cmd/guest/guest_arrival.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/dest.h"
#include "cmd/guest/guest_talk.h"
#include "cmd/member.h"
#include "core/checked.h"
#include "core/thread.h"

#define DISKS_MAX 256u
#define LOOK_MS   100
#define END_LOOKS 50 /* times that: for somebody to let go of an image */

static int way_of(const char *text, enum vf_disk_way *ret)
{
    static const char *const name[] = {"copy", "leave", "empty"};

    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        if (strcmp(text, name[i]) == 0) {
            *ret = (enum vf_disk_way)i;
            return 0;
        }
    }
    return -1;
}

static int take_disk(struct vf_guest_arrival *a, const json_t *in, struct vf_arrival_disk *d,
                     struct vf_error *err)
{
    const char *name = vf_member_text(in, "name");

    if (way_of(vf_member_text(in, "way"), &d->way) < 0)
        return vf_error_set(err, VF_ERR_PROTOCOL, 0, "what is to become of a disk is not said");
    d->id = vf_strdup(vf_member_text(in, "id"), err);
    d->format = vf_strdup(vf_member_text(in, "format"), err);
    d->size = vf_member_number(in, "size");
    d->read_only = json_is_true(json_object_get(in, "read_only"));
    if (d->way == VF_DISK_COPY) {
        if (vf_dest_name_check(name, err) < 0)
            return -1;
        d->path = vf_strf(err, "%s/%s", a->s->store->images_dir, name);
    } else {
        d->path = vf_strdup("", err); /* whatever it is there, it is not ours */
    }
    return d->id && d->format && d->path ? 0 : -1;
}

static int take_disks(struct vf_guest_arrival *a, struct vf_error *err)
{
    const json_t *disks = json_object_get(a->doc, "disks"), *in;
    size_t i, n = json_array_size(disks);
    int rc = 0;

    if (n > DISKS_MAX)
        return vf_error_set(err, VF_ERR_PROTOCOL, 0, "too many disks");
    a->disk = vf_calloc(n, sizeof *a->disk, err);
    if (!a->disk)
        return -1;
    a->info.disk = a->disk;
    a->info.ndisks = n;
    json_array_foreach(disks, i, in)
    {
        if (rc == 0)
            rc = take_disk(a, in, &a->disk[i], err);
    }
    return rc;
}

static int committing(void *ctx, struct vf_error *err)
{
    struct vf_guest_arrival *a = ctx;

    if (vf_guest_arrival_committed(a))
        return 0;
    if (json_object_set_new(a->doc, "committed", json_true()) < 0)
        return vf_error_nomem(err);
    if (vf_guest_arrival_save(a, err) == 0)
        return 0;
    (void)json_object_set_new(a->doc, "committed",
                              json_false()); /* replaces a value that is there */
    return -1;
}

static int open_half(struct vf_guest_arrival *a, struct vf_error *err)
{
    const char *kind = vf_member_text(a->doc, "kind");

    if (strcmp(kind, "qmp") == 0)
        a->arrival = vf_qmp_arrival_open(&a->info, err);
    else if (strcmp(kind, "libvirt") == 0)
        a->arrival = vf_libvirt_arrival_open(&a->info, err);
    else
        return vf_error_set(err, VF_ERR_UNSUPPORTED, 0, "no hypervisor '%.32s' here", kind);
    return a->arrival ? 0 : -1;
}

/* Who may not use the group that a guest comes in has no business with that guest. */
static int check_group(const struct vf_guest_arrival *a, struct vf_error *err)
{
    if (vf_settings_grants(&a->s->store->set, vf_member_text(a->doc, "group")))
        return 0;
    return vf_error_set(err, VF_ERR_DENIED, 0, "a guest of another sharing group has that name");
}

int vf_guest_arrival_open(struct vf_guest_arrival *a, const struct vf_guest_serve *s, json_t *doc,
                          bool lock, struct vf_error *err)
{
    const char *name = vf_member_text(doc, "name");

    memset(a, 0, sizeof *a);
    a->dir = (struct vf_guest_dir)VF_GUEST_DIR_INIT;
    a->s = s;
    a->doc = json_incref(doc);
    if (vf_guest_name_check(name, err) < 0 || check_group(a, err) < 0 ||
        vf_guest_dir_open(s->store, name, &a->dir, err) < 0 ||
        vf_guest_text_check("the store", s->store->path, err) < 0 ||
        vf_guest_text_check("the directory", s->store->images_dir, err) < 0 ||
        (lock && vf_guest_dir_lock(&a->dir, err) < 0) || take_disks(a, err) < 0)
        return -1;
    a->settings = (struct vf_arrival_settings){.qmp_start = s->store->set.qmp_start,
                                               .libvirt_uri = s->store->set.libvirt_uri,
                                               .libvirt = s->store->set.libvirt_accept};
    a->info.name = name;
    a->info.uuid = vf_member_text(doc, "uuid");
    a->info.definition = json_object_get(doc, "definition");
    a->info.run_dir = a->dir.path;
    a->info.state_dir = a->dir.path;
    a->info.settings = &a->settings;
    a->info.starter = s->starter;
    a->info.paused = json_is_true(json_object_get(doc, "paused"));
    a->info.postcopy = json_is_true(json_object_get(doc, "postcopy"));
    a->info.stop = s->stop;
    a->info.committing = committing;
    a->info.ctx = a;
    return open_half(a, err);
}

void vf_guest_arrival_close(struct vf_guest_arrival *a)
{
    if (a->arrival)
        a->arrival->ops->close(a->arrival);
    for (size_t i = 0; i < a->info.ndisks; i++) {
        free(a->disk[i].id);
        free(a->disk[i].path);
        free(a->disk[i].format);
    }
    free(a->disk);
    json_decref(a->doc);
    if (a->dir.path)
        vf_guest_dir_close(&a->dir);
    memset(a, 0, sizeof *a);
    a->dir = (struct vf_guest_dir)VF_GUEST_DIR_INIT;
}

bool vf_guest_arrival_promised(const struct vf_guest_arrival *a)
{
    return json_is_true(json_object_get(a->doc, "promised"));
}

int vf_guest_arrival_promise(struct vf_guest_arrival *a, struct vf_error *err)
{
    if (!a->info.postcopy || !a->info.starter)
        return vf_error_set(err, VF_ERR_PROTOCOL, 0, "no such promise is needed");
    if (strcmp(a->arrival->ops->state(a->arrival), "inmigrate") != 0)
        return vf_error_set(err, VF_ERR_IO, 0, "the guest's QEMU is not there any more");
    if (a->arrival->ops->promise && a->arrival->ops->promise(a->arrival, err) < 0)
        return -1;
    if (a->info.starter->keep(a->info.starter, err) < 0)
        return -1;
    if (json_object_set_new(a->doc, "promised", json_true()) < 0)
        return vf_error_nomem(err);
    return vf_guest_arrival_save(a, err);
}

bool vf_guest_arrival_committed(const struct vf_guest_arrival *a)
{
    return json_is_true(json_object_get(a->doc, "committed"));
}

int vf_guest_arrival_save(struct vf_guest_arrival *a, struct vf_error *err)
{
    return vf_guest_dir_save(&a->dir, "guest.json", a->doc, err);
}

const char *vf_guest_arrival_name(const struct vf_arrival_disk *d)
{
    return strrchr(d->path, '/') + 1;
}

/* Has a transfer put an image there that this peer may know of?  Of the names that a move may take,
 * another one may have been quicker. */
static bool is_there(const struct vf_guest_arrival *a, const char *path)
{
    struct vf_image_record rec = {0};
    bool ret = vf_index_get(a->s->index, path, &rec, NULL) == VF_FOUND &&
               vf_settings_grants(&a->s->store->set, rec.group);

    vf_image_record_clear(&rec);
    return ret;
}

/* An image that was made for this guest becomes what an interrupted transfer leaves, unless
 * somebody uses it: its QEMU may take a moment to end, and so may its transfer. */
static void turn_into_part(const struct vf_guest_arrival *a, const char *name, void *ctx)
{
    struct vf_error why = {.code = VF_ERR_BUSY};

    (void)ctx;
    for (int n = 0; n < END_LOOKS && why.code == VF_ERR_BUSY; n++) {
        struct vf_dest *dest =
            vf_dest_new(a->s->store, a->s->index, a->s->images_fd, a->s->group, &why);

        if (n > 0)
            vf_thread_nap(LOOK_MS);
        why.code = VF_ERR_NONE;
        if (dest && vf_dest_turn_back(dest, name, false, &why) < 0)
            (void)0; /* the next try is told that it is in the way */
        vf_dest_free(dest, NULL);
    }
}

/* Notes it in the list if the same would become of it. */
static void note_spare(const struct vf_guest_arrival *a, const char *name, void *list)
{
    struct vf_error why;
    struct vf_dest *dest =
        vf_dest_new(a->s->store, a->s->index, a->s->images_fd, a->s->group, &why);

    if (dest && vf_dest_turn_back(dest, name, true, &why) == 0 &&
        json_array_append_new(list, json_string(name)) < 0)
        (void)0; /* then it is taken for one that is in the way */
    vf_dest_free(dest, NULL);
}

/* Has this move put its own file there?  What was there before stays when it has not. */
static bool was_replaced(const struct vf_guest_arrival *a, const char *name, const json_t *ino)
{
    struct stat sb;

    return json_is_integer(ino) && fstatat(a->s->images_fd, name, &sb, AT_SYMLINK_NOFOLLOW) == 0 &&
           (json_int_t)sb.st_ino != json_integer_value(ino);
}

int vf_guest_arrival_has(const struct vf_guest_arrival *a, size_t i, struct vf_error *err)
{
    const struct vf_arrival_disk *d = &a->disk[i];
    const char *name = vf_guest_arrival_name(d);
    const json_t *ino = json_object_get(json_object_get(a->doc, "replaced"), name);

    if (is_there(a, d->path) && (!ino || was_replaced(a, name, ino)))
        return 0;
    return vf_error_set(err, VF_ERR_DENIED, 0, "this move has not brought the disk '%.64s'", name);
}

void vf_guest_arrival_forget_delta(const struct vf_guest_arrival *a, const char *disk)
{
    static const char *const tail[] = {".delta", ".delta.part"};

    for (size_t i = 0; i < sizeof tail / sizeof *tail; i++) {
        char *name = vf_strf(NULL, "%s%s", disk, tail[i]);
        char *path = vf_strf(NULL, "%s/%s%s", a->s->store->images_dir, disk, tail[i]);

        if (name && path && unlinkat(a->s->images_fd, name, 0) == 0 &&
            vf_index_remove(a->s->index, path, NULL) < 0)
            (void)0; /* `index check` will tell */
        if (name)
            vf_dest_forget_note(a->s->images_fd, name); /* its transfer may have been killed */
        free(path);
        free(name);
    }
}

/* Calls fn for each image that this move has made, or may have. */
static void each_made(const struct vf_guest_arrival *a,
                      void (*fn)(const struct vf_guest_arrival *, const char *name, void *ctx),
                      void *ctx)
{
    const json_t *made = json_object_get(a->doc, "made"), *item;
    const char *key;
    size_t i;

    json_array_foreach(made, i, item)
    {
        if (json_is_string(item))
            fn(a, json_string_value(item), ctx);
    }
    json_object_foreach(json_object_get(a->doc, "replaced"), key, item)
    {
        if (was_replaced(a, key, item))
            fn(a, key, ctx);
    }
}

bool vf_guest_arrival_kept(const struct vf_guest_arrival *a)
{
    return vf_guest_arrival_promised(a) ||
           (strcmp(a->arrival->ops->kind, "libvirt") == 0 &&
            strcmp(a->arrival->ops->state(a->arrival), "paused") == 0);
}

void vf_guest_arrival_spare(const struct vf_guest_arrival *a, json_t *list)
{
    if (!vf_guest_arrival_committed(a))
        each_made(a, note_spare, list);
}

void vf_guest_arrival_drop(struct vf_guest_arrival *a)
{
    if (!a->arrival || vf_guest_arrival_committed(a))
        return;
    a->arrival->ops->drop(a->arrival);
    each_made(a, turn_into_part, NULL);
    for (size_t i = 0; i < a->info.ndisks; i++)
        if (a->disk[i].way == VF_DISK_COPY)
            vf_guest_arrival_forget_delta(a, vf_guest_arrival_name(&a->disk[i]));
    vf_guest_dir_remove(&a->dir, "log");
    vf_guest_dir_remove(&a->dir, "guest.json");
}

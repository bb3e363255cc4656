/* cmd/vm/vm_disks.c - the disks of a guest that moves: which, by what names, and their bulk. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/dest.h"
#include "cmd/progress.h"
#include "cmd/report.h"
#include "cmd/soft_sink.h"
#include "cmd/vm/vm_impl.h"
#include "core/block.h"
#include "core/checked.h"
#include "core/fdio.h"
#include "formats/writer.h"

/* ---- which, and what they are called ---- */

/* Did the user name it: by its id, by its path, or by the path's last part? */
static bool is_named(const struct vf_opt_list *list, const struct vf_guest_disk *d)
{
    const char *slash = strrchr(d->path, '/');

    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->item[i], d->id) == 0 || strcmp(list->item[i], d->path) == 0 ||
            (slash && strcmp(list->item[i], slash + 1) == 0))
            return true;
    return false;
}

static bool is_taken(const struct vf_vm *vm, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (vm->info.disk[i].name && strcmp(vm->info.disk[i].name, name) == 0)
            return true;
    return false;
}

/* What format it gets there; NULL: none that could be written. */
static const char *format_there(const struct vf_vm *vm, const struct vf_guest_disk *d)
{
    const char *format = vm->req->to_format ? vm->req->to_format : d->format;

    return vf_writer_can(format) ? format : NULL;
}

static int name_disk(struct vf_vm *vm, size_t i, struct vf_error *err)
{
    struct vf_guest_disk *d = &vm->info.disk[i];
    const char *slash = strrchr(d->path, '/'), *base = slash ? slash + 1 : d->path;

    if (!format_there(vm, d))
        return vf_error_set(err, VF_ERR_UNSUPPORTED, 0,
                            "disk '%s' has format %s, which cannot be written: give --to-format",
                            d->path, d->format);
    d->name = is_taken(vm, i, base) ? vf_strf(err, "%s-%zu-%s", vm->info.name, i, base)
                                    : vf_strdup(base, err);
    return d->name ? vf_dest_name_check(d->name, err) : -1;
}

int vf_vm_choose_disks(struct vf_vm *vm, struct vf_error *err)
{
    vm->disk = vf_calloc(vm->info.ndisks, sizeof *vm->disk, err);
    if (!vm->disk)
        return -1;
    for (size_t i = 0; i < vm->info.ndisks; i++) {
        struct vf_guest_disk *d = &vm->info.disk[i];

        if (d->way == VF_DISK_COPY && is_named(&vm->req->opts->leave, d))
            d->way = VF_DISK_LEAVE;
        if (d->way == VF_DISK_LEAVE && *d->path)
            vf_say(vm->cli, "%s: %s '%s' is left as it is: it has to be there as well",
                   vm->info.name, d->cdrom ? "CD-ROM" : "disk", d->path);
        if (d->way == VF_DISK_COPY && name_disk(vm, i, err) < 0)
            return -1;
    }
    return 0;
}

const char *vf_vm_overlay_dir(const struct vf_vm *vm)
{
    for (size_t i = 0; i < vm->info.ndisks; i++)
        if (vm->info.disk[i].way == VF_DISK_COPY && strncmp(vm->info.disk[i].path, "/dev/", 5) == 0)
            return vm->req->store->tmp_dir;
    return NULL;
}

/* ---- how much room they need there ---- */

/* Of a raw file, what is no hole. */
static uint64_t data_of(int fd, off_t end)
{
    uint64_t sum = 0;
    off_t data, hole;

    for (off_t at = 0; at < end; at = hole) {
        data = lseek(fd, at, SEEK_DATA);
        if (data < 0) /* nothing but a hole up to the end, or not to be told */
            return errno == ENXIO ? sum : (uint64_t)end;
        hole = lseek(fd, data, SEEK_HOLE);
        hole = hole < 0 || hole > end ? end : hole;
        sum += (uint64_t)(hole - data);
    }
    return sum;
}

uint64_t vf_vm_disk_bytes(const struct vf_vm *vm, size_t i)
{
    const struct vf_guest_disk *d = &vm->info.disk[i];
    const struct vf_map_info *known = &vm->disk[i].info;
    uint64_t ret = 0;
    struct stat sb;
    int fd;

    if (d->way != VF_DISK_COPY)
        return 0;
    if (known->blocks)
        return (known->blocks - known->zero_blocks) * VF_BLOCK;
    if (d->backed)
        return 0; /* part of it lies in other files */
    fd = open(d->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd >= 0 && fstat(fd, &sb) == 0 && S_ISREG(sb.st_mode)) {
        bool raw = strcmp(d->format, "raw") == 0;

        ret = raw ? data_of(fd, sb.st_size) : (uint64_t)sb.st_blocks * 512;
    } else if (fd >= 0) {
        ret = d->size;
    }
    vf_close_fd(&fd);
    return ret < d->size ? ret : d->size;
}

/* ---- bulk ---- */

static struct vf_map_sink *keep_map(const struct vf_vm *vm, const struct vf_origin *image)
{
    struct vf_error why = VF_ERROR_INIT;
    struct vf_map_sink *sink;

    if (image->map)
        return NULL;
    sink = vf_index_begin(vm->req->index, &image->rec, &why);
    if (sink)
        return vf_soft_sink_new(sink, vm->cli);
    vf_say(vm->cli, "the image's map is not kept: %s", why.msg);
    return NULL;
}

static int send_over(struct vf_vm *vm, size_t i, struct vf_origin *image, struct vf_peer *peer,
                     struct vf_error *err)
{
    const struct vf_guest_disk *d = &vm->info.disk[i];
    const char *format = format_there(vm, d);
    struct vf_progress *progress = vf_progress_new(vm->cli, d->path);
    bool same = strcmp(format, image->desc.format) == 0;
    struct vf_send_opts opts = {.name = d->name,
                                .format = format,
                                .cluster_size = same ? image->desc.cluster_size : 0,
                                .replace = vm->req->replace,
                                .level = vm->req->level,
                                .memory = vm->req->memory,
                                .progress = progress ? vf_progress_tick : NULL,
                                .progress_ctx = progress,
                                .stop = vm->cli->stop};
    struct vf_send_result result = {0};
    struct vf_stream_stats wire;
    int rc;

    vf_progress_over(progress, peer->stream);
    rc = vf_send(peer->stream, &peer->welcome, image->image, image->map, keep_map(vm, image), &opts,
                 &result, err);
    vf_progress_end(progress);
    peer->stream->ops->stats(peer->stream, &wire);
    vf_vm_count_wire(&vm->count, &wire);
    vm->count.bulk_bytes += wire.sent;
    if (rc == 0) {
        vm->disk[i].info = result.info;
        vm->disk[i].peer = result.peer;
        vm->disk[i].literal_sent = result.literal_sent;
        result.peer.path = NULL; /* handed over */
        if (!vm->disk[i].peer.path || !*vm->disk[i].peer.path) {
            free(vm->disk[i].peer.path);
            vm->disk[i].peer.path = vf_strf(err, "%s/%s", peer->welcome.dir, d->name);
            rc = vm->disk[i].peer.path ? 0 : -1;
        }
    }
    vf_send_result_free(&result);
    return rc;
}

static const char *group_of(const struct vf_vm *vm, const struct vf_image_record *rec)
{
    return vm->req->group ? vm->req->group : rec->group ? rec->group : "";
}

void vf_vm_connect_ahead(struct vf_vm *vm)
{
    struct vf_image_record rec = {0};
    const struct vf_vm_request *req = vm->req;
    size_t i = 0;

    while (i < vm->info.ndisks && vm->info.disk[i].way != VF_DISK_COPY)
        i++;
    if (i == vm->info.ndisks || vf_index_get(req->index, vm->info.disk[i].path, &rec, NULL) < 0)
        return;
    free(vm->ahead_group);
    vm->ahead_group = vf_strdup(group_of(vm, &rec), NULL);
    vf_image_record_clear(&rec);
    if (vm->ahead_group)
        vm->ahead = vf_ahead_start(vm->cli, req->target, req->reach, VF_FOR_MIGRATE,
                                   vm->ahead_group, vm->limit);
}

/* The connection that was opened ahead, if it is of this group, or a new one. */
static int connect_for(struct vf_vm *vm, const struct vf_origin *image, struct vf_peer *ret,
                       struct vf_error *err)
{
    const char *group = group_of(vm, &image->rec);
    struct vf_error why;

    if (vm->ahead && strcmp(group, vm->ahead_group) == 0 &&
        vf_ahead_take(vm->ahead, ret, &why) == 0)
        return 0;
    return vf_peer_open(vm->cli, vm->req->target, vm->req->reach, VF_FOR_MIGRATE, group, vm->limit,
                        ret, err);
}

static int send_disk(struct vf_vm *vm, size_t i, const struct vf_frozen *frozen,
                     struct vf_error *err)
{
    struct vf_origin_opts opts = *vm->req->origin;
    struct vf_origin image = {0};
    struct vf_peer peer = {0};
    int rc;

    opts.format = frozen->format;
    if (vf_origin_open(vm->req->index, frozen->path, &opts, &image, err) < 0)
        return -1;
    rc = connect_for(vm, &image, &peer, err);
    if (rc == 0) {
        vf_peer_spread(&peer, vm->req->streams);
        rc = send_over(vm, i, &image, &peer, err);
        if (rc < 0)
            vf_peer_why(&peer, err);
        vf_peer_close(&peer, rc < 0 ? err : NULL);
    }
    vf_origin_close(&image);
    return rc;
}

int vf_vm_send_frozen(struct vf_vm *vm, const struct vf_frozen *frozen, struct vf_error *err)
{
    for (size_t i = 0; i < vm->info.ndisks; i++) {
        if (!frozen[i].path)
            continue;
        if ((frozen[i].delta ? vf_vm_send_delta(vm, i, &frozen[i], err)
                             : send_disk(vm, i, &frozen[i], err)) < 0)
            return vf_error_prefix(err, "disk '%s'", vm->info.disk[i].path);
    }
    return 0;
}

/* ---- when the guest is gone ---- */

/* What a machine left is what makes its way back cheap. */
static int index_disk(struct vf_vm *vm, const struct vf_guest_disk *d, struct vf_error *err)
{
    struct vf_origin_opts opts = *vm->req->origin;
    struct vf_send_opts send = {.stop = vm->cli->stop};
    struct vf_origin image = {0};
    struct vf_map_sink *sink;
    int rc = -1;

    opts.format = d->format;
    if (vf_origin_open(vm->req->index, d->path, &opts, &image, err) < 0)
        return -1;
    sink = vf_index_begin(vm->req->index, &image.rec, err);
    if (sink)
        rc = vf_index_image(image.image, sink, &send, NULL, err);
    vf_origin_close(&image);
    return rc;
}

void vf_vm_settle_disks(struct vf_vm *vm)
{
    for (size_t i = 0; i < vm->info.ndisks; i++) {
        const struct vf_guest_disk *d = &vm->info.disk[i];
        struct vf_error why = VF_ERROR_INIT;
        struct stat sb;
        int rc = 0;

        if (d->way != VF_DISK_COPY)
            continue;
        if (!vm->req->opts->remove_source)
            rc = index_disk(vm, d, &why);
        else if (lstat(d->path, &sb) == 0 && S_ISREG(sb.st_mode) && unlink(d->path) == 0)
            rc = vf_index_remove(vm->req->index, d->path, &why) < 0 ? -1 : 0;
        else
            vf_say(vm->cli, "'%s' is not a file that could be removed", d->path);
        if (rc < 0)
            vf_say(vm->cli, "'%s': %s", d->path, why.msg);
    }
}

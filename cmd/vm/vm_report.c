/* cmd/vm/vm_report.c - what became of a guest, for people and programs. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd/report.h"
#include "cmd/vm/vm_impl.h"
#include "core/clock.h"

static const char *const ways[] = {"copy", "leave", "empty"};

static json_t *disk_json(const struct vf_guest_disk *d, const struct vf_vm_disk *r)
{
    char digest[VF_DIGEST_TEXT];

    if (d->way != VF_DISK_COPY)
        return json_pack("{s:o, s:o, s:s}", "disk", vf_json_text(d->id), "image",
                         vf_json_text(d->path), "way", ways[d->way]);
    vf_digest_text(r->info.root, digest);
    return json_pack(
        "{s:o, s:o, s:s, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:b}", "disk",
        vf_json_text(d->id), "image", vf_json_text(d->path), "way", ways[d->way], "path",
        vf_json_text(r->peer.path ? r->peer.path : ""), "format", d->format, "virtual_size",
        (json_int_t)d->size, "blocks", (json_int_t)r->info.blocks, "zero_blocks",
        (json_int_t)r->info.zero_blocks, "shared_blocks", (json_int_t)r->peer.shared_blocks,
        "duplicate_blocks", (json_int_t)r->peer.duplicate_blocks, "literal_blocks",
        (json_int_t)r->peer.literal_blocks, "digest", digest, "verified", (int)r->peer.verified);
}

/* What was expected, where nodes were asked. */
static bool put_choice(const struct vf_vm *vm, json_t *o)
{
    const struct vf_vm_choice *c = &vm->choice;

    return !c->ranking ||
           (json_object_set(o, "ranking", c->ranking) == 0 &&
            json_object_set_new(o, "predicted_wire_bytes", json_integer((json_int_t)c->wire)) ==
                0 &&
            json_object_set_new(o, "predicted_literal_blocks",
                                json_integer((json_int_t)c->literals)) == 0 &&
            json_object_set_new(o, "predicted_seconds",
                                c->seconds < 0 ? json_null() : json_real(c->seconds)) == 0);
}

json_t *vf_vm_left_json(const struct vf_vm *vm)
{
    return vm->left < 0 ? json_null() : json_integer((json_int_t)vm->left);
}

static json_t *report_json(const struct vf_vm *vm)
{
    json_t *o;
    const struct vf_hand_off_result *r = &vm->result;
    json_t *disks = json_array();

    for (size_t i = 0; i < vm->info.ndisks; i++)
        if (json_array_append_new(disks, disk_json(&vm->info.disk[i], &vm->disk[i])) < 0) {
            json_decref(disks);
            return NULL;
        }
    o = json_pack(
        "{s:o, s:o, s:s, s:s, s:b, s:o, s:I, s:I, s:I, s:f, s:{s:{s:f, s:I}, s:{s:f, s:I, s:I}, "
        "s:{s:f, s:f, s:I, s:I, s:b, s:f}}, s:f, s:b, s:o}",
        "vm", vf_json_text(vm->info.name), "node", vf_json_text(vm->req->label), "kind",
        vm->guest->ops->kind, "running_at", vm->running_at, "live", (int)vm->info.running, "disks",
        disks, "rounds", (json_int_t)vm->count.rounds, "wire_bytes_sent",
        (json_int_t)vm->count.sent, "wire_bytes_received", (json_int_t)vm->count.received,
        "downtime_seconds", r->downtime_seconds, "phases", "bulk", "seconds",
        vm->count.bulk_seconds, "wire_bytes_sent", (json_int_t)vm->count.bulk_bytes, "rounds",
        "seconds", vm->count.round_seconds, "wire_bytes_sent", (json_int_t)vm->count.round_bytes,
        "count", (json_int_t)vm->count.rounds, "hand_off", "seconds", vm->count.hand_off_seconds,
        "memory_seconds", vm->count.memory_seconds, "memory_bytes",
        (json_int_t)vm->count.memory_bytes, "disk_bytes", (json_int_t)vm->count.disk_bytes,
        "postcopy", (int)r->postcopy, "postcopy_seconds", vm->follow_seconds, "seconds",
        vm->seconds, "dry_run", (int)vm->req->dry_run, "left_process", vf_vm_left_json(vm));
    if (o && put_choice(vm, o))
        return o;
    json_decref(o);
    return NULL;
}

static void print_report(const struct vf_vm *vm)
{
    const struct vf_hand_off_result *r = &vm->result;
    char sent[VF_BYTES_TEXT], received[VF_BYTES_TEXT], took[VF_BYTES_TEXT], mem[VF_BYTES_TEXT],
        disk[VF_BYTES_TEXT];

    vf_put_clean(stdout, vm->info.name);
    fputs(vm->req->dry_run ? " -> (dry run) " : " -> ", stdout);
    vf_put_clean(stdout, vm->req->label);
    fputc('\n', stdout);
    for (size_t i = 0; i < vm->info.ndisks; i++) {
        if (vm->info.disk[i].way != VF_DISK_COPY)
            continue;
        fputs("  ", stdout);
        vf_put_clean(stdout, vm->info.disk[i].path);
        fputs(" -> ", stdout);
        vf_put_clean(stdout, vm->disk[i].peer.path ? vm->disk[i].peer.path : "");
        printf(": %" PRIu64 " blocks, %" PRIu64 " literal\n", vm->disk[i].info.blocks,
               vm->disk[i].peer.literal_blocks);
    }
    vf_bytes_text(vm->choice.wire, sent);
    if (vm->req->dry_run) {
        printf("  would send about %s, and memory\n", sent);
        return;
    }
    vf_bytes_text(vm->count.sent, sent);
    vf_bytes_text(vm->count.received, received);
    vf_bytes_text(vm->count.memory_bytes, mem);
    vf_bytes_text(vm->count.disk_bytes, disk);
    vf_seconds_text(vm->seconds, took);
    if (vm->info.running)
        printf("  memory %s, last disk pass %s, %u round%s; it stood still for %.0f ms\n", mem,
               disk, vm->count.rounds, vm->count.rounds == 1 ? "" : "s", r->downtime_seconds * 1e3);
    printf("  sent %s, received %s, in %s; it is at the %s now\n", sent, received, took,
           vm->running_at);
}

int vf_vm_report_rejoined(struct vf_vm *vm, struct vf_error *err)
{
    const char *name = vm->req->opts->vm;

    if (vf_report_set(vm->cli,
                      json_pack("{s:o, s:s, s:b, s:f, s:o}", "vm", vf_json_text(name), "running_at",
                                vm->running_at, "rejoined", 1, "postcopy_seconds",
                                vm->follow_seconds, "left_process", vf_vm_left_json(vm)),
                      err) < 0)
        return -1;
    if (vm->cli->json || vm->cli->quiet)
        return 0;
    vf_put_clean(stdout, name);
    printf(": all of its memory is there now; it is at the %s\n", vm->running_at);
    return 0;
}

int vf_vm_report(struct vf_vm *vm, struct vf_error *err)
{
    vm->seconds = vf_clock_now() - vm->start;
    if (vm->req->dry_run)
        vm->count.sent = vm->choice.wire; /* as in the report of an image */
    if (vf_report_set(vm->cli, report_json(vm), err) < 0)
        return -1;
    if (vm->cli->json || (vm->cli->quiet && !vm->req->dry_run))
        return 0;
    print_report(vm);
    if (!vm->req->dry_run || vm->choice.n < 2)
        return 0;
    fputc('\n', stdout);
    return vf_vm_ranking_print(vm->choice.ranking, err);
}

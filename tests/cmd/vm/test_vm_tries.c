/* The report of a move that was tried again: all that travelled, each block of an image once. */
#include <string.h>

#include "cmd/vm/vm_impl.h"
#include "cmd/vm/vm_tries.h"
#include "tests/lib/check.h"

static struct vf_error err;
static char vda[] = "vda", vdb[] = "vdb";

/* One try to "n1" with two disks. */
struct one_try {
    struct vf_vm vm;
    struct vf_vm_request req;
    struct vf_guest_disk gd[2];
    struct vf_vm_disk disk[2];
};

static struct vf_vm *begin(struct one_try *t)
{
    memset(t, 0, sizeof *t);
    t->req.label = "n1";
    t->gd[0].id = vda;
    t->gd[1].id = vdb;
    t->vm.req = &t->req;
    t->vm.info.disk = t->gd;
    t->vm.info.ndisks = 2;
    t->vm.disk = t->disk;
    return &t->vm;
}

static void found(struct one_try *t, size_t i, uint64_t shared, uint64_t duplicate,
                  uint64_t literal)
{
    t->disk[i].peer.shared_blocks = shared;
    t->disk[i].peer.duplicate_blocks = duplicate;
    t->disk[i].peer.literal_blocks = literal;
}

static void are(const struct one_try *t, size_t i, uint64_t shared, uint64_t duplicate,
                uint64_t literal)
{
    CHECK_EQ_U64(t->disk[i].peer.shared_blocks, shared);
    CHECK_EQ_U64(t->disk[i].peer.duplicate_blocks, duplicate);
    CHECK_EQ_U64(t->disk[i].peer.literal_blocks, literal);
}

TEST(one_try_is_what_it_is)
{
    struct vf_vm_tries tries = {0};
    struct one_try t;
    struct vf_vm *vm = begin(&t);

    vm->start = 5;
    vm->count.sent = 7;
    found(&t, 0, 1, 2, 3);
    vf_vm_tries_sum(&tries, vm);
    CHECK(vm->start > 4.9 && vm->start < 5.1);
    CHECK_EQ_U64(vm->count.sent, 7);
    are(&t, 0, 1, 2, 3);
    vf_vm_tries_free(&tries);
}

TEST(what_travelled_is_summed)
{
    struct vf_vm_tries tries = {0};
    struct one_try t;
    struct vf_vm *vm;

    for (unsigned n = 1; n <= 3; n++) {
        vm = begin(&t);
        vm->start = 100.0 * n;
        vf_vm_count_wire(&vm->count, &(struct vf_stream_stats){1000 * n, 100 * n, 900 * n});
        vm->count.bulk_bytes = 500 * n;
        vm->count.round_bytes = 50 * n;
        vm->count.rounds = n;
        vm->count.bulk_seconds = vm->count.round_seconds = vm->count.hand_off_seconds = n;
        vm->count.memory_seconds = n;
        vm->count.memory_bytes = 10 * n;
        vm->count.disk_bytes = n;
        vm->result.downtime_seconds = n;
        if (n < 3)
            CHECK_OK(vf_vm_tries_note(&tries, vm, &err), &err);
        else
            vf_vm_tries_sum(&tries, vm);
    }
    CHECK(vm->start < 100.1); /* the first one's */
    CHECK_EQ_U64(vm->count.sent, 6000);
    CHECK_EQ_U64(vm->count.received, 600);
    CHECK_EQ_U64(vm->count.bulk_bytes, 3000);
    CHECK_EQ_U64(vm->count.round_bytes, 300);
    CHECK_EQ_U64(vm->count.rounds, 6);
    CHECK(vm->count.bulk_seconds > 5.9 && vm->count.round_seconds > 5.9 &&
          vm->count.hand_off_seconds > 5.9);
    CHECK(vm->count.memory_seconds > 5.9);
    CHECK_EQ_U64(vm->count.memory_bytes, 60);
    CHECK_EQ_U64(vm->count.disk_bytes, 6);
    CHECK(vm->result.downtime_seconds < 3.1); /* of the hand-off that came to its end */
    vf_vm_tries_free(&tries);
}

/* 100 blocks: 10 were there, 20 repeat others, 70 travel.  Later tries find all of them. */
TEST(what_a_try_brought_was_not_there_before_the_move)
{
    struct vf_vm_tries tries = {0};
    struct one_try t;

    begin(&t);
    found(&t, 0, 10, 20, 70);
    found(&t, 1, 0, 0, 5);
    CHECK_OK(vf_vm_tries_note(&tries, &t.vm, &err), &err);
    begin(&t);
    found(&t, 0, 96, 1, 3); /* the guest has written four */
    found(&t, 1, 5, 0, 0);
    CHECK_OK(vf_vm_tries_note(&tries, &t.vm, &err), &err);
    are(&t, 0, 6, 21, 73);
    begin(&t);
    found(&t, 0, 100, 0, 0);
    found(&t, 1, 5, 0, 0);
    vf_vm_tries_sum(&tries, &t.vm);
    are(&t, 0, 6, 21, 73);
    are(&t, 1, 0, 0, 5);
    vf_vm_tries_free(&tries);
}

TEST(a_block_that_travelled_twice_counts_once)
{
    struct vf_vm_tries tries = {0};
    struct one_try t;

    begin(&t);
    found(&t, 0, 0, 0, 100);
    CHECK_OK(vf_vm_tries_note(&tries, &t.vm, &err), &err);
    begin(&t);
    found(&t, 0, 60, 0, 40);
    vf_vm_tries_sum(&tries, &t.vm);
    are(&t, 0, 0, 0, 100);
    vf_vm_tries_free(&tries);
}

/* Disks are known by their ids; what lies at another node is of no use. */
TEST(other_disks_and_nodes)
{
    struct vf_vm_tries tries = {0};
    struct one_try t;

    begin(&t);
    found(&t, 0, 0, 0, 10);
    t.vm.count.sent = 1;
    CHECK_OK(vf_vm_tries_note(&tries, &t.vm, &err), &err);
    begin(&t);
    t.gd[0].id = vdb;
    t.gd[1].id = vda;
    found(&t, 0, 4, 0, 0);
    found(&t, 1, 10, 0, 0);
    vf_vm_tries_sum(&tries, &t.vm);
    are(&t, 0, 4, 0, 0);
    are(&t, 1, 0, 0, 10);
    begin(&t);
    t.req.label = "n2";
    found(&t, 0, 10, 0, 0);
    vf_vm_tries_sum(&tries, &t.vm);
    are(&t, 0, 10, 0, 0);
    CHECK_EQ_U64(t.vm.count.sent, 1);
    vf_vm_tries_free(&tries);
}

TESTS(one_try_is_what_it_is, what_travelled_is_summed,
      what_a_try_brought_was_not_there_before_the_move, a_block_that_travelled_twice_counts_once,
      other_disks_and_nodes)

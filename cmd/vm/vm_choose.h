/* cmd/vm/vm_choose.h - where a guest should go: the node to which all its disks together cost
 * least.
 *
 * First all nodes are asked whether they could take the guest; then how much of its disks those
 * hold that could.  What a running guest writes makes the numbers a little old; the disks' maps are
 * taken from the index where that is fresh or follows the guest, else they are read once: raw files
 * as they are, others through the hypervisor while the guest runs.
 *
 * Thread rules: belongs to the main thread. */
#ifndef VF_CMD_VM_VM_CHOOSE_H
#define VF_CMD_VM_VM_CHOOSE_H

#include <jansson.h>

#include "cmd/origin.h"
#include "cmd/similar/aside.h"
#include "cmd/similar/survey.h"
#include "hypervisor/view.h"

struct vf_vm;

/* A node, for the guest with all its disks. */
struct vf_vm_node {
    const char *label;   /* inside `all` */
    size_t in_all;       /* its number there */
    struct vf_error why; /* it cannot take the guest; NONE: it can */
    size_t nth;          /* its number in the surveys; meaningful where why was NONE at first */
    bool exact;
    uint64_t wire, low, high, literals, free_bytes;
    double seconds; /* negative: not known */
};

/* A disk that travels, as the nodes see it. */
struct vf_vm_view {
    size_t disk; /* its number */
    struct vf_origin image;
    struct vf_aside aside;
    struct vf_map *map; /* of the image, of aside, or own_map */
    struct vf_map *own_map;
    struct vf_candidates nodes;
    struct vf_count count;
    struct vf_survey survey;
};

struct vf_vm_choice {
    bool made;
    struct vf_candidates all;
    struct vf_vm_node *node; /* the best first; those that cannot take it last */
    size_t n, can;
    struct vf_vm_view *view;
    size_t nviews;
    char *socket; /* of the hypervisor's view of the disks; NULL: there is none */
    struct vf_view_opts guests;
    const char **label; /* of the surveys' nodes */
    /* After vf_vm_choice_settle: */
    json_t *ranking;
    uint64_t wire, literals;
    double seconds;
};

/* Asks.  Not finding a node that can take it is not an error.  -1: there is none to ask, or what
 * ends all.  vm->choice is to be released by vf_vm_choice_free in any case. */
int vf_vm_choose(struct vf_vm *vm, struct vf_error *err) VF_MUST_CHECK;
void vf_vm_choice_free(struct vf_vm *vm);

/* The best that can take it; NULL with *err: none, and why the first one cannot. */
const struct vf_vm_node *vf_vm_choice_best(const struct vf_vm_choice *c, struct vf_error *err);

/* The best one has refused after all. */
void vf_vm_choice_refuse(struct vf_vm_choice *c, const struct vf_error *why);

/* It is the best one: keeps what reports say, notes the disks' numbers in vm->disk, and lets the
 * disks go. */
int vf_vm_choice_settle(struct vf_vm *vm, struct vf_error *err) VF_MUST_CHECK;

/* cmd/vm/vm_ranking.c: the nodes in their order, as JSON (NULL: no memory) and as a table. */
json_t *vf_vm_ranking(const struct vf_vm *vm);
int vf_vm_ranking_print(const json_t *ranking, struct vf_error *err) VF_MUST_CHECK;

#endif

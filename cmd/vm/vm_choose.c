/* cmd/vm/vm_choose.c - asks all nodes about a guest and its disks. */
#include "cmd/vm/vm_choose.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/readguest.h"
#include "cmd/report.h"
#include "cmd/vm/vm_impl.h"
#include "core/checked.h"
#include "formats/nbd.h"

#define VIEW_CONNS 2u

/* ---- could they take it? ---- */

struct checking {
    struct vf_vm *vm;
    json_t **question; /* one for each node: they are not shared between threads */
};

static int check_one(void *ctx, size_t i, struct vf_ask_job *job, struct vf_error *err)
{
    const struct checking *c = ctx;
    const struct vf_vm_request *req = c->vm->req;
    struct vf_vm_node *node = &c->vm->choice.node[i];
    struct vf_guest_far_opts opts = {.cli = vf_ask_cli(job),
                                     .target = &c->vm->choice.all.node[i].target,
                                     .reach = req->reach,
                                     .group = req->group ? req->group : "",
                                     .name = c->vm->info.name,
                                     .run_dir = c->vm->dir.path};
    struct vf_error why = VF_ERROR_INIT;
    struct vf_guest_far *far = vf_guest_far_open(&opts, &why);
    int rc = far ? vf_guest_far_check(far, c->question[i], &why) : -1;

    vf_guest_far_close(far, rc < 0 ? &why : NULL);
    if (rc == 0)
        return 0;
    if (vf_ask_failed(job, &why, err) < 0)
        return -1;
    node->why = why;
    return 0;
}

static int check_all(struct vf_vm *vm, struct vf_error *err)
{
    struct vf_vm_choice *ch = &vm->choice;
    struct checking c = {.vm = vm, .question = vf_calloc(ch->n, sizeof(json_t *), err)};
    struct vf_ask ask = {
        .cli = vm->cli, .n = ch->n, .deadline = vm->req->deadline, .fn = check_one, .ctx = &c};
    int rc = c.question ? 0 : -1;

    for (size_t i = 0; i < ch->n && rc == 0; i++) {
        c.question[i] = vf_vm_question(vm, true, err);
        rc = c.question[i] ? 0 : -1;
    }
    if (rc == 0)
        rc = vf_ask_all(&ask, err);
    for (size_t i = 0; c.question && i < ch->n; i++)
        json_decref(c.question[i]);
    free(c.question);
    for (size_t i = 0; i < ch->n && rc == 0 && ch->n > 1; i++)
        if (ch->node[i].why.code != VF_ERR_NONE)
            vf_say(vm->cli, "%s: %s", ch->node[i].label, ch->node[i].why.msg);
    return rc;
}

/* ---- the disks' maps ---- */

/* The service follows what running guests write; that is good enough for a choice. */
static int moving_map(struct vf_vm *vm, struct vf_vm_view *v, struct vf_error *err)
{
    struct vf_image_record rec = {0};
    int rc = vf_index_get(vm->req->index, v->image.path, &rec, err);

    if (rc == VF_FOUND && rec.state == VF_IMAGE_MOVING && rec.info.size == v->image.image->size &&
        strcmp(rec.format, v->image.desc.format) == 0)
        v->map = v->own_map = vf_index_map(vm->req->index, v->image.path, err);
    vf_image_record_clear(&rec);
    return rc < 0 ? -1 : 0;
}

static void close_view(struct vf_vm_view *v)
{
    vf_survey_free(&v->survey);
    vf_candidates_free(&v->nodes);
    vf_aside_close(&v->aside);
    if (v->own_map)
        v->own_map->ops->close(v->own_map);
    vf_origin_close(&v->image);
}

/* The tables of a file that a guest writes cannot be read beside it: its hypervisor can. */
static struct vf_image *open_through(struct vf_vm *vm, const struct vf_guest_disk *d, size_t i,
                                     struct vf_error *err)
{
    struct vf_vm_choice *ch = &vm->choice;
    struct vf_image *ret;
    char *name;

    if (!vm->guest->ops->view) {
        ch->guests =
            (struct vf_view_opts){.uri = vm->req->opts->connect ? vm->req->opts->connect
                                                                : vm->req->store->set.libvirt_uri,
                                  .scratch = vm->req->store->set.libvirt_scratch};
        return vf_readguest_open(&ch->guests, d->path, d->format, NULL, err);
    }
    if (!ch->socket) {
        char *socket = vf_strf(err, "%s/view", vm->dir.path);

        if (!socket || vm->guest->ops->view(vm->guest, &vm->info, socket, err) < 0) {
            free(socket);
            return NULL;
        }
        ch->socket = socket;
    }
    name = vf_strf(err, "disk%zu", i);
    ret = name ? vf_nbd_connect(ch->socket, name, false, VIEW_CONNS, err) : NULL;
    free(name);
    return ret;
}

static void end_views(struct vf_vm *vm)
{
    struct vf_vm_choice *ch = &vm->choice;

    for (; ch->nviews > 0; ch->nviews--) /* the first last: the others borrow from it */
        close_view(&ch->view[ch->nviews - 1]);
    if (!ch->socket)
        return;
    vm->guest->ops->end_view(vm->guest);
    (void)unlink(ch->socket); /* usually the hypervisor has done it */
    free(ch->socket);
    ch->socket = NULL;
}

static int open_view(struct vf_vm *vm, struct vf_vm_view *v, struct vf_error *err)
{
    const struct vf_guest_disk *d = &vm->info.disk[v->disk];
    struct vf_origin_opts opts = *vm->req->origin;

    opts.format = d->format;
    opts.allow_busy = vm->info.running;
    if (vf_origin_open(vm->req->index, d->path, &opts, &v->image, err) < 0)
        return -1;
    if (vm->info.running && strcmp(d->format, "raw") != 0) {
        vf_image_close(v->image.image);
        v->image.image = open_through(vm, d, v->disk, err);
        if (!v->image.image)
            return -1;
    }
    v->map = v->image.map;
    if (!v->map && moving_map(vm, v, err) < 0)
        return -1;
    if (!v->map && vf_aside_open(vm->cli, vm->req->store, &v->image, &v->aside, err) < 0)
        return -1;
    v->map = v->map ? v->map : v->aside.map;
    return v->map->ops->info(v->map, &vm->disk[v->disk].info, err);
}

/* ---- how much they hold of each ---- */

static int survey_one(struct vf_vm *vm, struct vf_vm_view *v, const struct vf_opt_list *labels,
                      struct vf_error *err)
{
    const struct vf_vm_request *req = vm->req;
    const struct vf_vm_view *first = &vm->choice.view[0];
    int rc = open_view(vm, v, err);

    if (rc == 0)
        rc = vf_candidates_find(req->store, labels, false, &v->nodes, err);
    if (rc < 0)
        return vf_error_prefix(err, "disk '%s'", vm->info.disk[v->disk].path);
    v->count = (struct vf_count){.cli = vm->cli,
                                 .reach = req->reach,
                                 .group = req->group ? req->group : v->image.rec.group,
                                 .title = v->image.path,
                                 .image = v->image.image,
                                 .map = v->map,
                                 .deadline = req->deadline};
    v->survey = (struct vf_survey){.count = &v->count,
                                   .store_fd = req->store->fd,
                                   .size = VF_SUMMARY_BRIEF,
                                   .rate = (double)req->limit_rate,
                                   .nodes = &v->nodes};
    if (v != first && strcmp(v->count.group, first->count.group) == 0)
        v->survey.told = &first->nodes;
    return vf_survey_run(&v->survey, err);
}

static int survey_all(struct vf_vm *vm, struct vf_error *err)
{
    struct vf_vm_choice *ch = &vm->choice;
    struct vf_opt_list labels = {NULL, 0};

    ch->label = vf_calloc(ch->n, sizeof *ch->label, err);
    ch->view = vf_calloc(vm->info.ndisks, sizeof *ch->view, err);
    if (!ch->label || !ch->view)
        return -1;
    for (size_t i = 0; i < ch->n; i++) {
        if (ch->node[i].why.code != VF_ERR_NONE)
            continue;
        ch->node[i].nth = labels.n;
        ch->label[labels.n++] = ch->node[i].label;
    }
    labels.item = ch->label;
    for (size_t i = 0; i < vm->info.ndisks && labels.n; i++) {
        if (vm->info.disk[i].way != VF_DISK_COPY)
            continue;
        ch->view[ch->nviews].disk = i;
        if (survey_one(vm, &ch->view[ch->nviews++], &labels, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- sums and their order ---- */

static void sum_node(const struct vf_vm_choice *ch, struct vf_vm_node *n)
{
    n->exact = true;
    n->wire = n->low = n->high = n->literals = 0;
    n->seconds = 0;
    for (size_t i = 0; i < ch->nviews; i++) {
        const struct vf_vm_view *v = &ch->view[i];
        const struct vf_candidate *c = &v->nodes.node[n->nth];

        if (c->place >= v->survey.can && n->why.code == VF_ERR_NONE)
            vf_survey_why(c, &n->why);
        n->exact = n->exact && c->exact;
        n->wire += c->prediction.wire.value;
        n->low += c->prediction.wire.low;
        n->high += c->prediction.wire.high;
        n->literals += c->likeness.literals.value;
        n->free_bytes = c->free_bytes;
        n->seconds =
            c->prediction.seconds < 0 || n->seconds < 0 ? -1 : n->seconds + c->prediction.seconds;
    }
}

static int by_cost(const void *a, const void *b)
{
    const struct vf_vm_node *x = a, *y = b;
    bool can_x = x->why.code == VF_ERR_NONE, can_y = y->why.code == VF_ERR_NONE;

    if (can_x != can_y)
        return can_x ? -1 : 1;
    if (can_x && x->wire != y->wire)
        return x->wire < y->wire ? -1 : 1;
    return strcmp(x->label, y->label);
}

static void order(struct vf_vm_choice *ch)
{
    size_t best = 0;
    uint64_t most;

    for (size_t i = 0; i < ch->n; i++)
        if (ch->node[i].why.code == VF_ERR_NONE)
            sum_node(ch, &ch->node[i]);
    qsort(ch->node, ch->n, sizeof *ch->node, by_cost);
    for (ch->can = 0; ch->can < ch->n && ch->node[ch->can].why.code == VF_ERR_NONE;)
        ch->can++;
    if (!ch->can)
        return;
    /* Of those that are as good, the one with the most room. */
    most = ch->node[0].wire + vf_rank_slack(ch->node[0].wire);
    for (size_t i = 1; i < ch->can && ch->node[i].wire <= most; i++)
        if (ch->node[i].free_bytes > ch->node[best].free_bytes)
            best = i;
    if (best) {
        struct vf_vm_node first = ch->node[best];

        memmove(&ch->node[1], &ch->node[0], best * sizeof *ch->node);
        ch->node[0] = first;
    }
}

/* Those that could be the best, or for a dry run the best few, are counted exactly, disk by disk.
 */
static int count_best(struct vf_vm *vm, struct vf_error *err)
{
    struct vf_vm_choice *ch = &vm->choice;
    struct vf_candidate *some[VF_SURVEY_EXACT];
    size_t n = 0;

    for (size_t i = 0; i < ch->can && n < VF_SURVEY_EXACT; i++)
        if (vm->req->dry_run || ch->node[i].low <= ch->node[0].high)
            n++;
        else
            break;
    if (n < 2 && !vm->req->dry_run) /* there is nothing to decide */
        return 0;
    for (size_t k = 0; k < ch->nviews; k++) {
        for (size_t i = 0; i < n; i++)
            some[i] = &ch->view[k].nodes.node[ch->node[i].nth];
        if (vf_survey_count(&ch->view[k].survey, some, n, err) < 0)
            return -1;
    }
    order(ch);
    return 0;
}

/* ---- the choice ---- */

int vf_vm_choose(struct vf_vm *vm, struct vf_error *err)
{
    struct vf_vm_choice *ch = &vm->choice;

    if (vf_candidates_to_choose(vm->req->store, &vm->req->nodes, &ch->all, err) < 0)
        return -1;
    ch->node = vf_calloc(ch->all.n, sizeof *ch->node, err);
    if (!ch->node)
        return -1;
    ch->n = ch->all.n;
    for (size_t i = 0; i < ch->n; i++) {
        ch->node[i].label = ch->all.node[i].label;
        ch->node[i].in_all = i;
    }
    if (check_all(vm, err) < 0 || survey_all(vm, err) < 0)
        return -1;
    order(ch);
    if (count_best(vm, err) < 0)
        return -1;
    ch->made = true;
    return 0;
}

const struct vf_vm_node *vf_vm_choice_best(const struct vf_vm_choice *c, struct vf_error *err)
{
    if (c->can)
        return &c->node[0];
    (void)vf_error_pass(err, &c->node[0].why); /* NULL says it */
    if (c->n > 1)
        (void)vf_error_prefix(err, "no node can take it: %s", c->node[0].label); /* NULL says it */
    return NULL;
}

void vf_vm_choice_refuse(struct vf_vm_choice *c, const struct vf_error *why)
{
    c->node[0].why = *why;
    order(c);
}

/* What a migration would send, in the words of its report. */
static int note_disk(struct vf_vm *vm, const struct vf_vm_view *v, struct vf_error *err)
{
    const struct vf_candidate *c = &v->nodes.node[vm->choice.node[0].nth];
    struct vf_vm_disk *d = &vm->disk[v->disk];
    uint64_t data = d->info.blocks - d->info.zero_blocks, shared = c->likeness.shared.value,
             literals = c->likeness.literals.value;

    shared = shared < data ? shared : data; /* an estimate may say a little too much */
    literals = literals < data - shared ? literals : data - shared;
    d->peer.shared_blocks = shared;
    d->peer.literal_blocks = literals;
    d->peer.duplicate_blocks = data - shared - literals;
    d->peer.path = vf_strf(err, "%s/%s", c->dir ? c->dir : "", vm->info.disk[v->disk].name);
    return d->peer.path ? 0 : -1;
}

int vf_vm_choice_settle(struct vf_vm *vm, struct vf_error *err)
{
    struct vf_vm_choice *ch = &vm->choice;

    for (size_t i = 0; i < ch->nviews && vm->req->dry_run; i++)
        if (note_disk(vm, &ch->view[i], err) < 0)
            return -1;
    ch->wire = ch->node[0].wire;
    ch->literals = ch->node[0].literals;
    ch->seconds = ch->node[0].seconds;
    ch->ranking = vf_vm_ranking(vm);
    if (!ch->ranking)
        return vf_error_nomem(err);
    end_views(vm);
    return 0;
}

void vf_vm_choice_free(struct vf_vm *vm)
{
    struct vf_vm_choice *c = &vm->choice;

    end_views(vm);
    free(c->view);
    free(c->label);
    free(c->node);
    vf_candidates_free(&c->all);
    json_decref(c->ranking);
    memset(c, 0, sizeof *c);
}

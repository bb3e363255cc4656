/* core/similar/rank.c - predictions, and the order of nodes that follows. */
#include "core/similar/rank.h"

#include <stdlib.h>
#include <string.h>

/* Hellos, offers, results, and the frames around them. */
#define FIXED_BYTES 4096u
/* A question about a group or segment: its identity and about two bytes of place; the answer. */
#define ASK_BYTES (VF_ID_LEN + 2u)
/* Short digests for blocks of some of the segments that are not found, for each segment. */
#define PROBE_BYTES 2.0
/* Blocks that travel although they are shared or duplicate, as a part of the literals. */
#define EXTRA 0.005
/* Bytes that are no difference, however little the best needs. */
#define SLACK_LEAST (16u << 10)

/* ---- what a migration will take ---- */

static uint64_t wire_of(const struct vf_wire_model *m, double ratio, uint64_t literals,
                        bool resident)
{
    const struct vf_map_info *info = &m->info;
    const uint64_t data = info->blocks - info->zero_blocks;
    const uint64_t groups = info->top >= 2 ? info->nodes[2] : 0;
    double missing = data ? (double)literals / (double)data : 0, bytes = FIXED_BYTES;

    if (missing > 1)
        missing = 1;
    if (resident && info->top) {
        /* Segments under a group are asked for when anything in the group is missing: with what is
         * missing lying in runs, about twice as many as are missing. */
        const double asked = missing < 0.5 ? 2 * missing : 1;

        bytes +=
            (double)groups * ASK_BYTES + (double)info->nodes[1] * asked * (ASK_BYTES + PROBE_BYTES);
    }
    bytes += (double)literals * VF_BLOCK * ratio * (resident ? 1 + EXTRA : 1);
    return (uint64_t)bytes;
}

static double seconds_of(const struct vf_wire_model *m, uint64_t bytes)
{
    return m->rate_bps > 0 ? m->setup_s + (double)bytes / m->rate_bps : -1;
}

static void predict(const struct vf_wire_model *m, double ratio, const struct vf_likeness *l,
                    bool resident, struct vf_prediction *ret)
{
    *ret = (struct vf_prediction){
        .wire = {wire_of(m, ratio, l->literals.value, resident),
                 wire_of(m, ratio, l->literals.low, resident),
                 wire_of(m, ratio, l->literals.high, resident)},
    };
    ret->seconds = seconds_of(m, ret->wire.value);
    ret->seconds_low = seconds_of(m, ret->wire.low);
    ret->seconds_high = seconds_of(m, ret->wire.high);
}

void vf_wire_predict(const struct vf_wire_model *model, const struct vf_likeness *likeness,
                     bool resident, struct vf_prediction *ret)
{
    predict(model, model->ratio, likeness, resident, ret);
}

/* ---- who can take it ---- */

static const struct {
    const char *word, *phrase;
} whys[VF_RANK_WHYS_] = {
    [VF_RANK_CAN] = {"", "can take the image"},
    [VF_RANK_SILENT] = {"silent", "did not answer"},
    [VF_RANK_VERSION] = {"version", "speaks another version of the protocol"},
    [VF_RANK_GROUP] = {"group", "does not grant the sharing group"},
    [VF_RANK_RIGHTS] = {"rights", "takes no images from here"},
    [VF_RANK_FORMAT] = {"format", "cannot make a file of that format"},
    [VF_RANK_EXISTS] = {"exists", "has an image of that name"},
    [VF_RANK_SPACE] = {"space", "has too little free space"},
    [VF_RANK_OWN] = {"own", "is the store that the image is in"},
};

const char *vf_rank_word(enum vf_rank_why why) { return why < VF_RANK_WHYS_ ? whys[why].word : ""; }

const char *vf_rank_phrase(enum vf_rank_why why)
{
    return why < VF_RANK_WHYS_ ? whys[why].phrase : "";
}

uint64_t vf_rank_room(const struct vf_map_info *info)
{
    const uint64_t data = info->blocks - info->zero_blocks;

    /* The data, one part in 64 for tables of the format, 32 bytes a block for the index, and the
     * rounding up of clusters. */
    return data * VF_BLOCK + data * (VF_BLOCK / 64 + 32) + (16u << 20);
}

static bool known(const struct vf_rank_node *n)
{
    return n->why != VF_RANK_SILENT && n->why != VF_RANK_VERSION && n->why != VF_RANK_GROUP;
}

/* Those that can, by bytes; the others by reason; then by name. */
static int in_order(const void *x, const void *y)
{
    const struct vf_rank_node *a = x, *b = y;

    if (a->why != b->why)
        return a->why < b->why ? -1 : 1;
    if (a->why == VF_RANK_CAN && a->prediction.wire.value != b->prediction.wire.value)
        return a->prediction.wire.value < b->prediction.wire.value ? -1 : 1;
    if (a->free_bytes != b->free_bytes)
        return a->free_bytes > b->free_bytes ? -1 : 1;
    return strcmp(a->label, b->label);
}

uint64_t vf_rank_slack(uint64_t best)
{
    return best / 1000 > SLACK_LEAST ? best / 1000 : SLACK_LEAST;
}

/* Brings the one with the most free space of those that are about as good as the best to the
 * front. */
static void break_tie(struct vf_rank_node *nodes, size_t can)
{
    const uint64_t best = nodes[0].prediction.wire.value, slack = vf_rank_slack(best);
    struct vf_rank_node first;
    size_t pick = 0;

    for (size_t i = 1; i < can && nodes[i].prediction.wire.value - best <= slack; i++) {
        const struct vf_rank_node *a = &nodes[i], *b = &nodes[pick];

        if (a->free_bytes > b->free_bytes ||
            (a->free_bytes == b->free_bytes && strcmp(a->label, b->label) < 0))
            pick = i;
    }
    first = nodes[pick];
    memmove(nodes + 1, nodes, pick * sizeof *nodes);
    nodes[0] = first;
}

size_t vf_rank(const struct vf_wire_model *model, struct vf_rank_node *nodes, size_t n)
{
    const uint64_t room = vf_rank_room(&model->info);
    size_t can = 0;

    for (size_t i = 0; i < n; i++) {
        struct vf_rank_node *x = &nodes[i];

        x->prediction =
            (struct vf_prediction){.seconds = -1, .seconds_low = -1, .seconds_high = -1};
        if (known(x))
            predict(model, x->ratio > 0 ? x->ratio : model->ratio, &x->likeness, x->resident,
                    &x->prediction);
        if (x->why == VF_RANK_CAN && x->free_bytes < room)
            x->why = VF_RANK_SPACE;
        can += x->why == VF_RANK_CAN;
    }
    if (n)
        qsort(nodes, n, sizeof *nodes, in_order);
    if (can)
        break_tie(nodes, can);
    for (size_t i = 0; i < n; i++)
        nodes[i].place = i;
    return can;
}

size_t vf_rank_contenders(const struct vf_rank_node *nodes, size_t can, size_t max)
{
    size_t n = 0;

    while (n < can && n < max &&
           (n == 0 || nodes[n].prediction.wire.low <= nodes[0].prediction.wire.high))
        n++;
    return n;
}

/* cmd/vm/vm_ranking.c - nodes that were asked about a guest, for people and programs. */
#include <inttypes.h>
#include <string.h>

#include "cmd/member.h"
#include "cmd/report.h"
#include "cmd/vm/vm_impl.h"
#include "core/block.h"

/* The words of `similar` where there is one; what a guest needs besides disks is "guest". */
static const char *word_of(enum vf_err code)
{
    switch (code) {
    case VF_ERR_EXISTS:
    case VF_ERR_BUSY:
        return vf_rank_word(VF_RANK_EXISTS);
    case VF_ERR_SPACE:
        return vf_rank_word(VF_RANK_SPACE);
    case VF_ERR_DENIED:
        return vf_rank_word(VF_RANK_RIGHTS);
    case VF_ERR_UNREACHABLE:
    case VF_ERR_TIMEOUT:
    case VF_ERR_AUTH:
    case VF_ERR_PROTOCOL:
        return vf_rank_word(VF_RANK_SILENT);
    default:
        return "guest";
    }
}

static json_t *disks_json(const struct vf_vm *vm, const struct vf_vm_node *n)
{
    json_t *list = json_array();

    for (size_t i = 0; list && i < vm->choice.nviews; i++) {
        const struct vf_vm_view *v = &vm->choice.view[i];
        const struct vf_candidate *c = &v->nodes.node[n->nth];
        json_t *o =
            json_pack("{s:o, s:I, s:I, s:I, s:b}", "disk", vf_json_text(vm->info.disk[v->disk].id),
                      "shared_blocks", (json_int_t)c->likeness.shared.value, "literal_blocks",
                      (json_int_t)c->likeness.literals.value, "wire_bytes_estimate",
                      (json_int_t)c->prediction.wire.value, "exact", (int)c->exact);

        if (json_array_append_new(list, o) < 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static json_t *node_json(const struct vf_vm *vm, size_t place)
{
    const struct vf_vm_node *n = &vm->choice.node[place];
    json_t *o;

    if (n->why.code == VF_ERR_NONE)
        return json_pack("{s:o, s:I, s:b, s:b, s:I, s:I, s:o, s:I, s:o}", "node",
                         vf_json_text(n->label), "place", (json_int_t)place + 1, "eligible", 1,
                         "exact", (int)n->exact, "literal_blocks", (json_int_t)n->literals,
                         "wire_bytes_estimate", (json_int_t)n->wire, "seconds_estimate",
                         n->seconds < 0 ? json_null() : json_real(n->seconds), "free_bytes",
                         (json_int_t)(n->free_bytes > INT64_MAX ? INT64_MAX : n->free_bytes),
                         "disks", disks_json(vm, n));
    o = json_pack("{s:o, s:I, s:b, s:s, s:o}", "node", vf_json_text(n->label), "place",
                  (json_int_t)place + 1, "eligible", 0, "reason", word_of(n->why.code),
                  "reason_text", vf_json_text(n->why.msg));
    return o ? vf_report_error(o, &n->why) : NULL;
}

json_t *vf_vm_ranking(const struct vf_vm *vm)
{
    json_t *list = json_array();

    for (size_t i = 0; list && i < vm->choice.n; i++) {
        if (json_array_append_new(list, node_json(vm, i)) < 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static int add_node(struct vf_table *t, const json_t *o, struct vf_error *err)
{
    bool can = json_is_true(json_object_get(o, "eligible"));
    const char *mark = json_is_true(json_object_get(o, "exact")) ? "" : "~";
    char literals[VF_BYTES_TEXT] = "-", wire[VF_BYTES_TEXT] = "-", space[VF_BYTES_TEXT] = "-";
    const char *why = json_string_value(json_object_get(o, "reason_text"));

    if (can) {
        vf_bytes_text(vf_member_number(o, "literal_blocks") * VF_BLOCK, literals);
        vf_bytes_text(vf_member_number(o, "wire_bytes_estimate"), wire);
        vf_bytes_text(vf_member_number(o, "free_bytes"), space);
    }
    if (vf_table_add(t, err, "%" PRIu64, vf_member_number(o, "place")) < 0 ||
        vf_table_add(t, err, "%s", vf_member_text(o, "node")) < 0 ||
        vf_table_add(t, err, "%s%s", can ? mark : "", literals) < 0 ||
        vf_table_add(t, err, "%s%s", can ? "about " : "", wire) < 0 ||
        vf_table_add(t, err, "%s", space) < 0)
        return -1;
    return vf_table_add(t, err, "%s", why ? why : "");
}

int vf_vm_ranking_print(const json_t *ranking, struct vf_error *err)
{
    static const char *const head[] = {"", "NODE", "MISSING", "ON THE WIRE", "FREE", ""};
    struct vf_table *t = vf_table_new("rlrrrl", err);
    int rc = t ? 0 : -1;
    const json_t *o;
    size_t i;

    for (i = 0; i < sizeof head / sizeof *head && rc == 0; i++)
        rc = vf_table_add(t, err, "%s", head[i]);
    json_array_foreach(ranking, i, o)
    {
        if (rc == 0)
            rc = add_node(t, o, err);
    }
    if (rc == 0)
        vf_table_print(t, stdout);
    vf_table_free(t);
    return rc;
}

/* transport/local.c - `vmferry --store DIR serve` over pipes. */
#include "transport/local.h"

#include "transport/child.h"
#include "transport/words.h"

static const struct vf_conn_ops local_ops = {
    .name = "local", .cut = vf_child_cut, .destroy = vf_child_destroy};

struct vf_conn *vf_local_connect(const struct vf_target *target, const struct vf_conn_opts *opts,
                                 struct vf_error *err)
{
    /* The link names the running program even after its file was replaced by an upgrade. */
    const char *self = opts->self_program ? opts->self_program : "/proc/self/exe";
    struct vf_words argv = VF_WORDS_INIT;
    struct vf_conn *c = NULL;

    if (vf_words_serve(&argv, self, target->store, opts->serve_args, err) == 0)
        c = vf_child_connect(&local_ops, target, self, NULL, vf_words_argv(&argv), err);
    vf_words_free(&argv);
    return c;
}

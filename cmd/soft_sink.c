/* cmd/soft_sink.c - keeps a map if that works. */
#include "cmd/soft_sink.h"

#include <stdlib.h>

#include "cmd/report.h"

struct soft {
    struct vf_map_sink sink;   /* first */
    struct vf_map_sink *inner; /* NULL once it has failed */
    const struct vf_cli *cli;
};

static void say_why(const struct soft *s, const struct vf_error *why)
{
    vf_say(s->cli, "the image's map is not kept: %s", why->msg);
}

static void give_up(struct soft *s, const struct vf_error *why)
{
    s->inner->ops->abort(s->inner);
    s->inner = NULL;
    say_why(s, why);
}

static int on_digests(struct vf_map_sink *sink, uint64_t first, size_t n,
                      const uint8_t (*md5)[VF_MD5_LEN], struct vf_error *err)
{
    struct soft *s = (struct soft *)sink;
    struct vf_error why = VF_ERROR_INIT;

    (void)err;
    if (s->inner && s->inner->ops->digests(s->inner, first, n, md5, &why) < 0)
        give_up(s, &why);
    return 0;
}

static int on_nodes(struct vf_map_sink *sink, unsigned level, const struct vf_node *nodes, size_t n,
                    struct vf_error *err)
{
    struct soft *s = (struct soft *)sink;
    struct vf_error why = VF_ERROR_INIT;

    (void)err;
    if (s->inner && s->inner->ops->nodes(s->inner, level, nodes, n, &why) < 0)
        give_up(s, &why);
    return 0;
}

static int on_complete(struct vf_map_sink *sink, struct vf_map_info *info, struct vf_error *err)
{
    struct soft *s = (struct soft *)sink;
    struct vf_error why = VF_ERROR_INIT;

    (void)err;
    if (s->inner && s->inner->ops->complete(s->inner, info, &why) < 0)
        give_up(s, &why);
    return 0;
}

static int on_commit(struct vf_map_sink *sink, struct vf_map_info *info, struct vf_error *err)
{
    struct soft *s = (struct soft *)sink;
    struct vf_error why = VF_ERROR_INIT;

    (void)err;
    if (s->inner && s->inner->ops->commit(s->inner, info, &why) < 0)
        say_why(s, &why); /* commit has freed it */
    free(s);
    return 0;
}

static void on_abort(struct vf_map_sink *sink)
{
    struct soft *s = (struct soft *)sink;

    if (s && s->inner)
        s->inner->ops->abort(s->inner);
    free(s);
}

static const struct vf_map_sink_ops ops = {on_digests, on_nodes, on_complete, on_commit, on_abort};

struct vf_map_sink *vf_soft_sink_new(struct vf_map_sink *inner, const struct vf_cli *cli)
{
    struct soft *s = calloc(1, sizeof *s);

    if (!s) {
        inner->ops->abort(inner);
        return NULL;
    }
    *s = (struct soft){{&ops}, inner, cli};
    return &s->sink;
}

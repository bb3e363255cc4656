/* cmd/migrate/migrate_send.c - one migration: connects, sends, and ends the conversation. */
#include <stdlib.h>
#include <string.h>

#include "cmd/migrate/migrate_impl.h"
#include "cmd/progress.h"
#include "cmd/ratefile.h"
#include "cmd/report.h"
#include "cmd/soft_sink.h"
#include "core/checked.h"

/* A machine that comes back finds what it left: the map of what is sent is kept, if that works. */
static struct vf_map_sink *keep_map(const struct vf_migrate *m)
{
    struct vf_error why = VF_ERROR_INIT;
    struct vf_map_sink *sink;

    if (m->image.map)
        return NULL;
    sink = vf_index_begin(m->index, &m->image.rec, &why);
    if (sink)
        return vf_soft_sink_new(sink, m->cli);
    vf_say(m->cli, "the image's map is not kept: %s", why.msg);
    return NULL;
}

static struct vf_send_opts send_opts(const struct vf_migrate *m)
{
    bool same = strcmp(m->format, m->image.desc.format) == 0;

    return (struct vf_send_opts){.name = m->name,
                                 .format = m->format,
                                 .cluster_size = same ? m->image.desc.cluster_size : 0,
                                 .replace = m->opts->replace,
                                 .offered = true,
                                 .data_blocks = m->data_blocks,
                                 .level = m->level,
                                 .memory = vf_migrate_memory(m),
                                 .stop = m->cli->stop};
}

static int send_over(struct vf_migrate *m, struct vf_peer *peer, struct vf_send_ahead *ahead,
                     struct vf_error *err)
{
    struct vf_progress *progress = vf_progress_new(m->cli, m->image.path);
    struct vf_send_opts opts = send_opts(m);
    int rc;

    opts.progress = progress ? vf_progress_tick : NULL;
    opts.progress_ctx = progress;
    opts.ahead = ahead;
    vf_progress_over(progress, peer->stream);
    rc = vf_send(peer->stream, &peer->welcome, m->image.image, m->image.map, keep_map(m), &opts,
                 &m->result, err);
    vf_progress_end(progress);
    peer->stream->ops->stats(peer->stream, &m->wire);
    if (rc == 0 && (!m->result.peer.path || !*m->result.peer.path)) {
        free(m->result.peer.path);
        m->result.peer.path = vf_strf(err, "%s/%s", peer->welcome.dir, m->name);
        rc = m->result.peer.path ? 0 : -1;
    }
    return rc;
}

/* Connects, and offers the image. */
static int reach_out(struct vf_migrate *m, struct vf_ratelimit *limit, struct vf_peer *ret,
                     struct vf_error *err)
{
    struct vf_send_opts opts = send_opts(m);
    struct vf_msg_offer offer;
    int rc;

    if (vf_send_offer(m->image.image, m->image.map, &opts, &offer, err) < 0)
        return -1;
    rc = vf_peer_offer(m->cli, m->target, &m->opts->reach, VF_FOR_MIGRATE, m->group, &offer, limit,
                       ret, err);
    m->data_blocks = offer.data_blocks;
    vf_send_offer_free(&offer);
    return rc;
}

int vf_migrate_send(struct vf_migrate *m, struct vf_error *err)
{
    struct vf_send_ahead *ahead = NULL;
    const char *file = m->opts->limit_file;
    struct vf_ratelimit *limit = NULL;
    struct vf_ratefile *follow = NULL;
    struct vf_peer peer = {0};
    int rc = -1;

    if (m->opts->limit_rate || file) {
        limit = vf_ratelimit_new(m->opts->limit_rate, err);
        if (!limit)
            return -1;
    }
    if (file && !(follow = vf_ratefile_start(m->cli, file, m->opts->limit_rate, limit, err)))
        goto out;
    ahead = vf_send_ahead(m->image.image, m->image.map, vf_migrate_memory(m));
    if (reach_out(m, limit, &peer, err) < 0) {
        vf_send_ahead_free(ahead);
        goto out;
    }
    vf_peer_spread(&peer, m->streams);
    rc = send_over(m, &peer, ahead, err);
    if (rc == 0) {
        vf_peer_leave(&peer);
        rc = vf_migrate_report(m, err);
    } else {
        vf_peer_why(&peer, err);
        vf_peer_close(&peer, err);
    }
out:
    vf_ratefile_end(follow);
    vf_ratelimit_free(limit);
    return rc;
}

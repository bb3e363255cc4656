/* cmd/soft_sink.h - a sink whose failure is no failure: for maps that are kept on the side.
 *
 * Thread rules: as core/map.h says of sinks. */
#ifndef VF_CMD_SOFT_SINK_H
#define VF_CMD_SOFT_SINK_H

#include "core/map.h"

struct vf_cli;

/* Passes everything on to inner (taken, in any case) until that fails; from then on it says so once
 * to the user, and swallows the rest.  NULL when memory is out: then there is no sink, which is
 * fine too. */
struct vf_map_sink *vf_soft_sink_new(struct vf_map_sink *inner, const struct vf_cli *cli);

#endif

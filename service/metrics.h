/* service/metrics.h - the numbers of the service in the text form that Prometheus reads.
 *
 * Thread rules: none. */
#ifndef VF_SERVICE_METRICS_H
#define VF_SERVICE_METRICS_H

#include "service/keeper.h"
#include "service/pace.h"

struct vf_metrics {
    struct vf_keeper_stats keeper;
    struct vf_pace_state pace;
    uint64_t indexed, read_bytes; /* maps made, content read for them */
    double uptime_seconds;
    unsigned reading;
};

/* Owned text, NULL when memory is out. */
char *vf_metrics_text(const struct vf_metrics *m);

/* Replaces the file at once, mode 0644, as the text file collector of the node exporter wants it.
 */
int vf_metrics_write(const char *path, const char *text, struct vf_error *err) VF_MUST_CHECK;

#endif

#include "service/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/fdio.h"

static void metric(FILE *f, const char *name, const char *type, const char *help, double value)
{
    fprintf(f,
            "# HELP vmferry_indexd_%s %s\n# TYPE vmferry_indexd_%s %s\nvmferry_indexd_%s %.17g\n",
            name, help, name, type, name, value);
}

static void write_states(FILE *f, const struct vf_keeper_stats *k)
{
    fputs("# HELP vmferry_indexd_images Files that are looked after, by state\n"
          "# TYPE vmferry_indexd_images gauge\n",
          f);
    for (int s = 0; s < VF_FILE_STATES; s++)
        fprintf(f, "vmferry_indexd_images{state=\"%s\"} %zu\n",
                vf_file_state_name((enum vf_file_state)s), k->state[s]);
}

char *vf_metrics_text(const struct vf_metrics *m)
{
    const struct vf_keeper_stats *k = &m->keeper;
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);

    if (!f)
        return NULL;
    metric(f, "up", "gauge", "The service runs", 1);
    metric(f, "uptime_seconds", "gauge", "Time since the service was started", m->uptime_seconds);
    write_states(f, k);
    metric(f, "queue_length", "gauge", "Files that wait for being read", (double)k->queued);
    metric(f, "reading", "gauge", "Files that are being read", m->reading);
    metric(f, "indexed_total", "counter", "Maps that were made", (double)m->indexed);
    metric(f, "read_bytes_total", "counter", "Content that was read", (double)m->read_bytes);
    metric(f, "read_bytes_per_second", "gauge", "Content that is read at the moment", m->pace.rate);
    metric(f, "paused", "gauge", "Reading stands still because others come first",
           *m->pace.paused ? 1 : 0);
    metric(f, "paused_seconds_total", "counter", "Time that reading stood still",
           m->pace.paused_seconds);
    metric(f, "held", "gauge", "Nothing is read because the index has no room",
           *k->hold_why ? 1 : 0);
    metric(f, "renamed_total", "counter", "Maps that followed a renamed file", (double)k->renames);
    metric(f, "forgotten_total", "counter", "Maps of files that have gone", (double)k->forgotten);
    metric(f, "failures_total", "counter", "Files that could not be indexed", (double)k->failures);
    metric(f, "event_overflows_total", "counter", "Times that events were lost",
           (double)k->overflows);
    metric(f, "scans_total", "counter", "Scans of all directories", (double)k->scans);
    metric(f, "scan_seconds", "gauge", "Duration of the last scan", k->scan_seconds);
    metric(f, "scan_cpu_seconds", "gauge", "Processor time of the last scan", k->scan_cpu_seconds);
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

int vf_metrics_write(const char *path, const char *text, struct vf_error *err)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash ? vf_strf(err, "%.*s", (int)(slash == path ? 1 : slash - path), path)
                      : vf_strdup(".", err);
    int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1, rc = -1;

    if (fd >= 0)
        rc = vf_replace_file(fd, slash ? slash + 1 : path, text, strlen(text), 0644, err);
    else if (dir)
        rc = vf_error_sys(err, errno, "directory '%s'", dir);
    vf_close_fd(&fd);
    free(dir);
    return rc;
}

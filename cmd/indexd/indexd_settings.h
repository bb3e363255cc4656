/* cmd/indexd/indexd_settings.h - the section [indexd] of vmferry.conf.
 *
 * Thread rules: read-only after loading. */
#ifndef VF_CMD_INDEXD_INDEXD_SETTINGS_H
#define VF_CMD_INDEXD_INDEXD_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

#define VF_INDEXD_WORDS 256u /* directories, and patterns, at most */

struct vf_words {
    char **item; /* owned */
    size_t n;
};

struct vf_indexd_settings {
    struct vf_words directories; /* besides that of received images */
    struct vf_words qmp;         /* sockets of running guests, patterns */
    struct vf_words exclude;     /* patterns */
    bool exclude_set;
    bool recursive, follow_links, libvirt_pools;
    int64_t settle_ms, scan_ms, poll_ms, retry_ms, moving_ms, forget_ms;
    uint64_t read_rate; /* bytes per second; 0: no limit */
    unsigned files;
    unsigned io_pressure, cpu_pressure; /* percent; 0: no pauses for that */
    double max_load;                    /* 0: the same */
    char *metrics_file;                 /* NULL: none */
    char *group;                        /* of images that are new to the index; NULL: default */
};

void vf_indexd_settings_init(struct vf_indexd_settings *set);
void vf_indexd_settings_free(struct vf_indexd_settings *set);

/* One line of the section.  0, or -1 (USAGE, NOMEM). */
int vf_indexd_settings_set(struct vf_indexd_settings *set, const char *name, const char *value,
                           struct vf_error *err) VF_MUST_CHECK;

/* After the last line: what was left out and is a list gets its default. */
int vf_indexd_settings_finish(struct vf_indexd_settings *set, struct vf_error *err) VF_MUST_CHECK;

/* "500ms", "10s", "10" (seconds), "5m", "12h", "7d" to milliseconds. */
int vf_parse_duration(const char *text, const char *what, int64_t lo_ms, int64_t hi_ms,
                      int64_t *ret_ms, struct vf_error *err) VF_MUST_CHECK;

#endif

/* cmd/indexd/indexd_settings.c - reads the section [indexd]. */
#include "cmd/indexd/indexd_settings.h"

#include <stdlib.h>
#include <string.h>

#include "cmd/group.h"
#include "core/checked.h"
#include "service/workers.h"

#define SECOND ((int64_t)1000)
#define HOUR   (3600 * SECOND)

/* What lies beside images and is none. */
static const char *const not_images[] = {"*.xml",     "*.json", "*.txt",       "*.log",   "*.md",
                                         "*.sha256",  "*.md5",  "*.sha512",    "*.sig",   "*.asc",
                                         "*.tmp",     "*.swp",  "*~",          "*.lock",  "*.nvram",
                                         "*_VARS.fd", "*.sock", "SHA256SUMS*", "MD5SUMS*"};

static void words_free(struct vf_words *w)
{
    for (size_t i = 0; i < w->n; i++)
        free(w->item[i]);
    free(w->item);
    *w = (struct vf_words){0};
}

static int add_word(struct vf_words *w, const char *word, const char *what, struct vf_error *err)
{
    char **more;

    if (w->n == VF_INDEXD_WORDS)
        return vf_error_set(err, VF_ERR_USAGE, 0, "%s names more than %u", what, VF_INDEXD_WORDS);
    more = realloc(w->item, (w->n + 1) * sizeof *more);
    if (!more)
        return vf_error_nomem(err);
    w->item = more;
    w->item[w->n] = vf_strdup(word, err);
    if (!w->item[w->n])
        return -1;
    w->n++;
    return 0;
}

void vf_indexd_settings_init(struct vf_indexd_settings *set)
{
    *set = (struct vf_indexd_settings){.libvirt_pools = true,
                                       .settle_ms = 10 * SECOND,
                                       .scan_ms = HOUR,
                                       .poll_ms = 60 * SECOND,
                                       .retry_ms = 60 * SECOND,
                                       .moving_ms = 12 * HOUR,
                                       .forget_ms = 10 * 60 * SECOND,
                                       .read_rate = 500 * 1000 * 1000,
                                       .files = 1,
                                       .io_pressure = 20,
                                       .cpu_pressure = 60};
}

void vf_indexd_settings_free(struct vf_indexd_settings *set)
{
    words_free(&set->directories);
    words_free(&set->qmp);
    words_free(&set->exclude);
    free(set->metrics_file);
    free(set->group);
    vf_indexd_settings_init(set);
}

int vf_parse_duration(const char *text, const char *what, int64_t lo_ms, int64_t hi_ms,
                      int64_t *ret_ms, struct vf_error *err)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"", SECOND},       {"ms", 1},   {"s", SECOND},
                 {"m", 60 * SECOND}, {"h", HOUR}, {"d", 24 * HOUR}};
    size_t digits = strspn(text, "0123456789");
    int64_t ms, n;

    for (size_t i = 0; digits && digits < 12 && i < sizeof units / sizeof *units; i++) {
        if (strcmp(text + digits, units[i].name) != 0)
            continue;
        n = strtoll(text, NULL, 10);
        if (!vf_mul_ok(n, units[i].ms, &ms) || ms < lo_ms || ms > hi_ms)
            break;
        *ret_ms = ms;
        return 0;
    }
    return vf_error_set(err, VF_ERR_USAGE, 0,
                        "%s must be a time such as 500ms, 10s, 5m or 12h, of %g to %g seconds, "
                        "not '%s'",
                        what, (double)lo_ms / 1000, (double)hi_ms / 1000, text);
}

static int set_yes_no(bool *field, const char *name, const char *value, struct vf_error *err)
{
    if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
        return vf_error_set(err, VF_ERR_USAGE, 0, "%s must be yes or no, not '%s'", name, value);
    *field = value[0] == 'y';
    return 0;
}

static int set_number(unsigned *field, const char *name, const char *value, uint64_t lo,
                      uint64_t hi, struct vf_error *err)
{
    uint64_t n = 0;

    if (vf_parse_u64(value, name, lo, hi, &n, err) < 0)
        return -1;
    *field = (unsigned)n;
    return 0;
}

/* Lines add up; commas separate. */
static int set_words(struct vf_words *w, const char *name, const char *value, bool paths,
                     struct vf_error *err)
{
    char *copy = vf_strdup(value, err), *save = NULL;
    int rc = copy ? 0 : -1;

    for (char *p = copy ? strtok_r(copy, ",", &save) : NULL; p && rc == 0;
         p = strtok_r(NULL, ",", &save)) {
        p += strspn(p, " \t");
        for (size_t len = strlen(p); len && strchr(" \t", p[len - 1]); len--)
            p[len - 1] = '\0';
        if (*p && paths && *p != '/')
            rc = vf_error_set(err, VF_ERR_USAGE, 0, "%s: '%s' is not an absolute path", name, p);
        else if (*p)
            rc = add_word(w, p, name, err);
    }
    free(copy);
    return rc;
}

static int set_path(char **field, const char *name, const char *value, struct vf_error *err)
{
    char *copy;

    if (value[0] != '/')
        return vf_error_set(err, VF_ERR_USAGE, 0, "%s: '%s' is not an absolute path", name, value);
    copy = vf_strdup(value, err);
    if (!copy)
        return -1;
    free(*field);
    *field = copy;
    return 0;
}

/* "default" among them stands for the built-in list. */
static int set_exclude(struct vf_indexd_settings *set, const char *value, struct vf_error *err)
{
    struct vf_words *w = &set->exclude;
    size_t i = w->n;

    set->exclude_set = true;
    if (set_words(w, "exclude", value, false, err) < 0)
        return -1;
    while (i < w->n && strcmp(w->item[i], "default") != 0)
        i++;
    if (i == w->n)
        return 0;
    free(w->item[i]);
    w->item[i] = w->item[--w->n];
    for (i = 0; i < sizeof not_images / sizeof *not_images; i++)
        if (add_word(w, not_images[i], "exclude", err) < 0)
            return -1;
    return 0;
}

int vf_indexd_settings_finish(struct vf_indexd_settings *set, struct vf_error *err)
{
    return set->exclude_set ? 0 : set_exclude(set, "default", err);
}

static int set_group(struct vf_indexd_settings *set, const char *value, struct vf_error *err)
{
    char *copy;

    if (strcmp(value, "default") == 0)
        value = "";
    if (vf_group_check(value, err) < 0)
        return -1;
    copy = vf_strdup(value, err);
    if (!copy)
        return -1;
    free(set->group);
    set->group = copy;
    return 0;
}

static int set_load(struct vf_indexd_settings *set, const char *value, struct vf_error *err)
{
    char *end;
    double load = strtod(value, &end);

    if (*end || end == value || !(load >= 0 && load <= 10000))
        return vf_error_set(err, VF_ERR_USAGE, 0, "max-load must be a number from 0 to 10000");
    set->max_load = load;
    return 0;
}

int vf_indexd_settings_set(struct vf_indexd_settings *set, const char *name, const char *value,
                           struct vf_error *err)
{
    const struct {
        const char *name;
        int64_t lo, hi, *field;
    } times[] = {{"settle", 0, 24 * HOUR, &set->settle_ms},
                 {"scan-interval", 100, 30 * 24 * HOUR, &set->scan_ms},
                 {"poll-interval", 100, 30 * 24 * HOUR, &set->poll_ms},
                 {"retry", 100, 24 * HOUR, &set->retry_ms},
                 {"moving-interval", SECOND, 365 * 24 * HOUR, &set->moving_ms},
                 {"forget-after", 0, 365 * 24 * HOUR, &set->forget_ms}};

    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        if (strcmp(name, times[i].name) == 0)
            return vf_parse_duration(value, name, times[i].lo, times[i].hi, times[i].field, err);
    if (strcmp(name, "directories") == 0)
        return set_words(&set->directories, name, value, true, err);
    if (strcmp(name, "qmp-sockets") == 0)
        return set_words(&set->qmp, name, value, true, err);
    if (strcmp(name, "exclude") == 0)
        return set_exclude(set, value, err);
    if (strcmp(name, "recursive") == 0)
        return set_yes_no(&set->recursive, name, value, err);
    if (strcmp(name, "follow-links") == 0)
        return set_yes_no(&set->follow_links, name, value, err);
    if (strcmp(name, "libvirt-pools") == 0)
        return set_yes_no(&set->libvirt_pools, name, value, err);
    if (strcmp(name, "read-rate") == 0)
        return vf_parse_size(value, name, 0, UINT64_C(1) << 50, &set->read_rate, err);
    if (strcmp(name, "files") == 0)
        return set_number(&set->files, name, value, 1, VF_WORKERS_MAX, err);
    if (strcmp(name, "io-pressure") == 0)
        return set_number(&set->io_pressure, name, value, 0, 100, err);
    if (strcmp(name, "cpu-pressure") == 0)
        return set_number(&set->cpu_pressure, name, value, 0, 100, err);
    if (strcmp(name, "max-load") == 0)
        return set_load(set, value, err);
    if (strcmp(name, "metrics-file") == 0)
        return set_path(&set->metrics_file, name, value, err);
    if (strcmp(name, "group") == 0)
        return set_group(set, value, err);
    return vf_error_set(err, VF_ERR_USAGE, 0, "unknown setting '%s' in [indexd]", name);
}

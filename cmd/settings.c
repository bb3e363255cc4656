/* cmd/settings.c - reads vmferry.conf through libinih. */
#include "cmd/settings.h"

#include <stdlib.h>
#include <string.h>

#include <ini.h>

#include "cmd/group.h"
#include "core/block.h"
#include "core/checked.h"
#include "core/engine/budget.h"

/* libinih cuts lines silently that are longer than its buffer of 200 bytes. */
#define LINE_MAX_LEN 190u

struct parse {
    struct vf_settings *set;
    struct vf_error *err;
    bool failed, groups; /* it has a line `groups` */
};

void vf_settings_init(struct vf_settings *set)
{
    memset(set, 0, sizeof *set);
    set->allow_replace = true;
    set->accept = true;
    set->libvirt_read = true;
    vf_indexd_settings_init(&set->indexd);
}

void vf_settings_free(struct vf_settings *set)
{
    free(set->images);
    free(set->qmp_start);
    free(set->libvirt_uri);
    free(set->libvirt_scratch);
    for (size_t i = 0; i < set->ngroups; i++)
        free(set->group[i]);
    vf_indexd_settings_free(&set->indexd);
    vf_settings_init(set);
}

bool vf_settings_grants(const struct vf_settings *set, const char *group)
{
    for (size_t i = 0; i < set->ngroups; i++)
        if (strcmp(set->group[i], group) == 0)
            return true;
    return set->ngroups == 0 && !set->narrowed;
}

static int set_text(char **field, const char *value, struct vf_error *err)
{
    char *copy = vf_strdup(value, err);

    if (!copy)
        return -1;
    free(*field);
    *field = copy;
    return 0;
}

static int set_dir(char **field, const char *name, const char *value, struct vf_error *err)
{
    if (value[0] != '/')
        return vf_error_set(err, VF_ERR_USAGE, 0, "%s: '%s' is not an absolute path", name, value);
    return set_text(field, value, err);
}

static int set_yes_no(bool *field, const char *name, const char *value, struct vf_error *err)
{
    if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
        return vf_error_set(err, VF_ERR_USAGE, 0, "%s must be yes or no, not '%s'", name, value);
    *field = value[0] == 'y';
    return 0;
}

/* "a, b,c"; a single "default" stands for the group without a name. */
static int set_groups(struct vf_settings *set, const char *value, struct vf_error *err)
{
    char *copy = vf_strdup(value, err), *save = NULL;
    int rc = -1;

    if (!copy)
        return -1;
    for (char *w = strtok_r(copy, ", \t", &save); w; w = strtok_r(NULL, ", \t", &save)) {
        if (strcmp(w, "default") == 0)
            *w = '\0';
        if (vf_group_check(w, err) < 0)
            goto out;
        if (set->ngroups == VF_SETTINGS_GROUPS) {
            vf_error_set(err, VF_ERR_USAGE, 0, "groups names more than %u", VF_SETTINGS_GROUPS);
            goto out;
        }
        set->group[set->ngroups] = vf_strdup(w, err);
        if (!set->group[set->ngroups])
            goto out;
        set->ngroups++;
    }
    rc = 0;
out:
    free(copy);
    return rc;
}

int vf_settings_narrow(struct vf_settings *set, const char *groups, struct vf_error *err)
{
    struct vf_settings asked;
    size_t kept = 0;
    int rc;

    vf_settings_init(&asked);
    rc = set_groups(&asked, groups, err);
    if (rc == 0 && !asked.ngroups)
        rc = vf_error_set(err, VF_ERR_USAGE, 0, "--groups names no group");
    for (size_t i = 0; rc == 0 && i < asked.ngroups; i++) {
        char *name = asked.group[i];

        asked.group[i] = NULL;
        if (vf_settings_grants(set, name))
            asked.group[kept++] = name;
        else
            free(name);
    }
    if (rc == 0) {
        for (size_t i = 0; i < set->ngroups; i++)
            free(set->group[i]);
        memcpy(set->group, asked.group, sizeof set->group);
        set->ngroups = kept;
        set->narrowed = true;
        asked.ngroups = 0; /* handed over */
    }
    vf_settings_free(&asked);
    return rc;
}

static int set_one(struct vf_settings *set, const char *section, const char *name,
                   const char *value, struct vf_error *err)
{
    if (strcmp(section, "store") == 0) {
        if (strcmp(name, "images") == 0)
            return set_text(&set->images, value, err);
    } else if (strcmp(section, "serve") == 0) {
        if (strcmp(name, "allow-replace") == 0)
            return set_yes_no(&set->allow_replace, name, value, err);
        if (strcmp(name, "accept") == 0)
            return set_yes_no(&set->accept, name, value, err);
        if (strcmp(name, "groups") == 0)
            return set_groups(set, value, err);
        if (strcmp(name, "max-image-size") == 0)
            return vf_parse_size(value, name, VF_BLOCK, VF_MAX_BLOCKS * VF_BLOCK,
                                 &set->max_image_size, err);
    } else if (strcmp(section, "transfer") == 0) {
        if (strcmp(name, "memory") == 0)
            return vf_parse_size(value, name, VF_MEMORY_LEAST, VF_MEMORY_MOST, &set->memory, err);
    } else if (strcmp(section, "indexd") == 0) {
        return vf_indexd_settings_set(&set->indexd, name, value, err);
    } else if (strcmp(section, "qmp") == 0) {
        if (strcmp(name, "start") == 0)
            return set_text(&set->qmp_start, value, err);
    } else if (strcmp(section, "libvirt") == 0) {
        if (strcmp(name, "accept") == 0)
            return set_yes_no(&set->libvirt_accept, name, value, err);
        if (strcmp(name, "uri") == 0)
            return set_text(&set->libvirt_uri, value, err);
        if (strcmp(name, "read-guests") == 0)
            return set_yes_no(&set->libvirt_read, name, value, err);
        if (strcmp(name, "checkpoints") == 0)
            return set_yes_no(&set->libvirt_checkpoints, name, value, err);
        if (strcmp(name, "scratch") == 0)
            return set_dir(&set->libvirt_scratch, name, value, err);
    } else {
        return vf_error_set(err, VF_ERR_USAGE, 0, "unknown section [%s]", section);
    }
    return vf_error_set(err, VF_ERR_USAGE, 0, "unknown setting '%s' in [%s]", name, section);
}

/* For libinih: non-zero is success, zero makes ini_parse_string return this line's number. */
static int handle(void *user, const char *section, const char *name, const char *value)
{
    struct parse *p = user;

    if (p->failed)
        return 0;
    p->groups |= strcmp(section, "serve") == 0 && strcmp(name, "groups") == 0;
    if (set_one(p->set, section, name, value, p->err) == 0)
        return 1;
    p->failed = true;
    return 0;
}

int vf_settings_parse(struct vf_settings *set, const char *text, const char *name,
                      struct vf_error *err)
{
    struct vf_error own = VF_ERROR_INIT;
    struct parse p = {set, &own, false, false};
    unsigned line_no = 1;
    int line;

    for (const char *line_at = text; *line_at; line_no++) {
        size_t len = strcspn(line_at, "\n");

        if (len > LINE_MAX_LEN)
            return vf_error_set(err, VF_ERR_USAGE, 0, "%.150s: line %u is too long", name, line_no);
        line_at += len + (line_at[len] == '\n');
    }
    line = ini_parse_string(text, handle, &p);
    /* None must not become any.  Only now: names may stand on lines of their own. */
    if (line == 0 && p.groups && !set->ngroups)
        return vf_error_set(err, VF_ERR_USAGE, 0, "%.150s: groups names no group", name);
    if (line == 0)
        return 0;
    if (line < 0)
        return vf_error_nomem(err);
    if (!p.failed)
        return vf_error_set(err, VF_ERR_USAGE, 0, "%.150s: line %d: not 'name = value'", name,
                            line);
    (void)vf_error_pass(err, &own); /* -1 below */
    return vf_error_prefix(err, "%.150s: line %d", name, line);
}

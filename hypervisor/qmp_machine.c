/* hypervisor/qmp_machine.c - describes and compares machines. */
#include "hypervisor/qmp_machine.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"

#define DEVICES_MAX 1024u

char *vf_qmp_property(struct vf_qmp *q, const char *path, const char *name, struct vf_error *err)
{
    json_t *value = NULL;
    struct vf_error why;
    char *ret;

    if (vf_qmp_callf(q, &value, &why, "qom-get", "{s:s, s:s}", "path", path, "property", name) < 0)
        return vf_strdup("", err);
    ret = vf_strdup(json_is_string(value) ? json_string_value(value) : "", err);
    json_decref(value);
    return ret;
}

/* Without the tail that QEMU's own types have. */
static char *type_of(struct vf_qmp *q, const char *path, const char *tail, struct vf_error *err)
{
    char *type = vf_qmp_property(q, path, "type", err);
    size_t len = type ? strlen(type) : 0, cut = strlen(tail);

    if (len > cut && strcmp(type + len - cut, tail) == 0)
        type[len - cut] = '\0';
    return type;
}

/* ---- devices ---- */

/* One child of a container: its name unless QEMU has made it up, its type, its place on its bus. */
static json_t *device(struct vf_qmp *q, const char *where, const char *name, const char *type,
                      bool named, struct vf_error *err)
{
    char *path = vf_strf(err, "%s/%s", where, name), *text = NULL;
    json_t *place = NULL, *ret;
    struct vf_error why;

    if (path && vf_qmp_callf(q, &place, &why, "qom-get", "{s:s, s:s}", "path", path, "property",
                             "addr") < 0)
        place = NULL; /* it has none */
    if (path && json_is_integer(place))
        text = vf_strf(err, "%s %s at %" JSON_INTEGER_FORMAT, named ? name : "-", type,
                       json_integer_value(place));
    else if (path)
        text = vf_strf(err, "%s %s", named ? name : "-", type);
    ret = text ? json_string(text) : NULL;
    json_decref(place);
    free(path);
    free(text);
    return ret;
}

static int add_devices(struct vf_qmp *q, const char *where, bool named, json_t *list,
                       struct vf_error *err)
{
    static const char child[] = "child<";
    json_t *all = NULL;
    const json_t *d;
    size_t i;
    int rc = vf_qmp_callf(q, &all, err, "qom-list", "{s:s}", "path", where);

    json_array_foreach(all, i, d)
    {
        const char *type = vf_qmp_text(d, "type");
        size_t len = strlen(type);
        char *bare;

        if (rc < 0 || strncmp(type, child, sizeof child - 1) != 0 || type[len - 1] != '>' ||
            json_array_size(list) == DEVICES_MAX)
            continue;
        bare = vf_strf(err, "%.*s", (int)(len - sizeof child), type + sizeof child - 1);
        if (!bare || json_array_append_new(
                         list, device(q, where, vf_qmp_text(d, "name"), bare, named, err)) < 0)
            rc = vf_error_nomem(err);
        free(bare);
    }
    json_decref(all);
    return rc;
}

static int by_text(const void *a, const void *b)
{
    const json_t *const *x = a, *const *y = b;

    return strcmp(json_string_value(*x), json_string_value(*y));
}

/* Sorted; new reference. */
static json_t *sorted(json_t *list, struct vf_error *err)
{
    size_t n = json_array_size(list);
    json_t **v = vf_calloc(n, sizeof(json_t *), err), *ret = v ? json_array() : NULL;

    for (size_t i = 0; v && i < n; i++)
        v[i] = json_array_get(list, i);
    if (v && n)
        qsort(v, n, sizeof(json_t *), by_text);
    for (size_t i = 0; ret && i < n; i++) {
        if (json_array_append(ret, v[i]) < 0) {
            json_decref(ret);
            ret = NULL;
        }
    }
    if (v && !ret)
        (void)vf_error_nomem(err); /* the NULL says it */
    free(v);
    return ret;
}

static json_t *devices(struct vf_qmp *q, struct vf_error *err)
{
    json_t *list = json_array(), *ret = NULL;

    if (!list)
        (void)vf_error_nomem(err); /* the NULL says it */
    else if (add_devices(q, "/machine/peripheral", true, list, err) == 0 &&
             add_devices(q, "/machine/peripheral-anon", false, list, err) == 0)
        ret = sorted(list, err);
    json_decref(list);
    return ret;
}

/* ---- the machine ---- */

json_t *vf_qmp_machine(struct vf_qmp *q, struct vf_error *err)
{
    json_t *v = NULL, *mem = NULL, *cpus = NULL, *dev = NULL, *ret = NULL;
    char *machine = NULL, *cpu = NULL;

    if (vf_qmp_call(q, "query-version", NULL, &v, err) < 0 ||
        vf_qmp_call(q, "query-memory-size-summary", NULL, &mem, err) < 0 ||
        vf_qmp_call(q, "query-cpus-fast", NULL, &cpus, err) < 0)
        goto out;
    machine = type_of(q, "/machine", "-machine", err);
    cpu = vf_qmp_property(q, vf_qmp_text(json_array_get(cpus, 0), "qom-path"), "type", err);
    dev = machine && cpu ? devices(q, err) : NULL;
    if (!dev)
        goto out;
    ret = json_pack("{s:s, s:s, s:I, s:I, s:I, s:O}", "machine", machine, "cpu", cpu, "cpus",
                    (json_int_t)json_array_size(cpus), "memory",
                    (json_int_t)vf_qmp_number(mem, "base-memory"), "major",
                    (json_int_t)vf_qmp_number(json_object_get(v, "qemu"), "major"), "devices", dev);
    if (!ret)
        (void)vf_error_nomem(err); /* the NULL says it */
out:
    json_decref(dev);
    free(machine);
    free(cpu);
    json_decref(cpus);
    json_decref(mem);
    json_decref(v);
    return ret;
}

static int differ(struct vf_error *err, const char *what, const char *want, const char *here)
{
    return vf_error_set(err, VF_ERR_UNSUPPORTED, 0,
                        "the guest's %s is %.60s, the command here started %.60s", what, want,
                        here);
}

static int compare_number(const json_t *want, const json_t *here, const char *key, const char *what,
                          unsigned shift, struct vf_error *err)
{
    uint64_t a = vf_qmp_number(want, key), b = vf_qmp_number(here, key);
    char x[24], y[24];

    if (!a || a == b)
        return 0;
    (void)snprintf(x, sizeof x, "%" PRIu64, a >> shift); /* fits */
    (void)snprintf(y, sizeof y, "%" PRIu64, b >> shift);
    return differ(err, what, x, y);
}

static int compare_text(const json_t *want, const json_t *here, const char *key, const char *what,
                        struct vf_error *err)
{
    const char *a = vf_qmp_text(want, key), *b = vf_qmp_text(here, key);

    return !*a || strcmp(a, b) == 0 ? 0 : differ(err, what, a, b);
}

/* Both are sorted, as far as the peer is honest. */
static int compare_devices(const json_t *want, const json_t *here, struct vf_error *err)
{
    size_t i = 0, k = 0, n = json_array_size(want), m = json_array_size(here);

    if (!json_is_array(want))
        return 0;
    while (i < n || k < m) {
        const char *a = i < n ? json_string_value(json_array_get(want, i)) : NULL;
        const char *b = k < m ? json_string_value(json_array_get(here, k)) : NULL;
        int order = !a ? 1 : !b ? -1 : strcmp(a, b);

        if (i < n && !a)
            return vf_error_set(err, VF_ERR_PROTOCOL, 0, "a guest's device is no text");
        if (order < 0)
            return vf_error_set(err, VF_ERR_UNSUPPORTED, 0,
                                "the command here started a machine without the guest's device "
                                "'%.80s'",
                                a);
        if (order > 0)
            return vf_error_set(err, VF_ERR_UNSUPPORTED, 0,
                                "the command here started a machine with the device '%.80s', which "
                                "the guest does not have",
                                b);
        i++;
        k++;
    }
    return 0;
}

int vf_qmp_machine_compare(const json_t *want, const json_t *here, struct vf_error *err)
{
    if (compare_text(want, here, "machine", "machine type", err) < 0 ||
        compare_text(want, here, "cpu", "processor", err) < 0 ||
        compare_number(want, here, "cpus", "number of processors", 0, err) < 0 ||
        compare_number(want, here, "memory", "memory in KiB", 10, err) < 0)
        return -1;
    return compare_devices(json_object_get(want, "devices"), json_object_get(here, "devices"), err);
}

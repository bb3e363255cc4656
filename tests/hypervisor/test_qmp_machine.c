/* Machines that are the same, and those that are not. */
#include "hypervisor/qmp_machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/proc.h"
#include "tests/lib/check.h"

static json_t *machine(const char *cpu, int cpus, const char *d0, const char *d1)
{
    json_t *m = json_pack("{s:s, s:s, s:i, s:I, s:[s, s*]}", "machine", "pc-q35-7.2", "cpu", cpu,
                          "cpus", cpus, "memory", (json_int_t)(64 << 20), "devices", d0, d1);

    CHECK(m != NULL);
    return m;
}

static enum vf_err compare(json_t *want, json_t *here, struct vf_error *err)
{
    int rc = vf_qmp_machine_compare(want, here, err);

    json_decref(want);
    json_decref(here);
    return rc == 0 ? VF_ERR_NONE : err->code;
}

TEST(differences)
{
    struct vf_error err;

    CHECK(compare(machine("a", 1, "vd0 x at 8", "vd1 x at 16"),
                  machine("a", 1, "vd0 x at 8", "vd1 x at 16"), &err) == VF_ERR_NONE);
    CHECK(compare(machine("a", 1, "vd0 x", NULL), machine("b", 1, "vd0 x", NULL), &err) ==
          VF_ERR_UNSUPPORTED);
    CHECK_STR(err.msg, "the guest's processor is a, the command here started b");
    CHECK(compare(machine("a", 1, "vd0 x", NULL), machine("a", 2, "vd0 x", NULL), &err) ==
          VF_ERR_UNSUPPORTED);
    CHECK(compare(machine("a", 1, "vd0 x", "vd1 x"), machine("a", 1, "vd0 x", NULL), &err) ==
          VF_ERR_UNSUPPORTED);
    CHECK_STR(err.msg, "the command here started a machine without the guest's device 'vd1 x'");
    CHECK(compare(machine("a", 1, "vd0 x", NULL), machine("a", 1, "net0 y", "vd0 x"), &err) ==
          VF_ERR_UNSUPPORTED);
    /* what is not said is not compared, and what is no text is the peer's fault */
    CHECK(compare(json_object(), machine("a", 1, "vd0 x", NULL), &err) == VF_ERR_NONE);
    CHECK(compare(json_pack("{s:[i]}", "devices", 1), machine("a", 1, "vd0 x", NULL), &err) ==
          VF_ERR_PROTOCOL);
}

TEST(real)
{
    char dir[64], *path, *arg;
    const char *argv[] = {"qemu-system-x86_64",
                          "-S",
                          "-nodefaults",
                          "-no-user-config",
                          "-machine",
                          "pc",
                          "-m",
                          "64",
                          "-display",
                          "none",
                          "-device",
                          "virtio-rng-pci,id=rng0,addr=5",
                          "-device",
                          "virtio-rng-pci,addr=7",
                          "-qmp",
                          NULL /*15*/,
                          NULL};
    struct vf_proc qemu = VF_PROC_INIT;
    struct vf_error err;
    struct vf_qmp *q;
    json_t *m, *d;

    (void)snprintf(dir, sizeof dir, "%s/machine.XXXXXX",
                   getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    CHECK(mkdtemp(dir) != NULL);
    path = vf_strf(&err, "%s/s", dir);
    arg = vf_strf(&err, "unix:%s,server=on,wait=off", path);
    argv[15] = arg;
    if (vf_proc_start(&qemu, argv, 0, &err) < 0)
        SKIP("qemu-system-x86_64 is not installed");
    q = vf_qmp_open(path, 10000, NULL, &err);
    CHECK(q != NULL);
    m = vf_qmp_machine(q, &err);
    CHECK(m != NULL);
    CHECK_EQ_U64(vf_qmp_number(m, "memory"), UINT64_C(64) << 20);
    CHECK_EQ_U64(vf_qmp_number(m, "cpus"), 1);
    d = json_object_get(m, "devices");
    CHECK_EQ_U64(json_array_size(d), 2);
    CHECK_STR(json_string_value(json_array_get(d, 0)), "- virtio-rng-pci at 56");
    CHECK_STR(json_string_value(json_array_get(d, 1)), "rng0 virtio-rng-pci at 40");
    CHECK_OK(vf_qmp_machine_compare(m, m, &err), &err);
    json_decref(m);
    vf_qmp_close(q);
    vf_proc_kill(&qemu);
    (void)unlink(path);
    CHECK(rmdir(dir) == 0);
    free(path);
    free(arg);
}

TESTS(differences, real)

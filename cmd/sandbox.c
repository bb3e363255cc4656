/* cmd/sandbox.c - gives up what `serve` does not need. */
#include "cmd/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/fdio.h"

#define DESCRIPTORS 4096u /* one for each donor that is open, and those of QEMU's servers */

#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

/* The leak checker of a sanitized build stops the program with ptrace to look at it. */
#if defined(__SANITIZE_ADDRESS__)
#define NEEDS_PTRACE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NEEDS_PTRACE 1
#endif
#endif

static void set_limits(void)
{
    struct rlimit r = {0, 0};

    (void)setrlimit(RLIMIT_CORE, &r); /* lowering one's own limit cannot fail */
    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < DESCRIPTORS) {
        r.rlim_cur = r.rlim_max < DESCRIPTORS ? r.rlim_max : DESCRIPTORS;
        (void)setrlimit(RLIMIT_NOFILE, &r); /* fewer donors stay open, that is all */
    }
}

/* ---- Landlock: glibc has no wrappers ---- */

#define WRITES                                                                                     \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                               \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |   \
     LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)
#define WRITES_BELOW                                                                               \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                               \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |  \
     LANDLOCK_ACCESS_FS_MAKE_SOCK)

static int allow_below(int ruleset, const char *path, uint64_t access, struct vf_error *err)
{
    int rc = 0, fd = open(path, O_PATH | O_CLOEXEC);
    struct landlock_path_beneath_attr rule = {.allowed_access = access, .parent_fd = fd};

    if (fd < 0)
        return vf_error_sys(err, errno, "sandbox: '%s'", path);
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        rc = vf_error_sys(err, errno, "sandbox: '%s'", path);
    vf_close_fd(&fd);
    return rc;
}

/* 1: in force, 0: the kernel does not offer it, -1. */
static int confine_writes(const char *const dirs[], size_t n, struct vf_error *err)
{
    struct landlock_ruleset_attr attr = {.handled_access_fs = WRITES};
    uint64_t below = WRITES_BELOW, device = LANDLOCK_ACCESS_FS_WRITE_FILE;
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    int ruleset, rc = -1;

    if (abi < 1)
        return 0;
    if (abi >= 3) {
        attr.handled_access_fs |= LANDLOCK_ACCESS_FS_TRUNCATE;
        below |= LANDLOCK_ACCESS_FS_TRUNCATE;
        device |= LANDLOCK_ACCESS_FS_TRUNCATE;
    }
    ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (ruleset < 0)
        return vf_error_sys(err, errno, "sandbox");
    for (size_t i = 0; i < n; i++)
        if (allow_below(ruleset, dirs[i], below, err) < 0)
            goto out;
    if (allow_below(ruleset, "/dev/null", device, err) < 0)
        goto out;
    if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        (void)vf_error_sys(err, errno, "sandbox: landlock");
    else
        rc = 1;
out:
    vf_close_fd(&ruleset);
    return rc;
}

/* ---- seccomp ---- */

static const int denied[] = {
#ifndef NEEDS_PTRACE
    SCMP_SYS(ptrace),
#endif
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(fsopen),
    SCMP_SYS(fsconfig),
    SCMP_SYS(fsmount),
    SCMP_SYS(fspick),
    SCMP_SYS(move_mount),
    SCMP_SYS(open_tree),
    SCMP_SYS(mount_setattr),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(reboot),
    SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(setns),
    SCMP_SYS(unshare),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(acct),
    SCMP_SYS(quotactl),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(adjtimex),
    SCMP_SYS(clock_adjtime),
    SCMP_SYS(ioperm),
    SCMP_SYS(iopl),
    SCMP_SYS(modify_ldt),
    SCMP_SYS(vhangup),
    SCMP_SYS(syslog),
    SCMP_SYS(mknod),
    SCMP_SYS(mknodat),
};

static int add_rules(scmp_filter_ctx f)
{
    int rc = 0;

    for (size_t i = 0; i < sizeof denied / sizeof *denied && rc >= 0; i++)
        rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), denied[i], 0);
    if (rc >= 0)
        rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
                              SCMP_A0(SCMP_CMP_NE, AF_UNIX, 0));
    /* Typing into the terminal that this was started from. */
    if (rc >= 0)
        rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                              SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffu, TIOCSTI));
    return rc;
}

/* 1: in force, 0: the kernel does not offer it. */
static int filter_calls(void)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
    int rc = -1;

    if (f) {
        rc = add_rules(f);
        if (rc >= 0)
            rc = seccomp_load(f);
        seccomp_release(f);
    }
    return rc >= 0;
}

int vf_sandbox_enter(const char *const dirs[], size_t n, struct vf_sandbox *ret,
                     struct vf_error *err)
{
    struct vf_sandbox s = {.limits = true};
    int landlock = 0;

    set_limits();
    s.no_new_privs = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
    if (s.no_new_privs) {
        landlock = confine_writes(dirs, n, err);
        if (landlock < 0)
            return -1;
        s.landlock = landlock == 1;
        s.seccomp = filter_calls() == 1;
    }
    *ret = s;
    return 0;
}

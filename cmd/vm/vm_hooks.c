/* cmd/vm/vm_hooks.c - programs of the administrator around a guest's move. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/report.h"
#include "cmd/vm/vm_impl.h"
#include "core/checked.h"
#include "core/proc.h"

#define HOOKS_DIR "/etc/vmferry/hooks"
#define HOOK_MS   60000

/* Names as run-parts takes them: no editor's backups, no packages' leftovers. */
static int wanted(const struct dirent *e)
{
    size_t len = strlen(e->d_name);

    return len && strspn(e->d_name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                    "0123456789_-") == len;
}

static int run_one(struct vf_vm *vm, const char *dir, const char *name, const char *event,
                   struct vf_error *err)
{
    char *path = vf_strf(err, "%s/%s", dir, name);
    const char *argv[] = {path, event, vm->req->opts->vm, vm->req->label ? vm->req->label : "",
                          NULL};
    struct stat sb;
    int rc = -1;

    if (path && stat(path, &sb) == 0 && S_ISREG(sb.st_mode) && access(path, X_OK) == 0)
        rc = vf_proc_run(argv, NULL, HOOK_MS, err);
    else if (path)
        rc = 0; /* not a program */
    if (rc < 0)
        (void)vf_error_prefix(err, "hook '%s'", name); /* rc says it */
    free(path);
    return rc;
}

int vf_vm_hooks(struct vf_vm *vm, const char *event, struct vf_error *err)
{
    const char *dir = vm->req->opts->hooks ? vm->req->opts->hooks : HOOKS_DIR;
    bool must = strcmp(event, "before") == 0;
    struct dirent **list = NULL;
    int n = scandir(dir, &list, wanted, alphasort), rc = 0;

    if (n < 0 && errno == ENOENT && !vm->req->opts->hooks)
        return 0;
    if (n < 0)
        return vf_error_sys(err, errno, "hooks '%s'", dir);
    for (int i = 0; i < n; i++) {
        struct vf_error why = VF_ERROR_INIT;

        if (rc == 0 && run_one(vm, dir, list[i]->d_name, event, &why) < 0) {
            if (must)
                rc = vf_error_pass(err, &why);
            else
                vf_say(vm->cli, "%s", why.msg);
        }
        free(list[i]);
    }
    free(list);
    return rc;
}

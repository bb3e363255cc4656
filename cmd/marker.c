#include "cmd/marker.h"

#include <stddef.h>
#include <sys/stat.h>

#include "core/fdio.h"
#include "core/rundir.h"

#define HOST_NAME  "transfers"
#define STORE_NAME "run/transfers"

void vf_marker_set(struct vf_marker *m, int store_fd)
{
    int dir = vf_rundir_open(NULL);

    (void)mkdirat(store_fd, "run", 0700); /* usually there */
    m->store = vf_rundir_lock(store_fd, STORE_NAME, true, NULL);
    m->host = dir < 0 ? -1 : vf_rundir_lock(dir, HOST_NAME, true, NULL);
    vf_close_fd(&dir);
}

void vf_marker_clear(struct vf_marker *m)
{
    vf_close_fd(&m->store);
    vf_close_fd(&m->host);
}

bool vf_marker_is_set(int store_fd)
{
    bool set = vf_rundir_locked(store_fd, STORE_NAME);
    int dir = set ? -1 : vf_rundir_open(NULL);

    if (dir >= 0)
        set = vf_rundir_locked(dir, HOST_NAME);
    vf_close_fd(&dir);
    return set;
}

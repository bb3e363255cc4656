#include "core/load.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/fdio.h"

#define NS_PER_S UINT64_C(1000000000)

uint64_t vf_load_parse(const char *text)
{
    uint64_t user, nice, system, idle, wait;

    if (sscanf(text, "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &user, &nice,
               &system, &idle, &wait) != 5)
        return 0;
    return idle + wait;
}

static uint64_t now_idle(const struct vf_load *l)
{
    long ticks = sysconf(_SC_CLK_TCK);
    char text[256];
    ssize_t n = pread(l->fd, text, sizeof text - 1, 0);

    if (n <= 0 || ticks <= 0)
        return 0;
    text[n] = '\0';
    return vf_load_parse(text) * (NS_PER_S / (uint64_t)ticks);
}

void vf_load_open(struct vf_load *l)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    *l = (struct vf_load){.fd = open("/proc/stat", O_RDONLY | O_CLOEXEC),
                          .processors = n > 0 ? (unsigned)n : 1};
    if (l->fd < 0)
        return;
    l->idle_ns = now_idle(l);
    if (l->idle_ns == 0)
        vf_load_close(l);
}

void vf_load_close(struct vf_load *l)
{
    if (l->fd >= 0)
        vf_close_fd(&l->fd);
}

uint64_t vf_load_idle(struct vf_load *l)
{
    uint64_t now, before = l->idle_ns;

    if (l->fd < 0)
        return UINT64_MAX / 4;
    now = now_idle(l);
    if (now < before) /* idle time may run backwards: proc(5) */
        return 0;
    l->idle_ns = now;
    return now - before;
}

#include "service/pressure.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/fdio.h"

bool vf_pressure_parse(const char *text, uint64_t *ret)
{
    const char *line = text;

    while (line && strncmp(line, "some ", 5) != 0) {
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    if (line)
        line = strstr(line, " total=");
    if (!line || line[7] < '0' || line[7] > '9')
        return false;
    *ret = strtoull(line + 7, NULL, 10);
    return true;
}

static bool look(const char *dir, const char *name, uint64_t *ret)
{
    char path[256], text[512];
    int fd;
    ssize_t n;

    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path)
        return false;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    vf_close_fd(&fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    return vf_pressure_parse(text, ret);
}

void vf_pressure_look(const char *dir, struct vf_pressure *ret)
{
    struct vf_pressure p = {0};

    p.known = look(dir, "io", &p.io_us) && look(dir, "cpu", &p.cpu_us);
    *ret = p;
}

unsigned vf_pressure_percent(uint64_t before_us, uint64_t after_us, uint64_t elapsed_us)
{
    uint64_t stalled = after_us > before_us ? after_us - before_us : 0;

    if (!elapsed_us)
        return 0;
    return stalled >= elapsed_us ? 100 : (unsigned)(stalled * 100 / elapsed_us);
}

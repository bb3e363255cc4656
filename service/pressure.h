/* service/pressure.h - how hard it is for others to get at the disk and the processors, as the
 * kernel's pressure stall information says.
 *
 * The numbers of the kernel are about everybody, so about the asker as well.  Two looks at the
 * beginning and at the end of a time in which the asker did nothing say what others suffer.
 *
 * Thread rules: none; a struct belongs to one thread at a time. */
#ifndef VF_SERVICE_PRESSURE_H
#define VF_SERVICE_PRESSURE_H

#include <stdbool.h>
#include <stdint.h>

/* Microseconds since boot in which some task was waiting. */
struct vf_pressure {
    bool known; /* the kernel offers it */
    uint64_t io_us, cpu_us;
};

/* dir: "/proc/pressure", or another one for tests. */
void vf_pressure_look(const char *dir, struct vf_pressure *ret);

/* The number behind "some ... total=" in the text of such a file.  false: there is none. */
bool vf_pressure_parse(const char *text, uint64_t *ret);

/* Time with stalls between two looks that are so many microseconds apart, in percent. */
unsigned vf_pressure_percent(uint64_t before_us, uint64_t after_us, uint64_t elapsed_us);

#endif

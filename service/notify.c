#include "service/notify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "core/clock.h"

/* Whether somebody listens does not matter to anything here: results are ignored throughout. */

void vf_notify_ready(void) { (void)sd_notify(0, "READY=1"); }

void vf_notify_reloading(void)
{
    (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, vf_clock_ns() / 1000);
}

void vf_notify_stopping(void) { (void)sd_notify(0, "STOPPING=1"); }

void vf_notify_status(const char *text) { (void)sd_notifyf(0, "STATUS=%s", text); }

int64_t vf_notify_watchdog_ms(void)
{
    uint64_t us = 0;

    return sd_watchdog_enabled(0, &us) > 0 ? (int64_t)(us / 2000) : 0;
}

void vf_notify_alive(void) { (void)sd_notify(0, "WATCHDOG=1"); }

bool vf_notify_journal(void)
{
    const char *text = getenv("JOURNAL_STREAM");
    unsigned long long dev, ino;
    struct stat st;

    return text && sscanf(text, "%llu:%llu", &dev, &ino) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
           st.st_dev == dev && st.st_ino == ino;
}

/* service/notify.h - what a service tells systemd.  Without systemd nothing happens.
 *
 * Thread rules: the main thread. */
#ifndef VF_SERVICE_NOTIFY_H
#define VF_SERVICE_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

void vf_notify_ready(void);
void vf_notify_reloading(void); /* vf_notify_ready follows */
void vf_notify_stopping(void);
void vf_notify_status(const char *text); /* one line for `systemctl status` */

/* Milliseconds between pings of the watchdog that are wanted; 0: there is none. */
int64_t vf_notify_watchdog_ms(void);
void vf_notify_alive(void);

/* Does standard error go to the journal?  Then lines may begin with "<N>". */
bool vf_notify_journal(void);

#endif

/* service/polite.h - the lowest place in the queues for processors and disks. */
#ifndef VF_SERVICE_POLITE_H
#define VF_SERVICE_POLITE_H

/* For the calling thread and those that it starts later: nice 19, idle class of the I/O scheduler.
 * What the system does not grant is left out. */
void vf_polite_thread(void);

#endif

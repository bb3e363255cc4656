/* hypervisor/qmp.h - a client of QEMU's machine protocol over its Unix socket.
 *
 * Commands are asked one at a time; events that come meanwhile are kept in their order until
 * somebody waits for them.  QEMU is trusted no further than needed: lines and the number of kept
 * events have ceilings.
 *
 * QEMU's main thread answers, and may be held up for as long as it likes: by a slow disk, or with
 * postcopy by a page that has not come.  Commands out of band (vf_qmp_call_oob) are answered even
 * then, but only on a connection that was greeted before: see vf_qmp_adopt.
 *
 * Thread rules: a connection belongs to one thread. */
#ifndef VF_HYPERVISOR_QMP_H
#define VF_HYPERVISOR_QMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "core/error.h"

#define VF_QMP_LINE_MAX   (8u << 20) /* bytes of a line; query-qmp-schema has 200 kB */
#define VF_QMP_EVENTS_MAX 4096u      /* kept; the oldest are dropped */
#define VF_QMP_CALL_MS    60000      /* for an answer; QEMU may be busy with a slow disk */

enum vf_qmp_kind { VF_QMP_GREETING, VF_QMP_RETURN, VF_QMP_ERROR, VF_QMP_EVENT };

/* One line from QEMU (no newline needed): what it is, and the whole object (new reference).  0, or
 * -1: VF_ERR_PROTOCOL, VF_ERR_NOMEM. */
int vf_qmp_parse(const char *line, size_t len, enum vf_qmp_kind *ret_kind, json_t **ret,
                 struct vf_error *err) VF_MUST_CHECK;

struct vf_qmp;

/* Connects to the socket at path (of any length) and greets.  timeout_ms: for the socket to appear
 * and for the greeting.  stop (may be NULL, kept): becomes non-zero when to give up.  Returns
 * owned. NULL: VF_ERR_UNREACHABLE, VF_ERR_BUSY (another client has it: it does not greet),
 * VF_ERR_PROTOCOL, VF_ERR_CANCELLED. */
struct vf_qmp *vf_qmp_open(const char *path, int timeout_ms, const volatile int *stop,
                           struct vf_error *err);
void vf_qmp_close(struct vf_qmp *q); /* NULL is fine */

/* Goes on with a connection that an earlier process has opened and does not use any more; fd is
 * owned from now on.  stop: as above.  NULL: VF_ERR_NOMEM. */
struct vf_qmp *vf_qmp_adopt(int fd, const volatile int *stop, struct vf_error *err);

/* The descriptor of the connection, borrowed: somebody may keep a copy open for vf_qmp_adopt. */
int vf_qmp_fd(const struct vf_qmp *q);

/* Calls wait so long for their answer (at the beginning VF_QMP_CALL_MS). */
void vf_qmp_patience(struct vf_qmp *q, int ms);

/* From here on *stop is looked at, or not: what undoes things must not be stopped itself. */
void vf_qmp_mind_stop(struct vf_qmp *q, bool mind);

/* Executes command with args (taken; NULL: none).  *ret (may be NULL): its result, new reference.
 * 0, or -1: VF_ERR_IO with QEMU's own words, VF_ERR_UNREACHABLE when it is gone, VF_ERR_TIMEOUT,
 * VF_ERR_CANCELLED (the answer, when it comes, is thrown away).  After VF_ERR_TIMEOUT the next call
 * first waits for the answer to that command, and is not sent before: QEMU reads no more, not even
 * what is out of band, when some commands wait for it. */
int vf_qmp_call(struct vf_qmp *q, const char *command, json_t *args, json_t **ret,
                struct vf_error *err);

/* The same out of band ("exec-oob" of QEMU's QMP specification), for the few commands that allow
 * it: whatever QEMU is busy with.  A QEMU without that answers it in its turn. */
int vf_qmp_call_oob(struct vf_qmp *q, const char *command, json_t *args, json_t **ret,
                    struct vf_error *err);

/* Says a command without waiting for its answer, nor for those that are still owed.  0, or -1:
 * VF_ERR_UNREACHABLE, VF_ERR_NOMEM. */
int vf_qmp_say(struct vf_qmp *q, const char *command, struct vf_error *err);

/* A printf for jansson's pack: vf_qmp_callf(q, &ret, err, "job-cancel", "{s:s}", "id", id). */
int vf_qmp_callf(struct vf_qmp *q, json_t **ret, struct vf_error *err, const char *command,
                 const char *fmt, ...) VF_MUST_CHECK;

/* The first kept or coming event of that name (NULL: any) for which match (may be NULL) is true,
 * taken off the list; *ret (may be NULL): the whole object, new reference.  What came before it
 * stays.  1: there it is; 0: not within timeout_ms (0: only what has come); -1. */
int vf_qmp_event(struct vf_qmp *q, const char *name,
                 bool (*match)(const json_t *event, const void *arg), const void *arg,
                 int timeout_ms, json_t **ret, struct vf_error *err) VF_MUST_CHECK;

/* Throws away the kept events of that name (NULL: all). */
void vf_qmp_forget(struct vf_qmp *q, const char *name);

/* Text of a member; "" when it is not there or no text.  Borrowed. */
const char *vf_qmp_text(const json_t *obj, const char *key);
uint64_t vf_qmp_number(const json_t *obj, const char *key); /* 0 when it is not there or negative */

#endif

/* transport/hostkey.h - what the known_hosts files say of one host, and whether a key may be
 * believed.
 *
 * The files are read here and not by libssh2, whose reader passes over @revoked lines, patterns and
 * @cert-authority lines.  Understood are plain names, patterns (`*`, `?`, `!`), [host]:port, hashed
 * names, @revoked and @cert-authority, as sshd(8) describes them.  Policy, the same as that of
 * `ssh -o StrictHostKeyChecking=yes`:
 *
 *   - a key that a matching @revoked line names is refused, whatever else the files say;
 *   - a key that a matching line holds is accepted;
 *   - any other key is refused: "changed" when the host is known, else "not known", with the
 *     fingerprint and the way to add it.  Nothing is ever added by this program.
 *
 * For a port other than 22 the lines for "[host]:port" count, and if there are none, those for the
 * host without a port (but a key that differs from those is then called not known).
 *
 * Thread rules: an object belongs to one thread at a time. */
#ifndef VF_TRANSPORT_HOSTKEY_H
#define VF_TRANSPORT_HOSTKEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

#define VF_HOSTKEYS_FILE_MAX  (16u << 20) /* bytes of one known_hosts file */
#define VF_HOSTKEYS_LINES_MAX 256u        /* lines that match one host; more is an error */

struct vf_hostkeys;

/* Nothing known yet.  host borrows until return; port 0 means 22.  NULL when out of memory. */
struct vf_hostkeys *vf_hostkeys_new(const char *host, unsigned port, struct vf_error *err);
void vf_hostkeys_free(struct vf_hostkeys *h);

/* Takes in a file's text (borrows); file is its name for messages.  Lines that are malformed or of
 * no concern are passed over.  0, or -1: VF_ERR_NOMEM; VF_ERR_AUTH for a matching @revoked line
 * whose key cannot be read (it might be the one); VF_ERR_RANGE past VF_HOSTKEYS_LINES_MAX. */
int vf_hostkeys_add_text(struct vf_hostkeys *h, const char *text, size_t len, const char *file,
                         struct vf_error *err) VF_MUST_CHECK;

/* The same for a file.  One that does not exist counts as empty; the first file added is the one
 * that advice names.  -1 also when it cannot be read. */
int vf_hostkeys_add_file(struct vf_hostkeys *h, const char *path,
                         struct vf_error *err) VF_MUST_CHECK;

/* HOME/.ssh/known_hosts, known_hosts2 and the system's two. */
int vf_hostkeys_add_defaults(struct vf_hostkeys *h, const char *home,
                             struct vf_error *err) VF_MUST_CHECK;

/* NULL when the built-in client can judge this host.  Else why the ssh program has to (one phrase):
 * the host is known only by a certificate authority, or only by keys of kinds that libssh2 cannot
 * use. */
const char *vf_hostkeys_needs_client(const struct vf_hostkeys *h);

/* The comma-separated host key methods to ask for, those of known keys first.  ret needs 128. */
void vf_hostkeys_methods(const struct vf_hostkeys *h, char *ret, size_t size);

/* May the host have this key (wire form)?  0, or -1: VF_ERR_AUTH with what to do. */
int vf_hostkeys_check(const struct vf_hostkeys *h, const uint8_t *blob, size_t len,
                      struct vf_error *err) VF_MUST_CHECK;

#endif

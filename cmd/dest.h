/* cmd/dest.h - where a received image goes: a name, a .part file, the index.
 *
 * Everything in the image directory is reached through one held descriptor and single names; no
 * symbolic link is followed.  An image is assembled in NAME.part and gets its name only when it is
 * complete, verified and on disk.  Two transfers of one name exclude each other by a lock on one
 * byte, chosen by the name, of IMAGES/.vmferry.lock.  From before an image gets its name until it
 * is indexed, IMAGES/.NAME.in says which file and which content that is: the next try of the same
 * transfer finds what a killed one has left there, and goes on with it as with a part.
 *
 * Thread rules: made and freed by the main thread; the engine calls its operations one at a time.
 */
#ifndef VF_CMD_DEST_H
#define VF_CMD_DEST_H

#include <stdbool.h>
#include <stdint.h>

#include "cmd/storedir.h"
#include "core/engine/engine.h"
#include "index/index.h"

/* Longest name of an image: the file system's 255 without ".part". */
#define VF_DEST_NAME_MAX 250u

/* The sharing group whose transfer wrote a part, at the file. */
#define VF_DEST_GROUP_XATTR "user.vmferry.group"

/* One path component that is no hidden file, no control characters, not NAME.part.
 * 0, or -1 (VF_ERR_USAGE). */
int vf_dest_name_check(const char *name, struct vf_error *err) VF_MUST_CHECK;

/* Bytes that the image directory's file system has left for us; 0 if it cannot be asked. */
uint64_t vf_dest_free_bytes(int images_fd);

/* All pointers are kept; group is copied.  NULL on error. */
struct vf_dest *vf_dest_new(const struct vf_storedir *store, struct vf_index *index, int images_fd,
                            const char *group, struct vf_error *err);

/* Would this image be taken now?  Makes nothing.  0, or -1 with what an offer of it would get. */
int vf_dest_would_take(struct vf_dest *dest, const struct vf_msg_offer *offer,
                       struct vf_error *err) VF_MUST_CHECK;

/* The image of that name becomes the part of a next try, instead of an older one.  Only for the
 * disk of a guest that never ran from it.  look: nothing is changed, would it?  On a dest that is
 * used for nothing else.  0, or -1: VF_ERR_BUSY while it is in use, or a transfer of that name goes
 * on; VF_ERR_EXISTS: there is none, neither index nor note know that file, it has a second name, or
 * its group is not granted here. */
int vf_dest_turn_back(struct vf_dest *dest, const char *image, bool look,
                      struct vf_error *err) VF_MUST_CHECK;

/* The note of an image that is removed, if there is one. */
void vf_dest_forget_note(int images_fd, const char *image);

/* Ends it.  outcome: NULL when all went well, else the error; it decides whether a .part stays for
 * the next try.  NULL is fine. */
void vf_dest_free(struct vf_dest *dest, const struct vf_error *outcome);

#endif

/* cmd/dest_impl.h - what the files of a destination share; nobody else includes it. */
#ifndef VF_CMD_DEST_IMPL_H
#define VF_CMD_DEST_IMPL_H

#include "cmd/dest.h"
#include "cmd/readguest.h"

struct dest {
    struct vf_dest dest; /* first */
    const struct vf_storedir *store;
    struct vf_index *index;
    int images_fd;
    char *group;
    /* from open on */
    int lock_fd;
    char *name, *part_name; /* in the image directory */
    char *path, *part_path; /* absolute, for messages and the index */
    char *format;
    uint32_t cluster_size;
    uint8_t root[VF_SHA_LEN]; /* of the content that is to come; see root_known */
    bool root_known, replaces, has_part, noted, published, committed, cleaned;
    struct vf_image *part; /* NULL again once it is complete */
    struct vf_residents *residents;
    struct vf_view_opts views; /* for donors that a guest has open */
    double views_again;        /* not before */
    /* from publish on: what the new image shares with the residents, or why that is not known */
    struct vf_shared shared;
    struct vf_error count_err;
    int count_rc;
};

/* The names that follow from that of the image. */
int vf_dest_take_name(struct dest *d, const char *name, struct vf_error *err) VF_MUST_CHECK;

/* The record of a file in the image directory as it is now. */
int vf_dest_record(const struct dest *d, char *path, enum vf_image_state state,
                   struct vf_image_record *ret, struct vf_error *err) VF_MUST_CHECK;

/* As publish of vf_dest_ops (cmd/dest_publish.c). */
int vf_dest_publish(struct vf_dest *dest, struct vf_map_sink *sink, struct vf_map_info *info,
                    struct vf_error *err) VF_MUST_CHECK;

/* ---- checks before anything is written (cmd/dest_check.c) ---- */

/* Nobody else may transfer an image of that name until the lock's descriptor is closed. VF_ERR_BUSY
 * if somebody does. */
int vf_dest_lock(struct dest *d, struct vf_error *err) VF_MUST_CHECK;

/* May the final name be taken?  *ret_exists: an image is to be replaced.  One that is unfinished
 * (below) does not count. */
int vf_dest_check_target(const struct dest *d, bool replace, bool *ret_exists,
                         struct vf_error *err) VF_MUST_CHECK;

/* The store's limit of size, and the disk's of space. */
int vf_dest_check_size(const struct dest *d, const struct vf_msg_offer *offer,
                       struct vf_error *err) VF_MUST_CHECK;
int vf_dest_check_space(const struct dest *d, const struct vf_msg_offer *offer,
                        struct vf_error *err) VF_MUST_CHECK;

/* ---- what is noted beside an image until it is indexed (cmd/dest_note.c) ---- */

/* Before the part gets its name: IMAGES/.NAME.in says which file that is and what it holds.  Should
 * this process be killed before the image is indexed, the next try knows by it that the image in
 * its way is what an earlier one has left.  Without the note it would just not know. */
void vf_dest_note(struct dest *d);
void vf_dest_unnote(struct dest *d);

/* Is the image that has the name noted, as of this transfer's group and format and with the very
 * content that this one is to bring, and has nobody used it since? */
bool vf_dest_unfinished(const struct dest *d);

/* Makes it the part again, under the lock.  0: done, or nothing has the name; -1: VF_ERR_EXISTS,
 * something else has it by now. */
int vf_dest_take_back(struct dest *d, struct vf_error *err) VF_MUST_CHECK;

#endif

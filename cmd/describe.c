/* cmd/describe.c - records for people and programs. */
#include "cmd/describe.h"

#include "cmd/report.h"

const char *vf_describe_state(struct vf_index *index, const struct vf_image_record *rec)
{
    if (rec->state == VF_IMAGE_PARTIAL)
        return "partial";
    if (rec->state == VF_IMAGE_MOVING)
        return "moving";
    if (vf_index_fresh(index, rec))
        return "fresh";
    return rec->state == VF_IMAGE_COMPLETE && vf_index_usable(index, rec) ? "device" : "changed";
}

json_t *vf_describe_json(struct vf_index *index, const struct vf_image_record *rec)
{
    const struct vf_map_info *i = &rec->info;
    char digest[VF_DIGEST_TEXT];

    vf_digest_text(i->root, digest);
    return json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:s, s:o, s:I, s:b, s:s}", "image",
                     vf_json_text(rec->path), "format", vf_json_text(rec->format), "virtual_size",
                     (json_int_t)i->size, "block_size", (json_int_t)VF_BLOCK, "blocks",
                     (json_int_t)i->blocks, "zero_blocks", (json_int_t)i->zero_blocks,
                     "distinct_blocks", (json_int_t)i->distinct_blocks, "digest", digest, "group",
                     vf_json_text(rec->group), "indexed_at", (json_int_t)rec->indexed_at, "fresh",
                     vf_index_fresh(index, rec), "state", vf_describe_state(index, rec));
}

/* index/record.c - encode and decode of the small records. */
#include "index/record.h"

#include <stdlib.h>
#include <string.h>

#include "core/be.h"
#include "core/checked.h"
#include "index/le.h"

#define CHECK_LEN 4u /* bytes of checksum in front of every record */

static const uint8_t magic[8] = {'v', 'f', '-', 'i', 'n', 'd', 'e', 'x'};

#define SUM_SEED  UINT64_C(0x9e3779b97f4a7c15)
#define SUM_TIMES UINT64_C(0xff51afd7ed558ccd)

/* Eight bytes at a time; every step is invertible, so that no change of a single word is lost
 * before the last line. */
uint32_t vf_index_checksum(const void *data, size_t len)
{
    const uint8_t *p = data;
    uint64_t h = SUM_SEED ^ len;

    for (; len >= 8; p += 8, len -= 8) {
        h = (h ^ vf_le64(p)) * SUM_TIMES;
        h ^= h >> 32;
    }
    if (len) {
        h = (h ^ vf_ldn(p, (unsigned)len)) * SUM_TIMES;
        h ^= h >> 32;
    }
    return (uint32_t)(h * SUM_TIMES >> 32);
}

int vf_record_check_path(const char *path, struct vf_error *err)
{
    if (!path || !*path)
        return vf_error_set(err, VF_ERR_USAGE, 0, "an image needs a path");
    if (strlen(path) > VF_INDEX_PATH_MAX)
        return vf_error_set(err, VF_ERR_USAGE, 0, "a path is longer than %u bytes",
                            VF_INDEX_PATH_MAX);
    if (*path == '/')
        return 0;
    for (const char *p = path; p;) {
        size_t n = strcspn(p, "/");

        if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return vf_error_set(err, VF_ERR_USAGE, 0,
                                "'%s' is neither absolute nor a plain path below the store", path);
        p = p[n] ? p + n + 1 : NULL;
    }
    return 0;
}

int vf_map_info_check(const struct vf_map_info *info, struct vf_error *err)
{
    const uint64_t data = info->nodes[0];

    if (info->blocks > VF_MAX_BLOCKS || info->blocks != vf_blocks_of(info->size))
        return vf_error_set(err, VF_ERR_FORMAT, 0, "size and blocks of a map do not agree");
    if (info->zero_blocks > info->blocks || data != info->blocks - info->zero_blocks)
        return vf_error_set(err, VF_ERR_FORMAT, 0, "block counts of a map do not add up");
    if (info->distinct_blocks > info->blocks || (info->distinct_blocks == 0) != (info->blocks == 0))
        return vf_error_set(err, VF_ERR_FORMAT, 0, "distinct blocks of a map are impossible");
    if (info->top >= VF_LEVELS || (info->top == 0) != (data == 0))
        return vf_error_set(err, VF_ERR_FORMAT, 0, "a map has %u levels", info->top);
    for (unsigned k = 1; k < VF_LEVELS; k++)
        if (k <= info->top ? info->nodes[k] == 0 || info->nodes[k] > info->nodes[k - 1]
                           : info->nodes[k] != 0)
            return vf_error_set(err, VF_ERR_FORMAT, 0, "level %u of a map has a wrong size", k);
    return 0;
}

/* ---- the frame of a record: checksum, then the body ---- */

static int frame_begin(struct vf_buf *b, struct vf_error *err)
{
    vf_buf_clear(b);
    return vf_buf_u32(b, 0, err);
}

static int frame_end(struct vf_buf *b)
{
    uint32_t sum = vf_index_checksum(b->data + CHECK_LEN, b->len - CHECK_LEN);

    vf_stn(b->data, CHECK_LEN, sum);
    return 0;
}

static int frame_open(const void *data, size_t len, const char *what, struct vf_reader *ret,
                      struct vf_error *err)
{
    uint32_t sum;

    *ret = vf_reader_over(data, len);
    if (!vf_reader_u32(ret, &sum) || sum != vf_index_checksum(ret->p, vf_reader_left(ret)))
        return vf_error_set(err, VF_ERR_FORMAT, 0, "%s is damaged", what);
    return 0;
}

/* ---- version ---- */

int vf_version_encode(struct vf_buf *ret, const struct vf_version_record *rec, struct vf_error *err)
{
    vf_buf_clear(ret);
    if (vf_buf_add(ret, magic, sizeof magic, err) < 0 || vf_buf_u32(ret, rec->version, err) < 0 ||
        vf_buf_u64(ret, rec->next_generation, err) < 0)
        return -1;
    return vf_buf_u32(ret, vf_index_checksum(ret->data, ret->len), err);
}

/* Magic and version come first and have no checksum before them: a later layout can keep them where
 * they are and change all else. */
int vf_version_decode(const void *data, size_t len, struct vf_version_record *ret,
                      struct vf_error *err)
{
    struct vf_reader r = vf_reader_over(data, len);
    struct vf_version_record rec;
    uint8_t got[sizeof magic];
    uint32_t sum;

    if (!vf_reader_copy(&r, got, sizeof got) || memcmp(got, magic, sizeof magic) != 0 ||
        !vf_reader_u32(&r, &rec.version))
        return vf_error_set(err, VF_ERR_FORMAT, 0, "this is not an index of vmferry");
    if (rec.version != VF_INDEX_VERSION)
        return vf_error_set(err, VF_ERR_FORMAT, 0,
                            "the index has layout version %u, this program knows version %u",
                            rec.version, VF_INDEX_VERSION);
    if (!vf_reader_u64(&r, &rec.next_generation) || !vf_reader_u32(&r, &sum) ||
        vf_reader_left(&r) != 0 || sum != vf_index_checksum(data, len - 4) ||
        rec.next_generation == 0 || rec.next_generation > INT64_MAX)
        return vf_error_set(err, VF_ERR_FORMAT, 0, "the version record is damaged");
    *ret = rec;
    return 0;
}

/* ---- generation ---- */

int vf_generation_encode(struct vf_buf *ret, enum vf_generation_state state, struct vf_error *err)
{
    if (frame_begin(ret, err) < 0 || vf_buf_u8(ret, (uint8_t)state, err) < 0)
        return -1;
    return frame_end(ret);
}

int vf_generation_decode(const void *data, size_t len, enum vf_generation_state *ret,
                         struct vf_error *err)
{
    struct vf_reader r;
    uint8_t state;

    if (frame_open(data, len, "a generation record", &r, err) < 0)
        return -1;
    if (!vf_reader_u8(&r, &state) || vf_reader_left(&r) != 0 || state < VF_GEN_BUILDING ||
        state > VF_GEN_DOOMED)
        return vf_error_set(err, VF_ERR_FORMAT, 0, "a generation record is malformed");
    *ret = (enum vf_generation_state)state;
    return 0;
}

/* ---- the index's own number ---- */

int vf_id_encode(struct vf_buf *ret, const uint8_t id[VF_STORE_ID_LEN], struct vf_error *err)
{
    if (frame_begin(ret, err) < 0 || vf_buf_add(ret, id, VF_STORE_ID_LEN, err) < 0)
        return -1;
    return frame_end(ret);
}

int vf_id_decode(const void *data, size_t len, uint8_t ret[VF_STORE_ID_LEN], struct vf_error *err)
{
    struct vf_reader r;

    if (frame_open(data, len, "the index's number", &r, err) < 0)
        return -1;
    if (vf_reader_left(&r) != VF_STORE_ID_LEN || !vf_reader_copy(&r, ret, VF_STORE_ID_LEN))
        return vf_error_set(err, VF_ERR_FORMAT, 0, "the index's number is malformed");
    return 0;
}

/* ---- image ---- */

void vf_image_record_clear(struct vf_image_record *rec)
{
    free(rec->path);
    free(rec->format);
    free(rec->group);
    memset(rec, 0, sizeof *rec);
}

int vf_image_record_copy(const struct vf_image_record *rec, struct vf_image_record *ret,
                         struct vf_error *err)
{
    struct vf_image_record copy = *rec;

    copy.path = vf_strdup(rec->path ? rec->path : "", err);
    copy.format = vf_strdup(rec->format ? rec->format : "", err);
    copy.group = vf_strdup(rec->group ? rec->group : "", err);
    if (!copy.path || !copy.format || !copy.group) {
        vf_image_record_clear(&copy);
        return -1;
    }
    *ret = copy;
    return 0;
}

static int check_strings(const struct vf_image_record *rec, struct vf_error *err)
{
    if (vf_record_check_path(rec->path, err) < 0)
        return -1;
    if (rec->format && strlen(rec->format) > VF_INDEX_FORMAT_MAX)
        return vf_error_set(err, VF_ERR_USAGE, 0, "a format name is longer than %u bytes",
                            VF_INDEX_FORMAT_MAX);
    if (rec->group && strlen(rec->group) > VF_INDEX_GROUP_MAX)
        return vf_error_set(err, VF_ERR_USAGE, 0, "a group name is longer than %u bytes",
                            VF_INDEX_GROUP_MAX);
    if (rec->state > VF_IMAGE_MOVING)
        return vf_error_set(err, VF_ERR_USAGE, 0, "an image cannot be in state %d",
                            (int)rec->state);
    return 0;
}

static int encode_info(struct vf_buf *b, const struct vf_map_info *info, struct vf_error *err)
{
    if (vf_buf_varint(b, info->size, err) < 0 || vf_buf_varint(b, info->zero_blocks, err) < 0 ||
        vf_buf_varint(b, info->distinct_blocks, err) < 0 ||
        vf_buf_u8(b, (uint8_t)info->top, err) < 0)
        return -1;
    for (unsigned k = 1; k <= info->top; k++)
        if (vf_buf_varint(b, info->nodes[k], err) < 0)
            return -1;
    return vf_buf_add(b, info->root, VF_SHA_LEN, err);
}

int vf_image_record_encode(struct vf_buf *ret, const struct vf_image_record *rec,
                           struct vf_error *err)
{
    const struct vf_image_stat *st = &rec->st;

    if (check_strings(rec, err) < 0 || vf_map_info_check(&rec->info, err) < 0)
        return -1;
    if (frame_begin(ret, err) < 0 || vf_buf_u64(ret, rec->generation, err) < 0 ||
        vf_buf_str(ret, rec->path, err) < 0 ||
        vf_buf_str(ret, rec->format ? rec->format : "", err) < 0 ||
        vf_buf_str(ret, rec->group ? rec->group : "", err) < 0 ||
        vf_buf_u8(ret, (uint8_t)rec->state, err) < 0 ||
        vf_buf_u32(ret, rec->cluster_size, err) < 0 || vf_buf_u64(ret, st->dev, err) < 0 ||
        vf_buf_u64(ret, st->ino, err) < 0 || vf_buf_u64(ret, st->size, err) < 0 ||
        vf_buf_u64(ret, (uint64_t)st->mtime_ns, err) < 0 ||
        vf_buf_u64(ret, (uint64_t)st->ctime_ns, err) < 0 || vf_buf_u8(ret, st->regular, err) < 0 ||
        vf_buf_u64(ret, (uint64_t)rec->indexed_at, err) < 0 ||
        encode_info(ret, &rec->info, err) < 0)
        return -1;
    return frame_end(ret);
}

static bool decode_info(struct vf_reader *r, struct vf_map_info *ret)
{
    uint8_t top;

    if (!vf_reader_varint(r, &ret->size) || !vf_reader_varint(r, &ret->zero_blocks) ||
        !vf_reader_varint(r, &ret->distinct_blocks) || !vf_reader_u8(r, &top) || top >= VF_LEVELS)
        return false;
    ret->top = top;
    for (unsigned k = 1; k <= top; k++)
        if (!vf_reader_varint(r, &ret->nodes[k]))
            return false;
    ret->blocks = vf_blocks_of(ret->size);
    if (ret->zero_blocks > ret->blocks)
        return false;
    ret->nodes[0] = ret->blocks - ret->zero_blocks;
    return vf_reader_copy(r, ret->root, VF_SHA_LEN);
}

static bool decode_stat(struct vf_reader *r, struct vf_image_stat *ret)
{
    uint64_t mtime, ctime;
    uint8_t regular;

    if (!vf_reader_u64(r, &ret->dev) || !vf_reader_u64(r, &ret->ino) ||
        !vf_reader_u64(r, &ret->size) || !vf_reader_u64(r, &mtime) || !vf_reader_u64(r, &ctime) ||
        !vf_reader_u8(r, &regular) || regular > 1)
        return false;
    ret->mtime_ns = (int64_t)mtime;
    ret->ctime_ns = (int64_t)ctime;
    ret->regular = regular;
    return true;
}

/* A string that the reader has checked, as one of our own. */
static char *own(const char *s, size_t len, struct vf_error *err)
{
    return vf_strf(err, "%.*s", (int)len, s);
}

/* 1, 0: malformed, or -1: no memory. */
static int decode_image(struct vf_reader *r, struct vf_image_record *ret, struct vf_error *err)
{
    const char *path, *format, *group;
    size_t path_len, format_len, group_len;
    uint64_t when;
    uint8_t state;

    if (!vf_reader_u64(r, &ret->generation) ||
        !vf_reader_str(r, VF_INDEX_PATH_MAX, &path, &path_len) ||
        !vf_reader_str(r, VF_INDEX_FORMAT_MAX, &format, &format_len) ||
        !vf_reader_str(r, VF_INDEX_GROUP_MAX, &group, &group_len) || !vf_reader_u8(r, &state) ||
        state > VF_IMAGE_MOVING || !vf_reader_u32(r, &ret->cluster_size) ||
        !decode_stat(r, &ret->st) || !vf_reader_u64(r, &when) || !decode_info(r, &ret->info) ||
        vf_reader_left(r) != 0)
        return 0;
    ret->state = (enum vf_image_state)state;
    ret->indexed_at = (int64_t)when;
    ret->path = own(path, path_len, err);
    ret->format = ret->path ? own(format, format_len, err) : NULL;
    ret->group = ret->format ? own(group, group_len, err) : NULL;
    return ret->group ? 1 : -1;
}

int vf_image_record_decode(const void *data, size_t len, struct vf_image_record *ret,
                           struct vf_error *err)
{
    struct vf_image_record rec = {0};
    struct vf_reader r;
    int rc;

    if (frame_open(data, len, "an image record", &r, err) < 0)
        return -1;
    rc = decode_image(&r, &rec, err);
    if (rc > 0 &&
        (vf_record_check_path(rec.path, NULL) < 0 || vf_map_info_check(&rec.info, NULL) < 0))
        rc = 0;
    if (rc == 0)
        (void)vf_error_set(err, VF_ERR_FORMAT, 0, "an image record is malformed"); /* rc says it */
    if (rc <= 0) {
        vf_image_record_clear(&rec);
        return -1;
    }
    *ret = rec;
    return 0;
}

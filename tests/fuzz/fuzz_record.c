/* Records of the index.  First byte: which kind; the rest: its bytes.  The checksum is put right
 * first, or nothing behind it would ever be reached.  What is accepted must come back the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "index/le.h"
#include "index/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void image(const uint8_t *data, size_t len)
{
    struct vf_image_record rec, again;
    struct vf_buf b = VF_BUF_INIT;

    if (vf_image_record_decode(data, len, &rec, NULL) < 0)
        return;
    if (vf_image_record_encode(&b, &rec, NULL) < 0 || b.len != len || memcmp(b.data, data, len) ||
        vf_image_record_copy(&rec, &again, NULL) < 0 || strcmp(rec.path, again.path) != 0)
        abort();
    vf_image_record_clear(&rec);
    vf_image_record_clear(&again);
    vf_buf_free(&b);
}

static void version(const uint8_t *data, size_t len)
{
    struct vf_version_record rec;
    struct vf_buf b = VF_BUF_INIT;

    if (vf_version_decode(data, len, &rec, NULL) < 0)
        return;
    if (vf_version_encode(&b, &rec, NULL) < 0 || b.len != len || memcmp(b.data, data, len))
        abort();
    vf_buf_free(&b);
}

static void generation(const uint8_t *data, size_t len)
{
    enum vf_generation_state state;
    struct vf_buf b = VF_BUF_INIT;

    if (vf_generation_decode(data, len, &state, NULL) < 0)
        return;
    if (vf_generation_encode(&b, state, NULL) < 0 || b.len != len || memcmp(b.data, data, len))
        abort();
    vf_buf_free(&b);
}

static void id(const uint8_t *data, size_t len)
{
    uint8_t got[VF_STORE_ID_LEN];
    struct vf_buf b = VF_BUF_INIT;

    if (vf_id_decode(data, len, got, NULL) < 0)
        return;
    if (vf_id_encode(&b, got, NULL) < 0 || b.len != len || memcmp(b.data, data, len))
        abort();
    vf_buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t *copy;
    size_t n;

    if (len < 6)
        return 0;
    n = len - 1;
    copy = malloc(n);
    if (!copy)
        return 0;
    memcpy(copy, data + 1, n);
    if (data[0] % 4 == 1)
        vf_stn(copy + n - 4, 4, vf_index_checksum(copy, n - 4));
    else
        vf_stn(copy, 4, vf_index_checksum(copy + 4, n - 4));
    if (data[0] % 4 == 0)
        image(copy, n);
    else if (data[0] % 4 == 1)
        version(copy, n);
    else if (data[0] % 4 == 2)
        generation(copy, n);
    else
        id(copy, n);
    free(copy);
    return 0;
}

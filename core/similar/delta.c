/* core/similar/delta.c - librsync, with its traps fenced. */
#include "core/similar/delta.h"

#include <librsync.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/be.h"
#include "core/checked.h"
#include "core/hash/digest.h"

#define STEP       65536u /* bytes given and taken at once */
#define STRONG_LEN 16u
#define SIG_HEAD   12u               /* magic, block length, length of a strong sum: 4 each */
#define SIG_ENTRY  (4u + STRONG_LEN) /* of a block */
/* librsync searches a hash table whose places the one who made the signature can choose: with so
 * few blocks even the worst signature costs less than a second. */
#define BLOCKS_MAX 16384u
#define BLOCK_MIN  512u
#define BLOCK_MAX  65536u

static void silent(rs_loglevel level, char const *msg)
{
    (void)level;
    (void)msg;
}

static void set_silent(void) { rs_trace_to(silent); }

/* librsync would write to standard error what it thinks of hostile bytes. */
static void prepare(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, set_silent); /* cannot fail */
}

static size_t block_len(size_t len)
{
    size_t b = len <= (1u << 20) ? 1024 : 2048;

    while (len > (uint64_t)b * BLOCKS_MAX)
        b *= 2;
    return b;
}

static int failed(rs_result r, struct vf_error *err)
{
    if (r == RS_MEM_ERROR)
        return vf_error_nomem(err);
    return vf_error_set(err, VF_ERR_PROTOCOL, 0, "a delta or a signature is malformed: %s",
                        rs_strerror(r));
}

/* librsync's structs have no const. */
static char *no_const(const uint8_t *p) { return (char *)(uintptr_t)p; }

/* Runs a job over all of the input.  What comes out is appended to *ret, which may grow by max
 * bytes; ret NULL: nothing may come out. */
static int run(rs_job_t *job, const uint8_t *in, size_t len, size_t max, struct vf_buf *ret,
               struct vf_error *err)
{
    const size_t had = ret ? ret->len : 0;
    uint8_t *out = vf_calloc(1, STEP, err);
    rs_buffers_t b = {.next_in = no_const(in)};
    rs_result r = RS_BLOCKED;
    size_t given = 0;
    int rc = out ? 0 : -1;

    while (rc == 0 && r == RS_BLOCKED) {
        const size_t more = len - given < STEP ? len - given : STEP, was = b.avail_in + more;
        size_t made;

        b.avail_in += more;
        given += more;
        b.eof_in = given == len;
        b.next_out = (char *)out;
        b.avail_out = STEP;
        r = rs_job_iter(job, &b);
        made = STEP - b.avail_out;
        if (r != RS_BLOCKED && r != RS_DONE)
            rc = failed(r, err);
        else if (made && (!ret || made > max - (ret->len - had)))
            rc = vf_error_set(err, VF_ERR_RANGE, 0, "a result of more than %zu bytes", max);
        else if (made)
            rc = vf_buf_add(ret, out, made, err);
        else if (r == RS_BLOCKED && b.eof_in && b.avail_in == was)
            rc = failed(RS_INPUT_ENDED, err); /* it would wait for ever */
    }
    free(out);
    if (rc == 0 && (given < len || b.avail_in))
        rc = failed(RS_CORRUPT, err); /* something comes behind the end */
    return rc;
}

int vf_delta_signature(const void *old, size_t len, struct vf_buf *ret, struct vf_error *err)
{
    const size_t had = ret->len;
    rs_job_t *job;
    int rc;

    if (len > VF_DELTA_FILE_MAX)
        return vf_error_set(err, VF_ERR_RANGE, 0, "%zu bytes are too many for a signature", len);
    prepare();
    job = rs_sig_begin(block_len(len), STRONG_LEN, RS_RK_BLAKE2_SIG_MAGIC);
    if (!job)
        return vf_error_nomem(err);
    rc = run(job, old, len, VF_DELTA_SIGNATURE_MAX, ret, err);
    rs_job_free(job);
    if (rc < 0)
        ret->len = had;
    return rc;
}

int vf_delta_signature_check(const void *sig, size_t len, struct vf_error *err)
{
    const uint8_t *p = sig;

    if (len < SIG_HEAD || len > VF_DELTA_SIGNATURE_MAX || (len - SIG_HEAD) % SIG_ENTRY != 0 ||
        (len - SIG_HEAD) / SIG_ENTRY > BLOCKS_MAX || vf_be32(p) != RS_RK_BLAKE2_SIG_MAGIC ||
        vf_be32(p + 4) < BLOCK_MIN || vf_be32(p + 4) > BLOCK_MAX || vf_be32(p + 8) != STRONG_LEN)
        return failed(RS_CORRUPT, err);
    return 0;
}

int vf_delta_make(const void *sig, size_t sig_len, const void *data, size_t len, size_t max,
                  struct vf_buf *ret, struct vf_error *err)
{
    const size_t had = ret->len;
    rs_signature_t *sums = NULL;
    rs_job_t *job = NULL;
    rs_result r;
    int rc = -1;

    if (vf_delta_signature_check(sig, sig_len, err) < 0)
        return -1;
    if (len > VF_DELTA_FILE_MAX)
        return vf_error_set(err, VF_ERR_RANGE, 0, "%zu bytes are too many for a delta", len);
    prepare();
    job = rs_loadsig_begin(&sums);
    if (!job)
        return vf_error_nomem(err);
    rc = run(job, sig, sig_len, 0, NULL, err);
    rs_job_free(job);
    if (rc == 0 && (r = rs_build_hash_table(sums)) != RS_DONE)
        rc = failed(r, err);
    if (rc == 0) {
        job = rs_delta_begin(sums);
        rc = job ? run(job, data, len, max, ret, err) : vf_error_nomem(err);
        if (job)
            rs_job_free(job);
    }
    if (sums)
        rs_free_sumset(sums);
    if (rc < 0)
        ret->len = had;
    return rc;
}

/* ---- the other side ---- */

struct basis {
    const uint8_t *p;
    size_t len;
};

static rs_result copy(void *opaque, rs_long_t pos, size_t *len, void **buf)
{
    const struct basis *b = opaque;

    if (pos < 0 || (uint64_t)pos >= b->len || *len == 0)
        return RS_CORRUPT;
    if (*len > b->len - (uint64_t)pos)
        *len = b->len - (size_t)pos;
    memcpy(*buf, b->p + pos, *len);
    return RS_DONE;
}

static int check_sha(const uint8_t *p, size_t len, const uint8_t want[VF_SHA_LEN],
                     struct vf_error *err)
{
    struct vf_sha *sha = vf_sha_new(err);
    uint8_t got[VF_SHA_LEN];
    int rc = sha ? vf_sha_of(sha, p, len, got, err) : -1;

    vf_sha_free(sha);
    if (rc == 0 && memcmp(got, want, VF_SHA_LEN) != 0)
        rc = vf_error_set(err, VF_ERR_MISMATCH, 0, "a delta gave something else than was promised");
    return rc;
}

int vf_delta_apply(const void *old, size_t old_len, const void *delta, size_t delta_len, size_t max,
                   const uint8_t sha[VF_SHA_LEN], struct vf_buf *ret, struct vf_error *err)
{
    struct basis basis = {old, old_len};
    const size_t had = ret->len;
    rs_job_t *job;
    int rc;

    if (delta_len > VF_DELTA_FILE_MAX + 65536u)
        return failed(RS_CORRUPT, err);
    prepare();
    job = rs_patch_begin(copy, &basis);
    if (!job)
        return vf_error_nomem(err);
    rc = run(job, delta, delta_len, max, ret, err);
    rs_job_free(job);
    if (rc < 0 && err && err->code == VF_ERR_RANGE)
        err->code = VF_ERR_PROTOCOL; /* the peer was told how much may come */
    if (rc == 0)
        rc = check_sha(ret->data ? ret->data + had : NULL, ret->len - had, sha, err);
    if (rc < 0)
        ret->len = had;
    return rc;
}

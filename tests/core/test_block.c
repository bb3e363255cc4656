/* The units. */
#include "core/block.h"

#include <openssl/evp.h>

#include "tests/lib/check.h"

TEST(blocks_of_rounds_up)
{
    CHECK_EQ_U64(vf_blocks_of(0), 0);
    CHECK_EQ_U64(vf_blocks_of(1), 1);
    CHECK_EQ_U64(vf_blocks_of(512), 1);
    CHECK_EQ_U64(vf_blocks_of(513), 2);
    CHECK_EQ_U64(vf_blocks_of(UINT64_MAX), UINT64_MAX / 512 + 1);
}

TEST(zero_digest_is_md5_of_512_zeros)
{
    uint8_t zeros[VF_BLOCK] = {0}, md[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    if (EVP_Digest(zeros, sizeof zeros, md, &len, EVP_md5(), NULL) != 1)
        SKIP("OpenSSL does not offer MD5 here");
    CHECK_EQ_U64(len, VF_MD5_LEN);
    CHECK_MEM(vf_zero_md5, md, VF_MD5_LEN);
}

TESTS(blocks_of_rounds_up, zero_digest_is_md5_of_512_zeros)

/* Growing bytes, and reading them back within bounds. */
#include "core/buf.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/check.h"

TEST(empty_buffers_can_be_freed)
{
    struct vf_buf b = VF_BUF_INIT;

    vf_buf_free(&b);
    vf_buf_free(&b);
    CHECK(b.data == NULL && b.cap == 0);
}

TEST(appends_and_grows)
{
    struct vf_buf b = VF_BUF_INIT;
    struct vf_error err;
    uint8_t piece[1000];

    vf_test_random(1, piece, sizeof piece);
    CHECK_OK(vf_buf_add(&b, NULL, 0, &err), &err);
    for (size_t i = 0; i < 100; i++)
        CHECK_OK(vf_buf_add(&b, piece, sizeof piece, &err), &err);
    CHECK_EQ_U64(b.len, 100 * sizeof piece);
    CHECK(b.cap >= b.len);
    for (size_t i = 0; i < 100; i++)
        CHECK_MEM(b.data + i * sizeof piece, piece, sizeof piece);
    vf_buf_clear(&b);
    CHECK_EQ_U64(b.len, 0);
    CHECK(b.data != NULL);
    vf_buf_free(&b);
}

TEST(refuses_impossible_sizes_unchanged)
{
    struct vf_buf b = VF_BUF_INIT;
    struct vf_error err;

    CHECK_OK(vf_buf_u8(&b, 1, &err), &err);
    CHECK_FAIL(vf_buf_reserve(&b, SIZE_MAX, &err), &err, VF_ERR_NOMEM);
    CHECK_FAIL(vf_buf_reserve(&b, SIZE_MAX / 2 + 1, &err), &err, VF_ERR_NOMEM);
    CHECK_EQ_U64(b.len, 1);
    CHECK_EQ_U64(b.data[0], 1);
    vf_buf_free(&b);
}

TEST(reserve_gives_a_pointer_even_for_nothing)
{
    struct vf_buf b = VF_BUF_INIT;
    struct vf_error err;

    CHECK_OK(vf_buf_reserve(&b, 0, &err), &err);
    CHECK(b.data != NULL);
    vf_buf_free(&b);
}

TEST(integers_are_little_endian)
{
    static const uint8_t want[] = {0x01, 0x03, 0x02, 0x07, 0x06, 0x05, 0x04, 0x0f,
                                   0x0e, 0x0d, 0x0c, 0x0b, 0x0a, 0x09, 0x08};
    struct vf_buf b = VF_BUF_INIT;
    struct vf_error err;
    struct vf_reader r;
    uint8_t v8;
    uint16_t v16;
    uint32_t v32;
    uint64_t v64;

    CHECK_OK(vf_buf_u8(&b, 1, &err), &err);
    CHECK_OK(vf_buf_u16(&b, 0x0203, &err), &err);
    CHECK_OK(vf_buf_u32(&b, 0x04050607, &err), &err);
    CHECK_OK(vf_buf_u64(&b, UINT64_C(0x08090a0b0c0d0e0f), &err), &err);
    CHECK_EQ_U64(b.len, sizeof want);
    CHECK_MEM(b.data, want, sizeof want);
    r = vf_reader_over(b.data, b.len);
    CHECK(vf_reader_u8(&r, &v8) && v8 == 1);
    CHECK(vf_reader_u16(&r, &v16) && v16 == 0x0203);
    CHECK(vf_reader_u32(&r, &v32) && v32 == 0x04050607);
    CHECK(vf_reader_u64(&r, &v64) && v64 == UINT64_C(0x08090a0b0c0d0e0f));
    CHECK_EQ_U64(vf_reader_left(&r), 0);
    vf_buf_free(&b);
}

TEST(varints_round_trip)
{
    struct vf_error err;

    for (unsigned bit = 0; bit <= 64; bit++)
        for (int add = -1; add <= 1; add++) {
            uint64_t v = (bit < 64 ? UINT64_C(1) << bit : 0) + (uint64_t)(int64_t)add, got = 0;
            struct vf_buf b = VF_BUF_INIT;
            struct vf_reader r;

            CHECK_OK(vf_buf_varint(&b, v, &err), &err);
            r = vf_reader_over(b.data, b.len);
            CHECK(vf_reader_varint(&r, &got));
            CHECK_EQ_U64(got, v);
            CHECK_EQ_U64(vf_reader_left(&r), 0);
            /* Every shorter piece is incomplete. */
            for (size_t n = 0; n < b.len; n++) {
                r = vf_reader_over(b.data, n);
                CHECK(!vf_reader_varint(&r, &got));
                CHECK_EQ_U64(vf_reader_left(&r), n);
            }
            vf_buf_free(&b);
        }
}

TEST(malformed_varints_are_refused)
{
    static const struct {
        size_t len;
        uint8_t bytes[12];
    } bad[] = {
        {2, {0x80, 0x00}},                                                        /* 0, long */
        {3, {0xff, 0x80, 0x00}},                                                  /* 127, long */
        {10, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}},       /* 65 bits */
        {11, {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01}}, /* 11 bytes */
        {10, {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00}},       /* 0, long */
        {10, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81}},       /* goes on */
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct vf_reader r = vf_reader_over(bad[i].bytes, bad[i].len);
        uint64_t v = 5;

        CHECK(!vf_reader_varint(&r, &v));
        CHECK_EQ_U64(v, 5);
        CHECK_EQ_U64(vf_reader_left(&r), bad[i].len);
    }
}

TEST(readers_stop_at_the_end)
{
    static const uint8_t bytes[7] = {1, 2, 3, 4, 5, 6, 7};
    struct vf_reader r = vf_reader_over(bytes, sizeof bytes);
    uint64_t v64 = 9;
    uint32_t v32 = 9;
    uint16_t v16 = 9;
    uint8_t v8 = 9, copy[8] = {0};
    const uint8_t *p = NULL;

    CHECK(!vf_reader_u64(&r, &v64) && v64 == 9);
    CHECK(!vf_reader_copy(&r, copy, 8) && copy[0] == 0);
    CHECK(!vf_reader_bytes(&r, SIZE_MAX, &p) && p == NULL);
    CHECK_EQ_U64(vf_reader_left(&r), 7);
    CHECK(vf_reader_u32(&r, &v32));
    CHECK(!vf_reader_u32(&r, &v32));
    CHECK(vf_reader_bytes(&r, 2, &p) && p == bytes + 4);
    CHECK(!vf_reader_u16(&r, &v16) && v16 == 9);
    CHECK(vf_reader_copy(&r, copy, 1) && copy[0] == 7);
    CHECK(!vf_reader_u8(&r, &v8) && v8 == 9);
    CHECK(vf_reader_copy(&r, copy, 0));
    r = vf_reader_over(NULL, 0);
    CHECK(vf_reader_copy(&r, NULL, 0));
    CHECK(!vf_reader_u8(&r, &v8));
}

TEST(strings_round_trip)
{
    struct vf_buf b = VF_BUF_INIT;
    struct vf_error err;
    struct vf_reader r;
    const char *s = NULL;
    char text[300];
    size_t len;

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    CHECK_OK(vf_buf_str(&b, "", &err), &err);
    CHECK_OK(vf_buf_str(&b, text, &err), &err);
    CHECK_EQ_U64(b.len, 1 + 2 + 299);
    r = vf_reader_over(b.data, b.len);
    CHECK(vf_reader_str(&r, 0, &s, &len));
    CHECK_EQ_U64(len, 0);
    CHECK(!vf_reader_str(&r, 298, &s, &len)); /* longer than allowed */
    CHECK_EQ_U64(vf_reader_left(&r), 301);
    CHECK(vf_reader_str(&r, 299, &s, &len));
    CHECK(len == 299 && memcmp(s, text, len) == 0);
    vf_buf_free(&b);
}

TEST(bad_strings_are_refused)
{
    static const uint8_t with_nul[] = {3, 'a', 0, 'b'}, cut[] = {3, 'a', 'b'},
                         huge[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 'a'};
    struct vf_reader r = vf_reader_over(with_nul, sizeof with_nul);
    const char *s = NULL;
    size_t n;

    CHECK(!vf_reader_str(&r, 100, &s, &n));
    CHECK_EQ_U64(vf_reader_left(&r), sizeof with_nul);
    r = vf_reader_over(cut, sizeof cut);
    CHECK(!vf_reader_str(&r, 100, &s, &n));
    CHECK_EQ_U64(vf_reader_left(&r), sizeof cut);
    r = vf_reader_over(huge, sizeof huge);
    CHECK(!vf_reader_str(&r, SIZE_MAX, &s, &n));
    CHECK(s == NULL);
}

TEST(as_text)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_buf b = VF_BUF_INIT;
    char *text;

    CHECK_OK(vf_buf_add(&b, "some", 4, &err), &err);
    text = vf_buf_text(&b, &err);
    CHECK_STR(text, "some");
    CHECK(!b.data && b.len == 0 && b.cap == 0);
    free(text);
    text = vf_buf_text(&b, &err);
    CHECK_STR(text, "");
    free(text);
}

TESTS(as_text, empty_buffers_can_be_freed, appends_and_grows, refuses_impossible_sizes_unchanged,
      reserve_gives_a_pointer_even_for_nothing, integers_are_little_endian, varints_round_trip,
      malformed_varints_are_refused, readers_stop_at_the_end, strings_round_trip,
      bad_strings_are_refused)

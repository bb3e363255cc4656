/* tests/lib/check.h - the small test library.
 *
 *     #include "tests/lib/check.h"
 *
 *     TEST(adds) { CHECK_EQ_U64(1 + 1, 2); }
 *     TEST(opens)
 *     {
 *         struct vf_error err;
 *         CHECK_OK(vf_open("x", &err), &err);
 *     }
 *     TESTS(adds, opens)
 *
 * TESTS defines main.  It runs the tests in order (or only those named as arguments), prints
 * "ok NAME", "not ok NAME" or "skip NAME: why" and a count, and exits with 0, with 1 if any failed,
 * or with 77 if every test was skipped.
 *
 * A failed CHECK prints file and line and ends its test at once (from the test's own thread by a
 * jump, so memory leaks then; from any other thread it ends the program with 1).  Every macro
 * evaluates its arguments once. */
#ifndef VF_TESTS_LIB_CHECK_H
#define VF_TESTS_LIB_CHECK_H

#undef NDEBUG /* asserts stay on in tests */

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond))                                                                               \
            vf_check_failed(__FILE__, __LINE__, "%s", #cond);                                      \
    } while (0)

#define CHECK_EQ_U64(a, b) vf_check_u64(__FILE__, __LINE__, #a " == " #b, (a), (b))
#define CHECK_EQ_I64(a, b) vf_check_i64(__FILE__, __LINE__, #a " == " #b, (a), (b))
/* Both strings; NULL equals only NULL. */
#define CHECK_STR(a, b) vf_check_str(__FILE__, __LINE__, #a " == " #b, (a), (b))
/* The text needle occurs in hay. */
#define CHECK_HAS(hay, needle) vf_check_has(__FILE__, __LINE__, #hay, (hay), (needle))
/* len equal bytes; prints where they differ. */
#define CHECK_MEM(a, b, len) vf_check_mem(__FILE__, __LINE__, #a " == " #b, (a), (b), (len))

/* A call that must succeed: returns 0, or a pointer that is not NULL.  errp is the struct vf_error
 * * that the call was given; its message is printed otherwise. */
#define CHECK_OK(call, errp)                                                                       \
    do {                                                                                           \
        __auto_type vf_got_ = (call);                                                              \
        if (!_Generic(vf_got_, int : vf_is_0, long : vf_is_0, default : vf_is_ptr)(vf_got_))       \
            vf_check_failed(__FILE__, __LINE__, "%s failed with '%s': %s", #call,                  \
                            vf_err_name((errp)->code), (errp)->msg);                               \
    } while (0)

/* As CHECK_OK for calls that return some number that is not negative (a descriptor, a length). */
#define CHECK_GE0(call, errp)                                                                      \
    do {                                                                                           \
        if ((call) < 0)                                                                            \
            vf_check_failed(__FILE__, __LINE__, "%s failed with '%s': %s", #call,                  \
                            vf_err_name((errp)->code), (errp)->msg);                               \
    } while (0)

/* A call that must fail: returns -1 or NULL, with that code and a message of one phrase. */
#define CHECK_FAIL(call, errp, want)                                                               \
    do {                                                                                           \
        struct vf_error *vf_err_ = (errp);                                                         \
        __auto_type vf_got_ = (call);                                                              \
        if (_Generic(vf_got_, int : vf_is_neg, long : vf_is_neg, default : vf_is_null)(vf_got_))   \
            vf_check_error(__FILE__, __LINE__, #call, vf_err_, (want), vf_err_name(vf_err_->code), \
                           vf_err_name(want));                                                     \
        else                                                                                       \
            vf_check_failed(__FILE__, __LINE__, "%s succeeded", #call);                            \
    } while (0)

/* Ends the test without a verdict. */
#define SKIP(reason) vf_check_skip("%s", reason)

#define TEST(name) static void vf_test_##name(void)

struct vf_test {
    const char *name;
    void (*run)(void);
};

#define TESTS(...)                                                                                 \
    static const struct vf_test vf_tests_[] = {VF_EACH_(VF_TEST_ENTRY_, __VA_ARGS__){NULL, NULL}}; \
    int main(int argc, char **argv) { return vf_test_main(vf_tests_, argc, argv); }

/* A private directory, made at the first call and removed with all that is in it at exit.  Owned by
 * the library. */
const char *vf_test_tmpdir(void);

/* Path of name inside vf_test_tmpdir(); owned by the library until exit. */
const char *vf_test_path(const char *name);

/* Writes len bytes to the file at path (replacing it); fails the test if that does not work. */
void vf_test_write_file(const char *path, const void *data, size_t len);

/* len bytes that look random, the same ones for the same seed on every machine. */
void vf_test_random(uint64_t seed, void *ret, size_t len);

/* True if the program is in PATH. */
bool vf_test_have(const char *program);

/* ---- behind the macros ---- */

int vf_test_main(const struct vf_test *tests, int argc, char **argv);
void vf_check_failed(const char *file, int line, const char *fmt, ...) VF_PRINTF(3, 4)
    __attribute__((noreturn));
void vf_check_skip(const char *fmt, ...) VF_PRINTF(1, 2) __attribute__((noreturn));
void vf_check_u64(const char *file, int line, const char *what, uint64_t a, uint64_t b);
void vf_check_i64(const char *file, int line, const char *what, int64_t a, int64_t b);
void vf_check_str(const char *file, int line, const char *what, const char *a, const char *b);
void vf_check_has(const char *file, int line, const char *what, const char *hay,
                  const char *needle);
void vf_check_mem(const char *file, int line, const char *what, const void *a, const void *b,
                  size_t len);
void vf_check_error(const char *file, int line, const char *call, const struct vf_error *err,
                    enum vf_err want, const char *got_name, const char *want_name);

static inline bool vf_is_0(long long v) { return v == 0; }
static inline bool vf_is_neg(long long v) { return v == -1; }
static inline bool vf_is_ptr(const void *p) { return p != NULL; }
static inline bool vf_is_null(const void *p) { return p == NULL; }

/* VF_EACH_(m, a, b, c) is m(a) m(b) m(c), for up to 340 names. */
#define VF_TEST_ENTRY_(name)         {#name, vf_test_##name},
#define VF_EACH_(m, ...)             __VA_OPT__(VF_SCAN_(VF_EACH_STEP_(m, __VA_ARGS__)))
#define VF_EACH_STEP_(m, first, ...) m(first) __VA_OPT__(VF_EACH_AGAIN_ VF_PAREN_(m, __VA_ARGS__))
#define VF_EACH_AGAIN_()             VF_EACH_STEP_
#define VF_PAREN_                    ()
#define VF_SCAN_(...)                VF_SCAN4_(VF_SCAN4_(VF_SCAN4_(VF_SCAN4_(__VA_ARGS__))))
#define VF_SCAN4_(...)               VF_SCAN3_(VF_SCAN3_(VF_SCAN3_(VF_SCAN3_(__VA_ARGS__))))
#define VF_SCAN3_(...)               VF_SCAN2_(VF_SCAN2_(VF_SCAN2_(VF_SCAN2_(__VA_ARGS__))))
#define VF_SCAN2_(...)               VF_SCAN1_(VF_SCAN1_(VF_SCAN1_(VF_SCAN1_(__VA_ARGS__))))
#define VF_SCAN1_(...)               __VA_ARGS__

#endif

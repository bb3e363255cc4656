/* core/checked.c - strings on the heap, and numbers from text. */
#include "core/checked.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LARGE_PAGE (UINT64_C(2) << 20)

void *vf_calloc_table(size_t n, struct vf_error *err)
{
    uint8_t *p = vf_calloc(n, 1, err);
    uintptr_t from = ((uintptr_t)p + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE;

    if (p &&
        from + LARGE_PAGE <= (uintptr_t)p + n) /* it is advice: what becomes of it is no matter */
        (void)madvise((void *)from, ((uintptr_t)p + n - from) / LARGE_PAGE * LARGE_PAGE,
                      MADV_HUGEPAGE);
    return p;
}

void vf_table_touch(void *table, size_t n)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t from = ((uintptr_t)table + page - 1) / page * page;

    if (from + page <= (uintptr_t)table + n) /* without it, the memory comes later */
        (void)madvise((void *)from, ((uintptr_t)table + n - from) / page * page,
                      MADV_POPULATE_WRITE);
}

char *vf_strf(struct vf_error *err, const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&s, fmt, ap);
    va_end(ap);
    if (n < 0) {
        (void)vf_error_nomem(err); /* the NULL says it */
        return NULL;
    }
    return s;
}

char *vf_strdup(const char *s, struct vf_error *err)
{
    char *copy = strdup(s);

    if (!copy)
        (void)vf_error_nomem(err); /* the NULL says it */
    return copy;
}

/* Digits at the front of text; *ret_end is what follows them.  false if there are none, or the
 * number does not fit. */
static bool digits(const char *text, uint64_t *ret, const char **ret_end)
{
    const char *p = text;
    uint64_t v = 0;

    for (; *p >= '0' && *p <= '9'; p++)
        if (!vf_mul_ok(v, UINT64_C(10), &v) || !vf_add_ok(v, (uint64_t)(*p - '0'), &v))
            return false;
    if (p == text)
        return false;
    *ret = v;
    *ret_end = p;
    return true;
}

int vf_parse_u64(const char *text, const char *what, uint64_t lo, uint64_t hi, uint64_t *ret,
                 struct vf_error *err)
{
    const char *end;
    uint64_t v;

    if (!digits(text, &v, &end) || *end || v < lo || v > hi)
        return vf_error_set(err, VF_ERR_USAGE, 0,
                            "%s must be a number from %" PRIu64 " to %" PRIu64 ", not '%s'", what,
                            lo, hi, text);
    *ret = v;
    return 0;
}

/* The factor that a suffix stands for; 0 if it is none of ours. */
static uint64_t factor_of(const char *suffix)
{
    static const struct {
        char text[3];
        uint64_t factor;
    } known[] = {
        {"", 1},
        {"k", UINT64_C(1000)},
        {"M", UINT64_C(1000000)},
        {"G", UINT64_C(1000000000)},
        {"T", UINT64_C(1000000000000)},
        {"Ki", UINT64_C(1) << 10},
        {"Mi", UINT64_C(1) << 20},
        {"Gi", UINT64_C(1) << 30},
        {"Ti", UINT64_C(1) << 40},
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(suffix, known[i].text) == 0)
            return known[i].factor;
    return 0;
}

int vf_parse_size(const char *text, const char *what, uint64_t lo, uint64_t hi, uint64_t *ret,
                  struct vf_error *err)
{
    const char *end;
    uint64_t v, factor;

    if (!digits(text, &v, &end) || !(factor = factor_of(end)) || !vf_mul_ok(v, factor, &v) ||
        v < lo || v > hi)
        return vf_error_set(err, VF_ERR_USAGE, 0,
                            "%s must be a size from %" PRIu64 " to %" PRIu64
                            " (k, M, G, T or Ki, Mi, Gi, Ti may follow), not '%s'",
                            what, lo, hi, text);
    *ret = v;
    return 0;
}

/* cmd/report.c - numbers and names as people and programs read them. */
#include "cmd/report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "core/block.h"
#include "core/checked.h"

VF_PRINTF(1, 0) static void say(const char *fmt, va_list ap)
{
    char *text;

    if (vasprintf(&text, fmt, ap) < 0)
        return; /* a message lost is all */
    fputs("vmferry: ", stderr);
    vf_put_clean(stderr, text);
    fputc('\n', stderr);
    free(text);
}

void vf_complain(const struct vf_error *err)
{
    fputs("vmferry: ", stderr);
    vf_put_clean(stderr, err->msg);
    fputc('\n', stderr);
}

void vf_say(const struct vf_cli *cli, const char *fmt, ...)
{
    va_list ap;

    if (cli->quiet)
        return;
    va_start(ap, fmt);
    say(fmt, ap);
    va_end(ap);
}

void vf_say_more(const struct vf_cli *cli, const char *fmt, ...)
{
    va_list ap;

    if (cli->quiet || !cli->verbose)
        return;
    va_start(ap, fmt);
    say(fmt, ap);
    va_end(ap);
}

int vf_report_set(struct vf_cli *cli, json_t *obj, struct vf_error *err)
{
    if (!obj)
        return vf_error_nomem(err);
    json_decref(cli->report);
    cli->report = obj;
    return 0;
}

json_t *vf_report_error(json_t *obj, const struct vf_error *err)
{
    json_t *inner = json_object();

    if (!obj)
        obj = json_object();
    if (!inner || !obj || json_object_set_new(inner, "code", json_string(vf_err_name(err->code))) ||
        json_object_set_new(inner, "message", vf_json_text(err->msg)) ||
        json_object_set(obj, "error", inner)) {
        json_decref(obj);
        obj = NULL;
    }
    json_decref(inner);
    return obj;
}

/* Bytes of the UTF-8 character at p, which does not end the text: 0 if it is none. */
static size_t utf8_char(const unsigned char *p)
{
    unsigned c = p[0], least;
    size_t n;

    if (c < 0x80)
        return 1;
    if (c >= 0xc2 && c <= 0xdf)
        n = 2, least = 0x80, c &= 0x1f;
    else if ((c & 0xf0) == 0xe0)
        n = 3, least = 0x800, c &= 0x0f;
    else if (c >= 0xf0 && c <= 0xf4)
        n = 4, least = 0x10000, c &= 0x07;
    else
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    return c < least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ? 0 : n;
}

/* The same, and 0 for a control character. */
static size_t clean_char(const unsigned char *p)
{
    if (p[0] < 0x20 || p[0] == 0x7f || (p[0] == 0xc2 && p[1] < 0xa0))
        return 0;
    return utf8_char(p);
}

bool vf_is_utf8(const char *text)
{
    for (const char *p = text; *p;) {
        size_t n = utf8_char((const unsigned char *)p);

        if (!n)
            return false;
        p += n;
    }
    return true;
}

json_t *vf_json_text(const char *text)
{
    char *copy = strdup(text), *p;
    json_t *ret;

    if (!copy)
        return NULL;
    for (p = copy; *p;) {
        size_t n = clean_char((const unsigned char *)p);

        if (!n)
            *p = '?';
        p += n ? n : 1;
    }
    ret = json_string_nocheck(copy);
    free(copy);
    return ret;
}

void vf_put_clean(FILE *out, const char *text)
{
    for (const char *p = text; *p;) {
        size_t n = clean_char((const unsigned char *)p);

        if (n)
            fwrite(p, 1, n, out);
        else
            fputc('?', out);
        p += n ? n : 1;
    }
}

void vf_digest_text(const uint8_t sha[VF_SHA_LEN], char ret[VF_DIGEST_TEXT])
{
    static const char hex[] = "0123456789abcdef";
    char *p = stpcpy(ret, "sha256:");

    for (unsigned i = 0; i < VF_SHA_LEN; i++) {
        *p++ = hex[sha[i] >> 4];
        *p++ = hex[sha[i] & 15];
    }
    *p = '\0';
}

void vf_bytes_text(uint64_t bytes, char ret[VF_BYTES_TEXT])
{
    static const char *const unit[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double v = (double)bytes;
    unsigned i = 0;

    while (v >= 999.5 && i < 6) {
        v /= 1000;
        i++;
    }
    snprintf(ret, VF_BYTES_TEXT, "%.*f %s",
             i == 0 || v >= 99.95 ? 0
             : v >= 9.995         ? 1
                                  : 2,
             v, unit[i]);
}

void vf_seconds_text(double seconds, char ret[VF_BYTES_TEXT])
{
    uint64_t s = seconds < 0 ? 0 : seconds > 1e9 ? 1000000000 : (uint64_t)(seconds + 0.5);

    if (seconds < 9.95)
        snprintf(ret, VF_BYTES_TEXT, "%.1f s", seconds < 0 ? 0 : seconds);
    else if (s < 60)
        snprintf(ret, VF_BYTES_TEXT, "%" PRIu64 " s", s);
    else if (s < 3600)
        snprintf(ret, VF_BYTES_TEXT, "%" PRIu64 " min %02" PRIu64 " s", s / 60, s % 60);
    else
        snprintf(ret, VF_BYTES_TEXT, "%" PRIu64 " h %02" PRIu64 " min", s / 3600, s % 3600 / 60);
}

double vf_share(uint64_t part, uint64_t whole)
{
    return whole ? (double)part / (double)whole : 1.0;
}

void vf_share_text(uint64_t part, uint64_t whole, char ret[VF_BYTES_TEXT])
{
    snprintf(ret, VF_BYTES_TEXT, "%.2f %%", 100 * vf_share(part, whole));
}

/* ---- tables ---- */

enum { TABLE_COLUMNS = 16 };

struct vf_table {
    const char *align; /* at most TABLE_COLUMNS */
    size_t columns, cells, room;
    char **cell;
};

struct vf_table *vf_table_new(const char *align, struct vf_error *err)
{
    struct vf_table *t = vf_calloc(1, sizeof *t, err);

    if (t) {
        t->align = align;
        t->columns = strlen(align);
    }
    return t;
}

int vf_table_add(struct vf_table *t, struct vf_error *err, const char *fmt, ...)
{
    va_list ap;
    char *text;
    int n;

    if (t->cells == t->room) {
        size_t room = t->room ? t->room * 2 : 64;
        char **more = reallocarray(t->cell, room, sizeof *more);

        if (!more)
            return vf_error_nomem(err);
        t->cell = more;
        t->room = room;
    }
    va_start(ap, fmt);
    n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0)
        return vf_error_nomem(err);
    t->cell[t->cells++] = text;
    return 0;
}

/* Columns on a terminal that text takes, near enough: characters. */
static size_t width(const char *text)
{
    size_t n = 0;

    for (const char *p = text; *p; n++) {
        size_t len = clean_char((const unsigned char *)p);

        p += len ? len : 1;
    }
    return n;
}

static void pad(FILE *out, size_t n)
{
    while (n--)
        fputc(' ', out);
}

static void print_row(const struct vf_table *t, size_t row, size_t n, const size_t *wide, FILE *out)
{
    for (size_t i = 0; i < n; i++) {
        const char *cell = t->cell[row + i];
        size_t room = wide[i] - width(cell);

        if (t->align[i] == 'r')
            pad(out, room);
        vf_put_clean(out, cell);
        if (i + 1 == n)
            continue;
        if (t->align[i] != 'r')
            pad(out, room);
        fputs("  ", out);
    }
    fputc('\n', out);
}

void vf_table_print(const struct vf_table *t, FILE *out)
{
    size_t wide[TABLE_COLUMNS] = {0};

    for (size_t i = 0; i < t->cells; i++) {
        size_t own = width(t->cell[i]);

        if (own > wide[i % t->columns])
            wide[i % t->columns] = own;
    }
    for (size_t row = 0; row < t->cells; row += t->columns) {
        size_t n = t->cells - row < t->columns ? t->cells - row : t->columns;

        while (n > 1 && !*t->cell[row + n - 1]) /* no blanks for empty cells at the end */
            n--;
        print_row(t, row, n, wide, out);
    }
}

void vf_table_free(struct vf_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->cells; i++)
        free(t->cell[i]);
    free(t->cell);
    free(t);
}

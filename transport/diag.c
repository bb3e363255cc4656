/* transport/diag.c - a ring of bytes, and the cleaning of foreign text. */
#include "transport/diag.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"

void vf_diag_init(struct vf_diag *d)
{
    (void)pthread_mutex_init(&d->lock, NULL); /* cannot fail with default attributes on Linux */
    d->total = 0;
}

void vf_diag_destroy(struct vf_diag *d) { (void)pthread_mutex_destroy(&d->lock); }

void vf_diag_add(struct vf_diag *d, const void *data, size_t len)
{
    const char *p = data;

    (void)pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < len; i++)
        d->ring[d->total++ % VF_DIAG_KEEP] = p[i];
    (void)pthread_mutex_unlock(&d->lock);
}

/* Length of the well-formed UTF-8 sequence at s (left bytes there) that is no control character;
 * 0: there is none. */
static size_t utf8_len(const unsigned char *s, size_t left)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    uint32_t c = n == 4 ? s[0] & 7u : n == 3 ? s[0] & 15u : s[0] & 31u;

    if (n == 1)
        return s[0] >= 0x20 && s[0] != 0x7f;
    if (n == 0 || s[0] > 0xf4 || left < n)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3fu);
    }
    /* Overlong, C1 controls, line and paragraph separators, direction overrides, surrogates, too
     * large. */
    if (c < least[n] || c < 0xa0 || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) ||
        (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
        return 0;
    return n;
}

/* Cleans len bytes in place (the result is never longer); text has room for a zero behind it. */
static void clean(char *text, size_t len)
{
    size_t to = 0, line = 0; /* line: where the current line begins in the result */

    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)text[i];
        size_t n;

        if (c == '\n' || c == '\r') {
            while (to > line && text[to - 1] == ' ')
                to--;
            if (to > line)
                text[to++] = '\n';
            line = to;
            i++;
            continue;
        }
        n = c == '\t' ? 0 : utf8_len((unsigned char *)text + i, len - i);
        if (n)
            memmove(text + to, text + i, n);
        else
            text[to] = c == '\t' ? ' ' : '?';
        to += n ? n : 1;
        i += n ? n : 1;
    }
    while (to && (text[to - 1] == '\n' || text[to - 1] == ' '))
        to--;
    text[to] = 0;
}

char *vf_diag_text(struct vf_diag *d, struct vf_error *err)
{
    char *text = vf_calloc(VF_DIAG_KEEP + 1, 1, err), *nl;
    size_t len, first, start = 0;
    bool cut;

    if (!text)
        return NULL;
    (void)pthread_mutex_lock(&d->lock);
    cut = d->total > VF_DIAG_KEEP;
    len = cut ? VF_DIAG_KEEP : d->total;
    first = d->total - len;
    for (size_t i = 0; i < len; i++)
        text[i] = d->ring[(first + i) % VF_DIAG_KEEP];
    (void)pthread_mutex_unlock(&d->lock);
    nl = cut ? memchr(text, '\n', len) : NULL;
    if (nl && (size_t)(nl + 1 - text) < len)
        start = (size_t)(nl + 1 - text);
    memmove(text, text + start, len - start);
    clean(text, len - start);
    return text;
}

const char *vf_diag_last_line(const char *text)
{
    const char *nl = strrchr(text, '\n');

    return nl ? nl + 1 : text;
}

/* transport/words.c - splitting and quoting of command lines. */
#include "transport/words.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/checked.h"

void vf_words_free(struct vf_words *w)
{
    for (size_t i = 0; i < w->n; i++)
        free(w->v[i]);
    free(w->v);
    *w = (struct vf_words)VF_WORDS_INIT;
}

/* Takes s (frees it on failure). */
static int take(struct vf_words *w, char *s, struct vf_error *err)
{
    if (!s)
        return -1; /* the maker said why */
    if (w->n + 2 > w->cap) {
        size_t cap = w->cap ? w->cap * 2 : 16;
        char **v = reallocarray(w->v, cap, sizeof *v);

        if (!v) {
            free(s);
            return vf_error_nomem(err);
        }
        w->v = v;
        w->cap = cap;
    }
    w->v[w->n++] = s;
    w->v[w->n] = NULL;
    return 0;
}

int vf_words_add(struct vf_words *w, const char *s, struct vf_error *err)
{
    return take(w, vf_strdup(s, err), err);
}

int vf_words_addf(struct vf_words *w, struct vf_error *err, const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&s, fmt, ap);
    va_end(ap);
    if (n < 0)
        return vf_error_nomem(err);
    return take(w, s, err);
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/* One word at *p into to, which has room for all of it; moves *p behind it.  False: open quote. */
static bool one_word(const char **p, char *to)
{
    const char *s = *p;
    char quote = 0;

    for (; *s && (quote || !is_blank(*s)); s++) {
        if (*s == quote) {
            quote = 0;
        } else if (!quote && (*s == '\'' || *s == '"')) {
            quote = *s;
        } else if (*s == '\\' && quote != '\'') {
            if (!*++s)
                return false;
            *to++ = *s;
        } else {
            *to++ = *s;
        }
    }
    *to = 0;
    *p = s;
    return !quote;
}

int vf_words_split(struct vf_words *w, const char *text, struct vf_error *err)
{
    char *word = vf_calloc(strlen(text) + 1, 1, err);
    const char *p = text;
    int rc = -1;

    if (!word)
        return -1;
    for (;;) {
        while (is_blank(*p))
            p++;
        if (!*p)
            break;
        if (!one_word(&p, word)) {
            (void)vf_error_set(err, VF_ERR_USAGE, 0, "open quote in '%s'", text); /* rc is -1 */
            goto out;
        }
        if (vf_words_add(w, word, err) < 0)
            goto out;
    }
    rc = 0;
out:
    free(word);
    return rc;
}

int vf_words_serve(struct vf_words *w, const char *program, const char *store,
                   const char *const *args, struct vf_error *err)
{
    if (vf_words_add(w, program, err) < 0)
        return -1;
    if (store && (vf_words_add(w, "--store", err) < 0 || vf_words_add(w, store, err) < 0))
        return -1;
    if (vf_words_add(w, "serve", err) < 0)
        return -1;
    for (; args && *args; args++)
        if (vf_words_add(w, *args, err) < 0)
            return -1;
    return 0;
}

static bool needs_quotes(const char *s)
{
    if (!*s || *s == '~' || *s == '=')
        return true;
    for (; *s; s++)
        if (!(*s >= 'a' && *s <= 'z') && !(*s >= 'A' && *s <= 'Z') && !(*s >= '0' && *s <= '9') &&
            !strchr("_./:=@%+,-~", *s))
            return true;
    return false;
}

static int add_quoted(struct vf_buf *b, const char *s, struct vf_error *err)
{
    if (!needs_quotes(s))
        return vf_buf_add(b, s, strlen(s), err);
    if (vf_buf_u8(b, '\'', err) < 0)
        return -1;
    for (; *s; s++)
        if (vf_buf_add(b, *s == '\'' ? "'\\''" : s, *s == '\'' ? 4 : 1, err) < 0)
            return -1;
    return vf_buf_u8(b, '\'', err);
}

char *vf_words_shell(const struct vf_words *w, struct vf_error *err)
{
    struct vf_buf b = VF_BUF_INIT;

    for (size_t i = 0; i < w->n; i++)
        if ((i && vf_buf_u8(&b, ' ', err) < 0) || add_quoted(&b, w->v[i], err) < 0)
            goto fail;
    return vf_buf_text(&b, err);
fail:
    vf_buf_free(&b);
    return NULL;
}

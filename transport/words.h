/* transport/words.h - between one text and many words: a command line without a shell, and words
 * quoted for the shell at the far end.
 *
 * Thread rules: an object belongs to one thread at a time. */
#ifndef VF_TRANSPORT_WORDS_H
#define VF_TRANSPORT_WORDS_H

#include <stddef.h>

#include "core/error.h"

/* A growing, NULL-terminated argument vector; every string is owned by it. */
struct vf_words {
    char **v;
    size_t n, cap;
};
#define VF_WORDS_INIT                                                                              \
    {                                                                                              \
        NULL, 0, 0                                                                                 \
    }

void vf_words_free(struct vf_words *w);

/* Appends a copy of s.  0, or -1 (NOMEM). */
int vf_words_add(struct vf_words *w, const char *s, struct vf_error *err) VF_MUST_CHECK;

/* Appends a formatted word. */
int vf_words_addf(struct vf_words *w, struct vf_error *err, const char *fmt, ...)
    VF_PRINTF(3, 4) VF_MUST_CHECK;

/* Appends the words of text: split at blanks; '...' takes everything as it is; in "..." and outside
 * a backslash takes the next character as it is.  Nothing else is special: no variables, no
 * wildcards, no shell.  0, or -1: VF_ERR_USAGE when a quote is left open. */
int vf_words_split(struct vf_words *w, const char *text, struct vf_error *err) VF_MUST_CHECK;

/* Appends `PROGRAM [--store STORE] serve [ARGS]`: what a far end runs.  store and the
 * NULL-terminated args may be NULL. */
int vf_words_serve(struct vf_words *w, const char *program, const char *store,
                   const char *const *args, struct vf_error *err) VF_MUST_CHECK;

/* All words, each quoted for a POSIX shell where it needs that, joined by blanks.  Owned (free). */
char *vf_words_shell(const struct vf_words *w, struct vf_error *err);

/* The vector as exec and vf_proc_start want it. */
static inline const char *const *vf_words_argv(const struct vf_words *w)
{
    return (const char *const *)w->v;
}

#endif

/* cmd/opts.h - command line options by table, with types and ranges.
 *
 * An option is `--name`, `--name VALUE`, `--name=VALUE` or `-x`; one-letter options take no value
 * and may be joined (`-qv`).  `--` ends the options.  Names are never abbreviated, so that a new
 * option cannot change what an old script means.
 *
 * Thread rules: none; everything here belongs to the caller. */
#ifndef VF_CMD_OPTS_H
#define VF_CMD_OPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

enum vf_opt_kind {
    VF_OPT_FLAG,   /* bool */
    VF_OPT_TEXT,   /* const char *, borrowed from argv */
    VF_OPT_NUMBER, /* uint64_t in lo..hi */
    VF_OPT_SIZE,   /* the same with a suffix k, M, G, T or Ki, Mi, Gi, Ti */
    VF_OPT_LIST    /* struct vf_opt_list; may be given many times */
};

struct vf_opt {
    const char *name; /* without "--"; NULL ends the table */
    char letter;      /* 0: none */
    enum vf_opt_kind kind;
    size_t off;       /* of the field, in the struct that the set points to */
    const char *arg;  /* what help calls the value; NULL for flags */
    const char *help; /* one line */
    uint64_t lo, hi;  /* of numbers and sizes */
    /* Texts and lists: the words allowed, as "raw|qcow2"; NULL: any but the empty text. */
    const char *choices;
};

struct vf_opt_list {
    const char **item; /* texts borrowed from argv; the array is owned: vf_opts_free */
    size_t n;
};

/* A table and the struct that it fills. */
struct vf_opt_set {
    const struct vf_opt *opts; /* NULL: no options */
    void *into;
};

/* Reads argv[0..argc) by the tables of sets[0..n).  Operands are moved to the front of argv in
 * their order, and *ret_operands says how many.  stop_at_operand: the first operand ends the
 * parsing, and *ret_operands is its place in argv (argc: there is none), nothing is moved. Errors
 * are VF_ERR_USAGE. */
int vf_opts_parse(const struct vf_opt_set *sets, size_t n, int argc, char **argv,
                  bool stop_at_operand, int *ret_operands, struct vf_error *err) VF_MUST_CHECK;

/* The first option of the table that was given, of those whose field lies in the len bytes from
 * `off` on of the struct at `in`; NULL: none.  Given is what is not zero: only for fields whose
 * default is zero. */
const struct vf_opt *vf_opts_given(const struct vf_opt *opts, const void *in, size_t off,
                                   size_t len);

/* What an option does not go with.  Like vf_opts_given it sees only options whose default is zero.
 */
struct vf_opt_rule {
    const char *with;  /* when this one is given: */
    bool only;         /* no other but `names`; else none of `names` */
    const char *names; /* "a|b" */
};

/* Holds what was given against rules, which end with one that has no `with`.  0, or -1
 * (VF_ERR_USAGE) with the options' names. */
int vf_opts_check(const struct vf_opt *opts, const struct vf_opt_rule *rules, const void *in,
                  struct vf_error *err) VF_MUST_CHECK;

/* Releases the lists that parsing made in set->into. */
void vf_opts_free(const struct vf_opt_set *set);

/* The name in names[0..n) that a mistyped word most likely meant; NULL when none is near. */
const char *vf_opts_nearest(const char *word, const char *const names[], size_t n);

#endif

/* cmd/opts.c - reads the command line by the tables of opts.h. */
#include "cmd/opts.h"

#include <stdlib.h>
#include <string.h>

#include "core/checked.h"

enum { NEAREST_MAX = 32, NEAREST_NAMES = 64 };

/* Edit distance of two short words; too long ones are as far as can be. */
static size_t distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b), row[NEAREST_MAX + 1];

    if (la > NEAREST_MAX || lb > NEAREST_MAX)
        return NEAREST_MAX;
    for (size_t j = 0; j <= lb; j++)
        row[j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);

            diagonal = row[j];
            row[j] = row[j] + 1 < row[j - 1] + 1 ? row[j] + 1 : row[j - 1] + 1;
            if (change < row[j])
                row[j] = change;
        }
    }
    return row[lb];
}

const char *vf_opts_nearest(const char *word, const char *const names[], size_t n)
{
    size_t best = strlen(word) / 3 + 2; /* exclusive: one slip in a short word, more in a long */
    const char *ret = NULL;

    for (size_t i = 0; i < n; i++) {
        size_t d = distance(word, names[i]);

        if (d < best) {
            best = d;
            ret = names[i];
        }
    }
    return ret;
}

/* The option that arg ("--name" or "--name=value") means, and the set it belongs to. */
static const struct vf_opt *find_long(const struct vf_opt_set *sets, size_t n, const char *name,
                                      size_t len, void **ret_into)
{
    for (size_t i = 0; i < n; i++)
        for (const struct vf_opt *o = sets[i].opts; o && o->name; o++)
            if (strlen(o->name) == len && memcmp(o->name, name, len) == 0) {
                *ret_into = sets[i].into;
                return o;
            }
    return NULL;
}

static const struct vf_opt *find_letter(const struct vf_opt_set *sets, size_t n, char letter,
                                        void **ret_into)
{
    for (size_t i = 0; i < n; i++)
        for (const struct vf_opt *o = sets[i].opts; o && o->name; o++)
            if (o->letter == letter) {
                *ret_into = sets[i].into;
                return o;
            }
    return NULL;
}

static int unknown_long(const struct vf_opt_set *sets, size_t n, const char *name, size_t len,
                        struct vf_error *err)
{
    const char *names[NEAREST_NAMES], *near;
    char word[NEAREST_MAX + 1];
    size_t have = 0;

    for (size_t i = 0; i < n; i++)
        for (const struct vf_opt *o = sets[i].opts; o && o->name && have < NEAREST_NAMES; o++)
            names[have++] = o->name;
    if (len > NEAREST_MAX)
        len = NEAREST_MAX;
    memcpy(word, name, len);
    word[len] = '\0';
    near = vf_opts_nearest(word, names, have);
    if (near)
        return vf_error_set(err, VF_ERR_USAGE, 0, "unknown option '--%s', did you mean '--%s'?",
                            word, near);
    return vf_error_set(err, VF_ERR_USAGE, 0, "unknown option '--%s'", word);
}

/* True if word is one of "a|b|c". */
static bool is_one_of(const char *choices, const char *word)
{
    size_t len = strlen(word);

    for (const char *p = choices; *p;) {
        size_t n = strcspn(p, "|");

        if (n == len && memcmp(p, word, n) == 0)
            return true;
        p += n + (p[n] == '|');
    }
    return false;
}

static int add_to_list(struct vf_opt_list *list, const char *value, struct vf_error *err)
{
    const char **more = reallocarray(list->item, list->n + 1, sizeof *more);

    if (!more)
        return vf_error_nomem(err);
    more[list->n++] = value;
    list->item = more;
    return 0;
}

static int set_value(const struct vf_opt *o, void *into, const char *value, struct vf_error *err)
{
    char *field = (char *)into + o->off, what[NEAREST_MAX + 3] = "--";

    strncat(what, o->name, NEAREST_MAX);
    switch (o->kind) {
    case VF_OPT_FLAG:
        *(bool *)(void *)field = true;
        return 0;
    case VF_OPT_NUMBER:
        return vf_parse_u64(value, what, o->lo, o->hi, (uint64_t *)(void *)field, err);
    case VF_OPT_SIZE:
        return vf_parse_size(value, what, o->lo, o->hi, (uint64_t *)(void *)field, err);
    case VF_OPT_TEXT:
    case VF_OPT_LIST:
        break;
    }
    if (!*value)
        return vf_error_set(err, VF_ERR_USAGE, 0, "%s must not be empty", what);
    if (o->choices && !is_one_of(o->choices, value))
        return vf_error_set(err, VF_ERR_USAGE, 0, "%s must be one of %s, not '%s'", what,
                            o->choices, value);
    if (o->kind == VF_OPT_LIST)
        return add_to_list((struct vf_opt_list *)(void *)field, value, err);
    *(const char **)(void *)field = value;
    return 0;
}

/* One "--name..." at argv[*i]; takes the value from the next place if it is not here. */
static int parse_long(const struct vf_opt_set *sets, size_t n, int argc, char **argv, int *i,
                      struct vf_error *err)
{
    const char *name = argv[*i] + 2, *value;
    size_t len = strcspn(name, "=");
    const struct vf_opt *o;
    void *into = NULL;

    o = find_long(sets, n, name, len, &into);
    if (!o)
        return unknown_long(sets, n, name, len, err);
    value = name[len] == '=' ? name + len + 1 : NULL;
    if (o->kind == VF_OPT_FLAG) {
        if (value)
            return vf_error_set(err, VF_ERR_USAGE, 0, "option '--%s' takes no value", o->name);
    } else if (!value) {
        if (*i + 1 >= argc)
            return vf_error_set(err, VF_ERR_USAGE, 0, "option '--%s' needs a value (%s)", o->name,
                                o->arg);
        value = argv[++*i];
    }
    return set_value(o, into, value, err);
}

/* "-x" or several letters joined. */
static int parse_letters(const struct vf_opt_set *sets, size_t n, const char *letters,
                         struct vf_error *err)
{
    for (const char *p = letters; *p; p++) {
        void *into = NULL;
        const struct vf_opt *o = find_letter(sets, n, *p, &into);

        if (!o || o->kind != VF_OPT_FLAG)
            return vf_error_set(err, VF_ERR_USAGE, 0, "unknown option '-%c'", *p);
        if (set_value(o, into, NULL, err) < 0)
            return -1;
    }
    return 0;
}

int vf_opts_parse(const struct vf_opt_set *sets, size_t n, int argc, char **argv,
                  bool stop_at_operand, int *ret_operands, struct vf_error *err)
{
    bool only_operands = false;
    int have = 0;

    for (int i = 0; i < argc; i++) {
        char *arg = argv[i];

        if (only_operands || arg[0] != '-' || !arg[1]) {
            if (stop_at_operand) {
                *ret_operands = i;
                return 0;
            }
            argv[have++] = arg;
        } else if (strcmp(arg, "--") == 0) {
            only_operands = true;
        } else if (arg[1] == '-') {
            if (parse_long(sets, n, argc, argv, &i, err) < 0)
                return -1;
        } else if (parse_letters(sets, n, arg + 1, err) < 0) {
            return -1;
        }
    }
    *ret_operands = stop_at_operand ? argc : have;
    return 0;
}

static bool is_given(const struct vf_opt *o, const void *in)
{
    const void *field = (const char *)in + o->off;

    switch (o->kind) {
    case VF_OPT_FLAG:
        return *(const bool *)field;
    case VF_OPT_TEXT:
        return *(const char *const *)field != NULL;
    case VF_OPT_NUMBER:
    case VF_OPT_SIZE:
        return *(const uint64_t *)field != 0;
    case VF_OPT_LIST:
        return ((const struct vf_opt_list *)field)->n != 0;
    }
    return false;
}

const struct vf_opt *vf_opts_given(const struct vf_opt *opts, const void *in, size_t off,
                                   size_t len)
{
    for (const struct vf_opt *o = opts; o && o->name; o++)
        if (o->off >= off && o->off - off < len && is_given(o, in))
            return o;
    return NULL;
}

static bool is_named(const struct vf_opt *opts, const char *name, const void *in)
{
    for (const struct vf_opt *o = opts; o->name; o++)
        if (strcmp(o->name, name) == 0)
            return is_given(o, in);
    return false;
}

int vf_opts_check(const struct vf_opt *opts, const struct vf_opt_rule *rules, const void *in,
                  struct vf_error *err)
{
    for (const struct vf_opt_rule *r = rules; r->with; r++) {
        if (!is_named(opts, r->with, in))
            continue;
        for (const struct vf_opt *o = opts; o->name; o++)
            if (is_given(o, in) && strcmp(o->name, r->with) != 0 &&
                is_one_of(r->names, o->name) != r->only)
                return vf_error_set(err, VF_ERR_USAGE, 0, "--%s does not go with --%s", o->name,
                                    r->with);
    }
    return 0;
}

void vf_opts_free(const struct vf_opt_set *set)
{
    for (const struct vf_opt *o = set->opts; o && o->name; o++)
        if (o->kind == VF_OPT_LIST) {
            struct vf_opt_list *list = (void *)((char *)set->into + o->off);

            free(list->item);
            *list = (struct vf_opt_list){NULL, 0};
        }
}

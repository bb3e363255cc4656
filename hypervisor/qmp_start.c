/* hypervisor/qmp_start.c - the store's command for starting a guest, with its blanks filled in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/checked.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/qmp.h"

#define WORDS_MAX 512u
#define NAME_MAX_ 32u

void vf_qmp_start_words_free(char **words)
{
    for (size_t i = 0; words && words[i]; i++)
        free(words[i]);
    free(words);
}

/* What the blank with that name stands for; NULL: there is no such blank. */
static const char *value_of(const char *name, const json_t *request)
{
    static const char *const plain[] = {"name", "dir", "qmp"};
    static const char *const disk[][2] = {{"disk", "path"}, {"format", "format"}};

    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (strcmp(name, plain[i]) == 0)
            return vf_qmp_text(request, name);
    for (size_t i = 0; i < sizeof disk / sizeof *disk; i++) {
        size_t len = strlen(disk[i][0]);
        uint64_t n;

        if (strncmp(name, disk[i][0], len) == 0 &&
            vf_parse_u64(name + len, name, 0, 9999, &n, NULL) == 0) {
            const json_t *d = json_array_get(json_object_get(request, "disks"), (size_t)n);

            return d ? vf_qmp_text(d, disk[i][1]) : NULL;
        }
    }
    return NULL;
}

/* One word, which ends at a blank or the end of *text. */
static char *fill_word(const char **text, const json_t *request, struct vf_error *err)
{
    struct vf_buf b = VF_BUF_INIT;
    const char *p = *text;

    for (; *p && *p != ' ' && *p != '\t'; p++) {
        char name[NAME_MAX_];
        size_t len = strcspn(p, "} \t");
        const char *value = NULL;

        /* Only a lower-case word in braces is a blank: JSON in a command is left alone. */
        if (*p == '{' && p[1] >= 'a' && p[1] <= 'z' && p[len] == '}' && len - 1 < sizeof name) {
            (void)snprintf(name, sizeof name, "%.*s", (int)(len - 1), p + 1);
            value = value_of(name, request);
            if (!value) {
                (void)vf_error_set(err, VF_ERR_USAGE, 0, "[qmp] start: unknown blank {%s}", name);
                goto failed;
            }
            if (vf_buf_add(&b, value, strlen(value), err) < 0)
                goto failed;
            p += len;
        } else if (vf_buf_add(&b, p, 1, err) < 0) {
            goto failed;
        }
    }
    if (vf_buf_u8(&b, 0, err) < 0)
        goto failed;
    *text = p;
    return (char *)b.data; /* as malloc gave it */
failed:
    vf_buf_free(&b);
    return NULL;
}

static int add(char **words, size_t *n, char *word, struct vf_error *err)
{
    if (!word)
        return -1;
    if (*n == WORDS_MAX) {
        free(word);
        return vf_error_set(err, VF_ERR_USAGE, 0, "[qmp] start has too many words");
    }
    words[(*n)++] = word;
    return 0;
}

char **vf_qmp_start_words(const char *start, json_t *request, struct vf_error *err)
{
    static const char incoming[] = "{incoming}";
    static const char *const expanded[] = {"-incoming", "defer", "-S"};
    char **words = vf_calloc(WORDS_MAX + 1, sizeof *words, err);
    size_t n = 0, len;
    int rc = words ? 0 : -1;

    for (const char *p = start + strspn(start, " \t"); *p && rc == 0; p += strspn(p, " \t")) {
        len = strcspn(p, " \t");
        if (len == strlen(incoming) && strncmp(p, incoming, len) == 0) {
            for (size_t i = 0; i < 3 && rc == 0; i++)
                rc = add(words, &n, vf_strdup(expanded[i], err), err);
            p += len;
        } else {
            rc = add(words, &n, fill_word(&p, request, err), err);
        }
    }
    if (rc == 0 && n == 0)
        rc = vf_error_set(err, VF_ERR_USAGE, 0, "[qmp] start is empty");
    if (rc == 0)
        return words;
    vf_qmp_start_words_free(words);
    return NULL;
}

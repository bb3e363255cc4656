/* cmd/help.c - help texts, made from the table of verbs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"

enum { HELP_COLUMN = 26 };

/* "  --name ARG    text", the text on a line of its own if there is no room. */
static void put_option(FILE *f, const struct vf_opt *o)
{
    int n = fprintf(f, o->letter ? "  -%c, --%s" : "  %.0d--%s", o->letter, o->name);

    if (o->kind != VF_OPT_FLAG)
        n += fprintf(f, " %s", o->arg);
    if (n > HELP_COLUMN - 2) {
        fputc('\n', f);
        n = 0;
    }
    fprintf(f, "%*s%s%s\n", HELP_COLUMN - n, "", o->help,
            o->kind == VF_OPT_LIST ? "; may be given several times" : "");
}

static void put_options(FILE *f, const char *title, const struct vf_opt *opts)
{
    if (!opts || !opts->name)
        return;
    fprintf(f, "\n%s:\n", title);
    for (const struct vf_opt *o = opts; o->name; o++)
        put_option(f, o);
}

/* The text that was written to the stream of open_memstream; NULL when memory ran out. */
static char *finish(FILE *f, char **text)
{
    bool bad = ferror(f) != 0;

    if (fclose(f) == 0 && !bad)
        return *text;
    free(*text);
    return NULL;
}

char *vf_help_verb(const struct vf_cmd *cmd, const struct vf_opt *global)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    if (!f)
        return NULL;
    fprintf(f, "Usage: vmferry %s [OPTION]...%s%s\n\n%s\n", cmd->name, *cmd->args ? " " : "",
            cmd->args, cmd->about);
    put_options(f, "Options", cmd->opts);
    put_options(f, "Options of every command", global);
    fprintf(f, "\nExamples:\n%s", cmd->examples);
    return finish(f, &text);
}

/* Is it a command of two words, the first of which is group? */
static bool is_in(const struct vf_cmd *cmd, const char *group)
{
    size_t n = strlen(group);

    return strncmp(cmd->name, group, n) == 0 && cmd->name[n] == ' ';
}

char *vf_help_all(const struct vf_cmd *const cmds[], const char *group, const struct vf_opt *global)
{
    const struct vf_cmd *const *all = cmds;
    char *text = NULL, title[64];
    size_t len;
    FILE *f = open_memstream(&text, &len);

    if (!f)
        return NULL;
    fprintf(f, "Usage: vmferry [OPTION]... %s%s [OPTION]... [OPERAND]...\n\n", group ? group : "",
            group ? " COMMAND" : "COMMAND");
    fputs(group ? "Commands:\n"
                : "Moves virtual machine images between sites, sending only what the other site "
                  "lacks.\n\nCommands:\n",
          f);
    for (; *cmds; cmds++) {
        const struct vf_cmd *c = *cmds;

        if (group && !is_in(c, group))
            continue;
        fprintf(f, "  %-*s%s\n", HELP_COLUMN - 2, c->name, c->summary);
    }
    for (const struct vf_cmd *const *c = all; group && *c; c++)
        if (is_in(*c, group)) {
            snprintf(title, sizeof title, "Options of %s", (*c)->name);
            put_options(f, title, (*c)->opts);
        }
    put_options(f, "Options", global);
    fputs("\n'vmferry COMMAND --help' explains a command; vmferry(1) has the rest.\n", f);
    return finish(f, &text);
}

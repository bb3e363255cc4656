/* cmd/main.c - the program: table of verbs, global options, signals, exit codes. */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/report.h"
#include "core/checked.h"
#include "transport/connect.h"

static const struct vf_cmd *const commands[] = {
    &vf_cmd_index_add,     &vf_cmd_index_ls,    &vf_cmd_index_show,
    &vf_cmd_index_rm,      &vf_cmd_index_check, &vf_cmd_indexd,
    &vf_cmd_indexd_status, &vf_cmd_similar,     &vf_cmd_migrate,
    &vf_cmd_serve,         &vf_cmd_node_add,    &vf_cmd_node_ls,
    &vf_cmd_node_rm,       &vf_cmd_node_check,  NULL,
};

#define FIELD(f) offsetof(struct vf_cli, f)
static const struct vf_opt global_opts[] = {
    {"store", 0, VF_OPT_TEXT, FIELD(store), "DIR", "the store to work with", 0, 0, NULL},
    {"config", 0, VF_OPT_TEXT, FIELD(config), "FILE", "settings, in place of STORE/vmferry.conf", 0,
     0, NULL},
    {"json", 0, VF_OPT_FLAG, FIELD(json), NULL, "print the result as one JSON object", 0, 0, NULL},
    {"progress", 0, VF_OPT_TEXT, FIELD(progress), "HOW", "auto, bar, plain, json or none", 0, 0,
     "auto|bar|plain|json|none"},
    {"quiet", 'q', VF_OPT_FLAG, FIELD(quiet), NULL, "no messages but errors, no progress", 0, 0,
     NULL},
    {"verbose", 'v', VF_OPT_FLAG, FIELD(verbose), NULL, "say more", 0, 0, NULL},
    {"help", 'h', VF_OPT_FLAG, FIELD(help), NULL, "explain, and do nothing", 0, 0, NULL},
    {"version", 0, VF_OPT_FLAG, FIELD(version), NULL, "print the version, and do nothing", 0, 0,
     NULL},
    {NULL, 0, VF_OPT_FLAG, 0, NULL, NULL, 0, 0, NULL},
};
#undef FIELD

static const struct vf_opt_rule global_rules[] = {
    {"quiet", false, "verbose"},
    {NULL, false, NULL},
};

/* The one piece of global state: set by the handler, read by everything that may take long. */
static volatile sig_atomic_t stop_flag;

/* The thread sanitizer takes a flag that others read for a race; that a signal handler may write a
 * sig_atomic_t is all that is needed here. */
__attribute__((no_sanitize("thread"))) static void on_signal(int sig)
{
    (void)sig;
    stop_flag = 1;
}

/* The second SIGINT or SIGTERM finds the default action again and ends the program at once.  Not so
 * SIGHUP: a terminal that is closed sends it, and so does its shell.  nohup(1) has it ignored. */
static void set_signals(void)
{
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND}, was;

    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    sa.sa_flags = 0;
    if (sigaction(SIGHUP, NULL, &was) == 0 && was.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &sa, NULL);
    sa = (struct sigaction){.sa_handler = SIG_IGN};
    sigemptyset(&sa.sa_mask);
    sigaction(SIGPIPE, &sa, NULL);
    sigaction(SIGXFSZ, &sa, NULL); /* a file that may not grow is an error of the write */
}

/* Did the other side answer "no"?  core/stream.h promises these words. */
static bool far_end_said_so(const struct vf_error *err)
{
    return strstr(err->msg, "far end: ") != NULL;
}

enum vf_exit vf_exit_of(const struct vf_error *err)
{
    switch (err->code) {
    case VF_ERR_USAGE:
        return far_end_said_so(err) ? VF_EXIT_PEER : VF_EXIT_USAGE;
    case VF_ERR_MISMATCH:
        return VF_EXIT_MISMATCH;
    case VF_ERR_UNREACHABLE:
    case VF_ERR_AUTH:
    case VF_ERR_PROTOCOL:
    case VF_ERR_TIMEOUT:
        return VF_EXIT_PEER;
    case VF_ERR_NOMEM:
    case VF_ERR_SPACE:
        return VF_EXIT_RESOURCE;
    case VF_ERR_CANCELLED:
        return stop_flag ? VF_EXIT_INTERRUPTED : VF_EXIT_FAILED;
    case VF_ERR_EXISTS:
    case VF_ERR_BUSY:
    case VF_ERR_DENIED:
    case VF_ERR_UNSUPPORTED:
    case VF_ERR_NOTFOUND:
        return far_end_said_so(err) ? VF_EXIT_PEER : VF_EXIT_FAILED;
    default:
        return VF_EXIT_FAILED;
    }
}

/* Is --json on this command line, also where parsing has not come to or failed before? */
static bool wants_json(int argc, char *const argv[])
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--json") == 0)
            return true;
    return false;
}

/* 0, or -1 when standard output does not take it. */
static int print_json(json_t *obj)
{
    char *text = obj ? json_dumps(obj, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
    int bad = !text || printf("%s\n", text) < 0 || fflush(stdout) != 0;

    free(text);
    return bad ? -1 : 0;
}

/* The end of every run: results and errors go where they belong. */
static int finish(struct vf_cli *cli, int rc, const struct vf_error *err)
{
    int code = rc == 0 ? VF_EXIT_DONE : (int)vf_exit_of(err);

    if (rc == 0 && cli->found_difference)
        code = VF_EXIT_FAILED;
    if (rc < 0)
        vf_complain(err);
    if (cli->json && rc < 0)
        cli->report = vf_report_error(cli->report, err);
    if (cli->json && !cli->report && rc == 0)
        cli->report = json_object();
    if ((cli->json && print_json(cli->report) < 0) || fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "vmferry: standard output: %m\n");
        if (code == VF_EXIT_DONE)
            code = VF_EXIT_FAILED;
    }
    json_decref(cli->report);
    return code;
}

/* Text (owned; NULL: memory was out) as the answer, under a name in JSON. */
static int answer(struct vf_cli *cli, const char *name, char *text, struct vf_error *err)
{
    int rc = 0;

    if (!text)
        return vf_error_nomem(err);
    if (cli->json)
        rc = vf_report_set(cli, json_pack("{s:s}", name, text), err);
    else
        fputs(text, stdout);
    free(text);
    return rc;
}

/* Does a two-word command begin with this word? */
static bool is_group(const char *word)
{
    size_t n = strlen(word);

    for (size_t i = 0; commands[i]; i++)
        if (strncmp(commands[i]->name, word, n) == 0 && commands[i]->name[n] == ' ')
            return true;
    return false;
}

static const struct vf_cmd *find_command(const char *first, const char *second)
{
    size_t n = strlen(first);

    for (size_t i = 0; commands[i]; i++) {
        const char *name = commands[i]->name;

        if (second ? strncmp(name, first, n) == 0 && name[n] == ' ' &&
                         strcmp(name + n + 1, second) == 0
                   : strcmp(name, first) == 0)
            return commands[i];
    }
    return NULL;
}

/* What a word was meant to be, the second one if there is one: the place in a command's name where
 * a word begins that is spelt nearly so, or NULL. */
static const char *nearest(const char *first, const char *second)
{
    const char *names[sizeof commands / sizeof *commands] = {0};
    const char *from[sizeof names / sizeof *names];
    char words[sizeof names / sizeof *names][16];
    size_t n = 0, skip = second ? strlen(first) + 1 : 0, i;
    const char *near;

    for (i = 0; commands[i]; i++) {
        const char *name = commands[i]->name;

        if (second && (strncmp(name, first, skip - 1) != 0 || name[skip - 1] != ' '))
            continue;
        from[n] = name + skip;
        snprintf(words[n], sizeof words[n], "%.*s", (int)strcspn(from[n], " "), from[n]);
        names[n] = words[n];
        n++;
    }
    near = vf_opts_nearest(second ? second : first, names, n);
    for (i = 0; i < n; i++)
        if (near == names[i])
            return from[i];
    return NULL;
}

static int unknown_command(const char *first, const char *second, struct vf_error *err)
{
    const char *near = nearest(first, second);

    if (near)
        return vf_error_set(err, VF_ERR_USAGE, 0,
                            "unknown command '%s%s%s', did you mean '%s%s%.*s'?", first,
                            second ? " " : "", second ? second : "", second ? first : "",
                            second ? " " : "", (int)strcspn(near, " "), near);
    if (second) /* the help of its group lists what it could have been */
        return vf_error_set(err, VF_ERR_USAGE, 0,
                            "unknown command '%s %s' (see 'vmferry %s --help')", first, second,
                            first);
    return vf_error_set(err, VF_ERR_USAGE, 0, "unknown command '%s' (see 'vmferry --help')", first);
}

/* Parses what follows the verb and runs it. */
static int run_command(struct vf_cli *cli, const struct vf_cmd *cmd, int argc, char **argv,
                       struct vf_error *err)
{
    struct vf_opt_set sets[2] = {{cmd->opts, NULL}, {global_opts, cli}};
    int n = 0, rc = -1;

    sets[0].into = vf_calloc(1, cmd->opts_size, err);
    if (!sets[0].into)
        return -1;
    if (cmd->defaults)
        memcpy(sets[0].into, cmd->defaults, cmd->opts_size);
    if (vf_opts_parse(sets, 2, argc, argv, false, &n, err) < 0) {
        (void)vf_error_prefix(err, "%s", cmd->name);
        goto out;
    }
    argv[n] = NULL; /* argv has one more place than arguments */
    if (cli->help)
        rc = answer(cli, "help", vf_help_verb(cmd, global_opts), err);
    else if (cli->version)
        rc = answer(cli, "version", vf_strdup("vmferry " VF_VERSION "\n", err), err);
    else if ((size_t)n < cmd->min_args || (size_t)n > cmd->max_args)
        (void)vf_error_set(err, VF_ERR_USAGE, 0, "%s: too %s operands: vmferry %s%s%s", cmd->name,
                           (size_t)n < cmd->min_args ? "few" : "many", cmd->name,
                           *cmd->args ? " " : "", cmd->args);
    else if (vf_opts_check(global_opts, global_rules, cli, err) == 0 &&
             vf_transport_init(err) == 0) {
        rc = cmd->run(cli, sets[0].into, argv, err);
        vf_transport_exit();
    }
out:
    vf_opts_free(&sets[0]);
    free(sets[0].into);
    return rc;
}

static int run(struct vf_cli *cli, int argc, char **argv, struct vf_error *err)
{
    struct vf_opt_set set = {global_opts, cli};
    const char *first = NULL, *second = NULL;
    const struct vf_cmd *cmd;
    int at = 1, n;

    if (vf_opts_parse(&set, 1, argc - at, argv + at, true, &n, err) < 0)
        return -1;
    at += n;
    if (at < argc) {
        first = argv[at++];
        if (is_group(first)) {
            if (vf_opts_parse(&set, 1, argc - at, argv + at, true, &n, err) < 0)
                return vf_error_prefix(err, "%s", first);
            at += n;
            second = at < argc ? argv[at++] : NULL;
        }
    }
    if (!first || (is_group(first) && !second && !find_command(first, NULL))) {
        if (cli->version)
            return answer(cli, "version",
                          vf_strdup(cli->json ? VF_VERSION : "vmferry " VF_VERSION "\n", err), err);
        if (cli->help)
            return answer(cli, "help", vf_help_all(commands, first, global_opts), err);
        return vf_error_set(
            err, VF_ERR_USAGE, 0, "%s%sa command is missing (see 'vmferry%s%s --help')",
            first ? first : "", first ? ": " : "", first ? " " : "", first ? first : "");
    }
    cmd = find_command(first, second);
    if (!cmd && second && !nearest(first, second)) {
        cmd = find_command(first, NULL); /* "indexd", and what follows is no command */
        at--;
    }
    if (!cmd)
        return unknown_command(first, second, err);
    return run_command(cli, cmd, argc - at, argv + at, err);
}

int main(int argc, char **argv)
{
    struct vf_cli cli = {.stop = &stop_flag};
    struct vf_error err = VF_ERROR_INIT;
    bool json = wants_json(argc, argv); /* now: parsing moves operands */
    int rc;

    /* Large buffers come and go: they are to go back to the system, not to stay in fragments. */
    (void)mallopt(M_MMAP_THRESHOLD, 256 * 1024); /* a hint */
    set_signals();
    rc = run(&cli, argc, argv, &err);
    cli.json = cli.json || (rc < 0 && json);
    return finish(&cli, rc, &err);
}

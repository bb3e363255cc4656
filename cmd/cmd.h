/* cmd/cmd.h - what a verb of the program is, and what it is given.
 *
 * cmd/main.c holds the table of verbs, parses options by the verb's own table, calls run and turns
 * its result into the exit code and, with --json, into the one object on standard output.
 *
 * Thread rules: verbs run on the main thread; cli->stop may be read by any thread. */
#ifndef VF_CMD_CMD_H
#define VF_CMD_CMD_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "cmd/opts.h"
#include "core/error.h"

#define VF_VERSION "0.1.0"

/* The contract with scripts: man page section EXIT STATUS. */
enum vf_exit {
    VF_EXIT_DONE = 0,
    VF_EXIT_FAILED = 1,       /* also: `index check` found a difference */
    VF_EXIT_USAGE = 2,        /* the request itself is wrong */
    VF_EXIT_MISMATCH = 3,     /* content did not verify */
    VF_EXIT_PEER = 4,         /* the other side was not reached, refused, or broke the protocol */
    VF_EXIT_RESOURCE = 5,     /* space, quota, memory */
    VF_EXIT_INTERRUPTED = 130 /* SIGINT, SIGTERM */
};

/* A value of the stop flag that says: do not even wait for the far end to end. */
#define VF_STOP_NOW 2

/* The options that hold for every verb, and where results go. */
struct vf_cli {
    const char *store;    /* --store; NULL: default */
    const char *config;   /* --config; NULL: STORE/vmferry.conf */
    const char *progress; /* --progress; NULL: auto */
    bool json, quiet, verbose, help, version;
    const volatile int *stop; /* non-zero after SIGINT or SIGTERM; VF_STOP_NOW: time is over */
    json_t *report;           /* the verb's result (owned); printed only with --json */
    bool found_difference;    /* the verb worked, but its answer is "no": exit 1 with the report */
};

struct vf_cmd {
    const char *name;          /* "migrate", "index add" */
    const char *args;          /* "IMAGE..."; "" for none */
    const char *summary;       /* one line, for the list of commands */
    const char *about;         /* paragraphs for --help; lines of at most 78 columns */
    const char *examples;      /* lines, each with its newline */
    const struct vf_opt *opts; /* the verb's own options; NULL: none */
    const void *defaults;      /* what they are before parsing; NULL: all zero */
    size_t opts_size;          /* size of the struct that opts point into */
    size_t min_args, max_args; /* how many operands */
    /* Does the work.  opts: the struct that was filled by parsing; args: min_args..max_args texts
     * and a NULL.  Returns 0, or -1 with *err set. */
    int (*run)(struct vf_cli *cli, const void *opts, char *const args[], struct vf_error *err);
};

extern const struct vf_cmd vf_cmd_index_add, vf_cmd_index_ls, vf_cmd_index_show, vf_cmd_index_rm,
    vf_cmd_indexd, vf_cmd_indexd_status, vf_cmd_index_check, vf_cmd_similar, vf_cmd_migrate,
    vf_cmd_serve, vf_cmd_node_add, vf_cmd_node_ls, vf_cmd_node_rm, vf_cmd_node_check;

/* Exit code for an error. */
enum vf_exit vf_exit_of(const struct vf_error *err);

/* The help text of one verb; returns owned, NULL when memory is out.  global: the options of all
 * verbs. */
char *vf_help_verb(const struct vf_cmd *cmd, const struct vf_opt *global);

/* The list of all verbs (group NULL), or of those whose first word is group. */
char *vf_help_all(const struct vf_cmd *const cmds[], const char *group,
                  const struct vf_opt *global);

#endif

/* cmd/indexd/cmd_indexd_status.c - `indexd status`: asks the running service. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/indexd/indexd.h"
#include "cmd/member.h"
#include "cmd/report.h"
#include "core/checked.h"
#include "core/fdio.h"
#include "service/control.h"

#define ANSWER_MS 10000

struct status_opts {
    bool metrics;
};

static const struct vf_opt status_table[] = {
    {"metrics", 0, VF_OPT_FLAG, offsetof(struct status_opts, metrics), NULL,
     "print the metrics, as Prometheus reads them", 0, 0, NULL},
    {NULL, 0, VF_OPT_FLAG, 0, NULL, NULL, 0, 0, NULL},
};

static void print_line(const char *label, const char *what)
{
    printf("%-12s ", label);
    vf_put_clean(stdout, what);
    putchar('\n');
}

static void print_images(json_t *images)
{
    const char *name;
    json_t *value;
    bool any = false;

    printf("%-12s %" PRIu64, "images", vf_member_number(images, "total"));
    json_object_foreach(images, name, value)
    {
        if (strcmp(name, "total") == 0 || !json_integer_value(value))
            continue;
        printf("%s%" JSON_INTEGER_FORMAT " %s", any ? ", " : " (", json_integer_value(value), name);
        any = true;
    }
    puts(any ? ")" : "");
}

static void print_files(const char *label, json_t *list)
{
    size_t i;
    json_t *o;

    json_array_foreach(list, i, o)
    {
        printf("%-12s ", label);
        vf_put_clean(stdout, vf_member_text(o, "image"));
        if (*vf_member_text(o, "message")) {
            fputs(": ", stdout);
            vf_put_clean(stdout, vf_member_text(o, "message"));
        }
        putchar('\n');
    }
}

static void print_status(json_t *s)
{
    char since[VF_BYTES_TEXT], rate[VF_BYTES_TEXT], size[VF_BYTES_TEXT];
    json_t *scan = json_object_get(s, "scan"), *o, *list = json_object_get(s, "directories");
    size_t i;

    vf_seconds_text(json_number_value(json_object_get(s, "uptime_seconds")), since);
    printf("%-12s process %" PRIu64 ", for %s\n", "runs", vf_member_number(s, "pid"), since);
    print_line("store", vf_member_text(s, "store"));
    json_array_foreach(list, i, o)
    {
        printf("%-12s ", "directory");
        vf_put_clean(stdout, vf_member_text(o, "path"));
        printf(" (%" PRIu64 " files, %s", vf_member_number(o, "files"),
               vf_member_text(o, "watched"));
        if (*vf_member_text(o, "problem")) {
            fputs(": ", stdout);
            vf_put_clean(stdout, vf_member_text(o, "problem"));
        }
        puts(")");
    }
    print_images(json_object_get(s, "images"));
    vf_bytes_text((uint64_t)json_number_value(json_object_get(s, "rate")), rate);
    vf_bytes_text(vf_member_number(s, "read_bytes"), size);
    printf("%-12s %" PRIu64 " maps from %s so far; %s/s now\n", "made",
           vf_member_number(s, "indexed"), size, rate);
    printf("%-12s %.0f s ago, took %.3f s of processor time; next in %.0f s\n", "scan",
           json_number_value(json_object_get(scan, "seconds_ago")),
           json_number_value(json_object_get(scan, "cpu_seconds")),
           json_number_value(json_object_get(scan, "next_seconds")));
    if (*vf_member_text(s, "paused"))
        print_line("paused", vf_member_text(s, "paused"));
    print_files("reading", json_object_get(s, "reading"));
    print_files("failed", json_object_get(s, "failed"));
    print_files("skipped", json_object_get(s, "skipped"));
}

/* The answer of the service; owned. */
static char *ask(struct vf_cli *cli, const char *question, struct vf_error *err)
{
    char *path = vf_storedir_path(cli->store, err), *run = NULL, *answer = NULL;
    int fd = -1;

    if (path)
        run = vf_strf(err, "%s/run", path);
    if (run) {
        fd = open(run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            (void)vf_error_set(err, VF_ERR_NOTFOUND, 0, "the service does not run");
        else
            answer = vf_control_ask(fd, VF_INDEXD_SOCKET, question, ANSWER_MS, err);
    }
    vf_close_fd(&fd);
    free(run);
    if (!answer && path)
        (void)vf_error_prefix(err, "store '%s'", path);
    free(path);
    return answer;
}

static int run_status(struct vf_cli *cli, const void *opts, char *const args[],
                      struct vf_error *err)
{
    const struct status_opts *o = opts;
    char *answer = ask(cli, o->metrics ? "metrics" : "status", err);
    json_t *status = NULL;
    int rc = -1;

    (void)args;
    if (!answer)
        return -1;
    if (o->metrics) {
        if (!cli->json)
            fputs(answer, stdout);
        rc = vf_report_set(cli, json_pack("{s:s}", "metrics", answer), err);
    } else {
        status = json_loads(answer, 0, NULL);
        if (!status)
            (void)vf_error_set(err, VF_ERR_PROTOCOL, 0, "the service's answer is not JSON");
        else
            rc = vf_report_set(cli, status, err);
        if (rc == 0 && !cli->json)
            print_status(status);
    }
    free(answer);
    return rc;
}

const struct vf_cmd vf_cmd_indexd_status = {
    .name = "indexd status",
    .args = "",
    .summary = "ask the running service how it is",
    .about = "Says which images the service looks after, how fresh they are, what waits, what it\n"
             "reads just now and what it could not index.  Fails when no service runs for this\n"
             "store.",
    .examples = "  vmferry indexd status\n"
                "  vmferry indexd status --json | jq '.images'\n"
                "  vmferry indexd status --metrics\n",
    .opts = status_table,
    .opts_size = sizeof(struct status_opts),
    .run = run_status,
};

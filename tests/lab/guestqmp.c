/* guestqmp - one QMP command from a test.
 *
 *   guestqmp SOCKET COMMAND [ARGUMENTS]        ARGUMENTS is a JSON object
 *
 * Prints what the command returns as one line of JSON.  Exits 1 when it fails or nobody answers. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static FILE *open_socket(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || strlen(path) >= sizeof to.sun_path)
        return NULL;
    memcpy(to.sun_path, path, strlen(path) + 1);
    if (connect(fd, (const struct sockaddr *)&to, sizeof to) < 0) {
        close(fd);
        return NULL;
    }
    return fdopen(fd, "r+");
}

/* The answer to one line, events left out; NULL when the connection ended. */
static json_t *answer(FILE *f)
{
    char *line = NULL;
    size_t room = 0;
    json_t *got = NULL;

    while (!got && getline(&line, &room, f) > 0) {
        got = json_loads(line, 0, NULL);
        if (!json_object_get(got, "return") && !json_object_get(got, "error")) {
            json_decref(got);
            got = NULL;
        }
    }
    free(line);
    return got;
}

static json_t *command(FILE *f, const char *name, json_t *arguments)
{
    json_t *o = json_pack("{s:s, s:O}", "execute", name, "arguments", arguments);
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_t *got = NULL;

    if (text && fprintf(f, "%s\n", text) > 0 && fflush(f) == 0)
        got = answer(f);
    free(text);
    json_decref(o);
    return got;
}

int main(int argc, char **argv)
{
    json_t *none = json_object(), *arguments = NULL, *got;
    FILE *f;
    int rc;

    if (argc < 3) {
        fprintf(stderr, "usage: guestqmp SOCKET COMMAND [ARGUMENTS]\n");
        return 2;
    }
    f = open_socket(argv[1]);
    arguments = json_loads(argc > 3 ? argv[3] : "{}", 0, NULL);
    if (!f || !arguments) {
        fprintf(stderr, "guestqmp: no connection, or arguments that are no JSON\n");
        return 1;
    }
    json_decref(command(f, "qmp_capabilities", none));
    got = command(f, argv[2], arguments);
    rc = json_object_get(got, "return") ? 0 : 1;
    json_dumpf(rc == 0 ? json_object_get(got, "return") : got, rc == 0 ? stdout : stderr,
               JSON_ENCODE_ANY | JSON_COMPACT);
    fputc('\n', rc == 0 ? stdout : stderr);
    json_decref(got);
    json_decref(arguments);
    json_decref(none);
    fclose(f);
    return rc;
}

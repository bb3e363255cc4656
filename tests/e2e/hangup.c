/* hangup.c - a library to preload: the other side of a connection hangs up.
 *
 * VF_HANGUP_AT is how many times something is received from it, counted over all connections of the
 * process; from then on recv(2) says that it has ended. */
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>

ssize_t recv(int fd, void *buf, size_t len, int flags)
{
    static atomic_long received;
    static ssize_t (*real)(int, void *, size_t, int);
    const char *at = getenv("VF_HANGUP_AT");
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;
    ssize_t n;

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "recv");
    n = real(fd, buf, len, flags);
    if (!at || n <= 0 || getpeername(fd, (struct sockaddr *)&peer, &size) < 0 ||
        peer.ss_family != AF_INET)
        return n;
    return atomic_fetch_add(&received, 1) >= atol(at) ? 0 : n;
}

/* known_hosts files: any bytes, asked about a host with and without a port; a key is accepted only
 * if its text stands in the file. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "transport/hostkey.h"
#include "transport/keytext.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define KEY "AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g"

static void ask(const uint8_t *data, size_t len, const char *host, unsigned port)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_hostkeys *h = vf_hostkeys_new(host, port, &err);
    uint8_t blob[64];
    long n = vf_base64_decode(KEY, strlen(KEY), blob);
    char methods[128];

    if (h && vf_hostkeys_add_text(h, (const char *)data, len, "file", &err) == 0) {
        (void)vf_hostkeys_needs_client(h); /* must only not crash */
        vf_hostkeys_methods(h, methods, sizeof methods);
        if (strlen(methods) < strlen("ssh-ed25519"))
            abort();
        if (vf_hostkeys_check(h, blob, (size_t)n, &err) == 0 &&
            !memmem(data, len, KEY, strlen(KEY)))
            abort();
    }
    vf_hostkeys_free(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    ask(data, len, "host.example", 22);
    ask(data, len, "host.example", 2222);
    ask(data, len, "::1", 22);
    return 0;
}

/* Targets: any text is refused or reads back to the same target; what gets through cannot be taken
 * for an option or a shell's business. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "transport/target.h"
#include "transport/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int same(const char *a, const char *b) { return a && b ? strcmp(a, b) == 0 : a == b; }

static void must(int ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct vf_target t = VF_TARGET_INIT, again = VF_TARGET_INIT;
    struct vf_error err = VF_ERROR_INIT;
    char *text = strndup((const char *)data, len), *canonical, *peer;

    if (text && vf_target_parse(text, &t, &err) == 0) {
        must(t.store == NULL || t.store[0] == '/');
        must(t.kind == VF_TARGET_LOCAL ? t.store && !t.host : t.host && t.host[0] != '-');
        must(!t.user || (t.user[0] && t.user[0] != '-' && !strpbrk(t.user, " \t\n'\"`$;|&")));
        must(t.port <= 65535);
        canonical = vf_target_text(&t, &err);
        peer = vf_target_peer(&t, &err);
        must(canonical && peer);
        /* Escapes can make the canonical text longer than what may be read. */
        if (strlen(canonical) <= VF_TARGET_TEXT_MAX) {
            must(vf_target_parse(canonical, &again, &err) == 0);
            must(t.kind == again.kind && t.port == again.port && same(t.user, again.user) &&
                 same(t.host, again.host) && same(t.store, again.store));
        }
        free(canonical);
        free(peer);
    }
    vf_target_free(&t);
    vf_target_free(&again);
    free(text);
    return 0;
}

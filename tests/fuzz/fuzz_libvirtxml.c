/* A domain's description from the peer: read, one disk changed, written, read again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hypervisor/libvirt_xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void look(struct vf_lv_xml *x)
{
    free(vf_lv_xml_get(x, "/domain/os/type/@machine", NULL));
    free(vf_lv_xml_element(x, "/domain/cpu[model]", NULL));
    free(vf_lv_xml_nth(x, "/domain/devices/interface/source/@bridge", 1, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = malloc(len + 1), *again = NULL;
    struct vf_lv_xml *x;

    if (!text)
        return 0;
    if (len)
        memcpy(text, data, len);
    text[len] = '\0';
    x = vf_lv_xml_parse(text, NULL);
    if (x) {
        look(x);
        if (vf_lv_xml_set_disk(x, "vda", "/images/a", "raw", NULL) == 0)
            again = vf_lv_xml_text(x, NULL);
        vf_lv_xml_free(x);
    }
    x = again ? vf_lv_xml_parse(again, NULL) : NULL;
    if (x)
        look(x);
    vf_lv_xml_free(x);
    free(again);
    free(text);
    return 0;
}

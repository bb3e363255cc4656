/* Fuzz target for the lines of hypervisor/qmp.c. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "hypervisor/qmp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    enum vf_qmp_kind kind;
    json_t *obj = NULL;

    if (vf_qmp_parse((const char *)data, len, &kind, &obj, NULL) < 0)
        return 0;
    if (!json_is_object(obj) || (kind == VF_QMP_EVENT && !*vf_qmp_text(obj, "event") &&
                                 !json_is_string(json_object_get(obj, "event"))))
        abort();
    (void)vf_qmp_number(obj, "id");
    json_decref(obj);
    return 0;
}

#include "cmd/eachname.h"

#include <stdbool.h>
#include <string.h>

#include "cmd/report.h"

/* Would the others fail of it as well? */
static bool ends_all(const struct vf_error *err)
{
    return err->code == VF_ERR_CANCELLED || err->code == VF_ERR_NOMEM || err->code == VF_ERR_SPACE;
}

int vf_each_name(char *const names[], vf_name_fn *fn, void *ctx, const char *key, json_t *failed,
                 struct vf_error *err)
{
    int rc = 0;

    for (size_t i = 0; names[i] && !(rc < 0 && ends_all(err)); i++) {
        struct vf_error why = VF_ERROR_INIT;
        json_t *obj;

        if (fn(ctx, names[i], &why) == 0)
            continue;
        /* Which of them: what went wrong may lie in a file that it depends on. */
        if (why.code != VF_ERR_CANCELLED && !strstr(why.msg, names[i]))
            (void)vf_error_prefix(&why, "%.128s", names[i]); /* said below */
        if (rc < 0)
            vf_complain(err);
        rc = vf_error_pass(err, &why);
        obj = json_pack("{s:o}", key, vf_json_text(names[i]));
        if (json_array_append_new(failed, obj ? vf_report_error(obj, &why) : NULL) < 0)
            return vf_error_nomem(err);
    }
    return rc;
}

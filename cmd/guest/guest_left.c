/* cmd/guest/guest_left.c - see the header. */
#include "cmd/guest/guest_left.h"

#include <string.h>

#include "cmd/guest/guest_arrival.h"
#include "cmd/member.h"

int vf_guest_left_clear(const struct vf_guest_serve *s, const struct vf_guest_dir *dir,
                        json_t *ret_spare, struct vf_error *err)
{
    struct vf_guest_arrival old;
    struct vf_error why = VF_ERROR_INIT;
    json_t *doc = vf_guest_dir_load(dir, "guest.json", &why);
    int rc = 0;

    if (!doc)
        return 0;
    if (vf_guest_arrival_open(&old, s, doc, false, &why) == 0) {
        const char *state = old.arrival->ops->state(old.arrival);
        bool committed = vf_guest_arrival_committed(&old), here = strcmp(state, "none") != 0;

        if (committed && here)
            rc = vf_error_set(err, VF_ERR_EXISTS, 0, "a guest of that name is here, and is %s",
                              state);
        else if (ret_spare)
            vf_guest_arrival_spare(&old, ret_spare);
        else if (committed)
            vf_guest_dir_remove(&old.dir, "guest.json"); /* it ran here, and has ended */
        else
            vf_guest_arrival_drop(&old);
    } else if (why.code == VF_ERR_DENIED) {
        rc = vf_error_pass(err, &why);
    }
    vf_guest_arrival_close(&old);
    json_decref(doc);
    return rc;
}

int vf_guest_left_drop(const struct vf_guest_serve *s, json_t *doc, struct vf_error *err)
{
    struct vf_guest_arrival a;
    int rc = vf_guest_arrival_open(&a, s, doc, false, err);

    if (rc == 0 && vf_guest_arrival_committed(&a))
        rc = vf_error_set(err, VF_ERR_NOTFOUND, 0, "the guest has come here");
    else if (rc == 0 && (vf_guest_arrival_kept(&a) ||
                         strcmp(a.arrival->ops->state(a.arrival), "running") == 0))
        rc = vf_error_set(err, VF_ERR_BUSY, 0,
                          "what has come of '%.64s' may be all that is left of it: run the same "
                          "command where it came from",
                          vf_member_text(doc, "name"));
    else if (rc == 0)
        vf_guest_arrival_drop(&a);
    vf_guest_arrival_close(&a);
    return rc;
}

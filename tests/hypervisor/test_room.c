/* Memory for a guest. */
#include "hypervisor/room.h"
#include "tests/lib/check.h"

static struct vf_error err;

TEST(room)
{
    CHECK_OK(vf_room_check(0, &err), &err);
    CHECK_OK(vf_room_check(1 << 20, &err), &err);
    CHECK_FAIL(vf_room_check(UINT64_MAX, &err), &err, VF_ERR_SPACE);
}

TESTS(room)

/* The check of an LMDB file: the input is the file.  It may say what it likes, but must come to an
 * end and read nothing outside. */
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/fdio.h"
#include "index/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define TXNID_AT 144u /* in a head page: the transaction's number */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);

    if (fd < 0)
        return 0;
    if (vf_write_full(fd, data, len, NULL) == 0 && vf_guard_head(fd, NULL) == 0)
        for (size_t page = 0; page < 2; page++) {
            uint64_t txnid = 0;

            if (len >= page * 4096 + TXNID_AT + sizeof txnid)
                memcpy(&txnid, data + page * 4096 + TXNID_AT, sizeof txnid);
            /* Any verdict will do. */
            if (vf_guard_trees(fd, txnid, NULL) > 0)
                continue;
        }
    vf_close_fd(&fd);
    return 0;
}

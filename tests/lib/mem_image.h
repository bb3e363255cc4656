/* tests/lib/mem_image.h - an image in memory, for tests of what reads and writes images. */
#ifndef VF_TESTS_LIB_MEM_IMAGE_H
#define VF_TESTS_LIB_MEM_IMAGE_H

#include "core/image.h"

/* A writable image of size bytes, all zero; its bytes are *ret_data (owned by the image).  Zero
 * runs of 4096 bytes and more are reported as zero extents.  Ends the test when memory is out. */
struct vf_image *vf_mem_image(uint64_t size, uint8_t **ret_data);

#endif

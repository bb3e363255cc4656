/* bench/sample.h - made-up data for benchmarks that were given no file: an unnamed temporary file
 * of words, random bytes and zeros, the same on every machine.  Ratios on it say nothing about real
 * disks; speeds are of the right order. */
#ifndef VF_BENCH_SAMPLE_H
#define VF_BENCH_SAMPLE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/fdio.h"

#define SAMPLE_LEN (UINT64_C(256) << 20)

static inline uint64_t sample_next(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

/* 64 KiB: by thirds words, random bytes, zeros. */
static inline void sample_piece(uint64_t *x, uint8_t *p)
{
    static const char words[16][9] = {
        "alpha   ", "beta    ", "gamma=1 ", "delta;  ", "{eps}   ", "zeta\n   ",
        "eta eta ", "theta:  ", "iota++  ", "kappa() ", "lambda  ", "mu, nu  ",
        "xi->pi  ", "rho     ", "sigma   ", "tau tau "};
    unsigned kind = (unsigned)(sample_next(x) % 3);

    for (size_t i = 0; i < 65536; i += 8) {
        uint64_t v = kind == 2 ? 0 : sample_next(x);

        memcpy(p + i, kind == 0 ? (const void *)words[v % 16] : (const void *)&v, 8);
    }
}

/* Descriptor of the file, or -1 with *err set. */
static inline int sample_file(struct vf_error *err)
{
    int fd = vf_tmpfile("/tmp", err);
    uint8_t *p = malloc(65536);
    uint64_t x = 88172645463325252u;

    for (uint64_t at = 0; p && fd >= 0 && at < SAMPLE_LEN; at += 65536) {
        sample_piece(&x, p);
        if (vf_pwrite_full(fd, p, 65536, at, err) < 0)
            vf_close_fd(&fd);
    }
    free(p);
    return fd;
}

#endif

/* guestlog - the writing guest of the migration laboratory, and its judge.
 *
 *   guestlog write DEVICE [PERIOD_US [OFFSET [TAG]]]   inside the guest (started by its init)
 *   guestlog check IMAGE [ACKED [OFFSET]]              outside, on a raw image
 *
 * It uses the disk from OFFSET (bytes, default 0) to the end and nothing before: 1 MiB untouched,
 * then the log, one 512-byte record for each sequence number, then from 64 MiB on the scatter area,
 * blocks of 4096 bytes, which has to read as zeros at first.  For each sequence number the writer
 * writes one scatter block at a pseudo-random place, then the log record, both with
 * O_DIRECT|O_DSYNC, and then prints "T <seq> <milliseconds of the guest's clock>" on its console
 * (with a TAG: "T:TAG ..."): what was printed is promised to be on the disk.
 *
 * A writer that finds a log goes on behind it, as after a reset.
 *
 * check replays the log: every record from 1 to the last is there, in order, the chain of checksums
 * is right, every scatter block holds what its last writer wrote, nothing lies behind the last
 * record but at most one scatter block that was not acknowledged, and the last is not before ACKED,
 * the highest number seen on any console.  It prints one line and exits 0 when all is there. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOG_OFF  (UINT64_C(1) << 20)
#define DATA_OFF (UINT64_C(64) << 20)
#define RECORD   512u
#define BLOCK    4096u
#define MAX_SEQ  ((DATA_OFF - LOG_OFF) / RECORD)
#define MAGIC    UINT64_C(0x31474f4c59525246)

struct record {
    uint64_t magic, seq, block, ms, chain;
};

struct disk {
    int fd;
    uint64_t offset, blocks; /* where our part begins; scatter blocks in it */
};

static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static void fill(void *block, uint64_t seq)
{
    uint64_t *word = block;

    word[0] = seq;
    for (uint64_t i = 1; i < BLOCK / 8; i++)
        word[i] = mix(seq * 1000003 + i);
}

static uint64_t chain_on(uint64_t before, const struct record *r)
{
    return mix(before ^ mix(r->seq) ^ mix(r->block + 77) ^ mix(r->ms + 99));
}

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static off_t log_place(const struct disk *d, uint64_t seq)
{
    return (off_t)(d->offset + LOG_OFF + (seq - 1) * RECORD);
}

static off_t data_place(const struct disk *d, uint64_t block)
{
    return (off_t)(d->offset + DATA_OFF + block * BLOCK);
}

static bool divide(struct disk *d, uint64_t size)
{
    if (size < d->offset || size - d->offset < DATA_OFF + BLOCK) {
        fprintf(stderr, "guestlog: the disk is too small\n");
        return false;
    }
    d->blocks = (size - d->offset - DATA_OFF) / BLOCK;
    return true;
}

/* The number after the last record, and the chain up to there: a guest that was reset goes on. */
static uint64_t go_on(const struct disk *d, void *buf, uint64_t *ret_chain)
{
    struct record r;
    uint64_t seq = 1;

    for (; seq < MAX_SEQ && pread(d->fd, buf, RECORD, log_place(d, seq)) == (ssize_t)RECORD;
         seq++) {
        memcpy(&r, buf, sizeof r);
        if (r.magic != MAGIC)
            break;
        *ret_chain = r.chain;
    }
    return seq;
}

static int writer(const char *device, unsigned period_us, uint64_t offset, const char *tag)
{
    struct disk d = {.fd = open(device, O_RDWR | O_DIRECT | O_DSYNC), .offset = offset};
    void *block, *record;
    uint64_t size, chain = 0;

    if (d.fd < 0 || ioctl(d.fd, BLKGETSIZE64, &size) < 0 ||
        posix_memalign(&block, 4096, BLOCK) != 0 || posix_memalign(&record, 4096, RECORD) != 0) {
        perror(device);
        return 1;
    }
    if (!divide(&d, size))
        return 1;
    for (uint64_t seq = go_on(&d, record, &chain); seq < MAX_SEQ; seq++) {
        struct record r = {MAGIC, seq, mix(seq) % d.blocks, now_ms(), 0};

        r.chain = chain = chain_on(chain, &r);
        fill(block, seq);
        memset(record, 0, RECORD);
        memcpy(record, &r, sizeof r);
        if (pwrite(d.fd, block, BLOCK, data_place(&d, r.block)) != (ssize_t)BLOCK ||
            pwrite(d.fd, record, RECORD, log_place(&d, seq)) != (ssize_t)RECORD) {
            printf("E %s: write error %d\n", device, errno);
            return 1;
        }
        printf("T%s%s %" PRIu64 " %" PRIu64 "\n", *tag ? ":" : "", tag, seq, r.ms);
        fflush(stdout);
        if (period_us > 0)
            usleep(period_us);
    }
    printf("E %s: the log is full\n", device);
    return 0;
}

/* What the log says: who wrote each block last. */
struct replay {
    uint64_t last, chain, gap, gap_at, ms; /* gap: the longest time between two records */
    uint64_t *owner;
};

static bool read_record(const struct disk *d, uint64_t seq, struct record *ret)
{
    char buf[RECORD];

    if (pread(d->fd, buf, RECORD, log_place(d, seq)) != (ssize_t)RECORD)
        return false;
    memcpy(ret, buf, sizeof *ret);
    return ret->magic == MAGIC;
}

static bool replay_log(const struct disk *d, struct replay *p)
{
    struct record r;

    for (uint64_t seq = 1; seq < MAX_SEQ && read_record(d, seq, &r); seq++) {
        p->chain = chain_on(p->chain, &r);
        if (r.seq != seq || r.chain != p->chain || r.block != mix(seq) % d->blocks) {
            printf("BAD record %" PRIu64 "\n", seq);
            return false;
        }
        if (p->ms && r.ms > p->ms && r.ms - p->ms > p->gap) {
            p->gap = r.ms - p->ms;
            p->gap_at = seq;
        }
        p->ms = r.ms;
        p->owner[r.block] = p->last = seq;
    }
    for (uint64_t seq = p->last + 2; seq < MAX_SEQ; seq++) {
        if (read_record(d, seq, &r)) {
            printf("BAD hole: record %" PRIu64 " is there, %" PRIu64 " is not\n", seq, p->last + 1);
            return false;
        }
    }
    return true;
}

/* A block may also hold the write that came next and was not acknowledged. */
static bool is_next(const struct disk *d, const struct replay *p, uint64_t at, const void *block)
{
    uint64_t want[BLOCK / 8];

    if (mix(p->last + 1) % d->blocks != at)
        return false;
    fill(want, p->last + 1);
    return memcmp(block, want, BLOCK) == 0;
}

static uint64_t count_bad(const struct disk *d, const struct replay *p)
{
    uint64_t block[BLOCK / 8], want[BLOCK / 8], bad = 0;

    for (uint64_t i = 0; i < d->blocks; i++) {
        if (pread(d->fd, block, BLOCK, data_place(d, i)) != (ssize_t)BLOCK) {
            perror("read");
            return bad + 1;
        }
        memset(want, 0, sizeof want);
        if (p->owner[i])
            fill(want, p->owner[i]);
        if (memcmp(block, want, BLOCK) == 0 || is_next(d, p, i, block))
            continue;
        if (bad++ < 5)
            printf("BAD block %" PRIu64 ": wants write %" PRIu64 ", holds %" PRIu64 "\n", i,
                   p->owner[i], block[0]);
    }
    return bad;
}

static int check(const char *path, uint64_t acked, uint64_t offset)
{
    struct disk d = {.fd = open(path, O_RDONLY), .offset = offset};
    struct replay p = {0};
    struct stat st;
    uint64_t bad;

    if (d.fd < 0 || fstat(d.fd, &st) < 0) {
        perror(path);
        return 1;
    }
    if (!divide(&d, (uint64_t)st.st_size))
        return 1;
    p.owner = calloc(d.blocks, sizeof *p.owner);
    if (!p.owner) {
        perror("memory");
        return 1;
    }
    bad = replay_log(&d, &p) ? count_bad(&d, &p) : 1;
    free(p.owner);
    bad += p.last < acked;
    printf("%s last=%" PRIu64 " acked=%" PRIu64 " bad=%" PRIu64 " longest_gap_ms=%" PRIu64
           " (before %" PRIu64 ")\n",
           bad ? "FAIL" : "OK", p.last, acked, bad, p.gap, p.gap_at);
    return bad ? 1 : 0;
}

static uint64_t number(char **argv, int argc, int at, uint64_t otherwise)
{
    return argc > at ? strtoull(argv[at], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    if (argc >= 3 && strcmp(argv[1], "write") == 0)
        return writer(argv[2], (unsigned)number(argv, argc, 3, 10000), number(argv, argc, 4, 0),
                      argc > 5 ? argv[5] : "");
    if (argc >= 3 && strcmp(argv[1], "check") == 0)
        return check(argv[2], number(argv, argc, 3, 0), number(argv, argc, 4, 0));
    fprintf(stderr, "usage: guestlog write DEVICE [PERIOD_US [OFFSET [TAG]]] |"
                    " check IMAGE [ACKED [OFFSET]]\n");
    return 2;
}

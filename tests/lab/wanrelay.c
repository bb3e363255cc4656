/*
 * wanrelay - a wide-area network in user space, for kernels without netem.
 *
 *   wanrelay PARAMS COUNTERS NAME:PID:OCTET NAME:PID:OCTET...
 *
 * Opens a TUN device "wan0" in the network namespace of each PID and passes IPv4 packets between
 * them by the last octet of the destination address. What a site sends goes through its own
 * uplink: a rate limit with a queue that drops at its tail, then a fixed delay, then independent
 * loss of each packet. Packets leave in the order in which they came.
 *
 * A large TCP packet that the kernel left to the device to cut (TSO) is passed on whole, and is cut
 * only where one of its segments is dropped. Loss is therefore per segment, as on a real line,
 * while a gigabit costs little processor time.
 *
 * PARAMS has one line for each site: NAME RTT_MS RATE_MBIT LOSS_PERCENT QUEUE_MS. The delay in
 * one direction is half of RTT_MS; rate 0 means no limit, loss 100 a cut line. SIGHUP reads it
 * again, SIGUSR1 writes the file COUNTERS (which also appears once at the start, as the sign that
 * the devices are there), SIGTERM and SIGINT end the program.
 *
 * One thread serves each port and owns its ring; the main thread owns the signals. The settings
 * and counters between them are atomic numbers.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define MAX_PORTS 16
#define RING_BYTES                                                                                 \
    ((size_t)256 << 20)   /* in flight per uplink: 1 s at 2 Gbit/s; pages come as used */
#define MAX_PACKET  70000 /* a TSO packet is at most 64 KiB and its headers */
#define MAX_HEADERS 120   /* the longest IPv4 header and the longest TCP header */
#define BATCH       64    /* packets taken before those that are due are sent */

#define VNET_LEN sizeof(struct virtio_net_hdr)

/* An entry of the ring; the packet follows it. No entry crosses the end of the ring. */
struct entry {
    uint64_t due; /* monotonic nanoseconds */
    uint32_t len; /* SKIP: the rest of the ring is unused */
    uint32_t to;  /* port */
};
#define SKIP UINT32_MAX

struct relay;

struct port {
    struct relay *relay;
    char name[32];
    unsigned octet; /* of its address */
    int fd;
    uint8_t *ring;
    size_t head, tail;  /* bytes ever put in and taken out */
    uint64_t line_free; /* when the last packet has left the line */
    uint64_t random;
    _Atomic uint64_t delay_ns, ps_per_byte, loss, queue_ns; /* loss: of 2^32 */
    _Atomic uint64_t packets, bytes, lost, queue_drops;
};

struct relay {
    const char *params, *counters;
    size_t count;
    struct port ports[MAX_PORTS];
};

/* A packet as it came from a site. Not a TSO packet: one segment, and headers is not used. */
struct packet {
    const uint8_t *data; /* the vnet header first */
    size_t len;          /* of all */
    size_t headers;      /* IP and TCP */
    size_t segment;      /* payload of each segment but the last */
    size_t segments;
    uint32_t to;
};

static uint64_t now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* A fixed sequence per port: a run can be repeated. */
static uint32_t next_random(struct port *p)
{
    p->random ^= p->random << 13;
    p->random ^= p->random >> 7;
    p->random ^= p->random << 17;
    return (uint32_t)(p->random >> 32);
}

/* The Internet checksum without its last complement; sum is what was added before. */
static uint16_t checksum(const uint8_t *data, size_t len, uint32_t sum)
{
    for (size_t i = 0; i + 1 < len; i += 2)
        sum += (uint32_t)data[i] << 8 | data[i + 1];
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

static size_t ring_need(size_t len) { return (sizeof(struct entry) + len + 15) & ~(size_t)15; }

/* Queue a packet, given as two parts, for port to at the time due. A full ring drops it. */
static void ring_put(struct port *p, uint32_t to, uint64_t due, const uint8_t *a, size_t a_len,
                     const uint8_t *b, size_t b_len)
{
    size_t need = ring_need(a_len + b_len);
    size_t at = p->head % RING_BYTES;
    size_t waste = RING_BYTES - at < need ? RING_BYTES - at : 0;
    struct entry *e = (struct entry *)(void *)(p->ring + at);

    if (p->head + waste + need - p->tail > RING_BYTES) {
        p->queue_drops++;
        return;
    }
    if (waste) {
        e->len = SKIP; /* entries are 16 bytes long at least, and so is what is left here */
        p->head += waste;
        e = (struct entry *)(void *)p->ring;
    }
    *e = (struct entry){.due = due, .len = (uint32_t)(a_len + b_len), .to = to};
    memcpy(e + 1, a, a_len);
    if (b_len)
        memcpy((uint8_t *)(e + 1) + a_len, b, b_len);
    p->head += need;
}

/* Deliver what is due. Returns false when nothing is left, else true and the time of the next. */
static bool ring_deliver(struct port *p, uint64_t now, uint64_t *ret_due)
{
    while (p->tail < p->head) {
        size_t at = p->tail % RING_BYTES;
        const struct entry *e = (const struct entry *)(void *)(p->ring + at);

        if (e->len == SKIP) {
            p->tail += RING_BYTES - at;
            continue;
        }
        if (e->due > now) {
            *ret_due = e->due;
            return true;
        }
        /* EIO: the other site is going down. A line does not care. */
        if (write(p->relay->ports[e->to].fd, e + 1, e->len) < 0)
            p->queue_drops++;
        p->tail += ring_need(e->len);
    }
    return false;
}

/* Fill head with the headers of a packet of its own for len bytes of payload: the segments
 * [first, first + count) of pkt. */
static void cut_headers(const struct packet *pkt, size_t first, size_t count, size_t len,
                        uint8_t *head)
{
    uint8_t *ip_at = head + VNET_LEN, *tcp_at;
    struct virtio_net_hdr vnet;
    struct iphdr ip;
    struct tcphdr tcp;
    size_t ip_len;

    memcpy(head, pkt->data, VNET_LEN + pkt->headers);
    memcpy(&vnet, head, sizeof vnet);
    memcpy(&ip, ip_at, sizeof ip);
    ip_len = (size_t)ip.ihl * 4;
    tcp_at = ip_at + ip_len;
    memcpy(&tcp, tcp_at, sizeof tcp);

    ip.id = htons((uint16_t)(ntohs(ip.id) + first));
    ip.tot_len = htons((uint16_t)(pkt->headers + len));
    ip.check = 0;
    memcpy(ip_at, &ip, sizeof ip);
    ip.check = htons((uint16_t)~checksum(ip_at, ip_len, 0));
    memcpy(ip_at, &ip, sizeof ip);

    tcp.seq = htonl(ntohl(tcp.seq) + (uint32_t)(first * pkt->segment));
    if (first + count < pkt->segments)
        tcp.fin = tcp.psh = 0; /* these belong to the last segment */
    if (first > 0)
        tcp.res2 &= 1; /* CWR belongs to the first; ECE stays */
    /* the receiver computes the rest: only the sum over the pseudo header is put in */
    tcp.check = htons(checksum(ip_at + offsetof(struct iphdr, saddr), 8,
                               (uint32_t)(IPPROTO_TCP + pkt->headers - ip_len + len)));
    memcpy(tcp_at, &tcp, sizeof tcp);

    vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    vnet.csum_start = (uint16_t)ip_len;
    vnet.csum_offset = offsetof(struct tcphdr, check);
    if (count == 1) {
        vnet.gso_type = VIRTIO_NET_HDR_GSO_NONE;
        vnet.gso_size = 0;
    }
    memcpy(head, &vnet, sizeof vnet);
}

/* Send the segments [first, first + count) of a packet on, cut out of it when they are not all. */
static void send_segments(struct port *p, const struct packet *pkt, size_t first, size_t count)
{
    uint64_t due = p->line_free + p->delay_ns;
    uint8_t head[VNET_LEN + MAX_HEADERS];
    size_t all = VNET_LEN + pkt->headers;
    size_t from = first * pkt->segment, len = count * pkt->segment;

    if (count == pkt->segments) {
        ring_put(p, pkt->to, due, pkt->data, pkt->len, NULL, 0);
        return;
    }
    if (from + len > pkt->len - all)
        len = pkt->len - all - from;
    cut_headers(pkt, first, count, len, head);
    ring_put(p, pkt->to, due, head, all, pkt->data + all + from, len);
}

/* Returns false for what is not for another site. */
static bool parse(const struct port *p, const uint8_t *data, size_t len, struct packet *ret)
{
    struct virtio_net_hdr vnet;
    struct iphdr ip;
    struct tcphdr tcp;
    size_t ip_len;

    if (len < VNET_LEN + sizeof ip)
        return false;
    memcpy(&vnet, data, sizeof vnet);
    memcpy(&ip, data + VNET_LEN, sizeof ip);
    ip_len = (size_t)ip.ihl * 4;
    if (ip.version != 4 || ip_len < sizeof ip)
        return false;
    *ret = (struct packet){.data = data, .len = len, .segments = 1, .to = SKIP};
    for (uint32_t i = 0; i < p->relay->count; i++)
        if ((ntohl(ip.daddr) & 0xff) == p->relay->ports[i].octet && &p->relay->ports[i] != p)
            ret->to = i;
    if (ret->to == SKIP)
        return false;
    if ((vnet.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) != VIRTIO_NET_HDR_GSO_TCPV4 || !vnet.gso_size)
        return true;

    if (len < VNET_LEN + ip_len + sizeof tcp)
        return false;
    memcpy(&tcp, data + VNET_LEN + ip_len, sizeof tcp);
    ret->headers = ip_len + (size_t)tcp.doff * 4;
    if (tcp.doff < 5 || len <= VNET_LEN + ret->headers)
        return false;
    ret->segment = vnet.gso_size;
    ret->segments = (len - VNET_LEN - ret->headers + ret->segment - 1) / ret->segment;
    return true;
}

/* Put len bytes on the line. Returns false when they do not arrive. */
static bool line_takes(struct port *p, uint64_t now, size_t len)
{
    if (p->line_free - now > p->queue_ns) {
        p->queue_drops++;
        return false;
    }
    p->line_free += len * p->ps_per_byte / 1000;
    p->packets++;
    p->bytes += len;
    if (next_random(p) < p->loss) {
        p->lost++;
        return false;
    }
    return true;
}

static void forward(struct port *p, const struct packet *pkt)
{
    size_t payload = pkt->len - VNET_LEN - pkt->headers;
    uint64_t now = now_ns();
    size_t run = 0; /* segments before this one that arrive, side by side */

    if (p->line_free < now)
        p->line_free = now;
    for (size_t i = 0; i < pkt->segments; i++) {
        size_t len = payload - i * pkt->segment;

        if (i + 1 < pkt->segments)
            len = pkt->segment;
        if (line_takes(p, now, pkt->headers + len)) {
            run++;
        } else {
            if (run)
                send_segments(p, pkt, i - run, run);
            run = 0;
        }
    }
    if (run)
        send_segments(p, pkt, pkt->segments - run, run);
}

static void *serve(void *arg)
{
    struct port *p = arg;
    uint8_t *packet = malloc(MAX_PACKET);

    if (!packet)
        abort();
    (void)prctl(PR_SET_TIMERSLACK, 1000UL); /* without it delays are some 50 us longer */
    for (;;) {
        struct pollfd wait = {.fd = p->fd, .events = POLLIN};
        struct timespec left;
        uint64_t now = now_ns(), due = 0;
        bool waiting = ring_deliver(p, now, &due);

        left = (struct timespec){.tv_sec = (time_t)((due - now) / 1000000000u),
                                 .tv_nsec = (long)((due - now) % 1000000000u)};
        if (ppoll(&wait, 1, waiting ? &left : NULL, NULL) < 1)
            continue;
        for (int i = 0; i < BATCH; i++) {
            ssize_t len = read(p->fd, packet, MAX_PACKET);
            struct packet pkt;

            if (len <= 0)
                break;
            if (parse(p, packet, (size_t)len, &pkt))
                forward(p, &pkt);
        }
    }
    return NULL;
}

static void read_params(struct relay *r)
{
    double rtt, rate, loss, queue;
    char name[32];
    FILE *f = fopen(r->params, "r");

    if (!f) {
        perror(r->params);
        return;
    }
    while (fscanf(f, "%31s %lf %lf %lf %lf", name, &rtt, &rate, &loss, &queue) == 5)
        for (size_t i = 0; i < r->count; i++) {
            struct port *p = &r->ports[i];

            if (strcmp(name, p->name) != 0)
                continue;
            p->delay_ns = (uint64_t)(rtt / 2 * 1e6);
            p->ps_per_byte = rate > 0 ? (uint64_t)(8e6 / rate) : 0;
            p->loss = loss >= 100 ? UINT64_MAX : (uint64_t)(loss / 100 * 4294967296.0);
            p->queue_ns = (uint64_t)(queue * 1e6);
        }
    (void)fclose(f); /* opened for reading: nothing can be lost */
}

/* The file is complete when it appears under its name. */
static int write_counters(struct relay *r)
{
    char tmp[4096];
    FILE *f;
    int rc = 0;

    (void)snprintf(tmp, sizeof tmp, "%s.new", r->counters); /* a cut name fails below */
    f = fopen(tmp, "w");
    if (!f)
        return -1;
    for (size_t i = 0; i < r->count; i++) {
        struct port *p = &r->ports[i];

        if (fprintf(f,
                    "%s sent_pkts=%" PRIu64 " sent_bytes=%" PRIu64 " lost=%" PRIu64
                    " queue_drops=%" PRIu64 "\n",
                    p->name, p->packets, p->bytes, p->lost, p->queue_drops) < 0)
            rc = -1;
    }
    if (fclose(f) != 0)
        rc = -1;
    return rc < 0 ? rc : rename(tmp, r->counters);
}

/* Open wan0 in the network namespace of process pid. Returns the descriptor or -1 with errno. */
static int open_tun(long pid)
{
    struct ifreq req = {.ifr_name = "wan0", .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
    char path[64];
    int ns, fd;

    (void)snprintf(path, sizeof path, "/proc/%ld/ns/net", pid); /* always fits */
    ns = open(path, O_RDONLY | O_CLOEXEC);
    if (ns < 0)
        return -1;
    if (setns(ns, CLONE_NEWNET) < 0) {
        (void)close(ns);
        return -1;
    }
    (void)close(ns);
    fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -1;
    if (ioctl(fd, TUNSETIFF, &req) < 0 ||
        ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO_ECN) < 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static int add_port(struct relay *r, const char *spec)
{
    struct port *p = &r->ports[r->count];
    long pid;
    int end = 0;

    if (r->count == MAX_PORTS ||
        sscanf(spec, "%31[^:]:%ld:%u%n", p->name, &pid, &p->octet, &end) != 3 || spec[end]) {
        fprintf(stderr, "wanrelay: not a port, or too many: %s\n", spec);
        return -1;
    }
    p->relay = r;
    p->random = 0x9e3779b97f4a7c15u * (p->octet + 1);
    p->fd = open_tun(pid);
    if (p->fd < 0) {
        fprintf(stderr, "wanrelay: %s: no TUN device: %s\n", p->name, strerror(errno));
        return -1;
    }
    p->ring = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p->ring == MAP_FAILED) {
        perror("wanrelay: memory");
        return -1;
    }
    r->count++;
    return 0;
}

static int run(struct relay *r, const sigset_t *signals)
{
    read_params(r);
    for (size_t i = 0; i < r->count; i++) {
        pthread_t t;

        if (pthread_create(&t, NULL, serve, &r->ports[i]) != 0)
            return 1;
    }
    if (write_counters(r) < 0) {
        perror(r->counters);
        return 1;
    }
    for (;;) {
        int sig = 0;

        if (sigwait(signals, &sig) != 0)
            return 1;
        if (sig == SIGHUP)
            read_params(r);
        else if (sig == SIGUSR1)
            (void)write_counters(r); /* the reader waits for the file and complains */
        else
            return 0;
    }
}

int main(int argc, char **argv)
{
    struct relay *r = calloc(1, sizeof *r);
    sigset_t signals;

    if (!r)
        return 1;
    if (argc < 5) {
        fprintf(stderr, "usage: wanrelay PARAMS COUNTERS NAME:PID:OCTET NAME:PID:OCTET...\n");
        return 2;
    }
    (void)sigemptyset(&signals); /* these five cannot fail with signals that exist */
    (void)sigaddset(&signals, SIGHUP);
    (void)sigaddset(&signals, SIGUSR1);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    r->params = argv[1];
    r->counters = argv[2];
    for (int i = 3; i < argc; i++)
        if (add_port(r, argv[i]) < 0)
            return 1;
    return run(r, &signals);
}

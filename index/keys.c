/* index/keys.c - the keys of the database. */
#include <string.h>

#include "index/catalog.h"
#include "index/le.h"

struct vf_key vf_key_version(void) { return (struct vf_key){.b = {'V'}, .len = 1}; }

struct vf_key vf_key_id(void) { return (struct vf_key){.b = {'S'}, .len = 1}; }

static void add(struct vf_key *k, unsigned n, uint64_t v)
{
    vf_be_put(k->b + k->len, n, v);
    k->len += n;
}

struct vf_key vf_key_generation(uint64_t gen)
{
    struct vf_key k = {.b = {'G'}, .len = 1};

    add(&k, VF_GENERATION_LEN, gen);
    return k;
}

struct vf_key vf_key_pages(uint64_t gen)
{
    struct vf_key k = {.b = {'P'}, .len = 1};

    add(&k, VF_GENERATION_LEN, gen);
    return k;
}

struct vf_key vf_key_digests(uint64_t gen, uint64_t block)
{
    struct vf_key k = vf_key_pages(gen);

    add(&k, 1, VF_PAGE_DIGESTS);
    add(&k, 8, block);
    return k;
}

struct vf_key vf_key_nodes(uint64_t gen, unsigned level, uint64_t page)
{
    struct vf_key k = vf_key_pages(gen);

    add(&k, 1, VF_PAGE_NODES);
    add(&k, 1, level);
    add(&k, 4, page);
    return k;
}

struct vf_key vf_key_ids(uint64_t gen, unsigned level, uint64_t id)
{
    struct vf_key k = vf_key_pages(gen);

    add(&k, 1, VF_PAGE_IDS);
    add(&k, 1, level);
    add(&k, VF_ID_LEN, id);
    return k;
}

struct vf_key vf_key_prints(uint64_t gen, enum vf_page_kind kind, uint64_t fp)
{
    struct vf_key k = vf_key_pages(gen);

    add(&k, 1, kind);
    add(&k, 8, fp);
    return k;
}

struct vf_key vf_key_sketch(uint64_t gen)
{
    struct vf_key k = vf_key_pages(gen);

    add(&k, 1, VF_PAGE_SKETCH);
    return k;
}

bool vf_key_begins(struct vf_bytes key, const struct vf_key *k, size_t n)
{
    return key.len >= n && memcmp(key.p, k->b, n) == 0;
}

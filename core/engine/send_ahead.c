/* The source's half: its large tables, which take a while to get from the system. */
#include <stdlib.h>

#include "core/checked.h"
#include "core/engine/send_impl.h"
#include "core/thread.h"

/* Non-zero blocks from which on the tables get used all over: 512 MiB. */
#define WORTH_TOUCHING (UINT64_C(1) << 20)

struct vf_send_ahead {
    struct vf_image *image;
    struct vf_map *map;
    struct vf_budget budget;
    pthread_t thread;
    bool runs;
    struct vf_repeats *repeats; /* NULL: could not be had */
    struct vf_quoter *quoter;
};

static struct vf_repeats *new_repeats(struct vf_image *image, struct vf_map *map,
                                      const struct vf_budget *have, struct vf_error *err)
{
    struct vf_map_info info;
    uint64_t expected = vf_blocks_of(image->size);

    if (map && map->ops->info(map, &info, NULL) == 0)
        expected = info.distinct_blocks;
    /* A live scan needs memory for its map as well. */
    return vf_repeats_new(expected, map ? have->repeats : have->repeats / 2, err);
}

static bool worth_touching(struct vf_send_ahead *a)
{
    struct vf_map_info info;

    return a->map && a->map->ops->info(a->map, &info, NULL) == 0 &&
           info.blocks - info.zero_blocks >= WORTH_TOUCHING;
}

static void *make(void *arg)
{
    struct vf_send_ahead *a = arg;

    pthread_setname_np(pthread_self(), "vf-ahead");
    a->repeats = new_repeats(a->image, a->map, &a->budget, NULL);
    a->quoter = vf_quoter_new(a->image, a->budget.quotes, NULL);
    if (!a->repeats || !a->quoter || !worth_touching(a))
        return NULL;
    vf_repeats_touch(a->repeats);
    vf_quoter_touch(a->quoter);
    return NULL;
}

struct vf_send_ahead *vf_send_ahead(struct vf_image *image, struct vf_map *map, uint64_t memory)
{
    struct vf_send_ahead *a = vf_calloc(1, sizeof *a, NULL);

    if (!a)
        return NULL;
    a->image = image;
    a->map = map;
    a->budget = vf_budget_source(memory);
    a->runs = vf_thread_start(&a->thread, make, a, NULL) == 0;
    if (a->runs)
        return a;
    free(a);
    return NULL;
}

static void wait_made(struct vf_send_ahead *a)
{
    if (a->runs)
        (void)pthread_join(a->thread, NULL); /* cannot fail: it runs, and is nobody else's */
    a->runs = false;
}

void vf_send_ahead_free(struct vf_send_ahead *a)
{
    if (!a)
        return;
    wait_made(a);
    vf_repeats_free(a->repeats);
    vf_quoter_free(a->quoter);
    free(a);
}

int vf_send_tables(struct sender *s, struct vf_repeats **ret_repeats, struct vf_quoter **ret_quoter,
                   struct vf_error *err)
{
    struct vf_send_ahead *a = s->opts->ahead;

    if (a) {
        wait_made(a);
        *ret_repeats = a->repeats;
        a->repeats = NULL;
    }
    if (a && s->quotes) {
        *ret_quoter = a->quoter;
        a->quoter = NULL;
    }
    if (!*ret_repeats)
        *ret_repeats = new_repeats(s->image, s->map, &s->budget, err);
    if (!*ret_quoter && s->quotes && *ret_repeats)
        *ret_quoter = vf_quoter_new(s->image, s->budget.quotes, err);
    return *ret_repeats && (*ret_quoter || !s->quotes) ? 0 : -1;
}

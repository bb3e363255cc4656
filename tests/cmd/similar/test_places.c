/* Where on a disk contents lie that a node holds, on real maps. */
#include <string.h>

#include "cmd/similar/places.h"
#include "core/engine/engine.h"
#include "index/index.h"
#include "tests/lib/check.h"
#include "tests/lib/mem_image.h"

static struct vf_error err;
static const int go_on;

#define MIB (1u << 20)

/* An image with its map in an index of its own. */
struct subject {
    struct vf_image *image;
    uint8_t *data;
    struct vf_index *index;
    struct vf_map *map;
    struct vf_sketch sketch;
    struct vf_places places;
};

static struct subject subject(size_t size)
{
    struct subject s = {0};

    s.image = vf_mem_image(size, &s.data);
    return s;
}

static void take(struct subject *s)
{
    char path[] = "/x.raw", format[] = "raw", group[] = "";
    struct vf_image_record rec = {.path = path, .format = format, .group = group};
    struct vf_send_opts opts = {0};
    struct vf_map_sink *sink;

    CHECK_OK(s->index = vf_index_open(vf_test_tmpdir(), VF_INDEX_CREATE, &err), &err);
    CHECK_OK(sink = vf_index_begin(s->index, &rec, &err), &err);
    CHECK_OK(vf_index_image(s->image, sink, &opts, NULL, &err), &err);
    CHECK_OK(s->map = vf_index_map(s->index, path, &err), &err);
    CHECK_OK(vf_index_sketch(s->map, &s->sketch, &err), &err);
    CHECK_OK(vf_places_take(s->map, s->sketch.scale, &go_on, &s->places, &err), &err);
}

static void drop(struct subject *s)
{
    vf_places_free(&s->places);
    vf_sketch_free(&s->sketch);
    s->map->ops->close(s->map);
    vf_index_close(s->index);
    vf_image_close(s->image);
}

static const struct vf_sketch_set nothing = VF_SKETCH_SET_INIT;

TEST(nothing_to_sample)
{
    struct subject s = subject(MIB);
    struct vf_cell cell[VF_CELLS];

    take(&s);
    CHECK_EQ_U64(s.places.n, 0);
    vf_places_cells(&s.places, &nothing, cell);
    for (unsigned i = 0; i < s.places.cells; i++)
        CHECK_EQ_U64(cell[i].zero, 1000);
    drop(&s);
}

TEST(held_and_missing)
{
    struct subject s = subject(8 * MIB), old = subject(8 * MIB);
    struct vf_sketch_set held;
    struct vf_cell cell[VF_CELLS];

    vf_test_random(1, s.data, 2 * MIB);                  /* held; then zeros */
    vf_test_random(2, s.data + 4 * MIB, 2 * MIB);        /* missing */
    memcpy(s.data + 6 * MIB, s.data + 4 * MIB, 2 * MIB); /* repeats of that */
    memcpy(old.data, s.data, 2 * MIB);
    take(&s);
    take(&old);
    held = vf_sketch_as_set(&old.sketch);
    vf_places_cells(&s.places, &held, cell);
    CHECK(s.places.cells > 200 && s.places.cells <= VF_CELLS);
    for (unsigned i = 0; i < s.places.cells; i++)
        CHECK_EQ_U64(cell[i].zero + cell[i].shared + cell[i].duplicate + cell[i].literal, 1000);
    CHECK_EQ_U64(cell[s.places.cells / 8].shared, 1000);
    CHECK_EQ_U64(cell[s.places.cells * 3 / 8].zero, 1000);
    CHECK_EQ_U64(cell[s.places.cells * 5 / 8].literal, 1000);
    CHECK_EQ_U64(cell[s.places.cells * 7 / 8].duplicate, 1000);
    drop(&s);
    drop(&old);
}

TEST(stops)
{
    struct subject s = subject(MIB);
    const int stop = 1;
    struct vf_places p;

    vf_test_random(1, s.data, MIB);
    take(&s);
    CHECK_FAIL(vf_places_take(s.map, 0, &stop, &p, &err), &err, VF_ERR_CANCELLED);
    drop(&s);
}

TESTS(nothing_to_sample, held_and_missing, stops)

/* The order of nodes, and what a migration is said to take. */
#include "core/similar/rank.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/check.h"

#define GB (UINT64_C(1) << 30)

static const struct vf_wire_model model = {
    .info = {.size = 4 * GB,
             .blocks = 8 << 20,
             .zero_blocks = 2 << 20,
             .distinct_blocks = 5 << 20,
             .top = 3,
             .nodes = {6 << 20, 98304, 1500, 24}},
    .ratio = 0.5,
    .rate_bps = 1e6,
    .setup_s = 1,
};

static struct vf_rank_node node(const char *label, uint64_t literals, uint64_t free_bytes)
{
    return (struct vf_rank_node){
        .label = label,
        .free_bytes = free_bytes,
        .resident = true,
        .likeness = {.literals = {literals, literals - literals / 10, literals + literals / 10}},
    };
}

TEST(order)
{
    struct vf_rank_node n[] = {node("far", 3000000, 100 * GB),  node("near", 400000, 100 * GB),
                               node("full", 100000, 1 * GB),    node("silent", 0, 0),
                               node("mid", 900000, 100 * GB),   node("closed", 0, 100 * GB),
                               node("twin-b", 2000000, 7 * GB), node("twin-a", 2000000, 7 * GB)};
    const size_t all = sizeof n / sizeof *n;
    static const char *const want[] = {"near", "mid",    "twin-a", "twin-b",
                                       "far",  "silent", "closed", "full"};

    n[3].why = VF_RANK_SILENT;
    n[5].why = VF_RANK_RIGHTS;
    for (unsigned turn = 0; turn < 20; turn++) { /* in whatever order they come */
        struct vf_rank_node was = n[turn % all];

        n[turn % all] = n[(turn * 5 + 3) % all];
        n[(turn * 5 + 3) % all] = was;
        for (size_t i = 0; i < all; i++)
            if (n[i].why == VF_RANK_SPACE)
                n[i].why = VF_RANK_CAN;
        CHECK_EQ_U64(vf_rank(&model, n, all), 5);
        for (size_t i = 0; i < all; i++) {
            CHECK_STR(n[i].label, want[i]);
            CHECK_EQ_U64(n[i].place, i);
        }
    }
    CHECK_STR(vf_rank_word(n[7].why), "space");
    CHECK_STR(vf_rank_word(n[0].why), "");
    CHECK(n[5].prediction.seconds < 0);
    CHECK(n[7].prediction.wire.value > 0); /* what it would have been */
    CHECK_EQ_U64(vf_rank(&model, n, 0), 0);
}

TEST(ties)
{
    struct vf_rank_node n[] = {node("a", 1000000, 50 * GB), node("b", 1000400, 60 * GB),
                               node("c", 1100000, 90 * GB)};

    CHECK_EQ_U64(vf_rank(&model, n, 3), 3);
    CHECK_STR(n[0].label, "b"); /* 0.04 % more, and more room */
    CHECK_STR(n[1].label, "a");
    CHECK_STR(n[2].label, "c");
    CHECK_EQ_U64(vf_rank_slack(5), 16384);
    CHECK_EQ_U64(vf_rank_slack(20000000), 20000);
}

TEST(words)
{
    for (unsigned i = 1; i < VF_RANK_WHYS_; i++) {
        CHECK(strlen(vf_rank_word(i)) > 2);
        CHECK(strlen(vf_rank_phrase(i)) > 5);
        for (unsigned k = 1; k < i; k++)
            CHECK(strcmp(vf_rank_word(i), vf_rank_word(k)) != 0);
    }
    CHECK_STR(vf_rank_word(VF_RANK_WHYS_), "");
}

TEST(contenders)
{
    struct vf_rank_node n[] = {node("a", 1000000, 50 * GB), node("b", 1150000, 50 * GB),
                               node("c", 1300000, 50 * GB), node("d", 1050000, 50 * GB)};
    size_t can = vf_rank(&model, n, 4);

    CHECK_EQ_U64(vf_rank_contenders(n, can, 10), 3); /* up to 1.1 million reach 1.035 */
    CHECK_EQ_U64(vf_rank_contenders(n, can, 2), 2);
    CHECK_EQ_U64(vf_rank_contenders(n, 0, 2), 0);
}

TEST(predictions)
{
    struct vf_rank_node n = node("a", 2000000, 50 * GB);
    struct vf_prediction p, empty;

    vf_wire_predict(&model, &n.likeness, true, &p);
    CHECK(p.wire.value > 512000000 && p.wire.value < 520000000);
    CHECK(p.wire.low < p.wire.value && p.wire.value < p.wire.high);
    CHECK(p.seconds > 513 && p.seconds < 522);
    vf_wire_predict(&model, &n.likeness, false, &empty);
    CHECK(empty.wire.value < p.wire.value); /* no questions */
    n.ratio = 0.25;
    CHECK_EQ_U64(vf_rank(&model, &n, 1), 1);
    CHECK(n.prediction.wire.value < p.wire.value * 6 / 10);
    memset(&n.likeness, 0, sizeof n.likeness); /* all of it is there */
    vf_wire_predict(&model, &n.likeness, true, &p);
    CHECK(p.wire.value < 30000);
    CHECK_EQ_U64(vf_rank_room(&model.info) > 3 * GB, 1);
}

TESTS(order, ties, words, contenders, predictions)

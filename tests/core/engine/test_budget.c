/* core/engine/budget.c */
#include "core/engine/budget.h"

#include "tests/lib/check.h"

#define MIB (UINT64_C(1) << 20)

TEST(defaults)
{
    struct vf_budget b = vf_budget_source(0), same = vf_budget_source(512 * MIB);

    CHECK_EQ_U64(b.window_log, 27);
    CHECK_EQ_I64(b.level_most, 19);
    CHECK_EQ_U64(b.quotes, 64 * MIB);
    CHECK_EQ_U64(same.window_log, b.window_log);
    CHECK(vf_budget_receiver(0) >= b.window_log); /* it does not hold the source back */
}

/* The sum of what is known always fits, and leaves something for the rest. */
TEST(fits)
{
    for (uint64_t m = VF_MEMORY_LEAST; m <= VF_MEMORY_MOST; m += m / 7) {
        struct vf_budget b = vf_budget_source(m);
        uint64_t tables = b.level_most > 12 ? 100 * MIB : b.level_most > 9 ? 30 * MIB : 12 * MIB;

        CHECK((UINT64_C(1) << b.window_log) + b.quotes + b.repeats + tables + 20 * b.open_blocks +
                  40 * MIB <=
              m);
        CHECK((UINT64_C(1) << vf_budget_receiver(m)) + 100 * MIB <= m);
        CHECK(b.window_log >= 20 && b.window_log <= 31);
    }
}

TEST(grows)
{
    struct vf_budget a = vf_budget_source(VF_MEMORY_LEAST);

    for (uint64_t m = VF_MEMORY_LEAST; m <= VF_MEMORY_MOST; m += m / 3) {
        struct vf_budget b = vf_budget_source(m);

        CHECK(b.window_log >= a.window_log - 1 && b.quotes >= a.quotes &&
              b.level_most >= a.level_most);
        a = b;
    }
    CHECK_EQ_U64(vf_budget_source(UINT64_C(1000000000)).window_log, 29);
    CHECK(vf_budget_source(UINT64_C(1000000000)).rich && !vf_budget_source(0).rich);
    CHECK_EQ_U64(vf_budget_receiver(UINT64_C(1000000000)), 29);
}

TEST(limits)
{
    CHECK_EQ_U64(vf_budget_source(1).quotes, vf_budget_source(VF_MEMORY_LEAST).quotes);
    CHECK_EQ_U64(vf_budget_source(UINT64_MAX).quotes, vf_budget_source(VF_MEMORY_MOST).quotes);
    CHECK_EQ_U64(vf_budget_source(UINT64_MAX).window_log, 31);
}

TESTS(defaults, fits, grows, limits)

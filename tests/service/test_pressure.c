/* What the kernel says about pressure. */
#include "service/pressure.h"

#include <string.h>
#include <sys/stat.h>

#include "tests/lib/check.h"

#define TEXT                                                                                       \
    "some avg10=0.34 avg60=1.46 avg300=1.14 total=345928610\n"                                     \
    "full avg10=0.22 avg60=1.13 avg300=0.85 total=143896686\n"

TEST(reads_the_total)
{
    uint64_t n = 7;

    CHECK(vf_pressure_parse(TEXT, &n));
    CHECK_EQ_U64(n, 345928610);
    CHECK(vf_pressure_parse("full avg10=1 total=5\nsome avg10=0.00 total=12", &n) && n == 12);
    CHECK(!vf_pressure_parse("", &n));
    CHECK(!vf_pressure_parse("some avg10=0.00\n", &n));
    CHECK(!vf_pressure_parse("some avg10=0.00 total=x\n", &n));
    CHECK(!vf_pressure_parse("full total=5\n", &n));
    CHECK_EQ_U64(n, 12);
}

TEST(makes_percent)
{
    CHECK_EQ_U64(vf_pressure_percent(100, 350, 1000), 25);
    CHECK_EQ_U64(vf_pressure_percent(100, 5000, 1000), 100);
    CHECK_EQ_U64(vf_pressure_percent(100, 50, 1000), 0);
    CHECK_EQ_U64(vf_pressure_percent(0, 50, 0), 0);
}

TEST(looks_into_a_directory)
{
    struct vf_pressure p = {.known = true};

    vf_pressure_look(vf_test_path("none"), &p);
    CHECK(!p.known);
    CHECK(mkdir(vf_test_path("psi"), 0700) == 0);
    vf_test_write_file(vf_test_path("psi/io"), TEXT, strlen(TEXT));
    vf_pressure_look(vf_test_path("psi"), &p);
    CHECK(!p.known);
    vf_test_write_file(vf_test_path("psi/cpu"), "some total=9\n", 13);
    vf_pressure_look(vf_test_path("psi"), &p);
    CHECK(p.known && p.io_us == 345928610 && p.cpu_us == 9);
}

TESTS(reads_the_total, makes_percent, looks_into_a_directory)

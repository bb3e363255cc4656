/* The table of files and its queues. */
#include <stdio.h>
#include <stdlib.h>

#include "service/files.h"
#include "tests/lib/check.h"

static struct vf_error err;

TEST(finds_what_was_added)
{
    struct vf_files *t = vf_files_new(&err);
    size_t seen = 0;
    char name[32];

    CHECK_OK(t, &err);
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "/images/%d", i);
        CHECK_OK(vf_files_add(t, name, &err), &err);
        CHECK(vf_files_add(t, name, &err) == vf_files_find(t, name));
    }
    CHECK_EQ_U64(vf_files_count(t), 5000);
    for (struct vf_file *f = vf_files_next(t, NULL), *next; f; f = next) {
        next = vf_files_next(t, f);
        seen++;
        if (seen % 2)
            vf_files_remove(t, f);
    }
    CHECK_EQ_U64(seen, 5000);
    CHECK_EQ_U64(vf_files_count(t), 2500);
    CHECK(!vf_files_find(t, "/images"));
    vf_files_free(t);
    vf_files_free(NULL);
}

TEST(queues_by_time)
{
    struct vf_files *t = vf_files_new(&err);
    struct vf_file *f;
    char name[32];
    int64_t last = -1;
    uint32_t x = 1;

    CHECK_OK(t, &err);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "/%d", i);
        CHECK_OK(f = vf_files_add(t, name, &err), &err);
        x = x * 1664525 + 1013904223;
        CHECK_OK(vf_files_enqueue(t, f, VF_QUEUE_READ, x >> 20, &err), &err);
    }
    /* Some change their time, some their queue, some leave, some go altogether. */
    for (int i = 0; i < 1000; i += 3) {
        snprintf(name, sizeof name, "/%d", i);
        f = vf_files_find(t, name);
        x = x * 1664525 + 1013904223;
        if (i % 4 == 0)
            CHECK_OK(vf_files_enqueue(t, f, VF_QUEUE_READ, x >> 20, &err), &err);
        else if (i % 4 == 1)
            CHECK_OK(vf_files_enqueue(t, f, VF_QUEUE_GONE, i, &err), &err);
        else if (i % 4 == 2)
            vf_files_dequeue(t, f);
        else
            vf_files_remove(t, f);
    }
    CHECK(vf_files_queued(t, VF_QUEUE_READ) > 600);
    while ((f = vf_files_first(t, VF_QUEUE_READ))) {
        CHECK(f->due_ms >= last);
        last = f->due_ms;
        vf_files_dequeue(t, f);
    }
    CHECK_EQ_I64(vf_files_first(t, VF_QUEUE_GONE)->due_ms, 9);
    vf_files_free(t);
}

TEST(knows_a_renamed_file)
{
    struct vf_ident a = {1, 2, 3, 4, 5}, b = a;

    CHECK(vf_ident_same(&a, &b));
    b.dev = 9;
    CHECK(vf_ident_same(&a, &b));
    b.ctime_ns = 6;
    CHECK(!vf_ident_same(&a, &b) && vf_ident_renamed(&a, &b));
    b.mtime_ns = 6;
    CHECK(!vf_ident_renamed(&a, &b));
}

TESTS(finds_what_was_added, queues_by_time, knows_a_renamed_file)

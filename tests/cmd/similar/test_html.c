/* Pages: names cannot become markup, and the numbers are in them. */
#include <stdlib.h>
#include <string.h>

#include "cmd/similar/html.h"
#include "cmd/similar/similar.h"
#include "tests/lib/check.h"

static struct vf_error err;

#define HOSTILE "</script><img src=x onerror=\"alert('1')\">&amp;"

static json_t *report(void)
{
    json_t *o = json_pack(
        "{s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:n, s:[{s:s, s:i, s:b, s:b, s:i, s:i, s:f, s:f, s:i, "
        "s:i, s:i, s:n, s:i, s:[{s:s, s:i, s:i, s:f, s:f, s:b, s:b}]}], s:[{s:s, s:{s:s, s:s}}], "
        "s:s, s:{s:s, s:i, s:i, s:[[i, i, i, i], [i, i, i, i]]}}",
        "image", "/x/" HOSTILE, "group", "", "virtual_size", 5120, "blocks", 10, "zero_blocks", 2,
        "distinct_blocks", 6, "duplicate_blocks", 3, "rate", "nodes", "node", HOSTILE, "place", 1,
        "eligible", 1, "exact", 1, "shared_blocks", 7, "shared_distinct_blocks", 4, "similarity",
        0.7, "similarity_distinct", 0.4, "duplicate_blocks", 1, "literal_blocks", 2,
        "wire_bytes_estimate", 987654321, "seconds_estimate", "free_bytes", 4096, "images", "image",
        "img " HOSTILE, "shared_blocks", 7, "shared_distinct_blocks", 4, "similarity", 0.7,
        "similarity_distinct", 0.4, "exact", 1, "fresh", 1, "unreachable", "node", "gone" HOSTILE,
        "error", "code", "timeout", "message", "no answer " HOSTILE, "choice", HOSTILE, "strip",
        "node", HOSTILE, "cell_blocks", 5, "samples", 8, "cells", 400, 600, 0, 0, 0, 800, 100, 100);

    CHECK(o != NULL);
    return o;
}

typedef int page_fn(const json_t *report, FILE *out, struct vf_error *err);

static char *made(page_fn *page, const json_t *r)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    CHECK(out != NULL);
    CHECK_OK(page(r, out, &err), &err);
    CHECK(fclose(out) == 0);
    return text;
}

/* Every tag of the page is one of ours; nothing is fetched. */
static void check_tame(const char *html)
{
    static const char *const never[] = {"<img", "onerror=\"", "http:", "https:", "url(", "@import"};

    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        CHECK(strstr(html, never[i]) == NULL);
    CHECK(strstr(html, "</script>") == strstr(html, "</script>\n</body>"));
    CHECK_HAS(html, "<!DOCTYPE html>");
    CHECK_HAS(html,
              "&lt;/script&gt;&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;&amp;amp;");
}

/* The report that is in the page. */
static json_t *embedded(const char *html)
{
    const char *from = strstr(html, "id=\"report\">"),
               *to = from ? strstr(from, "</script>") : NULL;
    json_t *o;

    CHECK(from && to);
    from += strlen("id=\"report\">");
    o = json_loadb(from, (size_t)(to - from), 0, NULL);
    CHECK(o != NULL);
    return o;
}

TEST(report_of_an_image)
{
    json_t *r = report(), *back;
    char *html = made(vf_similar_page, r);

    check_tame(html);
    CHECK_HAS(html, "70.00 %");
    CHECK_HAS(html, "988 MB");
    CHECK_HAS(html, "no answer ");
    CHECK_HAS(html, "<svg");
    back = embedded(html);
    CHECK(json_equal(back, r));
    json_decref(back);
    json_decref(r);
    free(html);
}

TEST(nobody_can_take_it)
{
    json_t *r = report(), *n = json_array_get(json_object_get(r, "nodes"), 0);
    char *html;

    json_object_set_new(n, "eligible", json_false());
    json_object_set_new(n, "reason_text", json_string("no room for " HOSTILE));
    json_object_set_new(r, "choice", json_null());
    json_object_set_new(r, "strip", json_null());
    html = made(vf_similar_page, r);
    check_tame(html);
    CHECK_HAS(html, "No node can take the image");
    CHECK_HAS(html, "no room for ");
    CHECK(strstr(html, "<svg") == NULL);
    free(html);
    json_decref(r);
}

TEST(matrix)
{
    json_t *r =
        json_pack("{s:s, s:[{s:s, s:s, s:i, s:i, s:i}, {s:s, s:s, s:i, s:i, s:i}], "
                  "s:[[f, f], [f, f]], s:[[f, f], [f, f]], s:[], s:[]}",
                  "group", "", "images", "node", HOSTILE, "image", HOSTILE, "blocks", 10,
                  "zero_blocks", 1, "distinct_blocks", 9, "node", "b", "image", "i", "blocks", 20,
                  "zero_blocks", 1, "distinct_blocks", 9, "similarity", 1.0, 0.25, 0.125, 1.0,
                  "similarity_distinct", 0.9, 0.2, 0.1, 0.9, "similarity_bounds", "unreachable");
    json_t *back;
    char *html;

    CHECK(r != NULL);
    html = made(vf_similar_all_page, r);
    check_tame(html);
    CHECK_HAS(html, ">25.0");
    CHECK_HAS(html, ">12.5");
    back = embedded(html);
    CHECK(json_equal(json_object_get(back, "similarity"), json_object_get(r, "similarity")));
    CHECK(!json_object_get(back, "similarity_bounds") && json_object_get(r, "similarity_bounds"));
    json_decref(back);
    json_decref(r);
    free(html);
}

TESTS(report_of_an_image, nobody_can_take_it, matrix)

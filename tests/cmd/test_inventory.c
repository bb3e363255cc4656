/* The inventory of nodes: names, the file, what a NODE operand means. */
#include <string.h>
#include <sys/stat.h>

#include "cmd/inventory.h"
#include "tests/lib/check.h"

static struct vf_error err;

TEST(a_missing_file_is_empty)
{
    struct vf_inventory n;

    CHECK_OK(vf_inventory_load(vf_test_tmpdir(), &n, &err), &err);
    CHECK_EQ_U64(n.n, 0);
    vf_inventory_free(&n);
}

TEST(add_save_load_remove)
{
    struct vf_inventory n = {NULL, 0};
    struct stat sb;

    CHECK_OK(vf_inventory_add(&n, "paris", "ssh://vm@Paris.Example.org:2222/srv/vm", &err), &err);
    CHECK_OK(vf_inventory_add(&n, "disk2", "/mnt/disk2", &err), &err);
    CHECK_FAIL(vf_inventory_add(&n, "paris", "/x", &err), &err, VF_ERR_EXISTS);
    CHECK_OK(vf_inventory_save(vf_test_tmpdir(), &n, &err), &err);
    vf_inventory_free(&n);
    CHECK_OK(vf_inventory_load(vf_test_tmpdir(), &n, &err), &err);
    CHECK_EQ_U64(n.n, 2);
    CHECK_STR(n.entry[0].name, "disk2"); /* in order */
    CHECK_STR(vf_inventory_find(&n, "paris")->node, "ssh://vm@paris.example.org:2222/srv/vm");
    CHECK(stat(vf_test_path("nodes.json"), &sb) == 0 && (sb.st_mode & 077) == 0);
    CHECK_OK(vf_inventory_remove(&n, "disk2", &err), &err);
    CHECK_FAIL(vf_inventory_remove(&n, "disk2", &err), &err, VF_ERR_NOTFOUND);
    CHECK(!vf_inventory_find(&n, "disk2"));
    vf_inventory_free(&n);
}

TEST(bad_names_and_nodes)
{
    static const char *const bad[] = {"", "-x", "a b", "a/b", ".a", "auto", "ssh://x", "\xff"};
    struct vf_inventory n = {NULL, 0};
    char longest[VF_NODE_NAME_MAX + 2];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_FAIL(vf_inventory_add(&n, bad[i], "/x", &err), &err, VF_ERR_USAGE);
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    CHECK_FAIL(vf_inventory_add(&n, longest, "/x", &err), &err, VF_ERR_USAGE);
    CHECK_FAIL(vf_inventory_add(&n, "ok", "relative/store", &err), &err, VF_ERR_USAGE);
    CHECK_FAIL(vf_inventory_add(&n, "ok", "ssh://-oProxyCommand=x", &err), &err, VF_ERR_USAGE);
    CHECK_EQ_U64(n.n, 0);
    vf_inventory_free(&n);
}

TEST(damaged_files)
{
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "{\"nodes\": 3}",
        "{\"nodes\": [1]}",
        "{\"nodes\": [{\"name\": \"a\"}]}",
        "{\"nodes\": [{\"name\": \"a\", \"node\": \"x y\"}]}",
        "{\"nodes\": [{\"name\": \"a\", \"node\": \"/x\"}, {\"name\": \"a\", \"node\": \"/y\"}]}",
        "{\"nodes\": [",
    };
    struct vf_inventory n;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        vf_test_write_file(vf_test_path("nodes.json"), bad[i], strlen(bad[i]));
        CHECK_FAIL(vf_inventory_load(vf_test_tmpdir(), &n, &err), &err, VF_ERR_FORMAT);
        CHECK_HAS(err.msg, vf_test_path("nodes.json"));
        CHECK_HAS(err.msg, "remove it and add the nodes again");
    }
}

TEST(what_a_node_means)
{
    struct vf_inventory n = {NULL, 0};
    struct vf_target t = VF_TARGET_INIT;

    CHECK_OK(vf_inventory_add(&n, "lab", "ssh://root@10.0.0.7", &err), &err);
    CHECK_OK(vf_inventory_resolve(&n, "lab", &t, &err), &err);
    CHECK_STR(t.host, "10.0.0.7");
    vf_target_free(&t);
    CHECK_OK(vf_inventory_resolve(&n, "/srv/vm", &t, &err), &err);
    CHECK(t.kind == VF_TARGET_LOCAL);
    vf_target_free(&t);
    CHECK_OK(vf_inventory_resolve(&n, "ssh://h/s", &t, &err), &err);
    CHECK_STR(t.store, "/s");
    vf_target_free(&t);
    CHECK_FAIL(vf_inventory_resolve(&n, "lyon", &t, &err), &err, VF_ERR_USAGE);
    CHECK_HAS(err.msg, "'lyon' is no node");
    vf_inventory_free(&n);
}

TESTS(a_missing_file_is_empty, add_save_load_remove, bad_names_and_nodes, damaged_files,
      what_a_node_means)

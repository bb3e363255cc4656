/*
 * Runs a fuzz target without a fuzzing engine, so that the plain test run covers it too.
 *
 *   fuzz_NAME [FILE|DIRECTORY]...     default: $VF_TESTS/fuzz/corpus/NAME
 *
 * Every file is given to the target as it is, then cut short at many places, then with single
 * bytes changed. The changes come from a fixed sequence: a failure can be repeated. The data lies
 * in a block of exactly its length, so that a sanitizer or valgrind sees every byte read too far.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Seeds are small by rule; a large one would make the replay slow without testing more. */
#define MAX_SEED ((size_t)1 << 20)
#define CUTS     64
#define CHANGES  256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

static void die(const char *what)
{
    fprintf(stderr, "replay: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Give the first len bytes of data to the target, with one byte replaced when at < len. */
static void run_one(const uint8_t *data, size_t len, size_t at, uint8_t value)
{
    uint8_t *copy = malloc(len ? len : 1);

    if (!copy)
        die("memory");
    if (len)
        memcpy(copy, data, len);
    if (at < len)
        copy[at] = value;
    (void)LLVMFuzzerTestOneInput(copy, len); /* targets may reject an input, never fail on it */
    free(copy);
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void run_variants(const uint8_t *data, size_t len)
{
    static const uint8_t edges[] = {0x00, 0x7f, 0x80, 0xff}; /* of signed and unsigned bytes */
    uint64_t state = 0x9e3779b97f4a7c15u ^ len;
    size_t cuts = len < CUTS ? len : CUTS;

    run_one(data, len, len, 0);
    for (size_t i = 0; i < cuts; i++)
        run_one(data, len * i / cuts, len, 0);
    for (size_t i = 0; len && i < CHANGES; i++) {
        uint64_t r = next_random(&state);
        size_t at = (size_t)(r >> 16) % len;
        uint8_t value = edges[i / 4 % sizeof edges];

        if (i % 4)
            value = (uint8_t)(data[at] ^ 1u << (r & 7));
        run_one(data, len, at, value);
    }
}

static void run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = malloc(MAX_SEED + 1);
    size_t len;

    if (!f || !data)
        die(path);
    len = fread(data, 1, MAX_SEED + 1, f);
    if (ferror(f))
        die(path);
    if (len > MAX_SEED) {
        fprintf(stderr, "replay: %s: larger than %zu bytes\n", path, MAX_SEED);
        exit(1);
    }
    (void)fclose(f); /* opened for reading: nothing can be lost */
    printf("%s, %zu bytes\n", path, len);
    (void)fflush(stdout); /* the last line before a crash names the seed */
    run_variants(data, len);
    free(data);
}

static int visible(const struct dirent *e) { return e->d_name[0] != '.'; }

/* Returns the number of files that were run. */
static size_t run_path(const char *path)
{
    struct dirent **names = NULL;
    struct stat st;
    int count;

    if (stat(path, &st) < 0)
        die(path);
    if (!S_ISDIR(st.st_mode)) {
        run_file(path);
        return 1;
    }
    count = scandir(path, &names, visible, alphasort);
    if (count < 0)
        die(path);
    for (int i = 0; i < count; i++) {
        char *file = NULL;

        if (asprintf(&file, "%s/%s", path, names[i]->d_name) < 0)
            die("memory");
        run_file(file);
        free(file);
        free(names[i]);
    }
    free(names);
    return (size_t)count;
}

int main(int argc, char **argv)
{
    const char *tests = getenv("VF_TESTS");
    const char *base = strrchr(argv[0], '/');
    char *corpus = NULL;
    size_t files = 0;

    if (LLVMFuzzerInitialize)
        (void)LLVMFuzzerInitialize(&argc, &argv); /* its result is documented as unused */
    base = base ? base + 1 : argv[0];
    if (strncmp(base, "fuzz_", 5) == 0)
        base += 5;
    if (asprintf(&corpus, "%s/fuzz/corpus/%s", tests ? tests : "tests", base) < 0)
        die("memory");
    if (argc > 1) {
        for (int i = 1; i < argc; i++)
            files += run_path(argv[i]);
    } else {
        files = run_path(corpus);
    }
    free(corpus);
    if (files == 0) {
        fprintf(stderr, "replay: no seed files\n");
        return 1;
    }
    printf("%zu files, each with up to %d variants\n", files, CUTS + CHANGES);
    return 0;
}

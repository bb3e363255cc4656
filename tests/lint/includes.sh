#!/bin/sh
# The dependency order of the folders, and where third-party headers may appear.
#
# core includes core; formats, index, transport, service and hypervisor include themselves
# and core; cmd includes all of them; tests and bench may include anything. Inside core, files
# beside its folders include no folder, and folders follow the order in core/README.md. Lines that
# follow each other are sorted.
set -eu
cd "${VF_SRC:-$(dirname "$0")/../..}"

LC_ALL=C awk '
function folder(path) { sub(/\/.*/, "", path); return path }
function bad(text) { printf "%s:%d: %s\n", FILENAME, FNR, text; wrong = 1 }
# Third-party headers: which files may include them.
function fenced(header) {
    if (header ~ /^(zstd|zstd_errors|zdict)\.h$/) return "^core/literals"
    if (header ~ /^openssl\//)                    return "^(core|transport)/"
    if (header ~ /^lmdb\.h$/)                     return "^index/"
    if (header ~ /^libssh2/)                      return "^transport/"
    if (header ~ /^(libqcow|libcerror|libbfio|libnbd)/) return "^formats/"
    if (header ~ /^librsync/)                     return "^(core|index|transport|cmd)/"
    if (header ~ /^systemd\//)                   return "^service/"
    if (header ~ /^(libvirt|libxml)/)             return "^hypervisor/"
    if (header ~ /^jansson\.h$/)                  return "^(cmd|hypervisor)/"
    if (header ~ /^ini\.h$/)                      return "^cmd/"
    if (header ~ /^seccomp\.h$/)                  return "^cmd/"
    return "."
}
function part_of_core(path, part) { return split(path, part, "/") == 3 ? part[2] : "" }
# What a folder of core may include besides itself and the files beside the folders.
function core_may(from, to)
{
    if (to == "" || to == from) return 1
    if (from == "map")      return to == "hash"
    if (from == "literals") return to == "hash" || to == "map"
    if (from == "similar" || from == "engine") return to ~ /^(hash|map|literals)$/
    return 0
}
# Lines of one kind without another line between them.
/^#include ["<]/ {
    split($2, part, /[<>"]/)
    if (FILENAME == last_file && FNR == last_line + 1 && substr($2, 1, 1) == last_kind &&
        part[2] < last)
        bad(part[2] " belongs before " last)
    last_file = FILENAME; last_line = FNR; last_kind = substr($2, 1, 1); last = part[2]
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
    split($0, part, "\"")
    from = folder(FILENAME); to = folder(part[2])
    if (part[2] !~ /\//) bad("write the folder too: \"" part[2] "\"")
    else if (system("test -f " part[2]) != 0) bad("no such file: " part[2])
    else if (from == "tests" || from == "bench") next
    else if (to == "tests" || to == "bench") bad("the program must not need " part[2])
    else if (from == "cmd") next
    else if (to != from && to != "core") bad(from " must not include " part[2])
    else if (from == "core" && !core_may(part_of_core(FILENAME), part_of_core(part[2])))
        bad("core/" part_of_core(FILENAME) " must not include " part[2])
}
/^[ \t]*#[ \t]*include[ \t]*</ {
    split($0, part, /[<>]/)
    from = folder(FILENAME)
    if (from != "tests" && from != "bench" && FILENAME !~ fenced(part[2]))
        bad("<" part[2] "> belongs to " fenced(part[2]))
}
END { exit wrong }
' $(find * -path 'build*' -prune -o -name '*.[ch]' -print)

#!/bin/sh
# The walls of the house style: 800 lines for a file, 90 for a function.
set -eu
cd "${VF_SRC:-$(dirname "$0")/../..}"

awk -v file_wall=800 -v function_wall=90 '
FNR == 1 { if (last) check_file(); in_body = 0 }
{ last = FILENAME; lines = FNR }
/^\{/ { in_body = 1; start = FNR }
/^\}/ && in_body {
    if (FNR - start - 1 > function_wall) {
        printf "%s:%d: a function of %d lines (at most %d)\n", FILENAME, start, FNR - start - 1, function_wall
        wrong = 1
    }
    in_body = 0
}
function check_file() {
    if (lines > file_wall) {
        printf "%s: %d lines (at most %d)\n", last, lines, file_wall
        wrong = 1
    }
}
END { if (last) check_file(); exit wrong }
' $(find * -path 'build*' -prune -o -name '*.[ch]' -print)

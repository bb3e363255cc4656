#!/bin/sh
# Each header compiles alone, and again when it is included twice.
set -eu
cd "${VF_SRC:-$(dirname "$0")/../..}"

rc=0
# The third-party headers that ours include need no flags on Debian beyond these.
flags="-std=gnu17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I. -Wall -Wextra -Werror"
for h in $(find * -path 'build*' -prune -o -name '*.h' -print); do
    # shellcheck disable=SC2086 # a list of words
    printf '#include "%s"\n#include "%s"\nextern int vf_unused;\n' "$h" "$h" |
        ${CC:-cc} $flags -fsyntax-only -x c - || { echo "$h does not compile alone"; rc=1; }
done
exit $rc

#!/bin/sh
# Shell scripts parse, and tests among them can be run; where shellcheck is installed, it has no
# complaints.
set -eu
cd "${VF_SRC:-$(dirname "$0")/../..}"

rc=0
scripts=
for f in $(find * .ci -path 'build*' -prune -o -type f -print | grep -v '/corpus/'); do
    case $(head -c 64 "$f" | head -n 1 | tr -d '\000') in
    '#!'*bash*) bash -n "$f" || rc=1 ;;
    '#!/bin/sh'* | '# shellcheck shell=sh'*) sh -n "$f" || rc=1 ;;
    *) continue ;;
    esac
    scripts="$scripts $f"
done
for f in tests/cli/[a-z0-9]*.sh tests/e2e/[a-z0-9]*.sh tests/lint/[a-z0-9]*.sh; do
    [ -x "$f" ] || { echo "$f: not executable"; rc=1; }
done
if command -v shellcheck >/dev/null; then
    # SC1091, SC2154, SC2034: files that are sourced, and their variables. SC2044, SC2046, SC2035:
    # our file names have no spaces and no dashes in front. SC2015: "a && b || c" where b cannot
    # fail. SC2164: functions.sh sets -e, so a failed cd ends the script.
    # shellcheck disable=SC2086
    shellcheck -S warning -e SC1091,SC2154,SC2034,SC2044,SC2046,SC2035,SC2015,SC2164 $scripts || rc=1
fi
exit $rc

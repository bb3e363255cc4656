#!/bin/sh
# run.sh [-j JOBS] [-t SECONDS] [-o DIR] [-w WRAPPER] TEST... - run tests in parallel.
#
# A TEST is a program (or a *.sh script) that exits 0 (passed), 77 (skipped, the
# last line that it printed says why) or anything else (failed). Each gets one
# line, the failed ones are shown with their output at the end, and the last
# line is "N passed, N failed, N skipped". The exit status is 0 only when
# nothing failed.
#
#   -j  tests at a time (default: one for each processor)
#   -t  seconds that a test may take; a script may ask for more with a line
#       "# timeout: N"
#   -o  directory for the logs (default: build/logs)
#   -w  command put before test programs, such as valgrind; not before scripts
#
# Each test has a temporary directory of its own (TMPDIR, HOME), which is removed
# afterwards. With CI=true a skip that tests/skips.list does not name is a failure.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

# ---- one test: what xargs starts -----------------------------------------
if [ "${1:-}" = --one ]; then
    test=$2
    name=$(basename "$(dirname "$(realpath "$test")")")/$(basename "$test" .sh)
    log=$VF_OUT/$(echo "$name" | tr / .)
    TMPDIR=$(mktemp -d "$VF_TMPBASE/vf.XXXXXX")
    HOME=$TMPDIR
    export TMPDIR HOME
    limit=$VF_LIMIT
    wrapper=$VF_WRAPPER
    case $test in
    *.sh)
        own=$(sed -n 's/^# timeout: \([0-9][0-9]*\)$/\1/p' "$test" | head -n 1)
        [ "${own:-0}" -le "$limit" ] || limit=$own
        wrapper=
        ;;
    esac
    start=$(date +%s%N)
    # timeout makes a process group of its own: what a test leaves behind in it
    # ends with it. The shell starts background jobs with SIGINT ignored, which
    # no test expects. The wrapper is a list of words.
    # shellcheck disable=SC2086
    env --default-signal=INT,QUIT timeout -k 10 "$limit" $wrapper "$test" >"$log.log" 2>&1 </dev/null &
    pid=$!
    trap 'kill -TERM $pid 2>/dev/null; wait $pid; rm -rf "$TMPDIR"; exit 130' INT TERM HUP
    rc=0
    wait $pid || rc=$?
    kill -s KILL -- -$pid 2>/dev/null || :
    chmod -R u+rwX "$TMPDIR" 2>/dev/null || :
    rm -rf "$TMPDIR"
    ms=$((($(date +%s%N) - start) / 1000000))
    took=$((ms / 1000)).$(printf %03d $((ms % 1000)) | cut -c1-2)s
    note=
    case $rc in
    0) word=ok ;;
    77)
        word=skip
        note=": $(grep . "$log.log" | tail -n 1 | sed 's/^[Ss][Kk][Ii][Pp][a-z]*:* *//')"
        if [ "${CI:-}" = true ] && ! grep -q "^$name\([[:space:]]\|\$\)" "$here/skips.list"; then
            word=FAIL
            note="$note (a skip that tests/skips.list does not allow)"
        fi
        ;;
    124 | 137) word=FAIL note=": stopped after $limit s" ;;
    *) word=FAIL note=": exit status $rc" ;;
    esac
    echo "$word" >"$log.result"
    printf '%-4s  %s (%s)%s\n' "$word" "$name" "$took" "$note"
    exit 0
fi

# ---- all of them ---------------------------------------------------------
jobs=$(nproc 2>/dev/null || echo 2)
VF_LIMIT=120
VF_OUT=$here/../build/logs
VF_WRAPPER=
while getopts j:t:o:w: o; do
    case $o in
    j) jobs=$OPTARG ;;
    t) VF_LIMIT=$OPTARG ;;
    o) VF_OUT=$OPTARG ;;
    w) VF_WRAPPER=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))

mkdir -p "$VF_OUT"
VF_OUT=$(cd "$VF_OUT" && pwd)
rm -f "$VF_OUT"/*.log "$VF_OUT"/*.result
VF_TESTS=$here
VF_SRC=$(cd "$here/.." && pwd)
VMFERRY=${VMFERRY:-$VF_SRC/build/vmferry}
VF_LAB=${VF_LAB:-$VF_SRC/build/lab}
VF_TMPBASE=${TMPDIR:-/tmp}
export VF_LIMIT VF_OUT VF_WRAPPER VF_TESTS VF_SRC VMFERRY VF_LAB VF_TMPBASE
export LC_ALL=C TZ=UTC
# Tests ask for impossible amounts of memory on purpose and expect NULL. The first report ends the program: nobody
# reads what a far end says on stderr, and its exit status does not matter once all has arrived.
export ASAN_OPTIONS="${ASAN_OPTIONS:-allocator_may_return_null=1:detect_stack_use_after_return=1}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"
export TSAN_OPTIONS="${TSAN_OPTIONS:-allocator_may_return_null=1:halt_on_error=1:second_deadlock_stack=1:suppressions=$here/lib/tsan.supp}"
# The user's own settings must not decide a test.
unset VMFERRY_STORE XDG_DATA_HOME XDG_CONFIG_HOME XDG_CACHE_HOME SSH_AUTH_SOCK SSH_ASKPASS

if [ $# -gt 0 ]; then
    printf '%s\0' "$@" | xargs -0 -n 1 -P "$jobs" "$here/run.sh" --one || :
fi

count() { cat "$VF_OUT"/*.result 2>/dev/null | grep -c "^$1\$" || :; }
passed=$(count ok)
skipped=$(count skip)
failed=$(($# - passed - skipped)) # a test without a result failed as well

for r in "$VF_OUT"/*.result; do
    [ -e "$r" ] && [ "$(cat "$r")" = FAIL ] || continue
    printf '\n==== %s: the end of %s\n' "$(basename "$r" .result)" "${r%.result}.log"
    tail -n 80 "${r%.result}.log"
done
[ "$failed" -eq 0 ] || echo
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]

#!/bin/sh
# Whatever of the index cannot be read: the reason is said, and nothing else.
. "${VF_TESTS:-$(dirname "$0")/..}/lib/functions.sh"

vf_preload cli/mdbfault.c
cd "$vf_tmp" || exit
export VMFERRY_STORE="$vf_tmp/store"
vf_image a.raw 1M seed=1

# each ARGUMENT...: the command, with one reading transaction after the other failing, until there
# are no more of them.
each() {
    at=0 failed=0 done=false
    while ! $done; do
        at=$((at + 1))
        [ $at -le 40 ] || fail "no end: $*"
        got=0
        env LD_PRELOAD="$vf_tmp/mdbfault.so" VF_FAULT_AT=$at "$VMFERRY" "$@" --json -q \
            >"$VF_OUT" 2>"$VF_ERR" </dev/null || got=$?
        if [ $got -ne 0 ]; then
            failed=$((failed + 1))
            [ $got -eq 1 ] || fail "status $got with fault $at: $*"
            json_is "$VF_OUT" .error.code io
            json_true "$VF_OUT" '.error.message | contains("Input/output error")'
        elif [ $at -gt $((failed + 4)) ]; then # some are only hints, and may fail
            done=true
        fi
    done
    [ $failed -ge "$least" ] || fail "only $failed reads of the index failed: $*"
}

least=2
each index add a.raw --force # what is read back at the end, too
each index add a.raw         # the map is there and fresh
each index add a.raw --group one
each index show a.raw
each index ls

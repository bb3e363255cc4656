#!/bin/sh
# A limit on the size of files is a lack of space, at either end: status 5, and nothing is left behind.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"

cd "$vf_tmp" || exit
vf_image a.raw 8M seed=1
vf_expect_exit 0 "$VMFERRY" index ls # makes the store
vf_expect_exit 0 at_dst index ls

# limited KIB ARGUMENT...
limited() {
    (
        ulimit -f $(($1 * 2))
        shift
        exec "$VMFERRY" "$@" --json
    ) >"$VF_OUT" 2>"$VF_ERR"
}

for kib in 200 4000; do
    got=0
    limited $kib migrate a.raw --to "$vf_dst" || got=$?
    [ $got -eq 5 ] || fail "status $got with $kib KiB"
    json_is "$VF_OUT" .error.code space
    no_litter
done
got=0
limited 100 index add a.raw || got=$?
[ $got -eq 5 ] || fail "the index: status $got"
json_is "$VF_OUT" .error.code space
vf_expect_exit 0 "$VMFERRY" index check
moved a.raw a.raw

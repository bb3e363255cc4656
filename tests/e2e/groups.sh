#!/bin/sh
# Blocks are shared inside a sharing group only, and a store grants what its settings say.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"

cd "$vf_tmp" || exit
vf_image a.raw 2M seed=1
vf_expect_exit 0 at_dst index add --group blue a.raw

literals() {
    vf_expect_exit 0 "$VMFERRY" similar a.raw --node "$vf_dst" --json "$@"
    json_get "$VF_OUT" '.nodes[0].literal_blocks'
}
[ "$(literals)" = 4096 ] || fail "the default group learns of blue"
[ "$(literals --group red)" = 4096 ] || fail "red learns of blue"
[ "$(literals --group blue)" = 0 ] || fail "blue does not find its own"
vf_expect_exit 0 "$VMFERRY" similar a.raw --node "$vf_dst" --group red --json
json_is "$VF_OUT" '.nodes[0].images | length' 0

moved a.raw red.raw --group red
json_is "$VF_OUT" '[.group, .literal_blocks] | join(" ")' "red 4096"
moved a.raw blue.raw --group blue
json_is "$VF_OUT" '[.group, .shared_blocks] | join(" ")' "blue 4096"
vf_expect_exit 0 at_dst index ls --json
json_is "$VF_OUT" '[.images[].group] | sort | join(" ")' "blue blue red"

# The image's own group is the default of what is asked for.
vf_expect_exit 0 "$VMFERRY" index add --group blue a.raw
[ "$(literals)" = 0 ] || fail "the image's group is not used"

# What an interrupted transfer of one group left is nothing for another.
vf_image b.raw 4M seed=2
"$VMFERRY" migrate b.raw --to "$vf_dst" --group red --limit-rate 1M --compress none >/dev/null 2>&1 &
client=$!
vf_wait_for 20 has_come "$(received b.raw.part)" 256 || fail "it does not begin"
kill -KILL $client
wait $client || :
vf_wait_for 10 far_end_gone || fail "the far end does not end"
[ -s "$(received b.raw.part)" ] || fail "nothing was left"
moved b.raw b.raw --group blue
json_is "$VF_OUT" '[.shared_blocks, .copied_blocks] | join(" ")' "0 0"

printf '[serve]\ngroups = red, default\n' >"$vf_dst/vmferry.conf"
vf_expect_exit 4 "$VMFERRY" migrate a.raw --to "$vf_dst" --as x.raw --group blue --json
json_is "$VF_OUT" .error.code denied
moved a.raw y.raw --group red

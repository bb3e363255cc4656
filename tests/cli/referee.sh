#!/bin/sh
# The brute-force counter that other tests trust counts the paper's worked example as the paper
# does: blocks 0 1 2 1 0 4 4 4 3 5 against an image that holds 1, 2, 3 and 4.
. "${VF_TESTS:-$(dirname "$0")/..}/lib/functions.sh"
sim=$VF_LAB/blocksim
[ -x "$sim" ] || fail "no $sim: make lab"

blocks() { for b; do vf_bytes "$((b + 100))" 512; done; }
blocks 0 1 2 1 0 4 4 4 3 5 >"$vf_tmp/target"
blocks 4 1 3 2 2 >"$vf_tmp/other"

vf_expect_exit 0 "$sim" counts 512 "$vf_tmp/target" "$vf_tmp/other"
json_is "$VF_OUT" '[.blocks, .zero_blocks, .distinct_blocks] | @csv' 10,0,6
json_is "$VF_OUT" '[.shared_blocks, .similarity] | @csv' 7,0.7
json_is "$VF_OUT" '[.shared_distinct_blocks, .similarity_distinct] | @csv' 4,0.4
json_is "$VF_OUT" '[.literal_blocks, .duplicate_blocks] | @csv' 2,1

# What must be sent is 0 and 5, once each, in order.
vf_expect_exit 0 "$sim" missing 512 "$vf_tmp/target" "$vf_tmp/other"
blocks 0 5 | cmp - "$VF_OUT" || fail "other blocks than 0 and 5"

# Zero blocks are ordinary content of the similarity, and never sent. A short end is padded.
vf_image "$vf_tmp/zeros" 2048
truncate -s +1100 "$vf_tmp/target"
vf_expect_exit 0 "$sim" counts 512 "$vf_tmp/target" "$vf_tmp/other" "$vf_tmp/zeros"
json_is "$VF_OUT" '[.blocks, .zero_blocks, .shared_blocks, .literal_blocks] | @csv' 13,3,10,2
vf_expect_exit 0 "$sim" pairs 512 "$vf_tmp/target" "$vf_tmp/zeros"
[ "$(awk -F'\t' 'NR > 1 && $2 == "target" { print $7, $10 }' "$VF_OUT")" = "3 1" ] || fail "zeros in pairs"

#!/bin/sh
# The worked example of the paper: blocks 0 1 2 1 0 4 4 4 3 5 against an image that holds 1 to 4.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"

cd "$vf_tmp" || exit

# blocks FILE N...: a raw image of these contents; z is the zero block.
blocks() {
    out=$1
    shift
    : >"$out"
    for b in "$@"; do
        if [ "$b" = z ]; then head -c 512 /dev/zero; else vf_bytes $((b + 100)) 512; fi >>"$out"
    done
}

blocks target.raw 0 1 2 1 0 4 4 4 3 5
blocks candidate.raw 9 1 2 3 4 8 7
vf_expect_exit 0 at_dst index add candidate.raw

vf_expect_exit 0 "$VMFERRY" similar target.raw --node "$vf_dst" --json
json_is "$VF_OUT" '[.blocks, .zero_blocks, .distinct_blocks] | join(" ")' "10 0 6"
json_is "$VF_OUT" '.nodes[0] | [.shared_blocks, .shared_distinct_blocks, .similarity,
    .similarity_distinct, .literal_blocks] | join(" ")' "7 4 0.7 0.4 2"
json_is "$VF_OUT" '.nodes[0].images[0] | [.shared_blocks, .shared_distinct_blocks, .similarity,
    .similarity_distinct] | join(" ")' "7 4 0.7 0.4"
json_is "$VF_OUT" .choice "$vf_dst"
vf_expect_exit 0 "$VMFERRY" similar target.raw --node "$vf_dst"
grep -q '70.00 %  *40.00 %' "$VF_OUT" || fail "the table says something else"

moved target.raw target.raw
json_is "$VF_OUT" '[.zero_blocks, .shared_blocks, .duplicate_blocks, .literal_blocks] | join(" ")' \
    "0 7 1 2"

# Were content 0 the zero block: ordinary for the measures, free for a migration.
rm -r "$vf_dst"
blocks target.raw z 1 2 1 z 4 4 4 3 5
vf_expect_exit 0 at_dst index add candidate.raw
vf_expect_exit 0 "$VMFERRY" similar target.raw --node "$vf_dst" --json
json_is "$VF_OUT" '[.zero_blocks, .distinct_blocks] | join(" ")' "2 6"
json_is "$VF_OUT" '.nodes[0] | [.shared_blocks, .shared_distinct_blocks, .literal_blocks] | join(" ")' \
    "7 4 1"
blocks candidate.raw 9 1 2 3 4 8 7 z
vf_expect_exit 0 at_dst index add candidate.raw
vf_expect_exit 0 "$VMFERRY" similar target.raw --node "$vf_dst" --json
json_is "$VF_OUT" '.nodes[0] | [.shared_blocks, .shared_distinct_blocks, .similarity] | join(" ")' \
    "9 5 0.9"
moved target.raw target.raw
json_is "$VF_OUT" '[.zero_blocks, .shared_blocks, .duplicate_blocks, .literal_blocks] | join(" ")' \
    "2 7 0 1"

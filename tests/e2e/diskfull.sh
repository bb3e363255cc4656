#!/bin/sh
# A disk that is full, before and during a transfer: status 5, and nothing is left behind.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"
requires_root

cd "$vf_tmp" || exit
mkdir -p "$vf_dst/images" small
mount -t tmpfs -o size=16M,mode=700 none "$vf_dst/images" 2>/dev/null || skip "cannot mount a tmpfs"
vf_on_exit "umount -l '$vf_dst/images'"

vf_image big.raw 20M seed=1
vf_expect_exit 5 "$VMFERRY" migrate big.raw --to "$vf_dst" --json
json_is "$VF_OUT" .error.code space
[ -z "$(ls "$vf_dst/images")" ] || fail "something was left"

# It fitted at the beginning, but somebody else was faster.
vf_image a.raw 8M seed=2
for im in a.raw a.qcow2; do
    "$VMFERRY" migrate a.raw --to "$vf_dst" --as $im --to-format "${im#a.}" --limit-rate 3M \
        --compress none --json >"$VF_OUT" 2>"$VF_ERR" &
    client=$!
    vf_wait_for 10 test -s "$(received $im.part)" || fail "it does not begin"
    head -c 14M /dev/zero >"$vf_dst/images/filler" 2>/dev/null || :
    got=0
    wait $client || got=$?
    [ $got -eq 5 ] || fail "status $got"
    json_is "$VF_OUT" .error.code space
    rm "$vf_dst/images/filler"
    [ -z "$(ls "$vf_dst/images")" ] || fail "something was left: $(ls "$vf_dst/images")"
done
moved a.raw a.raw

# The index's disk is full: the index stays as it was.
mount -t tmpfs -o size=3M,mode=700 none small
vf_on_exit "umount -l '$vf_tmp/small'"
vf_image s.raw 1M seed=3
vf_expect_exit 0 "$VMFERRY" --store small index add s.raw
vf_image many.raw 60M seed=4
vf_expect_exit 5 "$VMFERRY" --store small index add many.raw --json
json_is "$VF_OUT" .error.code space
vf_expect_exit 0 "$VMFERRY" --store small index check --json
json_is "$VF_OUT" .checked 1

# A migration from there works all the same; only its map is not kept.
vf_expect_exit 0 "$VMFERRY" --store small migrate many.raw --to "$vf_tmp/roomy" --json
is_sound "$VF_OUT"
grep -q "map is not kept" "$VF_ERR" || fail "not a word about the map"
cmp many.raw roomy/images/many.raw

# There is no room at all, not even for a new store, or for a bit of one.
mkdir full
mount -t tmpfs -o size=1M,mode=700 none full
vf_on_exit "umount -l '$vf_tmp/full'"
head -c 2M /dev/zero >full/filler 2>/dev/null || :
for room in 0 4 8 16 32 64; do
    truncate -s $((1048576 - room * 1024)) full/filler
    for command in "index add s.raw" "index ls" "migrate s.raw --to $vf_tmp/roomy --as $room.raw"; do
        # shellcheck disable=SC2086 # words
        "$VMFERRY" --store "full/$room" $command --json >"$VF_OUT" 2>"$VF_ERR" && continue
        got=$?
        [ $got -eq 5 ] || fail "status $got with $room KiB: $command"
        json_is "$VF_OUT" .error.code space
    done
    rm -rf "full/$room"
    got=0
    "$VMFERRY" migrate s.raw --to "$vf_tmp/full/$room" --json >"$VF_OUT" 2>"$VF_ERR" || got=$?
    [ $got -eq 5 ] || fail "status $got with $room KiB there"
    json_is "$VF_OUT" .error.code space
    rm -rf "full/$room"
done

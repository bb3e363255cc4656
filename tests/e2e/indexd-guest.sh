#!/bin/sh
# A guest that writes all the time with its disk in the store: it is indexed as moving, disturbs
# nobody and is not disturbed, and gives blocks to a migration that comes out right.
# timeout: 240
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_indexd.sh"
. "$VF_TESTS/lab/guest.sh"
guest_build

indexd_settings 'settle = 300ms' 'scan-interval = 1s' 'moving-interval = 2s'
mkdir -p "$images"
vf_image "$images/guest.raw" 64M seed=1 # behind it, the judge wants zeros or what was written
truncate -s 112M "$images/guest.raw"
cp "$images/guest.raw" "$vf_tmp/before.raw"
guest_qemu here "$vf_tmp/g" "disk=raw:$images/guest.raw"
vf_on_exit 'guest_stop here "$vf_tmp/g"'
guest_console here "$vf_tmp/g/serial" "$vf_tmp/g.log"
guest_wrote "$vf_tmp/g.log" 20
indexd_start
indexd_comes '.images.moving == 1 and .indexed >= 2' 60
guest_goes_on "$vf_tmp/g.log"

# Another machine, much like this one, comes while the guest writes and its disk is read.
vf_put "$vf_tmp/before.raw" 20M 256K 9
VMFERRY_STORE=$vf_dst vf_expect_exit 0 "$VMFERRY" migrate "$vf_tmp/before.raw" --to "$vf_src" \
    --as twin.raw --json
is_sound "$VF_OUT"
json_true "$VF_OUT" '.shared_blocks > 0.95 * (.blocks - .zero_blocks) and .wire_bytes_sent < 4000000'
cmp "$vf_tmp/before.raw" "$images/twin.raw" || fail "the twin is wrong"
guest_goes_on "$vf_tmp/g.log"
indexd_comes '.images.moving == 1 and .images.fresh == 1' 60
vf_expect_exit 0 "$VMFERRY" index ls --json
json_is "$VF_OUT" '.images[] | select(.image == "images/guest.raw") | .state' moving
json_is "$VF_OUT" '.images[] | select(.image == "images/guest.raw") | .fresh' false

# Nothing that the guest was promised is missing; when it has gone, its disk is an image like others.
guest_stop here "$vf_tmp/g"
guest_judge "$images/guest.raw" raw "$vf_tmp/g.log"
indexd_comes '.images.fresh == 2 and .images.moving == 0' 60
indexd_quiet 20
vf_expect_exit 0 "$VMFERRY" index check --json
json_is "$VF_OUT" .checked 2
indexd_stop

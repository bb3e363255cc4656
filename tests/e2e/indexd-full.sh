#!/bin/sh
# The disk of the index is full: the service waits, says so once, and goes on when there is room.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_indexd.sh"
requires_root

mkdir -p "$vf_src/index" "$images"
mount -t tmpfs -o size=3M,mode=700 none "$vf_src/index" 2>/dev/null || skip "cannot mount a tmpfs"
vf_on_exit "umount -l '$vf_src/index'"
indexd_settings 'settle = 200ms' 'retry = 300ms' 'scan-interval = 2s'
vf_image "$images/small.raw" 1M seed=1
indexd_start
indexd_comes '.images.fresh == 1'

vf_image "$images/big.raw" 60M seed=2
indexd_comes '.paused != null and .images.waiting == 1'
sleep 2
[ "$(indexd_said 'waiting: ')" -eq 1 ] || fail "said $(indexd_said 'waiting: ') times"
vf_expect_exit 0 "$VMFERRY" index check --json
json_is "$VF_OUT" .checked 1

mount -o remount,size=64M "$vf_src/index"
indexd_comes '.images.fresh == 2 and .paused == null'
vf_expect_exit 0 "$VMFERRY" index check --json
json_is "$VF_OUT" .checked 2
indexd_stop

#!/bin/sh
# A running QEMU without libvirt, whose QMP socket the settings name, with a qcow2 disk that its guest
# writes all the time: the service reads it through QEMU and marks the map as moving, a migration takes
# blocks from it and is right, a service that is killed leaves nothing that stays, exports of others are
# left alone, and the guest loses nothing.
# timeout: 240
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_indexd.sh"
. "$VF_TESTS/lab/guest.sh"
guest_build

socket=$vf_tmp/g/qmp
settings() { indexd_settings 'settle = 300ms' 'scan-interval = 1s' 'retry = 500ms' "qmp-sockets = $vf_tmp/*/qmp" "$@"; }
exports() { guest_qmp here "$vf_tmp/g/qmp2" query-block-exports | jq -c '[.[].id]'; }
has_view() { exports | grep -q vmferry-view; }
nothing_left() {
    vf_wait_for 20 sh -c '[ ! -e "$1" ]' sh "$socket.vmferry" || fail "a socket is left"
    [ "$(exports)" = "[]" ] || fail "an export is left: $(exports)"
}

mkdir -p "$images"
vf_image "$vf_tmp/g.raw" 32M seed=1
truncate -s 112M "$vf_tmp/g.raw"
qemu-img convert -f raw -O qcow2 "$vf_tmp/g.raw" "$images/g.qcow2"
guest_qemu here "$vf_tmp/g" "disk=qcow2:$images/g.qcow2" "words=offset=$((32 << 20))"
vf_on_exit 'guest_stop here "$vf_tmp/g"'
guest_console here "$vf_tmp/g/serial" "$vf_tmp/g.log"
guest_wrote "$vf_tmp/g.log" 20

settings 'moving-interval = 2s'
indexd_start
indexd_comes '.images.moving == 1 and .indexed >= 2' 60
guest_goes_on "$vf_tmp/g.log"
vf_expect_exit 0 "$VMFERRY" index ls --json
json_is "$VF_OUT" '[.images[] | .format + " " + .state] | join(",")' 'qcow2 moving'
json_true "$VF_OUT" '.images[0].blocks == 229376 and .images[0].zero_blocks < 165000'

# Blocks come from it.
settings 'moving-interval = 1h'
kill -HUP "$indexd_pid"
vf_put "$vf_tmp/g.raw" 20M 256K 9
VMFERRY_STORE=$vf_dst vf_expect_exit 0 "$VMFERRY" migrate "$vf_tmp/g.raw" --to "$vf_src" --as twin.raw --json
is_sound "$VF_OUT"
json_true "$VF_OUT" '.shared_blocks > 0.95 * (.blocks - .zero_blocks) and .wire_bytes_sent < 4000000'
cmp "$vf_tmp/g.raw" "$images/twin.raw" || fail "the twin is wrong"
guest_goes_on "$vf_tmp/g.log"
nothing_left

# Killed in the middle: the next one removes what is left.
settings 'moving-interval = 1s' 'read-rate = 2M'
kill -HUP "$indexd_pid"
vf_wait_for 60 has_view || fail "it does not read: $(tail -n 5 "$vf_tmp/indexd.log")"
kill -KILL "$indexd_pid"
wait "$indexd_pid" || :
has_view || fail "the test came too late"
settings 'moving-interval = 1h'
indexd_start
[ "$(indexd_said 'left over, was ended')" = 1 ] || fail "nothing said: $(tail -n 5 "$vf_tmp/indexd.log")"
nothing_left

# Somebody else's exports are left alone.
guest_qmp here "$vf_tmp/g/qmp2" nbd-server-start \
    "{\"addr\":{\"type\":\"unix\",\"data\":{\"path\":\"$vf_tmp/theirs\"}}}" >/dev/null
guest_qmp here "$vf_tmp/g/qmp2" block-export-add \
    '{"type":"nbd","id":"theirs","node-name":"disk0","name":"d"}' >/dev/null
settings 'moving-interval = 1s'
kill -HUP "$indexd_pid"
indexd_comes '.skipped[0].message | contains("somebody else")' 60
[ "$(exports)" = '["theirs"]' ] || fail "their export: $(exports)"
guest_qmp here "$vf_tmp/g/qmp2" nbd-server-stop >/dev/null
indexd_comes '.images.moving == 1 and .images.skipped == 0' 60
guest_goes_on "$vf_tmp/g.log"

# The guest ends: its disk is an image like others, and holds all that it was promised.
guest_stop here "$vf_tmp/g"
indexd_comes '.images.moving == 0 and .images.fresh == 2' 60
vf_expect_exit 0 "$VMFERRY" index check --json
json_is "$VF_OUT" .checked 2
VF_GUEST_OFFSET=$((32 << 20)) guest_judge "$images/g.qcow2" qcow2 "$vf_tmp/g.log"
indexd_stop

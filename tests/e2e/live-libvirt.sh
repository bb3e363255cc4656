#!/bin/sh
# timeout: 240
# A running domain of libvirt, which writes all the time, moves to another site's libvirt over 20 ms
# and back: no acknowledged write is lost, the way back sends only what changed, and it is defined and
# runs at one side only.
. "${VF_TESTS:-$(dirname "$0")/..}/lib/functions.sh"
live_format=qcow2
. "$VF_TESTS/e2e/_live.sh"

live_up libvirt -r 20 -b 1000
# What cannot go together is refused before anything is asked of B, and the guest runs on.
refused() { # STATUS CODE OPTION...
    vf_code=$2
    # shellcheck disable=SC2046 # a list of words
    vf_expect_exit "$1" vmferry_at A $(live_args B) "$3" ${4:+"$4"}
    json_is "$VF_OUT" .error.code "$vf_code"
    ! at B ls /srv/vm/run /srv/vm/index >/dev/null 2>&1 || fail "$*: B was asked"
    live_clean A
}
for how in '' --dry-run; do
    refused 1 unsupported --postcopy $how
    refused 2 usage --offline $how
done
guest_goes_on "$live_log_A"

# What it would take, of the disk as the guest sees it now.
# shellcheck disable=SC2046 # a list of words
vf_expect_exit 0 vmferry_at A $(live_args B) --dry-run
json_true "$VF_OUT" '.dry_run and .disks[0].literal_blocks >= 32768 and .ranking[0].eligible'
there=$(json_get "$VF_OUT" '.disks[0].literal_blocks')
live_clean A
live_clean B
live_move A B
json_is "$VF_OUT" .kind libvirt
json_true "$VF_OUT" '.disks[0].literal_blocks >= 32768'
[ -z "$(virsh_at A list --all --name)" ] || fail "still defined in A"
virsh_at B dumpxml g >"$vf_tmp/g.xml"
grep -q "<source file='$live_image'" "$vf_tmp/g.xml" || fail "another disk"
[ "$(virsh_at B dominfo g | awk '$1 == "Persistent:" { print $2 }')" = yes ] || fail "not kept in B"

live_move B A
back=$(json_get "$VF_OUT" '.disks[0].literal_blocks')
[ "$back" -le $((there / 20 + 4000)) ] || fail "$back literals on the way back"
[ -z "$(virsh_at B list --all --name)" ] || fail "still defined in B"
virsh_at A dumpxml --inactive g >"$vf_tmp/g.xml"
grep -q "<source file='$live_image'" "$vf_tmp/g.xml" || fail "another disk is kept"
live_judge A

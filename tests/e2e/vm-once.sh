#!/bin/sh
# timeout: 240
# A QEMU that damages memory when it sends it twice (without KVM, before 9.0) moves a busy domain in one pass
# over its memory, however short a stop is asked for: it goes on unharmed.
. "${VF_TESTS:-$(dirname "$0")/..}/lib/functions.sh"
VF_GUEST_PERIOD=2000
. "$VF_TESTS/e2e/_live.sh"

unharmed() {
    ! grep -E 'panic|BUG|Oops|not a head' "$live_log_A" "$live_log_B" || fail "the guest's memory is damaged"
}

live_up libvirt -r 20 -b 200
for to in B A; do
    case $to in A) from=B ;; *) from=A ;; esac
    live_move $from $to --max-downtime 2
    virsh_at $to domjobinfo g --completed >"$vf_tmp/job"
    grep '^Iteration' "$vf_tmp/job" || cat "$vf_tmp/job"
    unharmed
done
live_judge A

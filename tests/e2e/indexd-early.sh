#!/bin/sh
# Signals that come while the service still begins are not lost: SIGHUP has it read its settings again,
# SIGTERM ends it.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_indexd.sh"

settings='[indexd]
libvirt-pools = no'

# begin: the service reads its settings from a pipe, and cannot go on before they have come.
begin() {
    rm -f "$vf_tmp/conf"
    mkfifo "$vf_tmp/conf"
    exec 3<>"$vf_tmp/conf"
    "$VMFERRY" --config "$vf_tmp/conf" indexd -v 2>>"$vf_tmp/indexd.log" </dev/null 3>&- &
    indexd_pid=$!
    vf_wait_for 10 reads_settings || fail "it does not begin"
    printf '%s\n' "$settings" >"$vf_tmp/conf.new"
    mv "$vf_tmp/conf.new" "$vf_tmp/conf" # for the next time that they are read
}
reads_settings() { [ -n "$(find "/proc/$indexd_pid/fd" -lname "$vf_tmp/conf")" ]; }

# go_on: they come.
go_on() {
    printf '%s\n' "$settings" >&3
    exec 3>&-
}

# Also one that was not waited for yet.
has_ended() { ! grep -q "^State:.[^ZX]" "/proc/$indexd_pid/status" 2>/dev/null; }
has_read_again() { [ "$(indexd_said 'settings are read again')" -eq 1 ]; }

begin
kill -HUP "$indexd_pid"
go_on
vf_wait_for 20 has_read_again || fail "SIGHUP was lost"
vf_wait_for 20 indexd_answers || fail "it does not answer"
indexd_stop

begin
kill -TERM "$indexd_pid"
go_on
got=0
vf_wait_for 20 has_ended || fail "SIGTERM was lost"
wait "$indexd_pid" || got=$?
indexd_pid=
[ "$got" -eq 0 ] || fail "it ended with status $got"

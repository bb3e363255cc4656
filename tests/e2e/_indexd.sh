# shellcheck shell=sh
# _indexd.sh - what tests of the service share. A test starts with
#
#   . "${VF_TESTS:-$(dirname "$0")/..}/e2e/_indexd.sh"
#
# The store is $vf_src, its image directory $images.

. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"

images=$vf_src/images
indexd_pid=
vf_on_exit '[ -z "$indexd_pid" ] || kill -KILL "$indexd_pid" 2>/dev/null'

# indexd_settings LINE...: settings of the service, besides those that every test wants: no pauses
# for others, who share this machine, and nothing of this machine's libvirt.
indexd_settings() {
    mkdir -p "$vf_src"
    {
        printf '%s\n' '[indexd]' 'libvirt-pools = no' 'io-pressure = 0' 'cpu-pressure = 0' "$@"
    } >"$vf_src/vmferry.conf"
}

# indexd_start: starts it, and waits until it answers.
indexd_start() {
    "$VMFERRY" indexd -v 2>>"$vf_tmp/indexd.log" </dev/null &
    indexd_pid=$!
    vf_wait_for 10 indexd_answers || fail "the service does not answer: $(tail -n 3 "$vf_tmp/indexd.log")"
}

indexd_answers() {
    "$VMFERRY" indexd status --json >"$vf_tmp/status" 2>/dev/null &&
        jq -e '.scan.count > 0' "$vf_tmp/status" >/dev/null
}

# indexd_stop: ends it as systemd does; it must take that well.
indexd_stop() {
    kill -TERM "$indexd_pid"
    vf_got=0
    wait "$indexd_pid" || vf_got=$?
    indexd_pid=
    [ "$vf_got" -eq 0 ] || fail "the service ended with status $vf_got: $(tail -n 3 "$vf_tmp/indexd.log")"
}

# indexd_is CONDITION: holds for the status just now?
indexd_is() {
    "$VMFERRY" indexd status --json >"$vf_tmp/status" 2>/dev/null &&
        jq -e "$1" "$vf_tmp/status" >/dev/null
}

# indexd_comes CONDITION [SECONDS]: fails unless it comes to hold.
indexd_comes() {
    vf_wait_for "${2:-20}" indexd_is "$1" ||
        fail "it does not come: $1; the status is $(cat "$vf_tmp/status"); $(tail -n 5 "$vf_tmp/indexd.log")"
}

# Nothing is left to do, and a scan has looked at everything after that.
indexd_idle='.queue == 0 and .reading == [] and .images.missing == 0'
indexd_quiet() {
    indexd_comes "$indexd_idle" "$1"
    vf_scans=$(jq .scan.count "$vf_tmp/status")
    kill -HUP "$indexd_pid"
    indexd_comes ".scan.count > $vf_scans" "$1"
    indexd_comes "$indexd_idle" "$1"
}

# indexd_said TEXT: how often that stands in the log.
indexd_said() { grep -cF -- "$1" "$vf_tmp/indexd.log" || :; }

#!/bin/sh
# A limit of the rate that is changed while a migration runs, over several connections together.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"

cd "$vf_tmp" || exit
ssh_node
seed=0
# shellcheck disable=SC2086 # $vf_reach is a list of words
set -- --format raw --compress none --json --limit-rate-file rate $vf_reach

# begin NAME OPTION...: new content, as nothing travels twice.
begin() {
    name=$1
    shift
    seed=$((seed + 1))
    vf_bytes $seed 24M >noise.raw
    start=$(date +%s)
    "$VMFERRY" -v migrate noise.raw --as "$name" "$@" >"$name.out" 2>"$name.err" &
    client=$!
}
arrived() { on_disk "$(received "$1.part")"; }
has_come() { [ "$(arrived "$1")" -gt "$2" ]; }
ended() { # NAME
    got=0
    wait $client || got=$?
    [ $got -eq 0 ] || fail "$1: status $got: $(cat "$1.err")"
    is_sound "$1.out"
    same_content noise.raw "$(received "$1")"
    seconds=$(($(date +%s) - start))
}

# A file that appears frees a migration that would take a minute; three connections.
begin freed --to "$vf_to" "$@" --streams 3 --limit-rate 400k
vf_wait_for 20 grep -q "connection 3 is up" freed.err || fail "no connections: $(cat freed.err)"
sleep 3
if has_come freed 6000; then fail "400 kB/s are not kept: $(arrived freed) KiB"; fi
echo 100M >rate
ended freed
[ $seconds -lt 40 ] || fail "the new limit is not seen: $seconds s"
grep -q "the rate is now limited to 100 MB/s" freed.err || fail "it does not say so: $(cat freed.err)"

# Three connections share one limit.
echo 6M >rate
begin shared --to "$vf_to" "$@" --streams 3
ended shared
[ $seconds -ge 3 ] || fail "24 MB at 6 MB/s in $seconds s"

# What the file says counts from the start; nonsense and emptiness change nothing; without it the
# limit is that of the command line.
echo 200k >rate
begin slow --to "$vf_dst" "$@" --limit-rate 100M
sleep 1
echo many >rate
vf_wait_for 5 grep -q "stays as it is" slow.err || fail "nonsense is not named: $(cat slow.err)"
: >rate
sleep 2
if has_come slow 4000; then fail "an empty file frees it"; fi
echo none >rate
ended slow
grep -q "no limit of the rate any more" slow.err || fail "it does not say so: $(cat slow.err)"

echo 200k >rate
begin back --to "$vf_dst" "$@" --limit-rate 100M
sleep 1
rm rate
ended back
[ $seconds -lt 40 ] || fail "the limit of the command line does not come back: $seconds s"

# What cannot be a limit is said before anything is done.
echo 5 >rate
vf_expect_exit 2 "$VMFERRY" migrate noise.raw --to "$vf_dst" --as no.raw "$@"
mkdir dir
vf_expect_exit 2 "$VMFERRY" migrate noise.raw --to "$vf_dst" --as no.raw "$@" --limit-rate-file dir
[ ! -e "$(received no.raw)" ] || fail "it was moved all the same"

#!/bin/bash
# check-kill.sh CORPUS WORK [TIMES]   source or receiver killed at random moments of real migrations
#
# Moves deb12-web to a node that holds deb12-min, over and over; TIMES (50) tries end with SIGKILL of the source or
# of the receiver after a random time.  After each one the final name must not exist, or hold the right content, and
# every try that is let through must send little more than what had not arrived.  Ends with a report; status 1 if
# anything was wrong.  Needs jq and room for three images.
set -u
C=${1:?usage: check-kill.sh CORPUS WORK [TIMES]} W=${2:?} times=${3:-50}
here=$(cd "$(dirname "$0")" && pwd)
V=${VMFERRY:-$here/../../build/vmferry}
T=$C/deb12-web.raw D=$W/dst out=$W/dst/images/moved.raw
rm -rf "$D" "$W/src"; mkdir -p "$D/images" || exit 1
cp --sparse=always "$C/deb12-min.raw" "$D/images/" || exit 1
"$V" -q --store "$D" index add "$D/images/deb12-min.raw" && "$V" -q --store "$W/src" index add "$T" || exit 1
bad=0 killed=0 rounds=0 RANDOM=${SEED:-1}
move() { "$V" --store "$W/src" --json --progress none migrate "$T" --to "$D" --as moved.raw --limit-rate 100M > "$W/report" 2> "$W/err"; }
children() { pgrep -P "$1"; }
while [ "$killed" -lt "$times" ]; do
    rounds=$((rounds + 1))
    for try in 1 2 3 4 5 6; do
        "$V" --store "$W/src" --json --progress none migrate "$T" --to "$D" --as moved.raw --limit-rate 100M > "$W/report" 2> "$W/err" &
        pid=$!
        sleep "$((RANDOM % 2)).$((RANDOM % 10))"
        victim=$pid who=source
        if [ $((RANDOM % 2)) = 0 ]; then for victim in $(children $pid); do who=receiver; done; fi
        kill -KILL "$victim" 2> /dev/null
        wait $pid 2> /dev/null
        killed=$((killed + 1))
        # the receiver of a killed source needs a moment to see that
        for _ in $(seq 100); do pgrep -f "$D serve" > /dev/null || break; sleep 0.1; done
        if [ -e "$out" ]; then
            cmp -s "$out" "$T" || { echo "kill $killed ($who): wrong content under the final name"; bad=1; }
            break
        fi
        part=$(du -k "$out.part" 2> /dev/null | cut -f1)
        printf 'kill %2d: %s, %s KiB in the part\n' "$killed" "$who" "${part:-0}"
    done
    [ -e "$out" ] || move || { echo "round $rounds: $(tail -1 "$W/err")"; bad=1; }
    cmp -s "$out" "$T" || { echo "round $rounds: the copy differs"; bad=1; }
    printf 'round %d let through: %s of %s literals travelled, %s bytes sent\n' "$rounds" \
        "$(jq '.literal_blocks + .extra_blocks' "$W/report")" 1497859 "$(jq .wire_bytes_sent "$W/report")"
    rm -f "$out" "$out.part"; "$V" -q --store "$D" index rm "$out"
done
echo "$killed killed, $( [ $bad = 0 ] && echo nothing wrong || echo WRONG)"
exit $bad

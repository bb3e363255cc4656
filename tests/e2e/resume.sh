#!/bin/sh
# timeout: 300
# Either end is killed at any time; the same command goes on with what has arrived.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"
requires pgrep

cd "$vf_tmp" || exit
vf_image a.raw 12M seed=1
vf_hole a.raw 3M 2M
vf_image q.raw 12M seed=9
qemu-img convert -f raw -O qcow2 q.raw a.qcow2

written() { on_disk "$(received "$1.part")"; }

# try IMAGE NAME KIB WHO: starts a slow migration and kills that end when so much more has arrived.
try() {
    before=$(written "$2")
    "$VMFERRY" migrate "$1" --to "$vf_dst" --as "$2" --limit-rate 2M --compress none -q \
        >try.out 2>try.err &
    client=$!
    wait_until=$(($(date +%s) + 4)) # a file that is begun again does not grow by so much
    while [ $(($(written "$2") - before)) -lt "$3" ] && [ "$(date +%s)" -lt $wait_until ]; do
        sleep 0.02
    done
    if [ "$4" = client ]; then
        kill -KILL $client 2>/dev/null || :
    else
        for p in $(pgrep -P $client || :); do kill -KILL "$p" 2>/dev/null || :; done
    fi
    got=0
    wait $client || got=$?
    case $4.$got in
    client.137 | server.4) ;;
    *) fail "the client ended with $got after the $4 was killed: $(cat try.err)" ;;
    esac
    vf_wait_for 20 far_end_gone || fail "the far end does not end"
    [ ! -e "$(received "$2")" ] || fail "an unfinished image has got its name"
}

for im in raw qcow2; do
    i=0
    for who in client server client server; do
        i=$((i + 1))
        try a.$im r.$im $((i * 373 % 600 + 400)) $who
    done
    [ -s "$(received r.$im.part)" ] || fail "nothing was left to go on with"
    moved a.$im r.$im --compress none
    if [ $im = raw ]; then # a qcow2 file may be too damaged to go on with
        json_true "$VF_OUT" '.wire_bytes_sent < 9600000 and .copied_blocks > 2000'
    fi
done

# What another image of that name has left is no harm, and cleared where the new one has holes.
vf_image e.raw 12M seed=4
vf_image f.raw 12M seed=5
vf_image g.raw 12M seed=6
try g.raw x.raw 1000 client
vf_image b.raw 12M seed=2
vf_hole b.raw 1M 4M
moved b.raw x.raw
[ "$(du -k "$(received x.raw)" | cut -f1)" -le 8300 ] || fail "the hole was not made"
try e.raw y.raw 1000 client
vf_image c.raw 12M
moved c.raw y.raw
try f.raw z.raw 1000 client
vf_image d.raw 5000001 seed=3
moved d.raw z.raw
vf_expect_exit 0 at_dst index check

# Two transfers of one name: one of them.
vf_image h.raw 12M seed=7
"$VMFERRY" migrate h.raw --to "$vf_dst" --as two.raw --limit-rate 4M --compress none -q >one.out 2>&1 &
client=$!
vf_wait_for 10 test -e "$(received two.raw.part)" || fail "the first does not begin"
vf_expect_exit 4 "$VMFERRY" migrate h.raw --to "$vf_dst" --as two.raw --json
json_is "$VF_OUT" .error.code busy
wait $client || fail "the first failed: $(cat one.out)"
same_content h.raw "$(received two.raw)"

#!/bin/sh
# The time of day jumps, forward and back by years, and files come from the future and from long ago: the
# service works on, reads nothing without need, forgets nothing, and reads a moving image neither all the
# time nor never again.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_indexd.sh"
requires qemu-io
vf_preload e2e/clockjump.c
VF_CLOCK_FILE=$vf_tmp/offset
export VF_CLOCK_FILE
year=31556952
jump() { # SECONDS
    echo "$1" >"$vf_tmp/offset.new"
    mv "$vf_tmp/offset.new" "$vf_tmp/offset"
    scans=$(jq .scan.count "$vf_tmp/status")
    kill -HUP "$indexd_pid"
    indexd_comes ".scan.count > $scans"
}

indexd_settings 'settle = 300ms' 'scan-interval = 1s' 'forget-after = 1s' 'moving-interval = 1h'
mkdir -p "$images"
vf_image "$images/now.raw" 1M seed=1
vf_image "$images/future.raw" 1M seed=2
vf_image "$images/past.raw" 1M seed=3
touch -d 2100-01-01 "$images/future.raw"
touch -d 1970-01-02 "$images/past.raw"
echo 0 >"$vf_tmp/offset"
LD_PRELOAD=$vf_tmp/clockjump.so indexd_start
indexd_comes '.images.fresh == 3 and .indexed == 3'

# Time alone makes no file another one.
for by in $((10 * year)) $((-20 * year)) 0; do
    jump "$by"
    indexd_is '.images.fresh == 3 and .indexed == 3 and .images.missing == 0' ||
        fail "a jump by $by: $(cat "$vf_tmp/status")"
    json_true "$vf_tmp/status" '.uptime_seconds < 1000 and .scan.seconds_ago < 1000 and .scan.next_seconds <= 1'
done

# What changes is seen, also when its time goes back.
jump $((10 * year))
touch -d 2099-01-01 "$images/future.raw"
touch -d 1970-01-01 "$images/past.raw"
indexd_comes '.images.fresh == 3 and .indexed == 5'
vf_image "$images/new.raw" 1M seed=4
rm "$images/now.raw"
indexd_comes '.images.fresh == 3 and .indexed == 6 and .images.total == 3'

# A guest's disk is indexed ten years ahead, then the clock is set right.
vf_image "$images/guest.raw" 1M seed=5
mkfifo "$vf_tmp/in"
qemu-io -f raw "$images/guest.raw" <"$vf_tmp/in" >/dev/null 2>&1 &
guest=$!
vf_on_exit "kill -KILL $guest 2>/dev/null"
exec 7>"$vf_tmp/in"
echo 'write -P 1 0 64k' >&7
indexd_comes '.images.moving == 1'
made=$(jq .indexed "$vf_tmp/status")
jump 0
indexd_comes ".indexed > $made and .images.moving == 1" # its time cannot be true: once more
made=$(jq .indexed "$vf_tmp/status")
sleep 2.5
indexd_is ".indexed == $made" || fail "it is read again and again"
jump $((10 * year)) # very old now: once more
indexd_comes ".indexed > $made and .images.moving == 1"
made=$(jq .indexed "$vf_tmp/status")
sleep 2.5
indexd_is ".indexed == $made" || fail "it is read again and again, later"
echo quit >&7
wait $guest || :
indexd_comes '.images.fresh == 4 and .images.moving == 0'
indexd_stop
vf_expect_exit 0 "$VMFERRY" index check --json
json_is "$VF_OUT" .checked 4

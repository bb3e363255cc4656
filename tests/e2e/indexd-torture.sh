#!/bin/sh
# Files come, change, move and go at random while the service runs and is killed now and then; in
# the end every map equals its file. VF_TORTURE_SECONDS makes it longer than 12 seconds.
# timeout: 300
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_indexd.sh"

seconds=${VF_TORTURE_SECONDS:-12}
indexd_settings 'settle = 300ms' 'forget-after = 1s' 'scan-interval = 5s' 'recursive = yes' \
    "directories = $vf_tmp/more"
mkdir -p "$vf_tmp/more/deep" "$images"
indexd_start

# A number below $1; the same sequence each time.
seed=${VF_TORTURE_SEED:-1}
pick() {
    seed=$(((seed * 1103515245 + 12345) % 2147483648))
    n=$((seed / 65536 % $1))
}
place() {
    pick 3
    case $n in
    0) at=$images ;;
    1) at=$vf_tmp/more ;;
    2) at=$vf_tmp/more/deep ;;
    esac
    pick 80
    at=$at/f$n
    pick 4
    if [ "$n" -eq 0 ]; then at=$at.qcow2; else at=$at.raw; fi
}
one() {
    place
    a=$at
    pick 10
    what=$n
    case $a in
    *.qcow2)
        case $what in
        0 | 1 | 2 | 3) qemu-img create -q -f qcow2 "$a" $((n + 1))M ;;
        4 | 5 | 6) [ ! -e "$a" ] || qemu-io -f qcow2 -c "write -P $what 64k 128k" "$a" >/dev/null 2>&1 || : ;;
        7 | 8) place; case $at in *.qcow2) mv -f "$a" "$at" 2>/dev/null || : ;; esac ;;
        9) rm -f "$a" ;;
        esac
        return
        ;;
    esac
    case $what in
    0 | 1 | 2) pick 900; dd if=/dev/urandom of="$a" bs=1k count=$((n + 1)) status=none ;;
    3) pick 300; dd if=/dev/urandom of="$a" bs=1k count=16 seek="$n" conv=notrunc status=none ;;
    4) pick 500; truncate -s "${n}k" "$a" ;;
    5) place; case $at in *.raw) mv -f "$a" "$at" 2>/dev/null || : ;; esac ;;
    6) pick 200; dd if=/dev/urandom of="$a.tmp" bs=1k count=$((n + 1)) status=none; mv -f "$a.tmp" "$a" ;;
    7) rm -f "$a" ;;
    8) place; cp --reflink=never "$a" "$at" 2>/dev/null || : ;;
    9) touch "$a" ;;
    esac
}

end=$(($(date +%s) + seconds))
rounds=0
while [ "$(date +%s)" -lt $end ]; do
    one
    rounds=$((rounds + 1))
    if [ $((rounds % 150)) -eq 0 ]; then
        kill -KILL "$indexd_pid"
        wait "$indexd_pid" 2>/dev/null || :
        for i in 1 2 3 4 5 6 7 8 9 10; do one; done
        indexd_start
    fi
done
echo "$rounds rounds"
[ $rounds -gt 100 ] || fail "too few rounds"

indexd_quiet 60
# Those that are no images, by what happened to them, are the only ones without a map.
"$VMFERRY" indexd status --json >"$VF_OUT"
json_true "$VF_OUT" '.images.total == .images.fresh + .images.skipped + .images.failed'
find "$images" "$vf_tmp/more" -type f -size +0 ! -name '.*' ! -name '*.tmp' | wc -l >"$vf_tmp/files"
json_is "$VF_OUT" .images.total "$(cat "$vf_tmp/files")"
fresh=$(json_get "$VF_OUT" .images.fresh)
vf_expect_exit 0 "$VMFERRY" index check --json
json_is "$VF_OUT" .bad 0
json_is "$VF_OUT" .checked "$fresh"
[ "$fresh" -gt 20 ] || fail "only $fresh images"
indexd_stop
vf_expect_exit 0 "$VMFERRY" index check --json

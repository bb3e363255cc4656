#!/bin/sh
# timeout: 400
# Whatever breaks while a guest moves, it goes on in exactly one place, on its own disks, the next try
# succeeds, and no write is lost.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"
. "$VF_TESTS/e2e/_vm.sh"

vf_preload e2e/dieat.c
vm_sites
# Blocks that do not compress, so that the bulk takes its time at a low rate.
VF_GUEST_DISK=96M
truncate -s 96M "$vf_tmp/fill.raw"
vm_guest g1 raw:a.raw words=ballast=8

move() { "$VMFERRY" migrate --vm g1 --qmp "$vf_tmp/a/qmp" --to "$vf_dst" "$@"; }

# Where a move is: a phase of move.json.
phase_is() { grep -q "\"phase\": \"$1\"" "$vf_src/run/vm-g1/move.json" 2>/dev/null; }

# back WHY: the guest goes on at the source, on its own disk; the destination has no guest.
back() {
    guest_goes_on "$vf_tmp/src.log"
    no_overlays
    vm_gone "$vf_tmp/dst.q"
    [ ! -e "$vf_src/run/vm-g1/move.json" ] || fail "$1: a move is left"
    vf_image_now=$(guest_qmp - "$vf_tmp/a/qmp2" query-block | jq -r '.[0].inserted.image.filename')
    [ "$vf_image_now" = "$vf_tmp/a/a.raw" ] || fail "$1: the guest's disk is $vf_image_now"
    [ "$(guest_qmp - "$vf_tmp/a/qmp2" query-block-jobs)" = "[]" ] || fail "$1: a job is left"
    [ ! -e "$vf_dst/images/a.raw" ] || fail "$1: an image is left"
}

# in_phase PHASE [OPTION...]: starts a slow move in the background ($vf_mover), and waits for that phase.
in_phase() {
    vf_phase=$1
    shift
    "$VMFERRY" migrate --vm g1 --qmp "$vf_tmp/a/qmp" --to "$vf_dst" --limit-rate "${vf_rate:-8M}" "$@" \
        >"$VF_OUT" 2>"$VF_ERR" &
    vf_mover=$!
    vf_wait_for 30 phase_is "$vf_phase" || fail "no phase $vf_phase"
    sleep 0.7
}
# ends_with STATUS: the move in the background does; "failed": with any but 0.
ends_with() {
    vf_got=0
    wait "$vf_mover" || vf_got=$?
    if [ "$1" = failed ]; then
        [ "$vf_got" -ne 0 ] || fail "the move did not fail"
    else
        [ "$vf_got" -eq "$1" ] || fail "the move ended with $vf_got, not $1"
    fi
}

echo "== refused before anything changes"
mkdir "$vf_tmp/hooks"
# shellcheck disable=SC2016 # the hook expands
printf '#!/bin/sh\necho "$@" >>"%s/hooks.log"\n[ "$1" != before ]\n' "$vf_tmp" >"$vf_tmp/hooks/10-no"
chmod +x "$vf_tmp/hooks/10-no"
vf_expect_exit 1 move --hooks "$vf_tmp/hooks"
grep -q "^before g1 " "$vf_tmp/hooks.log" || fail "the hook was not run"
back hook
: >"$vf_dst/images/a.raw"
vf_expect_exit 4 move --json
json_is "$VF_OUT" .error.code exists
rm "$vf_dst/images/a.raw"
back "a name that is taken"

echo "== a command that starts another machine, or none: found out before anything changes"
cp "$vf_dst/vmferry.conf" "$vf_tmp/conf"
refused() { # CODE TEXT LINE: of [qmp]
    printf '[qmp]\nstart = %s\n' "$3" >"$vf_dst/vmferry.conf"
    rm -f "$vf_tmp/hooks.log"
    if move --hooks "$vf_tmp/hooks" --json >"$VF_OUT" 2>"$VF_ERR"; then fail "taken: $3"; fi
    json_is "$VF_OUT" .error.code "$1"
    json_get "$VF_OUT" .error.message | grep -q "$2" || fail "$3: $(json_get "$VF_OUT" .error.message)"
    [ ! -e "$vf_tmp/hooks.log" ] || fail "it had begun: $3"
    [ ! -e "$vf_dst/run/vm-g1" ] || fail "left there: $(ls "$vf_dst/run/vm-g1")"
    vm_gone "$vf_tmp/dst.q"
}
start="$vf_tmp/start.dst {qmp} raw:{disk0} --"
refused io "did not start" "/bin/false {qmp} {disk0}"
refused unsupported "memory in KiB is 163840, the command here started 196608" "$start {incoming} -m 192"
refused unsupported "number of processors is 1, the command here started 2" "$start {incoming} -smp 2"
refused unsupported "processor is qemu64" "$start {incoming} -cpu qemu32"
refused unsupported "machine type is pc-q35-7.2" "$start {incoming} -machine pc-q35-7.1"
refused unsupported "the device '- virtio-rng-pci" "$start {incoming} -device virtio-rng-pci"
refused unsupported "without the disk" \
    "$vf_tmp/start.dst {qmp} raw:$vf_tmp/fill.raw -- {incoming} -name {disk0}"
refused unsupported "did not start QEMU with {incoming}" "$start -S"
cp "$vf_tmp/conf" "$vf_dst/vmferry.conf"
back "another machine"

echo "== no room for the disk"
if mount -t tmpfs -o size=3M,mode=700 none "$vf_dst/images" 2>/dev/null; then
    vf_on_exit "umount -l '$vf_dst/images' 2>/dev/null"
    vf_expect_exit 5 move --hooks "$vf_tmp/hooks" --json
    json_is "$VF_OUT" .error.code space
    json_get "$VF_OUT" .error.message | grep -q "disks need up to" || fail "$(cat "$VF_OUT")"
    [ ! -e "$vf_tmp/hooks.log" ] || fail "it had begun"
    umount "$vf_dst/images"
    back "no room"
else
    echo "no mounts here: not tried"
fi

echo "== SIGINT in the memory phase, and --abort from elsewhere"
in_phase memory
vf_expect_exit 0 "$VMFERRY" migrate --vm g1 --status --json
json_is "$VF_OUT" '[.moving, .phase] | join(" ")' "true memory"
kill -INT "$vf_mover"
ends_with 130
back SIGINT
in_phase memory
vf_expect_exit 0 "$VMFERRY" migrate --vm g1 --abort --json
json_is "$VF_OUT" .running_at source
ends_with 130
back abort

echo "== what is replaced stays until the new disk is there, which is then a part of the next try"
rm -f "$vf_dst/images/a.raw.part"
vf_image "$vf_tmp/old.raw" 1M seed=3
for phase in disks memory; do
    cp "$vf_tmp/old.raw" "$vf_dst/images/a.raw"
    [ $phase = memory ] || vf_rate=1M # else the disk is there before it is interrupted
    in_phase $phase --replace
    [ $phase = memory ] || vf_wait_for 20 has_come "$vf_dst/images/a.raw.part" 256 ||
        fail "the disk does not come"
    kill -INT "$vf_mover"
    ends_with 130
    unset vf_rate
    if [ $phase = disks ]; then
        cmp "$vf_tmp/old.raw" "$vf_dst/images/a.raw" || fail "the old image is gone"
        rm "$vf_dst/images/a.raw"
    fi
    [ -s "$vf_dst/images/a.raw.part" ] || fail "nothing is left for the next try in $phase"
    back "$phase with --replace"
done

echo "== the far end is killed when the disk has its name and is not indexed, alone and with all of this side"
left_whole() { # nothing has its name; what had come is a part
    [ ! -e "$vf_dst/images/a.raw" ] || fail "the image is in the way"
    [ ! -e "$vf_dst/images/.a.raw.in" ] || fail "its note is left"
    [ -s "$vf_dst/images/a.raw.part" ] || fail "nothing is left for the next try"
}
# all_killed: everything of a move ends in that moment.
all_killed() {
    $die VF_STOP=self "$VMFERRY" migrate --vm g1 --qmp "$vf_tmp/a/qmp" --to "$vf_dst" >"$VF_OUT" 2>"$VF_ERR" &
    vf_mover=$!
    vf_wait_for 60 test -e "$vf_dst/images/a.raw" || fail "the disk does not come"
    kill -KILL $(pgrep -P "$vf_mover") "$vf_mover"
    ends_with 137
    [ -e "$vf_dst/images/.a.raw.in" ] || fail "there is no note"
}
rm -f "$vf_dst/images/a.raw.part"
die='env LD_PRELOAD='$vf_tmp'/dieat.so VF_DIE_AT=after:a.raw:'
vf_expect_exit 4 $die "$VMFERRY" migrate --vm g1 --qmp "$vf_tmp/a/qmp" --to "$vf_dst" --json
back "killed when it had its name"
left_whole
rm "$vf_dst/images/a.raw.part"
all_killed
in_phase memory # the same again is not refused
kill -INT "$vf_mover"
ends_with 130
back "the same, and all killed"
left_whole

echo "== but not when somebody has used it, or when it is another's"
for use in write link copy; do
    rm -f "$vf_dst/images/a.raw"*
    all_killed
    case $use in
    write) printf x | dd of="$vf_dst/images/a.raw" bs=1 seek=9M conv=notrunc status=none ;;
    link) ln "$vf_dst/images/a.raw" "$vf_dst/images/b.raw" ;;
    copy)
        cp -a "$vf_dst/images/a.raw" "$vf_tmp/copy.raw"
        mv "$vf_tmp/copy.raw" "$vf_dst/images/a.raw"
        ;;
    esac
    sum=$(sha256sum <"$vf_dst/images/a.raw")
    vf_expect_exit 4 move --json
    json_is "$VF_OUT" .error.code exists
    json_get "$VF_OUT" .error.message | grep -q "not indexed: perhaps a move.*--replace replaces it" || fail "$(cat "$VF_OUT")"
    [ "$(sha256sum <"$vf_dst/images/a.raw")" = "$sum" ] || fail "$use: it has changed"
    rm -f "$vf_dst/images/a.raw" "$vf_dst/images/b.raw"
    back "$use"
done

echo "== the guest's QEMU there is killed"
in_phase memory
kill -KILL "$(cat "$vf_tmp/dst.q/pid")"
rm "$vf_tmp/dst.q/pid"
ends_with failed
back "QEMU killed"

echo "== the far end is killed"
in_phase memory
kill -KILL $(pgrep -P "$vf_mover" | head -n 1)
ends_with failed
rm -f "$vf_tmp/dst.q/pid"
back "far end killed"

echo "== the source is killed"
for phase in disks memory; do
    in_phase $phase
    kill -KILL "$vf_mover"
    wait "$vf_mover" || :
    guest_goes_on "$vf_tmp/src.log"
    vf_expect_exit 0 "$VMFERRY" migrate --vm g1 --qmp "$vf_tmp/a/qmp" --abort
    # A far end on this machine is killed with it: it is told anew.
    back "killed in $phase"
    rm -f "$vf_tmp/dst.q/pid"
    [ ! -e "$vf_dst/run/vm-g1" ] || fail "left there: $(ls "$vf_dst/run/vm-g1")"
done

echo "== killed before the commit point is noted"
vf_expect_exit 137 env LD_PRELOAD="$vf_tmp/dieat.so" VF_DIE_AT='before:move.json:"commit"' \
    "$VMFERRY" migrate --vm g1 --qmp "$vf_tmp/a/qmp" --to "$vf_dst"
vf_expect_exit 0 "$VMFERRY" migrate --vm g1 --qmp "$vf_tmp/a/qmp" --abort --json
json_is "$VF_OUT" .running_at source
back "killed before commit"

echo "== killed after it, before the far end is told: it never ran there"
vf_expect_exit 137 env LD_PRELOAD="$vf_tmp/dieat.so" VF_DIE_AT='after:move.json:"commit"' \
    "$VMFERRY" migrate --vm g1 --qmp "$vf_tmp/a/qmp" --to "$vf_dst"
guest_stands "$vf_tmp/src.log"
vf_expect_exit 0 "$VMFERRY" migrate --vm g1 --qmp "$vf_tmp/a/qmp" --abort --json
json_is "$VF_OUT" .running_at source
back "killed at commit"

echo "== the far end is killed when it has decided: it runs there"
vf_expect_exit 0 env LD_PRELOAD="$vf_tmp/dieat.so" VF_DIE_AT='after:guest.json:"committed": true' \
    "$VMFERRY" migrate --vm g1 --qmp "$vf_tmp/a/qmp" --to "$vf_dst" --json
json_is "$VF_OUT" .running_at destination
guest_goes_on "$vf_tmp/dst.log"
vm_gone "$vf_tmp/a"
no_overlays

echo "== the source is killed when the guest has gone"
vf_expect_exit 137 env LD_PRELOAD="$vf_tmp/dieat.so" VF_DIE_AT='after:move.json:"finish"' \
    "$VMFERRY" --store "$vf_dst" migrate --vm g1 --to "$vf_src" --replace
guest_goes_on "$vf_tmp/src.log"
vf_expect_exit 0 "$VMFERRY" --store "$vf_dst" migrate --vm g1 --status --json
json_is "$VF_OUT" '[.moving, .phase, .state] | join(" ")' "false finish postmigrate"
vf_expect_exit 1 "$VMFERRY" --store "$vf_dst" migrate --vm g1 --to "$vf_src" --replace --json
json_is "$VF_OUT" .error.code exists
vf_expect_exit 0 "$VMFERRY" --store "$vf_dst" migrate --vm g1 --abort --json
json_is "$VF_OUT" .running_at destination
guest_goes_on "$vf_tmp/src.log"
vm_gone "$vf_tmp/dst.q"
no_overlays
[ ! -e "$vf_dst/run/vm-g1" ] || fail "left: $(ls "$vf_dst/run/vm-g1")"

vm_end src.q
vm_judge "$vf_src/images/a.raw" raw

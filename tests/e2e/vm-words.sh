#!/bin/sh
# What a guest's move cannot write down is refused before anything begins, and said: a move is told in
# JSON, to QEMU and between its halves, where other bytes than UTF-8 have no place.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"
requires qemu-system-x86_64 --version

cd "$vf_tmp" || exit
odd=$vf_tmp/$(printf 'n\351t')
vf_image a.raw 1M seed=1
vf_on_exit '[ ! -s pid ] || kill -KILL "$(cat pid)"'
qemu-system-x86_64 -accel tcg -m 64 -display none -nodefaults \
    -blockdev "driver=raw,node-name=d0,file.driver=file,file.filename=$vf_tmp/a.raw" \
    -device virtio-blk-pci,drive=d0,id=v0 -qmp "unix:$vf_tmp/qmp,server=on,wait=off" \
    -daemonize -pidfile "$vf_tmp/pid"
mkdir -p "$odd/dst"
printf '[qmp]\nstart = /bin/false {incoming}\n' >"$odd/dst/vmferry.conf"
ln -s "$vf_tmp/qmp" "$odd/qmp"

# refused STATUS WHAT OPTION...: that is not written in UTF-8, and nothing is left of the move.
refused() {
    status=$1
    what=$2
    shift 2
    vf_expect_exit "$status" "$VMFERRY" migrate --vm g1 --json "$@"
    json_is "$VF_OUT" .error.code usage
    json_true "$VF_OUT" ".error.message | contains(\"$what '$vf_tmp/n?t\") and contains(\"UTF-8\")"
    [ ! -e "$vf_src/run/vm-g1/move.json" ] || fail "a move is left"
}

refused 2 "the node" --qmp "$vf_tmp/qmp" --to "$odd/dst"
refused 2 "the socket" --qmp "$odd/qmp" --to "$vf_dst"
refused 2 "the store" --qmp "$vf_tmp/qmp" --to "$vf_dst" --store "$odd/src"
# Who only asks, or chooses, hears it of the far end.
refused 4 "far end: the store" --qmp "$vf_tmp/qmp" --to "$odd/dst" --dry-run
refused 4 "far end: the store" --qmp "$vf_tmp/qmp" --to auto --node "$odd/dst"
# A store that takes images where nothing could start from them.
mkdir -p "$vf_dst"
printf '[store]\nimages = %s/images\n[qmp]\nstart = /bin/false {incoming}\n' "$odd" \
    >"$vf_dst/vmferry.conf"
mkdir "$odd/images"
refused 4 "far end: the directory" --qmp "$vf_tmp/qmp" --to "$vf_dst"

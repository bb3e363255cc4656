#!/bin/sh
# One call fails, of memory, files or the link: the program says so, neither dies nor lies, and the
# same command without the fault gets everything done.
# timeout: 300
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"

vf_preload e2e/failat.c
# A sanitizer's memory is its own.
kinds='memory open read write sync'
! grep -q '__[at]san_init' "$VMFERRY" || kinds='open read write sync'
cd "$vf_tmp" || exit

# A disk of which half is there in another one, in a format that has to be read in pieces.
vf_image "$vf_tmp/there.raw" 2M seed=1
cp there.raw disk.raw
vf_bytes 2 512K | dd of=disk.raw bs=64k seek=8 conv=notrunc status=none
truncate -s 3M disk.raw
qemu-img convert -O qcow2 disk.raw disk.qcow2
at_dst index add there.raw -q
"$VMFERRY" index add there.raw disk.qcow2 -q
cp -a "$vf_src" clean.src
cp -a "$vf_dst" clean.dst

# afresh: the stores as they were.
afresh() {
    rm -rf "$vf_src" "$vf_dst"
    cp -a clean.src "$vf_src"
    cp -a clean.dst "$vf_dst"
}

# fault KIND N COMMAND...: false when there are fewer calls of that kind.
fault() {
    what="$1:$2"
    shift 2
    printf . >mark
    got=0
    env VF_FAIL_AT="$what" VF_FAIL_MARK="$vf_tmp/mark" LD_PRELOAD="$vf_tmp/failat.so" \
        timeout 60 "$VMFERRY" "$@" --json -q >"$VF_OUT" 2>"$VF_ERR" </dev/null || got=$?
    [ "$(cat mark)" = x ] || return 1
    case $got in
    0) ;;
    # What failed is here: neither a sound index, nor the other side, nor a name is to blame.
    1 | 4 | 5) json_true "$VF_OUT" '.error.message | length > 0 and
        (test("unusable|malformed|broke the protocol|exists already") | not)' ;;
    *) fail "status $got with the fault $what: $*" ;;
    esac
}

# Reading what qemu-nbd, which reads other formats, has to say.
qemu-img create -q -f vmdk disk.vmdk 4M
n=1
while fault read $n index add disk.vmdk --force; do
    n=$((n + 1))
    [ $n -le 100 ] || fail "no end"
done

# The 1st, 2nd, ... call: all of them in what is short, and ever fewer in what is long.
for kind in $kinds; do
    n=1
    while fault $kind $n index ls; do
        n=$((n + 1))
        [ $n -le 300 ] || fail "no end"
    done
    n=1
    while afresh && fault $kind $n migrate disk.qcow2 --to "$vf_dst" --as new --to-format raw; do
        if [ ! -e "$(received new)" ]; then
            [ $got -ne 0 ] || fail "done, and nothing is there after $kind:$n"
            vf_expect_exit 0 "$VMFERRY" migrate disk.qcow2 --to "$vf_dst" --as new --to-format raw -q
        fi
        cmp disk.raw "$(received new)" || fail "it differs after $kind:$n"
        vf_expect_exit 0 at_dst index check
        n=$((n + n / 3 + 1))
    done
    echo "$kind: fewer than $n calls"
done

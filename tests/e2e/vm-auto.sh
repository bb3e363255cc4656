#!/bin/sh
# timeout: 240
# A running guest with two disks goes where both together cost least, of nodes that can take it; those that
# cannot are passed over, and it is said why. A dry run changes nothing anywhere.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"
. "$VF_TESTS/e2e/_vm.sh"

vm_sites
VF_GUEST_FILL=8M
VF_GUEST_DISTINCT=yes
vm_guest g1 raw:a.raw qcow2:b.qcow2 words=logdev=vda,vdb

# node NAME STORE SEED...: holds the bytes of these seeds; it can start the guest.
node() {
    vf_expect_exit 0 "$VMFERRY" node add "$1" "$2"
    vf_node=$1 vf_store=$2
    shift 2
    mkdir -p "$vf_store/images"
    for vf_b; do vf_bytes "${vf_b%:*}" "${vf_b#*:}"; done >"$vf_store/images/held.raw"
    vf_expect_exit 0 "$VMFERRY" --store "$vf_store" index add "$vf_store/images/held.raw"
    [ "$vf_store" = "$vf_dst" ] || cp "$vf_dst/vmferry.conf" "$vf_store/vmferry.conf"
}
cd "$vf_tmp" || exit
node one "$vf_tmp/one" 7:8M           # best for the first disk alone
node two "$vf_dst" 7:4M 8:8M          # best for both
node liar "$vf_tmp/liar" 7:8M 8:8M    # has it all, and starts another machine
sed -i 's/{incoming}/{incoming} -m 192/' liar/vmferry.conf
node shut "$vf_tmp/shut" 7:8M 8:8M
printf '[serve]\naccept = no\n' >>shut/vmferry.conf
node taken "$vf_tmp/taken" 7:8M 8:8M
: >taken/images/b.qcow2
node plain "$vf_tmp/plain" 7:8M 8:8M
: >plain/vmferry.conf
vf_expect_exit 0 "$VMFERRY" node add gone ssh://127.0.0.1:1

move() { "$VMFERRY" migrate --vm g1 --qmp "$vf_tmp/a/qmp" --to auto --json "$@"; }

echo "== a dry run"
# The index's own files, what is remembered of nodes, and a lock file do not count.
files() {
    find one dst liar shut taken plain src -type f ! -path '*/index/*' ! -path '*/cache/*' \
        ! -path '*/run/transfers' | sort
}
files >before
vf_expect_exit 0 move --dry-run --node one --node two --node taken --node gone --limit-rate 10M
json_is "$VF_OUT" '[.node, .dry_run, .running_at] | join(" ")' "two true source"
json_is "$VF_OUT" '[.ranking[].node] | join(" ")' "two one gone taken"
json_is "$VF_OUT" '[.ranking[].reason] | join(" ")' "  silent exists"
json_is "$VF_OUT" '[.ranking[0:2][].exact] | unique | join(" ")' true
# The numbers of the nodes are sums, and those of the disks add up.
json_true "$VF_OUT" 'all(.ranking[0:2][]; (.wire_bytes_estimate == ([.disks[].wire_bytes_estimate] | add))
    and .literal_blocks == ([.disks[].literal_blocks] | add) and (.disks | length) == 2)'
json_true "$VF_OUT" '.ranking[1].disks[0].literal_blocks < .ranking[0].disks[0].literal_blocks'
json_is "$VF_OUT" '.disks[0].path' "$vf_dst/images/a.raw"
json_true "$VF_OUT" 'all(.disks[]; .zero_blocks + .shared_blocks + .duplicate_blocks + .literal_blocks
    == .blocks and .blocks > 0)'
json_true "$VF_OUT" '.predicted_wire_bytes == .wire_bytes_sent and .predicted_wire_bytes > 4000000 and
    .predicted_wire_bytes < 8000000 and .predicted_seconds > 0.4'
files >after
diff before after || fail "a dry run has made something"
no_overlays
guest_goes_on "$vf_tmp/src.log"
vf_expect_exit 0 "$VMFERRY" migrate --vm g1 --qmp "$vf_tmp/a/qmp" --to auto --node one \
    --node two --dry-run
grep -q "^ *1 *two " "$VF_OUT" || fail "no table"
vf_expect_exit 0 "$VMFERRY" migrate --vm g1 --qmp "$vf_tmp/a/qmp" --to one --dry-run --json
json_true "$VF_OUT" '.node == "one" and .disks[1].literal_blocks > 16000'

echo "== nobody can take it"
vf_expect_exit 4 move --node shut --node plain
json_is "$VF_OUT" .error.code denied
grep -q "^vmferry: plain: far end: this store's settings name no command" "$VF_ERR" || fail "no reason"
grep -q "^vmferry: shut: far end: this store takes no images" "$VF_ERR" || fail "no reason"
no_overlays

echo "== the best that can"
vf_expect_exit 0 move
json_is "$VF_OUT" '[.node, .running_at] | join(" ")' "two destination"
json_is "$VF_OUT" '[.ranking[] | .node + ":" + (.reason // "")] | join(" ")' \
    "two: one: gone:silent liar:guest plain:rights shut:rights taken:exists"
grep -q "^vmferry: liar: far end: the guest's memory" "$VF_ERR" || fail "nothing about the liar"
# All that "two" holds of them comes from there, however much the guest has written meanwhile.
json_true "$VF_OUT" '([.disks[].shared_blocks] | add) >= 24500 and all(.disks[]; .verified)'
guest_goes_on "$vf_tmp/dst.log"
for vf_s in one liar shut plain; do
    [ "$(ls $vf_s/images)" = held.raw ] || fail "left at $vf_s: $(ls $vf_s/images)"
    [ ! -e $vf_s/run/vm-g1 ] || fail "left at $vf_s: $(ls $vf_s/run/vm-g1)"
done
no_overlays
no_litter
vm_end dst.q
vm_judge "$vf_dst/images/a.raw" raw
vm_judge "$vf_dst/images/b.qcow2" qcow2 vdb

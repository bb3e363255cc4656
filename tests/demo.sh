#!/bin/sh
# demo.sh - shows vmferry at work, in about a minute: `make demo`.
#
# Makes two disk images with ext4 file systems out of this machine's own files, as two related
# virtual machines would have them, and moves one of them over a private SSH server on loopback to a
# store that holds the other. Nothing outside a temporary directory is touched.
# VF_DEMO_MB: how much of the machine's files to take (default 220).
VF_TESTS=${VF_TESTS:-$(dirname "$0")}
. "$VF_TESTS/lib/functions.sh"
PATH=$PATH:/usr/sbin:/sbin

mb=${VF_DEMO_MB:-220}
cd "$vf_tmp" || exit
[ "$(df -kP . | awk 'NR == 2 { print $4 }')" -gt $((mb * 6000)) ] ||
    skip "the demo needs $((mb * 6)) MB in $vf_tmp (TMPDIR chooses another place)"
requires mke2fs -V
requires zstd --version
requires jq --version

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n== %s\n' "$*"; }
run() { # a command as a user would type it
    echo "\$ $*" | sed "s|$VMFERRY|vmferry|g; s| $vf_tmp/| |g; s|--identity [^ ]*||; s|--known-hosts [^ ]*||; s|--remote-program [^ ]*||; s|  *| |g"
    "$@"
}

say "1. Two machines' disks: a web server here, and a similar machine at the other site"
# The newest files of /usr stand for what only one of the machines has installed.
find /usr/bin /usr/lib /usr/share -xdev -type f -readable -size -8192k -printf '%s %p\n' 2>/dev/null |
    sort -k2 | awk -v max=$((mb * 1000000)) '
        { size += $1 }
        size <= max { print $2 > "both.list" }
        size > max && size <= max * 1.06 { print $2 > "new.list" }'
mkdir web other
tar -cf - -T both.list 2>/dev/null | tar -xf - -C other
tar -cf - -T both.list -T new.list 2>/dev/null | tar -xf - -C web
# Some files of the web server were edited, others removed.
find web -name '*.txt' -o -name '*.conf' -o -name '*.py' | awk 'NR % 7 == 0' | while read -r f; do
    [ ! -w "$f" ] || echo "# changed on $(date -u +%F)" >>"$f"
done
find web -type f | awk 'NR % 60 == 0' | xargs -r rm -f
mkdir web/log
seq 1 300000 | awk '{ printf "10.0.0.%d - [%d] \"GET /page/%d\" 200 %d\n", $1 % 254, $1 * 7, $1 * 31 % 977, $1 * 13 }' >web/log/access.log
for m in web other; do
    mke2fs -q -F -t ext4 -d $m $m.raw $((mb * 3 / 2))M 2>/dev/null
done
rm -rf web other
for m in web other; do
    printf '%s.raw: %s MB, %s MB of them data\n' $m $(($(stat -c %s $m.raw) / 1000000)) \
        $(($(stat -c %b $m.raw) * 512 / 1000000))
done

say "2. The other site: a store with an index of its own machine, reached through sshd"
run "$VMFERRY" --store "$vf_tmp/site-b" index add other.raw
vf_ssh_up
to="ssh://$VF_SSH_USER@127.0.0.1:$VF_SSH_PORT$vf_tmp/site-b"
reach="--identity $VF_SSH_KEY --known-hosts $VF_SSH_KNOWN --remote-program $VMFERRY"
export VMFERRY_STORE="$vf_tmp/site-a"
run "$VMFERRY" node add site-b "$to"

say "3. How much of the web server is there already?"
# shellcheck disable=SC2086 # a list of words
run "$VMFERRY" similar web.raw --node site-b --rate 1250k $reach

say "4. Move it"
# shellcheck disable=SC2086
run "$VMFERRY" migrate web.raw --to site-b $reach --progress none | tee first
grep -q ' verified ' first || fail "the migration failed"
got=$vf_tmp/site-b/images/web.raw

say "5. Is it the same?"
run cmp web.raw "$got"
echo "yes, byte for byte"

say "6. And again: everything is there now"
# shellcheck disable=SC2086
run "$VMFERRY" migrate web.raw --to site-b --as web-2.raw $reach --progress none | tee again
cmp web.raw "$vf_tmp/site-b/images/web-2.raw"

say "In bytes over the link"
sent() { sed -n 's/^  sent \([^,]*\),.*/\1/p' "$1"; }
whole() { numfmt --to=si --format=%.1f | sed 's/\([0-9]\)\([A-Z]\)/\1 \2B/'; }
printf '  %-50s %s\n' "the image as it is" "$(stat -c %s web.raw | whole)" \
    "compressed (zstd -3), as a plain copy might be" "$(zstd -q -3 -T0 -c web.raw | wc -c | whole)" \
    "vmferry, where a similar machine is" "$(sent first)" \
    "vmferry, where the machine itself is" "$(sent again)"

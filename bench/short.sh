#!/bin/bash
# short.sh CORPUS - what `make bench CORPUS=DIR` runs beside the layers: one case against two
# rivals on loopback and, as root, over an emulated line, and how cost grows from 1 to 2 GiB. A few
# minutes; the full tables are made by the scripts that this one calls.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
corpus=$(cd "$1" && pwd)
work=$(mktemp -d "${TMPDIR:-/var/tmp}/vmferry-bench-XXXXXX")
trap 'rm -rf "$work"' EXIT

echo '== loopback, case b'
"$here/peers.sh" -c "$corpus" -w "$work" b vmferry zstd1 rsync >/dev/null
"$here/table.sh" "$work/results.tsv"
if [ "$(id -u)" -eq 0 ] && [ -c /dev/net/tun ]; then
    echo '== emulated line, case b: mbit rtt loss mib rc ok wall cores sent received busy'
    "$here/wan.sh" -c "$corpus" -w "$work" b vmferry_indexed rsync 2>/dev/null | cut -f2- | sed 's/^/  /'
fi
echo '== linearity'
"$here/linear.sh" -c "$corpus" -w "$work" 1 2

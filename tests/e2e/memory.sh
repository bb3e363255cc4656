#!/bin/sh
# --memory and [transfer] memory: it works with little and with much, with different values on the
# two sides, and neither side takes more than it was allowed.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"
requires /usr/bin/time -f %M true

cd "$vf_tmp" || exit

# 96 MiB that fill windows and tables: noise, text, and the noise again by a shift that is no whole
# block, further back than the smallest window.
vf_image big.raw 96M
vf_image noise.raw 48M seed=5
vf_copy noise.raw 0 48M big.raw 0
seq 1 4000000 | head -c 16M >text
vf_copy text 0 16M big.raw 48M
vf_copy noise.raw 1000 24M big.raw 64M

# at_most KIB: the peak of the last run.  A sanitizer's own memory is not the program's.
sanitized=$(grep -c '__[at]san_init' "$VMFERRY" || :)
at_most() { [ "$sanitized" -gt 0 ] || [ "$peak" -le "$1" ] || fail "$2 became $peak KiB"; }

# moves SOURCE RECEIVER [OPTION...]: moves big.raw; the higher peak of the two sides, KiB, is in $peak.
moves() {
    rm -rf "$vf_dst"
    mkdir -p "$vf_dst"
    printf '[transfer]\nmemory = %s\n' "$2" >"$vf_dst/vmferry.conf"
    source=$1
    shift 2
    printf '#!/bin/sh\nexec /usr/bin/time -o "%s/near.kib" -f %%M "%s" "$@"\n' "$vf_tmp" "$VMFERRY" >near
    chmod +x near
    vf_expect_exit 0 ./near migrate big.raw --to "$vf_dst" --as big.raw --json --memory "$source" "$@"
    is_sound "$VF_OUT"
    cmp big.raw "$(received big.raw)" || fail "not the same"
    # The far end is a child of the near one, so the larger of the two is what is seen.
    peak=$(tail -n 1 near.kib)
}

# with SOURCE RECEIVER OPTION...: the same with a level of its own: without one the source may leave
# quotes out on so fast a way.
with() {
    moves "$@"
    # The noise is quoted, not sent again.
    json_true "$VF_OUT" '.quoted_bytes > 10000000'
    json_true "$VF_OUT" '.wire_bytes_sent < 68000000'
}

with 128M 128M --compress 3
at_most 125000 128M
# The level that it finds itself: a weak one where nothing limits it, a strong one on a slow line.
moves 128M 128M
at_most 125000 128M
moves 128M 128M --limit-rate 8M
at_most 125000 128M
json_true "$VF_OUT" '.quoted_bytes > 10000000'
with 1G 1G --compress 9
at_most 976000 1G
with 128M 1G --compress 3
with 1G 128M --compress 12
at_most 976000 1G

# Beyond the limits.
for m in 1M 127M 70G x; do
    vf_expect_exit 2 "$VMFERRY" migrate big.raw --to "$vf_dst" --as n.raw --memory $m
    printf '[transfer]\nmemory = %s\n' $m >"$vf_src/vmferry.conf"
    vf_expect_exit 2 "$VMFERRY" migrate big.raw --to "$vf_dst" --as n.raw
done

# shellcheck shell=bash disable=SC2034,SC2154
# rivals.sh - what peers.sh (loopback) and wan.sh (emulated line) share: the command line, the runs
# of vmferry, and those of other tools that differ only in how the destination is reached. Who
# sources it has set corpus, work and run_dir, all absolute paths, and says besides
#
#   all           names of the peers that `all` means: functions peer_NAME, here and there
#   images        directory of the images; image is the one that is moved, $dst/$best.raw the basis,
#                 $dst/T.raw where it goes
#   far           words of shell text; a command line after them is run at the destination
#   vmferry_way   array: the options of `vmferry migrate` that lead there
#   timed COMMAND...     runs it at the source, its output in $run_dir/output; notes what it costs
#   record NAME RESULT   checks the result and appends the line to the results

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
script=$(basename "$0" .sh)
VMFERRY=$(realpath "${VMFERRY:-$here/../build/vmferry}")
src=$run_dir/src # what the source host writes
dst=$run_dir/dst # the destination host
export BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes BORG_RELOCATED_REPO_ACCESS_IS_OK=yes
export BORG_CACHE_DIR=$run_dir/borg-cache BORG_CONFIG_DIR=$run_dir/borg-config
export RESTIC_PASSWORD=x RESTIC_CACHE_DIR=$run_dir/restic-cache
# shellcheck source=quiet.sh
. "$here/quiet.sh"
# shellcheck source=cases.sh
. "$here/cases.sh"

# ---- the command line -------------------------------------------------------------------------

# What each peer needs; vmferry's are empty.
declare -A needs=([zstd1]=zstd [zstd3]=zstd [zstd3long]=zstd [zstdpatch]=zstd [qcow2]=qemu-img
    [nbd]=qemu-nbd [rsync]=rsync [rsync4k]=rsync [rsync_inplace]=rsync [rsync_new]=rsync
    [bdsync]=bdsync [rdiff]=rdiff [xdelta3]=xdelta3 [casync]=casync [borg]=borg [restic]=restic)

# wanted CASE PEER...: what is moved, and by whom, to target, residents, best and peers; `list` and
# nothing at all are answered here.
wanted() {
    local p
    if [ "${1:-}" = list ]; then
        echo "$all"
        exit 0
    fi
    [ $# -ge 2 ] || { sed -n '2,/^set -/s/^# \{0,1\}//p' "$0" | head -n -1; exit 2; }
    case=$1
    shift
    peers=$*
    [ "$peers" != all ] || peers=$all
    bench_case "$case" || exit 2
    for p in $peers; do
        declare -F "peer_$p" >/dev/null || { echo "$script: no peer $p: $0 list" >&2; exit 2; }
    done
}

# is_installed PEER: says so if it is not.
is_installed() {
    local program=${needs[$1]:-$VMFERRY}
    command -v "$program" >/dev/null && return
    echo "$script: $1: $program is not installed" >&2
    return 1
}

# ---- one run ----------------------------------------------------------------------------------

# Everything that was written before is gone; the destination has its residents.
fresh() {
    local r
    rm -rf "$run_dir"
    sync # what was there before is not to be paid for by the next
    mkdir -p "$src" "$dst" "$BORG_CONFIG_DIR"
    for r in "${residents[@]}"; do
        ln "$images/$r.raw" "$dst/$r.raw" 2>/dev/null || cp --sparse=always "$images/$r.raw" "$dst/$r.raw"
    done
}

timed_sh() { timed bash -c "set -e -o pipefail; $1"; }

# is_good RESULT: does it equal the image? If not, what the tool has said is kept.
is_good() {
    cmp -s "$1" "$image" && return
    cp "$run_dir/output" "$work/failed.$script.$case.$peer.log"
    return 1
}

# For tools that need a basis: nothing to do where nothing is resident.
with_basis() { [ -n "$best" ]; }

# ---- vmferry ----------------------------------------------------------------------------------

vmferry_run() { # NAME new|indexed [OPTION...]
    local name=$1 image_is=$2 r
    shift 2
    fresh
    for r in "${residents[@]}"; do
        "$VMFERRY" --store "$dst/store" index add "$dst/$r.raw" >/dev/null || return
    done
    [ "$image_is" = new ] || "$VMFERRY" --store "$src/store" index add "$image" >/dev/null || return
    timed "$VMFERRY" -v --store "$src/store" --json migrate "$image" --as T.raw "${vmferry_way[@]}" \
        --remote-program "$VMFERRY" "$@"
    record "$name" "$dst/store/images/T.raw"
}
peer_vmferry() { vmferry_run "vmferry (image not indexed)" new; }
peer_vmferry_indexed() { vmferry_run "vmferry (image indexed before)" indexed; }
peer_vmferry_plain() { vmferry_run "vmferry --compress none (indexed before)" indexed --compress none; }
peer_vmferry_1g() { vmferry_run "vmferry --memory 1G (indexed before)" indexed --memory 1G; }
# To try others out: the words of VMFERRY_OPTIONS. Their name in the results says which.
peer_vmferry_with() {
    local options
    read -ra options <<<"${VMFERRY_OPTIONS:-}"
    vmferry_run "vmferry${options[*]:+ ${options[*]}} (indexed before)" indexed "${options[@]}"
}

# ---- other tools ------------------------------------------------------------------------------

zstd_full() { # LEVEL [OPTION]
    fresh
    timed_sh "zstd -q -T0 -$1 ${2:-} -c '$image' | $far 'zstd -q -d -f ${2:-} -o $dst/T.raw'"
    record "zstd -T0 -$1${2:+ $2}" "$dst/T.raw"
}
peer_zstd1() { zstd_full 1; }
peer_zstd3() { zstd_full 3; }
peer_zstd3long() { zstd_full 3 --long=31; }

peer_rdiff() {
    with_basis || return 0
    fresh
    timed_sh "$far 'rdiff -b 4096 signature $dst/$best.raw - | zstd -q -1' </dev/null | zstd -q -dc >'$src/sig'
        rdiff delta '$src/sig' '$image' - | zstd -q -3 |
            $far 'zstd -q -dc | rdiff -s patch $dst/$best.raw - $dst/T.raw'"
    record "rdiff -b 4096, zstd -3" "$dst/T.raw"
}

# Repositories at the destination, with its residents in them; the source host knows nothing yet.
borg_repository() {
    local r
    borg init -e none "$dst/repo" >/dev/null 2>&1
    for r in "${residents[@]}"; do
        borg create -C zstd,3 "$dst/repo::$r" "$dst/$r.raw" >/dev/null 2>&1
    done
    rm -rf "$BORG_CACHE_DIR"
}
restic_repository() {
    local r
    restic -q init --repository-version 2 -r "$dst/repo" >/dev/null
    for r in "${residents[@]}"; do restic -q backup -r "$dst/repo" "$dst/$r.raw" >/dev/null; done
    rm -rf "$RESTIC_CACHE_DIR"
}

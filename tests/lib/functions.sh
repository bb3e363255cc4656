# shellcheck shell=sh
# functions.sh - what the shell tests share. A test starts with
#
#   #!/bin/sh
#   # One sentence: the behaviour that this test proves.
#   . "${VF_TESTS:-$(dirname "$0")/..}/lib/functions.sh"
#
# and runs with `set -eu`. $vf_tmp is an empty directory of its own; it and all
# that was registered with vf_on_exit go away on every exit. A line
# "# timeout: N" asks the runner for more seconds than usual.
#
# Variables: VMFERRY the program, VF_TESTS this directory's parent, VF_SRC the
# source tree, VF_LAB the tools of `make lab`. VF_OUT and VF_ERR are the files
# with the output of the last vf_expect_exit.

set -eu
export LC_ALL=C TZ=UTC
VF_TESTS=$(cd "${VF_TESTS:-$(dirname "$0")/..}" && pwd)
VF_SRC=${VF_SRC:-$(cd "$VF_TESTS/.." && pwd)}
VMFERRY=${VMFERRY:-$VF_SRC/build/vmferry}
VF_LAB=${VF_LAB:-$VF_SRC/build/lab}
PATH=$(dirname "$VMFERRY"):$PATH
vf_tmp=$(mktemp -d "${TMPDIR:-/tmp}/t.XXXXXX")
VF_OUT=$vf_tmp/.stdout
VF_ERR=$vf_tmp/.stderr
HOME=$vf_tmp
VMFERRY_RUN_DIR=$vf_tmp/.run # other tests on this machine are no business of this one
export VF_TESTS VF_SRC VMFERRY VF_LAB PATH VF_OUT VF_ERR HOME VMFERRY_RUN_DIR
unset VMFERRY_STORE XDG_DATA_HOME XDG_CONFIG_HOME SSH_AUTH_SOCK

vf_cleanup=
vf_run_cleanup() {
    vf_status=$?
    trap - EXIT
    set +e
    eval "$vf_cleanup"
    rm -rf "$vf_tmp"
    exit "$vf_status"
}
trap vf_run_cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# vf_on_exit COMMAND: run it when the test ends; the last one registered runs first.
vf_on_exit() { vf_cleanup="$*
$vf_cleanup"; }

# fail MESSAGE: end the test as failed, showing what the last command printed.
fail() {
    echo "FAIL: $*" >&2
    for vf_f in "$VF_OUT" "$VF_ERR"; do
        if [ -s "$vf_f" ]; then
            echo "---- $(basename "$vf_f") of the last command" >&2
            tail -n 40 "$vf_f" >&2
        fi
    done
    exit 1
}

# skip REASON: end the test as skipped.
skip() {
    echo "skip: $*"
    exit 77
}

# requires PROGRAM [ARGUMENT...]: skip unless it is there; with arguments, unless that works.
requires() {
    command -v "$1" >/dev/null || skip "$1 is not installed"
    if [ $# -gt 1 ]; then
        "$@" >/dev/null 2>&1 || skip "'$*' does not work here"
    fi
}
requires_root() { [ "$(id -u)" -eq 0 ] || skip "needs root"; }

# vf_preload DIRECTORY/NAME.c: make $vf_tmp/NAME.so of it, for LD_PRELOAD.
vf_preload() {
    "${CC:-cc}" -shared -fPIC -D_GNU_SOURCE -o "$vf_tmp/$(basename "$1" .c).so" "$VF_TESTS/$1" -ldl ||
        skip "no compiler"
    # A sanitized program wants its own library to be the first.
    export ASAN_OPTIONS="${ASAN_OPTIONS:-}:verify_asan_link_order=0"
}

# vf_tmpdir: print a new directory, which is removed on exit.
vf_tmpdir() { mktemp -d "$vf_tmp/d.XXXXXX"; }

# vf_expect_exit N COMMAND...: run it, keep its output in $VF_OUT and $VF_ERR, and
# fail when it ends with another status.
vf_expect_exit() {
    vf_want=$1
    shift
    vf_got=0
    "$@" >"$VF_OUT" 2>"$VF_ERR" </dev/null || vf_got=$?
    [ "$vf_got" -eq "$vf_want" ] || fail "exit status $vf_got, expected $vf_want: $*"
}

# vf_wait_for SECONDS COMMAND...: until it succeeds; status 1 when the time is over.
vf_wait_for() {
    vf_end=$(($(date +%s) + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$(date +%s)" -lt "$vf_end" ] || return 1
        sleep 0.05
    done
}

# ---- JSON ----------------------------------------------------------------

# json_get FILE FILTER: print a value, strings without quotes, "null" when it is absent.
json_get() { jq -r "$2" "$1" || fail "not JSON: $1"; }

# json_is FILE FILTER VALUE: fail unless the filter gives exactly this.
json_is() {
    vf_value=$(json_get "$1" "$2")
    [ "$vf_value" = "$3" ] || fail "$2 is '$vf_value', expected '$3'"
}

# json_true FILE CONDITION: fail unless a jq condition holds.
json_true() { jq -e "$2" "$1" >/dev/null || fail "not true: $2"; }

# ---- images --------------------------------------------------------------
# Content is a fixed function of a seed: incompressible bytes without repeats.

# vf_bytes SEED LENGTH: write that many bytes to standard output.
vf_bytes() {
    vf_len=$(numfmt --from=iec "$2")
    head -c "$vf_len" /dev/zero |
        openssl enc -aes-128-ctr -nosalt -K "$(printf %032x "$1")" -iv 0 2>/dev/null
}

# vf_image FILE SIZE [seed=N]: a raw image; without a seed it is one hole.
vf_image() {
    rm -f "$1"
    case ${3:-} in
    seed=*) vf_bytes "${3#seed=}" "$2" >"$1" ;;
    *) truncate -s "$(numfmt --from=iec "$2")" "$1" ;;
    esac
}

# vf_put FILE OFFSET LENGTH SEED: write LENGTH bytes at OFFSET, the rest stays.
vf_put() {
    vf_bytes "$4" "$3" |
        dd of="$1" bs=64K seek="$(numfmt --from=iec "$2")" oflag=seek_bytes conv=notrunc \
            iflag=fullblock status=none
}

# vf_hole FILE OFFSET LENGTH: make that part read as zeros, and a hole where holes exist.
vf_hole() {
    fallocate -p -o "$(numfmt --from=iec "$2")" -l "$(numfmt --from=iec "$3")" "$1" 2>/dev/null ||
        dd if=/dev/zero of="$1" bs=64K seek="$(numfmt --from=iec "$2")" conv=notrunc status=none \
            oflag=seek_bytes iflag=count_bytes count="$(numfmt --from=iec "$3")"
}

# vf_copy FROM OFFSET LENGTH TO OFFSET: the same bytes at another place.
vf_copy() {
    dd if="$1" of="$4" bs=64K skip="$(numfmt --from=iec "$2")" seek="$(numfmt --from=iec "$5")" \
        count="$(numfmt --from=iec "$3")" iflag=skip_bytes,count_bytes oflag=seek_bytes \
        conv=notrunc status=none
}

vf_format() {
    case $1 in
    *.qcow2) echo qcow2 ;;
    *.vmdk) echo vmdk ;;
    *.vdi) echo vdi ;;
    *.vhd) echo vpc ;;
    *) echo raw ;;
    esac
}

# vf_size FILE: the virtual size in bytes.
vf_size() { qemu-img info -f "$(vf_format "$1")" --output=json "$1" | jq '."virtual-size"'; }

# same_content A B: fail unless the guest would see the same bytes; formats by the files' names.
same_content() {
    if [ "$(vf_format "$1")$(vf_format "$2")" = rawraw ]; then
        cmp "$1" "$2" || fail "$1 and $2 differ"
        return 0
    fi
    # compare alone takes a longer disk with zeros at its end for the same
    [ "$(vf_size "$1")" = "$(vf_size "$2")" ] || fail "the sizes of $1 and $2 differ"
    qemu-img compare -q -f "$(vf_format "$1")" -F "$(vf_format "$2")" "$1" "$2" ||
        fail "the contents of $1 and $2 differ"
}

# ---- an SSH server of its own: lib/sshd.sh, with names for it ---------------------

# vf_ssh_up [CONFIG-LINE]: a stock sshd on loopback with keys of its own, stopped on exit.
# Sets VF_SSH_DIR (see sshd.sh for what lies there), VF_SSH_PORT, VF_SSH_USER, VF_SSH_KEY (private
# key) and VF_SSH_KNOWN (known hosts). Skips where there is no sshd.
vf_ssh_up() {
    VF_SSH_DIR=$vf_tmp/sshd
    [ -x "${VF_SSHD:-/usr/sbin/sshd}" ] || skip "sshd is not installed"
    requires ssh-keygen
    mkdir -p "$VF_SSH_DIR"
    [ $# -eq 0 ] || printf '%s\n' "$*" >"$VF_SSH_DIR/extra_config"
    vf_on_exit 'vf_ssh_down'
    VF_SSH_PORT=$(sh "$VF_TESTS/lib/sshd.sh" start "$VF_SSH_DIR" $$) || fail "sshd does not start"
    VF_SSH_USER=$(id -un)
    VF_SSH_KEY=$VF_SSH_DIR/id_ed25519
    VF_SSH_KNOWN=$VF_SSH_DIR/known_hosts
    export VF_SSH_DIR VF_SSH_PORT VF_SSH_USER VF_SSH_KEY VF_SSH_KNOWN
}

# vf_ssh_down: end it now, with the connections it serves. Also: sh lib/sshd.sh kill|freeze|thaw DIR.
vf_ssh_down() { sh "$VF_TESTS/lib/sshd.sh" stop "$VF_SSH_DIR"; }

#!/bin/sh
# setup.sh [--dev] - install the Debian packages that vmferry is built and tested with.
#
# Prints what it does, and does nothing when all is there. Needs root, or sudo
# without a password. No service is started by an installation. --dev adds the
# packages of `make fuzz`, `make format`, `make check-valgrind`, of a full lint and `make check-live`,
# and a browser (300 MB) for a test of pages.
set -eu
export LC_ALL=C

build='gcc libc6-dev make pkg-config libssl-dev libzstd-dev libssh2-1-dev
    liblmdb-dev libqcow-dev libnbd-dev libjansson-dev libinih-dev libseccomp-dev
    librsync-dev libsystemd-dev libvirt-dev libxml2-dev'
tests='qemu-utils openssh-server openssh-client openssl e2fsprogs xfsprogs rsync zstd jq mandoc
    util-linux iproute2 procps time qemu-system-x86 busybox-static cpio libvirt-daemon-system
    libvirt-daemon-driver-qemu libvirt-clients libxml2-utils'
dev='clang clang-format libclang-rt-dev shellcheck valgrind chromium-headless-shell ovmf swtpm swtpm-tools'

cd "$(dirname "$0")/.."
wanted="$build $tests"
[ "${1:-}" != --dev ] || wanted="$wanted $dev"

if ! command -v dpkg-query >/dev/null; then
    echo "setup: this is not a Debian system; nothing is installed. These packages are needed"
    echo "(Debian's names): $wanted" | tr -s ' \n' ' '
    echo
    exit 0
fi

# shellcheck disable=SC2086 # a list of words; names that dpkg does not know are its complaint
have=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null | sed -n 's/^installed //p')
missing=
for p in $wanted; do
    echo "$have" | grep -qxF "$p" || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -eq 0 ]; then
    as_root=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root='sudo -n'
else
    echo "setup: these packages are missing, and this user may not install them:$missing" >&2
    echo "setup: as root: apt-get install --no-install-recommends$missing" >&2
    exit 1
fi

# A policy-rc.d that answers 101 keeps package scripts from starting services.
# What was there before is put back, also after an interrupt.
policy=/usr/sbin/policy-rc.d
kept=
ours=
restore() {
    [ -n "$ours" ] || return 0
    if [ -n "$kept" ]; then
        $as_root mv -f "$kept" "$policy"
    else
        $as_root rm -f "$policy"
    fi
    ours=
}
trap restore EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
if [ -e "$policy" ]; then
    kept=$policy.before-vmferry-setup
    $as_root mv -f "$policy" "$kept"
fi
ours=yes
printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
$as_root chmod 755 "$policy"

install_missing() {
    # shellcheck disable=SC2086 # lists of words
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y \
        --no-install-recommends -o DPkg::Lock::Timeout=300 $missing </dev/null
}

echo "setup: installing$missing"
if ! install_missing; then
    echo "setup: that failed; refreshing the package lists and trying once more"
    $as_root apt-get update -q </dev/null
    install_missing
fi

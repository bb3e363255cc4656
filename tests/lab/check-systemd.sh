#!/bin/bash
# check-systemd.sh IMAGE [WORKDIR] - run the service under a real systemd, as pid 1 of a real Debian.
#
# IMAGE: a raw disk image of Debian 12 with one ext4 partition at 1 MiB and a kernel in /boot
# (deb12-min.raw of make-corpus.sh). It is copied; this program with its libraries and its unit goes
# into the copy (make install), which is then booted by QEMU without KVM. What the machine finds out
# is printed; the exit status is 0 when all of it is as it should be. Takes three to six minutes.
#
# Seen are: the unit verified by systemd, its start (READY), status text, settings read again (SIGHUP),
# the watchdog fed, a service that hangs killed by the watchdog and started again, the end (SIGTERM) and
# what systemd-analyze security says. Needs root, loop mounts, qemu-system-x86, `make all`.
set -euo pipefail
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin
here=$(cd "$(dirname "$0")" && pwd)
image=${1:?usage: check-systemd.sh IMAGE [WORKDIR]}
work=${2:-$(mktemp -d "${TMPDIR:-/var/tmp}/vf-systemd.XXXXXX")}
mkdir -p "$work" && work=$(cd "$work" && pwd)
root=$work/root loop='' qemu=''

release() {
    ! mountpoint -q "$root" || umount "$root"
    [ -z "$loop" ] || losetup -d "$loop"
    loop=''
}
finish() {
    [ -z "$qemu" ] || kill -KILL "$qemu" 2>/dev/null || :
    release
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# ---- the machine -----------------------------------------------------------------

mkdir -p "$root"
cp --sparse=always "$image" "$work/disk.raw"
loop=$(losetup -f --show -o $((1 << 20)) "$work/disk.raw")
mount "$loop" "$root"
make -s -C "$here/../.." install "DESTDIR=$root" >/dev/null
lib=$root/usr/local/lib/vmferry # libraries that this Debian does not have
mkdir -p "$lib"
ldd "$root/usr/local/bin/vmferry" | awk '$2 == "=>" { print $3 }' | while read -r f; do
    [ -e "$root$f" ] || [ -e "$root/usr$f" ] || cp -L "$f" "$lib/"
done
echo /usr/local/lib/vmferry >"$root/etc/ld.so.conf.d/vmferry.conf"
ldconfig -r "$root"
cp -L "$root/vmlinuz" "$work/vmlinuz"
cp -L "$root/initrd.img" "$work/initrd"

mkdir -p "$root/srv/vm" "$root/srv/more" "$root/var/lib/vmferry"
chmod 700 "$root/var/lib/vmferry"
for i in 1 2 3; do head -c 4M /dev/urandom >"$root/srv/vm/$i.raw"; done
head -c 2M /dev/urandom >"$root/srv/more/4.raw"
printf '[indexd]\ndirectories = /srv/vm\nsettle = 1s\n' >"$root/var/lib/vmferry/vmferry.conf"

cat >"$root/etc/systemd/system/lab.service" <<'UNIT'
[Unit]
Description=what check-systemd.sh wants to know
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/bash /root/lab.sh
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
ExecStopPost=/bin/systemctl --no-block --force poweroff
TimeoutStartSec=20min
[Install]
WantedBy=graphical.target multi-user.target
UNIT
cat >"$root/root/lab.sh" <<'LAB'
bad=0
unit=vmferry-indexd
told() { systemctl show -P "$1" $unit; }
check() { # WHAT CONDITION...
    local what=$1
    shift
    if "$@"; then echo "LAB ok   $what"; else echo "LAB FAIL $what"; bad=1; fi
}
comes() { # SECONDS COMMAND...
    local n=$1
    shift
    for _ in $(seq $((n * 5))); do "$@" && return 0; sleep 0.2; done
    return 1
}
is() { [ "$(told "$1")" = "$2" ]; }
fresh() { vmferry indexd status --json 2>/dev/null | grep -q "\"fresh\": *$1[,}]"; }
status_says() { told StatusText | grep -q "$1"; }
said() { journalctl -u $unit -o cat --no-pager | grep -q "$1"; }
fed_after() { [ "$(told WatchdogTimestampMonotonic)" -gt "$1" ]; }

check 'the unit is well formed' systemd-analyze verify /usr/local/lib/systemd/system/$unit.service
mkdir -p /run/systemd/system/$unit.service.d
printf '[Service]\nWatchdogSec=6\nRestartSec=1\n' >/run/systemd/system/$unit.service.d/lab.conf
systemctl daemon-reload
check 'it can be enabled' systemctl -q enable $unit
check 'it starts, and is ready' systemctl start $unit
check 'active' is ActiveState active
pid=$(told MainPID)
check 'it indexes what is there' comes 120 fresh 3
check 'its status says so' comes 60 status_says '3 images, 3 fresh'
echo "LAB      status: $(told StatusText)"
fed=$(told WatchdogTimestampMonotonic)
check 'the watchdog is fed' comes 20 fed_after "$fed"
sleep 12
check 'and never had to act' [ "$(told NRestarts) $(told MainPID)" = "0 $pid" ]
echo 'directories = /srv/more' >>/var/lib/vmferry/vmferry.conf
check 'reload' systemctl reload $unit
check 'settings are read again' comes 20 said 'settings are read again'
check 'the new directory is indexed' comes 60 fresh 4
check 'index check' vmferry index check -q
kill -STOP "$pid"
check 'one that hangs is killed by the watchdog' comes 60 said 'Watchdog timeout'
check 'and started again' comes 60 is NRestarts 1
check 'by now active' comes 60 is ActiveState active
check 'it knows what it knew' comes 60 fresh 4
sleep 2
echo "LAB      memory: $(told MemoryCurrent) bytes, CPU: $(($(told CPUUsageNSec) / 1000000)) ms"
start=$(date +%s%N)
check 'it stops' systemctl stop $unit
echo "LAB      stopped in $((($(date +%s%N) - start) / 1000000)) ms"
check 'well' is Result success
check 'with status 0' is ExecMainStatus 0
journalctl -u $unit -o short-monotonic --no-pager | tail -n 30 | sed 's/^/LAB log  /'
echo "LAB      security: $(systemd-analyze security --no-pager $unit | tail -n 1)"
systemd-analyze security --no-pager $unit | grep -a '✗' | sed 's/^/LAB sec  /' | cut -c 1-110
echo "LAB END $bad"
LAB
ln -s /etc/systemd/system/lab.service "$root/etc/systemd/system/multi-user.target.wants/lab.service"
for u in cloud-init cloud-init-local cloud-config cloud-final ssh serial-getty@ttyS0; do
    ln -sf /dev/null "$root/etc/systemd/system/$u.service"
done
release

# ---- its run ---------------------------------------------------------------------

qemu-system-x86_64 -machine q35,accel=tcg -cpu qemu64 -smp 2 -m 1024 -nodefaults -display none -no-reboot \
    -kernel "$work/vmlinuz" -initrd "$work/initrd" -append 'root=/dev/vda1 console=ttyS0 quiet' \
    -drive "file=$work/disk.raw,format=raw,if=virtio,cache=unsafe" -serial "file:$work/console" &
qemu=$!
for _ in $(seq 900); do
    ! grep -qa '^LAB END' "$work/console" 2>/dev/null || break
    kill -0 $qemu 2>/dev/null || break
    sleep 1
done
tr -d '\r' <"$work/console" | grep -a '^LAB' ||
    { tail -n 20 "$work/console"; echo "check-systemd: the machine said nothing" >&2; exit 1; }
tr -d '\r' <"$work/console" | grep -qa '^LAB END 0' || {
    tail -n 40 "$work/console"
    exit 1
}

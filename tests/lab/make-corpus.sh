#!/bin/bash
# make-corpus.sh OUTDIR [IMAGE...] - build the corpus of real disk images for bench/peers.sh.
#
# Every image is an independent installation of Debian: an MBR of its own, one ext4 partition at
# 1 MiB with a UUID of its own, packages unpacked in place on the mounted file system, as on a
# real machine. Building twice gives the same procedure, not the same bytes.
#
#   deb11-min deb12-min deb13-min    trimmed after the installation, like a cloud template
#   deb12-web deb12-dev              not trimmed: freed blocks keep their old data (lived in)
#   deb12-web-later                  deb12-web after package changes, logs and database writes
#
# Afterwards each NAME.raw also becomes NAME.qcow2 (compat 1.1) and NAME.c.qcow2 (compressed).
# All six take about 17 GB and ten minutes. SIZE_MIB (default 3200) is the virtual size.
#
# Needs root, working loop mounts, and these Debian packages: debootstrap qemu-utils e2fsprogs
# fdisk grub-pc-bin grub-common uuid-runtime. Packages come from the archive that apt is
# configured with, or from $MIRROR.
set -euo pipefail
export LC_ALL=C DEBIAN_FRONTEND=noninteractive PATH=$PATH:/usr/sbin:/sbin

[ $# -gt 0 ] || { sed -n '2,/^set -/s/^# \{0,1\}//p' "$0" | head -n -1; exit 2; }
mkdir -p "$1"
OUT=$(cd "$1" && pwd)
shift
SIZE_MIB=${SIZE_MIB:-3200}
[ $# -gt 0 ] || set -- deb12-min deb11-min deb13-min deb12-web deb12-dev deb12-web-later

BASE="openssh-server sudo ca-certificates curl less vim-tiny rsyslog cron logrotate locales man-db
      bash-completion linux-image-cloud-amd64 initramfs-tools grub2-common grub-pc-bin dbus cloud-init
      python3 iproute2 systemd-sysv udev e2fsprogs fdisk xz-utils zstd"
WEB="nginx php-fpm php-mysql php-gd php-curl php-xml php-mbstring mariadb-server redis-server
     memcached wordpress imagemagick"
DEV="build-essential git gdb cmake autoconf automake libtool pkg-config python3-dev python3-venv
     python3-pip openjdk-17-jdk-headless libssl-dev valgrind clang"

if [ -z "${MIRROR:-}" ]; then # the first Debian archive in apt's own configuration
    # shellcheck disable=SC2016 # apt expands
    MIRROR=$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep -m 1 '/debian/*$' || :)
fi
[ -n "$MIRROR" ] || { echo "make-corpus: no Debian archive in apt's sources; set MIRROR" >&2; exit 1; }

# ---- mounting: NAME, PART (loop device) and MNT belong to the image in work ----------------
NAME='' PART='' MNT=''

release() { # undo attach and enter_root, whatever of them happened
    local m
    if [ -n "$MNT" ]; then
        sync -f "$MNT"
        for m in dev sys proc ''; do
            ! mountpoint -q "$MNT/$m" || umount "$MNT/$m"
        done
        rmdir "$MNT"
        MNT=''
    fi
    if [ -n "$PART" ]; then
        losetup -d "$PART"
        PART=''
    fi
}
trap 'release || :' EXIT

attach() { PART=$(losetup -f --show -o 1048576 "$OUT/$NAME.raw"); }
mount_root() {
    MNT=$(mktemp -d)
    mount "$PART" "$MNT"
}
enter_root() { # what a chroot needs, and no services
    local d
    mkdir -p "$MNT"/{proc,sys,dev}
    mount -t proc proc "$MNT/proc"
    mount -t sysfs sys "$MNT/sys"
    mount -t tmpfs -o mode=755 dev "$MNT/dev"
    for d in null zero full random urandom tty; do cp -a "/dev/$d" "$MNT/dev/"; done
    ln -s /proc/self/fd "$MNT/dev/fd"
    mkdir "$MNT/dev/pts" "$MNT/dev/shm"
    printf '#!/bin/sh\nexit 101\n' >"$MNT/usr/sbin/policy-rc.d"
    chmod +x "$MNT/usr/sbin/policy-rc.d"
}
leave_root() {
    rm -f "$MNT/usr/sbin/policy-rc.d"
    umount "$MNT/dev" "$MNT/sys" "$MNT/proc"
}
inside() { chroot "$MNT" "$@" >>"$OUT/.$NAME.log" 2>&1; }
apt_inside() { inside apt-get -y -o APT::Sandbox::User=root "$@"; }
install_inside() { apt_inside --no-install-recommends install "$@"; }

# ---- content --------------------------------------------------------------------------------
new_disk() {
    rm -f "$OUT/$NAME.raw"
    truncate -s "${SIZE_MIB}M" "$OUT/$NAME.raw"
    printf 'label: dos\nlabel-id: 0x%s\nstart=2048, type=83, bootable\n' \
        "$(echo "$NAME" | md5sum | cut -c1-8)" | sfdisk -q "$OUT/$NAME.raw"
    attach
    mkfs.ext4 -q -F -L "${NAME:0:16}" -E lazy_itable_init=0 \
        -U "$(uuidgen --sha1 --namespace @dns --name "$NAME.vmferry.example")" "$PART"
    mount_root
}

install_base() { # SUITE
    mkdir -p "$OUT/.debs/$1"
    debootstrap --variant=minbase --cache-dir="$OUT/.debs/$1" "$1" "$MNT" "$MIRROR" >"$OUT/.$NAME.log" 2>&1
    echo "$NAME" >"$MNT/etc/hostname"
    echo "LABEL=${NAME:0:16} / ext4 errors=remount-ro 0 1" >"$MNT/etc/fstab"
    echo "deb $MIRROR $1 main" >"$MNT/etc/apt/sources.list"
    enter_root
    head -c 16 /dev/urandom | md5sum | cut -c1-32 >"$MNT/etc/machine-id"
    apt_inside clean
    apt_inside update
    # shellcheck disable=SC2086 # a list of words
    install_inside $BASE
    apt_inside clean
}

boot_loader() { # GRUB where it usually lies: boot.img in the MBR, the core right behind it
    local core=$OUT/.$NAME.core
    mkdir -p "$MNT/boot/grub"
    cat >"$MNT/boot/grub/grub.cfg" <<GRUB
set timeout=1
menuentry "Debian" {
  linux /vmlinuz root=LABEL=${NAME:0:16} ro console=ttyS0
  initrd /initrd.img
}
GRUB
    cp -r /usr/lib/grub/i386-pc "$MNT/boot/grub/"
    grub-mkimage -O i386-pc -p '(hd0,msdos1)/boot/grub' -o "$core" \
        biosdisk part_msdos ext2 normal linux configfile
    dd if=/usr/lib/grub/i386-pc/boot.img of="$OUT/$NAME.raw" bs=440 count=1 conv=notrunc status=none
    dd if="$core" of="$OUT/$NAME.raw" bs=512 seek=1 conv=notrunc status=none
    rm -f "$core"
}

sql() { # statements on standard input
    # shellcheck disable=SC2016
    inside sh -c 'mkdir -p /run/mysqld && chown mysql /run/mysqld &&
        exec mariadbd --bootstrap --user=mysql --innodb-buffer-pool-size=256M'
}
shop() { # a database of 120,000 rows of about 300 bytes
    awk 'BEGIN {
        srand(1)
        print "create database shop;" # a statement a line: newer servers take no more in bootstrap
        print "use shop;"
        print "create table orders (id int primary key, who varchar(40), note varchar(400), k int, key(k)) engine=innodb;"
        for (i = 0; i < 1200; i++) {
            printf "insert into orders values "
            for (j = 0; j < 100; j++) {
                note = ""
                for (k = 0; k < 9; k++) note = note sprintf("%08x ", int(rand() * 4294967295))
                printf "%s(%d,\"customer%d\",\"%spaid by card; shipped from the main store\",%d)",
                    j ? "," : "", i * 100 + j, rand() * 99999, note, rand() * 1000000
            }
            print ";"
        }
    }'
}
shop_later() { # updates spread over the table, and new rows
    awk 'BEGIN {
        srand(2)
        print "use shop;"
        for (i = 0; i < 4000; i++)
            printf "update orders set note=\"returned %d\" where id=%d;\n", rand() * 1000000, rand() * 120000
        for (i = 0; i < 20000; i++)
            printf "insert into orders values (%d,\"customer%d\",\"new order %d\",%d);\n",
                200000 + i, rand() * 99999, rand() * 1e9, rand() * 1000000
    }'
}
weblog() { # SEED LINES
    awk -v seed="$1" -v lines="$2" 'BEGIN {
        srand(seed)
        t = 1700000000 + seed * 86400
        split("GET GET GET POST HEAD", method, " ")
        for (i = 0; i < lines; i++) {
            t += int(rand() * 3)
            printf "10.%d.%d.%d - - [%s] \"%s /%s/%d/item-%d.html HTTP/1.1\" %d %d \"-\" \"Mozilla/5.0 (X11; Linux x86_64; rv:%d.0) Firefox/%d.0\"\n",
                rand() * 255, rand() * 255, rand() * 255, strftime("%d/%b/%Y:%H:%M:%S +0000", t, 1),
                method[1 + int(rand() * 5)], rand() < .5 ? "shop" : "blog", rand() * 100, rand() * 100000,
                rand() < .9 ? 200 : 404, rand() * 50000, 90 + rand() * 40, 90 + rand() * 40
        }
    }'
}

# ---- the images -----------------------------------------------------------------------------
build_min() { # SUITE
    new_disk
    install_base "$1"
    leave_root
    boot_loader
    rm -rf "$MNT"/var/lib/apt/lists/*_dists_*
    sync -f "$MNT"
    fstrim "$MNT"
}
build_web() {
    new_disk
    install_base bookworm
    # shellcheck disable=SC2086
    install_inside $WEB
    shop | sql
    weblog 1 250000 >"$MNT/var/log/nginx/access.log"
    weblog 2 250000 | gzip >"$MNT/var/log/nginx/access.log.2.gz"
    apt_inside clean
    leave_root
    boot_loader
}
build_dev() {
    new_disk
    install_base bookworm
    # shellcheck disable=SC2086
    install_inside $DEV
    apt_inside clean
    leave_root
    boot_loader
}
build_web_later() {
    local log i
    cp --sparse=always "$OUT/deb12-web.raw" "$OUT/$NAME.raw"
    attach
    mount_root
    enter_root
    log=$MNT/var/log/nginx/access.log
    apt_inside update
    install_inside htop tcpdump git python3-pip postgresql-client rsync
    apt_inside purge memcached imagemagick
    apt_inside --purge autoremove
    apt_inside clean
    shop_later | sql
    weblog 3 150000 >>"$log"
    gzip -c "$log" >"$log.3.gz"
    weblog 4 60000 >"$log"
    mkdir -p "$MNT/var/www/uploads"
    for i in $(seq 1 40); do head -c 500000 /dev/urandom >"$MNT/var/www/uploads/photo$i.jpg"; done
    find "$MNT/etc/nginx" "$MNT/etc/php" -type f -name '*.conf' -exec sed -i '$a # touched' {} +
    leave_root
}

build() {
    local check
    case $NAME in
    deb11-min) build_min bullseye ;;
    deb12-min) build_min bookworm ;;
    deb13-min) build_min trixie ;;
    deb12-web) build_web ;;
    deb12-dev) build_dev ;;
    deb12-web-later) build_web_later ;;
    *) echo "make-corpus: no image is called $NAME" >&2; exit 2 ;;
    esac
    release
    check=$(losetup -f --show -r -o 1048576 "$OUT/$NAME.raw")
    e2fsck -fn "$check" >>"$OUT/.$NAME.log" 2>&1 || echo "make-corpus: e2fsck complains about $NAME" >&2
    losetup -d "$check"
    fallocate -d "$OUT/$NAME.raw"
    qemu-img convert -f raw -O qcow2 -o compat=1.1 "$OUT/$NAME.raw" "$OUT/$NAME.qcow2"
    qemu-img convert -c -f raw -O qcow2 -o compat=1.1 "$OUT/$NAME.raw" "$OUT/$NAME.c.qcow2"
    echo "$NAME: $(stat -c %s "$OUT/$NAME.raw") bytes, $(du -k "$OUT/$NAME.raw" | cut -f1) KiB allocated"
}

for NAME; do build; done

# tests/lib/sshd.sh - a private sshd on a loopback port, for tests.
#
# As a library:   . tests/lib/sshd.sh; vf_sshd_start DIR [OWNER_PID]; ...; vf_sshd_stop DIR
# As a program:   sh tests/lib/sshd.sh start|stop|kill|freeze|thaw DIR [OWNER_PID]
#
# start makes DIR, keys and configuration in it, starts sshd as the current user, who is also the only
# one who can log in, and prints the port.  Lines in DIR/extra_config (if there before) come first in
# the configuration, and so win.  Afterwards DIR holds:
#
#   port                     the port on 127.0.0.1
#   known_hosts              all three host keys under [127.0.0.1]:PORT
#   host_{ed25519,ecdsa,rsa}[.pub]   the host keys
#   id_{ed25519,ecdsa,rsa}[.pub]     keys that can log in (authorized_keys)
#   stranger[.pub]           an ed25519 key that cannot
#   log                      what sshd says
#
# stop ends the server and all its connections; kill does so with SIGKILL; freeze and thaw stop and
# continue them (SIGSTOP, SIGCONT).  When the process OWNER_PID (default: the calling shell's parent,
# or the shell that sourced this) has ended, the server is ended too.  A keys directory in
# $VF_SSHD_KEYS, if set, saves the making of keys; $VF_SSHD_STARTUPS is its MaxStartups (100).

VF_SSHD=${VF_SSHD:-/usr/sbin/sshd}

vf_sshd_available()
{
    [ -x "$VF_SSHD" ] && command -v ssh-keygen >/dev/null
}

_vf_sshd_keys()
{
    for name in host_ed25519 host_ecdsa host_rsa id_ed25519 id_ecdsa id_rsa stranger; do
        type=${name#*_}
        [ "$name" = stranger ] && type=ed25519
        if [ ! -f "$1/$name" ]; then
            ssh-keygen -q -t "$type" -N '' -C "$name" -f "$1/$name" || return 1
        fi
    done
}

_vf_sshd_config()
{
    if [ -f "$1/extra_config" ]; then
        cat "$1/extra_config"
    fi
    cat <<END
ListenAddress 127.0.0.1
Port $2
HostKey $1/host_ed25519
HostKey $1/host_ecdsa
HostKey $1/host_rsa
PidFile $1/pid
AuthorizedKeysFile $1/authorized_keys
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups ${VF_SSHD_STARTUPS:-100}
LogLevel VERBOSE
END
}

# Does the server in DIR ($1), process $2, listen?  0 yes, 1 it has ended.
_vf_sshd_wait()
{
    while kill -0 "$2" 2>/dev/null; do
        if grep -q 'Server listening on' "$1/log"; then
            return 0
        fi
        sleep 0.05
    done
    return 1
}

# All processes below those given, and these; one per line.
_vf_sshd_tree()
{
    found=" $* "
    grown=1
    while [ "$grown" = 1 ]; do
        grown=0
        for stat in /proc/[0-9]*/stat; do
            read -r line 2>/dev/null <"$stat" || continue
            pid=${line%% *}
            rest=${line##*) }
            parent=${rest#* }
            parent=${parent%% *}
            case $found in
            *" $pid "*) ;;
            *" $parent "*)
                found="$found$pid "
                grown=1
                ;;
            esac
        done
    done
    echo "$found"
}

vf_sshd_start()
{
    dir=$1
    owner=${2:-$$}
    mkdir -p "$dir" || return 1
    if [ -n "$VF_SSHD_KEYS" ]; then
        cp "$VF_SSHD_KEYS"/* "$dir"/ || return 1
    fi
    _vf_sshd_keys "$dir" || return 1
    cat "$dir"/id_*.pub >"$dir/authorized_keys"
    if [ "$(id -u)" = 0 ]; then
        mkdir -p /run/sshd # sshd's own chroot directory
    fi
    tries=0
    while [ "$tries" -lt 50 ]; do
        tries=$((tries + 1))
        port=$((20000 + ($$ * 7 + tries * 97) % 12000))
        _vf_sshd_config "$dir" "$port" >"$dir/sshd_config"
        if "$VF_SSHD" -T -f "$dir/sshd_config" 2>/dev/null | grep -q '^persourcepenalties '; then
            echo "PerSourcePenalties no" >>"$dir/sshd_config" # OpenSSH 9.8: tests fail on purpose
        fi
        : >"$dir/log"
        setsid "$VF_SSHD" -D -e -f "$dir/sshd_config" </dev/null >"$dir/log" 2>&1 &
        server=$!
        if _vf_sshd_wait "$dir" "$server"; then
            echo "$server" >"$dir/pid"
            echo "$port" >"$dir/port"
            for key in "$dir"/host_*.pub; do
                read -r type blob comment <"$key"
                echo "[127.0.0.1]:$port $type $blob"
            done >"$dir/known_hosts"
            (
                while kill -0 "$owner" && kill -0 "$server"; do
                    sleep 1
                done
                vf_sshd_signal "$dir" KILL
            ) </dev/null >/dev/null 2>&1 &
            echo "$port"
            return 0
        fi
    done
    cat "$dir/log" >&2
    return 1
}

# Sends signal $2 to the server in DIR ($1) and to all its connections with what runs on them.
vf_sshd_signal()
{
    [ -f "$1/pid" ] || return 0
    for pid in $(_vf_sshd_tree "$(cat "$1/pid")"); do
        kill -s "$2" "$pid" 2>/dev/null
    done
    return 0
}

vf_sshd_stop()
{
    vf_sshd_signal "$1" CONT
    vf_sshd_signal "$1" TERM
    sleep 0.1
    vf_sshd_signal "$1" KILL
    rm -f "$1/pid"
}

vf_sshd_kill()
{
    vf_sshd_signal "$1" KILL
    rm -f "$1/pid"
}

case ${0##*/} in
sshd.sh)
    case $1 in
    start) vf_sshd_available && vf_sshd_start "$2" "${3:-$PPID}" ;;
    stop) vf_sshd_stop "$2" ;;
    kill) vf_sshd_kill "$2" ;;
    freeze) vf_sshd_signal "$2" STOP ;;
    thaw) vf_sshd_signal "$2" CONT ;;
    *)
        echo "usage: sshd.sh start|stop|kill|freeze|thaw DIR [OWNER_PID]" >&2
        exit 2
        ;;
    esac
    ;;
esac

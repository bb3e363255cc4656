# shellcheck shell=bash
# quiet.sh - what else the machine does; sourced by the other scripts.

# Processor seconds that this machine has spent working so far, all of it.
busy_seconds() {
    awk -v hz="$(getconf CLK_TCK)" '/^cpu / { printf "%.2f\n", ($2 + $3 + $4 + $7 + $8) / hz; exit }' /proc/stat
}

# quiet SECONDS: waits until a second has passed in which the machine did little, not longer than
# that. 0: does not wait.
quiet() {
    local end=$((SECONDS + $1)) before
    while [ $SECONDS -lt $end ]; do
        before=$(busy_seconds)
        sleep 1
        awk -v a="$before" -v b="$(busy_seconds)" 'BEGIN { exit !(b - a < 0.3) }' && return
    done
}

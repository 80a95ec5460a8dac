# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with the other parts
#
# Part of sample/quickstart and sample/watchdog-demo: what the user sees while things go on, and when they fail.

say() { printf '%s\n' "$*"; }
step() { printf '==> %s\n' "$*"; }

# fail MESSAGE [LOG]
fail() {
    stop_ticker
    printf '\n%s: %s\n' "$NAME" "$1" >&2
    if [ $# -gt 1 ] && [ -s "$2" ]; then
        printf '  the last lines of its log:\n' >&2
        tail -n 8 -- "$2" | sed 's/^/    | /' >&2
    fi
    if [ $# -gt 1 ]; then
        printf '  the whole log: %s%s\n' "$2" "$([ -e "$2" ] || echo ' (not written yet)')" >&2
    fi
    if [ "$action" = start ]; then
        printf '  once that is solved, run "%s" again: it goes on from here\n' "$invocation" >&2
    fi
    exit 1
}

# Dots while a command runs in the foreground, so that Ctrl-C reaches the command itself.
start_ticker() {
    local script=$$
    printf '    %s ' "$1"
    # Gone soon after the script, however that ends.
    (
        trap - INT HUP EXIT
        trap 'kill "$nap"; wait "$nap"; exit 0' TERM
        while kill -0 "$script"; do
            printf '.'
            sleep 1 >/dev/null &
            nap=$!
            wait "$nap"
        done
    ) 8>&- 9>&- 2>/dev/null &
    ticker_pid=$!
}

stop_ticker() {
    [ -n "$ticker_pid" ] || return 0
    kill "$ticker_pid" 2>/dev/null || true
    wait "$ticker_pid" 2>/dev/null || true
    ticker_pid=
}

# Descriptors that what we start must not keep: 8 is the terminal's standard error, so that a signal
# is answered there whatever is redirected at that moment; 9 is the lock.

# logged WHAT LOG COMMAND...: the command's output goes to the log, dots to the terminal
logged() {
    local what=$1 log=$2 status=0
    shift 2
    start_ticker "$what"
    ("$@") >"$log" 2>&1 </dev/null 8>&- 9>&- || status=$?
    stop_ticker
    [ "$status" -eq 0 ] || { say ' failed'; fail "$what: failed with status $status" "$log"; }
    say ' done'
}

# wait_for WHAT SECONDS LOG COMMAND...: repeats the command until it succeeds; when it exits with
# 2, waiting is of no use
wait_for() {
    local what=$1 seconds=$2 log=$3 deadline status
    shift 3
    deadline=$((SECONDS + seconds))
    printf '    %s ' "$what"
    while :; do
        status=0
        ("$@") >/dev/null 2>&1 </dev/null 8>&- 9>&- || status=$?
        [ "$status" -ne 0 ] || break
        if [ "$status" -eq 2 ]; then
            say ' failed'
            fail "$what: it has ended" "$log"
        fi
        if [ "$SECONDS" -ge "$deadline" ]; then
            say ' not yet'
            fail "$what: not done after $seconds s" "$log"
        fi
        printf '.'
        sleep 0.5
    done
    say ' done'
}

interrupted() {
    trap - EXIT
    stop_ticker
    printf '\n%s: interrupted; run "%s" again and it goes on from here\n' "$NAME" \
        "$invocation" >&8
    exit 130
}

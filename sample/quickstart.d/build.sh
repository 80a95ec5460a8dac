# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with the other parts
#
# Part of sample/quickstart and sample/watchdog-demo: packages that are missing, and the build.

have() { command -v "$1" >/dev/null 2>&1; }
have_library() { have pkg-config && pkg-config --exists "$1"; }
have_header() { [ -e "/usr/include/$1" ] || [ -e "/usr/local/include/$1" ]; }

find_pg_bin() {
    local candidate
    for candidate in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -t/ -k5,5nr) \
        "$(pg_config --bindir 2>/dev/null || true)"; do
        if [ -x "$candidate/initdb" ] && [ -x "$candidate/postgres" ]; then
            printf '%s' "$candidate"
            return
        fi
    done
}

missing_packages() {
    have gcc || have clang || printf 'gcc libc6-dev '
    have make || printf 'make '
    have pkg-config || printf 'pkg-config '
    have autoconf || printf 'autoconf '
    have automake || printf 'automake '
    have flex || printf 'flex '
    have bison || printf 'bison '
    have_library liburing || printf 'liburing-dev '
    have_library libcares || printf 'libc-ares-dev '
    have_library openssl || printf 'libssl-dev '
    have_library libidn || printf 'libidn-dev '
    have_library libpq || printf 'libpq-dev '
    have_header security/pam_appl.h || printf 'libpam0g-dev '
    have_header ldap.h || printf 'libldap-dev '
    have_library libcurl || printf 'libcurl4-openssl-dev '
    have_library jansson || printf 'libjansson-dev '
    have_library libmemcached || printf 'libmemcached-dev '
    have_library libmicrohttpd || printf 'libmicrohttpd-dev '
    have psql || printf 'postgresql-client '
    [ -n "$use_pg" ] || [ -n "$(find_pg_bin)" ] || printf 'postgresql '
    more_packages
}

check_packages() {
    packages=$(missing_packages)
    [ -n "$packages" ] || return 0
    have curl || packages+='curl ' # the tutorial's; alone it would be no reason to install anything
    have apt-get ||
        fail "not a Debian or Ubuntu machine; install by hand what these hold: $packages"
    is_root || have sudo ||
        fail "missing packages, and no sudo here; as root: apt-get install $packages"
}

# Debian's package would start a server of its own on port 5432; we need only the programs.
readonly QUIET=/etc/postgresql-common/createcluster.d/pgpool-quickstart.conf
readonly APT='apt-get -o DPkg::Lock::Timeout=300 -y --no-install-recommends'

forbid_cluster() {
    as_root mkdir -p "${QUIET%/*}"
    printf 'create_main_cluster = false\n' | as_root tee "$QUIET" >/dev/null
}

allow_cluster() { [ ! -e "$QUIET" ] || as_root rm -f "$QUIET"; }

# An apt-get that was interrupted lets dpkg end its step. apt-get waits for that, dpkg does not.
finish_packages() {
    # shellcheck disable=SC2086 # words are meant
    as_root $APT check || true
    as_root env DEBIAN_FRONTEND=noninteractive dpkg --configure -a
}

install_packages() {
    local status=0
    if [ -z "$packages" ]; then
        allow_cluster
        return 0
    fi
    step "Installing packages: $packages"
    is_root || sudo -v || fail 'sudo refused'
    forbid_cluster
    if [ -n "$(dpkg --audit 2>/dev/null)" ]; then
        logged 'finishing an interrupted installation' "$dir/packages.log" finish_packages
    fi
    logged 'reading the package lists (apt-get update)' "$dir/packages.log" as_root apt-get update
    # shellcheck disable=SC2086 # words are meant
    (logged 'installing (apt-get install)' "$dir/packages.log" \
        as_root env DEBIAN_FRONTEND=noninteractive $APT install $packages) || status=$?
    allow_cluster
    [ "$status" -eq 0 ] || exit "$status"
    packages=$(missing_packages)
    [ -z "$packages" ] || fail "still missing after the installation: $packages" "$dir/packages.log"
}

# A copy, so that the checkout stays as it is, whoever owns it and whatever was built in it: what
# autoreconf and a build there have made stays behind.
copy_sources() {
    mkdir -p "$dir/source"
    tar -C "$source_dir" -cf - --mode=u+rwX --anchored --exclude=./.git \
        --exclude=./build --exclude='./build-*' --exclude=./autom4te.cache --exclude=./aclocal.m4 \
        --exclude='./configure' --exclude=./Makefile.in --exclude='./config.h*' \
        --exclude=./config.status --exclude=./config.log --exclude=./stamp-h1 \
        --exclude=./Makefile --exclude=./config-generate --exclude=./pgpool \
        --exclude=./pgpool.service --exclude=./pcp --exclude=./pg_md5 \
        --no-anchored --exclude='*.o' --exclude='*.a' --exclude=.deps --exclude=__pycache__ \
        --exclude='configure~' . | tar -C "$dir/source" -xf - --no-same-owner
}

needs_autoreconf() {
    [ ! -e "$dir/source/configure" ] || [ ! -e "$dir/source/Makefile.in" ] ||
        [ ! -e "$dir/source/build-aux/install-sh" ] ||
        [ -n "$(find "$dir/source" \( -name '*.am' -o -name configure.ac -o -name '*.m4' \) \
            ! -name aclocal.m4 -newer "$dir/source/configure" -print -quit)" ]
}

in_dir() { (cd "$1" && shift && "$@"); }

build() {
    local work
    step "Building pgpool in $dir/build"
    copy_sources
    work=$(safe_name "$dir")
    if needs_autoreconf; then
        logged 'autoreconf' "$dir/build.log" in_dir "$work/source" autoreconf -fi
        rm -f "$dir/build/config.status"
    fi
    mkdir -p "$dir/build"
    if [ ! -e "$dir/build/config.status" ] || [ ! -e "$dir/build/Makefile" ]; then
        logged 'configure' "$dir/build.log" in_dir "$work/build" ../source/configure
    fi
    logged 'make' "$dir/build.log" in_dir "$work/build" make -j"$(nproc)" pgpool
}

#!/bin/sh
# Gets what the tests of the browser page need: Chromium, Node.js, the packages of package-lock.json and the web servers
# that people have; and a display without a screen for the window of `webcam`. Best effort: where something cannot be had
# this says so and succeeds, and the tests that need it are skipped with their reason.
cd "$(dirname "$0")" || exit 0

has() { command -v "$1" >/dev/null 2>&1; }

install() { # by the system's package manager, where this user may
    has apt-get && [ "$(id -u)" = 0 ] || return 1
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >/dev/null 2>&1
}

[ -x "${CHROMIUM:-/usr/bin/chromium}" ] || install chromium || echo "browser tests: Chromium could not be installed"
{ has node && has npm; } || install nodejs npm || echo "browser tests: Node.js could not be installed"

has Xvfb || install xvfb || echo "window tests: Xvfb could not be installed"

unpack_servers() { # into hosts/, not installed: as packages they would begin to serve this machine
    apt-get update -qq && mkdir -p hosts/archives/partial &&
        apt-get install -y -qq --download-only --no-install-recommends -o Dir::Cache::archives="$PWD/hosts/archives" "$@" &&
        for archive in hosts/archives/*.deb; do dpkg -x "$archive" hosts || return 1; done
    rm -rf hosts/archives
}

PATH="$PATH:/usr/sbin"
{ has nginx && has apache2; } || [ -x hosts/usr/sbin/nginx ] || {
    has apt-get && [ "$(id -u)" = 0 ] && unpack_servers nginx apache2-bin media-types >/dev/null 2>&1
} || echo "browser tests: nginx and Apache could not be had"

# A copy of the lock file tells what is installed.
if has npm && ! cmp -s package-lock.json node_modules/.installed; then
    npm ci --ignore-scripts --no-audit --no-fund --silent && cp package-lock.json node_modules/.installed ||
        echo "browser tests: 'npm ci --ignore-scripts --prefix web' did not work"
fi
exit 0

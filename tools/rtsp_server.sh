#!/usr/bin/env bash
# Gets the RTSP server that tests/video/test_rtsp.py plays streams of: GStreamer's.
#
#     tools/rtsp_server.sh [FOLDER, default $FER_EDGE_GSTREAMER or .gstreamer]
#
# Packages of the system's own Debian or Ubuntu are downloaded (5 MB) and unpacked into FOLDER; nothing is installed and root is
# not needed. The system's Python must have its GObject bindings (python3-gi) and GStreamer's core (libgstreamer1.0-0).
set -euo pipefail
folder=${1:-${FER_EDGE_GSTREAMER:-.gstreamer}}
packages="gir1.2-gst-rtsp-server-1.0 libgstrtspserver-1.0-0 gir1.2-gstreamer-1.0 gir1.2-gst-plugins-base-1.0
    libgstreamer-plugins-base1.0-0 liborc-0.4-0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good"
command -v apt-get >/dev/null || { echo "not available: apt-get; install GStreamer's RTSP server (gst-rtsp-server)" >&2; exit 1; }
/usr/bin/python3 -c "import gi; gi.require_version('GLib', '2.0')" || { echo "not available: python3-gi" >&2; exit 1; }
mkdir -p "$folder"
downloads=$(mktemp -d)
trap 'rm -rf "$downloads"' EXIT
(cd "$downloads" && apt-get download -q $packages 2> >(grep -v "performed unsandboxed" >&2))
for package in "$downloads"/*.deb; do dpkg-deb --extract "$package" "$folder"; done
echo "GStreamer's RTSP server is in $folder"

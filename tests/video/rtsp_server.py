"""A network camera on this machine: GStreamer's RTSP server, run by the system's Python, which has its bindings.

    /usr/bin/python3 rtsp_server.py CLIP PORT [udp] [tls CERTIFICATE_AND_KEY.pem] < LIVE

/clip is the H.264 of the mp4 CLIP, to its end; /live what comes on standard input, a Matroska stream of H.264, as a
camera sends it: in its own time, without an end. Both ask for user "user" and password "hush". With "udp" it sends by
UDP alone; with "tls" the connection is TLS (rtsps://). Prints its port.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

PAY = "rtph264pay name=pay0 pt=96 config-interval=-1"

clip, port, *ways = sys.argv[1:]
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(port)

auth = GstRtspServer.RTSPAuth()
token = GstRtspServer.RTSPToken()
token.set_string("media.factory.role", "user")
auth.add_basic(GstRtspServer.RTSPAuth.make_basic("user", "hush"), token)
if "tls" in ways:
    auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(ways[ways.index("tls") + 1]))
server.set_auth(auth)
permissions = GstRtspServer.RTSPPermissions()
permissions.add_role("user")
permissions.add_permission_for_role("user", "media.factory.access", True)
permissions.add_permission_for_role("user", "media.factory.construct", True)

for path, launch in (
    ("/clip", f'( filesrc location="{clip}" ! qtdemux ! {PAY} )'),
    ("/live", f"( fdsrc fd=0 ! matroskademux ! {PAY} )"),
):
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(launch)
    factory.set_permissions(permissions)
    if "udp" in ways:
        factory.set_protocols(GstRtsp.RTSPLowerTrans.UDP)
    server.get_mount_points().add_factory(path, factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()

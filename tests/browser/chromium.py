"""Debian's Chromium, and how the tests start it."""

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    # tests run as root in a container, where Chromium's own sandbox can't
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    # it would look for updates and the like, and there may be no network
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

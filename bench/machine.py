"""What the figures of a measurement depend on, to be kept with them."""
import os
import pathlib
import platform
import re
import subprocess
import time


def about():
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    versions = {}
    for package in ("libpmix-dev", "libasio-dev", "g++-12", "libopenmpi-dev"):
        asked = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True)
        versions[package] = asked.stdout or None
    return {"cores": os.cpu_count(), "model": model[1] if model else platform.machine(), "kernel": platform.release(),
            "versions": versions, "date": time.strftime("%Y-%m-%d")}

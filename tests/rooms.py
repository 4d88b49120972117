"""rooms.py INCLUDE-DIR: headers include only what their room may, and the pure ones never Asio."""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
below = {
    None: ("wire", "security"),  # beside the rooms
    "wire": (),
    "message": ("wire",),
    "security": ("wire",),
    "handshake": ("wire", "security"),
    "listen": ("wire",),
    "session": ("wire", "message"),
    "host": ("wire", "message", "security", "handshake", "listen", "session"),
    "client": ("wire", "message", "security", "handshake", "listen", "session"),
    "detail": (),
}
pure = ("wire/", "message/", "handshake/hello", "handshake/identity", "handshake/peer_kind", "handshake/reply",
        "handshake/request", "result", "error", "limits", "observer", "policies")
umbrellas = {"server.hpp", "client.hpp"}

headers = {path.relative_to(root).as_posix(): set(re.findall(r"^#\s*include <pmixio/(.*)>", path.read_text(), re.M))
           for path in root.rglob("*.hpp")}
assert len(headers) > 40, "where are the headers?"
wrong = []


def room(header):
    return header.split("/")[0] if "/" in header else None


def reached(header, seen):
    for each in headers[header] - seen:
        seen.add(each)
        reached(each, seen)
    return seen


for header, included in headers.items():
    if header in umbrellas:
        continue
    for other in included:
        if other in umbrellas or room(other) not in (None, "detail", room(header), *below[room(header)]):
            wrong.append(f"{header} must not include {other}")
    if header in reached(header, set()):
        wrong.append(f"{header} includes itself")
    if header.startswith(pure) and "detail/asio.hpp" in reached(header, set()):
        wrong.append(f"{header} must not need Asio")
sys.exit("\n".join(wrong) or 0)

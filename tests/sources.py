"""sources.py ROOT: names every header, test and program, one a line; Meson cannot.
sources.py ROOT CONFIGURED...: fails when they are not the ones Meson was configured with."""
import pathlib
import sys

root = pathlib.Path(sys.argv[1])
found = sorted(path.relative_to(root).as_posix()
               for top in ("include", "tests", "examples", "bench")
               for path in (root / top).rglob("*") if path.suffix in (".hpp", ".cpp", ".c"))
if len(sys.argv) == 2:
    print("\n".join(found))
elif changed := set(found) ^ set(sys.argv[2:]):
    sys.exit(f"run `meson setup --reconfigure`: files came or went: {' '.join(sorted(changed))}")

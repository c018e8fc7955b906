"""Make every CPUID instruction of a shared library trap, so that cpumask.so answers for it.

    python tools/cpumask/mask.py COPY.so

Treat a copy: without cpumask.so preloaded it ends its process. objdump (binutils) tells instructions from data that
look alike. Linux on x86-64 alone.
"""

import re
import subprocess
import sys
from pathlib import Path

CPUID, TRAP = b"\x0f\xa2", b"\xcc\x90"  # int3, nop


def objdump(*arguments: str) -> list[str]:
    """The lines that it prints."""
    done = subprocess.run(["objdump", *arguments], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def main(library: Path) -> None:
    """Replace the instructions in the file itself."""
    sections = []  # address, size and place in the file
    for line in objdump("-h", str(library)):
        parts = line.split()
        if len(parts) >= 7 and parts[0].isdigit():
            sections.append((int(parts[3], 16), int(parts[2], 16), int(parts[5], 16)))
    content = bytearray(library.read_bytes())
    masked = 0
    for line in objdump("-d", "--no-show-raw-insn", str(library)):
        found = re.match(r"\s*([0-9a-f]+):\s+cpuid\s*$", line)
        if found is None:
            continue
        address = int(found[1], 16)
        start, _, offset = next(section for section in sections if section[0] <= address < section[0] + section[1])
        place = address - start + offset
        if content[place : place + 2] != CPUID:
            sys.exit(f"{library}: expected CPUID at {address:#x}, found {content[place : place + 2].hex()}")
        content[place : place + 2] = TRAP
        masked += 1
    if not masked:
        sys.exit(f"{library}: expected CPUID instructions, found none")
    library.write_bytes(content)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

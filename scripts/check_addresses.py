#!/usr/bin/env python3
"""Checks docs/reference/addresses.md with independent implementations of CBOR and BLAKE3.

Makes its own virtual environment below the cache folder and installs `cbor2` and `blake3` there.
"""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

# cbor2 5 writes 65504.0 as 32 bits, which RFC 8949 (appendix A) contradicts; 6 does it right.
PACKAGES = ["cbor2>=6,<7", "blake3>=1,<2"]
CONTEXT = "deriva recipe v1"
PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "addresses.md"


def inside_own_environment():
    """Runs this script again inside its environment, which is made where it is not there yet."""
    if os.environ.get("DERIVA_ADDRESSES_VENV") == "1":
        return
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    venv = cache / "deriva" / "addresses-venv"
    python = venv / "bin" / "python"
    ready = venv / "ready"
    if not ready.exists() or ready.read_text() != "\n".join(PACKAGES):
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES], check=True)
        ready.write_text("\n".join(PACKAGES))
    os.execve(python, [str(python), __file__, *sys.argv[1:]], {**os.environ, "DERIVA_ADDRESSES_VENV": "1"})


def value(tagged):
    ((kind, content),) = tagged.items()
    match kind:
        case "null" | "bool" | "text":
            return content
        case "int":
            return int(content)
        case "float":
            return struct.unpack(">d", bytes.fromhex(content))[0]
        case "bytes":
            return bytes.fromhex(content)
        case "list":
            return [value(item) for item in content]
        case "map":
            return {key: value(item) for key, item in content.items()}
    raise ValueError(f"unknown type {kind}")


def check(vector):
    """The mistakes found in one vector, in words."""
    from blake3 import blake3
    import cbor2

    if "repeat" in vector:
        piece, times = vector["repeat"]
        found = blake3(bytes.fromhex(piece) * times).hexdigest()
        return [] if found == vector["address"] else [f"address {found}"]
    name, version = vector["function"].split("/")
    inputs = vector["inputs"]
    if isinstance(inputs, int):
        inputs = [blake3(struct.pack("<Q", i)).digest() for i in range(inputs)]
    else:
        inputs = [bytes.fromhex(text) for text in inputs]
    params = {key: value(item) for key, item in vector["params"].items()}
    canonical = cbor2.dumps([1, name, version, inputs, params], canonical=True)
    found = blake3(canonical, derive_key_context=CONTEXT).hexdigest()
    wrong = []
    if "canonical" in vector and canonical.hex() != vector["canonical"]:
        wrong.append(f"canonical bytes {canonical.hex()}")
    if len(canonical) != vector["canonical_len"]:
        wrong.append(f"{len(canonical)} canonical bytes")
    if found != vector["address"]:
        wrong.append(f"address {found}")
    return wrong


def main():
    inside_own_environment()
    block = PAGE.read_text(encoding="utf-8").split("```jsonl\n", 1)[1].split("```", 1)[0]
    vectors = [json.loads(line) for line in block.splitlines()]
    failed = 0
    for vector in vectors:
        for mistake in check(vector):
            failed += 1
            print(f"{vector['case']}: cbor2 and blake3 give {mistake}, the page says {vector}", file=sys.stderr)
    if len(vectors) < 60:
        sys.exit(f"{PAGE} holds only {len(vectors)} vectors")
    if failed:
        sys.exit(f"{failed} mistakes in {len(vectors)} vectors")
    print(f"{len(vectors)} address vectors agree with cbor2 and blake3")


if __name__ == "__main__":
    main()

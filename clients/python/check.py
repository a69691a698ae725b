#!/usr/bin/env python3
"""Holds `deriva serve` to its protocol with a client that shares no line with it: gRPC of PyPI, stubs from the .proto files.

One line is printed for each check. It ends with 1 where one fails.

    cargo build -p deriva-cli
    clients/python/check.py

What it needs of PyPI is put into an environment below the cache folder.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PROTOS = ROOT / "deriva-proto/proto"
# cbor2 5 writes 65504.0 as 32 bits, which RFC 8949 (appendix A) contradicts; 6 does it right.
PACKAGES = [
    *(f"{name}>=1.70,<2" for name in ["grpcio", "grpcio-tools", "grpcio-reflection", "grpcio-health-checking"]),
    "googleapis-common-protos>=1.66,<2",
    "cbor2>=6,<7",
    "blake3>=1,<2",
    "trustme>=1.1,<2",
]
# `checks` is imported from the checkout, which stays as it is.
sys.dont_write_bytecode = True


def inside_own_environment():
    """Runs this script again inside its environment, which is made where it is not there yet."""
    if os.environ.get("DERIVA_PYTHON_CLIENT_VENV") == "1":
        return
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    venv = cache / "deriva" / "python-client-venv"
    python, ready = venv / "bin" / "python", venv / "ready"
    if not ready.exists() or ready.read_text() != "\n".join(PACKAGES):
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES], check=True)
        ready.write_text("\n".join(PACKAGES))
    os.execve(python, [str(python), __file__, *sys.argv[1:]], {**os.environ, "DERIVA_PYTHON_CLIENT_VENV": "1"})


def command():
    """The command, as CI and `cargo build -p deriva-cli` leave it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folders = [os.environ.get("CARGO_TARGET_DIR"), cache / "deriva/target", ROOT / "target"]
    for folder in filter(None, folders):
        path = Path(folder) / "debug/deriva"
        if path.exists():
            return path
    sys.exit("the command is not built: cargo build -p deriva-cli")


def generate(folder):
    """Stubs from the .proto files, to be imported as `deriva.v1`."""
    files = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    outputs = [f"--{kind}_out={folder}" for kind in ["python", "grpc_python"]]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}", *outputs, *files], check=True)
    sys.path.insert(0, str(folder))


def example(server, client):
    """the example of the README: it runs as it is shown there, and prints what it counted"""
    from checks.serving import holds, same

    text = (HERE / "example.py").read_text()
    holds("README.md shows example.py", f"```python\n{text}```" in (HERE / "README.md").read_text())
    environment = {**os.environ, "PYTHONPATH": sys.path[0]}
    ran = subprocess.run([sys.executable, HERE / "example.py", server.address], env=environment, capture_output=True, text=True, timeout=60)
    same("its exit code", (ran.returncode, ran.stderr if ran.returncode else ""), (0, ""))
    same("its events", ran.stderr.split(), ["planned", "computed"])
    same("what it counts", ran.stdout, "be\t2\nnot\t1\nor\t1\nto\t2\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--command", type=Path, help="the command deriva (default: that of the folder that cargo builds in)")
    args = parser.parse_args()
    began = time.monotonic()
    deriva = (args.command or command()).resolve()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stubs = folder / "stubs"
        stubs.mkdir()
        generate(stubs)
        # It would tell of each handshake that has to fail.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        from checks import access, blobs, ending, graph, kinds, materialize, standard, tls
        from checks.serving import Server

        (folder / "tokens.toml").write_text(access.tokens())
        tokens, certificates = ["--tokens", folder / "tokens.toml"], tls.Certificates(folder)
        servers = [
            (
                ["--set", "limits.stored_bytes=1GiB"],
                [*blobs.CHECKS, *graph.CHECKS, *materialize.CHECKS, *kinds.CHECKS, *standard.CHECKS, example, *ending.CHECKS],
            ),
            ([*tokens, "--set", f"limits.requests={access.ROOM}"], access.CHECKS),
            ([*tokens, *certificates.options()], tls.checks(certificates)),
        ]
        ran, failed = 0, 0
        for place, (options, checks) in enumerate(servers):
            server = stack.enter_context(Server(deriva, folder / f"store-{place}", *options))
            with server.client() as client:
                for check in checks:
                    ran += 1
                    try:
                        check(server, client)
                        print(f"ok      {check.__doc__}", flush=True)
                    except Exception:
                        failed += 1
                        print(f"FAILED  {check.__doc__}\n{traceback.format_exc()}", flush=True)
    print(f"{ran - failed} of {ran} checks passed; {time.monotonic() - began:.0f} s")
    return failed > 0


if __name__ == "__main__":
    inside_own_environment()
    # So that what was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    sys.exit(main())

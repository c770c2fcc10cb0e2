"""Commands with the network open, a standard input, and the temporary folder as their own."""

import asyncio
import os

import pytest

from tests.tools.sandbox.conftest import QUICK, RunPython
from tools.sandbox.sandbox import Sandbox

STILL_DENIED = {
    "binding": "socket.socket().bind(('127.0.0.1', 0))",
    "binding a datagram socket": "socket.socket(type=socket.SOCK_DGRAM).bind(('127.0.0.1', 0))",
    "listening": "socket.socket().listen()",
    "a unix socket": "socket.socket(socket.AF_UNIX)",
    "a pair that connects to a named socket": "socket.socketpair()[0].connect('/run/docker.sock')",
    "a netlink socket": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "a raw socket": "socket.socket(socket.AF_INET, socket.SOCK_RAW)",
    "a packet socket": "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
}


async def test_command_with_the_network_connects_and_another_does_not(run_python: RunPython) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"plover")
        writer.close()

    listener = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    code = f"import socket; print(socket.create_connection(('127.0.0.1', {port})).recv(9))"
    opened = await run_python(code, network=True)
    closed = await run_python(code)
    listener.close()

    assert opened.stdout.head == b"b'plover'\n", opened.stderr.head
    assert closed.exit_code == 1


async def test_open_network_gives_only_outward_connections(run_python: RunPython) -> None:
    lines = ["import socket", "def attempt(name, act):", "    try: act()", "    except OSError as error: return"]
    lines += ["    print(name)"]
    lines += [f"attempt({name!r}, lambda: {act})" for name, act in STILL_DENIED.items()]
    outcome = await run_python("\n".join(lines), network=True)

    assert (outcome.exit_code, outcome.stdout.head) == (0, b""), outcome.stderr.head


async def test_command_reads_the_input_of_a_handle_in_its_temporary_folder(sandbox: Sandbox) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"plover")
    os.close(writing)
    try:
        code = "import os, sys; print(sys.stdin.read(), os.getcwd() == os.environ['HOME'])"
        argv = ("python", "-I", "-S", "-c", code)
        outcome = await sandbox.run(argv, cwd_handle=None, input_handle=reading, limits=QUICK)
    finally:
        os.close(reading)

    assert outcome.stdout.head == b"plover True\n"


@pytest.mark.parametrize("runs_files", [True, False])
async def test_only_a_command_that_may_run_files_executes_what_it_wrote(sandbox: Sandbox, runs_files: bool) -> None:
    code = (
        "import os\n"
        "handle = os.open('made', os.O_WRONLY | os.O_CREAT, 0o700)\n"
        "os.write(handle, b'#!/bin/sh\\necho plover\\n'); os.close(handle)\n"
        "print(os.spawnl(os.P_WAIT, './made', 'made'))"
    )
    argv = ("python", "-I", "-S", "-u", "-c", code)
    outcome = await sandbox.run(argv, cwd_handle=None, runs_files=runs_files, limits=QUICK)

    assert outcome.stdout.head == (b"plover\n0\n" if runs_files else b"127\n")

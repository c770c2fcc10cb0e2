"""The program of an MCP server over standard input and output, and what it may read."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tools.sandbox.programs import Programs, installed_programs

STARTING: Final = ("/etc/ssl/openssl.cnf", "/etc/pki/tls/openssl.cnf", "/etc/crypto-policies")
"""Files without which programs such as node do not start."""

NETWORK: Final = (
    *(f"/etc/{name}" for name in ("resolv.conf", "hosts", "host.conf", "nsswitch.conf", "gai.conf", "services")),
    *(f"/etc/{name}" for name in ("ssl/certs", "ca-certificates", "pki/tls/certs", "pki/ca-trust")),
)
"""Files by which programs find the addresses of hosts, and check their certificates."""


def found_program(name: str, folders: Iterable[str], *, network: bool) -> tuple[str, Programs]:
    """Return the path of a program, and what it may read and execute beside these folders.

    Raises `CommandRefusedError`.
    """
    installed = installed_programs()
    own = (Path(name),) if Path(name).is_absolute() else ()
    others = map(Path, (*STARTING, *folders, *(NETWORK if network else ())))
    places = (*installed.places, *own, *others)
    # An absolute path stays as it is below any folder.
    programs = Programs(folders=installed.folders, places=places, cwd=Path("/"))
    return str(programs.find(name)), programs

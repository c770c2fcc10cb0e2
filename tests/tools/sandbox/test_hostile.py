"""Attacks of a hostile command. Each prints `CANARY` if it succeeded, and otherwise the error that denied it.

All run in one process for each version of Landlock: that of this kernel, and the oldest supported one.
There the filter covers the features that Landlock lacks.
"""

import asyncio
import json
import os
import textwrap
from pathlib import Path

import pytest

from kernel import landlock, seccomp
from tests.tools.sandbox.conftest import QUICK, SECRET
from tools.sandbox.sandbox import Sandbox

DENIALS = {"EPERM", "EACCES", "EAFNOSUPPORT", "ENOSYS", "EXDEV"}
NOT_ON_EVERY_MACHINE = {"reads physical memory", "reads kernel messages"}

PRELUDE = """
import ctypes, errno, json, os, resource, signal
facts = json.loads({facts!r})
service, outside, numbers = facts["service"], facts["outside"], facts["numbers"]
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    passed = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    if libc.syscall(ctypes.c_long(numbers[name]), *passed) < 0:
        raise OSError(ctypes.get_errno(), name)
def read(path):
    with open(path, "rb") as file:
        file.read(100)
"""

ATTACK = """
def attack():
{body}
try:
    attack()
    print({name!r}, "CANARY", sep=chr(9))
except OSError as error:
    print({name!r}, errno.errorcode[error.errno], sep=chr(9))
"""

READING = {
    "the shadow file": 'read("/etc/shadow")',
    "the users": 'read("/etc/passwd")',
    "the home of root": 'os.listdir("/root")',
    "all homes": 'os.listdir("/home")',
    "the root folder": 'os.listdir("/")',
    "run": 'os.listdir("/run")',
    "var": 'os.listdir("/var")',
    "the temporary folders of others": 'os.listdir("/tmp")',
    "the service's database": 'read(outside + "/orchestrator.db")',
    "the service's settings": 'read(outside + "/.env")',
    "the way up out of the workspace": 'read("../outside/orchestrator.db")',
    "the service's environment": 'read(f"/proc/{service}/environ")',
    "the service's memory": 'read(f"/proc/{service}/mem")',
    "the service's memory map": 'read(f"/proc/{service}/maps")',
    "the service's handles": 'os.listdir(f"/proc/{service}/fd")',
    "the service's root": 'os.listdir(f"/proc/{service}/root/etc")',
    "the service's folder": 'os.listdir(f"/proc/{service}/cwd/")',
    "the service's command line": 'read(f"/proc/{service}/cmdline")',
    "the runs's memory": 'read(f"/proc/{os.getppid()}/mem")',
    "the list of processes": 'os.listdir("/proc")',
    "its own root in proc": 'read("/proc/self/root/etc/shadow")',
    "its own environment in proc": 'read("/proc/self/environ")',
    "a link out of the workspace": 'read("link-out")',
    "a folder link out of the workspace": 'os.listdir("folder-link-out")',
    "physical memory": 'read("/dev/mem")',
    "kernel messages": 'read("/dev/kmsg")',
    "the terminal": 'os.open("/dev/tty", os.O_RDWR)',
    "a disk": 'os.listdir("/dev")',
    "system settings": 'read("/proc/sys/kernel/hostname")',
    "the machine's devices": 'os.listdir("/sys")',
}

WRITING = {
    "a file of the workspace": 'open("notes.txt", "a")',
    "a new file of the workspace": 'open("new", "w")',
    "a file outside": 'open(outside + "/orchestrator.db", "r+")',
    "a new file outside": 'open(outside + "/new", "w")',
    "a file in the temporary folder of all": 'open("/tmp/canary-of-a-command", "w")',
    "shared memory": 'open("/dev/shm/canary-of-a-command", "w")',
    "a program": 'open("/usr/bin/true", "r+b")',
    "emptying by name": 'os.truncate(outside + "/orchestrator.db", 0)',
    "emptying by opening": 'os.open(outside + "/orchestrator.db", os.O_RDONLY | os.O_TRUNC)',
    "removing": 'os.unlink(outside + "/orchestrator.db")',
    "removing in the workspace": 'os.unlink("notes.txt")',
    "renaming": 'os.rename(outside + "/orchestrator.db", outside + "/gone")',
    "moving in": 'os.rename(outside + "/orchestrator.db", os.environ["HOME"] + "/taken")',
    "linking in": 'os.link(outside + "/orchestrator.db", os.environ["HOME"] + "/taken")',
    "a folder": 'os.mkdir(outside + "/folder")',
    "a link": 'os.symlink("/etc", outside + "/link")',
    "a mode": 'os.chmod(outside + "/orchestrator.db", 0o777)',
    "a mode by handle": 'os.fchmod(os.open("notes.txt", os.O_RDONLY), 0o777)',
    "an owner": 'os.chown(outside + "/orchestrator.db", os.getuid(), os.getgid())',
    "a time": 'os.utime(outside + "/orchestrator.db", (0, 0))',
    "an attribute": 'os.setxattr(outside + "/orchestrator.db", "user.canary", b"1")',
    "a device": 'os.mknod(os.environ["HOME"] + "/device", 0o20666, os.makedev(1, 1))',
    "through a link in the temporary folder": (
        'os.symlink(outside, os.environ["HOME"] + "/link"); open(os.environ["HOME"] + "/link/orchestrator.db", "r+")'
    ),
}

REACHING = {
    "an internet socket": "import socket; socket.socket(socket.AF_INET)",
    "an internet socket, version 6": "import socket; socket.socket(socket.AF_INET6)",
    "a datagram socket": "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "a unix socket": "import socket; socket.socket(socket.AF_UNIX)",
    "a netlink socket": "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "a socket of the host": "import socket; socket.socket(socket.AF_VSOCK)",
    "a packet socket": "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
    "a cipher socket": "import socket; socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)",
    "a pair of datagram sockets": "import socket; socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)",
    "tracing the service": 'call("ptrace", 16, service, 0, 0)',
    "tracing the runs": 'call("ptrace", 16, os.getppid(), 0, 0)',
    "being traced": 'call("ptrace", 0, 0, 0, 0)',
    "reading the service's memory": 'call("process_vm_readv", service, 0, 0, 0, 0, 0)',
    "writing the service's memory": 'call("process_vm_writev", service, 0, 0, 0, 0, 0)',
    "taking a handle": 'call("pidfd_getfd", os.pidfd_open(service), 0, 0)',
    "io_uring": 'call("io_uring_setup", 1, ctypes.create_string_buffer(200))',
    "a user namespace": 'call("unshare", 0x10000000)',
    "a mount namespace": 'call("unshare", 0x00020000)',
    "a namespace by clone": 'call("clone", 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0)',
    "a namespace by clone3": 'call("clone3", ctypes.create_string_buffer(88), 88)',
    "another's namespace": 'call("setns", os.pidfd_open(service), 0x10000000)',
    "chroot": 'os.chroot("/")',
    "a mount": 'call("mount", b"none", os.environ["HOME"].encode(), b"tmpfs", 0, None)',
    "a mount by handle": 'call("fsopen", b"tmpfs", 0)',
    "a tree of mounts": 'call("open_tree", -100, b"/", 1)',
    "attributes by handle": 'import fcntl; fcntl.ioctl(os.open("notes.txt", os.O_RDONLY), 0x40086602, bytes(8))',
    "sealing by handle": 'import fcntl; fcntl.ioctl(os.open("notes.txt", os.O_RDONLY), 0x40806685, bytes(128))',
    "a lease": 'import fcntl; fcntl.fcntl(os.open("notes.txt", os.O_RDONLY), fcntl.F_SETLEASE, fcntl.F_RDLCK)',
    "a file of memory": 'os.memfd_create("canary")',
    "keys": 'call("keyctl", 0, -3, 1)',
    "a kernel program": 'call("bpf", 0, ctypes.create_string_buffer(128), 128)',
    "counters of the processor": 'call("perf_event_open", ctypes.create_string_buffer(128), 0, -1, -1, 0)',
    "page faults": 'call("userfaultfd", 0)',
    "another kernel": 'call("kexec_load", 0, 0, None, 0)',
    "a restart": 'call("reboot", 1, 2, 3, None)',
    "a module": 'call("finit_module", 0, b"", 0)',
    "a handle by number": 'call("open_by_handle_at", -100, ctypes.create_string_buffer(128), 0)',
    "the number of a file": 'call("name_to_handle_at", -100, b".", ctypes.create_string_buffer(128), None, 0)',
    "another personality": 'call("personality", 0x0040000)',
    "shared memory of System V": 'call("shmget", 1, 4096, 0o1600)',
    "messages of System V": 'call("msgget", 1, 0o1600)',
    "a queue of messages": 'call("mq_open", b"canary", 0o102, 0o600, None)',
    "watching a folder": 'call("inotify_add_watch", 0, b"/etc", 2)',
    "killing the service": "os.kill(service, signal.SIGKILL)",
    "asking for the service": "os.kill(service, 0)",
    "stopping the runs": "os.kill(os.getppid(), signal.SIGSTOP)",
    "killing by handle": "signal.pidfd_send_signal(os.pidfd_open(service), signal.SIGKILL)",
    "a queued signal": 'call("rt_sigqueueinfo", service, 9, ctypes.create_string_buffer(128))',
    "killing a thread": 'call("tgkill", service, service, 9)',
    "limits of the service": "resource.prlimit(service, resource.RLIMIT_NOFILE, (3, 3))",
    "limits of the service, to look at": "resource.prlimit(service, resource.RLIMIT_NOFILE)",
    "the processors of the service": "os.sched_setaffinity(service, {0})",
    "the rank of the service": "os.setpriority(os.PRIO_PROCESS, service, 19)",
    "signals by way of a file": "import fcntl; fcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, service)",
    "typing into a terminal": 'import fcntl; fcntl.ioctl(0, 0x5412, b"x")',
    "another user": "os.setuid(12345) if os.getuid() == 0 else os.setuid(0)",
    "the clock": "import time; time.clock_settime(0, 0)",
    "the machine's name": 'import socket; socket.sethostname("canary")',
    "shared memory without a file": "import mmap; mmap.mmap(-1, 4096)",
    "larger buffers of sockets": "import socket; socket.socketpair()[0].setsockopt(1, 7, 1 << 23)",
    "larger pipes": "import fcntl; fcntl.fcntl(os.pipe()[0], 1031, 1 << 20)",
    "a set-user-id file": 'os.close(os.open(os.environ["TMPDIR"] + "/id", os.O_CREAT | os.O_WRONLY, 0o4755))',
    "a set-group-id node": 'os.mknod(os.environ["TMPDIR"] + "/node", 0o102755)',
    "a set-group-id folder": 'os.mkdir(os.environ["TMPDIR"] + "/folder", 0o2755)',
    "more memory than allowed": 'call("prlimit64", 0, 9, bytes([255] * 16), None)',
    "running a file of the workspace": 'os.execv("./program", ["program"])',
}

ATTACKS = {
    f"{kind} {name}": body
    for kind, cases in {"reads": READING, "writes": WRITING, "reaches": REACHING}.items()
    for name, body in cases.items()
}
ABIS = range(landlock.OLDEST_ABI, landlock.NEWEST_ABI + 1)
Verdicts = dict[str, str]


@pytest.fixture(scope="module", params=ABIS, ids=lambda abi: f"landlock{abi}")
def verdicts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Verdicts:
    """Return each attack's error or `CANARY`, and the state of the files outside."""
    abi: int = request.param
    if abi > landlock.landlock_abi():
        pytest.skip(f"This kernel has Landlock {landlock.landlock_abi()}.")
    base = tmp_path_factory.mktemp("hostile")
    outside, workspace = prepare(base)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(landlock, "landlock_abi", lambda: abi)
        output = asyncio.run(attack_all(outside, workspace))
    assert sorted(path.name for path in outside.iterdir()) == [".env", "orchestrator.db"]
    assert (outside / "orchestrator.db").read_text() == SECRET
    assert (workspace / "notes.txt").read_text() == "inside"
    return dict(line.split("\t") for line in output.splitlines())


def prepare(base: Path) -> tuple[Path, Path]:
    outside, workspace = base / "outside", base / "workspace"
    outside.mkdir()
    workspace.mkdir()
    for secret in ("orchestrator.db", ".env"):
        (outside / secret).write_text(SECRET)
    (workspace / "notes.txt").write_text("inside")
    (workspace / "link-out").symlink_to(outside / "orchestrator.db")
    (workspace / "folder-link-out").symlink_to(outside)
    program = workspace / "program"
    program.write_bytes(Path("/bin/true").read_bytes())
    program.chmod(0o755)
    return outside, workspace


async def attack_all(outside: Path, workspace: Path) -> str:
    numbers = dict(seccomp.MACHINES[os.uname().machine].numbers)
    facts = json.dumps({"service": os.getpid(), "outside": str(outside), "numbers": numbers})
    attacks = (
        ATTACK.format(name=name, body=textwrap.indent(body.replace("; ", "\n"), "    "))
        for name, body in ATTACKS.items()
    )
    code = PRELUDE.format(facts=facts) + "".join(attacks)
    handle = os.open(workspace, os.O_RDONLY | os.O_DIRECTORY)
    try:
        argv = ("python", "-I", "-S", "-c", code)
        outcome = await Sandbox().run(argv, cwd_handle=handle, readable_handles=(handle,), limits=QUICK)
    finally:
        os.close(handle)
    assert outcome.exit_code == 0, outcome.stderr.head
    return outcome.stdout.head.decode()


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_denied(name: str, verdicts: Verdicts) -> None:
    if verdicts[name] == "ENOENT" and name in NOT_ON_EVERY_MACHINE:
        pytest.skip("This machine has no such device.")
    assert verdicts[name] in DENIALS

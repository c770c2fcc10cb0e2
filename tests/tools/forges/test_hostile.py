"""Hostile repositories and hosts: whatever they say, no program runs, and the token reaches only the allowed host.

What a service can work with is tried together, in one repository. The other repositories are tried one by one.
"""

import asyncio
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tools.forges.conftest import Publish
from tests.tools.forges.hosts import TOKEN, Trap
from tests.tools.git.building import Built
from tools.base import ToolError
from tools.forges.access import ForgeAccess

# {p} is the program, {u} the address, {o} the origin of the host, and {r} the folder of the repository.
SETTINGS = {
    "fsmonitor": "[core]\nfsmonitor = {p}",
    "hooks": "[core]\nhooksPath = {r}/hooks",
    "ssh command": "[core]\nsshCommand = {p}",
    "askpass": "[core]\naskPass = {p}",
    "git proxy": "[core]\ngitProxy = {p}",
    "editor": "[core]\neditor = {p}\npager = {p}",
    "attributes file": "[core]\nattributesFile = {r}/attributes",
    "excludes file": "[core]\nexcludesFile = {r}/attributes",
    "alternate refs": "[core]\nalternateRefsCommand = {p}\nalternateRefsPrefixes = refs",
    "credential helper": "[credential]\nhelper = !{p}",
    "credential helper of a host": '[credential "{o}"]\nhelper = {p}\nusername = x',
    "http proxy": "[http]\nproxy = {u}\nproxySSLCAInfo = {r}/ca\nsslVerify = false",
    "http proxy of a host": '[http "{o}"]\nproxy = {u}\nsslVerify = false\nextraHeader = X: y',
    "cookies": "[http]\ncookieFile = {r}/cookies\nsaveCookies = true\nfollowRedirects = true",
    "instead of": '[url "{u}/"]\ninsteadOf = {o}/',
    "push instead of": '[url "{u}/x/"]\npushInsteadOf = {o}/',
    "push url": '[remote "origin"]\npushurl = {u}/acme/site.git',
    "remote proxy": '[remote "origin"]\nproxy = {u}\nuploadpack = {p}\nreceivepack = {p}',
    "promisor": '[remote "evil"]\nurl = {u}/x\npromisor = true\npartialclonefilter = blob:none',
    "push options": "[push]\ndefault = matching\npushOption = x\ngpgSign = true\nfollowTags = true",
    "gpg": "[gpg]\nprogram = {p}\n[commit]\ngpgSign = true\n[user]\nsigningKey = x",
    "gpg over ssh": '[gpg "ssh"]\nprogram = {p}\ndefaultKeyCommand = {p}',
    "textconv": '[diff "evil"]\ntextconv = {p}\ncommand = {p}\ncachetextconv = true',
    "external diff": "[diff]\nexternal = {p}\nnoprefix = true\nmnemonicPrefix = true\ncontext = 0",
    "filter": '[filter "evil"]\nclean = {p}\nsmudge = {p}\nprocess = {p}',
    "merge driver": '[merge "evil"]\ndriver = {p}\n[merge]\ntool = evil',
    "aliases": "[alias]\nrev-list = !{p}\npack-objects = !{p}\ndiff = !{p}\ncat-file = !{p}",
    "submodules": '[submodule "x"]\nurl = {u}/sub\nupdate = !{p}\nactive = true\n[submodule]\nrecurse = true',
    "pack objects hook": "[uploadpack]\npackObjectsHook = {p}\n[pack]\npackSizeLimit = 1\nthreads = 100",
    "protocols": '[protocol]\nallow = always\n[protocol "ext"]\nallow = always\n[protocol "file"]\nallow = always',
    "included": '[include]\npath = {r}/included\n[includeIf "gitdir:{r}/"]\npath = {r}/included',
    "trace": "[trace2]\nnormalTarget = {r}/trace\neventTarget = {r}/trace\nperfTarget = {r}/trace",
    "replaced": "[core]\nuseReplaceRefs = true",
}


def exposed(trap: Trap, access: ForgeAccess, base: Path) -> list[str]:
    """Return where the token was found, and what took effect."""
    found = [str(path) for path in (*base.rglob("*"), *access.private.rglob("*")) if _has_token(path)]
    if TOKEN.encode() in trap.received:
        found.append("sent to another address")
    if trap.connections:
        found.append(f"{trap.connections} connections to another address")
    if trap.mark.exists():
        found.append(trap.mark.read_text())
    return found


def _has_token(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and TOKEN.encode() in path.read_bytes()


Change = Callable[[Built, Trap], None]


def _link(repository: Built, name: str, target: str) -> None:
    path = repository.folder / name
    path.rename(path.with_name("moved"))
    path.symlink_to(target)


def git_folder_is_a_link(repository: Built, trap: Trap) -> None:
    _link(repository, ".git", "moved")


def git_file_leads_out(repository: Built, trap: Trap) -> None:
    (repository.folder / ".git").rename(trap.host.folder / "stolen")
    repository.write(".git", f"gitdir: {trap.host.folder / 'stolen'}\n")


def common_folder_leads_out(repository: Built, trap: Trap) -> None:
    repository.write(".git/commondir", f"{trap.host.folder / 'acme/site.git'}\n")


def objects_are_a_link(repository: Built, trap: Trap) -> None:
    (repository.folder / ".git/objects").rename(trap.host.folder / "objects")
    (repository.folder / ".git/objects").symlink_to(trap.host.folder / "objects")


def alternates_lead_out(repository: Built, trap: Trap) -> None:
    (repository.folder / ".git/objects").rename(trap.host.folder / "objects")
    repository.write(".git/objects/info/alternates", f"{trap.host.folder / 'objects'}\n")


def http_alternates(repository: Built, trap: Trap) -> None:
    (repository.folder / ".git/objects").rename(trap.host.folder / "objects")
    repository.write(".git/objects/info/http-alternates", f"{trap.url}/objects\n")


def worktree_settings(repository: Built, trap: Trap) -> None:
    repository.configure("[core]\nrepositoryformatversion = 1\n[extensions]\nworktreeConfig = true")
    repository.write(".git/config.worktree", f'[url "{trap.url}/"]\ninsteadOf = {trap.host.origin}/\n')


def partial_clone(repository: Built, trap: Trap) -> None:
    blob = repository.git("rev-parse", "HEAD:a.txt")
    (repository.folder / ".git/objects" / blob[:2] / blob[2:]).unlink()
    repository.configure(
        f'[core]\nrepositoryformatversion = 1\n[extensions]\npartialClone = evil\n[remote "evil"]\nurl = {trap.url}/x'
    )


def origin_is_another_host(repository: Built, trap: Trap) -> None:
    repository.git("config", "remote.origin.url", f"{trap.url}/acme/site.git")


def origin_has_a_helper(repository: Built, trap: Trap) -> None:
    repository.git("config", "remote.origin.url", f"ext::{trap.program} %S acme/site")


def origin_is_an_option(repository: Built, trap: Trap) -> None:
    repository.git("config", "remote.origin.url", f"--upload-pack={trap.program}")


def origin_hides_its_host(repository: Built, trap: Trap) -> None:
    repository.git("config", "remote.origin.url", f"{trap.host.origin}@127.0.0.1:{trap.port}/acme/site")


def replaced_commit(repository: Built, trap: Trap) -> None:
    repository.git("replace", "HEAD", "main")


def graft(repository: Built, trap: Trap) -> None:
    repository.write(".git/info/grafts", f"{repository.head} {repository.head}\n")


def shallow(repository: Built, trap: Trap) -> None:
    repository.write(".git/shallow", f"{repository.head}\n")


def malformed_object(repository: Built, trap: Trap) -> None:
    blob = repository.git("rev-parse", "HEAD:a.txt")
    path = repository.folder / ".git/objects" / blob[:2] / blob[2:]
    path.chmod(0o644)
    path.write_bytes(zlib.compress(b"blob 6\0other\n"))


def malformed_pack(repository: Built, trap: Trap) -> None:
    repository.git("repack", "-a", "-d", "--quiet")
    pack = next((repository.folder / ".git/objects/pack").glob("*.pack"))
    pack.chmod(0o644)
    data = bytearray(pack.read_bytes())
    data[12:60] = b"\xff" * 48
    pack.write_bytes(data)


def pack_that_claims_many_objects(repository: Built, trap: Trap) -> None:
    pack = repository.write(".git/objects/pack/pack-" + "1" * 40 + ".pack", b"PACK" + struct.pack(">II", 2, 2**31))
    pack.with_suffix(".idx").write_bytes(b"\xfftOc" + struct.pack(">I", 2) + b"\xff" * 1_024)


def false_graph(repository: Built, trap: Trap) -> None:
    repository.write(".git/objects/info/commit-graph", b"CGPH\1\1\0\0" + b"\xff" * 100)


def endless_reference(repository: Built, trap: Trap) -> None:
    repository.write(".git/refs/heads/fix", "ref: refs/heads/fix\n")


def reference_to_a_file(repository: Built, trap: Trap) -> None:
    (repository.folder / ".git/refs/heads/fix").unlink()
    (repository.folder / ".git/refs/heads/fix").symlink_to("/etc/hostname")


def head_that_is_an_option(repository: Built, trap: Trap) -> None:
    repository.write(".git/HEAD", "ref: refs/heads/--output=x\n")


def settings_without_end(repository: Built, trap: Trap) -> None:
    repository.configure('[url "')


STRUCTURES: list[Change] = [
    git_folder_is_a_link,
    git_file_leads_out,
    common_folder_leads_out,
    objects_are_a_link,
    alternates_lead_out,
    http_alternates,
    partial_clone,
    origin_is_another_host,
    origin_has_a_helper,
    origin_is_an_option,
    origin_hides_its_host,
    shallow,
    malformed_object,
    malformed_pack,
    endless_reference,
    reference_to_a_file,
    head_that_is_an_option,
    settings_without_end,
]
HARMLESS: list[Change] = [worktree_settings, replaced_commit, graft, pack_that_claims_many_objects, false_graph]


@pytest.mark.parametrize("change", STRUCTURES, ids=lambda change: change.__name__)
async def test_hostile_repository_is_refused(
    publish: Publish, access: ForgeAccess, repository: Built, trap: Trap, change: Change
) -> None:
    change(repository, trap)

    with pytest.raises(ToolError):
        await publish()

    assert exposed(trap, access, access.runner.workspace.base) == []


async def test_nothing_hostile_in_a_repository_takes_effect(
    publish: Publish, access: ForgeAccess, repository: Built, trap: Trap
) -> None:
    folder, head = repository.folder, repository.head
    for change in HARMLESS:
        change(repository, trap)
    values = {"p": trap.program, "u": trap.url, "o": trap.host.origin, "r": folder}
    repository.write("included", f"[core]\nfsmonitor = {trap.program}\nsshCommand = {trap.program}\n")
    repository.write("attributes", "* diff=evil filter=evil merge=evil -text export-subst ident\n")
    repository.write(".git/info/attributes", "* diff=evil filter=evil merge=evil\n")
    for name in ("pre-push", "post-checkout", "reference-transaction", "post-index-change", "pre-auto-gc"):
        for hooks in ("hooks", ".git/hooks"):
            repository.write(f"{hooks}/{name}", trap.program.read_bytes()).chmod(0o755)
    for text in SETTINGS.values():
        repository.configure(text.format(**values))

    made = await publish()

    assert len(SETTINGS) + len(HARMLESS) + len(STRUCTURES) > 50
    assert made.created
    assert made.head_sha == head
    assert exposed(trap, access, folder.parent) == []
    assert trap.host.unauthorized == 0
    # Without protection, the same settings do take effect.
    for words in (["ls-remote", "origin"], ["status"]):
        await asyncio.to_thread(repository.run, words)
    assert trap.mark.exists()
    assert trap.connections

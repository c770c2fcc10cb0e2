"""Trees of files as values, on disk and through patches, with the real git as the reference."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

from tools.patching import Content, apply, parse

Tree = dict[str, Content]

GIT_ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_OPTIONAL_LOCKS": "0",
}


def write_tree(folder: Path, tree: Tree) -> None:
    """Make the folder equal to the tree, except for `.git`."""
    for found in folder.iterdir():
        if found.is_dir() and not found.is_symlink():
            if found.name != ".git":
                shutil.rmtree(found)
        else:
            found.unlink()
    for path, content in tree.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.data)
        file.chmod(0o755 if content.executable else 0o644)


def read_tree(folder: Path) -> Tree:
    """Return the tree in a folder, without `.git`."""
    return {
        str(file.relative_to(folder)): Content(
            data=file.read_bytes(), executable=bool(file.stat().st_mode & stat.S_IXUSR)
        )
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.relative_to(folder).parts[0] != ".git"
    }


def patched_by_us(tree: Tree, patch: bytes) -> Tree:
    """Return the tree with the patch applied; raise `ToolError` if it is rejected."""
    plan = apply(parse(patch), tree.get)
    result = dict(tree)
    for effect in plan.effects:
        assert effect.before == tree.get(effect.path)
        result.pop(effect.path, None)
        if effect.after is not None:
            result[effect.path] = effect.after
    return result


class Git:
    """The real git, in a repository and a plain folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._repository = folder / "repository"
        self._plain = folder / "plain"
        self._repository.mkdir(parents=True)
        self._plain.mkdir()
        self._environment = {**GIT_ENVIRONMENT, "GIT_CEILING_DIRECTORIES": str(folder)}
        self._run(self._repository, "init", "--quiet")

    def diff(self, before: Tree, after: Tree, *options: str) -> bytes:
        """Return the patch from one tree to the other."""
        trees = [self._stored(tree) for tree in (before, after)]
        return self._run(self._repository, "-c", "core.fileMode=true", "diff", *options, *trees)

    def apply(self, tree: Tree, patch: bytes, *options: str) -> Tree | None:
        """Return the result of `git apply` on the tree, or None if git rejects the patch."""
        write_tree(self._plain, tree)
        done = subprocess.run(
            ["git", "apply", "--whitespace=nowarn", *options],
            cwd=self._plain,
            env=self._environment,
            input=patch,
            capture_output=True,
            check=False,
        )
        return read_tree(self._plain) if done.returncode == 0 else None

    def _stored(self, tree: Tree) -> str:
        write_tree(self._repository, tree)
        self._run(self._repository, "add", "--all", "--force")
        return self._run(self._repository, "write-tree").decode().strip()

    def _run(self, folder: Path, *arguments: str) -> bytes:
        done = subprocess.run(["git", *arguments], cwd=folder, env=self._environment, capture_output=True, check=True)
        return done.stdout

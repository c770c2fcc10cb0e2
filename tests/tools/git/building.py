"""Repositories for tests, made with the machine's own git outside of any sandbox."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

PLAIN = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Alice",
    "GIT_AUTHOR_EMAIL": "alice@example.org",
    "GIT_AUTHOR_DATE": "2026-01-02T03:04:05+02:00",
    "GIT_COMMITTER_NAME": "Bob",
    "GIT_COMMITTER_EMAIL": "bob@example.org",
    "GIT_COMMITTER_DATE": "2026-01-02T03:04:05+02:00",
    "GIT_TERMINAL_PROMPT": "0",
}


class Built:
    """A working tree, and git in it as a user would run it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def new(cls, folder: Path, *options: str) -> "Built":
        folder.mkdir(parents=True, exist_ok=True)
        built = cls(folder)
        built.git("init", "--quiet", "--initial-branch=main", *options)
        return built

    @classmethod
    def copy(cls, original: "Built", folder: Path) -> "Built":
        shutil.copytree(original.folder, folder, symlinks=True)
        return cls(folder)

    def git(self, *arguments: str, input_: bytes = b"", fails: bool = False, **environment: str) -> str:
        """Return the output of git without its last newline."""
        ended = self.run(arguments, input_, environment)
        assert fails or ended.returncode == 0, ended.stderr
        return ended.stdout.decode(errors="surrogateescape").removesuffix("\n")

    def run(
        self, arguments: Sequence[str], input_: bytes = b"", environment: Mapping[str, str] = PLAIN
    ) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env={**PLAIN, **environment},
            input=input_,
            capture_output=True,
            check=False,
            timeout=10,
        )

    def at_a_terminal(self, arguments: Sequence[str]) -> None:
        """Run git as if in a terminal, and ignore its result."""
        master, terminal = os.openpty()
        try:
            subprocess.run(
                ["git", *arguments],
                cwd=self.folder,
                env=PLAIN,
                stdin=subprocess.DEVNULL,
                stdout=terminal,
                stderr=terminal,
                check=False,
                timeout=10,
            )
        finally:
            os.close(terminal)
            os.close(master)

    def write(self, name: str | bytes, content: str | bytes = "text\n") -> Path:
        path = Path(self.folder, os.fsdecode(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def commit(self, message: str = "change", **environment: str) -> str:
        """Commit all files and return the hash."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message, **environment)
        return self.head

    @property
    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    def configure(self, text: str) -> None:
        """Append to the repository's configuration."""
        with (self.folder / ".git/config").open("a") as config:
            config.write(text + "\n")

"""`git.log` and `git.show`: commits and their changes."""

import pytest

from tests.tools.git.building import Built
from tools.base import ToolError
from tools.builtin import git
from tools.git.commits import Commit
from tools.git.limits import Limits
from tools.git.running import Runner
from tools.workspace import Workspace

SECRET = "the-canary-of-the-house"


def subjects(commits: list[Commit]) -> list[str]:
    return [commit.subject for commit in commits]


async def refusal_of(runner: Runner, **params: str) -> tuple[str, str]:
    with pytest.raises(ToolError) as refusal:
        await git.show(runner, **params)
    return refusal.value.code, str(refusal.value)


async def test_commits_are_reported_with_all_fields(runner: Runner, repository: Built) -> None:
    first = repository.commit("one")
    second = repository.commit("Größe\n\nA body,\nin two lines.\n\nAnd more.")
    log = await git.log(runner)

    assert log.commits == [
        Commit(
            sha=second,
            parents=[first],
            author="Alice",
            email="alice@example.org",
            date="2026-01-02T03:04:05+02:00",
            subject="Größe",
            body="A body,\nin two lines.\n\nAnd more.",
        ),
        Commit(
            sha=first,
            parents=[],
            author="Alice",
            email="alice@example.org",
            date="2026-01-02T03:04:05+02:00",
            subject="one",
            body="",
        ),
    ]
    assert not log.truncated


async def test_log_is_paged(runner: Runner, repository: Built) -> None:
    for number in range(5):
        repository.commit(str(number))
    log = await git.log(runner, limit=2)

    assert (subjects(log.commits), log.truncated) == (["4", "3"], True)
    log = await git.log(runner, limit=3, ref=f"{log.commits[-1].sha}~1")
    assert (subjects(log.commits), log.truncated) == (["2", "1", "0"], False)


async def test_log_can_be_limited_to_a_path_and_a_range(runner: Runner, repository: Built) -> None:
    for name in ("a", "b", "folder/c"):
        repository.write(name)
        repository.commit(name)
    (repository.folder / "a").unlink()
    repository.commit("gone")

    assert subjects((await git.log(runner, path="a")).commits) == ["gone", "a"]
    assert subjects((await git.log(runner, path="folder")).commits) == ["folder/c"]
    assert subjects((await git.log(runner, ref="HEAD~2..HEAD")).commits) == ["gone", "folder/c"]
    assert subjects((await git.log(runner, ref="HEAD..HEAD~1")).commits) == []


async def test_log_before_the_first_commit_is_empty(runner: Runner, repository: Built) -> None:
    log = await git.log(runner)

    assert (log.commits, log.truncated) == ([], False)
    assert (await refusal_of(runner))[0] == "not_found"


async def test_control_characters_in_commits_are_escaped_and_long_fields_truncated(
    workspace: Workspace, repository: Built
) -> None:
    repository.commit(
        "\x1b]0;title\x07subject\n\nbody \x1b[31m" + "x" * 100,
        GIT_AUTHOR_NAME="a \x1b[31mred\u202e" + "A" * 100,
        GIT_AUTHOR_EMAIL="a\x07@example.org",
    )
    runner = Runner(workspace, limits=Limits(max_line_chars=40, max_body_chars=20))
    (commit,) = (await git.log(runner)).commits

    assert commit.author == "a \\x1b[31mred\\u202e" + "A" * 21 + "…"
    assert commit.email == "a\\x07@example.org"
    assert commit.subject == "\\x1b]0;title\\x07subject"
    assert commit.body == "body \x1b[31m" + "x" * 10 + "…"


async def test_message_in_another_encoding_is_decoded(runner: Runner, repository: Built) -> None:
    repository.git("config", "i18n.commitEncoding", "latin1")
    repository.git("commit", "--quiet", "--allow-empty", "--file=-", input_="Größe".encode("latin1"))
    repository.git("config", "i18n.commitEncoding", "utf-8")
    repository.git("commit", "--quiet", "--allow-empty", "--file=-", input_=b"latin 1, too: \xff")

    assert subjects((await git.log(runner)).commits) == ["latin 1, too: ÿ", "Größe"]


async def test_endless_message_is_truncated(workspace: Workspace, repository: Built) -> None:
    repository.commit("first")
    repository.git("commit", "--quiet", "--allow-empty", "--file=-", input_=b"subject\n\n" + b"line\n" * 100_000)
    log = await git.log(Runner(workspace, limits=Limits(max_output_bytes=50_000)))
    shown = await git.show(Runner(workspace, limits=Limits(max_output_bytes=50_000)))

    assert log.truncated
    assert subjects(log.commits) == ["subject"]
    assert shown.truncated
    assert shown.commit.body.startswith("line\nline\n")
    with pytest.raises(ToolError) as refusal:
        await git.show(Runner(workspace, limits=Limits(max_output_bytes=100)))
    assert refusal.value.code == "too_large"


async def test_commit_is_shown_with_its_changes(runner: Runner, repository: Built) -> None:
    repository.write("a", "one\n")
    first = repository.commit("first")
    repository.write("a", "two\n")
    repository.write(".env", SECRET)
    second = repository.commit("second")
    shown = await git.show(runner)

    assert (shown.commit.sha, shown.commit.parents, shown.commit.subject) == (second, [first], "second")
    assert [(file.path, file.added, file.removed) for file in shown.files] == [("a", 1, 1)]
    assert shown.text.endswith("@@ -1 +1 @@\n-one\n+two\n")
    assert shown.withheld == [".env"]
    assert [file.action for file in (await git.show(runner, ref=first[:10])).files] == ["added"]


async def test_merge_is_shown_against_its_first_parent(runner: Runner, repository: Built) -> None:
    repository.commit("root")
    repository.git("checkout", "--quiet", "-b", "other")
    repository.write("theirs")
    repository.commit()
    repository.git("checkout", "--quiet", "main")
    repository.write("ours")
    repository.commit()
    repository.git("merge", "--quiet", "--no-ff", "--message", "merge", "other")
    shown = await git.show(runner)

    assert len(shown.commit.parents) == 2
    assert [file.path for file in shown.files] == ["theirs"]


async def test_tag_is_shown_as_its_commit(runner: Runner, repository: Built) -> None:
    commit = repository.commit("tagged")
    repository.git("tag", "--annotate", "--message", "a tag", "v1.0")
    repository.git("tag", "--annotate", "--message", "a tag of a tag", "v1.1", "v1.0")

    assert (await git.show(runner, ref="v1.1")).commit.sha == commit


async def test_path_limits_the_changes_of_a_commit(runner: Runner, repository: Built) -> None:
    for name in ("a", "b"):
        repository.write(name)
    commit = repository.commit("both")

    assert [file.path for file in (await git.show(runner, path="b")).files] == ["b"]
    repository.write("c")
    shown = await git.show(runner, path="c")
    assert (shown.commit.sha, shown.text, shown.files) == (commit, "", [])


async def test_empty_commit_is_shown(runner: Runner, repository: Built) -> None:
    repository.commit("root")
    repository.commit("empty")
    shown = await git.show(runner)

    assert (shown.commit.subject, shown.text, shown.files, shown.truncated) == ("empty", "", [], False)


@pytest.mark.parametrize(
    ("ref", "code"), [("nope", "not_found"), ("a..b", "invalid_params"), ("HEAD:a", "invalid_params")]
)
async def test_invalid_revisions_are_rejected(ref: str, code: str, runner: Runner, repository: Built) -> None:
    repository.commit()

    assert (await refusal_of(runner, ref=ref))[0] == code


async def test_sha256_repository_works(runner: Runner, workspace: Workspace) -> None:
    repository = Built.new(workspace.base, "--object-format=sha256")
    repository.write("a")
    commit = repository.commit()

    assert len(commit) == 64
    assert (await git.show(runner, ref=commit)).commit.sha == commit


async def test_shallow_clone_works(runner: Runner, workspace: Workspace, repository: Built) -> None:
    for number in range(3):
        repository.commit(str(number))
    Built(repository.folder).git("clone", "--quiet", "--depth=1", f"file://{repository.folder}", "shallow")

    assert subjects((await git.log(runner, path="shallow")).commits) == ["2"]

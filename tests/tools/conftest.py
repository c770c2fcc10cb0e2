"""A workspace, opened by each of the methods that a machine may support, and the sandbox of its kernel."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.sandbox.confinement import kernel_confinement
from tools.sandbox.refusals import SandboxUnavailableError
from tools.workspace import KernelOpener, WalkOpener, Workspace
from tools.workspace.confinement.opening import Opener


@pytest.fixture(params=[KernelOpener, WalkOpener], ids=["openat2", "walk"])
def opener(request: pytest.FixtureRequest) -> Opener:
    made: Opener = request.param()
    return made


@pytest.fixture
def workspace(tmp_path: Path, opener: Opener) -> Iterator[Workspace]:
    workspace = Workspace(tmp_path, opener=opener)
    yield workspace
    workspace.close()


@pytest.fixture(scope="session")
def kernel() -> None:
    """Skip the test on a machine whose kernel has no sandbox."""
    try:
        kernel_confinement()
    except SandboxUnavailableError as error:
        pytest.skip(str(error))

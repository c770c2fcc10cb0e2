import pytest

from scripts import screenshots


def test_script_names_the_browser_that_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screenshots.shutil, "which", lambda _: None)
    with pytest.raises(SystemExit, match="apt-get install chromium"):
        screenshots.main()

"""The list of allowed hosts, and the tokens for them.

Covers `tools.forges.allowed`.
"""

import pytest

from tools.base import ToolError
from tools.forges.allowed import AllowedRemotes, remotes, tokens

LIST = "github.com/acme/*, gitlab:git.example.org:8443/team/*,github:ghe.example.org/*=https://api.example.org/v3/"


@pytest.mark.parametrize(
    ("url", "target", "api"),
    [
        ("https://github.com/acme/site", "https://github.com/acme/site.git", "https://api.github.com"),
        ("https://GitHub.com:443/ACME/site.git/", "https://github.com/ACME/site.git", "https://api.github.com"),
        ("git@github.com:acme/site.git", "https://github.com/acme/site.git", "https://api.github.com"),
        ("ssh://git@ghe.example.org:22/a/b", "https://ghe.example.org/a/b.git", "https://api.example.org/v3"),
        (
            "https://git.example.org:8443/team/x/y",
            "https://git.example.org:8443/team/x/y.git",
            "https://git.example.org:8443/api/v4",
        ),
    ],
)
def test_url_of_an_allowed_repository_is_built_from_the_list(url: str, target: str, api: str) -> None:
    allowed = AllowedRemotes(remotes(LIST), {"github.com": "t"})
    found = allowed.target(url, ssh=True)

    assert (found.url, found.remote.api) == (target, api)
    assert allowed.token(found) == ("t" if "github.com" in target else "")


@pytest.mark.parametrize(
    "url",
    [
        *("http://github.com/acme/site", "https://github.com/other/site", "https://evil.example/acme/site", "", "/etc"),
        *("https://github.com:444/acme/site", "https://github.com@evil.example/acme/site", "file:///etc/passwd"),
        *("https://x:canary@github.com/acme/site", "https://github.com/acme/../other/x", "https://github.com/acme"),
        *("https://github.com/acme/site?x", "https://github.com/acme/si te", "https://github.com/acme/site#x"),
        *("ext::sh -c x", "git://github.com/acme/site", "git@github.com:acme/site", "https://github.com/acme/-/../.."),
        *("https://github.com/acme/%2e%2e/x", "https://github.com\\@evil.example/acme/x", "https://github.com/acme/ü"),
        *("https://github.com/acme/site\n", "https://github.com:x/acme/site", "https://[/acme/site", "--upload-pack=x"),
        f"https://github.com/acme/{'x' * 400}",
    ],
)
def test_other_urls_are_refused_without_their_password(url: str) -> None:
    with pytest.raises(ToolError) as error:
        AllowedRemotes(remotes(LIST)).target(url)

    assert error.value.code in {"not_allowed", "invalid_params"}
    assert "canary" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "github.com",
        "example.org/a/*",
        "http://github.com/a/*",
        "git:/a",
        "github:x/y=http://x/api",
        "x y/z",
        "git:h/a*=@",
    ],
)
def test_invalid_lists_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"unlike|put github"):
        remotes(text)


def test_tokens_are_never_repeated() -> None:
    assert tokens("github.com=abc, git.example.org:8443=d=e\n") == {"github.com": "abc", "git.example.org:8443": "d=e"}
    assert tokens("") == {}
    for text in ("canary", "github.com=", "a b=canary", "https://github.com=canary"):
        with pytest.raises(ValueError, match="an entry") as error:
            tokens(text)
        assert "canary" not in str(error.value)
    assert "canary" not in repr(AllowedRemotes((), {"github.com": "canary"}))

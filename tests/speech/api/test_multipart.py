import pytest

from speech.api.multipart import Form, NotMultipart, parse

TYPE = 'multipart/form-data; boundary="a b"'


def part(name: str, value: bytes, extra: str = "") -> bytes:
    return f'\r\n--a b\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'.encode() + value


FILE = part("file", b"\x00\xff\r\n--a", '; filename="a.wav"\r\nContent-Type: audio/wav')
END = b"\r\n--a b--\r\n"


def test_file_and_fields_are_parsed() -> None:
    body = FILE + part("model", b"tiny.en") + part("language", b"") + END
    expected = Form(b"\x00\xff\r\n--a", {"model": "tiny.en", "language": ""})
    assert parse(body, TYPE) == expected
    assert parse(body[2:], TYPE) == expected
    assert parse(b"a preamble" + body + b"an epilogue", TYPE) == expected


@pytest.mark.parametrize(
    ("body", "content_type", "what"),
    [
        (FILE + END, "multipart/form-data", "has no boundary"),
        (FILE + END, "multipart/form-data; boundary=" + "x" * 71, "has no boundary"),
        (FILE + END, "multipart/form-data; boundary=other", "[Ee]nd of multipart"),
        (b"", TYPE, "[Ee]nd of multipart"),
        (FILE, TYPE, "[Ee]nd of multipart"),
        (FILE + b"\r\n--a b", TYPE, "[Ee]nd of multipart"),
        (part("model", b"x") + END, TYPE, "the field 'file' with the audio is missing"),
        (b"\r\n--a b--\r\n", TYPE, "the field 'file' with the audio is missing"),
        (FILE + FILE + END, TYPE, "'file' occurs twice"),
        (FILE + part("", b"x") + END, TYPE, "has no name"),
        (b"\r\n--a b\r\nContent-Type: audio/wav\r\n\r\nx" + END, TYPE, "Missing Content-Disposition"),
        (b"\r\n--a b\r\n" + b"X: " + b"y" * 10_000 + b"\r\n\r\nx" + END, TYPE, "header length exceeded"),
        (FILE + part("model", b"x" * 9_000) + END, TYPE, "longer than 8192 bytes"),
        (FILE + part("model", b"\xff") + END, TYPE, "not UTF-8"),
        (FILE + part("model", b"\x00") + END, TYPE, "has a NUL"),
        (b"".join(part(f"f{number}", b"x") for number in range(17)) + END, TYPE, "segment count exceeded"),
    ],
)
def test_invalid_form_is_reported(body: bytes, content_type: str, what: str) -> None:
    with pytest.raises(NotMultipart, match=what):
        parse(body, content_type)

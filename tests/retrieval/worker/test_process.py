"""A worker as the service uses it: documents are parsed there, and a hostile one ends only its own task.

Covers `retrieval.worker.documents`, `retrieval.worker.embedding`, `retrieval.worker.protocol`.
"""

import io
import zipfile
import zlib
from collections.abc import Iterator

import docx
import pytest
from pypdf import PdfWriter

from retrieval.base import DocumentError
from retrieval.worker import documents
from retrieval.worker.__main__ import BROKEN, perform
from retrieval.worker.process import ReaderProcess
from retrieval.worker.protocol import Failed, Split
from retrieval.worker.tasks import LocalReader


def docx_of(*blocks: tuple[str, str]) -> bytes:
    document = docx.Document()
    for text, style in blocks:
        document.add_paragraph(text, style=style)
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def pdf_of(*pages: str) -> bytes:
    """Return a PDF file that shows a line on each page, written by hand as the format's own text."""
    count = len(pages)
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(count))
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", f"<< /Type /Pages /Kids [{kids}] /Count {count} >>"]
    objects.append("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for number, text in enumerate(pages):
        content = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET"
        resources = "/Resources << /Font << /F1 3 0 R >> >> /MediaBox [0 0 612 792]"
        objects.append(f"<< /Type /Page /Parent 2 0 R {resources} /Contents {5 + 2 * number} 0 R >>")
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
    body = "%PDF-1.4\n" + "".join(f"{n} 0 obj\n{each}\nendobj\n" for n, each in enumerate(objects, 1))
    return (body + f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n0\n%%EOF").encode()


def pdf_bomb() -> bytes:
    """Return a PDF file with a page of 80 MB of zeros, compressed to 80 KB."""
    content = zlib.compress(bytes(80_000_000), 1)
    page = "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R >>"
    stream = f"<< /Filter /FlateDecode /Length {len(content)} >>\nstream\n".encode() + content + b"\nendstream"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        page.encode(),
        stream,
    ]
    body = b"".join(b"%d 0 obj\n%s\nendobj\n" % (number, each) for number, each in enumerate(objects, 1))
    return b"%PDF-1.4\n" + body + b"trailer << /Size 5 /Root 1 0 R >>\nstartxref\n0\n%%EOF"


def zip_of(**parts: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def encrypted_pdf() -> bytes:
    writer = PdfWriter()
    writer.add_blank_page(72, 72)
    writer.encrypt("password", algorithm="RC4-128")
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("task", "error"),
    [
        (Split(kind="pdf", data=b"%PDF-1.7 nothing"), BROKEN),
        (Split(kind="pdf", data=pdf_of("(" * 2000)), BROKEN),
        (Split(kind="pdf", data=pdf_of("")), "It has no text: it may be scanned."),
        (Split(kind="pdf", data=encrypted_pdf()), "It is encrypted."),
        (Split(kind="pdf", data=pdf_bomb()), "It has no text: it may be scanned."),
        (Split(kind="docx", data=b"PK no archive"), BROKEN),
        (Split(kind="docx", data=zip_of(other=b"x")), BROKEN),
        (Split(kind="text", data=b"\0"), "It is a binary file."),
    ],
)
def test_hostile_content_is_a_sentence(task: Split, error: str) -> None:
    answer = perform(task, LocalReader())
    assert isinstance(answer, Failed)
    assert answer.error == error


def test_docx_that_unpacks_to_too_much_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_UNPACKED_BYTES", 100_000)
    with pytest.raises(DocumentError, match="unpacks to more"):
        LocalReader().pieces("docx", zip_of(bomb=b"\0" * 200_000))


def test_pages_of_a_pdf_file_are_pieces() -> None:
    pieces = LocalReader().pieces("pdf", pdf_of("The first page", "The second page"))
    assert [(piece.title, piece.text, piece.first) for piece in pieces] == [
        ("page 1", "The first page", 1),
        ("page 2", "The second page", 2),
    ]


def test_headings_of_a_docx_file_are_titles() -> None:
    data = docx_of(("Guide", "Heading 1"), ("Text " * 60, "Normal"), ("Setup", "Heading 2"), ("More " * 60, "Normal"))
    assert [piece.title for piece in LocalReader().pieces("docx", data)] == ["Guide", "Guide > Setup"]


@pytest.fixture(scope="module")
def reader() -> Iterator[ReaderProcess]:
    reader = ReaderProcess()
    yield reader
    reader.close()


def test_confined_process_reads_documents_and_embeds_by_meaning(reader: ReaderProcess) -> None:
    assert reader.pieces("pdf", pdf_of("One page"))[0].text == "One page"
    car, vehicle, weather = (
        [byte - 256 if byte > 127 else byte for byte in vector]
        for vector in reader.vectors(["How do I repair a car?", "fixing an automobile", "rain is expected tomorrow"])
    )
    near, far = (sum(a * b for a, b in zip(car, other, strict=True)) for other in (vehicle, weather))
    assert near > 2 * far
    with pytest.raises(DocumentError, match="too much time or memory"):
        reader.vectors(["a" * 70_000_000])
    # The next task finds a new process.
    assert reader.pieces("text", b"words")[0].text == "words"


def test_reader_of_a_service_that_ends_refuses_work() -> None:
    reader = ReaderProcess()
    reader._turns.shutdown()
    with pytest.raises(DocumentError, match="about to end"):
        reader.vectors(["words"])


def test_task_that_takes_too_long_is_killed(reader: ReaderProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrieval.worker.process.TASK_SECONDS", 0.0)
    with pytest.raises(DocumentError, match="too much time"):
        reader.vectors(["words"] * 5_000)

"""The tool that takes the documentation's screenshots, and the pictures that it took."""

import asyncio
import re
import struct
import sys
import zlib
from pathlib import Path

import pytest

from fakes.browser import find_chromium
from screenshots.png import SIGNATURE, with_palette

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
PICTURES = {"status-dark.png": 1280, "status-light.png": 1280, "status-phone.png": 585}
MAX_BYTES = 200_000


def size_of(png: bytes) -> tuple[int, int]:
    assert png.startswith(SIGNATURE)
    width, height = struct.unpack(">II", png[16:24])
    return width, height


@pytest.mark.smoke
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="NOT TESTED: the sockets of the server are found in /proc")
@pytest.mark.usefixtures("valkey_binary")
async def test_it_takes_small_pictures_of_a_server_with_load(tmp_path):
    find_chromium()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "screenshots.take", "--seconds", "6", "--folder", str(tmp_path)),
        cwd=ROOT / "tests",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    text, _ = await process.communicate()
    assert process.returncode == 0, text.decode()
    taken = {path.name: path.read_bytes() for path in sorted(tmp_path.iterdir())}
    assert {name: size_of(content)[0] for name, content in taken.items()} == PICTURES
    assert all(len(content) < MAX_BYTES for content in taken.values())
    assert len(set(taken.values())) == len(PICTURES)


def test_the_documentation_shows_each_picture():
    shown = set(re.findall(r"images/(status-[a-z]+\.png)", (ROOT / "docs" / "operations.md").read_text()))
    assert shown == set(PICTURES)
    for name, width in PICTURES.items():
        content = (IMAGES / name).read_bytes()
        assert len(content) < MAX_BYTES, name
        assert size_of(content)[0] == width


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def rgb(width: int, rows: list[bytes]) -> bytes:
    """A picture of rows that begin with their filter."""
    header = struct.pack(">IIBBBBB", width, len(rows), 8, 2, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"".join(rows))) + chunk(b"IEND", b"")


def pixels_of(png: bytes) -> list[list[bytes]]:
    """The colours of a picture with a palette and without filters."""
    chunks, place = {}, len(SIGNATURE)
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        chunks[png[place + 4 : place + 8]] = png[place + 8 : place + 8 + length]
        place += length + 12
    width, height = size_of(png)
    palette, data = chunks[b"PLTE"], zlib.decompress(chunks[b"IDAT"])
    rows = [data[row * (width + 1) : (row + 1) * (width + 1)] for row in range(height)]
    assert {row[0] for row in rows} == {0}
    return [[palette[3 * number : 3 * number + 3] for number in row[1:]] for row in rows]


def test_a_palette_keeps_the_colours_of_a_picture_under_every_filter():
    red, blue, grey = b"\xff\0\0", b"\0\0\xff", b"\x80\x80\x80"
    none = bytes([0, *red, *blue, *grey])
    sub = bytes([1, *red, *(1, 0, 255), *(128, 128, 129)])  # each minus the pixel on its left
    up = bytes([2, *bytes(9)])  # each minus the pixel above
    average = bytes([3, *(128, 0, 0), *(129, 0, 128), *(64, 64, 193)])  # each minus half the sum of both
    paeth = bytes([4, *bytes(9)])  # the pixel on the left is that above's left neighbour, so each equals the one above
    found = pixels_of(with_palette(rgb(3, [none, sub, up, average, paeth])))
    assert found == [[red, blue, grey]] * 5


def test_a_rare_colour_becomes_the_nearest_frequent_one():
    frequent = [bytes([number, 0, 0]) for number in range(256)]
    row = b"\0" + b"".join(frequent) * 2 + bytes([10, 1, 0])
    (found,) = pixels_of(with_palette(rgb(513, [row])))
    assert found[:512] == frequent * 2
    assert found[512] == bytes([10, 0, 0])


@pytest.mark.parametrize(
    "content", [b"GIF89a", SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0))]
)
def test_another_file_is_refused(content):
    with pytest.raises(ValueError, match=r"PNG|RGB"):
        with_palette(content)

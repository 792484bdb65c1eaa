"""Makes PNG files of screenshots small: 256 colours, which are enough for flat areas and text. Pure."""

import struct
import zlib
from collections import Counter
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOURS = 256
UP, PAETH = 2, 4
"""Filters of the PNG specification."""

_CHANNELS = {2: 3, 6: 4}
"""Bytes of a pixel, by PNG's colour type: RGB, and RGB with alpha."""


def with_palette(png: bytes) -> bytes:
    """Return a picture of at most 256 colours; rarer ones become the nearest that is frequent.

    Args:
        png: RGB with 8 bits, with or without alpha, which is dropped, and without interlacing, as browsers write it.
    """
    width, height, pixels = _decoded(png)
    counts = Counter(pixels)
    palette = [colour for colour, _ in counts.most_common(COLOURS)]
    index = {colour: number for number, colour in enumerate(palette)}
    for colour in counts:
        if colour not in index:
            index[colour] = index[min(palette, key=lambda other, one=colour: _distance(one, other))]
    numbers = bytes(map(index.__getitem__, pixels))
    rows = b"".join(b"\0" + numbers[start : start + width] for start in range(0, width * height, width))
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"PLTE", b"".join(palette)), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return SIGNATURE + b"".join(_chunk(*each) for each in chunks)


def _distance(one: bytes, other: bytes) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    if not png.startswith(SIGNATURE):
        raise ValueError("not a PNG file")
    place = len(SIGNATURE)
    while place < len(png):
        (length,) = struct.unpack_from(">I", png, place)
        yield png[place + 4 : place + 8], png[place + 8 : place + 8 + length]
        place += length + 12


def _decoded(png: bytes) -> tuple[int, int, list[bytes]]:
    """Return width, height and pixels, each of three bytes."""
    chunks = list(_chunks(png))
    header = next(content for kind, content in chunks if kind == b"IHDR")
    width, height, depth, colour_type, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    if depth != 8 or colour_type not in _CHANNELS or interlaced:
        raise ValueError("only RGB with 8 bits and without interlacing is supported")
    size = _CHANNELS[colour_type]
    data = zlib.decompress(b"".join(content for kind, content in chunks if kind == b"IDAT"))
    length = width * size
    above = bytearray(length)
    pixels: list[bytes] = []
    for row in range(height):
        start = row * (length + 1)
        line = bytearray(data[start + 1 : start + 1 + length])
        _unfilter(data[start], line, above, size)
        pixels += [bytes(line[place : place + 3]) for place in range(0, length, size)]
        above = line
    return width, height, pixels


def _unfilter(kind: int, line: bytearray, above: bytearray, size: int) -> None:
    """Undo a filter of the PNG specification (section 9) in place."""
    if kind == UP:  # most rows of a screenshot: quicker
        line[:] = bytes((value + other) & 255 for value, other in zip(line, above, strict=True))
        return
    for place in range(len(line)) if kind else ():
        left = line[place - size] if place >= size else 0
        corner = above[place - size] if place >= size else 0
        predicted = (0, left, above[place], (left + above[place]) // 2, 0)[kind]
        if kind == PAETH:
            predicted = _nearest(left, above[place], corner)
        line[place] = (line[place] + predicted) & 255


def _nearest(left: int, above: int, corner: int) -> int:
    estimate = left + above - corner
    return min((left, above, corner), key=lambda value: abs(estimate - value))

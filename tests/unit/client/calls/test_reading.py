"""Files and streams are read in pieces, up to a limit."""

import io

import pytest

from discordproxy._requests.reading import read_within


class Pipe:
    """Returns less than requested, as pipes and sockets do; counts what was read."""

    def __init__(self, piece, pieces):
        self.piece, self.left = piece, pieces

    def read(self, size):
        if not self.left or size <= 0:
            return self.piece[:0]
        self.left -= 1
        return self.piece[:size]


@pytest.mark.parametrize("piece", [b"abc", "abc"])
def test_short_pieces_are_joined(piece):
    assert read_within(Pipe(piece, 7), 21, "too long") == piece * 7


@pytest.mark.parametrize("stream", [io.BytesIO(b"x" * 21), io.StringIO("x" * 21), Pipe(b"abc", 7)], ids=["b", "t", "p"])
def test_one_more_than_the_limit_is_refused(stream):
    with pytest.raises(ValueError, match="too long"):
        read_within(stream, 20, "too long")


def test_no_more_is_read_than_shows_the_excess():
    endless = Pipe(b"x" * 10, 10**9)
    with pytest.raises(ValueError, match="too long"):
        read_within(endless, 25, "too long")
    assert endless.left == 10**9 - 3


def test_a_content_of_a_known_length_is_not_copied():
    content = bytes(3 * 2**20)
    pieces = [content, b""]

    class File:
        def read(self, size):
            assert size > len(content)
            return pieces.pop(0)

    assert read_within(File(), 2**23, "too long", expected=len(content)) is content


def test_nothing_is_no_content():
    assert read_within(io.BytesIO(), 5, "too long") == b""

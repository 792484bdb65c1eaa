import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from discordproxy_api.overflow import ELLIPSIS, split, truncate, units

TEXT = st.text(st.sampled_from("ab \n`é😀\u200d\ufe0f"), max_size=400)


@pytest.mark.parametrize(("text", "length"), [("", 0), ("abc", 3), ("é", 1), ("😀", 2), ("👍🏽", 4)])
def test_units(text, length):
    assert units(text) == length


def test_short_text_is_left_alone():
    assert split("short", 20) == ["short"]
    assert truncate("short", 5) == "short"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("one two three four five six", ["one two three", "four five six"]),
        ("one two three\nfour five six", ["one two three", "four five six"]),
        ("one two xyz\n\nab\ncd ef gh ij kl", ["one two xyz", "ab\ncd ef gh ij kl"]),
        ("x" * 40, ["x" * 16, "x" * 16, "x" * 8]),
    ],
)
def test_split_prefers_paragraph_then_line_then_word(text, parts):
    assert split(text, 20) == parts


def test_a_word_is_cut_only_when_nothing_else_is_near():
    assert split("a " + "x" * 30, 20)[0] == "a " + "x" * 14


def test_a_code_block_is_closed_and_opened_again_with_its_language():
    text = "intro\n```python\n" + "\n".join(f"line {number}" for number in range(12)) + "\n```\nend"
    parts = split(text, 60)
    assert len(parts) > 1
    assert all(part.count("```") % 2 == 0 for part in parts)
    assert all(part.startswith("```python\n") for part in parts[1:-1])
    assert "".join(part.replace("```python\n", "").replace("```", "") for part in parts).count("line ") == 12


def test_a_code_block_without_language_keeps_its_first_line():
    parts = split("```\n" + "some words here\n" * 10 + "```", 60)
    assert all(part.startswith("```\n") for part in parts)
    assert "".join(parts).count("some words here") == 10


def test_emoji_and_accents_stay_whole():
    family = "👨\u200d👩\u200d👧"
    for part in split(family * 10, 30):
        assert not part.startswith("\u200d")
        assert not part.endswith("\u200d")
    assert all(not part.startswith("\u0301") for part in split("e\u0301" * 30, 20))
    assert all(not part.startswith("🏽") for part in split("👍🏽" * 20, 20))


def test_a_joined_sequence_longer_than_a_part_is_cut_anyway():
    assert "".join(split("\u200d" * 50, 20)) == "\u200d" * 50


def test_empty_parts_are_left_out():
    assert split(" \n" * 30, 20) == []


def test_truncated_text_ends_in_an_ellipsis():
    assert truncate("one two three four", 12) == "one two" + ELLIPSIS
    assert truncate("x" * 50, 10) == "x" * 9 + ELLIPSIS
    assert truncate("```\n" + "x" * 50, 20) == "```\n" + "x" * 11 + ELLIPSIS + "\n```"
    assert truncate("a b ```" + "x" * 50, 10) == "a b" + ELLIPSIS


@given(text=TEXT, most=st.integers(16, 60))
@example(text="```a b```" * 9, most=20)
@example(text="`" * 50, most=16)
def test_no_part_is_ever_too_long_or_empty(text, most):
    for part in split(text, most):
        assert part.strip()
        assert units(part) <= most
    assert units(truncate(text, most)) <= most


@given(text=st.text(st.sampled_from("ab \né😀"), max_size=400), most=st.integers(16, 60))
def test_nothing_but_white_space_is_lost(text, most):
    assert "".join("".join(split(text, most)).split()) == "".join(text.split())

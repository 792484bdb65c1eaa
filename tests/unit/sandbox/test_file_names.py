"""File names as Discord stores them, and references to them."""

import pytest

from discordproxy_sandbox.messages.file_names import clean, stored


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a.txt", "a.txt"),
        ("image two.png", "image_two.png"),
        ("  a \t b.png ", "a_b.png"),
        ("_bug1.png", "bug1.png"),
        ("..a.png", "a.png"),
        ("hello (world).png", "hello_world.png"),
        ("caf\u00e9-1.png", "cafe-1.png"),
        ("a\\b.png", "a_b.png"),
        ("SPOILER_a b.png", "SPOILER_a_b.png"),
    ],
)
def test_a_name_is_cleaned(given, kept):
    assert clean(given) == kept
    assert stored(given)["filename"] == kept
    assert ("title" in stored(given)) == (given != kept)


@pytest.mark.parametrize("given", ["\u753b\u50cf.png", "((())).png", "SPOILER_\u753b.png", "\u753b"])
def test_an_empty_name_becomes_random(given):
    one, two = stored(given), stored(given)
    assert one["filename"] != two["filename"]
    assert one["title"] == given.rpartition(".")[0] or given
    assert one["filename"].endswith(".png") == given.endswith(".png")

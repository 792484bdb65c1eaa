import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from discordproxy_api.contract.overflow import ELLIPSIS, split, truncate, units

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
        ("one two three four five six", ["one two three four", "five six"]),
        ("one two three\nfour five six", ["one two three", "four five six"]),
        ("one two xyz\n\nab\ncd ef gh ij kl", ["one two xyz", "ab\ncd ef gh ij kl"]),
        ("x" * 50, ["x" * 20, "x" * 20, "x" * 10]),
    ],
)
def test_split_prefers_paragraph_then_line_then_word(text, parts):
    assert split(text, 20) == parts


def test_a_word_is_cut_only_when_nothing_else_is_near():
    assert split("a " + "x" * 30, 20)[0] == "a " + "x" * 18


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


TOKENS = [
    "<@80351110224678912>", "<@!80351110224678912>", "<@&165511591545143296>", "<#103735883630395392>",
    "<:mmLol:216154654256398347>", "<a:b1nzy:392938283556143104>", "<t:1618953630>", "<t:1618953630:R>", "<t:-1:f>",
    "</airhorn:816437322781949972>", "</airhorn play loud:816437322781949972>", "<id:customize>", "<id:linked-roles>",
    "[masked link](https://example.org/a_(b)?c=d)", "[a [b] c](<https://example.org> 'and a title')",
    "<https://example.org/no-preview>", "`inline code`", "``code with ` in it``", "||a spoiler of words||",
    "\\*", "\\`",
    "🇩🇪", "👨\u200d👩\u200d👧", "👍🏽", "e\u0301", "❤\ufe0f", "1\ufe0f\u20e3", "🏴\U000e0067\U000e0062\U000e007f", "한",
    "क्ष", "https://example.org/path?query=1#part ", "discord://-/channels/1/2 ", "word", "é", "。", ", ",
]  # fmt: skip
# What Unicode's rules are about; characters of no use in a message are left out.
CHARACTERS = (
    "ab \r\n😀👍🏽👨👩🇩🇪🇫🇷\u200d\ufe0f\u20e31e\u0301\u0327\u0308ñกำकषि\u094d"
    "\u1112\u1161\u11ab한가\uff76\uff9e\U000e0067\U000e007f"
)


def joined(tokens):
    """Join tokens; a space keeps the backticks of two of them from becoming a third one."""
    text = ""
    for token in tokens:
        text += f" {token}" if text.endswith("`") and token.startswith("`") else token
    return text


@given(text=st.lists(st.sampled_from(TOKENS), max_size=60).map(joined), most=st.integers(70, 200))
def test_no_token_is_ever_torn(text, most):
    parts = split(text, most)
    assert max(map(units, parts), default=0) <= most
    for token in set(TOKENS) - {"word"}:  # a word is cut where there is no blank to cut at
        assert sum(part.count(token.strip()) for part in parts) == text.count(token.strip()), token


@pytest.mark.parametrize("token", [token.strip() for token in TOKENS if len(token) > 1 and token != "word"])
@pytest.mark.parametrize("before", ["x", "😀", " "])
def test_each_token_at_each_place_of_the_limit(token, before):
    for count in range(100 - units(token) - 1, 101):
        filling = (before * count)[: count if before != "😀" else count // 2]
        parts = split(f"{filling}{token}{token}", 100)
        assert sum(part.count(token) for part in parts) == 2
        assert all(units(part) <= 100 for part in parts)
        assert token in truncate(f"{token}{filling}{token}", 100)


def test_a_token_of_just_the_limit_stays_whole():
    url = "https://example.org/".ljust(2000, "x")
    assert split(f"see{url}", 2000) == ["see", url]
    assert split(f"see {url}", 2000) == ["see", url]
    assert split(f"see\n<@1>{url}", 2000) == ["see\n<@1>", url]


def test_a_token_of_just_the_limit_after_the_end_of_a_code_block_stays_whole():
    url = "https://example.org/".ljust(1999, "x")
    assert split(f"```python\n{'line ' * 400}```{url}", 2000)[-1] == url


def test_a_token_longer_than_a_message_is_cut_between_characters():
    assert "".join(split(f"||{'👍🏽' * 1500}||", 2000)) == f"||{'👍🏽' * 1500}||"
    assert all(not part.startswith("🏽") for part in split(f"||{'👍🏽' * 1500}||", 2000))


@given(text=st.text(st.sampled_from(CHARACTERS), max_size=300), most=st.integers(60, 120))
@example(text="🇩🇪🇫🇷" * 40, most=61)
@example(text="a\r\n" * 60, most=60)
@example(text="x" * 59 + " \u0301", most=60)
def test_what_unicode_calls_one_character_stays_whole(text, most):
    def characters(text):
        return [found.strip() for found in regex.findall(r"\X", text) if found.strip()]

    if max(map(units, characters(text)), default=0) < most:
        assert [each for part in split(text, most) for each in characters(part)] == characters(text)


@pytest.mark.parametrize("language", ["", "py", "c++", "objective-c", "c#"])
def test_code_blocks_keep_their_language_and_their_tokens_mean_nothing(language):
    text = f"intro\n```{language}\n" + "a [b](c <d || `e` " * 300 + "\n```\n<@1>"
    parts = split(text, 2000)
    assert all(part.count("```") % 2 == 0 for part in parts)
    assert all(part.startswith(f"```{language}\n") for part in parts[1:])
    assert parts[-1].endswith("<@1>")
    assert min(map(units, parts[:-1])) > 1900


def test_windows_line_ends():
    parts = split("line of text\r\n" * 300, 2000)
    assert all("\r" not in part.replace("\r\n", "") for part in parts)
    assert all(part.startswith("line") and part.rstrip().endswith("text") for part in parts)


@pytest.mark.parametrize(
    "piece",
    ["[", "[a", "[a](", "`", "` ``", "||", "|| |", "<", "<a", "\\", "```", "https:", "(", "🇩", "\u0301", "[[a]"],
)
def test_nothing_takes_long(piece):
    """A text that begins many tokens and ends none. The time limit of a test ends what takes square or cubic time."""
    parts = split(piece * (100_000 // len(piece)), 2000)
    assert max(map(units, parts)) <= 2000

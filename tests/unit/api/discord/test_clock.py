"""Discord's time, whatever this machine's clock says."""

from discordproxy_api.discord.clock import DiscordClock


class Times:
    wall, steady = 1_000.0, 50.0


def clock():
    times = Times()
    return times, DiscordClock(lambda: times.wall, lambda: times.steady)


def test_until_an_answer_this_machines_clock_is_believed():
    assert clock()[1].now_ms() == 1_000_000


def test_an_answer_tells_the_time_and_it_goes_on():
    times, discord = clock()
    discord.observe("Sat, 18 Jul 2026 17:21:09 GMT")
    assert discord.now_ms() == 1_784_395_269_000
    times.steady += 2.5
    times.wall -= 86_400  # a jump of our clock changes nothing
    assert discord.now_ms() == 1_784_395_271_500


def test_what_is_no_date_tells_nothing():
    _, discord = clock()
    for date in (None, "", "yesterday", "Sat, 99 Jul 2026 17:21:09 GMT"):
        discord.observe(date)
    assert discord.now_ms() == 1_000_000


def test_a_later_answer_of_the_same_second_changes_nothing():
    times, discord = clock()
    discord.observe("Sat, 18 Jul 2026 17:21:09 GMT")
    times.steady += 0.75
    discord.observe("Sat, 18 Jul 2026 17:21:09 GMT")
    assert discord.now_ms() == 1_784_395_269_750
    discord.observe("Sat, 18 Jul 2026 17:21:10 GMT")
    assert discord.now_ms() == 1_784_395_270_000

"""Scenarios of the broker's benchmark, their optimum, and the evaluation of a run. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from discordproxy_ratelimit.route import Route, route_of

RTT_S, JITTER_S = 0.03, 0.01
SPACING_S = 0.001


class Message(NamedTuple):
    """One call: its number, its channel, the worker that submits it and when (s after the beginning)."""

    label: int
    channel: int
    worker: int
    at: float


class Arrival(NamedTuple):
    """A record of the judge: its own clock (s), the message and the HTTP status."""

    at: float
    label: int
    status: int


class Sent(NamedTuple):
    """What a worker noted: when the call was submitted, left and was answered (s, the judge's clock), with which
    status, and the place that the broker gave it, in the order in which calls reach Redis.
    """

    label: int
    submitted_at: float
    left_at: float
    answered_at: float
    status: int
    place: int


@dataclass(frozen=True)
class Scenario:
    """Messages for channels in buckets of `limit` per `window_s`, below a global limit.

    Attributes:
        best_s: the shortest time in which a perfect client gets all answers if all are submitted at once, without
            the 49 ms that `SPACING_S` adds in B.
    """

    name: str
    channels: int
    per_channel: int
    best_s: float
    limit: int = 5
    window_s: float = 5.0
    global_limit: int = 50

    def messages(self, workers: int) -> list[Message]:
        """Return the messages, submitted `SPACING_S` apart to the workers in turn, those of one channel, too."""
        found = []
        for label in range(self.channels * self.per_channel):
            turn, channel = divmod(label, self.channels)
            found.append(Message(label, channel, (turn + channel) % workers, label * SPACING_S))
        return found


A = Scenario("A", channels=4, per_channel=20, best_s=15.0)
B = Scenario("B", channels=150, per_channel=4, best_s=11.0 + RTT_S)
SCENARIOS = {scenario.name: scenario for scenario in (A, B)}


def route_for(channel: int) -> Route:
    """Return the route of a new message in this channel."""
    return route_of("POST", "/channels/{channel_id}/messages", {"channel_id": str(10**17 + channel)})


@dataclass(frozen=True)
class Row:
    """One line of the table.

    `inversions` compares with the order of submission in different processes, `out_of_place` with the order in which
    the calls reached Redis: the difference shows the load of the machine. So does the mean `round_trip_ms`: each
    millisecond above `RTT_S` costs B a tenth of a percent, independent of the broker.
    """

    scenario: str
    bucket: str
    workers: int
    avoidable_429: int
    lost: int
    doubled: int
    percent_of_maximum: float
    seconds: float
    round_trip_ms: float
    inversions: int
    out_of_place: int
    script_calls_per_request: float


def judge(
    scenario: Scenario, bucket: str, workers: int, arrivals: Sequence[Arrival], sent: Sequence[Sent], script_calls: int
) -> Row:
    """Compare what Discord saw with what was submitted."""
    messages = scenario.messages(workers)
    channels = {message.label: message.channel for message in messages}
    accepted = Counter(arrival.label for arrival in arrivals if 200 <= arrival.status < 300)
    seconds = max(one.answered_at for one in sent) - min(one.submitted_at for one in sent)
    return Row(
        scenario=scenario.name,
        bucket=bucket,
        workers=workers,
        avoidable_429=sum(arrival.status == 429 for arrival in arrivals),
        lost=sum(accepted[message.label] == 0 for message in messages),
        doubled=sum(accepted[message.label] > 1 for message in messages),
        percent_of_maximum=100 * scenario.best_s / seconds,
        seconds=seconds,
        round_trip_ms=1e3 * fmean(one.answered_at - one.left_at for one in sent),
        inversions=inversions(arrivals, {one.label: one.submitted_at for one in sent}, channels, apart=SPACING_S),
        out_of_place=inversions(arrivals, {one.label: one.place for one in sent}, channels, apart=1),
        script_calls_per_request=script_calls / len(messages),
    )


def inversions(
    arrivals: Iterable[Arrival], submitted: Mapping[int, float], channel: Mapping[int, int], *, apart: float
) -> int:
    """Count the messages that arrived behind one of their channel that was submitted later by `apart` or more.

    The instant of submission is the real one: a busy machine may run two timers of different processes in any order.
    """
    newest: defaultdict[int, float] = defaultdict(float)
    found = 0
    for arrival in sorted(arrivals):
        if 200 <= arrival.status < 300:
            at, where = submitted[arrival.label], channel[arrival.label]
            found += newest[where] - at >= apart
            newest[where] = max(newest[where], at)
    return found

"""A permit ends exactly once; one that is not ended causes a warning."""

import pytest

from discordproxy_ratelimit.errors import BrokerUnavailableError
from discordproxy_ratelimit.headers import NO_ANSWER, Answer
from discordproxy_ratelimit.permit import PendingPermit, Permit, Verdict
from discordproxy_ratelimit.route import Route


class Office:
    """Takes permits back."""

    def __init__(self) -> None:
        self.ends: list[Answer | None] = []
        self.refuses = False

    def before_send(self, permit: Permit) -> None:
        if self.refuses:
            raise BrokerUnavailableError("too late")

    def on_end(self, permit: Permit, answer: Answer | None) -> Verdict:
        self.ends.append(answer)
        return Verdict("answered", 1.5)

    def permit(self) -> Permit:
        return Permit(self, "w:1", Route("GET /a", "x=1"), "h|x=1", 7)


def test_answered() -> None:
    office = Office()
    permit = office.permit()
    permit.sent()
    assert permit.complete(Answer(200)) == Verdict("answered", 1.5)
    permit.release()
    assert office.ends == [Answer(200)]


def test_never_sent_gives_itself_back() -> None:
    office = Office()
    permit = office.permit()
    permit.release()
    permit.release()
    assert office.ends == [None]


def test_sent_without_an_answer_is_unknown() -> None:
    office = Office()
    permit = office.permit()
    permit.sent()
    permit.release()
    assert office.ends == [NO_ANSWER]


def test_cancelled() -> None:
    office = Office()
    permit = office.permit()
    permit.cancel()
    permit.release()
    assert office.ends == [None]


def test_a_permit_that_may_be_void_is_not_sent() -> None:
    office = Office()
    office.refuses = True
    permit = office.permit()
    with pytest.raises(BrokerUnavailableError):
        permit.sent()
    permit.release()
    assert office.ends == [None]


@pytest.mark.parametrize("sent", [False, True])
def test_a_forgotten_permit_is_loud(*, sent: bool) -> None:
    drawer = [Office().permit()]
    if sent:
        drawer[0].sent()
    with pytest.warns(ResourceWarning, match=r"<Permit w:1 (sent|granted) GET /a\|x=1 in h\|x=1> was never ended"):
        drawer.clear()


def test_an_ended_permit_is_silent(recwarn: pytest.WarningsRecorder) -> None:
    drawer = [Office().permit()]
    drawer[0].cancel()
    drawer.clear()
    assert not list(recwarn)


def test_what_a_log_shows() -> None:
    permit = Office().permit()
    assert repr(permit) == "<Permit w:1 granted GET /a|x=1 in h|x=1>"
    permit.cancel()
    assert repr(permit) == "<Permit w:1 ended GET /a|x=1 in h|x=1>"


async def test_a_pending_permit_is_awaited_or_entered() -> None:
    office = Office()

    async def acquiring() -> Permit:
        return office.permit()

    permit = await PendingPermit(acquiring())
    assert office.ends == []
    permit.cancel()
    async with PendingPermit(acquiring()) as permit:
        permit.sent()
    assert office.ends == [None, NO_ANSWER]

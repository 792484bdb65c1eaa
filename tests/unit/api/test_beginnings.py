import asyncio

from discordproxy_api.beginnings import COMPANY, QUIET, Beginnings


async def turns_of_the_loop(number):
    for _ in range(number):
        await asyncio.sleep(0)


class Crowd:
    """Calls that note in `order` that they have begun."""

    def __init__(self):
        self.beginnings, self.order, self.calls = Beginnings(), [], []

    def come(self, connection, number=0):
        self.calls.append(asyncio.ensure_future(self._call(connection, number)))

    async def _call(self, connection, number):
        await self.beginnings.turn(connection)
        self.order.append((connection, number))

    async def begun(self):
        await asyncio.wait_for(asyncio.gather(*self.calls), 60)


async def test_a_call_that_comes_alone_begins_at_once():
    crowd = Crowd()
    for number in range(5):
        crowd.come("a", number)
        await turns_of_the_loop(1)
        assert len(crowd.order) == number + 1
        await turns_of_the_loop(QUIET)


async def test_hardly_any_call_of_a_crowd_begins_before_all_are_here():
    crowd, many = Crowd(), 20 * COMPANY
    for number in range(many):
        crowd.come("a", number)
        await turns_of_the_loop(4)
    assert 1 < len(crowd.order) <= many // COMPANY + 1
    await crowd.begun()
    assert crowd.order == [("a", number) for number in range(many)]


async def test_a_connection_that_has_not_waited_before_has_the_next_turn_but_one():
    crowd = Crowd()
    for connection in range(100):
        for number in range(4):
            crowd.come(connection, number)
    await turns_of_the_loop(QUIET + 250)
    begun = len(crowd.order)
    assert 200 < begun < 300  # all have had a turn by now, as every other one is a newcomer's
    crowd.come("late")
    await crowd.begun()
    assert crowd.order.index(("late", 0)) - begun <= 2


async def test_newcomers_do_not_keep_the_others_from_beginning():
    crowd = Crowd()
    for number in range(10):
        crowd.come("a", number)
    for connection in range(100):
        crowd.come(connection)
    await crowd.begun()
    assert crowd.order.index(("a", 9)) < 25


async def test_callers_that_went_away_are_passed_over():
    crowd = Crowd()
    for number in range(50):
        crowd.come("a", number)
    await turns_of_the_loop(2)
    for call in crowd.calls[1:-1]:
        call.cancel()
    await asyncio.wait_for(asyncio.gather(*crowd.calls, return_exceptions=True), 60)
    assert crowd.order == [("a", 0), ("a", 49)]
    await turns_of_the_loop(QUIET)
    crowd.come("b")
    await turns_of_the_loop(1)
    assert crowd.order[-1] == ("b", 0)

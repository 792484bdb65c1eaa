"""The last steps of an admitted call with one response: application rate, permission, idempotency, order."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from discordproxy_api.access.permission import UNCHECKED, Permission
from discordproxy_api.access.targets import Targets
from discordproxy_api.calls.call import Call
from discordproxy_api.discord.app_rate import AppRateWaits
from discordproxy_api.pipeline.idempotency import Idempotency, Once
from discordproxy_api.pipeline.in_order import InOrder
from discordproxy_api.rpcs.procedure import Job


@dataclass(frozen=True, slots=True)
class Prepared:
    """A validated call, ready to run.

    Attributes:
        once: its identity, if it has an idempotency key.
        targets: what it affects.
        encode: returns the bytes of the job's result.
    """

    job: Job
    once: Once | None
    targets: Targets
    encode: Callable[[Any], bytes]


class Execution:
    """Runs the calls of one bot."""

    def __init__(
        self, *, permission: Permission, app_rate: AppRateWaits, idempotency: Idempotency, in_order: InOrder
    ) -> None:
        self.permission = permission
        self._app_rate = app_rate
        self._idempotency = idempotency
        self._in_order = in_order

    def run(self, prepared: Prepared, call: Call) -> Awaitable[bytes]:
        """Return what runs a call once it is permitted; its result is the encoded response.

        Raises:
            ApiError: it is not permitted, or failed.
        """
        if prepared.targets is UNCHECKED and call.principal.calls_per_s is None:
            return self._perform(prepared, call)
        return self._run_checked(prepared, call)

    async def _run_checked(self, prepared: Prepared, call: Call) -> bytes:
        if call.principal.calls_per_s is not None:
            await self._app_rate.wait(call)  # before a permission check, which may cost a request
        if prepared.targets is not UNCHECKED:
            await self.permission.authorize(prepared.targets, call)
        return await self._perform(prepared, call)

    def _perform(self, prepared: Prepared, call: Call) -> Awaitable[bytes]:
        if prepared.once is None:
            return self._run_job(prepared, call)
        return self._idempotency.run(prepared.once, call, partial(self._run_job, prepared, call))

    async def _run_job(self, prepared: Prepared, call: Call) -> bytes:
        job = prepared.job
        return prepared.encode(await (self._in_order.run(job.order, call, job.run) if job.order else job.run()))

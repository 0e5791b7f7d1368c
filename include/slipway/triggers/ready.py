"""The wait for a server that starts, in the triggerer: looks go on there, and the worker is free."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from slipway.errors import SlipwayError, StoreError

if TYPE_CHECKING:
    from slipway.stages.watch import Watch
    from slipway.store import Store

LOOK_EVERY_S = 5.0
"""Also the least time before the event: one that comes sooner can fail its task in Airflow 3.3."""

PROLONG_EVERY_S = 60.0


class ReadyTrigger(BaseTrigger):
    """Looks until there is something for the task to conclude, and lets the task itself look then.

    Its arguments are all that it needs: a triggerer that was started again goes on where the store says that the
    stage is. It holds the run's hosts meanwhile, by prolonging their lease for ``lease_s``. It starts and stops nothing
    on a host, so there is nothing to do when it is ended.
    """

    def __init__(
        self, *, run_id: int, stage_id: int, deadline_at: float, shown: int, moved_at: float, lease_s: float
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.run_id, self.stage_id = run_id, stage_id
        self.deadline_at, self.shown, self.moved_at, self.lease_s = deadline_at, shown, moved_at, lease_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        names = ("run_id", "stage_id", "deadline_at", "shown", "moved_at", "lease_s")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event, at the latest when the time is spent: how far the log was shown, and when something moved last."""
        stack = ExitStack()
        try:
            await self._attend(stack)
        except SlipwayError as error:
            self.log.warning("%s: %s", type(error).__name__, error)
            await asyncio.sleep(LOOK_EVERY_S)
        finally:
            await asyncio.to_thread(stack.close)
        yield TriggerEvent(  # type: ignore[no-untyped-call]
            {"shown": self.shown, "moved_at": self.moved_at, "deadline_at": self.deadline_at}
        )

    async def _attend(self, stack: ExitStack) -> None:
        """Until there is something to conclude. Raises SlipwayError where hosts or store cannot be opened."""
        attendance = await asyncio.to_thread(stack.enter_context, self._attending())
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if await asyncio.to_thread(attendance.look):
                return

    @contextmanager
    def _attending(self) -> Iterator[Attendance]:
        from slipway.hooks.hosts import open_site
        from slipway.hooks.settings import store_url
        from slipway.stages.watch import Mark, Watch
        from slipway.store import open_store

        with open_store(store_url()) as store:
            revision_id = store.run_by_id(self.run_id).revision_id or ""
            self.shown = max(self.shown, store.stage_detail(self.stage_id).get("log_offset", 0))
            with open_site(store.spec(revision_id), store.lock(revision_id), self.log.info) as site:
                yield Attendance(self, store, Watch(site, self.deadline_at, Mark(self.shown, self.moved_at)))


class Attendance:
    """The looks of one trigger, with what the store is told of them."""

    def __init__(self, trigger: ReadyTrigger, store: Store, watch: Watch) -> None:
        self._trigger, self._store, self._watch = trigger, store, watch
        self._noted: dict[str, Any] = {}
        self._prolonged_at = -PROLONG_EVERY_S

    def look(self) -> bool:
        """Whether there is something to conclude: it is ready, or a look has raised an error."""
        try:
            done = self._watch.look() is not None
        except SlipwayError as error:
            self._trigger.log.warning("%s: %s", type(error).__name__, error)
            done = True
        self._trigger.shown, self._trigger.moved_at = self._watch.mark.shown, self._watch.mark.moved_at
        with contextlib.suppress(StoreError):
            self._note()
        return done

    def _note(self) -> None:
        """A database that does not answer is asked again at the next look: the lease outlasts several."""
        if time.monotonic() - self._prolonged_at >= PROLONG_EVERY_S:
            self._store.prolong_lease(self._trigger.run_id, self._trigger.lease_s)
            self._prolonged_at = time.monotonic()
        now = {name: value for name, value in self._watch.detail.items() if name != "phases"}
        if now != self._noted:
            self._store.note_stage(self._trigger.stage_id, self._watch.detail)
            self._noted = now

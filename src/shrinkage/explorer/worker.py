"""The thread that trains: obeys commands between steps and shows what it has, at a bounded cost."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from math import inf
from queue import SimpleQueue

from shrinkage.errors import RAISED, ShrinkageError, told
from shrinkage.explorer.commands import (
    Advance,
    Change,
    Command,
    Guide,
    Pause,
    Play,
    Reset,
    Restore,
    Save,
    Select,
    Wake,
)
from shrinkage.explorer.messages import state
from shrinkage.explorer.session import Session
from shrinkage.runs import finite
from shrinkage.runs.records import Json

Publish = Callable[[Json], None]
_GLANCES = 1 / 8
_LOOKS = 1 / 3
_ALONE = 5.0
"""Seconds without a page after which training pauses."""


class Pace:
    """When something that costs time may happen again.

    At least ``interval`` seconds after its last beginning, and so rarely that its part of what it
    and training take together is at most ``share``. Both are processor seconds of this thread, so
    that a busy machine does not turn the balance.
    """

    def __init__(self, interval: float, share: float) -> None:
        self.interval, self.share = interval, share
        self._next = self._owed = 0.0

    def due(self, now: float, trained: float) -> bool:
        """Whether it may happen now, after so many seconds of training in all."""
        return now >= self._next and trained >= self._owed

    def took(self, cost: float, now: float, trained: float) -> None:
        """It has just ended, and took so many seconds."""
        self._next = now + max(0.0, self.interval - cost)
        self._owed = trained + cost * (1 / self.share - 1)

    def hurry(self) -> None:
        """Let it be due at once."""
        self._next = self._owed = 0.0


class Worker(threading.Thread):
    """Owns a session: nothing else may touch it once the thread runs.

    ``publish`` takes messages (plain, strict JSON values) and must be safe to call from here;
    ``save`` writes what is on screen and says where.
    """

    def __init__(
        self, session: Session, publish: Publish, save: Callable[[Session, str], Json]
    ) -> None:
        super().__init__(name="explore", daemon=True)
        self.session, self.playing = session, False
        self._publish, self._save = publish, save
        self._commands: SimpleQueue[Command] = SimpleQueue()
        self._ending = threading.Event()
        self._watchers, self._left = 0, time.monotonic()
        self._glances, self._looks = Pace(_GLANCES, 0.10), Pace(_LOOKS, 0.07)
        self._trained = 0.0
        self._fresh_glance = self._fresh_look = False
        self._looking: Iterator[Json | None] | None = None
        self._spent = 0.0
        self._until_epoch = False

    def send(self, command: Command) -> None:
        """Hand over a command, from any thread."""
        self._commands.put(command)

    def watched_by(self, pages: int) -> None:
        """How many pages are open, from any thread; without one, training pauses after a while."""
        self._watchers, self._left = pages, time.monotonic()

    def end(self) -> None:
        """Stop between two steps, and wait for it."""
        self._ending.set()
        self.send(Pause())
        self.join(timeout=30)

    def run(self) -> None:
        """Obey, show, train, until told to end."""
        self._publish_state()
        while not self._ending.is_set():
            try:
                while not self._commands.empty():
                    self._obey(self._commands.get_nowait())
                self._turn()
            except ShrinkageError as error:
                self._complain(str(error))
            except RAISED as error:  # a user's network may raise anything, anywhere
                self._looking = None
                self._fresh_look = True
                self._halt(told(error))

    def _turn(self) -> None:
        """One round: at most one piece of showing, one step."""
        now, trained = time.monotonic(), self._trained if self.playing else inf
        if not self._fresh_glance and self._glances.due(now, trained):
            self._show_glance()
        if self._looking is not None or (not self._fresh_look and self._looks.due(now, trained)):
            self._show_look()
        elif self.playing:
            self._train(now)
        elif self._fresh_glance and self._fresh_look:
            self._obey(self._commands.get())
        else:
            time.sleep(0.002)

    def _obey(self, command: Command) -> None:
        session, until_epoch = self.session, False
        match command:
            case Play():
                self.playing = not session.is_over
                if session.is_over:
                    self._complain("Every network has stopped: reset to begin anew.")
            case Pause():
                self.playing = False
            case Advance(epoch):
                self.playing = until_epoch = epoch and not session.is_over
                if not epoch:
                    session.advance()
            case Save(picture):
                self._publish({"kind": "saved", **self._save(session, picture)})
            case _:
                self._set(command)
        self._until_epoch = until_epoch
        self._stale()
        self._glances.hurry()
        if isinstance(command, Select | Guide | Reset | Wake):
            self._looks.hurry()
        self._looking = None
        self._publish_state()

    def _set(self, command: Command) -> None:
        session = self.session
        match command:
            case Reset(seed):
                session.reset(seed)
            case Wake(column):
                session.wake(column)
            case Change(changes):
                session.change(dict(changes))
            case Restore(link):
                session.restore(link)
            case Select():
                session.select(command)
            case Guide(step):
                session.lead(step)
                self.playing = self.playing or step >= 0

    def _train(self, now: float) -> None:
        if not self._watchers and now - self._left > _ALONE:
            self._halt(f"No page is open: training paused at step {self.session.step:,}.")
            return
        start = time.thread_time()
        self.session.advance()
        self._trained += time.thread_time() - start
        self._stale()
        over = self.session.is_over
        if over or (self._until_epoch and self.session.batches.begins):
            self._until_epoch = self.playing = False
            self._publish_state()

    def _stale(self) -> None:
        self._fresh_glance = self._fresh_look = False

    def _show_glance(self) -> None:
        start = time.thread_time()
        self._fresh_glance = True
        self._publish(self.session.glance())
        self._glances.took(time.thread_time() - start, time.monotonic(), self._trained)

    def _show_look(self) -> None:
        """One more piece of a look; the pace counts them together."""
        start = time.thread_time()
        if self._looking is None:
            self._looking, self._spent = self.session.looking(), 0.0
        message = next(self._looking)
        self._spent += time.thread_time() - start
        if message is not None:
            self._publish(message)
            self._looking, self._fresh_look = None, True
            self._looks.took(self._spent, time.monotonic(), self._trained)

    def _halt(self, why: str) -> None:
        self.playing = False
        self._complain(why)
        self._publish_state()

    def _complain(self, text: str) -> None:
        self._publish({"kind": "said", "text": " ".join(text.split())})
        self._publish_state()

    def _publish_state(self) -> None:
        self._publish(state(self.session, self.playing))


def as_text(message: Json) -> str:
    """Strict JSON: what is not finite becomes null."""
    return json.dumps(finite(message), ensure_ascii=False, allow_nan=False, separators=(",", ":"))

"""Progress where there is no terminal: lines, not too many."""

import io
import signal
from contextlib import suppress

import pytest

from shrinkage import progress
from shrinkage.progress import Progress, lines, shown


def test_lines_come_at_intervals_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(progress, "monotonic", lambda: now)
    said: list[str] = []
    show = lines(said.append, pause=10)
    for done in range(20, 41):  # 20 were there already: the run goes on
        show(Progress("path", done, 40, f"λ {done}"))
        now += 4
    assert said == [
        "path 23/40, 0:00:12, left 0:01:08 λ 23",
        "path 26/40, 0:00:24, left 0:00:56 λ 26",
        "path 29/40, 0:00:36, left 0:00:44 λ 29",
        "path 32/40, 0:00:48, left 0:00:32 λ 32",
        "path 35/40, 0:01:00, left 0:00:20 λ 35",
        "path 38/40, 0:01:12, left 0:00:08 λ 38",
        "path 40/40, 0:01:20 λ 40",
    ]
    show(Progress("test", 1, 3))
    show(Progress("test", 3, 3))
    assert said[7:] == ["test 3/3, 0:00:00"]


def test_a_pipe_gets_lines_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    with shown(None) as show:
        show(Progress("fits", 2, 2, "[red] λ 0.1"))
    assert capsys.readouterr().err == "fits 2/2, 0:00:00 [red] λ 0.1\n"


def test_ones_own_progress_is_called() -> None:
    seen: list[Progress] = []
    with shown(seen.append) as show:
        show(Progress("fits", 1, 2))
    assert seen == [Progress("fits", 1, 2)]


class Leaving:
    """Ctrl-C comes while it is deleted, where Python can only print what is raised."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_an_interrupt_that_a_destructor_swallows_ends_the_work_without_a_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with shown(lambda _: None) as show:
            Leaving()
            with pytest.raises(KeyboardInterrupt):
                show(Progress("fits", 1, 3))
    finally:
        signal.signal(signal.SIGINT, before)
    assert "Traceback" not in capsys.readouterr().err


def test_an_interrupt_that_somebody_swallows_ends_the_work_all_the_same() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with shown(lambda _: None) as show:
            show(Progress("fits", 1, 3))
            with suppress(KeyboardInterrupt):  # as a destructor or a weak reference does it
                signal.raise_signal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                show(Progress("fits", 2, 3))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_interrupt_handler_of_ones_own_is_left_alone() -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        with shown(lambda _: None) as show:
            signal.raise_signal(signal.SIGINT)
            show(Progress("fits", 1, 3))
        assert came == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)


def test_work_goes_on_when_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stderr", Closed())
    with shown(None) as show:
        show(Progress("fits", 2, 2))


def test_an_end_is_told_once_and_steps_back_are_borne() -> None:
    said: list[str] = []
    show = lines(said.append, pause=0)
    show(Progress("fits", 5, 9))
    show(Progress("fits", 3, 9))
    assert said[-1] == "fits 3/9, 0:00:00"
    count = len(said)
    show = lines(said.append, pause=10)
    for _ in range(3):
        show(Progress("tests", 4, 4))
    assert len(said) == count + 1

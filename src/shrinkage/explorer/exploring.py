"""explore: the live page, from data and a network to an address that is served until Ctrl-C."""

import webbrowser
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shrinkage.arguments import (
    as_flag,
    as_names,
    as_path,
    callback,
    check_function,
    check_type,
    plain,
)
from shrinkage.data.models import Factory
from shrinkage.data.outputs import check_state
from shrinkage.errors import ExploreError
from shrinkage.experiments.contrasts.settings import Setting
from shrinkage.experiments.fitting import Loss, Training
from shrinkage.experiments.studies import Start, subject
from shrinkage.experiments.studies.threads import threads
from shrinkage.explorer.controls import FIRST, OFFERED, first_controls
from shrinkage.explorer.session import Session
from shrinkage.plans import Plan
from shrinkage.runs import describe

if TYPE_CHECKING:
    from shrinkage.explorer.server import Live

_SMALL = 5000


def explore(
    make_model: str | Factory | None = None,
    data: Any = "digits",
    *,
    weights: object = None,
    columns: Sequence[str] = FIRST,
    loss: Loss | None = None,
    optimizer: str | None = None,
    lr: float | None = None,
    batch_size: int | None = None,
    train_size: int | None = None,
    seed: int | None = None,
    biases: bool | None = None,
    validation: float = 0.2,
    settings: str | None = None,
    port: int = 0,
    browser: bool = True,
    runs: str | Path = "runs",
    source: str | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Serve a page on which λ is turned while one to four networks train side by side.

    ``make_model``, ``data``, ``weights`` and ``loss`` as in :func:`shrinkage.contrast`;
    ``columns``: none, l1_term, l1, l2, elastic_net, group_l1, dropout. ``settings``: a link from
    the page, or its query, which restores what it was copied from. The page is for this machine
    only and its address holds a token; ``port`` 0 takes a free one. What is saved goes below
    ``runs``; ``source`` names the data as they are typed in a command. ``say`` takes lines for the
    terminal. Returns after Ctrl-C. Needs the extra ``explore``.

    Raises the package's errors for bad input, before a page is served, and :class:`ExploreError`
    for a port in use or where the extra is missing.
    """
    folder = as_path("runs", runs, error=ExploreError)
    check_function("say", say, takes=1, expected="a function of one line of text, such as print",
                   error=ExploreError)  # fmt: skip
    say = callback("say", say, ExploreError)
    _check_texts(settings=settings, source=source, optimizer=optimizer)
    columns = as_names("columns", columns, error=ExploreError,
                       remedy='For instance ("none", "l1").')  # fmt: skip
    browser = as_flag("browser", browser, error=ExploreError)
    session = session_of(
        make_model, data, weights=weights, columns=columns, loss=loss, validation=validation,
        settings=settings,
        optimizer=optimizer, lr=lr, batch_size=batch_size, train_size=train_size, seed=seed,
        biases=biases, source=source,
    )  # fmt: skip
    with closing(prepare(session, port=port, runs=folder, say=say)) as live:
        _serve(live, browser=browser, say=say)


def _check_texts(**given: object) -> None:
    """Raise :class:`ExploreError` unless each is text or None."""
    for name, text in given.items():
        if text is not None:
            check_type(f"{name} is no text", text, str, expected="text, or None",
                       remedy=f"Leave {name} out.", error=ExploreError)  # fmt: skip


def prepare(session: Session, *, port: int, runs: Path, say: Callable[[str], None]) -> "Live":
    """The server of a session, not yet running."""
    try:
        from shrinkage.explorer.server import Live
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "shrinkage":
            raise
        raise ExploreError(
            "the live page needs its extra",
            got=f"no module named {error.name!r}",
            expected="starlette, uvicorn and websockets",
            remedy="pip install 'shrinkage[explore]'",
        ) from error
    return Live(session, port=port, runs=runs, say=say)


def _serve(live: "Live", *, browser: bool, say: Callable[[str], None]) -> None:
    """Until Ctrl-C."""
    say(f"Explore at {live.address} (this machine only; Ctrl-C ends it)")
    if browser:
        webbrowser.open(live.address)
    # Small tensors on many threads wait for each other, and for the page.
    with threads(1), suppress(KeyboardInterrupt):
        live.run()
    say("Stopped.")


def session_of(
    make_model: str | Factory | None,
    data: Any,
    *,
    weights: object = None,
    columns: Sequence[str] = FIRST,
    loss: Loss | None = None,
    validation: float = 0.2,
    settings: str | None = None,
    source: str | None = None,
    **given: Any,
) -> Session:
    """The session behind :func:`explore`; controls that are None keep their defaults."""
    about = subject(make_model, data, train_size=None, validation=validation, test=None, loss=loss)
    examples = about.data
    setting = Setting(
        data=examples,
        factory=about.factory,
        train=Training(),
        seeds=1,
        epochs=1,
        cut=about.cut,
        loss=loss,
        start=Start.of(weights),
        columns=tuple(OFFERED.values()),
        strengths=(1.0,),
    )
    network = setting.build(0)
    check_state(network)
    setting.warn_of_probabilities(network)
    setting.check_loss(network)
    Plan(network, OFFERED["l1"].penalty_at(1.0))  # warns of what a penalty cannot do here
    n_train = len(setting.split(0).train)
    known = {name: plain(value) for name, value in given.items() if value is not None}
    if "biases" in known:
        known["biases"] = as_flag("biases", known["biases"], error=ExploreError)
    usual = 32 if n_train <= _SMALL else 128
    controls = first_controls(n_train, usual, tuple(columns), **known)
    if settings is not None:
        controls = controls.restored(settings)
    typed = source or (data if isinstance(data, str) else examples.name)
    return Session(setting, controls, model=describe(about.model), source=typed)

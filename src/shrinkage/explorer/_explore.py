"""explore: the live page, from data and a network to an address that is served until Ctrl-C."""

import webbrowser
from collections.abc import Callable
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
    takes,
)
from shrinkage.data.outputs import check_state
from shrinkage.errors import ExploreError
from shrinkage.experiments.contrasts.settings import ContrastSetting
from shrinkage.experiments.fit import Training
from shrinkage.experiments.runner.threads import threads
from shrinkage.experiments.studies import Cut, Start, Subject, subject
from shrinkage.explorer.controls import OFFERED, first_controls
from shrinkage.explorer.options import ExploreOptions
from shrinkage.explorer.session import Session
from shrinkage.plans import Plan
from shrinkage.runs import describe

if TYPE_CHECKING:
    from shrinkage.explorer.server import Live

_SMALL = 5000


@takes(ExploreOptions)
def explore(options: ExploreOptions) -> None:
    """Serve a page on which λ is turned while one to four networks train side by side.

    The page is for this machine only and its address holds a token. Returns after Ctrl-C. Needs
    the extra ``explore``.

    Raises
    ------
    ShrinkageError
        For bad input, one of the package's errors, before a page is served.
    ExploreError
        For a port in use, or where the extra is missing.
    """
    folder = as_path("runs", options.runs, error=ExploreError)
    check_function("say", options.say, takes=1, error=ExploreError,
                   expected="a function of one line of text, such as print")  # fmt: skip
    say = callback("say", options.say, ExploreError)
    browser = as_flag("browser", options.browser, error=ExploreError)
    session = session_of(**vars(options))
    with closing(prepare(session, port=options.port, runs=folder, say=say)) as live:
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


@takes(ExploreOptions)
def session_of(options: ExploreOptions) -> Session:
    """The session behind :func:`explore`; controls that are None keep their defaults."""
    _check_texts(settings=options.settings, source=options.source, optimizer=options.optimizer)
    columns = as_names("columns", options.columns, error=ExploreError,
                       remedy='For instance ("none", "l1").')  # fmt: skip
    cut = Cut(validation=options.validation)
    about = subject(options.make_model, options.data, cut, loss=options.loss)
    setting = _setting(options, about)
    n_train = len(setting.split(0).train)
    controls = first_controls(n_train, 32 if n_train <= _SMALL else 128, columns, **_given(options))
    if options.settings is not None:
        controls = controls.restored(options.settings)
    is_named = isinstance(options.data, str)
    typed = options.source or (options.data if is_named else about.data.name)
    return Session(setting, controls, model=describe(about.model), source=typed)


def _setting(options: ExploreOptions, about: Subject) -> ContrastSetting:
    """What all networks on the page have in common; checked, and warned of what cannot be."""
    setting = ContrastSetting(
        data=about.data,
        factory=about.factory,
        train=Training(),
        seeds=1,
        epochs=1,
        cut=about.cut,
        loss=options.loss,
        start=Start.of(options.weights),
        columns=tuple(OFFERED.values()),
        strengths=(1.0,),
    )
    network = setting.build(0)
    check_state(network)
    setting.warn_of_probabilities(network)
    setting.check_loss(network)
    Plan(network, OFFERED["l1"].penalty_at(1.0))  # warns of what a penalty cannot do here
    return setting


def _given(options: ExploreOptions) -> dict[str, Any]:
    """The controls that are not left to their defaults."""
    names = ("optimizer", "lr", "batch_size", "train_size", "seed", "biases")
    known = {name: plain(getattr(options, name)) for name in names}
    known = {name: value for name, value in known.items() if value is not None}
    if "biases" in known:
        known["biases"] = as_flag("biases", known["biases"], error=ExploreError)
    return known

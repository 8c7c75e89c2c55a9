"""explore: the live page."""

from dataclasses import replace

from shrinkage.cli.app import app
from shrinkage.cli.data import loaded
from shrinkage.cli.options import typed
from shrinkage.cli.words import command_data, tell
from shrinkage.experiments.options import ReadingOptions
from shrinkage.explorer.options import ExploreOptions


@app.command("explore")
@typed
def explore_command(options: ExploreOptions, reading: ReadingOptions) -> None:
    """Turn λ while one to four networks train side by side, on a page of this machine.

    Watch weights reach exact zero and come back, click one to learn why, or take the guided tour
    through the lesson. The address holds a token; Ctrl-C ends the page. Needs the extra:
    pip install 'shrinkage\\[explore]'
    """
    from shrinkage.explorer import explore

    source = command_data(options.data, **vars(reading))
    data = loaded(options.data, reading)
    explore(**vars(replace(options, data=data, source=source, say=tell)))

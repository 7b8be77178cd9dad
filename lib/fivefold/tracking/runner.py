"""Runner: start a flow from Python, in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fivefold.core.settings import REFUSED_IN, SCOPE_FILE, SCOPE_FOLDER, STARTED


def run_flow(
    script: Path, configs: Mapping[str, Mapping[str, Any]], parameters: Mapping[str, Any]
) -> str | None:
    """Run a flow by Metaflow's `Runner` and return the run's id; None if it failed.

    Its output is printed as it comes. It also works inside a step of another flow.

    Parameters
    ----------
    script
        The flow's file.
    configs
        {name: value} of the flow's configurations.
    parameters
        {name: value} of the flow's parameters, with "_" for "-".
    """
    import metaflow

    flows: Any = metaflow
    metadata = flows.get_metadata()
    config_value = [(name, dict(value)) for name, value in configs.items()]
    with flows.Runner(str(script), config_value=config_value) as runner:
        for name in (
            STARTED,
            SCOPE_FOLDER,
            SCOPE_FILE,
            REFUSED_IN,
        ):  # they belong to the run that calls
            runner.env_vars.pop(name, None)
        try:
            result = runner.run(**parameters)
        except RuntimeError:  # it ended before there was a run
            return None
        finally:
            flows.metadata(metadata)  # the runner switches it for the whole process
        return str(result.run.id) if result.status == "successful" else None

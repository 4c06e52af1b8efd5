"""Executors that a task's container is given in tests, as it would be given TFX's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfx.dsl.components.base import base_executor

from core.records.verdict import GateRefusedError, Verdict, at_least


class Writing(base_executor.BaseExecutor):
    """Writes what it was told into its output."""

    def Do(  # noqa: N802 - TFX's name
        self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]
    ) -> None:
        """Write the inputs' places and the parameters."""
        [result] = output_dict["result"]
        Path(result.uri).mkdir(parents=True, exist_ok=True)
        lines = [f"{key}={value!r}" for key, value in sorted(exec_properties.items())]
        lines += [f"{key}: {items[0].uri} {items[0].type_name}" for key, items in sorted(input_dict.items())]
        (Path(result.uri) / "told.txt").write_text("\n".join(lines))
        result.set_string_custom_property("place", result.uri)


class Refusing(base_executor.BaseExecutor):
    """Refuses, as the data gate does."""

    def Do(  # noqa: N802 - TFX's name
        self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]
    ) -> None:
        """Raise the refusal."""
        raise GateRefusedError(Verdict(gate="data", checks=(at_least("positives", 1.0, 2.0),)))


class Breaking(base_executor.BaseExecutor):
    """Fails for a reason that is no gate's."""

    def Do(  # noqa: N802 - TFX's name
        self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]
    ) -> None:
        """Raise."""
        raise OSError("no space left on device")

"""ImportExampleGen for shards that ingest wrote: they are taken over as they are, not written again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import apache_beam as beam
from tfx.components.example_gen.import_example_gen import component as stock
from tfx.components.example_gen.import_example_gen import executor as stock_executor
from tfx.components.util import examples_utils
from tfx.dsl.components.base import executor_spec
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils
from tfx.types import standard_component_specs as specs
from tfx.utils import proto_utils

from core.files import share

# As TFX names the files of an Examples artifact.
_NAME: Final = "data_tfrecord-{:05d}-of-{:05d}.gz"
FORMAT: Final = "tfrecords_gzip"


class Executor(stock_executor.Executor):
    """Brings each shard into the artifact: shared with the data set's file where both lie on one file system that can.

    Ingest shuffled, split and compressed them, so TFX's own way, which decodes and writes every record again, would
    only cost time and keep the images once more. The records' order is ingest's, on every target.
    """

    def Do(  # noqa: N802 - TFX's name
        self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]
    ) -> None:
        """Fill the artifact `examples`.

        Raises:
            FileNotFoundError: a split has no files.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        config = example_gen_pb2.Input()
        proto_utils.json_to_proto(exec_properties[specs.INPUT_CONFIG_KEY], config)
        examples = artifact_utils.get_single_instance(output_dict[specs.EXAMPLES_KEY])
        names = [split.name for split in config.splits]
        examples.split_names = artifact_utils.encode_split_names(names)
        copies: list[tuple[str, str]] = []
        for split in config.splits:
            pattern = os.path.join(exec_properties[specs.INPUT_BASE_KEY], split.pattern)  # noqa: PTH118 - a URI
            shards = sorted(fileio.glob(pattern))
            if not shards:
                raise FileNotFoundError(f"the split {split.name} has no file {pattern}")
            folder = artifact_utils.get_split_uri([examples], split.name)
            # Of a step that is tried again: to write into its files would write into the data set's.
            if fileio.exists(folder):
                fileio.rmtree(folder)
            fileio.makedirs(folder)
            for index, shard in enumerate(shards):
                target = f"{folder}/{_NAME.format(index, len(shards))}"
                if not share(Path(shard), Path(target)):
                    copies.append((shard, target))
        if copies:
            with self._make_beam_pipeline() as pipeline:
                _ = pipeline | beam.Create(copies) | beam.Reshuffle() | beam.MapTuple(copy)
        examples_utils.set_payload_format(examples, exec_properties[specs.OUTPUT_DATA_FORMAT_KEY])
        examples_utils.set_file_format(examples, FORMAT)


def copy(source: str, target: str) -> None:
    """Copy a file between any two file systems that TFX knows; a bundle that is tried again copies again."""
    fileio.copy(source, target, overwrite=True)


class ImportExampleGen(stock.ImportExampleGen):
    """TFX's own, with our executor."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

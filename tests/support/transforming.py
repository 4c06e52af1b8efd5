"""Runs tf.Transform in this process on records of core/features.py."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.public import tfxio

from components.transform.preprocessing import preprocessing_fn

SCHEMA = """
feature { name: "image" type: BYTES presence { min_fraction: 1 min_count: 1 } shape {} }
feature { name: "image_name" type: BYTES presence { min_fraction: 1 min_count: 1 } shape {} }
feature { name: "target" type: INT presence { min_fraction: 1 min_count: 1 } shape {} }
feature { name: "diagnosis" type: BYTES value_count { min: 1 max: 1 } }
feature { name: "sex" type: BYTES value_count { min: 1 max: 1 } }
feature { name: "anatom_site" type: BYTES value_count { min: 1 max: 1 } }
feature { name: "age_approx" type: FLOAT value_count { min: 1 max: 1 } }
"""


def analyse(pattern: str, folder: Path) -> str:
    """Analyses the records with the real preprocessing_fn; returns the transform_output folder."""
    source = tfxio.TFExampleRecord(
        file_pattern=pattern, schema=text_format.Parse(SCHEMA, schema_pb2.Schema())
    )
    with (
        beam.Pipeline(runner=FnApiRunner()) as pipeline,
        tft_beam.Context(temp_dir=str(folder.parent / "beam"), force_tf_compat_v1=False),
    ):
        records = pipeline | "read" >> source.BeamSource()
        fn = (records, source.TensorAdapterConfig()) | tft_beam.AnalyzeDataset(preprocessing_fn)
        fn | tft_beam.WriteTransformFn(str(folder))
    # TFX's Transform leaves the raw schema beside the graph; tf.Transform alone does not.
    (folder / tft.TFTransformOutput.RAW_METADATA_DIR).mkdir()
    (folder / tft.TFTransformOutput.RAW_METADATA_DIR / "schema.pbtxt").write_text(SCHEMA)
    return str(folder)

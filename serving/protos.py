"""TensorFlow Serving's protocol messages, without the five seconds that `import tensorflow` costs.

The generated modules of the tensorflow-serving-api wheel import `tensorflow.core.*_pb2`, which would run all of
`tensorflow/__init__.py`. Unless TensorFlow is loaded already, a bare package of that name stands in while they
are imported and is taken away again, so that a later `import tensorflow` in this process is the real one.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path


def tensorflow_folder() -> Path:
    """The folder of the installed `tensorflow` package, found without importing it."""
    loaded = sys.modules.get("tensorflow")
    # Not its __path__, which TensorFlow extends by keras' folders.
    if loaded is not None and loaded.__file__:
        return Path(loaded.__file__).parent
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("tensorflow is not installed: run `make setup`")
    return Path(spec.submodule_search_locations[0])


_STANDS_IN = "tensorflow" not in sys.modules
if _STANDS_IN:
    _bare = types.ModuleType("tensorflow")
    _bare.__path__ = [str(tensorflow_folder())]
    sys.modules["tensorflow"] = _bare
try:
    from tensorflow.core.example.example_pb2 import Example as Example
    from tensorflow.core.framework.tensor_pb2 import TensorProto as TensorProto
    from tensorflow.core.framework.types_pb2 import DataType as DataType
    from tensorflow.core.protobuf.config_pb2 import ConfigProto as ConfigProto
    from tensorflow.core.protobuf.config_pb2 import RunOptions as RunOptions
    from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef as MetaGraphDef
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel as SavedModel
    from tensorflow_serving.apis import classification_pb2 as classification_pb2
    from tensorflow_serving.apis import get_model_metadata_pb2 as get_model_metadata_pb2
    from tensorflow_serving.apis import get_model_status_pb2 as get_model_status_pb2
    from tensorflow_serving.apis import inference_pb2 as inference_pb2
    from tensorflow_serving.apis import model_management_pb2 as model_management_pb2
    from tensorflow_serving.apis import model_pb2 as model_pb2
    from tensorflow_serving.apis import model_service_pb2_grpc as model_service_pb2_grpc
    from tensorflow_serving.apis import predict_pb2 as predict_pb2
    from tensorflow_serving.apis import prediction_log_pb2 as prediction_log_pb2
    from tensorflow_serving.apis import prediction_service_pb2_grpc as prediction_service_pb2_grpc
    from tensorflow_serving.apis import regression_pb2 as regression_pb2
    from tensorflow_serving.config import model_server_config_pb2 as model_server_config_pb2
finally:
    if _STANDS_IN:
        for _name in [n for n in sys.modules if n == "tensorflow" or n.startswith("tensorflow.")]:
            del sys.modules[_name]

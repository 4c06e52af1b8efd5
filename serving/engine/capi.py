"""TensorFlow's C API, called through ctypes: the loader, session and graph builder that TF Serving itself uses.

`import tensorflow` is not needed and not done. Calls that may take long (load, run) release the interpreter's
lock (`CDLL`); the short ones keep it (`PyDLL`), because giving it away for a microsecond costs more than the call
once thirty threads compete for it.
"""

from __future__ import annotations

import ctypes
import os
import sys
from ctypes import POINTER, Structure, c_char_p, c_int, c_int64, c_size_t, c_ubyte, c_void_p
from functools import cache
from typing import Any

from serving.protos import tensorflow_folder
from serving.status import CODES, ServingError


class Output(Structure):
    """TF_Output: one output of one operation."""

    _fields_ = [("operation", c_void_p), ("index", c_int)]


class Input(Structure):
    """TF_Input: one input of one operation."""

    _fields_ = [("operation", c_void_p), ("index", c_int)]


class Buffer(Structure):
    """TF_Buffer."""

    _fields_ = [("data", c_void_p), ("length", c_size_t), ("deallocator", c_void_p)]


# Arguments that several functions take together: an array and its length, before or after it.
_TEXTS = POINTER(c_char_p)
_NODES = [c_int, POINTER(c_void_p)]
_OUTPUTS = [c_int, POINTER(Output)]
_TENSORS = [POINTER(Output), POINTER(c_void_p), c_int]

_SLOW: dict[str, tuple[Any, list[Any]]] = {
    "TF_LoadSessionFromSavedModel": (
        c_void_p,
        [c_void_p, c_void_p, c_char_p, _TEXTS, c_int, c_void_p, c_void_p, c_void_p],
    ),
    "TF_SessionRun": (
        None,
        [c_void_p, c_void_p, *_TENSORS, *_TENSORS, POINTER(c_void_p), c_int, c_void_p, c_void_p],
    ),
    "TF_CloseSession": (None, [c_void_p, c_void_p]),
    "TF_DeleteSession": (None, [c_void_p, c_void_p]),
    "TF_TensorFromProto": (None, [POINTER(Buffer), c_void_p, c_void_p]),
}

_FAST: dict[str, tuple[Any, list[Any]]] = {
    "TF_Version": (c_char_p, []),
    "TF_NewStatus": (c_void_p, []),
    "TF_DeleteStatus": (None, [c_void_p]),
    "TF_GetCode": (c_int, [c_void_p]),
    "TF_Message": (c_char_p, [c_void_p]),
    "TF_NewGraph": (c_void_p, []),
    "TF_DeleteGraph": (None, [c_void_p]),
    "TF_NewSessionOptions": (c_void_p, []),
    "TF_DeleteSessionOptions": (None, [c_void_p]),
    "TF_SetConfig": (None, [c_void_p, c_char_p, c_size_t, c_void_p]),
    "TF_NewBuffer": (POINTER(Buffer), []),
    "TF_NewBufferFromString": (POINTER(Buffer), [c_char_p, c_size_t]),
    "TF_DeleteBuffer": (None, [POINTER(Buffer)]),
    "TF_AllocateTensor": (c_void_p, [c_int, c_void_p, c_int, c_size_t]),
    "TF_DeleteTensor": (None, [c_void_p]),
    "TF_TensorType": (c_int, [c_void_p]),
    "TF_NumDims": (c_int, [c_void_p]),
    "TF_Dim": (c_int64, [c_void_p, c_int]),
    "TF_TensorByteSize": (c_size_t, [c_void_p]),
    "TF_TensorData": (c_void_p, [c_void_p]),
    "TF_StringGetDataPointer": (c_void_p, [c_void_p]),
    "TF_StringGetSize": (c_size_t, [c_void_p]),
    "TF_GraphOperationByName": (c_void_p, [c_void_p, c_char_p]),
    "TF_OperationName": (c_char_p, [c_void_p]),
    "TF_OperationNumInputs": (c_int, [c_void_p]),
    "TF_OperationInput": (Output, [Input]),
    "TF_OperationOutputType": (c_int, [Output]),
    "TF_OperationNumControlInputs": (c_int, [c_void_p]),
    "TF_OperationGetControlInputs": (c_int, [c_void_p, POINTER(c_void_p), c_int]),
    "TF_NewOperation": (c_void_p, [c_void_p, c_char_p, c_char_p]),
    "TF_FinishOperation": (c_void_p, [c_void_p, c_void_p]),
    "TF_AddInput": (None, [c_void_p, Output]),
    "TF_AddInputList": (None, [c_void_p, POINTER(Output), c_int]),
    "TF_SetAttrInt": (None, [c_void_p, c_char_p, c_int64]),
    "TF_SetAttrIntList": (None, [c_void_p, c_char_p, POINTER(c_int64), c_int]),
    "TF_SetAttrBool": (None, [c_void_p, c_char_p, c_ubyte]),
    "TF_SetAttrType": (None, [c_void_p, c_char_p, c_int]),
    "TF_SetAttrTypeList": (None, [c_void_p, c_char_p, POINTER(c_int), c_int]),
    "TF_SetAttrString": (None, [c_void_p, c_char_p, c_char_p, c_size_t]),
    "TF_SetAttrTensor": (None, [c_void_p, c_char_p, c_void_p, c_void_p]),
    "TF_SetAttrFuncName": (None, [c_void_p, c_char_p, c_char_p, c_size_t]),
    "TF_GraphToFunction": (
        c_void_p,
        [c_void_p, c_char_p, c_ubyte, *_NODES, *_OUTPUTS, *_OUTPUTS, _TEXTS, c_void_p, c_char_p, c_void_p],
    ),
    "TF_GraphCopyFunction": (None, [c_void_p, c_void_p, c_void_p, c_void_p]),
    "TF_DeleteFunction": (None, [c_void_p]),
}


class Library:
    """The bound functions, as attributes named as in TensorFlow's c_api.h."""

    def __init__(self) -> None:
        folder = tensorflow_folder()
        name = "libtensorflow_cc.2.dylib" if sys.platform == "darwin" else "libtensorflow_cc.so.2"
        path = str(folder / name)
        # Before the library reads them: no INFO chatter between the server's own lines.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
        # A CPU server: without this, a machine without a GPU is told so in red at each start.
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
        # Local symbols: with global ones a later `import tensorflow` in this process crashes.
        slow = ctypes.CDLL(path, mode=ctypes.RTLD_LOCAL)
        fast = ctypes.PyDLL(path, mode=ctypes.RTLD_LOCAL)
        for table, library in ((_SLOW, slow), (_FAST, fast)):
            for name, (result, arguments) in table.items():
                function = getattr(library, name)
                function.restype = result
                function.argtypes = arguments
                setattr(self, name, function)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{name} is not bound: add it to serving/engine/capi.py")


def use_onednn() -> None:
    """Switch oneDNN on unless the user has decided: nearly half the time an image on the processors measured.

    Only a process that serves calls this, before the library is loaded: its children inherit the choice, and a
    training's figures depend on it.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


@cache
def library() -> Library:
    """The loaded library, one for the process."""
    return Library()


class Status:
    """A TF_Status for the length of a `with` block, and one that raises `ServingError` when it holds an error."""

    def __enter__(self) -> Status:
        self.handle = library().TF_NewStatus()
        return self

    def check(self) -> None:
        """Raise what the last call reported, if it was an error."""
        code = library().TF_GetCode(self.handle)
        if code:
            message: bytes = library().TF_Message(self.handle)
            raise ServingError(CODES[code], message.decode("utf-8", "replace"))

    def __exit__(self, *_: object) -> None:
        library().TF_DeleteStatus(self.handle)

"""A descriptor pool of its own for these stubs.

The messages carry TensorFlow's full names, and protobuf's default pool refuses a second definition of a
name: with a private pool the stubs and TensorFlow's own live side by side in one process.
"""

from __future__ import annotations

from google.protobuf import any_pb2, descriptor_pool, wrappers_pb2

POOL = descriptor_pool.DescriptorPool()
for _known in (any_pb2, wrappers_pb2):
    POOL.AddSerializedFile(_known.DESCRIPTOR.serialized_pb)

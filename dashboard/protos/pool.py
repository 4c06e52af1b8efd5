"""A descriptor pool of its own for the dashboard's stubs.

The messages carry TensorFlow's full names, and protobuf's default pool refuses a second definition of a
name: with a private pool the stubs and TensorFlow's own live side by side in one process.
"""

from __future__ import annotations

from google.protobuf import descriptor_pool, wrappers_pb2

POOL = descriptor_pool.DescriptorPool()
POOL.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)

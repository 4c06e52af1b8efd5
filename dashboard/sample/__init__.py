"""An example workspace and database of any size, the same for the same seed: for tests, benchmarks and a look round.

    python -m dashboard.sample FOLDER --runs 200 --predictions 100000 --devices 500

The numbers in it are drawn, not measured; the files have the form that pipeline, registry and server write.
"""

from dashboard.sample.data_set import Size, picture
from dashboard.sample.field import field
from dashboard.sample.workspace import workspace

__all__ = ["Size", "field", "picture", "workspace"]

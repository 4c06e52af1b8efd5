"""The pipeline on Kubeflow Pipelines and Vertex AI: compiled by TFX, rewritten where neither could run it."""

"""The local course: one Jupyter server that serves the pages and JupyterLab together."""

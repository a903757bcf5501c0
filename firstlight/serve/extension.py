"""The course as a Jupyter Server extension: its routes, beside JupyterLab's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jupyter_server.extension.application import ExtensionApp
from tornado.web import RedirectHandler
from traitlets import Unicode

from firstlight.serve.handlers import OpenHandler, PageHandler
from firstlight.serve.workspace import Workspace


class CourseApp(ExtensionApp):
    """Serve the course at `/course/`; the folders come from the server's configuration."""

    name = "firstlight"
    extension_url = "/course/"
    site = Unicode(help="The folder of the built site.").tag(config=True)
    notebooks = Unicode(help="The folder of the course's notebooks.").tag(config=True)
    workspace = Unicode(help="The folder of the student's copies.").tag(config=True)

    def initialize_handlers(self) -> None:
        """Add the routes, the more particular one first."""
        folders = {
            "site": Path(self.site),
            "workspace": Workspace(Path(self.workspace), Path(self.notebooks)),
        }
        home = f"{self.settings['base_url']}course/"
        self.handlers.extend(
            [
                (r"/course", RedirectHandler, {"url": home}),
                (r"/course/open/([^/]+)", OpenHandler, folders),
                (r"/course/(.*)", PageHandler, folders),
            ]
        )


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    return [{"module": "firstlight.serve.extension", "app": CourseApp}]

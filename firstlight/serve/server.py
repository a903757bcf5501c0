"""The one Jupyter server: ours alone, quiet, local, and untouched by the user's own Jupyter."""

from __future__ import annotations

import os
import secrets
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

# jsonschema compiles a grammar of international addresses (0.8 s) if this package is there. No
# schema of the server asks for it, and the import is optional.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

import zmq  # noqa: E402
from jupyter_client.kernelspec import KernelSpecManager  # noqa: E402
from jupyter_server.serverapp import ServerApp  # noqa: E402
from traitlets.config import Config  # noqa: E402

from firstlight.serve.workspace import Workspace  # noqa: E402

LAB_SETTINGS = Path(__file__).parent / "lab"


class OwnKernel(KernelSpecManager):
    """Offer one kernel, this very Python, whatever kernels the user has registered."""

    def _kernel_dirs_default(self) -> list[str]:
        return []


class CourseServer(ServerApp):
    """A Jupyter server without the user's configuration, that stops at once on Ctrl-C."""

    no_browser_open_file = True  # we open the browser, and by a file of our own

    @property
    def config_file_paths(self) -> list[str]:
        """Nowhere: what the server needs is given to it."""
        return []

    def init_signal(self) -> None:
        """Stop quietly on the first signal, and whatever happens on the second."""
        signal.signal(signal.SIGINT, self._stop_quietly)
        signal.signal(signal.SIGTERM, self._stop_quietly)

    def _stop_quietly(self, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self.stop(from_signal=True)


def live_apart(workspace: Workspace) -> None:
    """Keep this process and its kernels off the user's own Jupyter files, and on this Python."""
    home = workspace.private / "jupyter"
    os.environ["JUPYTER_CONFIG_DIR"] = str(home / "config")
    os.environ["JUPYTER_DATA_DIR"] = str(home / "data")
    os.environ["JUPYTER_RUNTIME_DIR"] = str(home / "runtime")
    programs = str(Path(sys.executable).parent)  # so that `!python` in a cell is this one
    os.environ["PATH"] = os.pathsep.join([programs, os.environ.get("PATH", "")])


def make_server(site: Path, workspace: Workspace, port: int) -> CourseServer:
    """Prepare the server on 127.0.0.1 at `port`, or at the next one that is free."""
    server: CourseServer = CourseServer.instance(config=_configuration(site, workspace, port))
    server.initialize(argv=[], find_extensions=False)
    return server


def _configuration(site: Path, workspace: Workspace, port: int) -> Config:
    settings: dict[str, dict[str, Any]] = {
        "Application": {"log_level": "CRITICAL"},  # what goes wrong is shown in the browser
        "IdentityProvider": {"token": secrets.token_hex(24)},
        "ServerApp": {
            "ip": "127.0.0.1",
            "port": port,
            "port_retries": 50,
            "root_dir": str(workspace.folder),
            "default_url": "/course/",
            "open_browser": False,
            "allow_root": True,  # in a container there is nobody else
            "jpserver_extensions": {
                "firstlight.serve.extension": True,
                "jupyterlab": True,
                "jupyter_server_terminals": True,
            },
            "kernel_spec_manager_class": OwnKernel,
        },
        "CourseApp": {
            "site": str(site),
            "notebooks": str(workspace.originals),
            "workspace": str(workspace.folder),
        },
        "LabApp": {  # nothing here asks another host
            "app_settings_dir": str(LAB_SETTINGS),
            "check_for_updates_class": "jupyterlab.handlers.announcements.NeverCheckForUpdate",
            "extension_manager": "readonly",
            "extra_labextensions_path": [str(LAB_SETTINGS / "extensions")],
            "news_url": None,
        },
        "KernelManager": {
            "shutdown_wait_time": 1.0,  # a busy kernel must not hold up Ctrl-C
            "transport_encryption": "auto" if zmq.has("curve") else "disabled",
        },
    }
    return Config(settings)

// Go to the cell that the address names, as in /lab/tree/NAME.ipynb#cell-id=ID. JupyterLab knows such
// fragments in the links of a notebook, and forgets the one it was opened with.
//
// A JupyterLab extension by hand, in the form of a module federation container; nothing to build.
(() => {
  const { hash, pathname } = window.location; // read now: JupyterLab rewrites the address

  function goThere(widget) {
    const path = widget?.context?.path;
    if (!path || !decodeURIComponent(pathname).endsWith(`/${path}`)) return false;
    Promise.all([widget.context.ready, widget.revealed])
      .then(() => widget.setFragment(hash))
      .catch(console.warn);
    return true;
  }

  const plugin = {
    id: "firstlight-cell:plugin",
    autoStart: true,
    activate({ shell }) {
      if (!hash.startsWith("#cell-id=") || goThere(shell.currentWidget)) return;
      const onChange = (_, { newValue }) => {
        if (goThere(newValue)) shell.currentChanged.disconnect(onChange);
      };
      shell.currentChanged.connect(onChange);
    },
  };

  window._JUPYTERLAB = window._JUPYTERLAB ?? {};
  window._JUPYTERLAB["firstlight-cell"] = {
    init: () => {},
    get: async () => () => ({ __esModule: true, default: plugin }),
  };
})();

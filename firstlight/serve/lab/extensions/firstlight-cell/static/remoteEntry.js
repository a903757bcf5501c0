// Go to the cell that the address names, as in /lab/tree/NAME.ipynb#cell-id=ID. JupyterLab knows such
// fragments in the links of a notebook, and forgets the one it was opened with.
//
// A JupyterLab extension by hand, in the form of a module federation container; nothing to build.
(() => {
  const { hash, pathname } = window.location; // read now: JupyterLab rewrites the address
  const id = hash.startsWith("#cell-id=") ? hash.slice("#cell-id=".length) : "";
  const pause = () => new Promise((resolve) => setTimeout(resolve, 250));

  function isAsked(widget) {
    const path = widget?.context?.path;
    return Boolean(path) && decodeURIComponent(pathname).endsWith(`/${path}`);
  }

  function isInView(cell, notebook) {
    const [inner, outer] = [cell.node, notebook.node].map((node) => node.getBoundingClientRect());
    return inner.height > 0 && inner.top >= outer.top - 1 && inner.top < outer.bottom;
  }

  // A notebook is drawn bit by bit, and what is drawn above a cell moves it: look again until it stays.
  async function goThere({ content: notebook, context, revealed }) {
    await Promise.all([context.ready, revealed]);
    let moved = false; // by the student, who then has the last word
    for (const event of ["keydown", "pointerdown", "touchstart", "wheel"]) {
      window.addEventListener(event, () => { moved = true; }, { once: true, capture: true });
    }
    for (let seen = 0, looks = 0; !moved && seen < 4 && looks < 80; looks += 1) {
      const cell = notebook.widgets.find(({ model }) => model.id === id);
      if (!cell) return;
      seen = isInView(cell, notebook) ? seen + 1 : 0;
      if (!seen) await notebook.setFragment(hash);
      await pause();
    }
  }

  const plugin = {
    id: "firstlight-cell:plugin",
    autoStart: true,
    activate({ shell }) {
      const look = (widget) => {
        if (!isAsked(widget)) return;
        shell.currentChanged.disconnect(onChange);
        goThere(widget).catch(console.warn);
      };
      const onChange = (_, { newValue }) => look(newValue);
      if (!id) return;
      shell.currentChanged.connect(onChange);
      look(shell.currentWidget);
    },
  };

  window._JUPYTERLAB = window._JUPYTERLAB ?? {};
  window._JUPYTERLAB["firstlight-cell"] = {
    init: () => {},
    get: async () => () => ({ __esModule: true, default: plugin }),
  };
})();

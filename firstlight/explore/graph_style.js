// How explore.graph looks: values in the accent colour, gradients in amber, and never by colour alone.

export const GRAPH_CSS = `
.warn {
  margin: 0 0 0.7rem; padding: 0.5rem 0.8rem; border-left: 4px solid var(--amber);
  border-radius: 4px 8px 8px 4px; background: var(--glow); overflow-wrap: anywhere;
}
.said { margin: 0 0 0.6rem; }
.label { margin: 1rem 0 0.3rem; color: var(--muted); font-weight: 600; font-size: 0.87em; }
.small { margin: 0.5rem 0 0; color: var(--muted); font-size: 0.85rem; line-height: 1.45; }
.controls { display: flex; flex-wrap: wrap; gap: 0.5rem 0.6rem; align-items: center; }
.plain, .next, select {
  padding: 0.25rem 0.8rem; border: 1px solid var(--line); border-radius: 8px; background: none; cursor: pointer;
}
.next { border-color: var(--accent); background: var(--accent); color: var(--on-accent); font-weight: 600; }
.plain:hover { border-color: var(--accent); background: var(--wash); }
[aria-disabled="true"] { border-color: var(--line); background: none; color: var(--muted); cursor: default; }
.slide { display: flex; flex: 1 1 11rem; gap: 0.7rem; align-items: center; min-width: 0; }
.slide input { flex: 1; min-width: 4rem; accent-color: var(--accent); }
.where { color: var(--muted); font-size: 0.87em; font-variant-numeric: tabular-nums; white-space: nowrap; }
.told { min-height: 3.1em; margin: 0.7rem 0; overflow-wrap: anywhere; }
.told .why { color: var(--muted); }
.stage { display: grid; grid-template-columns: minmax(0, 1fr) minmax(16rem, 20rem); gap: 1rem; }
.graph { display: flex; flex-direction: column; min-width: 0; }
.pane, .panel { height: clamp(24rem, var(--tall), 35rem); overflow: auto; border: 1px solid var(--line); border-radius: 10px; }
.pane { display: grid; overscroll-behavior: contain; }
.panel { padding: 0.7rem 0.9rem; }
.view { display: flex; gap: 0.8rem; align-items: center; justify-content: space-between; margin-top: 0.5rem; }
.zoom { display: flex; gap: 0.4rem; align-items: center; font-size: 0.87em; }
.view select { max-width: 13rem; background: var(--paper); font-size: 0.87em; }
@media (max-width: 46rem) {
  .stage { grid-template-columns: minmax(0, 1fr); }
  .pane { height: min(26rem, 58vh, var(--tall)); }
  .panel { height: auto; min-height: 14rem; }
}
.room { place-self: center; position: relative; }
.sheet { position: relative; transform-origin: 0 0; }
.sheet svg { position: absolute; inset: 0; }
.edge .line { fill: none; stroke: var(--muted); stroke-width: 1.4; opacity: 0.65; }
.edge .forward { fill: var(--muted); }
.edge .backward { fill: var(--amber); display: none; }
.edge.constant .line { stroke-dasharray: 3 3; }
.edge.gone .line, .edge.flow .line { stroke: var(--amber); opacity: 1; }
.edge.flow .line { stroke-width: 3; }
.edge.gone .backward, .edge.flow .backward { display: inline; }
.edge.gone .forward, .edge.flow .forward { display: none; }
.box {
  position: absolute; display: flex; flex-direction: column; justify-content: center; padding: 0 0.5rem;
  border: 1.5px solid var(--line); border-radius: 10px; background: var(--paper); text-align: left;
  font-size: 0.8125rem; line-height: 1.3; cursor: pointer; scroll-margin: 4rem;
}
.box .head { display: flex; gap: 0.4em; align-items: baseline; min-width: 0; white-space: nowrap; }
.box .sign, .which .sign { font-family: var(--mono); font-weight: 700; }
.box .sign { overflow: hidden; text-overflow: ellipsis; }
.box .name { flex: 0 1 auto; min-width: 1.6em; overflow: hidden; color: var(--muted); font-family: var(--mono); text-overflow: ellipsis; }
.box .own { color: var(--ink); font-weight: 700; }
.box .shape { flex: none; margin-left: auto; color: var(--muted); font: 0.72rem var(--mono); }
.box .row { display: flex; gap: 0.5em; justify-content: space-between; font-family: var(--mono); font-size: 0.75rem; white-space: nowrap; }
.box i { color: var(--muted); font: italic 0.72rem system-ui, sans-serif; }
.box .number { overflow: hidden; text-overflow: ellipsis; }
.box .grad { min-height: 1.3em; }
.box .grad .number { color: var(--amber); font-weight: 700; }
.leaf:not([data-state="done"], [data-state="now"]) .grad .number { color: var(--ink); font-weight: 400; }
.leaf { border-radius: 22px; border-color: var(--accent); background: linear-gradient(var(--wash), var(--wash)), var(--paper); padding: 0 0.85rem; }
.constant.box { border-style: dashed; }
.box[data-state="done"], .box[data-state="ready"], .box[data-state="part"] { border-color: var(--amber); }
.box[data-state="part"] { border-style: dashed; }
.box[data-state="done"] { background: linear-gradient(var(--glow), var(--glow)), var(--paper); }
.box[data-state="now"], .box[data-state="error"] {
  border: 2.5px solid var(--amber); background: linear-gradient(var(--glow), var(--glow)), var(--paper);
}
.box[data-state="now"]::before, .box[data-state="error"]::before {
  content: "▸"; position: absolute; left: -0.85rem; color: var(--amber); font-size: 1rem;
}
.box[data-state="error"]::before { content: "✕"; }
.box[aria-current="true"] { box-shadow: 0 0 0 2.5px var(--accent); }
.box:focus-visible { outline-offset: 4px; border-radius: 12px; }
.from {
  position: absolute; width: 78px; height: 26px; padding: 0 0.4rem; border: 1px dashed var(--muted); border-radius: 99px;
  color: var(--muted); font: 0.75rem/1.5rem var(--mono); text-align: center; white-space: nowrap; overflow: hidden;
  text-overflow: ellipsis; cursor: pointer;
}
.which { margin: 0; font-size: 1.05rem; font-weight: 700; line-height: 1.35; overflow-wrap: anywhere; }
.which .muted { font-weight: 400; font-size: 0.85rem; }
section .part { margin: 0 0 0.15rem; font-size: 0.87rem; font-weight: 650; }
.part .muted { font-weight: 400; }
.because { margin: 0.25rem 0 0; font-size: 0.92rem; line-height: 1.45; }
section { margin-top: 0.75rem; padding-left: 0.65rem; border-left: 3px solid var(--accent); }
section.grad, section.pass { border-color: var(--amber); }
section p { margin: 0; }
section p.small { margin-top: 0.2rem; }
.single, .formula { font-family: var(--mono); font-size: 0.92rem; overflow-wrap: anywhere; }
.grad .single { color: var(--amber); font-weight: 700; }
.passed + .passed { margin-top: 0.5rem; }
.parts { margin: 0.15rem 0; padding-left: 1.1rem; font-size: 0.9rem; }
.addition { display: flex; flex-wrap: wrap; gap: 0.15rem 0.35rem; align-items: center; }
.raised { font-family: var(--mono); font-size: 0.85rem; overflow-wrap: anywhere; }
.link { padding: 0; border: 0; background: none; color: var(--accent); font-family: var(--mono); font-size: 0.92em; text-decoration: underline; cursor: pointer; }
.cells { margin: 0.2rem 0 0 -3px; border-spacing: 3px; font: 0.75rem var(--mono); font-variant-numeric: tabular-nums; }
.cells td { padding: 0.05rem 0.35rem; border: 1px solid var(--line); border-radius: 5px; background: var(--wash); text-align: right; white-space: nowrap; }
.grad .cells td, .pass .cells td { background: var(--glow); }
.cells .more { border: 0; background: none !important; color: var(--muted); text-align: center; }
.kinds { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.kinds th, .kinds td { padding: 0.15rem 1rem 0.15rem 0; text-align: left; font-weight: inherit; white-space: nowrap; }
.kinds td:last-child { text-align: right; }
.kinds .bar { width: 9rem; }
.kinds i { display: block; min-width: 3px; height: 0.6rem; border-radius: 3px; background: var(--accent); }
@media (max-width: 34rem) {
  .kinds .bar { display: none; }
  .kinds th, .kinds td { white-space: normal; overflow-wrap: anywhere; }
}
.leaves { margin: 0; padding-left: 1.2rem; font-family: var(--mono); font-size: 0.87em; }
`;

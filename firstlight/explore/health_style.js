// The looks of explore.health.

export const HEALTH_CSS = `
.note { margin: 0.45rem 0 0; color: var(--muted); font-size: 0.87em; }
.findings, .sound { margin: 0 0 0.9rem; padding: 0.55rem 0.9rem; border-radius: 4px 8px 8px 4px; list-style: none; }
.findings { border-left: 4px solid var(--amber); background: var(--glow); }
.sound { border-left: 4px solid var(--accent); background: var(--wash); }
.findings li + li { margin-top: 0.5rem; padding-top: 0.5rem; border-top: 1px solid var(--line); }
.findings li { overflow-wrap: anywhere; }
.sound p { margin: 0; }
.sound ul { margin: 0.25rem 0 0; padding-left: 1.1rem; }
.look { padding: 0 0.6rem; border: 1px solid var(--amber); border-radius: 999px; background: var(--paper); font-size: 0.87em; white-space: nowrap; cursor: pointer; }
.look::after { content: " ↓"; }
.look:hover { background: var(--glow); }
.panel { min-width: 0; margin: 0; }
.head { display: flex; flex-wrap: wrap; gap: 0.15rem 1rem; align-items: baseline; justify-content: space-between; margin-bottom: 0.15rem; }
.label { margin: 0; font-size: 0.87em; color: var(--muted); }
.label b { color: var(--ink); font-weight: 650; }
.loss { margin-bottom: 0.9rem; }
.loss .label { font-weight: 600; }
.loss .chart, .chosen .chart { cursor: ew-resize; touch-action: pan-y; }
.thread { stroke: var(--ink); stroke-opacity: 0.6; stroke-dasharray: 3 3; }
.band { fill: var(--run, var(--accent)); fill-opacity: 0.13; }
.cross { stroke: var(--run); stroke-width: 2.5; }
.chart .lost { fill: var(--ink); font-weight: 650; stroke: var(--paper); stroke-width: 4; paint-order: stroke; }
.pickers { display: flex; flex-wrap: wrap; gap: 0.45rem 1.1rem; margin-bottom: 0.5rem; }
.key { display: flex; flex-wrap: wrap; gap: 0.1rem 1rem; margin: 0 0 0.4rem; color: var(--muted); font-size: 0.82em; }
.sample::before { content: ""; display: inline-block; width: 22px; height: 12px; margin-right: 0.4em; vertical-align: -1px; }
.sample.rule::before { width: 26px; height: 0; border-radius: 0; border-top: 2px dashed var(--amber); vertical-align: 4px; }
.sample.zero::before { background: repeating-linear-gradient(135deg, var(--muted) 0 1px, transparent 1px 5px); }
.sample.none::before { height: 0; border-top: 2px dotted var(--muted); vertical-align: 2px; }
.sample.lost::before { background: repeating-linear-gradient(45deg, var(--amber) 0 1.5px, transparent 1.5px 5px), repeating-linear-gradient(135deg, var(--amber) 0 1.5px, transparent 1.5px 5px); }
.views { --values: 5.2rem; }
.map { display: grid; gap: 2px; }
.row, .bar .track { display: grid; grid-template-columns: var(--names) minmax(0, 1fr) var(--values); gap: 0 0.7rem; align-items: center; border-radius: 6px; cursor: pointer; }
.row .name { min-width: 0; padding-left: 0.45rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; font-size: 0.87em; line-height: 1.3; border-left: 3px solid transparent; }
.row .tag { margin-left: 0.5em; color: var(--muted); font-size: 0.92em; }
.row .value { line-height: 1.3; padding-right: 0.3rem; text-align: right; font-size: 0.87em; font-variant-numeric: tabular-nums; white-space: nowrap; }
.loud { color: var(--amber); font-weight: 700; }
.row:hover { background: var(--wash); }
.row[aria-selected="true"] { background: var(--wash); }
.row[aria-selected="true"] .name { border-left-color: var(--accent); font-weight: 650; }
.row[aria-selected="true"] .tag { font-weight: 400; }
.strip { position: relative; height: 28px; cursor: ew-resize; touch-action: pan-y; border-bottom: 1px solid var(--line); }
.strip canvas { display: block; width: 100%; height: 100%; }
.strip::after { content: ""; position: absolute; top: 0; bottom: 0; left: var(--at); width: 2px; margin-left: -1px; background: var(--ink); box-shadow: 0 0 0 1px var(--paper); }
.bar { position: sticky; bottom: 0; z-index: 3; padding: 0.1rem 0 0.5rem; background: var(--paper); }
.bar .line { display: flex; flex-wrap: wrap; gap: 0.3rem 0.9rem; align-items: center; justify-content: space-between; }
.where { font-variant-numeric: tabular-nums; }
.keys { color: var(--muted); font-size: 0.85em; }
kbd { font: inherit; border: 1px solid var(--line); border-radius: 4px; padding: 0 0.3em; }
@media (pointer: coarse) and (hover: none) { .keys { display: none; } }
.bar .track .slider { grid-column: 2; width: calc(100% - 100% / var(--steps) + 16px); margin-left: calc(50% / var(--steps) - 8px); }
.slider { display: block; height: 26px; margin: 0 0 0.15rem; appearance: none; -webkit-appearance: none; background: none; cursor: pointer; }
.slider:focus-visible { outline: none; }
.slider:focus-visible::-webkit-slider-thumb { box-shadow: 0 0 0 3px var(--paper), 0 0 0 6px var(--accent); }
.slider:focus-visible::-moz-range-thumb { box-shadow: 0 0 0 3px var(--paper), 0 0 0 6px var(--accent); }
.slider::-webkit-slider-runnable-track { height: 4px; border-radius: 2px; background: linear-gradient(90deg, var(--accent) var(--at), var(--line) var(--at)); }
.slider::-moz-range-track { height: 4px; border-radius: 2px; background: linear-gradient(90deg, var(--accent) var(--at), var(--line) var(--at)); }
.slider::-webkit-slider-thumb { appearance: none; -webkit-appearance: none; width: 16px; height: 16px; margin-top: -6px; border: 0; border-radius: 50%; background: var(--accent); box-shadow: 0 0 0 3px var(--paper); }
.slider::-moz-range-thumb { width: 16px; height: 16px; border: 0; border-radius: 50%; background: var(--accent); box-shadow: 0 0 0 3px var(--paper); }
.chosen { margin-top: 0.5rem; }
.run.mine { stroke-width: 2.2; }
.run.other { stroke: var(--muted); stroke-opacity: 0.4; stroke-width: 1.2; }
.rule { stroke: var(--amber); stroke-width: 1.5; stroke-dasharray: 6 4; }
.says { color: var(--muted); font-size: 0.82em; }
.numbers { display: flex; flex-wrap: wrap; gap: 0.2rem 1.6rem; margin: 0.2rem 0 0; font-variant-numeric: tabular-nums; }
.numbers dt { color: var(--muted); font-size: 0.82em; }
.numbers dd { margin: 0; }
@media (max-width: 34rem) {
  .pickers legend { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .bar .track { grid-template-columns: minmax(0, 1fr); }
  .bar .track .slider { grid-column: 1; }
  .row { grid-template-columns: minmax(0, 1fr) auto; padding-top: 0.15rem; }
  .row .strip { grid-row: 2; grid-column: 1 / -1; }
  .row .value { grid-row: 1; grid-column: 2; }
  .numbers { gap: 0.3rem 1.1rem; }
  .keys { display: none; }
}
`;

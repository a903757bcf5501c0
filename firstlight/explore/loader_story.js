// The epochs of a loader, unpacked: which examples a batch holds, and where an example lies.
//
// ids: the examples that the picture knows; per epoch `often` says how many times each comes, `draws`
// where (its first few places, counted over the epoch), `rows` which examples the kept batches hold.

const KINDS = { u1: Uint8Array, u2: Uint16Array, i4: Int32Array, f8: Float64Array };
const SHOWN = 64;  // examples of one batch
const PLACES = 6;  // of one example in an epoch

export const count = (number) => number.toLocaleString("en-US");

export const counted = (number, thing) => `${count(number)} ${thing}${number === 1 ? "" : thing.endsWith("ch") ? "es" : "s"}`;

// Returns the data, and
//   epochs             of each: batches, draws, dropped, droppedCount, start(batch), length(batch),
//                      row(batch) -> ids or null where it isn't kept, counts(batch), where(id) ->
//                      [{ draw, batch, place }], often(id)
//   knows(id)          whether the picture can tell where an example lies
//   nearest(id)        the known example with the nearest number
//   label(id)          its class, or null
export function readStory(data, decode) {
  const unpack = ({ kind, bytes }) => new KINDS[kind](decode(bytes).buffer);
  const ids = unpack(data.ids);
  const at = new Map(Array.from(ids, (id, place) => [id, place]));
  const ranks = data.ranks && unpack(data.ranks);
  return {
    ...data,
    ids,
    epochs: data.epochs.map((epoch) => readEpoch(epoch, data.kept, at, unpack)),
    total: Math.max(...data.epochs.map(({ sizes }) => sizes.reduce((sum, [, times]) => sum + times, 0))),
    knows: (id) => at.has(id),
    nearest: (wanted) => ids.reduce((best, id) => (Math.abs(id - wanted) < Math.abs(best - wanted) ? id : best), ids[0]),
    label: (id) => (ranks && ranks[at.get(id)] ? data.classes[ranks[at.get(id)] - 1] : null),
  };
}

function readEpoch({ sizes, rows, counts, often, draws, ...rest }, kept, at, unpack) {
  const starts = [0];
  for (const [size, times] of sizes) {
    for (let time = 0; time < times; time++) starts.push(starts[starts.length - 1] + size);
  }
  const length = (batch) => starts[batch + 1] - starts[batch];
  const batchRows = readRows(unpack(rows), kept.filter((batch) => batch < starts.length - 1), length);
  const [times, places] = [unpack(often), unpack(draws)];
  const firsts = offsets(times);
  const locate = (draw) => {
    const batch = batchOf(starts, draw);
    return { draw, batch, place: draw - starts[batch] };
  };
  return {
    ...rest,
    batches: starts.length - 1,
    draws: starts[starts.length - 1],
    start: (batch) => starts[batch],
    length,
    batchAt: (draw) => batchOf(starts, draw),
    row: (batch) => batchRows.get(batch) ?? null,
    counts: (batch) => counts[kept.indexOf(batch)] ?? null,
    often: (id) => times[at.get(id)] ?? 0,
    where: (id) => {
      const own = at.get(id);
      return own === undefined ? [] : Array.from(places.subarray(firsts[own], firsts[own + 1]), locate);
    },
  };
}

function readRows(values, kept, length) {
  const rows = new Map();
  let from = 0;
  for (const batch of kept) {
    const to = from + Math.min(SHOWN, length(batch));
    rows.set(batch, Array.from(values.subarray(from, to)));
    from = to;
  }
  return rows;
}

function offsets(times) {
  const found = [0];
  times.forEach((time, place) => found.push(found[place] + Math.min(PLACES, time)));
  return found;
}

// The batch that holds the draw of this number, the last batch for one behind the end.
function batchOf(starts, draw) {
  let [low, high] = [0, Math.max(0, starts.length - 2)];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (starts[middle] <= draw) low = middle;
    else high = middle - 1;
  }
  return low;
}

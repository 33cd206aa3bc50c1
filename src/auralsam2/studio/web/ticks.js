// Ticks of a session to go to, and those that an export lacks.

/** What an export would contain: frames with a mask of a shown object, all frames, and objects out of date. */
export function coverage(session) {
  const shown = session.state.objects.filter((object) => !object.hidden);
  const covered = session.times.filter((_, tick) => shown.some((object) => session.covered(object.number, tick)));
  return { masks: covered.length, frames: session.times.length, stale: shown.filter((object) => object.stale) };
}

/** The first tick of an interval that begins at a time: the first picture at or after it, or the one shown then. */
export function firstTick(session, seconds) {
  const { times, state } = session;
  const at = session.tickAt(seconds);
  const next = Math.min(times.length - 1, at + 1);
  return times[at] < seconds - 1e-4 && times[next] < seconds + 1 / state.fps ? next : at;
}

/** Ticks with prompts, of the selected object if there is one. */
export function promptedTicks(session) {
  const all = session.object(session.chosen) === null;
  return session.state.prompts.filter(({ object }) => all || object === session.chosen).map(({ tick }) => tick);
}

/** Ticks at which a sounding interval begins, of the selected object if there is one. */
export function soundingTicks(session) {
  const chosen = session.object(session.chosen);
  const objects = chosen ? [chosen] : session.state.objects;
  return objects.flatMap(({ intervals }) => intervals.map(([start]) => firstTick(session, start)));
}

/** Ticks without a mask of a shown object, and those whose masks are older than the prompts of their object. */
export function outdatedTicks(session) {
  const shown = session.state.objects.filter((object) => !object.hidden);
  const prompted = new Set(session.state.prompts.map(({ object, tick }) => `${object}/${tick}`));
  const outdated = ({ number, stale }, tick) =>
    !session.covered(number, tick) || (stale && !prompted.has(`${number}/${tick}`));
  return [...session.times.keys()].filter((tick) => shown.some((object) => outdated(object, tick)));
}

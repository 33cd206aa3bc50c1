// Commands for the selected object that need more than one message, or an answer in words.

import { note } from "./toast.js";

/** Copy the mask of the selected object to the next frame, and go there. */
export async function copyOn(session) {
  const { chosen: object, tick } = session;
  if (!session.object(object) || tick + 1 >= session.times.length) return;
  if (await session.ask({ do: "copy", object, tick, to: tick + 1 })) session.seek(tick + 1);
}

/** Declare the selected object absent from the displayed frame, or from the in to the out point. */
export function declareAbsent(session) {
  const { chosen: object, tick } = session;
  if (!session.object(object)) return;
  const [first, last] = session.marked ? session.range : [tick, tick];
  session.ask({ do: "absent", object, tick: first, last });
}

/** Split a mask into objects by connected components. */
export async function splitParts(session, object) {
  const answer = await session.ask({ do: "split", object, tick: session.tick });
  if (answer && !answer.made?.length) note("This mask is all in one piece.");
}

/** Make an object of each sounding source in the masks of an object. */
export function separateSources(session, object) {
  return session.start({ do: "separate", object });
}

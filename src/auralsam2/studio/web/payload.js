// Decodes a mask of the server: a header of 32 bytes, then deflated 8-bit logits.

const MAGIC = 0x314d5541; // "AUM1"
const HEADER = 32;

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Int8Array(await new Response(stream).arrayBuffer());
}

/**
 * The mask in an ArrayBuffer.
 *
 * @returns {object, tick, height, width, scale, iou, score, sounding, q}: the logit of a cell is q * scale.
 */
export async function decode(buffer) {
  const view = new DataView(buffer);
  if (buffer.byteLength < HEADER || view.getUint32(0, true) !== MAGIC) {
    throw new Error("A mask came in an unknown form: reload the page.");
  }
  const mask = {
    object: view.getUint32(4, true),
    tick: view.getUint32(8, true),
    height: view.getUint16(12, true),
    width: view.getUint16(14, true),
    scale: view.getFloat32(16, true),
    iou: view.getFloat32(20, true),
    score: view.getFloat32(24, true),
    sounding: (view.getUint32(28, true) & 1) === 1,
    q: await inflate(buffer.slice(HEADER)),
  };
  if (mask.q.length !== mask.height * mask.width) throw new Error("A mask came incomplete: reload the page.");
  return mask;
}

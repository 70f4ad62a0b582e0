// The arithmetic of the page: layers, convolutions, sums in every order, distances in ULPs.

// An array as the library packs it: its shape and float32 bytes in base64.
export function unpack({ shape, f32 }) {
  const bytes = Uint8Array.from(atob(f32), (char) => char.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const data = Float64Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
  return { shape, data };
}

// A layer with accessors; `source` is a worked example or the user's layer.
export function layerOf(source) {
  const w = unpack(source.w),
    b = unpack(source.b),
    x = unpack(source.x);
  const [N, K] = w.shape;
  return {
    N,
    K,
    P: x.shape[0],
    grid: source.grid,
    source,
    allN: source.n ?? N,
    allK: source.k ?? K,
    w: (n, k) => w.data[n * K + k],
    b: (n) => b.data[n],
    x: (p, k) => x.data[p * K + k],
    rest: (p, n) => source.rest?.[p][n] ?? 0,
    topW: w.data.reduce((a, v) => Math.max(a, Math.abs(v)), 0),
    topX: x.data.reduce((a, v) => Math.max(a, Math.abs(v)), 0),
  };
}

export const relu = (v) => Math.max(0, v);

// y[n] = sum over k of w[n][k] x[k] + b[n], in the order of k.
export function linear(w, b, x) {
  return w.map((row, n) => row.reduce((sum, weight, k) => sum + weight * x[k], 0) + b[n]);
}

// A convolution without padding, stride 1: x[c][h][w], kernels[n][c][i][j] → y[n][h][w].
export function conv2d(kernels, b, x) {
  const [C, H, W] = [x.length, x[0].length, x[0][0].length];
  const [kh, kw] = [kernels[0][0].length, kernels[0][0][0].length];
  return kernels.map((kernel, n) =>
    Array.from({ length: H - kh + 1 }, (_, r) =>
      Array.from({ length: W - kw + 1 }, (_, q) => {
        let sum = 0;
        for (let c = 0; c < C; c++)
          for (let i = 0; i < kh; i++)
            for (let j = 0; j < kw; j++) sum += kernel[c][i][j] * x[c][r + i][q + j];
        return sum + b[n];
      }),
    ),
  );
}

// A flat array as [C][rows][columns].
export const fold = (flat, C, rows, columns) =>
  Array.from({ length: C }, (_, c) =>
    Array.from({ length: rows }, (_, i) =>
      Array.from({ length: columns }, (_, j) => flat[(c * rows + i) * columns + j]),
    ),
  );

// Seeded random numbers in [0, 1): mulberry32.
export function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

// The sum of float64 numbers, correctly rounded: Shewchuk's partials, as Python's math.fsum.
export function exactSum(values) {
  const partials = [];
  for (let x of values) {
    let i = 0;
    for (let y of partials) {
      if (Math.abs(x) < Math.abs(y)) [x, y] = [y, x];
      const high = x + y;
      const low = y - (high - x);
      if (low) partials[i++] = low;
      x = high;
    }
    partials.length = i;
    partials.push(x);
  }
  let n = partials.length - 1;
  let high = partials[n] ?? 0;
  let low = 0;
  while (n > 0) {
    const x = high;
    const y = partials[--n];
    high = x + y;
    low = y - (high - x);
    if (low) break;
  }
  if (n > 0 && ((low < 0 && partials[n - 1] < 0) || (low > 0 && partials[n - 1] > 0))) {
    const twice = low * 2;
    const x = high + twice;
    if (twice === x - high) high = x;
  }
  return high;
}

// Sums of products in a format: `round` is Math.fround, or the identity for float64.
export function sumInOrder(products, round) {
  let sum = 0;
  for (const product of products) sum = round(sum + round(product));
  return sum;
}
export function sumInLanes(products, round, lanes) {
  const sums = Array.from({ length: lanes }, (_, lane) =>
    sumInOrder(
      products.filter((_, k) => k % lanes === lane),
      round,
    ),
  );
  return sumInOrder(sums, round);
}
export function sumInPairs(products, round) {
  if (products.length <= 2) return sumInOrder(products, round);
  const half = products.length >> 1;
  return round(sumInPairs(products.slice(0, half), round) + sumInPairs(products.slice(half), round));
}

// Distance in units in the last place: neighbouring floats are one apart.
const buffer = new DataView(new ArrayBuffer(8));
export function ordinal32(value) {
  buffer.setFloat32(0, value);
  const bits = buffer.getInt32(0);
  return bits < 0 ? -(bits & 0x7fffffff) : bits;
}
export function ordinal64(value) {
  buffer.setFloat64(0, value);
  const bits = buffer.getBigInt64(0);
  return bits < 0n ? -(bits & 0x7fffffffffffffffn) : bits;
}
export const ulps32 = (a, b) => ordinal32(a) - ordinal32(b);
export const ulps64 = (a, b) => Number(ordinal64(a) - ordinal64(b));
export function bits32(value) {
  buffer.setFloat32(0, value);
  return buffer.getUint32(0).toString(16).padStart(8, "0");
}

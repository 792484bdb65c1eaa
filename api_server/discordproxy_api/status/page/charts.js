// Small charts as inline SVG.
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 560, HEIGHT = 176, LEFT = 46, BOTTOM = 26, TOP = 8;

function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// The next larger of 1, 2, 5, 10, 20, 50 ...: axes end at round numbers.
export function ceiling(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

function frame(label, top, format, seconds) {
  const y = (share) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - share);
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label });
  for (const share of [0, 0.5, 1]) {
    picture.append(
      svg("line", { class: "grid", x1: LEFT, x2: WIDTH, y1: y(share), y2: y(share) }),
      svg("text", { x: LEFT - 6, y: y(share) + 4, "text-anchor": "end" }, format(top * share)),
    );
  }
  const minutes = Math.round(seconds / 60);
  picture.append(
    svg("text", { x: LEFT, y: HEIGHT - 4 }, `${minutes} min ago`),
    svg("text", { x: WIDTH, y: HEIGHT - 4, "text-anchor": "end" }, "now"),
  );
  return { picture, y: (value) => y(Math.min(1, value / top)) };
}

function hovers(picture, count, title) {
  const width = (WIDTH - LEFT) / count;
  for (let i = 0; i < count; i++) {
    const place = { class: "hover", x: LEFT + i * width, y: TOP, width, height: HEIGHT - TOP - BOTTOM };
    picture.append(svg("rect", place, svg("title", {}, title(i))));
  }
}

// The class of a series' colour: eight colours, and one for the sum of the others.
const colour = (kind, index, rest) => (rest ? `${kind}rest` : `${kind}${index % 8}`);

// series: [{name, values, rest}], drawn on top of each other, the first one at the bottom.
export function stacked(series, { label, format, seconds, title }) {
  const count = series.length ? series[0].values.length : 60;
  const totals = Array.from({ length: count }, (_, i) => series.reduce((sum, one) => sum + one.values[i], 0));
  const top = ceiling(Math.max(...totals, 0));
  const { picture, y } = frame(label, top, format, seconds);
  const width = (WIDTH - LEFT) / count;
  const base = new Array(count).fill(0);
  series.forEach(({ values, rest }, index) => {
    values.forEach((value, i) => {
      if (value > 0) {
        const from = y(base[i]), to = y(base[i] + value);
        const place = { x: LEFT + i * width + 0.5, width: width - 1, y: to, height: Math.max(0.5, from - to) };
        picture.append(svg("rect", { class: colour("f", index, rest), rx: 1, ...place }));
      }
      base[i] += value;
    });
  });
  hovers(picture, count, title);
  return picture;
}

// series: [{name, values}], null values are gaps.
export function lines(series, { label, format, seconds, title }) {
  const count = series[0].values.length;
  const top = ceiling(Math.max(...series.flatMap((one) => one.values.map((value) => value ?? 0))));
  const { picture, y } = frame(label, top, format, seconds);
  const width = (WIDTH - LEFT) / count;
  series.forEach(({ values }, index) => {
    let path = "", drawing = false;
    values.forEach((value, i) => {
      if (value === null) { drawing = false; return; }
      const x = (LEFT + (i + 0.5) * width).toFixed(1), at = y(value).toFixed(1);
      const alone = values[i - 1] == null && values[i + 1] == null;
      path += drawing ? `L${x} ${at}` : alone ? `M${x - 2} ${at}h4` : `M${x} ${at}`;
      drawing = true;
    });
    picture.append(svg("path", { class: `line s${index}`, d: path || "M0 0" }));
  });
  hovers(picture, count, title);
  return picture;
}

export function spark(values, index, label) {
  const top = Math.max(...values, 1), step = 96 / Math.max(1, values.length - 1);
  const points = values.map((value, i) => `${(i * step).toFixed(1)} ${(23 - (21 * value) / top).toFixed(1)}`);
  return svg("svg", { viewBox: "0 0 96 24", role: "img", "aria-label": label },
    svg("path", { class: `f${index % 8} soft`, d: `M0 23L${points.join("L")}L96 23Z` }),
    svg("path", { class: `line s${index % 8}`, d: `M${points.join("L")}`, "stroke-width": 1.5 }));
}

// series: [{name, rest}]; kind: `line` for a chart of lines.
export function legend(series, kind) {
  const list = document.createElement("div");
  list.className = "legend";
  series.forEach(({ name, rest }, index) => {
    const mark = svg("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" },
      svg("rect", { class: colour("f", index, rest), width: 10, height: kind === "line" ? 3 : 10, y: kind === "line" ? 4 : 0, rx: 1.5 }));
    const item = document.createElement("span");
    item.append(mark, name);
    list.append(item);
  });
  return list;
}

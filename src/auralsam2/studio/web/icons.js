// The icons: lines on a square of 24, drawn in the colour of the text.

const SVG = "http://www.w3.org/2000/svg";

const SHAPES = {
  logo: "M4 12a8 8 0 0 1 8-8M4 12a8 8 0 0 0 8 8M8 12a4 4 0 0 1 4-4M8 12a4 4 0 0 0 4 4M12 12h.01M16 5v14M20 9v6",
  home: "M4 11l8-7 8 7M6 9.5V20h4v-6h4v6h4V9.5",
  play: "!M8 5.2v13.6L19 12z",
  pause: "!M7 5h3.6v14H7zM13.4 5H17v14h-3.6z",
  previous: "M15 6l-6 6 6 6",
  next: "M9 6l6 6-6 6",
  first: "M17 6l-6 6 6 6M7 6v12",
  last: "M7 6l6 6-6 6M17 6v12",
  sound: "M4 9.5v5h3.5L12 19V5L7.5 9.5zM15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11",
  muted: "M4 9.5v5h3.5L12 19V5L7.5 9.5zM16 9.5l5 5M21 9.5l-5 5",
  undo: "M8 5L4 9l4 4M4 9h10a5.5 5.5 0 0 1 0 11h-3",
  redo: "M16 5l4 4-4 4M20 9H10a5.5 5.5 0 0 0 0 11h3",
  add: "M12 4v4.5M12 15.5V20M4 12h4.5M15.5 12H20M12 12h.01",
  remove: "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17M8 12h8",
  box: "M4 8V4h4M16 4h4v4M20 16v4h-4M8 20H4v-4M11 4h2M11 20h2M4 11v2M20 11v2",
  brush: "M20 4c-5 2-9 6-11 9.5l2 2C14.5 13.5 18 9 20 4zM8.5 14.5c-3 0-3 3-5 4.5 3 1.5 7 .8 7-2.5z",
  plus: "M12 5v14M5 12h14",
  eye: "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12zM12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6",
  hidden: "M4 4l16 16M9.5 6c.8-.3 1.6-.5 2.5-.5 6 0 9.5 6.5 9.5 6.5s-.9 1.7-2.5 3.3M6 7.800C3.7 9.5 2.5 12 2.5 12S6 18.5 12 18.5c1.400 0 2.7-.3 3.800-.9",
  bin: "M4.5 7h15M9.5 7V4.5h5V7M6.5 7l.8 12.5h9.400L17.5 7M10 11v5M14 11v5",
  pen: "M4 20l1-4L16 5l3 3L8 19zM14 7l3 3",
  sides: "M4 5h16v14H4zM12 5v14",
  export: "M12 15V4M7.5 8L12 3.800 16.5 8M5 14v5.5h14V14",
  upload: "M12 16V5M7 9.5L12 4.5 17 9.5M4 15v3a2 2 0 0 0 2 2h12a2 2 0 0 0 2-2v-3",
  download: "M12 4v11M7.5 11L12 15.200 16.5 11M5 16v3.5h14V16",
  theme: "M12 3.5a8.5 8.5 0 1 0 0 17zM12 3.5a8.5 8.5 0 0 1 0 17",
  help: "M9 9.5a3 3 0 1 1 4.5 2.6c-1 .6-1.5 1.200-1.5 2.400M12 18h.01",
  close: "M6 6l12 12M18 6L6 18",
  listen: "M3 12h2M7 8v8M11 4.5v15M15 7.5v9M19 10v4",
  track: "M4 12h12M12 7l5 5-5 5M20 5v14",
  split: "M5 5h5v5H5zM14 14h5v5h-5zM14 5l5 5M19 5l-5 5M5 14l5 5M10 14l-5 5",
  clear: "M7 20h13M4.5 14.5l9-9 6 6-8.5 8.5H9z",
  film: "M4 5h16v14H4zM8 5v14M16 5v14M4 9.5h4M4 14.5h4M16 9.5h4M16 14.5h4",
  solo: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 3v2M12 19v2M3 12h2M19 12h2",
  pin: "M12 21s-6-5.5-6-10.500a6 6 0 0 1 12 0C18 15.5 12 21 12 21zM12 8.5a2 2 0 1 0 0 4 2 2 0 0 0 0-4",
  eraser: "M8 20h12M5 15l9-10 6 5-8.500 10H8z",
  lasso: "M12 4c-5 0-8.500 2.500-8.500 6s3.500 6 8.500 6 8.500-2.500 8.500-6S17 4 12 4zM7 15c-1.500 1-1 3.500 1 3.500s2 2-.500 2.500",
  polygon: "M5 9l8-5 7 7-4 8H7zM5 9h.01M13 4h.01M20 11h.01M16 19h.01M7 19h.01",
  copy: "M8 8h12v12H8zM4 16V4h12",
  absent: "M12 3.500a8.500 8.500 0 1 0 0 17 8.500 8.500 0 0 0 0-17M6 18L18 6",
  check: "M5 12.5l4.500 4.500L19 7.500",
  spectrum: "M5 19V9M9 19V5M13 19v-8M17 19V7M21 19v-4",
  loop: "M17 3l3 3-3 3M20 6H8a4 4 0 0 0-4 4v1M7 21l-3-3 3-3M4 18h12a4 4 0 0 0 4-4v-1",
  list: "M9 6h11M9 12h11M9 18h11M4.5 6h.01M4.5 12h.01M4.5 18h.01",
  more: "M6 9.5l6 6 6-6",
};

/** An icon; shapes that start with ! are filled. */
export function icon(name) {
  const filled = SHAPES[name].startsWith("!");
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", filled ? "icon filled" : "icon");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", SHAPES[name].replace("!", ""));
  svg.append(path);
  return svg;
}

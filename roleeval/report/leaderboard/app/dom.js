// Builds elements. Every text goes in as a text node, every link stays in the page: nothing that a model wrote is markup.
"use strict";
const RE = {};

(() => {
  // Characters that turn text around, take no place or drive terminals are shown by their number.
  // U+200C and U+200D stay: Persian and emoji need them.
  const HIDDEN =
    /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff]|\udb40[\udc00-\udc7f]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
  const code = (c) => `⟨U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`;
  RE.visible = (text) => {
    const string = String(text);
    HIDDEN.lastIndex = 0;
    return HIDDEN.test(string) ? string.replace(HIDDEN, code) : string;
  };

  const ATTRIBUTES = new Set([
    "class",
    "id",
    "title",
    "type",
    "name",
    "value",
    "for",
    "role",
    "tabindex",
    "dir",
    "lang",
    "colspan",
    "scope",
    "placeholder",
    "min",
    "max",
    "step",
    "rows",
    "open",
    "hidden",
    "disabled",
    "checked",
    "selected",
    "readonly",
    "href",
    "download",
    "x",
    "y",
    "x1",
    "x2",
    "y1",
    "y2",
    "cx",
    "cy",
    "r",
    "width",
    "height",
    "viewBox",
    "autocomplete",
    "multiple",
  ]);
  const NAMESPACE = "http://www.w3.org/2000/svg";

  const set = (node, name, value) => {
    if (value === undefined || value === null || value === false) return;
    if (name === "on") {
      for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler);
    } else if (name === "data") {
      for (const [key, text] of Object.entries(value)) node.dataset[key] = text;
    } else if (name === "href" && !/^#|^blob:/.test(value)) {
      throw new Error(`a link out of the page: ${value}`);
    } else if (ATTRIBUTES.has(name) || name.startsWith("aria-")) {
      const text = value === true ? "" : String(value);
      node.setAttribute(name, name === "title" || name === "aria-label" ? RE.visible(text) : text);
    } else {
      throw new Error(`not an attribute that this page sets: ${name}`);
    }
  };
  const fill = (node, kids) => {
    for (const kid of kids.flat(Infinity)) {
      if (kid === undefined || kid === null || kid === false || kid === "") continue;
      node.append(kid instanceof Node ? kid : document.createTextNode(RE.visible(kid)));
    }
    return node;
  };
  const make =
    (create) =>
    (tag, attributes, ...kids) => {
      const node = create(tag);
      for (const [name, value] of Object.entries(attributes || {})) set(node, name, value);
      return fill(node, kids);
    };

  // An element: RE.el("a", {href: "#/"}, "text", child, [more]).
  RE.el = make((tag) => document.createElement(tag));
  RE.svg = make((tag) => document.createElementNS(NAMESPACE, tag));
  RE.replace = (node, ...kids) => {
    node.replaceChildren();
    return fill(node, kids);
  };

  // A picture of this folder's.
  RE.picture = (file, words) => {
    if (!/^plots\/p[0-9]+\.svg$/.test(file)) throw new Error(`not a picture of this folder: ${file}`);
    const image = RE.el("img", {});
    image.alt = RE.visible(words);
    image.loading = "lazy";
    image.src = file;
    return image;
  };

  // A link to a view: RE.link(["run", "coser", "base"], {metric: "x"}) is "#/run/coser/base?metric=x".
  RE.link = (path, query) => {
    const parts = path.map((part) => encodeURIComponent(part));
    const search = new URLSearchParams(
      Object.entries(query || {}).filter(([, value]) => value !== undefined && value !== null && value !== ""),
    ).toString();
    return `#/${parts.join("/")}${search ? `?${search}` : ""}`;
  };
  RE.route = (hash) => {
    const [path, search] = hash.replace(/^#\/?/, "").split("?", 2);
    const decode = (part) => {
      try {
        return decodeURIComponent(part);
      } catch {
        return part;
      }
    };
    return {
      path: path
        .split("/")
        .filter((part) => part !== "")
        .map(decode),
      query: Object.fromEntries(new URLSearchParams(search || "")),
    };
  };
  // The same view with other options.
  RE.here = (changes, { replace = false } = {}) => {
    const { path, query } = RE.route(location.hash);
    const hash = RE.link(path, { ...query, ...changes });
    if (replace) history.replaceState(null, "", hash);
    else location.hash = hash;
  };
})();

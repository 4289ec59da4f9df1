// Loads the data scripts below data/, and forgets those that were not looked at for longest.
"use strict";

(() => {
  const KEPT = 40e6; // characters of data kept
  const loaded = new Map(); // name -> {value, size}, the one looked at last at the end
  const waiting = new Map(); // name -> {promise, done, failed}
  let size = 0;

  const policy = window.trustedTypes
    ? trustedTypes.createPolicy("roleeval", {
        createScriptURL: (url) => {
          if (!/^data\/[a-z0-9/]+\.js$/.test(url)) throw new Error(`not a data script: ${url}`);
          return url;
        },
      })
    : { createScriptURL: (url) => url };

  window.roleevalData = (name, text) => {
    const one = waiting.get(name);
    if (!one) return;
    waiting.delete(name);
    try {
      const value = JSON.parse(text);
      loaded.set(name, { value, size: text.length });
      size += text.length;
      forget();
      one.done(value);
    } catch (error) {
      one.failed(new Error(`data/${name}.js is damaged (${error.message}); build the site again`));
    }
  };

  const forget = () => {
    for (const [name, one] of loaded) {
      if (size <= KEPT || loaded.size < 3) return;
      if (name === "index") continue;
      loaded.delete(name);
      size -= one.size;
    }
  };

  // The value of a data script, as a promise.
  RE.load = (name) => {
    const there = loaded.get(name);
    if (there) {
      loaded.delete(name);
      loaded.set(name, there);
      return Promise.resolve(there.value);
    }
    if (waiting.has(name)) return waiting.get(name).promise;
    const one = {};
    one.promise = new Promise((done, failed) => Object.assign(one, { done, failed }));
    waiting.set(name, one);
    const script = document.createElement("script");
    script.charset = "utf-8";
    script.src = policy.createScriptURL(`data/${name}.js`);
    script.onload = () => {
      script.remove();
      if (waiting.get(name) === one) lost(name, one, "holds no data");
    };
    script.onerror = () => {
      script.remove();
      lost(name, one, "is not in the folder");
    };
    document.head.append(script);
    return one.promise;
  };

  const lost = (name, one, why) => {
    waiting.delete(name);
    one.failed(new Error(`data/${name}.js ${why}; copy the whole folder, or build the site again`));
  };

  // The piece of a list that was split: its shard's name, and the place in it.
  RE.piece = (starts, number) => {
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle] <= number) low = middle;
      else high = middle - 1;
    }
    return { shard: low, place: number - starts[low] };
  };

  RE.memory = () => ({ shards: loaded.size, characters: size });
})();

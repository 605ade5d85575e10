"use strict";
(() => {
  const FRAME = 90; // milliseconds
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;

  // How a film shows a step: by where its strip of pictures stands.
  function film(part) {
    const strip = part.querySelector(".strip");
    return (step) => strip.style.setProperty("--step", step);
  }

  // How a text shows a step: its first tokens, and every change up to it.
  function writing(part) {
    const { first, changes, hidden } = JSON.parse(part.querySelector("script").textContent);
    const spans = first.map(() => document.createElement("span"));
    part.querySelector("pre").replaceChildren(...spans);
    const put = (i, text, when) => {
      spans[i].textContent = text;
      spans[i].className = text === hidden ? "hidden" : when < 0 ? "given" : "came";
      spans[i].style.setProperty("--when", when);
    };
    return (step) => {
      first.forEach(([text, when], i) => put(i, text, when));
      changes.slice(0, step).flat().forEach((change) => put(...change));
    };
  }

  function control(part, show) {
    const steps = part.querySelector(".steps"), button = steps.querySelector("button");
    const slider = steps.querySelector("input"), output = steps.querySelector("output");
    const last = Number(slider.max);
    let timer = null;
    const go = (step) => {
      slider.value = step;
      output.textContent = `${step + 1} / ${last + 1}`;
      show(step);
    };
    const stop = () => {
      clearInterval(timer);
      timer = null;
      button.textContent = "Play";
    };
    const play = () => {
      if (Number(slider.value) === last) go(0);
      button.textContent = "Stop";
      timer = setInterval(() => {
        go(Math.min(Number(slider.value) + 1, last));
        if (Number(slider.value) === last) stop();
      }, Math.max(FRAME, 1200 / last));
    };
    button.onclick = () => (timer === null ? play() : stop());
    slider.oninput = () => { stop(); go(Number(slider.value)); };
    steps.hidden = last === 0;
    go(last);
    return { play, idle: () => timer === null && Number(slider.value) === last };
  }

  // Each plays once by itself, when it first comes into view.
  const played = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      played.unobserve(target);
      if (controls.get(target).idle()) controls.get(target).play();
    }
  }, { threshold: 0.25 });
  const controls = new Map();
  const kinds = [[".film", film], [".writing", writing]];
  for (const [kind, maker] of kinds) {
    for (const part of document.querySelectorAll(kind)) {
      controls.set(part, control(part, maker(part)));
      if (!still) played.observe(part);
    }
  }
})();

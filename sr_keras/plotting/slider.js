for (const root of document.querySelectorAll("[class^='slider-']")) {
  const still = root.querySelector(".still");
  if (!still) continue;  // already a slider
  const images = [...still.querySelectorAll("img")];
  const [full, high] = ["width", "height"].map(x => images[0].getAttribute(x));
  const stage = document.createElement("div");
  // a finger that moves up or down scrolls the page
  stage.style.cssText = "position:relative;overflow:hidden;cursor:ew-resize;" +
    "touch-action:pan-y pinch-zoom;max-width:100%;" +
    `width:${full}px;aspect-ratio:${full}/${high}`;
  const line = document.createElement("div");
  line.style.cssText = "position:absolute;top:0;bottom:0;width:2px;" +
    "background:#fff;box-shadow:0 0 2px #000;pointer-events:none";
  const labels = images.map((image, i) => {
    image.style.cssText = "position:absolute;top:0;left:0;max-width:none;" +
      "transform-origin:0 0;image-rendering:pixelated;pointer-events:none";
    const label = document.createElement("span");
    label.textContent = image.alt;
    label.style.cssText = "position:absolute;bottom:4px;padding:1px 5px;color:#fff;" +
      "background:#0009;font:12px sans-serif;pointer-events:none;" +
      (i ? "right:4px" : "left:4px");
    return label;
  });
  const hint = document.createElement("small");
  hint.textContent = "Move to compare, use the wheel to zoom, drag to shift.";
  stage.append(images[1], images[0], line, ...labels);
  still.replaceWith(stage);
  stage.after(hint);
  let zoom = 1, x = 0, y = 0, split = 0.5;  // split: a part of the width
  const draw = () => {
    const width = stage.clientWidth || full;  // less than `full` on a phone
    const fit = width / full;
    x = Math.min(0, Math.max(x, width * (1 - zoom)));
    y = Math.min(0, Math.max(y, high * fit * (1 - zoom)));
    for (const image of images)
      image.style.transform = `translate(${x}px, ${y}px) scale(${fit * zoom})`;
    const cut = full - (split * width - x) / (fit * zoom);
    images[0].style.clipPath = `inset(0 ${cut}px 0 0)`;
    line.style.left = `${split * width - 1}px`;
  };
  const move = event => {
    if (event.buttons) { x += event.movementX; y += event.movementY; }
    if (!event.buttons || event.pointerType === "touch") {
      const box = stage.getBoundingClientRect();
      const part = (event.clientX - box.left) / box.width;
      split = Math.min(1, Math.max(0, part));  // a finger may leave the stage
    }
    draw();
  };
  stage.addEventListener("pointermove", move);
  stage.addEventListener("pointerdown", move);
  stage.addEventListener("wheel", event => {
    event.preventDefault();
    const box = stage.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    const next = Math.min(16, Math.max(1, zoom * (event.deltaY < 0 ? 1.25 : 0.8)));
    x = px - (px - x) * next / zoom;
    y = py - (py - y) * next / zoom;
    zoom = next;
    draw();
  }, {passive: false});
  new ResizeObserver(draw).observe(stage);
  draw();
}

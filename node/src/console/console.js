// Acts of moderation in a dialog that shows the seal arrive node by node. Without this script, forms and links do the same
// on pages of their own.
"use strict";

const PAUSE_MS = 150;
const words = { confirmed: "confirmed", lease_expired: "its leases ran out", waiting: "waiting" };

const part = (dialog, name) => dialog.querySelector(`[data-${name}]`);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function ask(url, options = {}) {
  const headers = { Accept: "application/json" };
  const answer = await fetch(url, { ...options, headers, cache: "no-store", redirect: "error" });
  const body = await answer.json();
  if (!answer.ok) {
    const ended = answer.status === 401;
    throw new Error(ended ? "Your session has ended: load the page anew and sign in." : body.detail);
  }
  return body;
}

// A line for each node. One that is there already is changed and not made anew, so that nothing flickers.
function paint(list, nodes) {
  for (const node of nodes) {
    let line = list.querySelector(`[data-node="${node.node}"]`);
    if (!line) {
      line = document.createElement("li");
      line.dataset.node = node.node;
      const [mark, name, said, id] = ["span", "span", "span", "code"].map((tag) => document.createElement(tag));
      mark.className = "mark";
      mark.setAttribute("aria-hidden", "true");
      id.textContent = node.node;
      name.append(node.http || "a node that was removed", " ", id);
      said.className = "said";
      line.append(mark, name, said);
      list.append(line);
    }
    line.className = node.cover;
    line.querySelector(".said").textContent = words[node.cover] + (node.ms === null ? "" : `, ${node.ms} ms`);
  }
}

function told(seal) {
  const obeying = seal.nodes.filter((node) => node.ms !== null).length;
  return seal.sealed
    ? `Sealed at index ${seal.index}: no node issues against it any more.`
    : `Committed at index ${seal.index}: ${obeying} of ${seal.nodes.length} nodes obey so far.`;
}

async function follow(dialog, acted) {
  const [line, list] = [part(dialog, "told"), part(dialog, "nodes")];
  line.textContent = acted.told;
  let seal = acted.seal;
  while (seal) {
    paint(list, seal.nodes);
    const text = told(seal);
    if (line.textContent !== text && acted.state !== "done") line.textContent = text;
    if (seal.sealed) break;
    await pause(PAUSE_MS);
    try {
      seal = await ask(`/console/seals/${acted.index}`);
    } catch (error) {
      line.textContent = `Committed at index ${acted.index}. ${error.message}`;
      await pause(PAUSE_MS * 5);
    }
  }
  part(dialog, "progress").dataset.state = seal || acted.state === "done" ? "done" : acted.state;
  part(dialog, "done").focus();
}

async function act(event) {
  event.preventDefault();
  const form = event.target;
  const dialog = form.closest("dialog");
  const trouble = part(dialog, "trouble");
  const submit = form.querySelector("[type=submit]");
  trouble.hidden = true;
  submit.disabled = true;
  try {
    const acted = await ask(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    form.hidden = true;
    const progress = part(dialog, "progress");
    progress.hidden = false;
    progress.focus();
    await follow(dialog, acted);
  } catch (error) {
    trouble.textContent = error.message;
    trouble.hidden = false;
    // What is sent after a change is another request.
    form.elements.request.value = form.elements.request.value.slice(0, 48) + "x";
  } finally {
    submit.disabled = false;
  }
}

function open(dialog) {
  if (dialog.open) dialog.close();
  dialog.showModal();
  dialog.querySelector("textarea").focus();
}

// Once something was done, the page behind is not as it was.
function leave(dialog) {
  const was = part(dialog, "progress").hidden;
  dialog.close();
  if (!was) location.assign(part(dialog, "done").href);
}

for (const link of document.querySelectorAll("[data-dialog]")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    open(document.getElementById(link.dataset.dialog));
  });
  // It is announced as a button, so the space bar must work too.
  link.addEventListener("keydown", (event) => {
    if (event.key === " ") {
      event.preventDefault();
      link.click();
    }
  });
}

for (const dialog of document.querySelectorAll("dialog")) {
  dialog.querySelector("form[data-act]").addEventListener("submit", act);
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    leave(dialog);
  });
  for (const link of dialog.querySelectorAll("[data-close], [data-done]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      leave(dialog);
    });
  }
  if (dialog.open) open(dialog);
}

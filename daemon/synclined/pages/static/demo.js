/**
 * The demo: two replicas side by side, cut off and joined by hand.
 *
 * @module
 */

import { drawChart } from "./chart.js";
import { COLUMNS, ROWS, boardOf, isOpen, winningCells } from "./connectFour.js";
import { badge, brief, byId, complain, el, follow, onChange, openRemote, requireReplica, tell } from "./shell.js";

const WANTED = ["game", "note", "host"];
const GAME = "browser";
const NOTE = "shared";
const LOG_MAX = 200;
const HOST_KEPT = 120;
const hostSeries = [];
const replicas = new Map();

if (await requireReplica()) await start().catch(complain);

async function start() {
  const models = await servedModels();
  if (models.includes("note")) await begin(models);
  else tell("This daemon serves no model `note`, so there is nothing to play with here.\nStart `syncline demo`, or `syncline serve` without --model.");
}

/** Return which of the demo's models this daemon serves; one without declared models serves all. */
async function servedModels() {
  const remote = await openRemote();
  const served = [];
  for (const model of WANTED) {
    const known = await remote.model(model).count().then(() => true, () => false);
    if (known) served.push(model);
  }
  await remote.close();
  return served;
}

async function begin(models) {
  const pair = [];
  for (const [side, name] of ["Red", "Yellow"].entries()) pair.push(await openSide(side, name, models));
  byId("collide").onclick = () => collide(pair);
  if (models.includes("host")) {
    onChange(pair[0].replica, ["host"], () => drawHost(pair[0].replica));
  }
}

async function openSide(side, name, models) {
  const replica = await follow("", models, { strategies: { game: "theirs", "*": "manual" } });
  const status = el("span", { class: "badge", role: "status" });
  const board = el("div", { class: "board", role: "group", "aria-label": `${name}'s board` });
  const turn = el("p", { class: "soft", "aria-live": "polite" });
  const note = el("input", { "aria-label": `${name}'s note`, placeholder: "a note that both share" });
  const waiting = el("p", {});
  const offline = el("input", {
    type: "checkbox",
    onchange: () => (offline.checked ? replica.link.pause() : replica.link.resume()),
  });
  badge(status, replica, name);
  note.onchange = () => write(name, replica, "note", NOTE, { text: note.value });
  byId("replicas").append(
    el(
      "article",
      { class: "card fields" },
      el("div", { class: "row" }, el("h2", { class: "grow" }, status), el("label", { class: "switch" }, offline, "cut off")),
      models.includes("game") ? board : null,
      models.includes("game") ? turn : null,
      note,
      waiting,
    ),
  );
  const parts = { replica, side, name, board, turn, note, waiting, offline };
  replica.onStatus((shown) => drawWaiting(parts, shown));
  onChange(replica, models.filter((model) => model !== "host"), () => drawSide(parts, models));
  logChanges(parts, models);
  return parts;
}

async function drawSide({ replica, side, name, board, turn, note }, models) {
  const shared = await replica.model("note").get(NOTE);
  if (document.activeElement !== note) note.value = shared?.text ?? "";
  if (!models.includes("game")) return;
  const game = await gameOf(replica);
  const moves = game?.moves ?? [];
  const won = winningCells(moves);
  const toMove = moves.length % 2;
  const mayWrite = (replica.link.welcome?.models.game ?? "write") === "write";
  const isMine = mayWrite && toMove === side;
  board.replaceChildren(...Array.from({ length: COLUMNS }, (_, column) => columnOf(moves, won, column, isMine, async () => {
    await write(name, replica, "game", GAME, { moves: [...moves, column] });
  })));
  const isOver = won.size > 0 || moves.length === COLUMNS * ROWS;
  const said = won.size ? `${["Red", "Yellow"][1 - toMove]} has four.` : isOver ? "A draw." : isMine ? "Your move." : `${["Red", "Yellow"][toMove]} to move.`;
  const again = el("button", { onclick: () => write(name, replica, "game", GAME, { moves: [] }) }, "New game");
  turn.replaceChildren(said, " ", isOver && mayWrite ? again : "");
}

/** Return the page's game; where players of their own are at it, the newest of theirs. */
async function gameOf(replica) {
  const own = await replica.model("game").get(GAME);
  if (own) return own;
  const games = await replica.model("game").find({ order: "id DESC", limit: 1 });
  return games[0];
}

function columnOf(moves, won, column, isMine, play) {
  const discs = boardOf(moves)[column];
  const cells = Array.from({ length: ROWS }, (_, n) => {
    const row = ROWS - 1 - n;
    return el("i", { "data-side": discs[row], class: won.has([column, row].join()) ? "won" : null });
  });
  const may = isMine && isOpen(moves, column);
  return el("button", { onclick: play, disabled: !may, "aria-label": `column ${column + 1}` }, ...cells);
}

function drawWaiting({ waiting, name }, status) {
  const parts = [];
  if (status.pending) parts.push(`${status.pending} to be sent`);
  if (status.behind) parts.push(`${status.behind} to be fetched`);
  waiting.replaceChildren(el("span", { class: "soft" }, parts.join(", ") || "level"));
  if (status.conflicts) {
    waiting.append(" ", el("span", { class: "bad" }, `${status.conflicts} conflict`), " ", ...["ours", "theirs"].map((word) => el("button", { onclick: () => settle(name, word) }, `keep ${word}`)));
  }
}

async function settle(name, word) {
  for (const conflict of await replicas.get(name).conflicts()) await conflict.resolve(word);
}

async function write(name, replica, model, id, data) {
  try {
    await replica.model(model).put(id, { id, ...data });
  } catch (error) {
    note(`${name}: ${error.message}`);
  }
}

/** Cut both off, have each write another text, and join them. */
async function collide(pair) {
  for (const { replica, offline } of pair) {
    await replica.link.pause();
    offline.checked = true;
  }
  const time = new Date().toLocaleTimeString();
  for (const { replica, name } of pair) {
    await write(name, replica, "note", NOTE, { text: `${name} at ${time}` });
  }
  for (const { replica, offline } of pair) {
    await replica.link.resume();
    await replica.link.waitLive(10_000).catch(() => {});
    offline.checked = false;
  }
}

function logChanges({ name, replica }, models) {
  replicas.set(name, replica);
  for (const model of models.filter((one) => one !== "host")) {
    (async () => {
      for await (const update of replica.model(model).watch()) {
        const from = update.origin === replica.replicaId ? "wrote" : "heard";
        note(`${name} ${from} ${model}/${update.recordId} ${update.rev} ${brief(update.data ?? "deleted", 90)}`);
      }
    })();
  }
}

function note(text) {
  const log = byId("log");
  log.prepend(el("li", {}, `${new Date().toLocaleTimeString()} ${text}`));
  while (log.children.length > LOG_MAX) log.lastChild.remove();
}

async function drawHost(replica) {
  const rows = await replica.model("host").find();
  if (!rows.length) return;
  byId("host").hidden = false;
  const numbers = rows.flatMap((row) => Object.entries(row).filter(([, value]) => typeof value === "number"));
  const use = numbers.find(([key]) => /cpu|load|percent/.test(key)) ?? numbers[0];
  if (use) hostSeries.push(use[1]);
  if (hostSeries.length > HOST_KEPT) hostSeries.shift();
  drawChart(byId("host-chart"), hostSeries, { unit: " %", span: "2 min", least: 10, width: HOST_KEPT });
  byId("host-text").textContent = rows.map((row) => brief(row, 140)).join("\n");
}

/**
 * The demo: two replicas side by side, cut off and joined by hand.
 *
 * @module
 */

import { drawChart } from "./chart.js";
import { COLUMNS, ROWS, boardOf, isOpen, winningCells } from "./connectFour.js";
import { badge, byId, complain, el, follow, number, onChange, openRemote, requireReplica, showRows, tell } from "./shell.js";

const WANTED = ["game", "note", "host"];
const GAME = "browser";
const NOTE = "shared";
const LOG_MAX = 200;
const HOST_KEPT = 120;
const SIDES = ["Red", "Yellow"];
const SHORT = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const hostSeries = [];
let usedLast = "";
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
  for (const [side, name] of SIDES.entries()) pair.push(await openSide(side, name, models));
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
  const waiting = el("p", { class: "waiting" });
  const offline = el("input", {
    type: "checkbox",
    onchange: () => (offline.checked ? replica.link.pause() : replica.link.resume()),
  });
  badge(status, replica);
  note.onchange = () => write(name, replica, "note", NOTE, { text: note.value });
  byId("replicas").append(
    el(
      "article",
      { class: "card fields" },
      el("div", { class: "row" }, el("h2", {}, disc(side), name), status, el("label", { class: "switch right" }, offline, "cut off")),
      el(
        "div",
        { class: "player" },
        models.includes("game") ? board : null,
        el("div", { class: "fields" }, models.includes("game") ? turn : null, note, waiting),
      ),
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
  drawBoard(board, moves, won, isMine, (column) => write(name, replica, "game", GAME, { moves: [...moves, column] }));
  const isOver = won.size > 0 || moves.length === COLUMNS * ROWS;
  const said = won.size ? `${SIDES[1 - toMove]} has four.` : isOver ? "A draw." : isMine ? "Your move." : `${SIDES[toMove]} to move.`;
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

/** Draw a board; its columns stay where they are, so that the keyboard's place is kept. */
function drawBoard(board, moves, won, isMine, play) {
  while (board.children.length < COLUMNS) {
    board.append(el("button", {}, ...Array.from({ length: ROWS }, () => el("i", {}))));
  }
  const columns = boardOf(moves);
  [...board.children].forEach((button, column) => {
    const may = isMine && isOpen(moves, column);
    const held = columns[column].map((side) => SIDES[side].toLowerCase()).join(", ");
    button.ariaLabel = `column ${column + 1}: ${held || "empty"}`;
    // One that were disabled would lose the focus.
    button.ariaDisabled = String(!may);
    button.onclick = () => may && play(column);
    [...button.children].forEach((cell, n) => {
      const row = ROWS - 1 - n;
      cell.dataset.side = columns[column][row] ?? "";
      cell.className = won.has([column, row].join()) ? "won" : "";
    });
  });
}

function disc(side) {
  return el("i", { class: "disc", "data-side": side });
}

function drawWaiting({ waiting, name }, status) {
  const parts = [];
  if (status.pending) parts.push(`${status.pending} to be sent`);
  if (status.behind) parts.push(`${status.behind} to be fetched`);
  // Of a daemon that is not reached nothing is known: with nothing to send it may have much to say.
  if (status.state === "live") parts.push("level");
  else if (!status.behind) parts.push(`${status.state.replace("_", " ")}: what others write is not here`);
  waiting.replaceChildren(el("span", { class: "soft" }, parts.join(", ")));
  if (status.conflicts) {
    waiting.append(" ", el("span", { class: "bad" }, `${status.conflicts} ${status.conflicts === 1 ? "conflict" : "conflicts"}`), " ", ...["ours", "theirs"].map((word) => el("button", { onclick: () => settle(name, word) }, `keep ${word}`)));
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

function logChanges({ name, side, replica }, models) {
  replicas.set(name, replica);
  for (const model of models.filter((one) => one !== "host")) {
    (async () => {
      for await (const update of replica.model(model).watch()) {
        const verb = update.origin === replica.replicaId ? "wrote" : "heard";
        const data = update.data === null ? "deleted" : JSON.stringify(update.data);
        note(`${model}/${update.recordId} ${data}`, { side, verb, title: `revision ${update.rev}` });
      }
    })();
  }
}

/** Add a line to the log of what travels. */
function note(text, { side = null, verb = "", title = null } = {}) {
  const log = byId("log");
  const time = el("time", { class: "soft" }, new Date().toLocaleTimeString());
  const who = side === null ? null : el("span", { class: "who" }, disc(side), `${SIDES[side]} ${verb}`);
  log.prepend(el("li", {}, time, who, el("span", { class: "what", title: title && `${title}\n${text}` }, text)));
  while (log.children.length > LOG_MAX) log.lastChild.remove();
}

async function drawHost(replica) {
  const rows = await replica.model("host").find();
  if (!rows.length) return;
  byId("host").hidden = false;
  const use = rows.find((row) => row.percent !== undefined);
  // The other metrics move too, and would each draw this one again.
  if (use && JSON.stringify(use) !== usedLast) {
    usedLast = JSON.stringify(use);
    hostSeries.push(use.percent);
    if (hostSeries.length > HOST_KEPT) hostSeries.shift();
    byId("host-use").textContent = `${use.id} ${number(use.percent)} %`;
    drawChart(byId("host-chart"), hostSeries, { unit: " %", span: `${HOST_KEPT} values`, least: 10, width: HOST_KEPT });
  }
  showRows(byId("host-rows"), rows.map(hostRow));
}

/** Return a metric's figures; not when it was measured, which is told by the row's moving. */
function factsOf(row) {
  return Object.entries(row).filter(([name, value]) => typeof value === "number" && !name.startsWith("at_"));
}

function hostRow(row) {
  const facts = factsOf(row).map(([name, value]) => el("span", { class: "fact" }, el("span", { class: "soft" }, `${name} `), SHORT.format(value)));
  return el("tr", { "data-key": row.id }, el("td", { class: "mono" }, row.id), el("td", { class: "text" }, ...facts));
}

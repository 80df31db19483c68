/**
 * Who holds a journal's file: a file beside it names the process, and what tells it from another.
 *
 * A process that was killed leaves its lock, and its number is given to another one soon: in a
 * container it is the same at every start. So the lock says more than a number, and is touched for
 * as long as its process lives, for those who can't see that: of other containers.
 *
 * @module
 */

import { readFile, readlink, rm, stat, utimes, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

import { StoreUnavailable } from "../errors.js";

const TOUCH_EVERY_MS = 2000;
/** A lock of a process that can't be seen is nobody's when it was not touched for so long. */
export const UNTOUCHED_MS = 15_000;
const LOOK_EVERY_MS = 500;

/**
 * @typedef {object} Holder
 * @property {number} pid
 * @property {string} boot of which the kernel's processes are; empty where that is not told
 * @property {string} space the space that its number is of
 * @property {string} started when it began, in the kernel's ticks
 */

/** A lock on one file. */
export class FileLock {
  /** @param {string} path of the lock itself */
  constructor(path) {
    this.path = resolve(path);
    /** @type {ReturnType<typeof setInterval> | null} */
    this._touching = null;
  }

  /** @throws {StoreUnavailable} another process, or this one, holds it. */
  async take() {
    const text = JSON.stringify(await holderOf(process.pid));
    for (;;) {
      try {
        await writeFile(this.path, text, { flag: "wx" });
        break;
      } catch (error) {
        if (/** @type {any} */ (error).code !== "EEXIST") throw error;
      }
      await this._waitForHolder();
      await rm(this.path, { force: true });
    }
    this._touching = setInterval(() => void this._touch(), TOUCH_EVERY_MS).unref();
  }

  async release() {
    if (this._touching === null) return;
    clearInterval(this._touching);
    this._touching = null;
    await rm(this.path, { force: true });
  }

  async _touch() {
    const now = new Date();
    await utimes(this.path, now, now).catch(() => {});
  }

  /** Return when the lock is nobody's. */
  async _waitForHolder() {
    const holder = parsed(await readFile(this.path, "utf8").catch(() => ""));
    if (holder === null) return;
    const here = await holderOf(holder.pid);
    const isSeen = holder.boot === here.boot && holder.space === here.space;
    if (isSeen && holder.boot) {
      // Another start is another process, to which the number was given since.
      if (here.started && holder.started === here.started) throw heldBy(holder.pid, this.path);
      return;
    }
    if (!holder.boot) {
      const isOwn = holder.pid === process.pid;
      const isEarlier = isOwn && (await touchedMs(this.path)) < Date.now() - process.uptime() * 1000;
      if (isRunning(holder.pid) && !isEarlier) throw heldBy(holder.pid, this.path);
      return;
    }
    if (holder.boot !== here.boot) return; // The machine was started anew.
    const first = await touchedMs(this.path);
    for (;;) {
      const touched = await touchedMs(this.path);
      if (touched !== first) throw heldBy(holder.pid, this.path, " of another container");
      if (Date.now() - touched > UNTOUCHED_MS) return;
      await pause(LOOK_EVERY_MS);
    }
  }
}

/**
 * @param {number} pid
 * @returns {Promise<Holder>}
 */
export async function holderOf(pid) {
  const boot = await readFile("/proc/sys/kernel/random/boot_id", "utf8").catch(() => "");
  const space = await readlink("/proc/self/ns/pid").catch(() => "");
  const line = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  // Behind the name, which may hold anything: the state first, and the start as the twentieth.
  const [state = "", ...fields] = line.slice(line.lastIndexOf(")") + 2).split(" ");
  // One that has ended, and nobody asked how, holds nothing any more.
  const started = state === "Z" ? "" : (fields[18] ?? "");
  return { pid, boot: boot.trim(), space, started };
}

/**
 * @param {string} text
 * @returns {Holder | null} null for none; of an older version only the number is known
 */
function parsed(text) {
  try {
    const value = JSON.parse(text);
    if (typeof value === "number") return { pid: value, boot: "", space: "", started: "" };
    return typeof value?.pid === "number" ? value : null;
  } catch {
    return null;
  }
}

/** @param {string} path */
async function touchedMs(path) {
  return (await stat(path).catch(() => null))?.mtimeMs ?? 0;
}

/** @param {number} pid */
function isRunning(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return /** @type {any} */ (error).code === "EPERM";
  }
}

/**
 * @param {number} pid
 * @param {string} path
 * @param {string} [where]
 */
function heldBy(pid, path, where = "") {
  return new StoreUnavailable(`the process ${pid}${where} holds ${path.replace(/\.lock$/, "")}`, {
    hint: "give each process a file of its own",
  });
}

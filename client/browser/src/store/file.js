/**
 * The journal in a file, for Node: one text a line.
 *
 * A line is kept before its turn resolves (`fsync` with `durability: "strict"`); one that was torn
 * by a crash is the last, and is dropped.
 * One process at a time: see `fileLock.js`.
 *
 * @module
 */

import { open, readFile, rename, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { resolve } from "node:path";

import {
  StoreCorrupt, StoreError, StoreForeign, StoreFull, StoreReadOnly, StoreUnavailable,
} from "../errors.js";
import { FileLock } from "./fileLock.js";
import { FORMAT } from "./rows.js";

/** @typedef {import("./journal.js").Foreign} Foreign */
/** @typedef {import("./journal.js").Written} Written */

/** What every line of a journal begins with; a longer number is another version's, and named so. */
const FIRST = `{"format":${FORMAT}`;

/** A journal in a file. */
export class FileJournal {
  kind = "file";
  isShared = false;

  /**
   * @param {string} path
   * @param {{durability?: "relaxed" | "strict"}} [options] what a commit waits for: the operating
   *   system has it (relaxed: a killed process loses nothing, a power cut may), or the disk.
   */
  constructor(path, { durability = "relaxed" } = {}) {
    this.name = path;
    this._lock = new FileLock(`${path}.lock`);
    this._durability = durability;
    /** @type {import("node:fs/promises").FileHandle | null} */
    this._file = null;
    /** Which file it is. */
    this._ino = 0n;
    this._version = 0;
    this._size = 0;
  }

  /** Where it is; a copy elsewhere finds by that that it is one. A new base is a new inode. */
  get place() {
    return `${hostname()}:${resolve(this.name)}`;
  }

  /**
   * @param {string} suffix
   * @returns {FileJournal}
   */
  beside(suffix) {
    return new FileJournal(`${this.name}.${suffix}`, { durability: this._durability });
  }

  /** @throws {StoreError} by name. */
  async open() {
    await named(async () => {
      await this._refuseForeign();
      await this._lock.take();
      try {
        await this._hold();
      } catch (error) {
        await this._lock.release();
        throw error;
      }
    });
  }

  async _hold() {
    this._file = await open(this.name, "a");
    this._ino = (await this._file.stat({ bigint: true })).ino;
  }

  /** Leave alone what was never a journal: the rest of its last line would be cut off. */
  async _refuseForeign() {
    let file;
    try {
      file = await open(this.name, "r");
    } catch (error) {
      if (/** @type {any} */ (error).code === "ENOENT") return;
      throw error;
    }
    try {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(FIRST.length), 0, FIRST.length, 0);
      const start = buffer.toString("latin1", 0, bytesRead);
      const known = FIRST.slice(0, -String(FORMAT).length);
      if (start.startsWith(known) || known.startsWith(start)) return;
    } finally {
      await file.close();
    }
    throw new StoreForeign(`${this.name} is no journal of syncline's`, {
      hint: "name a file of its own",
    });
  }

  /** What is written to a file that was removed or replaced is lost. */
  async _checkPlace() {
    const found = await stat(this.name, { bigint: true }).catch(() => null);
    if (found?.ino === this._ino) return;
    throw new StoreUnavailable(
      `${this.name} was ${found === null ? "removed" : "replaced"} while it was open`,
      { hint: "stop, put the file back, and start again" },
    );
  }

  async close() {
    const file = this._file;
    this._file = null;
    if (file === null) return;
    await file.close();
    await this._lock.release();
  }

  /**
   * @param {number} version
   * @param {(foreign: Foreign) => Written | null} work
   */
  async turn(version, work) {
    return named(async () => {
      const isReset = version === 0;
      const texts = isReset ? await this._load() : [];
      const written = work({ version: this._version, isReset, isCleared: false, texts });
      if (written === null) return this._version;
      await this._checkPlace();
      if (written.base !== undefined) await this._writeAnew(written.base);
      else await this._append(`${written.delta}\n`);
      this._version += 1;
      return this._version;
    });
  }

  async _load() {
    const bytes = await readFile(this.name);
    const end = bytes.lastIndexOf(10) + 1;
    if (end < bytes.length) await this._getFile().truncate(end);
    this._size = end;
    const texts = bytes.toString("utf8", 0, end).split("\n").filter(Boolean);
    this._version = texts.length;
    return texts;
  }

  /** @param {string} text */
  async _append(text) {
    const file = this._getFile();
    try {
      const { bytesWritten } = await file.write(text);
      if (bytesWritten !== Buffer.byteLength(text)) throw new StoreFull("the disk is full");
      if (this._durability === "strict") await file.datasync();
      this._size += bytesWritten;
    } catch (error) {
      // What was written of it must not be taken for a line.
      await file.truncate(this._size);
      throw error;
    }
  }

  /** @param {string[]} texts */
  async _writeAnew(texts) {
    const path = `${this.name}.new`;
    const text = texts.map((one) => `${one}\n`).join("");
    const file = await open(path, "w");
    try {
      await file.writeFile(text);
      await file.datasync();
    } finally {
      await file.close();
    }
    await rename(path, this.name);
    const old = this._getFile();
    await this._hold();
    await old.close();
    this._size = Buffer.byteLength(text);
  }

  _getFile() {
    if (this._file === null) throw new StoreUnavailable(`${this.name} is closed`);
    return this._file;
  }
}

/**
 * Return a journal in a file, for `connect(url, {store: fileJournal("todos.journal")})`.
 *
 * @param {string} path
 * @param {{durability?: "relaxed" | "strict"}} [options]
 */
export function fileJournal(path, options) {
  return new FileJournal(path, options);
}

/**
 * @template T
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
async function named(work) {
  try {
    return await work();
  } catch (error) {
    if (error instanceof StoreError) throw error;
    const { code = "", message = String(error) } = /** @type {any} */ (error);
    const kind = KIND_OF_CODE.get(code) ?? StoreUnavailable;
    throw new kind(message, { cause: error });
  }
}

const KIND_OF_CODE = new Map([
  ["ENOSPC", StoreFull],
  ["EDQUOT", StoreFull],
  ["EACCES", StoreReadOnly],
  ["EROFS", StoreReadOnly],
  ["EISDIR", StoreCorrupt],
]);

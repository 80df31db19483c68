/**
 * LoopBack-style `where` filters, evaluated purely.
 *
 * `{maker: "Ford", or: [{year: {gt: 1970}}, {"tags.first": {inq: ["a", "b"]}}]}`
 *
 * | operator | meaning |
 * |---|---|
 * | eq neq | equal, or not; null and a missing property are alike; `neq` negates `eq` exactly |
 * | gt gte lt lte | within one type only: numbers, text (by code point), booleans |
 * | between | `[low, high]`, both included |
 * | inq nin | one of a list, or none of it |
 * | like nlike | SQL's pattern: `%` any text, `_` one character, `\` escapes; by case |
 * | exists | the property is there and is not null |
 * | and or nor not | lists of filters, and negations |
 *
 * A dot in a name leads into an object: `tags.first`.
 * A backslash makes part of a name what would not be: a dot (`a\.b`), a blank, which ends a name in
 * an order, another backslash, and a whole name that is a word of filters (`\and`, `\or`, `\nor`,
 * `\not`); before anything else it stands for itself.
 * What a record can hold can be compared with, and is converted as a record converts it: a `Date` to
 * text, a bigint to a number.
 * This file agrees with `client/syncline/filters.py`; `tests/vectors/filters.json` binds both.
 *
 * @module
 */

import { normalise } from "./digest.js";
import { FilterInvalid, RecordError } from "./errors.js";

/** @typedef {import("./models.js").RecordData} RecordData */
/** @typedef {Record<string, any>} Where */
/** @typedef {{path: readonly string[], operator: string, value: any}} Term */
/**
 * @typedef {{term: Term} | {all: Condition[]} | {any: Condition[]} | {not: Condition}} Condition
 */

export const DEPTH_MAX = 16;
export const TERMS_MAX = 1000;
export const VALUES_MAX = 10_000;
export const PATH_STEPS_MAX = 32;
export const LIKE_CHARS_MAX = 4096;

export const OPERATORS = Object.freeze([
  "eq", "neq", "gt", "gte", "lt", "lte", "between", "inq", "nin", "like", "nlike", "exists",
]);

/** @type {Condition} */
export const EVERYTHING = { all: [] };

/**
 * Return the condition of a `where` filter; null matches everything.
 *
 * @param {Where | null} [where]
 * @returns {Condition}
 * @throws {FilterInvalid} naming what can't be read.
 */
export function parseWhere(where) {
  return where == null ? EVERYTHING : parse(where, 0, { terms: 0, values: 0 });
}

/**
 * @param {unknown} where
 * @param {number} depth
 * @param {{terms: number, values: number}} count
 * @returns {Condition}
 */
function parse(where, depth, count) {
  if (!isObject(where)) throw new FilterInvalid(`a filter is an object, not ${typeName(where)}`);
  if (depth > DEPTH_MAX) throw new FilterInvalid(`the filter is nested deeper than ${DEPTH_MAX}`);
  /** @type {Condition[]} */
  const parts = [];
  for (const [name, value] of Object.entries(where)) {
    count.terms += 1;
    if (count.terms > TERMS_MAX) {
      throw new FilterInvalid(`the filter has more than ${TERMS_MAX} terms`);
    }
    switch (name) {
      case "and":
        parts.push({ all: parseList(name, value, depth, count) });
        break;
      case "or":
        parts.push({ any: parseList(name, value, depth, count) });
        break;
      case "nor":
        parts.push({ not: { any: parseList(name, value, depth, count) } });
        break;
      case "not":
        parts.push({ not: parse(value, depth + 1, count) });
        break;
      default:
        parts.push(...parseTerms(name, value, count));
    }
  }
  return parts.length === 1 ? parts[0] : { all: parts };
}

/**
 * @param {string} name
 * @param {unknown} value
 * @param {number} depth
 * @param {{terms: number, values: number}} count
 */
function parseList(name, value, depth, count) {
  if (!Array.isArray(value) || !value.length) {
    throw new FilterInvalid(`'${name}' takes a list of filters`, {
      hint: `the property of that name is written '\\${name}'`,
    });
  }
  return value.map((part) => parse(part, depth + 1, count));
}

/**
 * @param {string} name
 * @param {unknown} value
 * @param {{values: number}} count
 */
function parseTerms(name, value, count) {
  const terms = termsOf(name, value);
  for (const { value: operand } of terms) if (Array.isArray(operand)) count.values += operand.length;
  if (count.values > VALUES_MAX) {
    throw new FilterInvalid(`the filter lists more than ${VALUES_MAX} values`);
  }
  return terms.map((term) => ({ term }));
}

/**
 * @param {string} name
 * @param {unknown} value
 * @returns {Term[]}
 */
function termsOf(name, value) {
  const path = pathOf(name);
  if (!isObject(value) || value instanceof Date) return [{ path, operator: "eq", value: plain(name, value) }];
  const entries = Object.entries(value);
  if (!entries.length) throw new FilterInvalid(`'${name}': an empty object compares nothing`);
  return entries.map(([operator, operand]) => {
    if (!OPERATORS.includes(operator)) {
      throw new FilterInvalid(`'${name}': no operator '${operator}'`, {
        hint: `one of ${OPERATORS.join(", ")}`,
      });
    }
    return { path, operator, value: operandOf(name, operator, operand) };
  });
}

/**
 * @param {string} name
 * @param {string} operator
 * @param {any} operand
 */
function operandOf(name, operator, operand) {
  switch (operator) {
    case "inq":
    case "nin":
      if (!Array.isArray(operand) || operand.length > TERMS_MAX) {
        throw new FilterInvalid(`'${name}': ${operator} takes a list of at most ${TERMS_MAX}`);
      }
      return operand.map((item) => plain(name, item));
    case "between":
      if (!Array.isArray(operand) || operand.length !== 2) {
        throw new FilterInvalid(`'${name}': between takes [low, high]`);
      }
      return operand.map((item) => plain(name, item));
    case "like":
    case "nlike":
      if (typeof operand !== "string") {
        throw new FilterInvalid(`'${name}': ${operator} takes a text`);
      }
      if ([...operand].length > LIKE_CHARS_MAX) {
        throw new FilterInvalid(`'${name}': ${operator} takes at most ${LIKE_CHARS_MAX} characters`);
      }
      return plain(name, operand);
    case "exists":
      if (typeof operand !== "boolean") {
        throw new FilterInvalid(`'${name}': exists takes true or false`);
      }
      return operand;
    default:
      return plain(name, operand);
  }
}

/**
 * @param {string} name
 * @param {unknown} value
 */
function plain(name, value) {
  const isPlain = ["string", "boolean", "number", "bigint"].includes(typeof value);
  if (value !== null && !isPlain && !(value instanceof Date)) {
    throw new FilterInvalid(`'${name}' is compared with ${typeName(value)}; use a plain value`);
  }
  try {
    // What no record can hold is a mistake.
    return normalise(value, name);
  } catch (error) {
    if (error instanceof RecordError) throw new FilterInvalid(error.message, { hint: error.hint });
    throw error;
  }
}

/**
 * Return the path of a property's name.
 *
 * @param {unknown} name
 * @throws {FilterInvalid}
 */
export function pathOf(name) {
  const path = typeof name === "string" ? stepsOf(name) : [""];
  if (typeof name !== "string" || !path.every(Boolean)) {
    throw new FilterInvalid(`'${String(name)}' is no property's name`);
  }
  if (path.length > PATH_STEPS_MAX) {
    throw new FilterInvalid(`a property's name has at most ${PATH_STEPS_MAX} steps`);
  }
  if (name.includes('"') || /\p{Surrogate}/u.test(name)) {
    throw new FilterInvalid(`'${name}': no filter reaches a name with a quote or half a character`);
  }
  return path;
}

const WORD = /[.\s\\]|(?:and|or|nor|not)(?=\.|$)/y;

/** @param {string} name */
function stepsOf(name) {
  if (!name.includes("\\")) return name.split(".");
  const steps = [""];
  for (let position = 0; position < name.length; position += 1) {
    const char = name[position];
    if (char === ".") {
      steps.push("");
    } else if (char === "\\") {
      WORD.lastIndex = position + 1;
      const word = WORD.exec(name)?.[0];
      if (word === undefined || (word.length > 1 && steps[steps.length - 1])) {
        steps[steps.length - 1] += char; // It stands for itself before anything else.
      } else {
        steps[steps.length - 1] += word;
        position += word.length;
      }
    } else {
      steps[steps.length - 1] += char;
    }
  }
  return steps;
}

/**
 * Return a `where` filter as JSON carries it, its dates converted.
 *
 * @param {Where | null | undefined} where
 * @returns {Where | null}
 * @throws {FilterInvalid} it holds what JSON can't carry.
 */
export function plainWhere(where) {
  if (where == null) return null;
  try {
    return normalise(where);
  } catch (error) {
    if (error instanceof RecordError) throw new FilterInvalid(error.message, { hint: error.hint });
    throw error;
  }
}

/**
 * Tell whether a record matches.
 *
 * @param {Condition} condition
 * @param {RecordData} record
 * @returns {boolean}
 */
export function matches(condition, record) {
  if ("term" in condition) {
    return matchesTerm(condition.term, valueAt(record, condition.term.path));
  }
  if ("all" in condition) return condition.all.every((part) => matches(part, record));
  if ("any" in condition) return condition.any.some((part) => matches(part, record));
  return !matches(condition.not, record);
}

/**
 * Return the value at a path; null where there is none.
 *
 * @param {RecordData} record
 * @param {readonly string[]} path
 * @returns {any}
 */
export function valueAt(record, path) {
  /** @type {any} */
  let value = record;
  for (const name of path) {
    if (!isObject(value) || !Object.hasOwn(value, name)) return null;
    value = value[name];
  }
  return value ?? null;
}

/**
 * @param {Term} term
 * @param {any} found
 */
function matchesTerm({ operator, value }, found) {
  switch (operator) {
    case "eq":
      return areEqual(found, value);
    case "neq":
      return !areEqual(found, value);
    case "inq":
      return value.some((/** @type {any} */ item) => areEqual(found, item));
    case "nin":
      return !value.some((/** @type {any} */ item) => areEqual(found, item));
    case "between":
      return (
        compares(found, value[0]) &&
        compares(found, value[1]) &&
        compare(value[0], found) <= 0 &&
        compare(found, value[1]) <= 0
      );
    case "like":
      return typeof found === "string" && isLike(found, value);
    case "nlike":
      return typeof found === "string" && !isLike(found, value);
    case "exists":
      return (found !== null) === value;
    default:
      return compares(found, value) && COMPARE[operator](compare(found, value));
  }
}

/** @type {Record<string, (order: number) => boolean>} */
const COMPARE = {
  gt: (order) => order > 0,
  gte: (order) => order >= 0,
  lt: (order) => order < 0,
  lte: (order) => order <= 0,
};

/**
 * Return which values a value compares with.
 *
 * @param {unknown} value
 * @returns {"null" | "number" | "text" | "boolean" | "other"}
 */
export function kindOf(value) {
  if (value === null || value === undefined) return "null";
  if (typeof value === "boolean") return "boolean";
  if (typeof value === "number") return "number";
  return typeof value === "string" ? "text" : "other";
}

/**
 * @param {unknown} one
 * @param {unknown} other
 */
function compares(one, other) {
  const kind = kindOf(one);
  return kind !== "null" && kind !== "other" && kind === kindOf(other);
}

/**
 * @param {unknown} one
 * @param {unknown} other
 */
function areEqual(one, other) {
  const kind = kindOf(one);
  return kind !== "other" && kind === kindOf(other) && (kind === "null" || one === other);
}

/**
 * Compare two values of one kind.
 *
 * @param {any} one
 * @param {any} other
 */
export function compare(one, other) {
  if (typeof one === "string") return compareText(one, other);
  return one < other ? -1 : one > other ? 1 : 0;
}

/**
 * Compare by code point: JavaScript's own order is by UTF-16 unit, which differs beyond U+FFFF.
 *
 * @param {string} one
 * @param {string} other
 */
export function compareText(one, other) {
  if (one === other) return 0;
  const length = Math.min(one.length, other.length);
  let index = 0;
  while (index < length && one.charCodeAt(index) === other.charCodeAt(index)) index += 1;
  if (index === length) return one.length - other.length;
  const [a, b] = [one.charCodeAt(index), other.charCodeAt(index)];
  // A surrogate stands for a character above all that are written in one unit.
  const [aIsHigh, bIsHigh] = [isSurrogate(a), isSurrogate(b)];
  if (aIsHigh !== bIsHigh) return aIsHigh ? 1 : -1;
  return a - b;
}

/** @param {number} unit */
function isSurrogate(unit) {
  return unit >= 0xd800 && unit <= 0xdfff;
}

/**
 * Tell whether a text is like a pattern.
 *
 * Each piece between two `%` takes the first place where it fits, which is as good as any later
 * one; so nothing is ever tried twice.
 *
 * @param {string} text
 * @param {string} like
 */
function isLike(text, like) {
  const chars = [...text];
  const pieces = likePieces(like);
  const first = pieces[0];
  if (!fitsAt(chars, 0, first)) return false;
  if (pieces.length === 1) return first.length === chars.length;
  let position = first.length;
  const last = pieces[pieces.length - 1];
  for (const piece of pieces.slice(1, -1)) {
    while (position + piece.length <= chars.length && !fitsAt(chars, position, piece)) position += 1;
    if (position + piece.length > chars.length) return false;
    position += piece.length;
  }
  const end = chars.length - last.length;
  return end >= position && fitsAt(chars, end, last);
}

/**
 * @param {string[]} chars
 * @param {number} start
 * @param {(string | null)[]} piece null stands for any one character.
 */
function fitsAt(chars, start, piece) {
  if (start + piece.length > chars.length) return false;
  return piece.every((char, index) => char === null || char === chars[start + index]);
}

/**
 * @param {string} like
 * @returns {(string | null)[][]}
 */
function likePieces(like) {
  const chars = [...like];
  /** @type {(string | null)[][]} */
  const pieces = [[]];
  for (let index = 0; index < chars.length; index += 1) {
    const char = chars[index];
    if (char === "\\" && index + 1 < chars.length) {
      index += 1;
      pieces[pieces.length - 1].push(chars[index]);
    } else if (char === "%") pieces.push([]);
    else pieces[pieces.length - 1].push(char === "_" ? null : char);
  }
  return pieces;
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, any>}
 */
function isObject(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

/** @param {unknown} value */
function typeName(value) {
  if (value === null) return "null";
  return Array.isArray(value) ? "a list" : `a ${typeof value}`;
}

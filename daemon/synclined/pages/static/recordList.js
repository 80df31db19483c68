/**
 * The records of a model that a filter lets through, in order of their ids: pure.
 *
 * A list of ten thousand is changed record by record, so that a live one costs what has changed
 * and not what it holds.
 *
 * @module
 */

/** From so many changes at once it is cheaper to put the list in order anew. */
const ANEW_MIN = 64;

/** Records by id, and the ids of those that are shown. */
export class RecordList {
  constructor() {
    /** @type {string[]} Of the records that the filter lets through, in order. */
    this.ids = [];
    /** The names of all properties that any record has had, in order of their appearance. */
    this.names = new Set(["id"]);
    this._records = new Map();
    this._accepts = () => true;
  }

  /** How many there are, shown or not. */
  get total() {
    return this._records.size;
  }

  get(id) {
    return this._records.get(id);
  }

  /** Return the place of an id that is shown, or -1. */
  indexOf(id) {
    const place = this._placeOf(id);
    return this.ids[place] === id ? place : -1;
  }

  /** Show only what `accepts(record)`. */
  filter(accepts) {
    this._accepts = accepts;
    this._sort();
  }

  /**
   * Take changes in.
   *
   * @param {Map<string, object | null>} changes the records by id; null for one that is deleted
   */
  take(changes) {
    for (const [id, record] of changes) {
      if (record === null) this._records.delete(id);
      else this._records.set(id, record);
      for (const name of Object.keys(record ?? {})) this.names.add(name);
    }
    if (changes.size >= ANEW_MIN) this._sort();
    else for (const id of changes.keys()) this._place(id);
  }

  _sort() {
    this.ids = [...this._records.keys()].filter((id) => this._accepts(this._records.get(id))).sort(inOrder);
  }

  _place(id) {
    const record = this._records.get(id);
    const place = this._placeOf(id);
    const isShown = this.ids[place] === id;
    const isWanted = record !== undefined && this._accepts(record);
    if (isWanted && !isShown) this.ids.splice(place, 0, id);
    else if (!isWanted && isShown) this.ids.splice(place, 1);
  }

  /** Return the place that an id has, or would have. */
  _placeOf(id) {
    let [low, high] = [0, this.ids.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.ids[middle] < id) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function inOrder(one, other) {
  return one < other ? -1 : Number(one > other);
}

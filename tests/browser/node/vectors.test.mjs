// The shared vectors: the pure floors decide as the Python replica's do.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { readAddress } from "../../../client/browser/src/address.js";
import { settle } from "../../../client/browser/src/conflicts.js";
import { canonicalJson, normalise } from "../../../client/browser/src/digest.js";
import { digestOf } from "../../../client/browser/src/recordDigest.js";
import { matches, parseWhere } from "../../../client/browser/src/filters.js";
import { Base, Entry, newPending } from "../../../client/browser/src/models.js";
import { completed } from "../../../client/browser/src/news.js";
import { decodeNews, updateOf } from "../../../client/browser/src/protocol.js";
import { offer, take } from "../../../client/browser/src/verdicts.js";

function vectors(name) {
  return JSON.parse(readFileSync(new URL(`../../vectors/${name}`, import.meta.url), "utf8"));
}

function updateOrNull(item) {
  return item === null ? null : updateOf(item);
}

const addresses = vectors("addresses.json");
for (const { url, origin, base, namespace } of addresses.good) {
  test(`address: ${url}`, () => {
    assert.deepEqual({ ...readAddress(url) }, { origin, base, namespace });
  });
}

for (const url of [...addresses.bad, null, 8765]) {
  test(`no address: ${url}`, () => {
    assert.throws(() => readAddress(url), (error) => {
      assert.equal(error.code, "config_invalid");
      assert.ok(error.hint);
      assert.ok(!error.message.includes("secret"));
      return true;
    });
  });
}

for (const vector of vectors("digest.json")) {
  test(`digest: ${vector.name}`, () => {
    if ("refused" in vector) {
      assert.throws(() => normalise(JSON.parse(vector.text)), { code: vector.refused });
      return;
    }
    assert.equal(canonicalJson(vector.json), vector.canonical);
    assert.equal(digestOf(vector.json), vector.digest);
  });
}

for (const { name, current, update, verdict } of vectors("offer.json").cases) {
  test(`offer: ${name}`, () => {
    assert.equal(offer(updateOrNull(current), updateOf(update)), verdict);
  });
}

for (const { name, local, base, is_pending: isPending, update, verdict } of vectors("take.json").cases) {
  test(`take: ${name}`, () => {
    const found = take(updateOrNull(local), new Base(base), updateOf(update), {
      isPending,
      replicaId: "me",
    });
    assert.equal(found, verdict);
  });
}

for (const { name, strategy, base, ours, theirs, settlement } of vectors("settle.json").cases) {
  test(`settle: ${name}`, () => {
    const found = settle(strategy, { base, ours: updateOf(ours), theirs: updateOf(theirs) });
    assert.deepEqual(found, settlement);
  });
}

for (const { name, local, base_rev: baseRev, theirs, told, ...more } of vectors("news.json").completed) {
  test(`news: ${name}`, () => {
    const heard = decodeNews({ since: 8, checkpoint: 9, updates: [told] }).intervalIn("e", "todo");
    const pending = baseRev === null ? null : newPending({ model: "todo", recordId: "1", baseRev });
    const entry = local === null ? undefined : new Entry(updateOf(local), 1, pending);
    const max = more.ancestors_max ?? 64;
    const found = completed(heard.updates[0], entry, updateOrNull(theirs), max);
    assert.deepEqual(found && { prev: found.prev, ancestors: [...found.ancestors] }, more.completed);
  });
}

for (const { update, told } of vectors("news.json").told) {
  test(`news: what is left out of ${JSON.stringify(told)} is known`, () => {
    const heard = decodeNews({ since: 8, checkpoint: 9, updates: [told] }).intervalIn("e", "todo");
    const [{ model, recordId, seq, rev, data }] = heard.updates;
    assert.deepEqual(
      { model, recordId, seq, rev, data },
      { model: update.model, recordId: update.id, seq: update.seq, rev: update.rev, data: update.data ?? null },
    );
  });
}

for (const { where, record, matches: expected } of vectors("filters.json")) {
  test(`filter: ${JSON.stringify(where)}`, () => {
    assert.equal(matches(parseWhere(where), record), expected);
  });
}

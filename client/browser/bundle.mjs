/**
 * Make the one file that a page needs: `node bundle.mjs [--outfile=FILE]`.
 *
 * Three things make it small beside the usual means.
 * A replica speaks over WebSocket only, so Engine.IO's other ways of transport are left out.
 * Engine.IO reads addresses by an expression of its own; every browser with WebSocket has `URL`.
 * Names with an underscore are private, so ours become short; those of the libraries stay, since
 * a library may reach one of its own by a text.
 *
 * @module
 */

import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";

const HERE = dirname(fileURLToPath(import.meta.url));
const SOURCE = join(HERE, "src");
const OUTFILE = "--outfile=";
const OTHER_TRANSPORTS = /engine\.io-client\/build\/esm\/transports\/(polling.*|webtransport)\.js$/;
const URL_PARSER = /engine\.io-client\/build\/esm\/contrib\/parseuri\.js$/;
const PARSE = `export function parse(source) {
  const { protocol, hostname, port, pathname, search } = new URL(source);
  const host = hostname.replace(/[[\\]]/g, "");
  const query = search.slice(1);
  return { source, protocol: protocol.slice(0, -1), host, port, path: pathname, query };
}`;
const COMMON = /** @type {const} */ ({
  bundle: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
  logLevel: "warning",
});

const given = process.argv.find((argument) => argument.startsWith(OUTFILE));
const outfile = given ? given.slice(OUTFILE.length) : join(HERE, "dist", "syncline.js");

const ours = await build({
  ...COMMON,
  entryPoints: [join(SOURCE, "index.js")],
  packages: "external",
  mangleProps: /^_[a-z]/i,
  write: false,
});

await build({
  ...COMMON,
  stdin: { contents: ours.outputFiles[0].text, resolveDir: SOURCE, sourcefile: "syncline.js" },
  minify: true,
  format: "iife",
  globalName: "syncline",
  outfile,
  plugins: [
    {
      name: "small-engine",
      setup({ onLoad }) {
        const contents = "export class XHR {} export class Fetch {} export class WT {}";
        onLoad({ filter: OTHER_TRANSPORTS }, () => ({ contents }));
        onLoad({ filter: URL_PARSER }, () => ({ contents: PARSE }));
      },
    },
  ],
});

const packed = gzipSync(await readFile(outfile), { level: 9 }).length;
console.log(`${outfile}: ${(packed / 1000).toFixed(1)} kB gzipped`);

// A process with the real LoopBack 3: its models, driven by one JSON command a line.
// Commands: {id, verb, ...}; answers: {id, value} or {id, error}.
'use strict';
const loopback = require('loopback');
const readline = require('readline');
const http = require('http');
const {io} = require('socket.io-client');

const PROPERTIES = {
  id: {type: 'string', id: true, generated: false},
  maker: 'string', model: 'string', year: 'number', price: 'number', sold: 'boolean',
  built: 'date', tags: ['any'], details: 'object',
};

const streams = {};
const models = {};
const remembered = {};
const apps = {};

function definition(spec) {
  const strict = spec.nulls
    ? {strict: true, persistUndefinedAsNull: true}
    : {strict: false};
  return {...strict, trackChanges: spec.tracked !== false, plural: spec.plural,
    replicationChunkSize: spec.chunk, changeCleanupInterval: -1};
}

const verbs = {
  // A local model of its own memory data source.
  async local(spec) {
    const app = loopback({localRegistry: true, loadBuiltinModels: true});
    apps[spec.name] = app;
    const source = app.dataSource(`db-${spec.name}`, {connector: 'memory'});
    const Model = app.registry.createModel(spec.model || spec.name,
      PROPERTIES,
      {base: 'PersistedModel', ...definition(spec)});
    app.model(Model, {dataSource: source, public: false});
    models[spec.name] = Model;
  },
  // A model at a server, by loopback-connector-remote.
  async remote(spec) {
    const app = apps[spec.beside] || loopback({localRegistry: true, loadBuiltinModels: true});
    const source = app.dataSource(`remote-${spec.name}`, {
      connector: require('loopback-connector-remote'), url: spec.url,
    });
    if (spec.token)
      source.connector.remotes.auth = {bearer: Buffer.from(spec.token).toString('base64'), sendImmediately: true};
    const Model = app.registry.createModel(spec.model,
      PROPERTIES,
      {base: 'PersistedModel', ...definition({...spec, tracked: false}),
        enableRemoteReplication: true});
    app.model(Model, {dataSource: source, public: false});
    models[spec.name] = Model;
    // The line that the guide prints.
    if (spec.since)
      Model.sharedClass.findMethodByName('diff').accepts[0].http = {source: 'query'};
  },
  // A whole stock server, its model tracked and exposed.
  async server(spec) {
    const app = loopback({localRegistry: true, loadBuiltinModels: true});
    apps[spec.name] = app;
    app.set('remoting', {json: {limit: '50mb'}, errorHandler: {debug: false, log: false}, context: false});
    const source = app.dataSource('db', {connector: 'memory'});
    const Model = app.registry.createModel(spec.model,
      PROPERTIES,
      {base: 'PersistedModel', ...definition(spec)});
    app.model(Model, {dataSource: source, public: true});
    app.use('/api', loopback.rest());
    models[spec.name] = Model;
    const server = http.createServer(app);
    server.keepAliveTimeout = 600000;  // a slow machine meets the default of 5 s in the middle of a run
    await new Promise((done) => server.listen(0, '127.0.0.1', done));
    return `http://127.0.0.1:${server.address().port}/api`;
  },
  // Forget everything, as a server in memory does when it is started anew.
  async wipe(c) {
    for (const source of Object.values(apps[c.name].datasources))
      if (source.connector && source.connector.cache)
        for (const name of Object.keys(source.connector.cache)) source.connector.cache[name] = {};
  },
  create: (c) => models[c.name].create(c.data),
  get: (c) => models[c.name].findById(c.key),
  find: (c) => models[c.name].find(c.filter || {}),
  count: (c) => models[c.name].count(c.where || {}),
  exists: (c) => models[c.name].exists(c.key),
  patch: async (c) => (await models[c.name].findById(c.key)).updateAttributes(c.data),
  replace: (c) => models[c.name].replaceById(c.key, c.data),
  upsert: (c) => models[c.name].upsert(c.data),
  update_all: (c) => models[c.name].updateAll(c.where, c.data),
  destroy: (c) => models[c.name].destroyById(c.key),
  call: async (c) => (await promised((callback) =>
    models[c.name][c.method](...(c.args || []), callback)))[0],
  async save(c) {
    const found = await models[c.name].findById(c.key);
    Object.assign(found, c.data);
    return found.save();
  },
  async unset(c) {
    const found = (await models[c.name].findById(c.key)).toObject();
    delete found[c.property];
    return models[c.name].replaceById(c.key, found);
  },
  changes: async (c) => (await promised((callback) =>
    models[c.name].changes(-1, {}, callback)))[0],
  checkpoint: async (c) => (await promised((callback) => models[c.name].checkpoint(callback)))[0],
  last: (c) => models[c.name].findLastChange(c.key),
  hash: async (c) => {
    const Change = models[c.name].getChangeModel();
    return Change.revisionForInst(await models[c.name].findById(c.key));
  },
  // Hear the stock remote model's change stream.
  async listen(c) {
    const heard = streams[c.name] = {events: [], wake: () => {}};
    const stream = await models[c.name].createChangeStream();
    stream.on('data', (event) => { heard.events.push(event); heard.wake(); });
  },
  async heard(c) {
    const {events} = streams[c.name];
    while (events.length < c.count)
      await new Promise((done) => { streams[c.name].wake = done; });
    return events;
  },
  // LoopBack's printed recipe: on `changed`, replicate from the remote model.
  async follow(c) {
    const socket = io(c.url, {auth: {}});
    const source = models[c.remote], target = models[c.name];
    const followed = streams[c.name] = {wake: () => {}};
    let running = Promise.resolve();
    socket.on('changed', (name) => {
      if (name !== source.modelName) return;
      running = running.then(() => source.replicate(target)).then(() => followed.wake());
    });
    await new Promise((done) => socket.on('connect', done));
  },
  async until(c) {
    for (;;) {
      const found = await models[c.name].findById(c.key);
      if (found && Object.entries(c.data).every(([name, value]) => found[name] === value))
        return found;
      await new Promise((done) => { streams[c.name].wake = done; });
    }
  },
  // Replicate; the conflicts are resolved as asked, and their description returned.
  async replicate(c) {
    const source = models[c.from], target = models[c.to];
    const key = `${c.from}>${c.to}`;
    let since = c.since;
    if (c.remember && remembered[key]) since = remembered[key];
    if (since === undefined) since = -1;
    const sent = [];
    const undo = c.before ? intercept(target, c.before) : () => {};
    const restored = c.cut ? cutLine(target, c.cut) : () => {};
    const counted = countCalls(target, 'bulkUpdate', sent);
    let result;
    try {
      result = await new Promise((done, fail) => source.replicate(since, target,
        c.options || {}, (error, conflicts, checkpoints) =>
          error ? fail(error) : done({conflicts, checkpoints})));
    } finally { counted(); restored(); undo(); }
    if (c.remember && !(result.conflicts || []).length) remembered[key] = result.checkpoints;
    const described = [];
    for (const conflict of result.conflicts || []) described.push(await describe(conflict, c));
    return {conflicts: described, checkpoints: result.checkpoints, bulk: sent};
  },
};

function countCalls(target, method, sent) {
  const stock = target[method];
  target[method] = function(updates, ...rest) {
    sent.push(updates.length);
    return stock.call(this, updates, ...rest);
  };
  return () => { target[method] = stock; };
}

// Lose the bulk update on its way, or the answer to it.
function cutLine(target, where) {
  const stock = target.bulkUpdate;
  target.bulkUpdate = function(updates, options, callback) {
    if (typeof options === 'function') { callback = options; options = {}; }
    const broken = () => callback(new Error('the line is cut'));
    if (where === 'before') process.nextTick(broken);
    else stock.call(target, updates, options, broken);
  };
  return () => { target.bulkUpdate = stock; };
}

// Have a third party write at the target before the bulk update reaches it.
function intercept(target, before) {
  const stock = target.bulkUpdate;
  target.bulkUpdate = function(updates, options, callback) {
    target.bulkUpdate = stock;
    if (typeof options === 'function') { callback = options; options = {}; }
    Promise.resolve(third(before)).then(
      () => stock.call(target, updates, options, callback), callback);
  };
  return () => { target.bulkUpdate = stock; };
}

async function third(write) {
  const answer = await fetch(write.url, {method: write.method,
    headers: {'content-type': 'application/json'},
    body: write.data === undefined ? undefined : JSON.stringify(write.data)});
  if (!answer.ok) throw new Error(`the third party met ${answer.status}`);
}

const promised = (work) => new Promise((done, fail) =>
  work((error, ...found) => error ? fail(error) : done(found)));

async function describe(conflict, c) {
  const [source, target] = await promised((callback) => conflict.models(callback));
  const [ours, theirs] = await promised((callback) => conflict.changes(callback));
  const [type] = await promised((callback) => conflict.type(callback));
  const said = {id: conflict.modelId, type, source, target,
    kinds: [ours && ours.type(), theirs && theirs.type()]};
  let party = conflict;
  if (c.swap) party = conflict.swapParties();
  if (c.resolve === 'source') await promised((callback) => party.resolveUsingSource(callback));
  if (c.resolve === 'target') await promised((callback) => party.resolveUsingTarget(callback));
  if (c.resolve === 'manual') await promised((callback) => party.resolveManually(c.data, callback));
  return said;
}

function plain(value) {
  return value === undefined ? null : JSON.parse(JSON.stringify(value));
}

function failure(error) {
  return {message: String(error.message), status: error.statusCode || null,
    code: error.code || null};
}

readline.createInterface({input: process.stdin}).on('line', async (line) => {
  const command = JSON.parse(line);
  let answer;
  try {
    answer = {value: plain(await verbs[command.verb](command))};
  } catch (error) {
    answer = {error: failure(error)};
  }
  process.stdout.write(JSON.stringify({id: command.id, ...answer}) + '\n');
});
process.stdout.write('{"ready": true}\n');

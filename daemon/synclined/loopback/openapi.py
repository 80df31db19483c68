"""The OpenAPI document of the LoopBack door, and the small page that shows it. Pure."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from syncline.schema import ModelSchema, PropertyKind
from synclined.loopback.names import plural_of


_TYPES: dict[PropertyKind, dict[str, Any]] = {
    PropertyKind.STRING: {"type": "string"},
    PropertyKind.INTEGER: {"type": "integer"},
    PropertyKind.NUMBER: {"type": "number"},
    PropertyKind.BOOLEAN: {"type": "boolean"},
    PropertyKind.DATE: {"type": "string", "format": "date-time"},
    PropertyKind.OBJECT: {"type": "object"},
    PropertyKind.ARRAY: {"type": "array", "items": {}},
}
_ANY_OBJECT: dict[str, Any] = {"type": "object"}
_COUNT: dict[str, Any] = {"type": "object", "properties": {"count": {"type": "integer"}}}
_PATHS = (
    ("", "get", "find", "The records that match.", "filter", None, "records"),
    ("", "post", "create", "Store one new record, or a list of them.", "", "record", "record"),
    ("", "patch", "patchOrCreate", "Set properties, or make the record.", "", "record", "record"),
    ("", "put", "replaceOrCreate", "Store a whole record.", "", "record", "record"),
    ("/replaceOrCreate", "post", "replaceOrCreate", "Likewise.", "", "record", "record"),
    ("/upsertWithWhere", "post", "upsertWithWhere", "Set, or make, the one that matches.",
     "where", "record", "record"),
    ("/update", "post", "updateAll", "Set properties of all that match.", "where", "object",
     "count"),
    ("/findOne", "get", "findOne", "The first that matches.", "filter", None, "record"),
    ("/count", "get", "count", "How many match.", "where", None, "count"),
    ("/{id}", "get", "findById", "One record.", "id filter", None, "record"),
    ("/{id}", "head", "exists", "Whether it is there.", "id", None, None),
    ("/{id}", "patch", "patchAttributes", "Set some properties.", "id", "record", "record"),
    ("/{id}", "put", "replaceById", "Replace a record.", "id", "record", "record"),
    ("/{id}", "delete", "deleteById", "Delete a record.", "id", None, "count"),
    ("/{id}/exists", "get", "exists", "Whether it is there.", "id", None, "object"),
    ("/{id}/replace", "post", "replaceById", "Replace a record.", "id", "record", "record"),
    ("/checkpoint", "post", "checkpoint", "A checkpoint that later writes belong to.", "", None,
     "object"),
    ("/checkpoint", "get", "currentCheckpoint", "The current checkpoint.", "", None, "number"),
    ("/changes", "get", "changes", "The changes at or beyond a checkpoint.", "since filter", None,
     "changes"),
    ("/diff", "post", "diff", "What is lacking of a source's changes.", "since", "changes",
     "object"),
    ("/create-updates", "post", "createUpdates", "The updates of deltas.", "", "changes",
     "updates"),
    ("/bulk-update", "post", "bulkUpdate", "Apply updates.", "", "object", None),
    ("/{id}/changes/last", "get", "findLastChange", "A record's change.", "id", None, "change"),
    ("/{id}/changes/last", "put", "updateLastChange", "Rebase a change.", "id", "change",
     "change"),
    ("/{id}/rectify-change", "post", "rectifyChange", "Bring a change up to date.", "id", None,
     "change"),
    ("/rectify-all", "post", "rectifyAllChanges", "Bring all changes up to date.", "", None,
     "count"),
    ("/replicate", "post", "replicate", "Replicate to another model.", "", "object", "object"),
    ("/change-stream", "get", "createChangeStream", "Changes as they happen.", "options", None,
     None),
    ("/change-stream", "post", "createChangeStream", "Likewise.", "", "object", None),
)  # fmt: skip
_JSON_PARAMETERS: dict[str, dict[str, Any]] = {
    name: {
        "name": name,
        "in": "query",
        "description": "JSON",
        "content": {"application/json": {"schema": _ANY_OBJECT}},
    }
    for name in ("filter", "where", "options")
}
_PARAMETERS: dict[str, dict[str, Any]] = {
    "id": {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}},
    "since": {
        "name": "since",
        "in": "query",
        "description": "A checkpoint, included; -1 for all.",
        "schema": {"type": "number"},
    },
    **_JSON_PARAMETERS,
}


def document(models: Mapping[str, ModelSchema | None], root: str) -> dict[str, Any]:
    """Return the OpenAPI 3 document for these models; None stands for a schemaless one."""
    paths: dict[str, dict[str, Any]] = {}
    schemas: dict[str, Any] = {"Change": _CHANGE}
    for name, schema in sorted(models.items()):
        schemas[name] = _schema_of(schema)
        for path, method, *rest in _PATHS:
            where = f"{root}/{plural_of(name)}{path}"
            paths.setdefault(where, {})[method] = _operation(name, method, path, rest)
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "syncline",
            "version": version("syncline"),
            "description": "LoopBack 3's REST API and its replication, on syncline's models.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "X-Access-Token"}
            },
        },
        "security": [{"token": []}],
    }


def _operation(model: str, method: str, path: str, rest: list[Any]) -> dict[str, Any]:
    name, summary, parameters, body, result = rest
    place = path.strip("/").replace("/", "_").replace("{id}", "id")
    operation: dict[str, Any] = {
        "tags": [model],
        "operationId": f"{model}_{name}_{method}{'_' + place if place else ''}",
        "summary": summary,
        "parameters": [_PARAMETERS[one] for one in parameters.split()],
        "responses": {"200" if result else "204": _response(model, result)},
    }
    if name in ("exists", "createChangeStream") and result is None:
        operation["responses"] = {"200": {"description": "done"}}
    if body is not None:
        content = {"application/json": {"schema": _shape(model, body)}}
        operation["requestBody"] = {"content": content}
    return operation


def _response(model: str, result: str | None) -> dict[str, Any]:
    if result is None:
        return {"description": "done"}
    schema = _shape(model, result)
    return {"description": "done", "content": {"application/json": {"schema": schema}}}


def _shape(model: str, name: str) -> dict[str, Any]:
    record = {"$ref": f"#/components/schemas/{model}"}
    change = {"$ref": "#/components/schemas/Change"}
    shapes: dict[str, dict[str, Any]] = {
        "record": record,
        "records": {"type": "array", "items": record},
        "change": change,
        "changes": {"type": "array", "items": change},
        "updates": {"type": "array", "items": _ANY_OBJECT},
        "count": _COUNT,
        "number": {"type": "number"},
        "object": _ANY_OBJECT,
    }
    return shapes[name]


_CHANGE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "rev": {"type": "string", "nullable": True},
        "prev": {"type": "string", "nullable": True},
        "checkpoint": {"type": "integer"},
        "modelName": {"type": "string"},
        "modelId": {"type": "string"},
    },
}


def _schema_of(schema: ModelSchema | None) -> dict[str, Any]:
    if schema is None or not schema.properties:
        id_name = "id" if schema is None else schema.id_name
        return {"type": "object", "properties": {id_name: {"type": "string"}}}
    properties: dict[str, Any] = {schema.id_name: {"type": schema.id_kind}}
    for declared in schema.properties:
        shown = dict(_TYPES[declared.kind])
        if declared.nullable:
            shown["nullable"] = True
        if declared.has_default:
            shown["default"] = declared.default
        properties[declared.name] = shown
    required = [p.name for p in schema.properties if not p.nullable and not p.has_default]
    described: dict[str, Any] = {"type": "object", "properties": properties}
    if schema.strict:
        described["additionalProperties"] = False
    return {**described, "required": required} if required else described


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>syncline: REST</title>
<meta name="viewport" content="width=device-width">
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin: 1.5rem 0 .3rem } td { padding: .1rem .8rem .1rem 0; vertical-align: top }
code { font-size: .9em } .method { text-transform: uppercase; font-weight: 600 }
</style>
<h1>syncline: the REST API</h1>
<p>LoopBack 3's endpoints, for every model that you may read. The same as
<a href="openapi.json">an OpenAPI document</a>.</p>
<form><label>Token <input name="token" type="password" autocomplete="off"></label>
<button>Show</button></form>
<main></main>
<script>
const main = document.querySelector("main");
const show = async (token) => {
  const headers = token ? { "X-Access-Token": token } : {};
  const base = location.pathname.replace(/\\/$/, "");
  const response = await fetch(`${base}/openapi.json`, { headers });
  const found = await response.json();
  main.replaceChildren();
  if (!response.ok) { main.textContent = found.error.message; return; }
  const tables = new Map();
  for (const [path, methods] of Object.entries(found.paths))
    for (const [method, operation] of Object.entries(methods)) {
      const model = operation.tags[0];
      if (!tables.has(model)) {
        const title = document.createElement("h2");
        title.textContent = model;
        tables.set(model, document.createElement("table"));
        main.append(title, tables.get(model));
      }
      const row = tables.get(model).insertRow();
      const cells = [method, path, operation.summary].map((text) => {
        const cell = row.insertCell(); cell.textContent = text; return cell;
      });
      cells[0].className = "method";
    }
  if (!tables.size) main.textContent = "There are no models yet: write a record to make one.";
};
document.querySelector("form").onsubmit = (event) => {
  event.preventDefault();
  show(event.target.token.value);
};
show("");
</script>
"""

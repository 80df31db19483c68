"""The door itself: LoopBack's paths, who may take them, and what each is answered with."""

import itertools
from collections.abc import Awaitable, Callable

from aiohttp import web

from syncline.errors import (
    Forbidden,
    MessageInvalid,
    ModelUnknown,
    SynclineError,
)
from syncline.logs import Logger
from syncline.replica import Replica
from synclined.access import Principal, Right, allows
from synclined.loopback.asked import Asked
from synclined.loopback.filters import read_filter
from synclined.loopback.names import model_of
from synclined.loopback.openapi import PAGE, document
from synclined.loopback.records import Records
from synclined.loopback.replicating import Replicating
from synclined.loopback.serving import Serving
from synclined.loopback.streams import Streams
from synclined.loopback.telling import read_entry
from synclined.loopback.tokens import principal_of, require
from synclined.loopback.wire import (
    answer,
    answer_error,
    read_change,
    read_list,
    read_object,
    read_since,
)
from synclined.origins import Origins
from synclined.peers import Limits
from synclined.refusals import log_refused


log = Logger("synclined")

Authenticate = Callable[[str | None], Principal]
_UNSAFE = ("POST", "PUT", "PATCH", "DELETE")


Handler = Callable[[Asked], Awaitable[web.StreamResponse]]


class LoopBackDoor:
    """
    LoopBack's REST API over one daemon.

    Args:
        authenticate: turns a token into a principal, or raises `Unauthenticated`.
        root: the path that all of it is under.
        origins: the browser origins let in; None for those of the limits.
    """

    def __init__(
        self,
        authenticate: Authenticate,
        limits: Limits,
        *,
        root: str = "/api",
        origins: Origins | None = None,
    ) -> None:
        self._authenticate = authenticate
        self._origins = origins or Origins(limits.origins)
        self._limits = limits
        self._root = root
        self._replica: Replica | None = None
        self._records: Records | None = None
        self._replicating: Replicating | None = None
        self._streams: Streams | None = None

    def open(self, replica: Replica, *, on_clash: Callable[[], None] | None = None) -> None:
        """
        Serve a replica, from now on.

        Args:
            on_clash: called when something of a bulk update was refused or collided.
        """
        serving = Serving(replica, on_clash=on_clash)
        self._replica = replica
        self._records = Records(serving)
        self._replicating = Replicating(serving)
        self._streams = Streams(replica)

    def close(self) -> None:
        """End the streams."""
        if self._streams is not None:
            self._streams.close()

    def attach(self, app: web.Application) -> None:
        """Add the paths to an application; `OPTIONS` answers pages of the allowed origins."""
        route = app.router.add_route
        base = f"{self._root}/{{model}}"
        route("GET", f"{self._root}/openapi.json", self._document)
        route("GET", f"{self._root}/", self._page)
        route("GET", self._root, self._to_page)
        for method, path, right, handler in self._paths():
            methods = [method]
            if method == "GET" and path not in ("/{id}", "/change-stream"):
                methods.append("HEAD")
            for one, end in itertools.product(methods, ("", "/")):
                route(one, base + path + end, self._guarded(right, handler))
        route("*", f"{self._root}/{{tail:.*}}", self._nothing)

    def _paths(self) -> list[tuple[str, str, Right, Handler]]:
        read, replicate, write = Right.READ, Right.REPLICATE, Right.WRITE
        return [
            ("POST", "/checkpoint", replicate, self._checkpoint),
            ("GET", "/checkpoint", read, self._current_checkpoint),
            ("GET", "/changes", read, self._changes),
            ("POST", "/diff", read, self._diff),
            ("POST", "/create-updates", read, self._create_updates),
            ("POST", "/bulk-update", write, self._bulk_update),
            ("POST", "/rectify-all", write, self._rectify_all),
            ("POST", "/replicate", read, self._replicate),
            ("GET", "/change-stream", read, self._change_stream),
            ("POST", "/change-stream", read, self._change_stream),
            ("GET", "/findOne", read, self._find_one),
            ("GET", "/count", read, self._count),
            ("POST", "/update", write, self._update_all),
            ("POST", "/upsertWithWhere", write, self._upsert_with_where),
            ("POST", "/replaceOrCreate", write, self._replace_or_create),
            ("GET", "", read, self._find),
            ("POST", "", write, self._create),
            ("PATCH", "", write, self._patch_or_create),
            ("PUT", "", write, self._replace_or_create),
            ("GET", "/{id}/changes/last", read, self._last_change),
            ("PUT", "/{id}/changes/last", write, self._rebase_change),
            ("POST", "/{id}/rectify-change", write, self._rectify_change),
            ("GET", "/{id}/exists", read, self._exists),
            ("POST", "/{id}/replace", write, self._replace),
            ("GET", "/{id}", read, self._get),
            ("HEAD", "/{id}", read, self._head),
            ("PATCH", "/{id}", write, self._patch),
            ("PUT", "/{id}", write, self._replace),
            ("DELETE", "/{id}", write, self._delete),
        ]

    # ---- around every request -----------------------------------------------------------

    def _guarded(
        self, right: Right, handler: Handler
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def guarded(request: web.Request) -> web.StreamResponse:
            return await self._answered(request, lambda: self._ask(request, right, handler))

        return guarded

    async def _answered(
        self, request: web.Request, work: Callable[[], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Answer in LoopBack's terms, whatever goes wrong."""
        origin = request.headers.get("Origin")
        is_allowed = self._allows_origin(request, origin)
        response: web.StreamResponse
        try:
            if not is_allowed and request.method in _UNSAFE:
                raise Forbidden(f"pages of {origin} are not let in")  # noqa: TRY301 - one place says it
            response = await work()
        except (SynclineError, web.HTTPException) as error:
            response = answer_error(error)
            log.info(
                "request.refused",
                method=request.method,
                path=request.path[:200],
                status=response.status,
                error=getattr(error, "code", "http"),
                reason=str(error)[:200],
            )
        except Exception as error:
            log.exception("request.broke", method=request.method, path=request.path[:200])
            response = answer_error(error)
        if origin is not None and is_allowed and not response.prepared:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Vary"] = "Origin"
        return response

    def _allows_origin(self, request: web.Request, origin: str | None) -> bool:
        return self._origins.allow(request, origin)

    async def _ask(
        self, request: web.Request, right: Right, handler: Handler
    ) -> web.StreamResponse:
        principal = principal_of(request, self._authenticate)
        if self._replica is None:
            raise web.HTTPServiceUnavailable
        model = await self._model(request.match_info["model"])
        try:
            require(principal, right, model)
        except Forbidden as error:
            if right is Right.WRITE:
                record_id = request.match_info.get("id", "")
                log_refused(principal, model, record_id, f"{error.code}: {error}")
            raise
        return await handler(
            Asked(
                request,
                principal,
                model,
                bytes_max=self._limits.message_bytes_max,
                schema=self._opened().core.schema_of(model),
            )
        )

    async def _model(self, segment: str) -> str:
        replica = self._opened()
        # What is declared is known without a look at the store.
        model = model_of(segment, replica.core.schemas)
        if model is None and replica.core.is_open:
            model = model_of(segment, await replica.model_names())
        if model is None:
            # An open daemon makes a model on its first use.
            try:
                replica.core.schema_of(segment)
            except ModelUnknown:
                raise ModelUnknown(f"There is no method to handle {self._root}/{segment}") from None
            model = segment
        return model

    def _opened(self) -> Replica:
        assert self._replica is not None
        return self._replica

    async def _nothing(self, request: web.Request) -> web.StreamResponse:
        if request.method == "OPTIONS":
            return self._preflight(request)
        missing = web.HTTPNotFound(
            reason=f"There is no method to handle {request.method} {request.path[:200]}"
        )
        return answer_error(missing)

    def _preflight(self, request: web.Request) -> web.Response:
        origin = request.headers.get("Origin")
        if origin is None or not self._allows_origin(request, origin):
            return answer_error(Forbidden("pages of that origin are not let in"))
        headers = {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": "GET,HEAD,POST,PUT,PATCH,DELETE",
            "Access-Control-Allow-Headers": "Authorization, Content-Type, X-Access-Token",
            "Access-Control-Max-Age": "86400",
            "Vary": "Origin",
        }
        return web.Response(status=204, headers=headers)

    # ---- what there is ------------------------------------------------------------------

    async def _document(self, request: web.Request) -> web.StreamResponse:
        async def work() -> web.StreamResponse:
            principal = principal_of(request, self._authenticate)
            replica = self._opened()
            names = await replica.model_names()
            shown = {
                name: replica.core.schemas.get(name)
                for name in names
                if allows(principal, Right.READ, name)
            }
            return answer(document(shown, request.path.removesuffix("/openapi.json")))

        return await self._answered(request, work)

    async def _to_page(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": f"{request.path}/"})

    async def _page(self, _request: web.Request) -> web.StreamResponse:
        # The page asks for the document itself, with the token that its reader gives.
        return web.Response(text=PAGE, content_type="text/html")

    # ---- replication --------------------------------------------------------------------

    @property
    def _replication(self) -> Replicating:
        assert self._replicating is not None
        return self._replicating

    async def _checkpoint(self, _asked: Asked) -> web.Response:
        return answer(await self._replication.checkpoint())

    async def _current_checkpoint(self, _asked: Asked) -> web.Response:
        return answer(await self._replication.current_checkpoint())

    async def _changes(self, asked: Asked) -> web.Response:
        since = read_since(asked.request)
        wanted = asked.filter()
        if since is None:
            return answer([])
        return answer(await self._replication.changes(asked.model, since, wanted, asked.peer))

    def _may_write(self, asked: Asked) -> bool:
        return allows(asked.principal, Right.WRITE, asked.model)

    async def _diff(self, asked: Asked) -> web.Response:
        body = await asked.body()
        if isinstance(body, dict):
            body = read_list(body.get("remoteChanges"), "remoteChanges")
        changes = [
            read_change(one, f"changes[{index}]")
            for index, one in enumerate(read_list([] if body is None else body, "changes"))
        ]
        return answer(
            await self._replication.diff(
                asked.model,
                changes,
                asked.peer,
                since=read_since(asked.request),
                may_write=self._may_write(asked),
            )
        )

    async def _create_updates(self, asked: Asked) -> web.Response:
        body = await asked.body()
        if isinstance(body, dict):
            body = body.get("deltas", [])
        deltas = [
            read_change(one, f"deltas[{index}]")
            for index, one in enumerate(read_list([] if body is None else body, "deltas"))
        ]
        return answer(await self._replication.create_updates(asked.model, deltas, asked.peer))

    async def _bulk_update(self, asked: Asked) -> web.Response:
        body = read_object(await asked.body(), "the body")
        entries = [
            read_entry(one, f"updates[{index}]")
            for index, one in enumerate(read_list(body.get("updates"), "updates"))
        ]
        await self._replication.bulk_update(asked.principal, asked.model, entries, asked.peer)
        return web.Response(status=204)

    async def _last_change(self, asked: Asked) -> web.Response:
        found = await self._replication.last_change(
            asked.model, asked.record_id, asked.peer, may_write=self._may_write(asked)
        )
        return answer(found)

    async def _rebase_change(self, asked: Asked) -> web.Response:
        fields = read_object(await asked.body() or {}, "the body")
        return answer(await self._replication.rebase_change(asked.model, asked.record_id, fields))

    async def _rectify_change(self, asked: Asked) -> web.Response:
        await self._opened().model(asked.model).rectify_change(asked.record_id)
        return answer(
            await self._replication.last_change(
                asked.model, asked.record_id, asked.peer, may_write=False
            )
        )

    async def _rectify_all(self, asked: Asked) -> web.Response:
        return answer({"count": await self._opened().model(asked.model).rectify_all_changes()})

    async def _replicate(self, asked: Asked) -> web.Response:
        body = read_object(await asked.body() or {}, "the body")
        target = body.get("target")
        if not isinstance(target, str):
            raise MessageInvalid("target must name the model to replicate to")
        model = await self._model(target)
        require(asked.principal, Right.WRITE, model)
        since = body.get("since")
        if since is not None and (isinstance(since, bool) or not isinstance(since, int)):
            raise MessageInvalid("since must be a checkpoint")
        wanted = read_filter(body.get("filter"))
        chosen = None if wanted.where is None else {"where": wanted.where}
        return answer(await self._replication.replicate(asked.model, model, since, chosen))

    async def _change_stream(self, asked: Asked) -> web.StreamResponse:
        assert self._streams is not None
        if self._streams.is_full:
            raise web.HTTPServiceUnavailable
        options = asked.argument("options")
        if asked.request.method == "POST":
            options = read_object(await asked.body() or {}, "the body").get("options", options)
        return await self._streams.serve(asked.request, asked.model, options)

    # ---- records ------------------------------------------------------------------------

    @property
    def _plain(self) -> Records:
        assert self._records is not None
        return self._records

    async def _find(self, asked: Asked) -> web.Response:
        return answer(await self._plain.find(asked.model, asked.filter()))

    async def _find_one(self, asked: Asked) -> web.Response:
        return answer(await self._plain.find_one(asked.model, asked.filter()))

    async def _get(self, asked: Asked) -> web.Response:
        return answer(await self._plain.get(asked.model, asked.record_id, asked.filter()))

    async def _exists(self, asked: Asked) -> web.Response:
        return answer({"exists": await self._plain.exists(asked.model, asked.record_id)})

    async def _head(self, asked: Asked) -> web.Response:
        await self._plain.get(asked.model, asked.record_id, LOOPBACK_FILTER)
        return web.Response(status=200)

    async def _count(self, asked: Asked) -> web.Response:
        return answer({"count": await self._plain.count(asked.model, asked.where())})

    async def _create(self, asked: Asked) -> web.Response:
        return answer(await self._plain.create(asked.principal, asked.model, await asked.body()))

    async def _patch_or_create(self, asked: Asked) -> web.Response:
        body = await asked.body()
        return answer(await self._plain.patch_or_create(asked.principal, asked.model, body))

    async def _replace_or_create(self, asked: Asked) -> web.Response:
        body = await asked.body()
        return answer(await self._plain.replace_or_create(asked.principal, asked.model, body))

    async def _replace(self, asked: Asked) -> web.Response:
        body = await asked.body()
        return answer(
            await self._plain.replace(asked.principal, asked.model, asked.record_id, body)
        )

    async def _patch(self, asked: Asked) -> web.Response:
        body = await asked.body()
        return answer(await self._plain.patch(asked.principal, asked.model, asked.record_id, body))

    async def _delete(self, asked: Asked) -> web.Response:
        count = await self._plain.delete(asked.principal, asked.model, asked.record_id)
        return answer({"count": count})

    async def _update_all(self, asked: Asked) -> web.Response:
        if asked.argument("where") is None:
            raise MessageInvalid(
                "an update needs a where", hint="where={} if every record is to be changed"
            )
        body = await asked.body()
        count = await self._plain.update_all(asked.principal, asked.model, asked.where(), body)
        return answer({"count": count})

    async def _upsert_with_where(self, asked: Asked) -> web.Response:
        body = await asked.body()
        return answer(
            await self._plain.upsert_with_where(asked.principal, asked.model, asked.where(), body)
        )


LOOPBACK_FILTER = read_filter(None)

/**
 * What a session asks of whoever drives it; carried out in order, before the next input.
 *
 * @module
 */

/** @typedef {import("./models.js").Cursor} Cursor */
/** @typedef {import("./models.js").Interval} Interval */

/** How an interval is applied. */
export const Mode = Object.freeze({
  DIRECT: "direct",
  STAGE: "stage",
  WHOLE: "whole",
  BACKFILL: "backfill",
});

/** @typedef {{kind: "Connect"}} Connect open a connection */
/** @typedef {{kind: "Disconnect", reason: string}} Disconnect close the connection */
/** @typedef {{kind: "SendHello", hello: import("./protocol.js").Hello}} SendHello */
/**
 * @typedef {{kind: "RequestChanges", since: number, models: readonly string[] | null}}
 *   RequestChanges ask for a page; `models` only for a back-fill
 */
/**
 * @typedef {{kind: "ApplyUpdates", interval: Interval, mode: string, cursor: Cursor,
 *   withStage: boolean}} ApplyUpdates apply an interval and store the cursor, in one transaction;
 *   STAGE keeps it unseen, WHOLE makes it visible together with the stage
 */
/**
 * @typedef {{kind: "BeginReset", cursor: Cursor, shared: number, offersBack: boolean}} BeginReset
 *   void the bases beyond the shared history, and store the cursor; `offersBack`: what the upstream
 *   lost is offered to it again, else only what was pending is
 */
/** @typedef {{kind: "SaveCursor", cursor: Cursor}} SaveCursor */
/** @typedef {{kind: "DropStage"}} DropStage */
/** @typedef {{kind: "SendUpdates", pushId: number}} SendUpdates push what is pending */
/**
 * @typedef {{kind: "Acknowledge", pushId: number, answer: import("./models.js").BulkResult,
 *   cursor: Cursor}} Acknowledge take the upstream's word on a push
 */
/** @typedef {{kind: "SendHeartbeat", cursor: number, heard: number}} SendHeartbeat */
/** @typedef {ApplyUpdates | BeginReset | SaveCursor | DropStage} StoreEffect */
/**
 * @typedef {Connect | Disconnect | SendHello | RequestChanges | StoreEffect | SendUpdates
 *   | Acknowledge | SendHeartbeat} Effect
 */

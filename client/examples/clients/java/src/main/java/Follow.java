import io.socket.client.Ack;
import io.socket.client.AckWithTimeout;
import io.socket.client.IO;
import io.socket.client.Socket;
import io.socket.client.SocketIOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.json.JSONArray;
import org.json.JSONObject;

/**
 * A client with nothing but Java's Socket.IO client: follows a model and writes a record, or only
 * listens.
 *
 * <pre>
 * Follow http://127.0.0.1:8765 todo        follow, with pages, heartbeats and a write
 * Follow http://127.0.0.1:8765 todo bare   hear `changed` and no more
 * </pre>
 */
public final class Follow {
  private static final int DEADLINE_MS = 20_000;
  private static final int ANCESTORS_MAX = 64;

  /** What a handler heard: all the work is done by one thread, in order. */
  private record Heard(String event, JSONObject said) {}

  private final URI url;
  private final String model;
  private final Map<String, JSONObject> records = new HashMap<>();
  private final BlockingQueue<Heard> heard = new LinkedBlockingQueue<>();
  private String source = "";
  private String epoch = "";
  private long seq = 0;
  private boolean hasWritten = false;
  private String ticket = "";
  private long delayMs = 1000;
  private Socket socket;

  private Follow(URI url, String model) {
    this.url = url;
    this.model = model;
  }

  public static void main(String[] args) throws Exception {
    URI url = URI.create(args[0]);
    if (args.length > 2 && args[2].equals("bare")) {
      listen(url);
    } else {
      new Follow(url, args[1]).run();
    }
  }

  /** The library's own reconnection is all that a bare listener takes. */
  private static void listen(URI url) {
    Socket socket = IO.socket(url);
    socket.on(Socket.EVENT_CONNECT, args -> say("connected"));
    socket.on("changed", args -> say("changed " + args[0]));
    socket.connect();
  }

  /** Follow for ever: after a `bye` the library does not come back by itself. */
  private void run() throws InterruptedException {
    while (true) {
      delayMs = 1000;
      try {
        follow();
      } catch (Exception error) {
        say("lost " + error);
      }
      socket.disconnect();
      Thread.sleep(delayMs);
    }
  }

  private void follow() throws Exception {
    heard.clear();
    // The auth of this library carries texts and nothing else.
    Map<String, String> auth = new HashMap<>(Map.of("protocol", "1"));
    if (!ticket.isEmpty()) auth.put("ticket", ticket);
    IO.Options options =
        IO.Options.builder().setAuth(auth).setReconnection(false).setForceNew(true).build();
    socket = IO.socket(url, options);
    hear(Socket.EVENT_CONNECT, "changed", "behind", "bye", Socket.EVENT_DISCONNECT);
    socket.on(
        Socket.EVENT_CONNECT_ERROR,
        args -> {
          // The library's own failures are exceptions; a daemon's refusal is an object.
          boolean isTold = args[0] instanceof JSONObject;
          heard.add(new Heard("refused", isTold ? (JSONObject) args[0] : new JSONObject()));
        });
    socket.connect();
    Heard first = heard.poll(DEADLINE_MS, TimeUnit.MILLISECONDS);
    if (first == null || !first.event().equals(Socket.EVENT_CONNECT)) {
      refused(first == null ? new JSONObject() : first.said());
      throw new SocketIOException("refused " + (first == null ? "" : first.said()));
    }
    ticket = "";
    long heartbeatMs = hello();
    while (true) {
      Heard next = heard.poll(heartbeatMs, TimeUnit.MILLISECONDS);
      if (next == null) {
        if (ask("heartbeat", new JSONObject().put("cursor", seq)).getLong("head") > seq) {
          readPages();
        }
        continue;
      }
      switch (next.event()) {
        case "changed" -> {
          JSONObject interval = next.said();
          if (interval.has("updates")) take(interval, interval.getJSONArray("updates"));
          if (interval.getLong("checkpoint") > seq) readPages();
        }
        case "behind" -> readPages();
        case "bye" -> delayMs = next.said().optLong("delay_ms", 1000);
        default -> {
          return; // It was disconnected.
        }
      }
    }
  }

  private void hear(String... events) {
    for (String event : events) {
      socket.on(
          event,
          args -> {
            boolean isObject = args.length > 0 && args[0] instanceof JSONObject;
            heard.add(new Heard(event, isObject ? (JSONObject) args[0] : new JSONObject()));
          });
    }
  }

  /** Say hello before anything else. */
  private long hello() throws Exception {
    JSONObject hello =
        new JSONObject()
            .put("replica", "java-example")
            .put("models", new JSONArray(List.of(model)))
            .put("source", source)
            .put("epoch", epoch)
            .put("seq", seq);
    JSONObject welcome = ask("hello", hello);
    if (welcome.optString("standing").equals("reset")) {
      records.clear();
      seq = 0;
    }
    source = welcome.getString("source");
    epoch = welcome.getString("epoch");
    if (welcome.getLong("head") > seq) readPages();
    if (!hasWritten) write("java", new JSONObject().put("title", "from java"));
    hasWritten = true;
    say("ready " + seq);
    return (long) (welcome.getDouble("heartbeat_s") * 1000);
  }

  private JSONObject ask(String event, JSONObject request) throws Exception {
    return (JSONObject) askAll(event, request)[0];
  }

  /** Return the arguments of an acknowledgement: the answer, and a list where one is attached. */
  private Object[] askAll(String event, JSONObject request) throws Exception {
    CompletableFuture<Object[]> answer = new CompletableFuture<>();
    // An acknowledgement without a timeout is waited for for ever, also on a lost connection.
    Ack ack =
        new AckWithTimeout(DEADLINE_MS) {
          @Override
          public void onSuccess(Object... args) {
            answer.complete(args);
          }

          @Override
          public void onTimeout() {
            answer.completeExceptionally(new SocketIOException(event + ": no answer in time"));
          }
        };
    socket.emit(event, new Object[] {request}, ack);
    Object[] got = answer.get();
    JSONObject error = ((JSONObject) got[0]).optJSONObject("error");
    if (error != null) throw new SocketIOException(error.getString("message"));
    return got;
  }

  /** Gather pages until one is whole, and take them as one interval. */
  private void readPages() throws Exception {
    JSONArray updates = new JSONArray();
    JSONObject whole = new JSONObject().put("since", seq).put("checkpoint", seq);
    while (true) {
      long since = whole.getLong("checkpoint");
      Object[] got = askAll("changes", new JSONObject().put("since", since));
      JSONObject page = (JSONObject) got[0];
      JSONArray list = new JSONArray(new String((byte[]) got[1], StandardCharsets.UTF_8));
      for (int i = 0; i < list.length(); i++) updates.put(list.getJSONObject(i));
      whole.put("epoch", page.getString("epoch")).put("checkpoint", page.getLong("checkpoint"));
      if (page.getLong("checkpoint") >= page.getLong("head")) break;
    }
    take(whole, updates);
  }

  /** Take an interval that joins what is held; of any other the pages will tell. */
  private void take(JSONObject interval, JSONArray updates) throws Exception {
    boolean joins = interval.getLong("since") <= seq && seq < interval.getLong("checkpoint");
    if (!interval.getString("epoch").equals(epoch) || !joins) return;
    for (int i = 0; i < updates.length(); i++) {
      JSONObject update = updates.getJSONObject(i);
      records.put(update.getString("id"), update);
      say("record " + update.getString("id") + " " + update.optJSONObject("data"));
    }
    seq = interval.getLong("checkpoint");
  }

  /** Note when to come back from where there was no room. */
  private void refused(JSONObject refusal) {
    JSONObject told = refusal.optJSONObject("data");
    if (told == null || !told.optString("code").equals("busy")) return;
    delayMs = told.optLong("delay_ms", 1000);
    ticket = told.optString("ticket");
  }

  /** Push one record, built on what is held of it. */
  private void write(String id, JSONObject data) throws Exception {
    JSONObject held = records.get(id);
    List<Object> ancestors = new ArrayList<>();
    if (held != null) {
      JSONArray older = held.optJSONArray("ancestors");
      for (int i = 0; older != null && i < older.length(); i++) ancestors.add(older.getString(i));
      ancestors.add(held.getString("rev").replace("-deleted", ""));
    }
    long generation = 0;
    for (Object one : ancestors) {
      generation = Math.max(generation, Long.parseLong(one.toString().split("-")[0]));
    }
    byte[] nonce = new byte[8];
    new SecureRandom().nextBytes(nonce);
    StringBuilder rev = new StringBuilder(generation + 1 + "-");
    for (byte one : nonce) rev.append(String.format("%02x", one));
    int from = Math.max(0, ancestors.size() - ANCESTORS_MAX);
    JSONObject update =
        new JSONObject()
            .put("model", model)
            .put("id", id)
            .put("rev", rev.toString())
            .put("prev", held == null ? JSONObject.NULL : held.getString("rev"))
            .put("ancestors", new JSONArray(ancestors.subList(from, ancestors.size())))
            .put("origin", "java-example")
            .put("data", data.put("id", id));
    JSONObject push = new JSONObject().put("updates", new JSONArray(Arrays.asList(update)));
    JSONArray results = ask("bulk_update", push).getJSONArray("results");
    say("wrote " + results.getJSONObject(0).getString("answer"));
  }

  private static void say(String line) {
    System.out.println(line);
    System.out.flush();
  }
}

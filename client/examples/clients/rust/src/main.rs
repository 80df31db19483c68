//! A client with nothing but rust_socketio: follows a model and writes a record, or only listens.
//!
//! ```text
//! follow http://127.0.0.1:8765 todo        follow, with pages, heartbeats and a write
//! follow http://127.0.0.1:8765 todo bare   hear `changed` and no more
//! ```

use std::collections::HashMap;
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use rand::Rng;
use rust_socketio::client::Client;
use rust_socketio::{ClientBuilder, Event, Payload, TransportType};
use serde_json::{json, Value};

const DEADLINE: Duration = Duration::from_secs(20);
const ANCESTORS_MAX: usize = 64;

type Failure = Box<dyn std::error::Error>;

/// What a handler heard: all the work is done by one thread, in order.
enum Heard {
    Opened,
    Changed(Value),
    Behind,
    Bye(u64),
    Refused(String),
    Ended,
}

/// The library's own reconnection is all that a bare listener takes.
fn listen(url: &str) -> Result<(), Failure> {
    let _client = ClientBuilder::new(url)
        .on(Event::Connect, |_, _| println!("connected"))
        .on("changed", |payload, _| {
            if let Some(Value::String(model)) = first_of(payload) {
                println!("changed {model}");
            }
        })
        .connect()?;
    loop {
        std::thread::park();
    }
}

struct Follower {
    url: String,
    model: String,
    source: String,
    epoch: String,
    seq: u64,
    records: HashMap<String, Value>,
    has_written: bool,
    ticket: String,
    delay: Duration,
}

impl Follower {
    /// Follow for ever: after a `bye` the library does not come back by itself.
    fn run(&mut self) {
        loop {
            self.delay = Duration::from_secs(1);
            if let Err(error) = self.follow() {
                println!("lost {error}");
            }
            std::thread::sleep(self.delay);
        }
    }

    fn follow(&mut self) -> Result<(), Failure> {
        let (heard, hearing) = channel();
        let mut auth = json!({"protocol": 1});
        if !self.ticket.is_empty() {
            auth["ticket"] = json!(self.ticket);
        }
        let client = ClientBuilder::new(self.url.as_str())
            .auth(auth)
            .reconnect(false)
            .transport_type(TransportType::Websocket)
            .on(Event::Connect, telling(&heard, |_| Some(Heard::Opened)))
            .on(Event::Close, telling(&heard, |_| Some(Heard::Ended)))
            .on(
                Event::Error,
                telling(&heard, |said| match said {
                    Some(Value::String(text)) => Some(Heard::Refused(text)),
                    _ => Some(Heard::Ended),
                }),
            )
            .on("changed", telling(&heard, |said| said.map(Heard::Changed)))
            .on("behind", telling(&heard, |_| Some(Heard::Behind)))
            .on(
                "bye",
                telling(&heard, |said| {
                    Some(Heard::Bye(said?["delay_ms"].as_u64().unwrap_or(1000)))
                }),
            )
            .connect()?;
        let ended = self.serve(&client, &hearing);
        let _ = client.disconnect();
        ended
    }

    fn serve(&mut self, client: &Client, hearing: &Receiver<Heard>) -> Result<(), Failure> {
        match hearing.recv_timeout(DEADLINE)? {
            Heard::Opened => self.ticket.clear(),
            Heard::Refused(text) => return Err(self.refused(&text).into()),
            _ => return Err("not connected".into()),
        }
        let heartbeat = self.hello(client)?;
        loop {
            match hearing.recv_timeout(heartbeat) {
                Ok(Heard::Changed(interval)) => {
                    if let Some(updates) = interval["updates"].as_array() {
                        self.take(&interval, updates);
                    }
                    if interval["checkpoint"].as_u64() > Some(self.seq) {
                        self.read_pages(client)?;
                    }
                }
                Ok(Heard::Behind) => self.read_pages(client)?,
                Ok(Heard::Bye(delay_ms)) => self.delay = Duration::from_millis(delay_ms),
                Ok(Heard::Opened) => {}
                Ok(Heard::Refused(text)) => return Err(text.into()),
                Ok(Heard::Ended) => return Err("disconnected".into()),
                Err(RecvTimeoutError::Timeout) => {
                    let (beat, _) = ask(client, "heartbeat", json!({"cursor": self.seq}), false)?;
                    if beat["head"].as_u64() > Some(self.seq) {
                        self.read_pages(client)?;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Say hello before anything else.
    fn hello(&mut self, client: &Client) -> Result<Duration, Failure> {
        let hello = json!({
            "replica": "rust-example", "models": [self.model],
            "source": self.source, "epoch": self.epoch, "seq": self.seq,
        });
        let (welcome, _) = ask(client, "hello", hello, false)?;
        if welcome["standing"] == "reset" {
            self.records.clear();
            self.seq = 0;
        }
        self.source = welcome["source"].as_str().unwrap_or_default().into();
        self.epoch = welcome["epoch"].as_str().unwrap_or_default().into();
        if welcome["head"].as_u64() > Some(self.seq) {
            self.read_pages(client)?;
        }
        if !self.has_written {
            self.write(client, "rust", json!({"title": "from rust"}))?;
            self.has_written = true;
        }
        println!("ready {}", self.seq);
        Ok(Duration::from_secs_f64(
            welcome["heartbeat_s"].as_f64().unwrap_or(10.0),
        ))
    }

    /// Gather pages until one is whole, and take them as one interval.
    fn read_pages(&mut self, client: &Client) -> Result<(), Failure> {
        let mut whole = json!({"since": self.seq, "checkpoint": self.seq});
        let mut updates = Vec::new();
        loop {
            let request = json!({"since": whole["checkpoint"]});
            let (page, list) = ask(client, "changes", request, true)?;
            updates.extend(serde_json::from_slice::<Vec<Value>>(&list)?);
            whole["epoch"] = page["epoch"].clone();
            whole["checkpoint"] = page["checkpoint"].clone();
            if page["checkpoint"].as_u64() >= page["head"].as_u64() {
                break;
            }
        }
        self.take(&whole, &updates);
        Ok(())
    }

    /// Take an interval that joins what is held; of any other the pages will tell.
    fn take(&mut self, interval: &Value, updates: &[Value]) {
        let since = interval["since"].as_u64().unwrap_or(0);
        let checkpoint = interval["checkpoint"].as_u64().unwrap_or(0);
        if interval["epoch"] != self.epoch.as_str() || since > self.seq || checkpoint <= self.seq {
            return;
        }
        for update in updates {
            let id = update["id"].as_str().unwrap_or_default();
            println!("record {id} {}", update["data"]);
            self.records.insert(id.into(), update.clone());
        }
        self.seq = checkpoint;
    }

    /// Note when to come back from where there was no room; the library gives the refusal as text.
    fn refused(&mut self, text: &str) -> String {
        let json = text.find('{').map_or("null", |start| &text[start..]);
        let refusal: Value = serde_json::from_str(json).unwrap_or(Value::Null);
        if refusal["data"]["code"] == "busy" {
            let delay_ms = refusal["data"]["delay_ms"].as_u64().unwrap_or(1000);
            self.delay = Duration::from_millis(delay_ms);
            self.ticket = refusal["data"]["ticket"]
                .as_str()
                .unwrap_or_default()
                .into();
        }
        format!("refused: {text}")
    }

    /// Push one record, built on what is held of it; the list of updates travels inline.
    fn write(&mut self, client: &Client, id: &str, mut data: Value) -> Result<(), Failure> {
        let held = self.records.get(id).cloned().unwrap_or(Value::Null);
        let mut ancestors: Vec<String> = held["ancestors"]
            .as_array()
            .map(|all| {
                all.iter()
                    .filter_map(|one| one.as_str().map(String::from))
                    .collect()
            })
            .unwrap_or_default();
        if let Some(rev) = held["rev"].as_str() {
            ancestors.push(rev.trim_end_matches("-deleted").into());
        }
        let generation_of =
            |one: &String| one.split('-').next().and_then(|n| n.parse::<u64>().ok());
        let generation = 1 + ancestors
            .iter()
            .filter_map(generation_of)
            .max()
            .unwrap_or(0);
        let nonce: u64 = rand::thread_rng().gen();
        data["id"] = json!(id);
        let update = json!({
            "model": self.model, "id": id, "rev": format!("{generation}-{nonce:016x}"),
            "prev": held["rev"], "origin": "rust-example", "data": data,
            "ancestors": &ancestors[ancestors.len().saturating_sub(ANCESTORS_MAX)..],
        });
        let (answer, _) = ask(client, "bulk_update", json!({"updates": [update]}), false)?;
        println!(
            "wrote {}",
            answer["results"][0]["answer"].as_str().unwrap_or("nothing")
        );
        Ok(())
    }
}

/// Return a handler that hands on what it makes of an event's argument.
fn telling<F>(
    heard: &Sender<Heard>,
    make: F,
) -> impl FnMut(Payload, rust_socketio::RawClient) + Send + 'static
where
    F: Fn(Option<Value>) -> Option<Heard> + Send + 'static,
{
    let heard = heard.clone();
    move |payload, _| {
        if let Some(said) = make(first_of(payload)) {
            let _ = heard.send(said);
        }
    }
}

/// Make one request and wait for its answer. The library numbers its requests at random below a
/// thousand, so that two at a time may get each other's answers; and it calls the handler twice for
/// one with an attachment, first with the text.
fn ask(
    client: &Client,
    event: &str,
    request: Value,
    has_list: bool,
) -> Result<(Value, Vec<u8>), Failure> {
    let (tell, answer) = channel();
    client.emit_with_ack(event, request, DEADLINE, move |payload: Payload, _| {
        let _ = tell.send(payload);
    })?;
    let header = match first_of(answer.recv_timeout(DEADLINE)?) {
        Some(Value::Array(arguments)) => arguments.into_iter().next().unwrap_or(Value::Null),
        said => said.unwrap_or(Value::Null),
    };
    if let Some(message) = header["error"]["message"].as_str() {
        return Err(message.into());
    }
    if !has_list {
        return Ok((header, Vec::new()));
    }
    match answer.recv_timeout(DEADLINE)? {
        Payload::Binary(list) => Ok((header, list.to_vec())),
        _ => Err(format!("{event}: no list is attached").into()),
    }
}

fn first_of(payload: Payload) -> Option<Value> {
    match payload {
        Payload::Text(values) => values.into_iter().next(),
        _ => None,
    }
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, model] = [&arguments[0], &arguments[1]];
    if arguments.get(2).is_some_and(|mode| mode == "bare") {
        return listen(url);
    }
    Follower {
        url: url.clone(),
        model: model.clone(),
        source: String::new(),
        epoch: String::new(),
        seq: 0,
        records: HashMap::new(),
        has_written: false,
        ticket: String::new(),
        delay: Duration::ZERO,
    }
    .run();
    Ok(())
}

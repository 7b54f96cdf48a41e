//! The embedded demo provider: a tiny real HTTP server on a loopback port, reached through the
//! ordinary upstream path, so that the first two minutes need neither a key nor a file.

use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::rc::{Rc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{json, Value};
use smol::LocalExecutor;

use crate::downstream::{Admission, Connection, Error, Slot};
use crate::language::Words;
use crate::message;
use crate::report::Dialect;
use crate::runtime::{Budget, Listener, Reactor, Shutdown, Socket, Timer, Watched};
use crate::wire::{Reply, RequestHead};

/// As `max_request_size` is by default.
const BODY_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Between two words of a stream, so that one can see it stream.
const WORD_PAUSE: Duration = Duration::from_millis(30);
/// What the demo says when nothing was said to it.
const GREETING: Words = Words(
    "你好！我是 demo/echo，会原样返回你的最后一条消息",
    "hello! I am demo/echo: I say your last message back",
);

/// Opens the demo's listening socket.
///
/// # Errors
/// When there is no free loopback port.
pub fn bind() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
}

/// Serves the demo's connections for ever.
pub async fn accept(
    reactor: Rc<Reactor>,
    executor: Weak<LocalExecutor<'static>>,
    listener: TcpListener,
) {
    let Ok(listener) = Listener::new(&reactor, listener) else { return };
    let timer = Timer::new(&reactor.clock);
    let admission = Admission::new(usize::MAX);
    loop {
        let accepted = poll_fn(|context| {
            let slot = admission.take(timer.now(), context.waker());
            listener.poll_accept(context).map_ok(|(stream, peer)| (stream, peer, slot))
        });
        match accepted.await {
            Ok((stream, peer, Some(slot))) => {
                let Some(executor) = executor.upgrade() else { return };
                executor.spawn(serve(reactor.clone(), stream, peer, slot)).detach();
            }
            Ok((_, _, None)) => {}
            // Out of descriptors: some may be free again soon.
            Err(_) => timer.sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn serve(reactor: Rc<Reactor>, stream: TcpStream, peer: SocketAddr, slot: Slot) {
    let _ = stream.set_nodelay(true);
    let Ok(watched) = Watched::new(&reactor, stream) else { return };
    let (timer, budget) = (Timer::new(&reactor.clock), Budget::new(usize::MAX));
    let socket = Socket::plain(watched);
    let mut connection = Connection::new(socket, peer, slot, timer, Shutdown::default(), &budget);
    while let Some(Ok(head)) = connection.next_request(&|_| false).await {
        if respond(&mut connection, &head, &budget).await.is_err() {
            return;
        }
    }
}

async fn respond(
    connection: &mut Connection,
    head: &RequestHead,
    budget: &Rc<Budget>,
) -> Result<(), Error> {
    let body = connection.read_body(head.framing, BODY_BYTES_MAX, &mut budget.share()).await?;
    let refusal = |status, message: &str| {
        Reply::json(status, Dialect::OpenAi.error(message, status, "", None).into_bytes())
    };
    let reply = match (&*head.method, head.path.as_str()) {
        ("GET", "/v1/models") => {
            let model = json!({"id": "echo", "object": "model", "owned_by": "demo"});
            Reply::json(200, json!({"object": "list", "data": [model]}).to_string().into_bytes())
        }
        ("POST", "/v1/chat/completions") => match serde_json::from_slice::<Value>(&body) {
            Ok(request) if request["stream"] == true => return stream(connection, &request).await,
            Ok(request) => Reply::json(200, whole(&request).to_string().into_bytes()),
            Err(error) => refusal(400, &error.to_string()),
        },
        (_, path) => {
            refusal(404, &message!("未找到路径 {path}", "no such path: {path}").to_string())
        }
    };
    let (mut bytes, body) = reply.encode(true, 1);
    bytes.extend_from_slice(&body);
    connection.write_all(&bytes).await
}

/// The text of the last user message; its parts joined when it has several.
fn last_words(request: &Value) -> String {
    let messages = request["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let last = messages.iter().rev().find(|message| message["role"] == "user");
    match last.map(|message| &message["content"]) {
        Some(Value::String(text)) if !text.is_empty() => text.clone(),
        Some(Value::Array(parts)) => {
            parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join(" ")
        }
        _ => GREETING.to_string(),
    }
}

fn usage(request: &Value, words: &str) -> Value {
    let prompt = request["messages"].to_string().split_whitespace().count();
    let completion = words.split_whitespace().count();
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    })
}

fn frame(object: &str) -> Value {
    let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
    let id = format!("chatcmpl-demo{:08x}", fastrand::u32(..));
    json!({"id": id, "object": object, "created": created, "model": "echo"})
}

fn whole(request: &Value) -> Value {
    let words = last_words(request);
    let mut response = frame("chat.completion");
    response["usage"] = usage(request, &words);
    response["choices"] = json!([{
        "index": 0,
        "message": {"role": "assistant", "content": words},
        "finish_reason": "stop",
    }]);
    response
}

/// The response word by word, each an event of its own.
async fn stream(connection: &mut Connection, request: &Value) -> Result<(), Error> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                transfer-encoding: chunked\r\n\r\n";
    connection.write_all(head.as_bytes()).await?;
    let words = last_words(request);
    let with_usage = request["stream_options"]["include_usage"] == true;
    let base = frame("chat.completion.chunk");
    let event = |delta: Value, finish: Value| {
        let mut event = base.clone();
        event["choices"] = json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
        if with_usage {
            event["usage"] = Value::Null;
        }
        event
    };
    let role = json!({"role": "assistant", "content": ""});
    send(connection, &event(role, Value::Null).to_string()).await?;
    for word in words.split_inclusive(char::is_whitespace) {
        send(connection, &event(json!({"content": word}), Value::Null).to_string()).await?;
        connection.timer().sleep(WORD_PAUSE).await;
    }
    send(connection, &event(json!({}), json!("stop")).to_string()).await?;
    if with_usage {
        let mut last = base.clone();
        last["choices"] = json!([]);
        last["usage"] = usage(request, &words);
        send(connection, &last.to_string()).await?;
    }
    send(connection, "[DONE]").await?;
    connection.write_all(b"0\r\n\r\n").await
}

async fn send(connection: &mut Connection, data: &str) -> Result<(), Error> {
    let event = format!("data: {data}\n\n");
    let chunk = format!("{:x}\r\n{event}\r\n", event.len());
    connection.write_all(chunk.as_bytes()).await
}

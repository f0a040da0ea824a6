use super::{request_body::PATIENCE as REST_PATIENCE, *};
use crate::{
    body::{Bodies, Unread},
    health::Health,
    problem::Problem,
    shutdown::ShutdownTrigger,
};
use axum::{
    body::Bytes,
    routing::{get, post},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};

struct Fixture {
    addr: SocketAddr,
    trigger: ShutdownTrigger,
    health: Health,
    entered: Arc<Notify>,
    release: Arc<Notify>,
    server: JoinHandle<io::Result<()>>,
}

/// A server whose `/slow` says when it was entered and answers when it is released.
async fn start(max_connections: usize, drain_deadline: Duration) -> Fixture {
    start_leaving(max_connections, drain_deadline, Duration::ZERO).await
}

/// The same, which takes its leave for so long.
async fn start_leaving(
    max_connections: usize,
    drain_deadline: Duration,
    drain_delay: Duration,
) -> Fixture {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (entered, release) = (Arc::clone(&entered), Arc::clone(&release));
        async move || {
            entered.notify_one();
            release.notified().await;
            "done"
        }
    };
    let peer = async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.ip().to_string();
    let bodies = Arc::new(Bodies::new(100, Duration::from_secs(1)));
    let read = async move |body: Unread| bodies.read(body).await.map(|body| body.len().to_string());
    let too_much = async || Problem::too_many_requests("too much", 1).held_back();
    let router = Router::new()
        .route("/slow", get(slow))
        .route("/peer", get(peer).post(peer))
        .route("/length", post(async |body: Bytes| body.len().to_string()))
        .route("/too-much", get(too_much))
        .route("/read", post(read));
    let options = HttpOptions {
        max_connections,
        header_read_timeout: Duration::from_secs(600),
        write_timeout: Duration::from_secs(600),
        drain_deadline,
        drain_delay,
    };
    let (trigger, shutdown) = Shutdown::new();
    let server = tokio::spawn(serve(listener, router, options, shutdown));
    Fixture { addr, trigger, health: Health::new(), entered, release, server }
}

async fn send(addr: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn read_to_end(mut stream: TcpStream) -> String {
    let mut text = String::new();
    // A cut connection may end with a reset; what came before it is what counts.
    let _ = stream.read_to_string(&mut text).await;
    text
}

#[tokio::test]
async fn a_request_in_flight_finishes_while_readiness_is_gone_and_no_one_else_gets_in() {
    let server = start(8, Duration::from_secs(600)).await;
    let mut idle = TcpStream::connect(server.addr).await.unwrap();
    let in_flight = send(server.addr, "/slow").await;
    server.entered.notified().await;
    server.health.drain();
    server.trigger.trigger();
    assert!(server.health.ready().is_err());
    // The idle connection ends because the drain has begun, so the listener is closed by then.
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0);
    assert!(TcpStream::connect(server.addr).await.is_err());
    server.release.notify_one();
    let response = read_to_end(in_flight).await;
    assert!(response.starts_with("HTTP/1.1 200") && response.ends_with("done"), "{response}");
    server.server.await.unwrap().unwrap();
}

/// Reads one answer of `/peer`, and leaves the connection open; whether it is the last one.
async fn read_peer(stream: &mut TcpStream) -> bool {
    let mut response = Vec::new();
    while !response.ends_with(b"127.0.0.1") {
        assert_ne!(stream.read_buf(&mut response).await.unwrap(), 0);
    }
    let response = String::from_utf8(response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    response.contains("\r\nconnection: close\r\n")
}

#[tokio::test]
async fn who_leaves_says_so_with_each_answer_and_takes_connections_until_then() {
    let delay = Duration::from_secs(600);
    let server = start_leaving(8, 2 * delay, delay).await;
    let request = b"GET /peer HTTP/1.1\r\nhost: test\r\n\r\n";
    let mut known = send(server.addr, "/peer").await;
    assert!(!read_peer(&mut known).await);
    server.trigger.trigger();
    // Runs on this one thread: the server has seen it when it was polled.
    tokio::task::yield_now().await;
    // Somebody who has not heard yet: on a connection that was idle, and on a new one.
    known.write_all(request).await.unwrap();
    assert!(read_peer(&mut known).await);
    assert_eq!(known.read(&mut [0; 1]).await.unwrap(), 0);
    let mut new = send(server.addr, "/peer").await;
    assert!(read_peer(&mut new).await);
    assert!(!server.server.is_finished());
    tokio::time::pause();
    tokio::time::advance(delay).await;
    server.server.await.unwrap().unwrap();
    assert!(TcpStream::connect(server.addr).await.is_err());
}

/// Posts with these fields and so much of a body to somebody who does not read it.
async fn post_unread(addr: SocketAddr, fields: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request = format!("POST /peer HTTP/1.1\r\nhost: test\r\n{fields}\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_request_may_follow_one_whose_body_was_not_read() {
    let server = start(8, Duration::ZERO).await;
    let body = "x".repeat(100_000);
    let fields = format!("content-length: {}\r\n", body.len());
    let mut known = post_unread(server.addr, &fields, &body).await;
    assert!(!read_peer(&mut known).await);
    let chunked = "transfer-encoding: chunked\r\n";
    known
        .write_all(format!("POST /peer HTTP/1.1\r\nhost: test\r\n{chunked}\r\n").as_bytes())
        .await
        .unwrap();
    known.write_all(b"3\r\nabc\r\n0\r\n\r\n").await.unwrap();
    assert!(!read_peer(&mut known).await);
    // One that is read is whole.
    let request =
        format!("POST /length HTTP/1.1\r\nhost: test\r\n{fields}connection: close\r\n\r\n{body}");
    known.write_all(request.as_bytes()).await.unwrap();
    let response = read_to_end(known).await;
    assert!(response.starts_with("HTTP/1.1 200") && response.ends_with("100000"), "{response}");
}

/// Time passes when nothing else happens: no test waits, and none is answered by a clock that ran out unless it says so.
#[tokio::test(start_paused = true)]
async fn the_last_answer_of_a_connection_says_so_if_a_body_stays_unread() {
    let server = start(8, Duration::from_secs(600)).await;
    let begun = tokio::time::Instant::now();
    // Too much to read; asked for by reading alone; not to be had.
    for (fields, patience) in [
        ("content-length: 262145\r\n", false),
        ("content-length: 5\r\nexpect: 100-continue\r\n", false),
        ("content-length: 5\r\n", true),
    ] {
        let mut stream = post_unread(server.addr, fields, "").await;
        assert!(read_peer(&mut stream).await, "{fields}");
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
        assert_eq!(begun.elapsed() >= REST_PATIENCE, patience, "{fields}");
    }
}

/// What is still to come of a body that was given up must not be taken for a request.
#[tokio::test(start_paused = true)]
async fn a_body_that_was_given_up_ends_its_connection_unless_the_rest_is_small() {
    let server = start(8, Duration::from_secs(600)).await;
    let small = "x".repeat(1000);
    for (length, body, status, is_last) in [
        (5, "abc", "408", true),
        (1_000_000, "abc", "413", true),
        (1000, small.as_str(), "413", false),
    ] {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        let request =
            format!("POST /read HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = Vec::new();
        while !response.ends_with(b"}") {
            assert_ne!(stream.read_buf(&mut response).await.unwrap(), 0);
        }
        let response = String::from_utf8(response).unwrap();
        assert!(response.starts_with(&format!("HTTP/1.1 {status}")), "{response}");
        assert_eq!(response.contains("\r\nconnection: close\r\n"), is_last, "{response}");
    }
}

#[tokio::test]
async fn a_request_that_outlasts_the_deadline_is_cut() {
    let server = start(8, Duration::ZERO).await;
    let in_flight = send(server.addr, "/slow").await;
    server.entered.notified().await;
    server.trigger.trigger();
    server.server.await.unwrap().unwrap();
    assert_eq!(read_to_end(in_flight).await, "");
}

#[tokio::test]
async fn a_connection_beyond_the_bound_waits_for_a_slot() {
    let server = start(1, Duration::from_secs(600)).await;
    let first = send(server.addr, "/slow").await;
    server.entered.notified().await;
    let mut second = send(server.addr, "/peer").await;
    // Long enough on this one thread for a server without the bound to answer.
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
    let mut byte = [0; 1];
    assert_eq!(second.try_read(&mut byte).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    drop(first);
    second.read_exact(&mut byte).await.unwrap();
    assert_eq!(&byte, b"H");
}

#[tokio::test]
async fn handlers_know_the_peer() {
    let server = start(8, Duration::ZERO).await;
    let mut stream = send(server.addr, "/peer").await;
    read_peer(&mut stream).await;
}

#[tokio::test]
async fn a_head_that_is_too_long_or_has_too_many_fields_is_431() {
    let server = start(8, Duration::ZERO).await;
    let long = format!("x-long: {}\r\n", "x".repeat(2 * MAX_HEAD_BYTES));
    let many = "x-many: x\r\n".repeat(MAX_HEADERS);
    for fields in [long, many] {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        let request = format!("GET /peer HTTP/1.1\r\nhost: test\r\n{fields}\r\n");
        // The answer may come before all of it was taken.
        let _ = stream.write_all(request.as_bytes()).await;
        let response = read_to_end(stream).await;
        assert!(response.is_empty() || response.starts_with("HTTP/1.1 431"), "{response}");
    }
}

#[test]
fn without_authentication_only_loopback_is_served() {
    let check = |addr: &str, off| require_loopback(&addr.parse().unwrap(), off).is_ok();
    for addr in ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        assert!(check(addr, true), "{addr}");
    }
    for addr in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "[::ffff:10.0.0.1]:1", "[2001:db8::1]:1"] {
        assert!(!check(addr, true), "{addr}");
        assert!(check(addr, false), "{addr}");
    }
    let error = require_loopback(&"0.0.0.0:80".parse().unwrap(), true).unwrap_err();
    assert_eq!(error.to_string(), "auth.mode: off serves loopback addresses only, not 0.0.0.0:80");
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_too_much_is_told_so_a_moment_later() {
    let server = start(10, Duration::from_secs(60)).await;
    let begun = tokio::time::Instant::now();
    let mut refused = send(server.addr, "/too-much").await;
    let mut response = Vec::new();
    assert_ne!(refused.read_buf(&mut response).await.unwrap(), 0);
    assert!(response.starts_with(b"HTTP/1.1 429"));
    assert!(begun.elapsed() >= REFUSAL_DELAY);
}

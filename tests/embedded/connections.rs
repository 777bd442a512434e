//! The web role's connections against clients that mean harm, over real sockets: whoever never reads, never
//! ends, or asks too much loses the connection, everybody else is served, and memory stays bounded.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rekindle::web::{Limits, Web};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::shop::{Dice, PLAIN, Shop, Size};
use crate::support::{DEADLINE, seed};
use crate::web_contract::web;

const NOW: &str = "2024-05-01T12:00:00Z";

/// Short enough for a test; the rest as it is.
fn quick() -> Limits {
    let short = Duration::from_millis(300);
    Limits { header: short, stall: short, life: Duration::from_secs(2), last: short, ..Limits::default() }
}

/// A web role that serves.
struct Served {
    shop: Shop,
    web: Arc<Web>,
    address: SocketAddr,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
}

impl Served {
    async fn new(settings: &str, limits: Limits) -> Self {
        let shop = Shop::new(&Size::default(), PLAIN).with_settings(settings);
        let web = web(&shop, NOW).await;
        let listener = web.listener("127.0.0.1:0".parse().unwrap()).unwrap();
        let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
        let (server, stop) = (Arc::clone(&web), shutdown.clone());
        let serving = tokio::spawn(async move { server.serve(listener, limits, stop).await });
        Self { shop, web, address, shutdown, serving }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A connection from another address of this machine.
    async fn connect_from(&self, from: Ipv4Addr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((from, 0))).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    /// What comes back of these bytes until the connection ends, which it does in time.
    async fn answer(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        let _ = stream.write_all(bytes).await;
        rest(&mut stream).await
    }

    /// Somebody else is served.
    async fn serves(&self) {
        let answer = self.answer(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    async fn close(self) {
        self.shutdown.cancel();
        self.serving.await.unwrap();
        drop(self.web);
        self.shop.close().await;
    }
}

/// What comes until the other end closes the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection stays open: {}", String::from_utf8_lossy(&answer));
    String::from_utf8_lossy(&answer).into_owned()
}

/// How many answers stand in what came.
fn answers(text: &str) -> usize {
    text.matches("HTTP/1.1 ").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_reads_loses_its_connection() {
    // It would be served for an hour, had it read.
    let limits = Limits { life: Duration::from_secs(3600), header: Duration::from_secs(3600), ..quick() };
    let served = Served::new("web: { rate: 1000000 }\n", limits).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut stream = served.connect().await;
        clients.push(tokio::spawn(async move {
            let request = b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
            let start = Instant::now();
            while start.elapsed() < DEADLINE {
                // It asks as long as it can, and reads nothing.
                match tokio::time::timeout(DEADLINE, stream.write_all(&request)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return true,
                    Err(_) => return false,
                }
            }
            false
        }));
    }
    for client in clients {
        assert!(client.await.unwrap(), "a connection stays open though nobody reads");
    }
    served.serves().await;
    served.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_ends_when_it_is_idle_slow_or_old() {
    let served = Served::new("web: { rate: 1000000 }\n", quick()).await;
    // Nothing, half a line, half the headers, an end of the headers that never comes.
    for begun in ["", "GET /he", "GET /health/live HTTP/1.1\r\nHost:", "GET /health/live HTTP/1.1\r\nHost: x\r\n"] {
        assert_eq!(answers(&served.answer(begun.as_bytes()).await), 0, "{begun}");
    }
    // Idle behind an answer.
    assert_eq!(answers(&served.answer(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").await), 1);
    // A header's line each moment, for ever.
    let mut stream = served.connect().await;
    stream.write_all(b"GET /health/live HTTP/1.1\r\n").await.unwrap();
    let start = Instant::now();
    while stream.write_all(b"X-A: b\r\n").await.is_ok() {
        assert!(start.elapsed() < DEADLINE, "headers go on for ever");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // A body a byte each moment: the life of the connection ends it.
    let mut stream = served.connect().await;
    stream.write_all(b"POST /hooks/x HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n").await.unwrap();
    let start = Instant::now();
    while stream.write_all(b"x").await.is_ok() {
        assert!(start.elapsed() < DEADLINE, "a body goes on for ever");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // A request each moment, as long as the connection lives.
    let mut stream = served.connect().await;
    let start = Instant::now();
    let mut asked = 0;
    while stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").await.is_ok() {
        let mut bytes = [0; 1024];
        if tokio::time::timeout(DEADLINE, stream.read(&mut bytes)).await.unwrap().unwrap_or(0) == 0 {
            break;
        }
        asked += 1;
        assert!(start.elapsed() < DEADLINE, "a connection lives for ever");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(asked > 3 && start.elapsed() >= Duration::from_secs(1), "{asked} in {:?}", start.elapsed());
    served.serves().await;
    served.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_network_cannot_take_every_connection() {
    let limits = Limits { of_network: 10, ..Limits::default() };
    let served = Served::new("", limits).await;
    let open = async |from: Ipv4Addr| {
        let mut stream = served.connect_from(from).await;
        let mut bytes = [0; 64];
        stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").await.ok();
        let read = tokio::time::timeout(DEADLINE, stream.read(&mut bytes)).await.unwrap();
        read.is_ok_and(|read| read > 0).then_some(stream)
    };
    let mut kept = Vec::new();
    for n in 1..=30 {
        kept.extend(open(Ipv4Addr::new(127, 0, 7, n)).await);
    }
    assert_eq!(kept.len(), 10, "a network's share");
    assert!(open(Ipv4Addr::new(127, 0, 8, 1)).await.is_some(), "another network has its own");
    // A place that is left is another one's.
    kept.truncate(5);
    crate::support::until(true, async || open(Ipv4Addr::new(127, 0, 7, 99)).await.is_some()).await;
    served.close().await;
    // Behind a proxy all connections are the proxy's.
    let shop = Shop::new(&Size::default(), PLAIN).with_settings("web: { trust_forwarded_for: true }\n");
    assert_eq!(web(&shop, NOW).await.limits().of_network, Limits::default().connections);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_on_one_connection_is_cut_off() {
    let served = Served::new("web: { rate: 2 }\n", quick()).await;
    // Ten seconds' worth are answered; the next one ends the connection, whatever stands behind it.
    let flood = served.answer(&b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n".repeat(200)).await;
    assert!(answers(&flood) <= 22 && flood.contains("HTTP/1.1 429"), "{} answers", answers(&flood));
    let last = flood.rsplit("HTTP/1.1 ").next().unwrap().to_ascii_lowercase();
    assert!(last.starts_with("429") && last.contains("connection: close"), "{last}");
    served.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_servers_would_read_differently_is_one_request_or_none() {
    let served = Served::new("web: { rate: 1000000 }\n", quick()).await;
    let hidden = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n";
    let post = |headers: &str, body: &str| format!("POST /hooks/x HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n{body}");
    let chunked = format!("0\r\n\r\n{hidden}");
    for request in [
        post("Content-Length: 5\r\nTransfer-Encoding: chunked", &chunked),
        post("Transfer-Encoding: chunked\r\nContent-Length: 5", &chunked),
        post("Content-Length: 5\r\nContent-Length: 6", &chunked),
        post("Content-Length: 5, 6", &chunked),
        post("Content-Length: +5", &chunked),
        post("Content-Length: -1", &chunked),
        post("Content-Length: 0x5", &chunked),
        post("Content-Length: 99999999999999999999999", &chunked),
        post("Content-Length : 5", &chunked),
        post("Transfer-Encoding: xchunked", &chunked),
        post("Transfer-Encoding: chunked, identity", &chunked),
        post("Transfer-Encoding : chunked", &chunked),
        post("Transfer-Encoding: chunked", &format!("-1\r\n{hidden}")),
        post("Transfer-Encoding: chunked", &format!("ffffffffffffffffff\r\n{hidden}")),
        post("Transfer-Encoding: chunked", &format!("0x0\r\n\r\n{hidden}")),
        format!("POST /hooks/x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}"),
        format!("GET /a HTTP/1.1\r\nHost: x\r\n X: folded\r\n\r\n{hidden}"),
        format!("GET /a HTTP/9.9\r\nHost: x\r\n\r\n{hidden}"),
        format!("GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n{hidden}"),
        format!("GET /a HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n{hidden}"),
    ] {
        let found = served.answer(request.as_bytes()).await;
        assert!(answers(&found) <= 1, "{request}\n{found}");
    }
    served.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_large_is_refused_and_other_forms_of_http_are_answered() {
    let served = Served::new("web: { rate: 1000000 }\n", quick()).await;
    let status = async |request: String| {
        let answer = served.answer(request.as_bytes()).await;
        answer.get(9..12).unwrap_or("none").to_owned()
    };
    let get = |headers: &str| format!("GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    assert_eq!(status(get("")).await, "200");
    assert_eq!(
        status("GET http://evil.example/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".into()).await,
        "200"
    );
    assert_eq!(status("GET /health/live HTTP/1.0\r\n\r\n".into()).await, "200");
    assert!(matches!(
        status("OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".into()).await.as_str(),
        "404" | "405" | "400"
    ));
    assert!(status("CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n".into()).await.starts_with('4'));
    for headers in [
        "X: y\r\n".repeat(5_000),
        "X: y\r\n".repeat(101),
        format!("X: {}\r\n", "y".repeat(100_000)),
        format!("{}: x\r\n", "y".repeat(100_000)),
    ] {
        assert!(matches!(status(get(&headers)).await.as_str(), "431" | "400" | "none"), "{}", &headers[..20]);
    }
    assert!(matches!(
        status(format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000))).await.as_str(),
        "414" | "431" | "400" | "none"
    ));
    let post = |headers: &str, body: &str| {
        format!(
            "POST /p/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n{headers}\r\n{body}"
        )
    };
    assert_eq!(status(post("", "3\r\na=b\r\n0\r\n\r\n")).await, "400");
    let end = "0\r\n\r\n";
    for body in [
        format!("{}{end}", format!("4000\r\n{}\r\n", "x".repeat(0x4000)).repeat(10)),
        format!("1;{}\r\nx\r\n{end}", "a".repeat(1_000_000)),
        format!("{}{end}", format!("1;{}\r\nx\r\n", "a".repeat(1_000)).repeat(1_000)),
        format!("1\r\nx\r\n0\r\n{}\r\n", "T: x\r\n".repeat(100_000)),
        format!("1\r\nx\r\n0\r\nT: {}\r\n\r\n", "x".repeat(1_000_000)),
    ] {
        assert!(matches!(status(post("", &body)).await.as_str(), "413" | "400" | "431" | "none"), "{}", &body[..20]);
    }
    // The client waits for the word to go on; nobody else waits with it.
    let mut stream = served.connect().await;
    stream
        .write_all(
            b"POST /u/x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
        )
        .await
        .unwrap();
    let mut word = [0; 25];
    stream.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"a=b").await.unwrap();
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 404"));
    assert_eq!(
        answers(
            &served.answer(b"POST /u/x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n").await
        ),
        1
    );
    served.serves().await;
    served.close().await;
}

/// Requests of which mutated ones are made.
const REQUESTS: &[&str] = &[
    "GET /u/abcdefgh HTTP/1.1\r\nHost: shop.example\r\nAccept: */*\r\n\r\n",
    "POST /p/abcdefgh HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\naction=channels",
    "POST /hooks/twilio?key=x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "GET /c/abc?to=AAAA HTTP/1.0\r\nX-Forwarded-For: 1.2.3.4, [::1]:5\r\n\r\n",
    "HEAD /o/abc HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: keep-alive, Upgrade\r\nUpgrade: h2c\r\n\r\n",
    "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\nGET /nothing HTTP/1.1\r\nHost: x\r\n\r\n",
];

const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b":",
    b"Content-Length: 99999999999\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"\xff",
    b"%00",
    b"%",
    b"..",
    b"//",
    b"HTTP/2.0",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"ffffffff\r\n",
    b";a=b",
    b"Host: a\r\n",
    "سلام".as_bytes(),
    b"\x16\x03\x01\x02\x00",
    b"?",
    b"#",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_mutated_requests_leave_it_serving() {
    let limits = Limits { header: Duration::from_millis(100), ..quick() };
    let served = Served::new("web: { rate: 1000000 }\n", limits).await;
    let mut dice = Dice(seed(202_612));
    let mut under_way = tokio::task::JoinSet::new();
    for _ in 0..10_000 {
        let mut bytes = dice.pick(REQUESTS).as_bytes().to_vec();
        for _ in 0..=dice.below(4) {
            let place = dice.below(bytes.len() as u64 + 1) as usize;
            match dice.below(6) {
                0 if place < bytes.len() => bytes[place] = dice.below(256) as u8,
                1 => bytes.truncate(place.max(1)),
                2 if place < bytes.len() => drop(bytes.remove(place)),
                3 => drop(bytes.splice(place..place, std::iter::repeat_n(b'x', dice.below(40_000) as usize))),
                4 => {
                    let piece = bytes[place..].to_vec();
                    bytes.extend(piece);
                }
                _ => drop(bytes.splice(place..place, dice.pick(PIECES).to_vec())),
            }
        }
        let (address, reads) = (served.address, dice.once_in(2));
        under_way.spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let _ = stream.write_all(&bytes).await;
            if reads {
                // It is cut off in the middle of the answer, or it is read.
                let _ = stream.shutdown().await;
                let mut answer = Vec::new();
                let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await.unwrap();
                assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{}", String::from_utf8_lossy(&answer));
            }
        });
        while under_way.len() >= 50 {
            under_way.join_next().await.unwrap().unwrap();
        }
    }
    while let Some(ended) = under_way.join_next().await {
        ended.unwrap();
    }
    served.serves().await;
    served.close().await;
}

//! A TCP proxy before a server, whose lines a test can cut, freeze or refuse.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};

/// How a client of PostgreSQL asks for the end of a transaction.
const COMMIT: &[u8] = b"COMMIT";

/// What happens to the lines.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Open,
    /// Bytes stay where they are; nobody is told.
    Frozen,
    /// New lines are cut at once.
    Refusing,
}

/// Stands before one server, on a port of its own.
pub struct Proxy {
    pub address: SocketAddr,
    mode: watch::Sender<Mode>,
    cut: broadcast::Sender<()>,
    injected: broadcast::Sender<Vec<u8>>,
    /// How many more bytes clients may send.
    allowance: AtomicU64,
    /// How many more answers are lost.
    answers_lost: AtomicUsize,
    accepted: AtomicUsize,
}

/// What is known of one line: whether the answer to what was asked last will be lost.
type Doomed = Arc<AtomicBool>;

impl Proxy {
    /// Starts one before `server`, which is `host:port`.
    pub async fn before(server: &str) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Arc::new(Self {
            address: listener.local_addr().unwrap(),
            mode: watch::Sender::new(Mode::Open),
            cut: broadcast::Sender::new(16),
            injected: broadcast::Sender::new(16),
            allowance: AtomicU64::new(u64::MAX),
            answers_lost: AtomicUsize::new(0),
            accepted: AtomicUsize::new(0),
        });
        let (server, accepting) = (server.to_owned(), proxy.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                accepting.accepted.fetch_add(1, Ordering::SeqCst);
                if *accepting.mode.borrow() == Mode::Refusing {
                    continue;
                }
                // A server that is away: the client finds its line cut.
                let Ok(server) = TcpStream::connect(&server).await else { continue };
                tokio::spawn(accepting.clone().join(client, server));
            }
        });
        proxy
    }

    async fn join(self: Arc<Self>, client: TcpStream, server: TcpStream) {
        // Where this fails, the line is gone.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (client_in, client_out) = client.into_split();
        let (server_in, server_out) = server.into_split();
        let mut cut = self.cut.subscribe();
        let doomed = Doomed::default();
        tokio::select! {
            _ = cut.recv() => {}
            () = self.clone().carry(client_in, server_out, None, &doomed) => {}
            () = self.clone().carry(server_in, client_out, Some(self.injected.subscribe()), &doomed) => {}
        }
    }

    async fn carry(
        self: Arc<Self>,
        mut from: tokio::net::tcp::OwnedReadHalf,
        mut to: tokio::net::tcp::OwnedWriteHalf,
        mut injected: Option<broadcast::Receiver<Vec<u8>>>,
        doomed: &Doomed,
    ) {
        let mut mode = self.mode.subscribe();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let extra = async {
                match injected.as_mut() {
                    Some(injected) => injected.recv().await.unwrap_or_default(),
                    None => std::future::pending().await,
                }
            };
            let bytes = tokio::select! {
                read = from.read(&mut buffer) => match read {
                    Ok(length) if length > 0 => buffer[..length].to_vec(),
                    _ => return,
                },
                extra = extra => extra,
            };
            if injected.is_none() {
                if self.spend(bytes.len() as u64) {
                    return;
                }
                if self.is_doomed(&bytes) {
                    doomed.store(true, Ordering::SeqCst);
                }
            } else if doomed.load(Ordering::SeqCst) {
                return;
            }
            if mode.wait_for(|mode| *mode != Mode::Frozen).await.is_err() || to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    }

    /// Whether that was more than clients may send.
    fn spend(&self, bytes: u64) -> bool {
        let left = self.allowance.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(bytes));
        left.is_err()
    }

    /// Whether the answer to this will be lost.
    fn is_doomed(&self, asked: &[u8]) -> bool {
        let some = self.answers_lost.load(Ordering::SeqCst) > 0;
        let doomed = some && asked.windows(COMMIT.len()).any(|part| part == COMMIT);
        if doomed {
            let _ = self.answers_lost.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        }
        doomed
    }

    /// How many lines there have been.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Ends a line when so many more bytes have come from clients.
    pub fn cut_after(&self, bytes: u64) {
        self.allowance.store(bytes, Ordering::SeqCst);
    }

    /// Lets so many transactions of PostgreSQL's be committed, and cuts the line instead of saying so.
    pub fn lose_answers_to_commits(&self, many: usize) {
        self.answers_lost.store(many, Ordering::SeqCst);
    }

    /// Ends the lines there are.
    pub fn cut(&self) {
        let _ = self.cut.send(());
    }

    /// Ends the lines there are, and every new one at once.
    pub fn refuse(&self) {
        self.mode.send_replace(Mode::Refusing);
        self.cut();
    }

    /// Keeps what is sent, in both directions, without a word.
    pub fn freeze(&self) {
        self.mode.send_replace(Mode::Frozen);
    }

    /// Lets everything through again.
    pub fn mend(&self) {
        self.cut_after(u64::MAX);
        self.lose_answers_to_commits(0);
        self.mode.send_replace(Mode::Open);
    }

    /// Sends bytes to the clients as if they came from the server. Only while it is silent.
    pub fn inject(&self, bytes: &[u8]) {
        self.injected.send(bytes.to_vec()).unwrap();
    }
}

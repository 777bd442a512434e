//! A mail server that answers each recipient as it is told, and counts how many transactions are
//! open at once for each domain.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

type Answer = dyn Fn(&str) -> &'static str + Send + Sync;

/// A server that ends with this value.
pub struct MailServer {
    pub port: u16,
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    /// To the RCPT of an address; what begins with 250 takes the mail.
    answer: Box<Answer>,
    /// By domain: those that are open, the most that were, and those taken.
    domains: Mutex<BTreeMap<String, Counts>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub asked: usize,
    pub open: usize,
    pub most: usize,
    pub taken: usize,
}

impl MailServer {
    pub async fn start(answer: impl Fn(&str) -> &'static str + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State { answer: Box::new(answer), domains: Mutex::default() });
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                // A client may leave whenever it likes.
                tokio::spawn(converse(tcp, Arc::clone(&shared)));
            }
        });
        Self { port, state, task }
    }

    pub fn counts(&self, domain: &str) -> Counts {
        self.state.domains.lock().unwrap().get(domain).copied().unwrap_or_default()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn count(&self, domain: &str, change: impl FnOnce(&mut Counts)) {
        change(self.domains.lock().unwrap().entry(domain.to_owned()).or_default());
    }
}

async fn converse(tcp: TcpStream, state: Arc<State>) -> std::io::Result<()> {
    tcp.set_nodelay(true)?;
    let mut tcp = BufReader::new(tcp);
    let mut domain = String::new();
    tcp.write_all(b"220 mx.test\r\n").await?;
    loop {
        let mut line = String::new();
        if tcp.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let answer = match line.get(..4).unwrap_or_default() {
            "EHLO" => "250 mx.test",
            "RCPT" => {
                let address = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                domain = address.split('@').next_back().unwrap_or_default().to_owned();
                let answer = (state.answer)(&address);
                state.count(&domain, |counts| {
                    counts.asked += 1;
                    if answer.starts_with("250") {
                        counts.open += 1;
                        counts.most = counts.most.max(counts.open);
                    }
                });
                answer
            }
            "DATA" => {
                tcp.write_all(b"354 go on\r\n").await?;
                while tcp.read_line(&mut line).await? > 0 && !line.ends_with("\r\n.\r\n") {}
                // Long enough for others to come in, were they let.
                for _ in 0..200 {
                    tokio::task::yield_now().await;
                }
                state.count(&domain, |counts| {
                    counts.open -= 1;
                    counts.taken += 1;
                });
                "250 2.0.0 Ok: queued as X"
            }
            "QUIT" => "221 bye",
            _ => "250 ok",
        };
        tcp.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
}

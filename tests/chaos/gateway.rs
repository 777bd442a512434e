//! An SMS provider that misbehaves by dice and keeps a ledger: what it took is written down before it says so.
//! Of some messages it reports what became of them, of others it never says a word.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rekindle::clock::Clock;
use rekindle::inbound::webhook::{Call, Hooks};
use rekindle::settings::Settings;
use rekindle::store::Store;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::support::shop::Dice;

/// As the shop's folder has it. A second call is a second SMS.
pub const DESCRIPTION: &str = r#"
name: gateway
base_url: http://127.0.0.1:1
text: { url: "{base_url}/send", body: form, fields: { to: "{to}", text: "{text}", id: "{message}" } }
reply:
  code: [/code]
  reference: [/id]
  unlisted: { then: our_fault, means: nobody knows it }
  codes:
    0: { then: sent, means: taken }
    1: { then: retry, means: busy }
    2: { then: reject, reason: bad_recipient, means: no such number }
delivery: { up: delivered, down: undelivered }
webhook: { auth: key, secret: webhook_key, receipt: { status: [/status], reference: [/id] } }
"#;

/// The webhook's key.
pub const KEY: &str = "0123456789abcdef";

/// Each report opens a connection to the store, which has a limited number for all.
const REPORTS_AT_ONCE: usize = 16;

/// The running provider.
pub struct Gateway {
    seed: u64,
    /// How often each message was taken, by its id.
    taken: Mutex<BTreeMap<String, usize>>,
    calls: Mutex<u64>,
    receipts: tokio::sync::mpsc::UnboundedSender<(Duration, String, &'static str)>,
}

impl Gateway {
    /// Reports by a web role of the shop's own, on its store.
    pub async fn start(seed: u64, settings: impl FnOnce(u16) -> (String, Settings)) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (receipts, mut due) = tokio::sync::mpsc::unbounded_channel();
        let gateway = Arc::new(Self { seed, taken: Mutex::default(), calls: Mutex::default(), receipts });
        let (url, settings) = settings(address.port());
        let settings = Arc::new(settings);
        let at_once = Arc::new(Semaphore::new(REPORTS_AT_ONCE));
        tokio::spawn(async move {
            while let Some((after, id, status)) = due.recv().await {
                let (url, settings, at_once) = (url.clone(), Arc::clone(&settings), Arc::clone(&at_once));
                tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    report(&url, settings, &at_once, &id, status).await;
                });
            }
        });
        let accepting = Arc::clone(&gateway);
        tokio::spawn(async move {
            while let Ok((line, _)) = listener.accept().await {
                let gateway = Arc::clone(&accepting);
                tokio::spawn(async move { drop(gateway.talk(line).await) });
            }
        });
        gateway
    }

    /// How often each message was taken, by its id.
    pub fn taken(&self) -> BTreeMap<String, usize> {
        self.taken.lock().unwrap().clone()
    }

    async fn talk(&self, mut line: TcpStream) -> std::io::Result<()> {
        let mut request = Vec::new();
        let (id, status, answer) = loop {
            let mut part = [0; 4096];
            let got = line.read(&mut part).await?;
            if got == 0 {
                return Ok(());
            }
            request.extend_from_slice(&part[..got]);
            let text = String::from_utf8_lossy(&request).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
            if body.len() < length.unwrap_or(0) {
                continue;
            }
            let id = body.split('&').find_map(|field| field.strip_prefix("id=")).unwrap_or_default().to_owned();
            break self.decide(&id).map_or((id.clone(), 0, String::new()), |(status, answer)| (id, status, answer));
        };
        if status == 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(Dice(id.len() as u64 ^ self.seed).below(30))).await;
        let length = answer.len();
        let head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
        line.write_all((head + &answer).as_bytes()).await
    }

    /// The answer to a call; none where the line is cut.
    fn decide(&self, id: &str) -> Option<(u16, String)> {
        let call = {
            let mut calls = self.calls.lock().unwrap();
            *calls += 1;
            *calls
        };
        let mut hasher = DefaultHasher::new();
        (self.seed, id, call).hash(&mut hasher);
        let mut dice = Dice(hasher.finish());
        let says = |code: u64| Some((200, format!(r#"{{"code":{code},"id":"G-{call}"}}"#)));
        match dice.below(100) {
            0..3 => return says(1),
            3..6 => return says(2),
            6 => return None,
            // Something in front of it lost it.
            7 => return Some((502, "<html>bad gateway</html>".to_owned())),
            _ => {}
        }
        *self.taken.lock().unwrap().entry(id.to_owned()).or_default() += 1;
        let after = Duration::from_millis(200 + dice.below(30_000));
        match dice.below(10) {
            0..3 => drop(self.receipts.send((after, format!("G-{call}"), "down"))),
            3..7 => drop(self.receipts.send((after, format!("G-{call}"), "up"))),
            _ => {}
        }
        match dice.below(100) {
            0 => None,
            1 => Some((500, String::new())),
            2 => Some((503, "<html>busy</html>".to_owned())),
            _ => says(0),
        }
    }
}

/// Calls the webhook until somebody takes it, as providers do.
async fn report(url: &str, settings: Arc<Settings>, at_once: &Semaphore, id: &str, status: &str) {
    for _ in 0..60 {
        let permit = at_once.acquire().await.unwrap();
        if let Ok(store) = Store::open(url, 1).await {
            let hooks = Hooks::new(store.clone(), Clock::System, Arc::clone(&settings));
            let query = format!("key={KEY}&id={id}&status={status}");
            let call = Call {
                method: "GET".to_owned(),
                url: format!("https://shop.example/hooks/gateway?{query}"),
                query,
                ..Call::default()
            };
            let answer = hooks.receive("gateway", call).await;
            store.close().await;
            if answer.status == 200 {
                return;
            }
        }
        drop(permit);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

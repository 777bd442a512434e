//! A real SMS gateway: Kannel with its test phone, on loopback, in a folder of its own. A message goes
//! out, its receipt comes back, a word comes in.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use rekindle::clock::Clock;
use rekindle::inbound::webhook::{Call, Hooks};
use rekindle::store::Store;

use crate::hearing_contract::tls;
use crate::support::shop::{PLAIN, Shop, Size, at};
use crate::support::{DEADLINE, Folder, until};
use rekindle::import::Kind;

const NOON: &str = "2024-05-02T12:00:00Z";
const KEY: &str = "0123456789abcdef";
const NUMBER: &str = "+989121234567";

/// A process, ended with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A gateway, its parts ended in the order in which they stand here.
struct Kannel {
    _phone: Running,
    _smsbox: Running,
    _bearerbox: Running,
    sendsms: u16,
    folder: Folder,
}

fn free_ports<const N: usize>() -> [u16; N] {
    // All at once, so that no two are alike.
    let open: Vec<TcpListener> = (0..N).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    std::array::from_fn(|n| open[n].local_addr().unwrap().port())
}

fn start(program: &str, arguments: &[&str], folder: &Path, name: &str) -> Running {
    let log = std::fs::File::create(folder.join(name)).unwrap();
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command.stdout(log.try_clone().unwrap()).stderr(log);
    Running(command.spawn().unwrap_or_else(|error| panic!("{program}: {error}; run ./scripts/services")))
}

fn wait_for(port: u16, what: &str) {
    let started = std::time::Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(started.elapsed() < DEADLINE, "{what} does not listen");
        std::thread::yield_now();
    }
}

impl Kannel {
    /// Starts it; the phone sends `word` once.
    fn start(hooks: u16, word: &str) -> Self {
        let [admin, boxes, centre, sendsms] = free_ports();
        let folder = Folder::new();
        let configuration = format!(
            "group = core\nadmin-port = {admin}\nadmin-password = x\nadmin-interface = 127.0.0.1\n\
             smsbox-port = {boxes}\nsmsbox-interface = 127.0.0.1\nbox-allow-ip = \"127.0.0.1\"\ndlr-storage = internal\n\n\
             group = smsc\nsmsc = fake\nsmsc-id = fake\nport = {centre}\nconnect-allow-ip = \"127.0.0.1\"\n\n\
             group = smsbox\nbearerbox-host = 127.0.0.1\nsendsms-port = {sendsms}\nsendsms-interface = 127.0.0.1\n\n\
             group = sendsms-user\nusername = shop\npassword = s3cret\nconcatenation = true\nmax-messages = 10\n\n\
             group = sms-service\nkeyword = default\ncatch-all = true\nmax-messages = 0\n\
             get-url = \"http://127.0.0.1:{hooks}/hooks/kannel?key={KEY}&id=%I&from=%p&to=%P&text=%a&at=%T\"\n"
        );
        std::fs::write(folder.0.join("kannel.conf"), configuration).unwrap();
        let bearerbox = start("/usr/sbin/bearerbox", &["-v", "1", "kannel.conf"], &folder.0, "bearerbox.log");
        wait_for(boxes, "bearerbox");
        let smsbox = start("/usr/sbin/smsbox", &["-v", "1", "kannel.conf"], &folder.0, "smsbox.log");
        wait_for(sendsms, "smsbox");
        let message = format!("{NUMBER} 3000 text {word}");
        let arguments = ["-r", &centre.to_string(), "-i", "1", "-m", "1", &message];
        let phone = start("/usr/lib/kannel/test/fakesmsc", &arguments, &folder.0, "phone.log");
        Self { _phone: phone, _smsbox: smsbox, _bearerbox: bearerbox, sendsms, folder }
    }

    /// What the phone got.
    fn phone(&self) -> String {
        std::fs::read_to_string(self.folder.0.join("phone.log")).unwrap()
    }
}

async fn take(State(hooks): State<Arc<Hooks>>, request: Request) -> (StatusCode, String) {
    let (parts, body) = request.into_parts();
    let headers = parts.headers.iter();
    let call = Call {
        method: parts.method.to_string(),
        url: parts.uri.to_string(),
        headers: headers.map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned())).collect(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        body: axum::body::to_bytes(body, 65_536).await.unwrap().to_vec(),
    };
    let answer = hooks.receive(parts.uri.path().rsplit('/').next().unwrap(), call).await;
    (StatusCode::from_u16(answer.status).unwrap(), answer.body)
}

async fn suppressed(store: &Store) -> Vec<(String, String, String)> {
    let Store::Sqlite { readers: pool, .. } = store else { unreachable!() };
    sqlx::query_as("SELECT address, purpose, reason FROM suppressions").fetch_all(pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_delivers_reports_and_brings_a_word_back() {
    tls();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let kannel = Kannel::start(port, "STOP");
    let settings = format!(
        "sms: {{ sender: kannel, base_url: \"http://127.0.0.1:{}\", lines: [{{ number: \"3000\", purpose: marketing }}], \
         credentials: {{ username: shop, password: s3cret, webhook_key: {KEY} }} }}",
        kannel.sendsms
    );
    let brand = PLAIN.replace("https://shop.example", &format!("http://127.0.0.1:{port}"));
    let shop = Shop::new(&Size::default(), &brand).with_settings(&settings);
    let file = format!("{}/config/providers/kannel.yaml", env!("CARGO_MANIFEST_DIR"));
    shop.write("providers/kannel.yaml", std::fs::read(file).unwrap());
    shop.write("templates/note/sms.txt", "سلام {{member.first_name}}");
    shop.campaign("hello", "trigger: { kind: welcome }\nchannels: [sms]");
    let members =
        format!("external_id,phone,first_name,sms_consent,joined_at\nm1,{NUMBER},Sara,true,2024-05-02T10:00:00Z\n");
    shop.import(Kind::Members, members).await;
    let app = shop.app(at("2024-05-02T09:00:00Z")).await;
    app.store.close().await;
    drop(app);
    let store = shop.store().await.clone();
    let hooks = Arc::new(Hooks::new(store.clone(), Clock::simulated(at(NOON)), shop.settings()));
    let server = axum::serve(listener, Router::new().fallback(take).with_state(hooks)).into_future();
    let server = tokio::spawn(server);

    // The phone's word waits in the listener's backlog until now.
    until(1, async || suppressed(&store).await.len()).await;
    let expected = [(NUMBER.to_owned(), "marketing".to_owned(), "opted_out".to_owned())];
    assert_eq!(suppressed(&store).await, expected);
    shop.once(NOON).await;
    assert_eq!(shop.states().await, ["m1 hello main skipped suppressed"]);

    // To somebody who said nothing, the message goes out and its receipt comes back.
    let members = members_of("m2", "+989121234568");
    shop.import(Kind::Members, members).await;
    shop.once("2024-05-02T12:30:00Z").await;
    let delivered = "m2 hello main delivered -".to_owned();
    until(true, async || shop.states().await.contains(&delivered)).await;
    // 3000 +98… ucs-2 %06%33…
    until(true, async || kannel.phone().contains("<3000 +989121234568 ucs-2")).await;
    let mut tx = store.read().await.unwrap();
    let message = shop.ledger().await.into_iter().find(|row| row.member == "m2").unwrap().id;
    let heard = rekindle::store::events::of_message(&mut tx, message).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(heard.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>(), ["delivered"]);
    server.abort();
    shop.close().await;
}

fn members_of(id: &str, number: &str) -> String {
    format!("external_id,phone,first_name,sms_consent,joined_at\n{id},{number},Sara,true,2024-05-02T12:10:00Z\n")
}

//! The processes of the service, each kept running as a service manager would.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rekindle::clock::Clock;
use rekindle::settings::Settings;

use crate::gateway;
use crate::proxy::Proxy;
use crate::support::Folder;
use crate::support::nodes::signal;

/// Who does what. Each goes through one of the proxies to each server.
pub const ROLES: &[&str] = &["scheduler", "scheduler", "dispatcher", "dispatcher", "sender", "sender", "sender"];

/// Without a broker each process does everything, and sends what it dispatches.
pub const ALONE: &[&str] = &[EVERYTHING; 3];

const EVERYTHING: &str = "everything";

const SETTINGS: &str = "
brand: { name: Shop, timezone: Asia/Tehran, locale: en, base_url: \"https://shop.example\", quiet_hours: none, frequency_cap: none }
email:
  sender: smtp
  from: \"Shop <hello@shop.example>\"
  smtp: { host: 127.0.0.1, port: PORT, connections: 8 }
sms:
  sender: gateway
  base_url: http://127.0.0.1:SMS
  credentials: { webhook_key: KEY }
  lines: [{ number: '3000', purpose: marketing }]
templates: templates
outbox: outbox
store: STORE
queue: QUEUE
apply: manual
";

/// Each member gets a message of each of these: name, trigger, and what it says and brings.
pub const CAMPAIGNS: &[(&str, &str, &str)] = &[
    ("everybody", "{ kind: broadcast, at: 2020-01-01T00:00:00Z }", "channels: [email]\ncontent: hello"),
    (
        "hello",
        "{ kind: welcome, delay: 1h }",
        "channels: [email]\ncontent: gift\ngift: { coupon: { pool: hello, value: 20% } }",
    ),
    // What comes back a week later is left alone, so it is of today.
    (
        "either",
        "{ kind: broadcast, at: TODAY }",
        "channels: [sms, email]\ncontent: hello\nreach: fallback\nundelivered_after: 15s",
    ),
];

fn campaign(name: &str, trigger: &str, rest: &str) -> String {
    format!(
        "name: {name}\nstatus: live\ntrigger: {trigger}\nstarts_at: 2020-01-01T00:00:00Z\n\
         schedule: {{ scan: \"* * * * *\" }}\n{rest}\n\
         limits: {{ late: always, ceiling: 1000000 }}\n"
    )
}

/// A shop's folder and how to call the program on it.
pub struct Shop {
    pub folder: Folder,
    program: PathBuf,
}

impl Shop {
    pub fn new(store: &str, queue: &str, smtp_port: u16, sms_port: u16) -> Self {
        let folder = Folder::new();
        let write = |path: &str, text: &str| {
            let path = folder.0.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let settings = SETTINGS.replace("PORT", &smtp_port.to_string()).replace("STORE", store).replace("QUEUE", queue);
        let settings = settings.replace("SMS", &sms_port.to_string()).replace("KEY", gateway::KEY);
        write("rekindle.yaml", &settings);
        write("providers/gateway.yaml", gateway::DESCRIPTION);
        let today = (Clock::System.now() - chrono::Duration::hours(1)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
        for (name, trigger, rest) in CAMPAIGNS {
            write(&format!("campaigns/{name}.yaml"), &campaign(name, &trigger.replace("TODAY", &today), rest));
        }
        write("templates/hello/sms.txt", "Hello {{member.first_name}}");
        let filler = "Here is what is new in our shop this week. ".repeat(40);
        // The ledger reads the code in the subject.
        for (content, code) in [("hello", ""), ("gift", " [{{gift.code}}]")] {
            write(&format!("templates/{content}/subject.txt"), &format!("Hello {{{{member.first_name}}}}{code}"));
            let html = format!("<html><body><p>Hello {{{{member.first_name}}}}{code}</p><p>{filler}</p></body></html>");
            write(&format!("templates/{content}/email.html"), &html);
        }
        std::fs::create_dir_all(folder.0.join("logs")).unwrap();
        // A build may replace the program while this runs.
        let program = folder.0.join("rekindle");
        std::fs::copy(env!("CARGO_BIN_EXE_rekindle"), &program).unwrap();
        Self { folder, program }
    }

    /// As the program reads them.
    pub fn settings(&self) -> Settings {
        let file = self.folder.0.join("rekindle.yaml");
        Settings::parse(&file, &std::fs::read_to_string(&file).unwrap(), &|_| None).unwrap()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(self.folder.0.join("rekindle.yaml")).args(arguments);
        command.env_remove("REKINDLE_STORE").env_remove("REKINDLE_QUEUE").env("RUST_LOG", "rekindle=info");
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command that must succeed.
    pub fn succeed(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// Brings the schema and the campaigns up to date, and so many codes in.
    pub fn prepare(&self, codes: usize) {
        self.succeed(&["migrate"]);
        self.succeed(&["campaigns", "apply"]);
        let file = self.folder.0.join("codes.csv");
        let rows: String = (0..codes).map(|n| format!("C-{n}\n")).collect();
        std::fs::write(&file, format!("code\n{rows}")).unwrap();
        self.succeed(&["gifts", "import", file.to_str().unwrap(), "--pool", "hello"]);
    }

    /// Copies what the processes logged to where it outlives the shop.
    pub fn keep_logs(&self, seed: u64) -> PathBuf {
        let kept = std::env::temp_dir().join(format!("rekindle-chaos-{seed}-{}", std::process::id()));
        std::fs::create_dir_all(&kept).unwrap();
        for log in std::fs::read_dir(self.folder.0.join("logs")).unwrap() {
            let log = log.unwrap();
            std::fs::copy(log.path(), kept.join(log.file_name())).unwrap();
        }
        kept
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.0.join("logs").join(name)
    }
}

/// What a process is doing.
struct Slot {
    name: String,
    role: &'static str,
    store: String,
    queue: String,
    child: Option<Child>,
    /// Stopped by SIGSTOP.
    paused: bool,
}

/// All processes, and a task that starts again whatever ended.
pub struct Fleet {
    shop: Arc<Shop>,
    slots: Mutex<Vec<Slot>>,
    /// Processes that ended by themselves, with what they left.
    exits: Mutex<Vec<String>>,
    most_memory: Mutex<u64>,
}

/// Where processes find the servers: (store, queue) by proxy.
pub type Addresses = Vec<(String, String)>;

impl Fleet {
    pub fn start(shop: Arc<Shop>, addresses: &Addresses, roles: &[&'static str]) -> Arc<Self> {
        let slots = roles
            .iter()
            .enumerate()
            .map(|(index, role)| {
                let (store, queue) = addresses[index % addresses.len()].clone();
                Slot { name: format!("{role}-{index}"), role, store, queue, child: None, paused: false }
            })
            .collect();
        let fleet =
            Arc::new(Self { shop, slots: Mutex::new(slots), exits: Mutex::default(), most_memory: Mutex::default() });
        let keeping = Arc::downgrade(&fleet);
        tokio::spawn(async move {
            while let Some(fleet) = keeping.upgrade() {
                fleet.keep();
                drop(fleet);
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        });
        fleet
    }

    /// Starts what does not run.
    fn keep(&self) {
        let mut slots = self.slots.lock().unwrap();
        for slot in slots.iter_mut() {
            if let Some(child) = slot.child.as_mut() {
                match child.try_wait().unwrap() {
                    None => {
                        let memory = memory(child.id());
                        let mut most = self.most_memory.lock().unwrap();
                        *most = memory.max(*most);
                        continue;
                    }
                    Some(status) => self.ended(&slot.name, status),
                }
            }
            let log = File::options().create(true).append(true).open(self.shop.log(&slot.name)).unwrap();
            let role: &[&str] = if slot.role == EVERYTHING { &["run"] } else { &["run", "--role", slot.role] };
            let mut command = self.shop.command(role);
            command.env("REKINDLE_STORE", &slot.store).env("REKINDLE_QUEUE", &slot.queue);
            slot.child = Some(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
            slot.paused = false;
        }
    }

    fn ended(&self, name: &str, status: ExitStatus) {
        let text = std::fs::read_to_string(self.shop.log(name)).unwrap_or_default();
        let last = text.lines().last().unwrap_or_default();
        self.exits.lock().unwrap().push(format!("{name} {status}: {last}"));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.slots.lock().unwrap().len()
    }

    pub fn name(&self, index: usize) -> String {
        self.slots.lock().unwrap()[index].name.clone()
    }

    /// SIGKILL, and a new one at once.
    pub fn kill(&self, index: usize) {
        if let Some(mut child) = self.slots.lock().unwrap()[index].child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        self.keep();
    }

    /// SIGTERM, and a new one when it has ended, as a rolling restart does. A process that does not
    /// end within the time is killed, as service managers do.
    pub async fn restart(&self, index: usize, limit: Duration) -> String {
        let Some(mut child) = self.slots.lock().unwrap()[index].child.take() else { return "absent".to_owned() };
        self.keep();
        signal("TERM", i64::from(child.id()));
        signal("CONT", i64::from(child.id()));
        let started = tokio::time::Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.to_string();
            }
            if started.elapsed() > limit {
                child.kill().unwrap();
                child.wait().unwrap();
                return format!("did not end within {limit:?}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// SIGSTOP; whether it was running.
    pub fn pause(&self, index: usize) -> bool {
        let mut slots = self.slots.lock().unwrap();
        let slot = &mut slots[index];
        let Some(child) = slot.child.as_ref().filter(|_| !slot.paused) else { return false };
        signal("STOP", i64::from(child.id()));
        slot.paused = true;
        true
    }

    /// SIGCONT.
    pub fn resume(&self, index: usize) {
        let mut slots = self.slots.lock().unwrap();
        let slot = &mut slots[index];
        if let Some(child) = &slot.child {
            signal("CONT", i64::from(child.id()));
        }
        slot.paused = false;
    }

    /// The most memory that one process had, in kilobytes.
    pub fn most_memory(&self) -> u64 {
        *self.most_memory.lock().unwrap()
    }

    pub fn exits(&self) -> Vec<String> {
        self.exits.lock().unwrap().clone()
    }

    /// Lines that all of them logged.
    pub fn lines_logged(&self) -> usize {
        let logs = std::fs::read_dir(self.shop.folder.0.join("logs")).unwrap();
        logs.map(|log| std::fs::read_to_string(log.unwrap().path()).map_or(0, |text| text.lines().count())).sum()
    }

    /// Ends them all; what each left.
    pub async fn stop(&self) -> Vec<String> {
        let children: Vec<(String, Child)> = self
            .slots
            .lock()
            .unwrap()
            .drain(..)
            .filter_map(|slot| slot.child.map(|child| (slot.name, child)))
            .collect();
        for (_, child) in &children {
            signal("CONT", i64::from(child.id()));
            signal("TERM", i64::from(child.id()));
        }
        let mut ends = Vec::new();
        for (name, mut child) in children {
            let started = tokio::time::Instant::now();
            let end = loop {
                match child.try_wait().unwrap() {
                    Some(status) => break status.to_string(),
                    None if started.elapsed() > Duration::from_secs(60) => {
                        child.kill().unwrap();
                        child.wait().unwrap();
                        break "did not end".to_owned();
                    }
                    None => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            };
            ends.push(format!("{name} {end}"));
        }
        ends
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for slot in self.slots.lock().unwrap().iter_mut() {
            if let Some(child) = slot.child.as_mut() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

/// Resident memory of a process, in kilobytes.
pub fn memory(id: u32) -> u64 {
    let status = std::fs::read_to_string(Path::new("/proc").join(id.to_string()).join("status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// A proxy before each server, twice: not everybody is cut off at once.
pub struct Lines {
    pub store: Vec<Arc<Proxy>>,
    pub queue: Vec<Arc<Proxy>>,
}

impl Lines {
    pub fn mend(&self) {
        for proxy in self.store.iter().chain(&self.queue) {
            proxy.mend();
        }
    }
}

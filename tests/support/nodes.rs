//! A PostgreSQL and a RabbitMQ of a test's own, on ports and in a folder of their own: what is done to
//! them disturbs nobody else's.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Folder;

/// How long a server may take to start on a busy machine.
const START: Duration = Duration::from_secs(120);

/// A free port of the loopback address.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Sends a signal to a process, or to a whole group of them where `id` is negative.
pub fn signal(name: &str, id: i64) {
    let sent = Command::new("kill").args([&format!("-{name}"), "--", &id.to_string()]).stderr(Stdio::null()).status();
    // Whoever is gone already needs no signal.
    sent.unwrap();
}

/// A server process that leads a group of its own.
struct Server(Option<Child>);

impl Server {
    fn start(command: &mut Command, log: &Path) -> Self {
        let file = std::fs::File::options().create(true).append(true).open(log).unwrap();
        let errors = file.try_clone().unwrap();
        command.stdin(Stdio::null()).stdout(file).stderr(errors).process_group(0);
        Self(Some(command.spawn().unwrap()))
    }

    fn id(&self) -> u32 {
        self.0.as_ref().unwrap().id()
    }

    fn is_running(&mut self) -> bool {
        self.0.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.0.take() {
            signal("KILL", -i64::from(child.id()));
            child.wait().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// The newest program of this name among the places where Debian keeps PostgreSQL's.
fn postgres_program(name: &str) -> PathBuf {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.map(|entry| entry.unwrap().path().join("bin").join(name)).collect())
        .unwrap_or_default();
    versions.retain(|path| path.exists());
    versions.sort();
    versions.pop().unwrap_or_else(|| PathBuf::from(name))
}

/// A PostgreSQL cluster of the test's own.
pub struct PostgresNode {
    pub port: u16,
    folder: Folder,
    server: Server,
}

impl PostgresNode {
    /// Makes a cluster and starts it.
    pub fn start() -> Self {
        let folder = Folder::new();
        std::fs::set_permissions(&folder.0, std::fs::Permissions::from_mode(0o777)).unwrap();
        let mut node = Self { port: free_port(), folder, server: Server(None) };
        let made = node
            .command("initdb")
            .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-N", "-D"])
            .arg(node.data())
            .stdout(Stdio::null())
            .status();
        assert!(made.unwrap().success(), "initdb failed");
        node.start_again();
        node
    }

    fn data(&self) -> PathBuf {
        self.folder.0.join("data")
    }

    /// A program of PostgreSQL's; it refuses to run as root.
    fn command(&self, program: &str) -> Command {
        let path = postgres_program(program);
        if !is_root() {
            return Command::new(path);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(path).current_dir("/");
        command
    }

    /// Starts it where it was killed. What is left of the one before may still hold its memory.
    pub fn start_again(&mut self) {
        let started = Instant::now();
        // Surviving a SIGKILL needs no flush to the disk: the kernel has what was written.
        let settings = [
            format!("port={}", self.port),
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
            "fsync=off".to_owned(),
            "max_connections=200".to_owned(),
            "deadlock_timeout=200ms".to_owned(),
        ];
        while !self.answers() {
            assert!(started.elapsed() < START, "PostgreSQL does not start; see {}", self.log().display());
            if !self.server.is_running() {
                let mut command = self.command("postgres");
                command.arg("-D").arg(self.data());
                for setting in &settings {
                    command.args(["-c", setting]);
                }
                self.server = Server::start(&mut command, &self.log());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn log(&self) -> PathBuf {
        self.folder.0.join("postgres.log")
    }

    fn answers(&self) -> bool {
        let ready = Command::new(postgres_program("pg_isready"))
            .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
            .status();
        ready.unwrap().success()
    }

    /// SIGKILL to the postmaster; its children notice and end.
    pub fn kill(&mut self) {
        signal("KILL", i64::from(self.server.id()));
        self.server.kill();
    }

    /// SIGKILL to one of the backends: all of them restart.
    pub fn kill_a_backend(&self, which: u64) {
        let parent = self.server.id().to_string();
        let children = Command::new("pgrep").args(["-P", &parent]).output().unwrap();
        let ids: Vec<i64> =
            String::from_utf8_lossy(&children.stdout).lines().filter_map(|id| id.parse().ok()).collect();
        if !ids.is_empty() {
            signal("KILL", ids[usize::try_from(which).unwrap() % ids.len()]);
        }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The URL of its only database, at this address or at that of a proxy before it.
    pub fn url(&self, address: &str) -> String {
        format!("postgres://postgres@{address}/postgres")
    }
}

/// A RabbitMQ node of the test's own, with its own port mapper.
pub struct RabbitNode {
    pub port: u16,
    mapper_port: u16,
    distribution_port: u16,
    folder: Folder,
    server: Server,
    _mapper: Server,
}

impl RabbitNode {
    pub fn start() -> Self {
        let folder = Folder::new();
        let (port, mapper_port, distribution_port) = (free_port(), free_port(), free_port());
        let settings = format!(
            "listeners.tcp.1 = 127.0.0.1:{port}\nloopback_users = none\ndisk_free_limit.absolute = 50MB\n\
             vm_memory_high_watermark.absolute = 1GB\nlog.console = false\n"
        );
        std::fs::write(folder.0.join("rabbitmq.conf"), settings).unwrap();
        std::fs::write(folder.0.join("enabled_plugins"), "[].\n").unwrap();
        let mut mapper = Command::new("epmd");
        mapper.args(["-address", "127.0.0.1", "-port", &mapper_port.to_string()]);
        let mapper = Server::start(&mut mapper, &folder.0.join("epmd.log"));
        let mut node = Self { port, mapper_port, distribution_port, folder, server: Server(None), _mapper: mapper };
        node.start_again();
        node
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(Path::new("/usr/lib/rabbitmq/bin").join(program));
        let folder = &self.folder.0;
        command
            .env("HOME", folder)
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("enabled_plugins"))
            .env("RABBITMQ_MNESIA_BASE", folder.join("data"))
            .env("RABBITMQ_LOG_BASE", folder.join("log"))
            .env("RABBITMQ_PID_FILE", folder.join("pid"))
            .env("RABBITMQ_NODENAME", format!("chaos{}@localhost", self.port))
            .env("RABBITMQ_DIST_PORT", self.distribution_port.to_string())
            .env("ERL_EPMD_PORT", self.mapper_port.to_string())
            .current_dir(folder);
        command
    }

    /// Starts it where it was killed, and waits until it speaks AMQP.
    pub fn start_again(&mut self) {
        let started = Instant::now();
        while !self.answers() {
            assert!(started.elapsed() < START, "RabbitMQ does not start; see {}", self.folder.0.display());
            if !self.server.is_running() {
                let mut command = self.command("rabbitmq-server");
                self.server = Server::start(&mut command, &self.folder.0.join("server.log"));
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// It greets only once it has started completely.
    fn answers(&self) -> bool {
        use std::io::{Read, Write};
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(b"AMQP\x00\x00\x09\x01").is_ok() && stream.read_exact(&mut [0; 1]).is_ok()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Runs rabbitmqctl on it.
    pub fn control(&self, arguments: &[&str]) {
        let output = self.command("rabbitmqctl").args(arguments).output().unwrap();
        assert!(output.status.success(), "rabbitmqctl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The alarm that stops publishers: more free space is wanted than there is.
    pub fn disk_alarm(&self, on: bool) {
        self.control(&["set_disk_free_limit", if on { "900000000000000" } else { "50000000" }]);
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its URL, at this address or at that of a proxy before it.
    pub fn url(&self, address: &str) -> String {
        format!("amqp://guest:guest@{address}/%2f")
    }
}

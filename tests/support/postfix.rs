//! A private Postfix: its own folders and port, ended with this value. It discards what it takes, and
//! answers some recipients otherwise.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::{DEADLINE, Folder};

/// A running Postfix.
pub struct Postfix {
    /// Offers STARTTLS, with the certificate for `localhost` of the unit tests.
    pub port: u16,
    /// TLS from the first byte, with the same.
    pub tls_port: u16,
    folder: Folder,
    master: Child,
}

impl Postfix {
    /// Starts it; `answers` are lines of a table of recipients (access(5)).
    pub fn start(answers: &str) -> Self {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (first, second) = (free(), free());
        let [port, tls_port] = [&first, &second].map(|listener| listener.local_addr().unwrap().port());
        drop((first, second));
        let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/src/transports/smtp/tests");
        let folder = Folder::new();
        let path = |name: &str| folder.0.join(name);
        for name in ["config", "queue", "data"] {
            std::fs::create_dir_all(path(name)).unwrap();
        }
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&folder.0, mode).unwrap();
        std::fs::write(path("config/recipients"), answers).unwrap();
        let main = format!(
            "compatibility_level = 3.6\nqueue_directory = {queue}\ndata_directory = {data}\nmyhostname = mx.test\n\
            inet_interfaces = 127.0.0.1\nmynetworks = 127.0.0.0/8\nmydestination =\nmaillog_file = {log}\n\
            maillog_file_prefixes = {folder}\ndefault_transport = discard:\nrelay_transport = discard:\nlocal_transport = discard:\n\
            smtpd_recipient_restrictions = check_recipient_access texthash:{recipients}, permit_mynetworks, reject\n\
            smtpd_relay_restrictions = permit_mynetworks, reject\nsmtpd_error_sleep_time = 0\nsmtpd_hard_error_limit = 1000\n\
            smtpd_junk_command_limit = 1000\nalias_maps =\nalias_database =\nsmtpd_tls_security_level = may\n\
            smtpd_tls_cert_file = {keys}/server.pem\nsmtpd_tls_key_file = {keys}/server.key\n\
            message_size_limit = 20000\n",
            queue = path("queue").display(),
            data = path("data").display(),
            recipients = path("config/recipients").display(),
            log = path("log").display(),
            folder = folder.0.display(),
        );
        std::fs::write(path("config/main.cf"), main).unwrap();
        let services = [
            format!("127.0.0.1:{port} inet n - n - - smtpd"),
            format!("127.0.0.1:{tls_port} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes"),
            "tlsmgr unix - - n 1000? 1 tlsmgr".to_owned(),
            "cleanup unix n - n - 0 cleanup".to_owned(),
            "qmgr unix n - n 300 1 qmgr".to_owned(),
            "rewrite unix - - n - - trivial-rewrite".to_owned(),
            "discard unix - - n - - discard".to_owned(),
            "bounce unix - - n - 0 bounce".to_owned(),
            "defer unix - - n - 0 bounce".to_owned(),
            "error unix - - n - - error".to_owned(),
            "anvil unix - - n - 1 anvil".to_owned(),
            "proxymap unix - - n - - proxymap".to_owned(),
            "postlog unix-dgram n - n - 1 postlogd".to_owned(),
        ];
        std::fs::write(path("config/master.cf"), services.join("\n") + "\n").unwrap();
        let run = |program: &str, arguments: &[&str]| {
            let status = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
            assert!(status.is_ok_and(|status| status.success()), "{program} {arguments:?}");
        };
        run("chown", &["-R", "postfix", &path("data").display().to_string()]);
        let config = path("config").display().to_string();
        // Makes the folders of the queue.
        run("postfix", &["-c", &config, "check"]);
        let daemons = Command::new("postconf").args(["-c", &config, "-h", "daemon_directory"]).output().unwrap();
        let daemons = PathBuf::from(String::from_utf8(daemons.stdout).unwrap().trim());
        // In the foreground: its end is this process's to decide.
        let master = Command::new(daemons.join("master"))
            .args(["-c", &config, "-s"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let postfix = Self { port, tls_port, folder, master };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                started.elapsed() < DEADLINE,
                "Postfix does not listen; its folder is {}",
                postfix.folder.0.display()
            );
            std::thread::yield_now();
        }
        postfix
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // By name of the process: TERM lets the master end its services.
        let _ = Command::new("kill").arg(self.master.id().to_string()).status();
        let _ = self.master.wait();
    }
}

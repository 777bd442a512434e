//! Postfix's smtp-sink as the mail server of a test: it writes each mail it accepts to a file, which
//! makes it the ledger that the store's is compared with.

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::{DEADLINE, Folder, server};

/// A running smtp-sink, ended with this value.
pub struct Sink {
    pub port: u16,
    folder: Folder,
    process: Child,
}

impl Sink {
    /// Starts it on a free port of the loopback address.
    pub fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = Folder::new();
        std::fs::set_permissions(&folder.0, std::fs::Permissions::from_mode(0o777)).unwrap();
        let mut command = Command::new(server("REKINDLE_TEST_SMTP_SINK"));
        // It refuses to run as root.
        if std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
            command.args(["-u", "nobody"]);
        }
        let dump = format!("{}/%M.", folder.0.display());
        command.args(["-d", &dump, &format!("127.0.0.1:{port}"), "1000"]).stdout(Stdio::null());
        let process = command.spawn().unwrap();
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < DEADLINE, "smtp-sink does not listen");
            std::thread::yield_now();
        }
        Self { port, folder, process }
    }

    /// How often each Message-ID was accepted.
    pub fn accepted(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for entry in std::fs::read_dir(&self.folder.0).unwrap() {
            let mail = String::from_utf8_lossy(&std::fs::read(entry.unwrap().path()).unwrap()).into_owned();
            // A connection that ended before its final dot left no whole mail.
            if let Some(id) = mail.lines().find_map(|line| line.strip_prefix("Message-ID: ")) {
                *counts.entry(id.to_owned()).or_default() += 1;
            }
        }
        counts
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

//! A Dovecot of a test's own: a configuration, mailboxes and ports of the loopback address that nobody
//! else has. Everybody logs in with one password and has mailboxes of their own. It must be started by
//! root.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::{DEADLINE, Folder};

pub const PASSWORD: &str = "s3cret \"pass\\word";

/// The user to whom the mailboxes belong: nobody.
const OWNER: u32 = 65_534;

const CONFIGURATION: &str = "
protocols = imap
listen = 127.0.0.1
base_dir = FOLDER/run
state_dir = FOLDER/state
log_path = FOLDER/log
auth_failure_delay = 0
disable_plaintext_auth = no
first_valid_uid = 1
first_valid_gid = 1
mail_location = maildir:FOLDER/mail/%u
mail_fsync = never
mail_max_userip_connections = 100
ssl = yes
ssl_cert = <TLS/server.pem
ssl_key = <TLS/server.key
passdb {
  driver = passwd-file
  args = scheme=plain FOLDER/passwords
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=FOLDER/home/%u
}
namespace inbox {
  inbox = yes
  separator = /
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service imap-login {
  inet_listener imap {
    port = PLAIN
  }
  inet_listener imaps {
    port = ENCRYPTED
    ssl = yes
  }
}
";

/// A running Dovecot, stopped with this value.
pub struct Dovecot {
    /// The port for STARTTLS, or nothing.
    pub port: u16,
    /// The port for TLS from the first byte.
    pub tls_port: u16,
    folder: Folder,
    master: Option<Child>,
}

impl Dovecot {
    /// Starts it, for users of these names; `more` is added to its configuration.
    pub fn start(users: &[&str], more: &str) -> Self {
        let free = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let [port, tls_port] = free.each_ref().map(|listener| listener.local_addr().unwrap().port());
        drop(free);
        let folder = Folder::new();
        // Its processes have users of their own.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&folder.0, open).unwrap();
        for name in ["mail", "home"] {
            std::fs::create_dir(folder.0.join(name)).unwrap();
            chown(folder.0.join(name), Some(OWNER), Some(OWNER)).unwrap();
        }
        let passwords: String = users.iter().map(|user| format!("{user}:{PASSWORD}\n")).collect();
        std::fs::write(folder.0.join("passwords"), passwords).unwrap();
        let configuration = (CONFIGURATION.to_owned() + more)
            .replace("FOLDER", &folder.0.display().to_string())
            .replace("TLS", &certificates().display().to_string())
            .replace("PLAIN", &port.to_string())
            .replace("ENCRYPTED", &tls_port.to_string());
        std::fs::write(folder.0.join("dovecot.conf"), configuration).unwrap();
        let mut dovecot = Self { port, tls_port, folder, master: None };
        dovecot.start_again();
        dovecot
    }

    /// Starts it after [`Self::stop`], with the mailboxes that it had.
    pub fn start_again(&mut self) {
        let mut command = Command::new("/usr/sbin/dovecot");
        command.arg("-F").arg("-c").arg(self.folder.0.join("dovecot.conf"));
        // A group of their own for its processes.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let started = command.spawn().unwrap_or_else(|error| panic!("dovecot: {error}; run ./scripts/services"));
        self.master = Some(started);
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(started.elapsed() < DEADLINE, "Dovecot does not listen: {}", self.log());
            std::thread::yield_now();
        }
    }

    /// Ends it and its connections. In order: a killed one leaves locks on its mailboxes.
    pub fn stop(&mut self) {
        self.end("-TERM");
    }

    fn end(&mut self, signal: &str) {
        let Some(mut master) = self.master.take() else { return };
        let group = format!("-{}", master.id());
        let _ = Command::new("kill").args([signal, "--", &group]).status();
        let _ = master.wait();
    }

    /// Puts a mail into a mailbox, as another mail server does.
    pub fn deliver(&self, user: &str, mailbox: &str, name: &str, mail: impl AsRef<[u8]>) {
        let folder = self.mailbox(user, mailbox);
        for part in ["tmp", "cur", "new"] {
            std::fs::create_dir_all(folder.join(part)).unwrap();
        }
        let mine = self.folder.0.join("mail");
        for path in folder.ancestors().take_while(|path| *path != mine) {
            chown(path, Some(OWNER), Some(OWNER)).unwrap();
        }
        for part in ["tmp", "cur", "new"] {
            chown(folder.join(part), Some(OWNER), Some(OWNER)).unwrap();
        }
        let path = folder.join("tmp").join(name);
        std::fs::write(&path, mail).unwrap();
        chown(&path, Some(OWNER), Some(OWNER)).unwrap();
        std::fs::rename(&path, folder.join("new").join(name)).unwrap();
    }

    /// Makes a mailbox with nothing in it.
    pub fn create(&self, user: &str, mailbox: &str) {
        self.deliver(user, mailbox, "x", "x");
        std::fs::remove_file(self.mailbox(user, mailbox).join("new/x")).unwrap();
    }

    /// The mails of a mailbox by their names, each with its flags: `S` is seen, `T` deleted.
    pub fn mails(&self, user: &str, mailbox: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for part in ["new", "cur"] {
            // Names change while the server works.
            for entry in std::fs::read_dir(self.mailbox(user, mailbox).join(part)).into_iter().flatten().flatten() {
                let file = entry.file_name().to_string_lossy().into_owned();
                let (name, flags) = file.split_once(":2,").unwrap_or((&file, ""));
                found.push((name.split(',').next().unwrap_or_default().to_owned(), flags.to_owned()));
            }
        }
        found.sort();
        found
    }

    fn mailbox(&self, user: &str, mailbox: &str) -> PathBuf {
        let home = self.folder.0.join("mail").join(user);
        if mailbox == "INBOX" { home } else { home.join(format!(".{mailbox}")) }
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.0.join("log")).unwrap_or_default()
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        self.end("-KILL");
    }
}

/// The folder of certificates made for tests: `server.pem` is for `localhost`, signed by `ca.pem`.
pub fn certificates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/transports/smtp/tests")
}

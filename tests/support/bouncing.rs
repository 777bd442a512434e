//! A Postfix of a test's own: a configuration, a queue and a port of the loopback address that nobody
//! else has. It takes, rejects and defers recipients by their name, sends some mails back later, and
//! pipes what comes back to a command. It must be started by root.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;
use std::time::Instant;

use super::{DEADLINE, Folder};

const MAIN: &str = "
compatibility_level = 3.6
queue_directory = FOLDER/queue
data_directory = FOLDER/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = FOLDER/log
maillog_file_prefixes = FOLDER
myhostname = mx.shop.example
mydestination =
local_recipient_maps =
alias_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = check_recipient_access inline:{ {gone@example.com = 550 5.1.1 User unknown} {busy@example.com = 450 4.2.0 Greylisted} }, permit_mynetworks, reject
default_transport = discard
transport_maps = inline:{ {later@example.com = unknown:} {full@example.com = full:} {shop.example = rekindle:} }
rekindle_destination_recipient_limit = 1
";

const MASTER: &str = "
127.0.0.1:PORT inet n - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
unknown unix - n n - 2 pipe user=nobody argv=/bin/sh -c { exit 67 }
full unix - n n - 2 pipe user=nobody argv=/bin/sh -c { echo 5.2.2 The mailbox is full; exit 69 }
rekindle unix - n n - 2 pipe flags=R user=nobody argv=PIPE
";

/// A running Postfix, stopped with this value.
pub struct Postfix {
    pub port: u16,
    pub folder: Folder,
}

impl Postfix {
    /// Starts it; mails to `shop.example` go into `pipe`, a command with its arguments.
    pub fn start(pipe: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = Folder::new();
        // Its processes have users of their own.
        std::fs::set_permissions(&folder.0, std::fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["conf", "queue", "data"] {
            std::fs::create_dir(folder.0.join(name)).unwrap();
        }
        let id = Command::new("id").args(["-u", "postfix"]).output().unwrap().stdout;
        let postfix: u32 = String::from_utf8(id).unwrap().trim().parse().expect("there is no user postfix");
        chown(folder.0.join("data"), Some(postfix), None).unwrap();
        let place = folder.0.display().to_string();
        std::fs::write(folder.0.join("conf/main.cf"), MAIN.replace("FOLDER", &place)).unwrap();
        let master = MASTER.replace("PORT", &port.to_string()).replace("PIPE", pipe);
        std::fs::write(folder.0.join("conf/master.cf"), master).unwrap();
        let postfix = Self { port, folder };
        assert!(postfix.command("start"), "Postfix does not start: {}", postfix.log());
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < DEADLINE, "Postfix does not listen: {}", postfix.log());
            std::thread::yield_now();
        }
        postfix
    }

    fn command(&self, what: &str) -> bool {
        let done = Command::new("/usr/sbin/postfix").arg("-c").arg(self.folder.0.join("conf")).arg(what).output();
        done.is_ok_and(|output| output.status.success())
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.0.join("log")).unwrap_or_default()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        self.command("stop");
    }
}

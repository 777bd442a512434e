//! Sends to PostgreSQL at once. sqlx 0.9.0 leaves Nagle's algorithm on (sqlx issue 4335), and every second statement
//! then waits 40 ms for an acknowledgement. It gives no way to its sockets, so they are found among those of this
//! process. Without use, and to be removed, once sqlx sets TCP_NODELAY itself again.

/// Sets TCP_NODELAY on this process's TCP connections to a port. Where that cannot be done, statements are only slower.
#[cfg(target_os = "linux")]
pub fn set(port: u16) {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

    let (Ok(own), Ok(open)) = (pidfd_open(getpid(), PidfdFlags::empty()), std::fs::read_dir("/proc/self/fd")) else {
        return;
    };
    for entry in open.filter_map(Result::ok) {
        let is_socket = std::fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"));
        let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok()).filter(|_| is_socket) else {
            continue;
        };
        // Another handle of the same socket, whatever becomes of the first meanwhile.
        if let Ok(handle) = pidfd_getfd(&own, number, PidfdGetfdFlags::empty()) {
            let stream = std::net::TcpStream::from(handle);
            if stream.peer_addr().is_ok_and(|peer| peer.port() == port) {
                let _ = stream.set_nodelay(true);
            }
        }
    }
}

/// Elsewhere there is no such way.
#[cfg(not(target_os = "linux"))]
pub fn set(_: u16) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_connection_of_this_process_is_found() {
        let (one, other) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let to_one = TcpStream::connect(one.local_addr().unwrap()).unwrap();
        let to_other = TcpStream::connect(other.local_addr().unwrap()).unwrap();
        super::set(one.local_addr().unwrap().port());
        assert!(to_one.nodelay().unwrap(), "the first one's is set");
        assert!(!to_other.nodelay().unwrap(), "and nobody else's");
    }
}

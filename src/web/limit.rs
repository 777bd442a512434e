//! How much one network may ask: a rate for each /24 (IPv4) or /64 (IPv6), in bounded memory and in the
//! same time however many ask.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use tokio::time::Instant;

/// Networks that are remembered in each half of the memory. When more ask at once, the further ones share
/// one allowance.
const MOST_NETWORKS: usize = 25_000;

/// So many seconds' worth may come at once: mail programs load pictures in bursts.
const BURST: u32 = 10;

/// Who did not ask for so long has all of its allowance again.
const FORGOTTEN: Duration = Duration::from_secs(BURST as u64);

/// Lets each network ask so often.
pub(super) struct Limit {
    /// What one request takes of the time.
    each: Duration,
    memory: Mutex<Memory>,
}

/// By which instant each network will have all of its allowance again (the generic cell rate algorithm).
struct Memory {
    /// Those that asked since `since`.
    new: HashMap<IpAddr, Instant>,
    /// Those that asked in the time before that, and not since.
    old: HashMap<IpAddr, Instant>,
    since: Instant,
}

impl Limit {
    /// `rate` requests a second and network.
    pub fn new(rate: NonZeroU32) -> Self {
        let memory = Memory { new: HashMap::new(), old: HashMap::new(), since: Instant::now() };
        Self { each: Duration::from_secs(1) / rate.get(), memory: Mutex::new(memory) }
    }

    /// Whether one more request of this address is within its network's rate.
    pub fn allows(&self, address: IpAddr) -> bool {
        let now = Instant::now();
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.forget(now);
        let network = memory.known(network(address));
        let whole = memory.new.get(&network).copied().unwrap_or(now).max(now) + self.each;
        let allowed = whole <= now + FORGOTTEN;
        if allowed {
            memory.new.insert(network, whole);
        }
        allowed
    }
}

impl Memory {
    /// Lets go of those that have not asked for so long that they have all of their allowance.
    fn forget(&mut self, now: Instant) {
        if now >= self.since + FORGOTTEN {
            self.old = std::mem::take(&mut self.new);
            if now >= self.since + 2 * FORGOTTEN {
                self.old = HashMap::new();
            }
            self.since = now;
        }
    }

    /// The network under which a network's requests are counted: itself, as long as there is room.
    fn known(&mut self, network: IpAddr) -> IpAddr {
        if self.new.contains_key(&network) {
            return network;
        }
        let full = self.new.len() >= MOST_NETWORKS;
        match self.old.remove(&network) {
            Some(whole) if !full => drop(self.new.insert(network, whole)),
            None if !full => {}
            _ => return IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        }
        network
    }
}

/// The network that an address belongs to, by its first address.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, 0))
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// Who asks: the other end of the connection, or whom our own proxy saw, which it writes at the end
/// of `X-Forwarded-For` (or of `Forwarded`, where it writes no other). What stands before that anybody can
/// make up; where the end is no address, the proxy itself counts as who asks.
pub(super) fn client(peer: SocketAddr, headers: &HeaderMap, trust_forwarded_for: bool) -> IpAddr {
    let last = |name: &str| headers.get_all(name).iter().next_back();
    let seen = match (last("x-forwarded-for"), last("forwarded")) {
        _ if !trust_forwarded_for => None,
        (Some(list), _) => list.to_str().ok().and_then(|list| address(list.rsplit(',').next()?)),
        (None, Some(list)) => list.to_str().ok().and_then(|list| {
            let mut pairs = list.rsplit(',').next()?.split(';').filter_map(|pair| pair.split_once('='));
            address(pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?.1)
        }),
        (None, None) => None,
    };
    seen.unwrap_or_else(|| peer.ip()).to_canonical()
}

/// An address as proxies write it: bare, with a port, in brackets, in quotes (RFC 7239, 6).
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text).trim();
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    if let Ok(with_port) = text.parse::<SocketAddr>() {
        return Some(with_port.ip());
    }
    text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_shares_its_rate_and_others_have_their_own() {
        let limit = Limit::new(NonZeroU32::MIN);
        let allowed = (0..1_000).filter(|n| limit.allows(IpAddr::V4(Ipv4Addr::new(192, 0, 2, *n as u8)))).count();
        assert!((10..50).contains(&allowed), "{allowed}");
        assert!(limit.allows(ip("192.0.3.1")));
        assert_eq!(network(ip("::ffff:192.0.2.7")), ip("192.0.2.0"));
        assert_eq!(network(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
    }

    #[test]
    fn what_it_remembers_is_bounded_and_many_networks_cost_each_the_same() {
        let limit = Limit::new(NonZeroU32::MIN);
        let mut refused = 0;
        let start = std::time::Instant::now();
        for n in 0..300_000_u32 {
            let [a, b, c, _] = (n << 8).to_be_bytes();
            refused += usize::from(!limit.allows(IpAddr::V4(Ipv4Addr::new(a, b, c, 1))));
        }
        let memory = limit.memory.lock().unwrap();
        assert!(memory.new.len() + memory.old.len() <= 2 * MOST_NETWORKS + 1, "{}", memory.new.len());
        assert!(refused > 0, "those beyond share one allowance");
        // Walking all of them for each took minutes.
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    }

    #[test]
    fn who_asked_too_much_is_known_until_its_allowance_is_whole_again() {
        let limit = Limit::new(NonZeroU32::MIN);
        let spent = || (0..100).filter(|_| limit.allows(ip("192.0.2.1"))).count();
        assert_eq!(spent(), 10);
        let back = |by: Duration| {
            let mut memory = limit.memory.lock().unwrap();
            memory.since -= by;
            let earlier = |whole: &mut Instant| *whole -= by;
            memory.new.values_mut().for_each(earlier);
            memory.old.values_mut().for_each(earlier);
        };
        // In the half that is no longer written to it counts as before.
        limit.memory.lock().unwrap().since -= FORGOTTEN;
        assert_eq!(spent(), 0);
        back(Duration::from_secs(3));
        assert_eq!(spent(), 3);
        back(Duration::from_secs(25));
        assert_eq!(spent(), 10);
    }

    #[test]
    fn only_what_our_own_proxy_wrote_is_believed() {
        let peer = "127.0.0.1:9".parse().unwrap();
        let of = |pairs: &[(&str, &str)], trust| {
            let pairs = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append::<axum::http::HeaderName>(name, value);
            }
            client(peer, &headers, trust)
        };
        let check = |value: &str, expected: &str| {
            assert_eq!(of(&[("x-forwarded-for", value)], true), ip(expected), "{value}");
            assert_eq!(of(&[("x-forwarded-for", value)], false), ip("127.0.0.1"), "{value}");
        };
        check("10.0.0.1, 192.0.2.7", "192.0.2.7");
        check("10.0.0.1,192.0.2.7:5678", "192.0.2.7");
        check(" 192.0.2.7 ", "192.0.2.7");
        check("2001:db8::1", "2001:db8::1");
        check("[2001:db8::1]", "2001:db8::1");
        check("10.0.0.1, [2001:db8::1]:443", "2001:db8::1");
        check("\"[2001:db8::1]:443\"", "2001:db8::1");
        check("\"192.0.2.7:80\"", "192.0.2.7");
        check("::ffff:192.0.2.7", "192.0.2.7");
        check("[::ffff:192.0.2.7]:80", "192.0.2.7");
        // Not what stands before it, which anybody can make up.
        for nonsense in [
            "nonsense",
            "unknown",
            "192.0.2.7, unknown",
            "192.0.2.7,",
            "",
            "_hidden",
            "192.0.2.7:",
            "192.0.2.7:99999",
            "[192.0.2.7]",
            "[2001:db8::1",
            "2001:db8::1]:443",
            "\"192.0.2.7",
            "192.0.2.7.8",
            "1e3.0.0.1",
            "0x7f.0.0.1",
        ] {
            check(nonsense, "127.0.0.1");
        }
        let two = [("x-forwarded-for", "192.0.2.7"), ("x-forwarded-for", "198.51.100.1")];
        assert_eq!(of(&two, true), ip("198.51.100.1"));
        let forwarded = |value: &str| of(&[("forwarded", value)], true);
        assert_eq!(forwarded("for=10.0.0.1, For=\"[2001:db8::1]:4711\";proto=https;by=10.0.0.2"), ip("2001:db8::1"));
        assert_eq!(forwarded("proto=http; for=192.0.2.7:80"), ip("192.0.2.7"));
        assert_eq!(forwarded("for=192.0.2.7, for=unknown"), ip("127.0.0.1"));
        assert_eq!(of(&[("forwarded", "for=192.0.2.7")], false), ip("127.0.0.1"));
        // A proxy that writes one passes the other on as it came.
        let both = [("forwarded", "for=192.0.2.7"), ("x-forwarded-for", "198.51.100.1")];
        assert_eq!(of(&both, true), ip("198.51.100.1"));
        assert_eq!(of(&[("forwarded", "for=192.0.2.7"), ("x-forwarded-for", "unknown")], true), ip("127.0.0.1"));
    }
}
